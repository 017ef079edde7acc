"""What Kafka makes of its types: arrays, structs and tagged fields, as constructs.

Layer: wire. Built of `primitives.py`, and strict, bounded and reporting as those are.
Source: https://kafka.apache.org/protocol#protocol_types, KIP-482 (tagged fields).
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any, Final

from construct import Construct, Container, Subconstruct
from construct import Struct as ConstructStruct

from kproto.wire.errors import BadCount, DecodeError, EncodeError, Underrun, UnexpectedNull
from kproto.wire.primitives import (
    INT32_MAX,
    UNSIGNED_VARINT,
    CompactLength,
    FixedLength,
    field_path,
    remaining,
    report_range,
    take,
)

__all__ = ["TAGS_NAME", "TAG_MAX", "ArrayOf", "Fields", "NullableFields", "TaggedFields"]

TAG_MAX: Final = INT32_MAX  # Java holds a tag in an int
TAGS_NAME: Final = "tagged_fields"


class ArrayOf(Subconstruct):
    """A count, then that many elements; null is count -1. A count needs at least one byte an element."""

    def __init__(self, element: Construct, length: FixedLength | CompactLength, nullable: bool) -> None:
        super().__init__(element)
        self.length = length
        self.nullable = nullable

    def _parse(self, stream: Any, context: Any, path: str) -> list[Any] | None:
        start = stream.tell()
        count = self.length._parse(stream, context, path)
        if count < -1:
            raise BadCount(field_path(path), start, "a count of -1 or more", str(count))
        if count < 0 and not self.nullable:
            raise UnexpectedNull(field_path(path), start, "an array", "null")
        left = remaining(stream)
        if count > left:
            raise BadCount(field_path(path), start, f"at most {left} elements in {left} bytes", str(count))
        report_range(context, start, stream, path, "array", None if count < 0 else count)
        if count < 0:
            return None
        return [self.subcon._parsereport(stream, context, f"{path}[{index}]") for index in range(count)]

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        if obj is None and not self.nullable:
            raise EncodeError(field_path(path), obj, "is not nullable in this version")
        self.length._build(-1 if obj is None else len(obj), stream, context, path)
        for index, element in enumerate(obj or ()):
            self.subcon._build(element, stream, context, f"{path}[{index}]")
        return obj


class Fields(ConstructStruct):
    """The fields of one struct at one version, in wire order; `owner` is the class that declares them."""

    def __init__(self, owner: type, *fields: Construct) -> None:
        super().__init__(*fields)
        self.owner = owner


class NullableFields(Subconstruct):
    """A struct behind an int8 marker: -1 for null, 1 for present. Stricter than Kafka, which takes any sign."""

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        start = stream.tell()
        (marker,) = struct.unpack(">b", take(stream, 1, path))
        report_range(context, start, stream, path, "struct", None if marker == -1 else "present")
        if marker == -1:
            return None
        if marker != 1:
            raise DecodeError(field_path(path), start, "a marker of -1 or 1", str(marker))
        return self.subcon._parsereport(stream, context, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        stream.write(b"\xff" if obj is None else b"\x01")
        if obj is not None:
            self.subcon._build(obj, stream, context, path)
        return obj


class TaggedFields(Construct):
    """KIP-482: optional fields behind ascending tags; unknown tags are kept as bytes.

    known: tag -> named construct. Its value is a Container of the fields present, by name, and of `unknown_tags`, a
    dict of tag to bytes. To build, give the fields to write, and the unknown tags.
    """

    def __init__(self, known: dict[int, Construct]) -> None:
        super().__init__()
        self.known = known

    def _parse(self, stream: Any, context: Any, path: str) -> Container:
        start = stream.tell()
        count = UNSIGNED_VARINT._parse(stream, context, path)
        left = remaining(stream)
        if 2 * count > left:
            raise BadCount(field_path(path), start, f"at most {left // 2} tagged fields in {left} bytes", str(count))
        report_range(context, start, stream, path, "tags", count)
        found = Container(unknown_tags={})
        previous = -1
        for _ in range(count):
            previous = self._parse_one(stream, context, path, found, previous)
        return found

    def _parse_one(self, stream: Any, context: Any, path: str, found: Container, previous: int) -> int:
        start = stream.tell()
        tag: int = UNSIGNED_VARINT._parse(stream, context, path)
        if tag <= previous:
            raise DecodeError(field_path(path), start, f"a tag above {previous}", str(tag))
        if tag > TAG_MAX:
            raise DecodeError(field_path(path), start, f"a tag of at most {TAG_MAX}", str(tag))
        size = UNSIGNED_VARINT._parse(stream, context, path)
        left = remaining(stream)
        if size > left:
            raise Underrun(field_path(path), stream.tell(), f"{size} bytes for tag {tag}", str(left))
        field = self.known.get(tag)
        report_range(context, start, stream, path, "tag", (tag, field.name if field else None, size))
        body = stream.tell()
        if field is None:
            found["unknown_tags"][tag] = data = stream.read(size)
            report_range(context, body, stream, f"{path}[{tag}]", "bytes", data)
            return tag
        found[field.name] = field._parsereport(stream, context, path.removesuffix(f" -> {TAGS_NAME}"))
        read = stream.tell() - body
        if read != size:
            raise DecodeError(field_path(path), body, f"{size} bytes in tag {tag} ({field.name})", f"{read} bytes")
        return tag

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        unknown: dict[int, bytes] = obj["unknown_tags"]
        entries = dict(unknown)
        for tag, field in self.known.items():
            if tag in unknown:
                raise EncodeError(field_path(path), tag, f"this unknown tag is the tag of {field.name}")
            if field.name in obj:
                payload = BytesIO()
                field._build(obj[field.name], payload, context, path.removesuffix(f" -> {TAGS_NAME}"))
                entries[tag] = payload.getvalue()
        UNSIGNED_VARINT._build(len(entries), stream, context, path)
        for tag in sorted(entries):
            if not 0 <= tag <= TAG_MAX:
                raise EncodeError(field_path(path), tag, f"a tag lies between 0 and {TAG_MAX}")
            data = entries[tag]
            UNSIGNED_VARINT._build(tag, stream, context, path)
            UNSIGNED_VARINT._build(len(data), stream, context, path)
            stream.write(data)
        return obj
