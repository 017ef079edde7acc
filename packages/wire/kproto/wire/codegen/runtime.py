"""What generated code calls: the rare cases, kept out of line, and the tables.

Layer: wire. A refusal carries no text: the oracle words it (`codec.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, SafeUUID

from kproto.wire.compounds import TAG_MAX
from kproto.wire.primitives import STRING_BYTES_MAX
from kproto.wire.varint import UNSIGNED_VARINT_TABLE, encode_unsigned_varint, read_unsigned_varint
from kproto.wire.wire_type import NO_UUID

__all__ = [
    "FLAGS",
    "Packers",
    "Refused",
    "Unpackers",
    "as_buffer",
    "compact_string_length",
    "join_tags",
    "make_uuid",
    "split_tags",
    "string_length",
    "unknown_tags",
    "varint",
]

FLAGS: Final = {True: 1, False: 0}
CACHED_COUNT_MAX: Final = 256  # elements: longer arrays make their Struct anew


class Refused(Exception):
    """Generated code met bytes or a value that the declaration does not allow."""


class Unpackers(dict[int, Callable[[bytes, int], tuple[Any, ...]]]):
    """count -> function that reads so many numbers of one format; not kept above CACHED_COUNT_MAX."""

    def __init__(self, fmt: str) -> None:
        super().__init__()
        self.fmt = fmt

    def __missing__(self, count: int) -> Callable[[bytes, int], tuple[Any, ...]]:
        unpack = Struct(f">{count}{self.fmt}").unpack_from
        if count <= CACHED_COUNT_MAX:
            self[count] = unpack
        return unpack


class Packers(dict[int, Callable[..., bytes]]):
    """count -> function that packs so many numbers of one format. Bounded as Unpackers."""

    def __init__(self, fmt: str) -> None:
        super().__init__()
        self.fmt = fmt

    def __missing__(self, count: int) -> Callable[..., bytes]:
        pack = Struct(f">{count}{self.fmt}").pack
        if count <= CACHED_COUNT_MAX:
            self[count] = pack
        return pack


def string_length(buffer: bytes, offset: int) -> tuple[int, int]:
    """The biased length of a compact string of 127 bytes or more, and the offset behind it; null is refused."""
    biased, behind = read_unsigned_varint(buffer, offset)
    if not 0 < biased <= STRING_BYTES_MAX + 1:
        raise Refused
    return biased, behind


_set_int = UUID.__dict__["int"].__set__
_set_is_safe = UUID.__dict__["is_safe"].__set__
_new = object.__new__


def make_uuid(data: bytes) -> UUID:
    """`UUID(bytes=data)` without its checks: 0.35 us against 1.2 us. Fewer than 16 bytes are refused by the caller."""
    if data == b"\0" * 16:
        return NO_UUID
    value = _new(UUID)
    _set_int(value, int.from_bytes(data, "big"))
    _set_is_safe(value, SafeUUID.unknown)
    return value


def split_tags(buffer: bytes, offset: int) -> tuple[list[tuple[int, int, int]], int]:
    """(tag, start, stop) of each tagged field of the section at `offset`, and the offset behind the section."""
    count, offset = read_unsigned_varint(buffer, offset)
    entries = []
    previous = -1
    for _ in range(count):
        tag, offset = read_unsigned_varint(buffer, offset)
        size, start = read_unsigned_varint(buffer, offset)
        offset = start + size
        if not previous < tag <= TAG_MAX or offset > len(buffer):
            raise Refused
        entries.append((tag, start, offset))
        previous = tag
    return entries, offset


def unknown_tags(buffer: bytes, offset: int) -> tuple[Mapping[int, bytes], int]:
    """The section at `offset` of a struct that knows no tag in this version, and the offset behind it."""
    entries, behind = split_tags(buffer, offset)
    return MappingProxyType({tag: buffer[start:stop] for tag, start, stop in entries}), behind


def varint(value: int) -> bytes:
    """An unsigned varint, from the table where it is there."""
    return UNSIGNED_VARINT_TABLE[value] if value < len(UNSIGNED_VARINT_TABLE) else encode_unsigned_varint(value)


def compact_string_length(biased: int) -> bytes:
    """The varint of a long string's biased length; a length that no string has is refused."""
    if biased > STRING_BYTES_MAX + 1:
        raise Refused
    return varint(biased)


def as_buffer(value: Any) -> memoryview:
    """A bytearray or memoryview as a view of bytes, not copied."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise Refused
    return memoryview(value).cast("B")


def join_tags(entries: Mapping[int, bytes]) -> bytes:
    """The section of these tagged fields, ascending."""
    parts = [varint(len(entries))]
    for tag in sorted(entries):
        if not 0 <= tag <= TAG_MAX:
            raise Refused
        data = entries[tag]
        parts += (varint(tag), varint(len(data)), data)
    return b"".join(parts)
