"""Messages as plain dicts, and back; and how a field is shown.

Layer: wire. Knows declarations; knows no bytes and no version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from kproto.wire.errors import EncodeError
from kproto.wire.field import Field, element_struct
from kproto.wire.wire_type import Array, LengthPrefixedType

if TYPE_CHECKING:
    from kproto.wire.schema import Struct

    S = TypeVar("S", bound=Struct)

__all__ = ["did_you_mean", "from_dict", "show", "to_dict"]

TAGS_KEY = "unknown_tags"


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """A phrase with the nearest of the known names, or with all of them where none is near."""
    names = sorted(known)
    near = get_close_matches(str(name), names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}"


def to_dict(struct: Struct) -> dict[str, Any]:
    """See `Struct.to_dict`."""
    mapping = {field.name: _plain(getattr(struct, field.name)) for field in struct.fields}
    if struct.unknown_tags:
        mapping[TAGS_KEY] = dict(struct.unknown_tags)
    return mapping


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(element) for element in value]
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


def from_dict(cls: type[S], mapping: Mapping[str, Any], path: str) -> S:
    """See `Struct.from_dict`; path names the struct in errors."""
    if not isinstance(mapping, Mapping):
        raise EncodeError(path, mapping, "a struct is read from a mapping")
    fields = {field.name: field for field in cls.fields}
    values: dict[str, Any] = {}
    for key, value in mapping.items():
        if key == TAGS_KEY:
            values[key] = value
        elif key in fields:
            values[key] = _value(fields[key], value, f"{path}.{key}")
        else:
            raise EncodeError(path, key, f"there is no such field, {did_you_mean(key, fields)}")
    return cls(**values)


def _value(field: Field, value: Any, path: str) -> Any:
    struct = element_struct(field.type)
    if value is None or (struct is None and not isinstance(field.type, Array)):
        return value
    if not isinstance(field.type, Array):
        return from_dict(struct, value, path) if struct else value
    if not isinstance(value, (list, tuple)):
        raise EncodeError(path, value, "an array is read from a list")
    if struct is None:
        return tuple(value)
    return tuple(from_dict(struct, element, f"{path}[{index}]") for index, element in enumerate(value))


def show(field: Field, value: Any, bytes_max: int) -> str:
    """The repr of a field's value: a secret as its mere presence, long bytes as their length."""
    if isinstance(field.type, LengthPrefixedType) and field.type.secret and value:
        return "<secret>"
    if isinstance(value, (bytes, bytearray, memoryview)) and len(value) > bytes_max:
        return f"<{len(value)} bytes>"
    return repr(value)
