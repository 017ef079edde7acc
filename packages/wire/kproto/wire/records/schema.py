"""Record batches and messages of all magics, declared in construct: the definition, slow and obvious.

Layer: wire. Never on the hot path: `builder.py` and `reader.py` are proven equal to it. Compressed bodies
are opaque here.
Source: KIP-98 (v2), KIP-82 (headers), KIP-32 (v1); org.apache.kafka.common.record.DefaultRecordBatch, DefaultRecord.
"""

from __future__ import annotations

from typing import Any, Final

from construct import (
    Adapter,
    Bytes,
    Checksum,
    Const,
    Construct,
    GreedyBytes,
    Int8sb,
    Int16sb,
    Int32sb,
    Int32ub,
    Int64sb,
    Padding,
    Pointer,
    Prefixed,
    RawCopy,
    Struct,
    Tell,
    Terminated,
    this,
)

from kproto.wire.errors import DecodeError
from kproto.wire.records.crc import crc32c
from kproto.wire.varint import encode_varlong, read_varint, read_varlong

__all__ = ["RECORD", "RECORD_BATCH", "RECORD_HEADER"]


class Zigzag(Construct):
    """A zigzag varint of 32 or 64 bits."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.read = read_varint if bits == 32 else read_varlong

    def _parse(self, stream: Any, context: Any, path: str) -> int:
        start = stream.tell()
        value, size = self.read(stream.read(10), 0, path)
        stream.seek(start + size)
        return value

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        stream.write(encode_varlong(obj))
        return obj


class NullableField(Construct):
    """Bytes behind a varint length, -1 for null."""

    def _parse(self, stream: Any, context: Any, path: str) -> bytes | None:
        size = VARINT._parse(stream, context, path)
        if size < -1:
            raise DecodeError(path, stream.tell(), "a length of -1 or more", str(size))
        return None if size == -1 else Bytes(size)._parse(stream, context, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        VARINT._build(-1 if obj is None else len(obj), stream, context, path)
        stream.write(obj or b"")
        return obj


class Utf8(Adapter):
    """A str as its UTF-8 bytes, never null."""

    def _decode(self, obj: Any, context: Any, path: str) -> str:
        if obj is None:
            raise DecodeError(path, 0, "a header key", "null")
        return str(obj, "utf-8")

    def _encode(self, obj: Any, context: Any, path: str) -> bytes:
        return str(obj).encode()


class CountedArray(Construct):
    """Elements behind a varint count."""

    def __init__(self, element: Construct) -> None:
        super().__init__()
        self.element = element

    def _parse(self, stream: Any, context: Any, path: str) -> list[Any]:
        count = VARINT._parse(stream, context, path)
        if not 0 <= count <= len(stream.getbuffer()):
            raise DecodeError(path, stream.tell(), "a count that the bytes can hold", str(count))
        return [self.element._parsereport(stream, context, path) for _ in range(count)]

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        VARINT._build(len(obj), stream, context, path)
        for element in obj:
            self.element._build(element, stream, context, path)
        return obj


VARINT: Final = Zigzag(32)
VARLONG: Final = Zigzag(64)

RECORD_HEADER: Final = Struct(
    "key" / Utf8(NullableField()),
    "value" / NullableField(),
)

RECORD: Final = Prefixed(
    VARINT,
    Struct(
        "attributes" / Int8sb,
        "timestamp_delta" / VARLONG,
        "offset_delta" / VARINT,
        "key" / NullableField(),
        "value" / NullableField(),
        "headers" / CountedArray(RECORD_HEADER),
        Terminated,
    ),
)

CRC_COVERED: Final = Struct(
    "attributes" / Int16sb,
    "last_offset_delta" / Int32sb,
    "base_timestamp" / Int64sb,
    "max_timestamp" / Int64sb,
    "producer_id" / Int64sb,
    "producer_epoch" / Int16sb,
    "base_sequence" / Int32sb,
    "count" / Int32sb,
    "body" / GreedyBytes,
)

# The leader epoch stands before the CRC so that a broker can restamp it without hashing the records again.
RECORD_BATCH: Final = Struct(
    "base_offset" / Int64sb,
    "content"
    / Prefixed(
        Int32sb,
        Struct(
            "partition_leader_epoch" / Int32sb,
            "magic" / Const(2, Int8sb),
            "crc_at" / Tell,
            Padding(4),
            "covered" / RawCopy(CRC_COVERED),
            "crc" / Pointer(this.crc_at, Checksum(Int32ub, crc32c, this.covered.data)),
        ),
    ),
)
