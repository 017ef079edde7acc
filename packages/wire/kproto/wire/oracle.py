"""The declaration interpreted: slow, obvious, and the last word on every error.

Layer: wire. Parses and builds with the construct that a message is at a version. The generated codec (`codec.py`) is
proven equal to this, and calls it to word each error; the annotator calls it to see each byte range.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar

from construct import Container

from kproto.wire.compounds import TAGS_NAME
from kproto.wire.errors import EncodeError, FieldUnavailable
from kproto.wire.field import Field, element_struct
from kproto.wire.primitives import field_path
from kproto.wire.wire_type import Array

if TYPE_CHECKING:
    from kproto.wire.schema import Message, Struct

    M = TypeVar("M", bound=Message)

__all__ = ["Report", "decode_prefix", "encode"]

Report = Callable[[int, int, str, str, Any], None]
"""Called with start, stop, path, type name and value of each byte range, in wire order."""


def decode_prefix(
    cls: type[M], data: bytes, version: int, offset: int = 0, report: Report | None = None
) -> tuple[M, int]:
    """The message at `offset`, and the offset behind it. Raises DecodeError."""
    stream = BytesIO(data)
    stream.seek(offset)
    context = Container(report=report)
    context._params = context
    context._parsing, context._building, context._sizing = True, False, False
    container = cls.construct(version)._parse(stream, context, f"{cls.__name__} v{version}")
    return from_container(cls, container), stream.tell()


def encode(message: Message, version: int) -> bytes:
    """The bytes of this version. Raises EncodeError."""
    path = f"{type(message).__name__} v{version}"
    container = to_container(message, version, path)
    stream = BytesIO()
    context = Container()
    context._params = context
    context._parsing, context._building, context._sizing = False, True, False
    message.construct(version)._build(container, stream, context, path)
    return stream.getvalue()


def from_container(cls: type[Any], container: Container) -> Any:
    """What a parse gave, as a value; fields that it lacks take their defaults."""
    tags = container.get(TAGS_NAME) or {}
    values = {}
    for field in cls.fields:
        if field.name in container or field.name in tags:
            values[field.name] = _from_construct(field, container.get(field.name, tags.get(field.name)))
    return cls(**values, unknown_tags=tags.get("unknown_tags") or {})


def _from_construct(field: Field, value: Any) -> Any:
    struct = element_struct(field.type)
    if struct is None or value is None:
        return value
    if isinstance(field.type, Array):
        return tuple(from_container(struct, element) for element in value)
    return from_container(struct, value)


def to_container(struct: Struct, version: int, path: str) -> Container:
    """What a build takes: the fields of this version, tagged ones only where they differ from their defaults."""
    container = Container()
    tags = Container(unknown_tags=struct.unknown_tags)
    for field in struct.fields:
        value = getattr(struct, field.name)
        here = f"{path} -> {field.name}"
        if version not in field.versions:
            if not field.ignorable and value != field.default:
                raise FieldUnavailable(field_path(here), value, f"is not in version {version}")
        elif not field.is_tagged(version):
            container[field.name] = _to_construct(field, value, version, here)
        elif value != field.default:
            tags[field.name] = _to_construct(field, value, version, here)
    if version in struct.flexible_versions:
        container[TAGS_NAME] = tags
    elif struct.unknown_tags:
        raise FieldUnavailable(field_path(path), dict(struct.unknown_tags), f"version {version} has no tagged fields")
    return container


def _to_construct(field: Field, value: Any, version: int, path: str) -> Any:
    if isinstance(field.type, Array):
        struct = element_struct(field.type)
        if value is None or struct is None:
            return value
        return [_checked(struct, element, version, f"{path}[{index}]") for index, element in enumerate(value)]
    struct = element_struct(field.type)
    if struct is None or (value is None and field.is_nullable(version)):
        return value
    return _checked(struct, value, version, path)


def _checked(struct: type[Any], value: Any, version: int, path: str) -> Container:
    if value.__class__ is not struct:
        raise EncodeError(field_path(path), value, f"is not a {struct.__qualname__}")
    return to_container(value, version, path)
