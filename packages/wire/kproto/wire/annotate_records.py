"""Byte ranges of record batches: the declaration of `records/schema.py`, walked.

Layer: wire. Knows the constructs that the declaration is made of, no field of it but the two that say where the records
are and whether they are compressed. A compressed body stays one range; a checksum is shown, not checked.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

from construct import (
    Checksum,
    Const,
    Construct,
    ConstructError,
    Container,
    FormatField,
    Padded,
    Pointer,
    Prefixed,
    RawCopy,
    Renamed,
    Struct,
)

from kproto.wire.errors import BadCount, DecodeError
from kproto.wire.primitives import remaining, take
from kproto.wire.records.schema import RECORD, RECORD_BATCH, VARINT, VARLONG, CountedArray, Utf8

__all__ = ["Range", "record_ranges"]

Range = tuple[int, int, str, str, Any]
"""start, stop, path, type and value, as a `Span` has them."""

NUMBERS: Final = {"b": "int8", "h": "int16", "l": "int32", "L": "uint32", "q": "int64"}
COMPRESSION_BITS: Final = 7  # of a batch's attributes; 0 is none


def record_ranges(data: bytes, offset: int, path: str) -> list[Range] | None:
    """The ranges of the batches that fill `data`, without gaps; None unless all of it is whole batches of magic 2.

    offset: where `data` begins in the buffer that the ranges count in. path: of the field; batch 1 has `path[1]`, its
    fourth record `path[1].records[3]`.
    """
    walk = Walk()
    stream = BytesIO(data)
    try:
        while remaining(stream):
            walk.batch(stream, offset, f"{path}[{walk.batches}]")
    except (DecodeError, ConstructError, UnicodeDecodeError):
        return None
    # The checksum is declared behind the fields that it covers, and stands before them.
    return sorted(walk.ranges, key=lambda found: found[0])


class Walk:
    """Parses leaf by leaf, and keeps the range of each one that took bytes."""

    def __init__(self) -> None:
        self.ranges: list[Range] = []
        self.batches = 0

    def batch(self, stream: BytesIO, base: int, path: str) -> None:
        """One batch; where it is not compressed, its body record by record. base: of the stream in the buffer."""
        self.batches += 1
        first = len(self.ranges)
        head = self.read(RECORD_BATCH, stream, Container(), path, base)["content"]["covered"]
        if head["attributes"] & COMPRESSION_BITS:
            return
        body = BytesIO(head["body"])
        base += stream.tell() - len(head["body"])
        self.ranges[first:] = [found for found in self.ranges[first:] if found[0] < base]
        for index in range(head["count"]):
            self.read(RECORD, body, Container(), f"{path}.records[{index}]", base)
        if remaining(body) or head["count"] < 0:
            raise BadCount(path, base, "a count of the records that follow", str(head["count"]))

    def read(self, construct: Construct, stream: Any, context: Container, path: str, base: int) -> Any:
        """What the construct parses to. A struct in place adds nothing to the path."""
        if isinstance(construct, Renamed):
            place = construct.subcon
            inner = path if isinstance(place, (Prefixed, RawCopy)) else f"{path}.{construct.name}"
            return self.read(place, stream, context, inner, base)
        if isinstance(construct, Struct):
            return self._struct(construct, stream, path, base)
        if isinstance(construct, Prefixed):
            return self._prefixed(construct, stream, context, path, base)
        if isinstance(construct, RawCopy):
            return self.read(construct.subcon, stream, context, path, base)
        if isinstance(construct, CountedArray):
            return self._array(construct, stream, context, path, base)
        if isinstance(construct, Pointer):
            return self._elsewhere(construct, stream, context, path, base)
        if isinstance(construct, Padded):  # the hole for the checksum
            return take(stream, construct.length, path)
        if isinstance(construct, Checksum):
            return self.read(construct.checksumfield, stream, context, path, base)
        start = stream.tell()
        value = construct._parse(stream, context, path)
        if stream.tell() > start:
            self.ranges.append((base + start, base + stream.tell(), path, type_name(construct), value))
        return value

    def _struct(self, construct: Struct, stream: Any, path: str, base: int) -> Container:
        found = Container()
        for member in construct.subcons:
            found[member.name] = self.read(member, stream, found, path, base)
        return found

    def _prefixed(self, construct: Prefixed, stream: Any, context: Container, path: str, base: int) -> Any:
        size = self.read(construct.lengthfield, stream, context, f"{path}.length", base)
        if size < 0:
            raise BadCount(path, stream.tell(), "a length of 0 or more", str(size))
        behind = base + stream.tell()
        return self.read(construct.subcon, BytesIO(take(stream, size, path)), context, path, behind)

    def _array(self, construct: CountedArray, stream: Any, context: Container, path: str, base: int) -> list[Any]:
        start = stream.tell()
        count = VARINT._parse(stream, context, path)
        self.ranges.append((base + start, base + stream.tell(), path, "array", count))
        if count < 0:
            raise BadCount(path, stream.tell(), "a count of 0 or more", str(count))
        return [self.read(construct.element, stream, context, f"{path}[{index}]", base) for index in range(count)]

    def _elsewhere(self, construct: Pointer, stream: Any, context: Container, path: str, base: int) -> Any:
        here = stream.tell()
        stream.seek(construct.offset(context))
        value = self.read(construct.subcon, stream, context, path, base)
        stream.seek(here)
        return value


def type_name(construct: Construct) -> str:
    """Kafka's name of a leaf's type."""
    if isinstance(construct, Const):
        construct = construct.subcon
    if isinstance(construct, FormatField):
        return NUMBERS[construct.fmtstr[-1]]
    if construct is VARINT:
        return "varint"
    if construct is VARLONG:
        return "varlong"
    return "string" if isinstance(construct, Utf8) else "bytes"
