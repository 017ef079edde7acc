"""Message sets of magic 0 and 1, as brokers and clients wrote them before 0.11. Read only.

Layer: wire. Each entry of a set is a batch here: one message, or a compressed wrapper around an inner set.
Source: KIP-31 (relative offsets), KIP-32 (timestamps); org.apache.kafka.common.record.LegacyRecord,
AbstractLegacyRecordBatch.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import Struct
from typing import Final

from kproto.wire.errors import BadCount, BadCrc, DecodeError, TrailingBytes, Underrun
from kproto.wire.records.compression import decompress, repair_lz4_header
from kproto.wire.records.model import (
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    Compression,
    Record,
    TimestampType,
)

__all__ = ["LegacyBatch", "read_legacy_batch"]

ENTRY: Final = Struct(">qi")  # offset, size of the message
MESSAGE: Final = Struct(">Ibb")  # crc, magic, attributes
TIMESTAMP: Final = Struct(">q")
SIZE: Final = Struct(">i")
CRC_COVERS_FROM: Final = ENTRY.size + 4
CODEC_MAX: Final = {0: Compression.LZ4, 1: Compression.LZ4}  # zstd came with v2


class LegacyBatch:
    """One entry of a message set. Iterate over it for its records; the attributes are RecordBatch's.

    There are no headers, producer ids or sequences: those attributes say so with -1.
    """

    partition_leader_epoch: Final = -1
    producer_id: Final = NO_PRODUCER_ID
    producer_epoch: Final = NO_PRODUCER_EPOCH
    base_sequence: Final = NO_SEQUENCE
    transactional: Final = False
    control: Final = False
    has_delete_horizon: Final = False

    __slots__ = (
        "_data",
        "_max_size",
        "_path",
        "attributes",
        "crc",
        "key",
        "magic",
        "offset",
        "size",
        "timestamp",
        "value",
        "wrapper_offset",
    )

    def __init__(self, data: bytes, offset: int, size: int, max_size: int, path: str) -> None:
        self._data = data
        self._path = path
        self._max_size = max_size
        self.offset = offset
        self.size = size
        stop = offset + size
        self.wrapper_offset: int = ENTRY.unpack_from(data, offset)[0]
        position = offset + ENTRY.size
        _need(path, position, stop, MESSAGE.size)
        self.crc, self.magic, self.attributes = MESSAGE.unpack_from(data, position)
        position += MESSAGE.size
        self.timestamp = NO_TIMESTAMP
        if self.magic:
            _need(path, position, stop, TIMESTAMP.size)
            (self.timestamp,) = TIMESTAMP.unpack_from(data, position)
            position += TIMESTAMP.size
        self.key, position = _field(data, position, stop, f"{path} key")
        self.value, position = _field(data, position, stop, f"{path} value")
        if position != stop:
            raise TrailingBytes(path, position, "the end of the message", f"{stop - position} more bytes")
        if self.attributes & 7 > CODEC_MAX[self.magic]:
            raise DecodeError(f"{path} attributes", offset + 17, "a codec of 0 to 3", str(self.attributes & 7))

    @property
    def compression(self) -> Compression:
        """The codec of the inner message set; NONE for a single message."""
        return Compression(self.attributes & 7)

    @property
    def timestamp_type(self) -> TimestampType:
        """Whether the broker set the timestamp (magic 1)."""
        return TimestampType(self.attributes >> 3 & 1 if self.magic else 0)

    @property
    def crc_valid(self) -> bool:
        """Whether the CRC-32 (zlib's) matches the bytes from the magic on."""
        covered = memoryview(self._data)[self.offset + CRC_COVERS_FROM : self.offset + self.size]
        return bool(zlib.crc32(covered) == self.crc)

    def check_crc(self) -> None:
        """Raises BadCrc unless `crc_valid`."""
        if not self.crc_valid:
            raise BadCrc(f"{self._path} crc", self.offset + 12, "the CRC-32 of the message", f"{self.crc:#010x}")

    @property
    def count(self) -> int:
        """Records, counted by reading them."""
        return len(self.records())

    @property
    def base_offset(self) -> int:
        """The first record's offset."""
        return self.records()[0].offset

    @property
    def last_offset(self) -> int:
        """The last record's offset."""
        return self.records()[-1].offset

    @property
    def last_offset_delta(self) -> int:
        """The last record's offset, less the first one's."""
        return self.last_offset - self.base_offset

    @property
    def base_timestamp(self) -> int:
        """The first record's timestamp, -1 for none."""
        return self.records()[0].timestamp

    @property
    def max_timestamp(self) -> int:
        """The latest timestamp of a record, -1 for none."""
        return max(record.timestamp for record in self.records())

    def records(self) -> list[Record]:
        """All records, at least one. Raises DecodeError; the inner set's offsets count from its own start."""
        if not self.compression:
            return [Record(self.wrapper_offset, self.timestamp, self.key, self.value, ())]
        if self.value is None:
            raise DecodeError(f"{self._path} value", self.offset, "a compressed message set", "null")
        inner = [_record(message) for message in self._inner_messages(self.value)]
        if not inner:
            raise DecodeError(f"{self._path} value", self.offset, "one message or more", "none")
        if not self.magic:
            return inner  # magic 0 counts its offsets from the log's start, inside too
        # Producers leave the wrapper's offset 0; brokers set it to the last record's.
        base = max(0, self.wrapper_offset - inner[-1].offset)
        broker_time = self.timestamp if self.timestamp_type is TimestampType.LOG_APPEND_TIME else None
        return [
            record._replace(
                offset=base + record.offset,
                timestamp=record.timestamp if broker_time is None else broker_time,
            )
            for record in inner
        ]

    def _inner_messages(self, value: bytes) -> Iterator[LegacyBatch]:
        data = repair_lz4_header(value) if self.magic == 0 and self.compression is Compression.LZ4 else value
        path = f"{self._path} ({self.compression})"
        body = decompress(self.compression, data, self._max_size, path, self.offset)
        position = 0
        while position < len(body):
            _need(path, position, len(body), ENTRY.size)
            size = ENTRY.size + ENTRY.unpack_from(body, position)[1]
            if size < ENTRY.size:
                raise BadCount(path, position, "a message size of 0 or more", str(size - ENTRY.size))
            _need(path, position, len(body), size)
            message = LegacyBatch(body, position, size, 0, path)
            if message.magic != self.magic or message.compression:
                raise DecodeError(path, position, f"a plain message of magic {self.magic}", "another kind")
            message.check_crc()
            yield message
            position += size

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records())

    def __repr__(self) -> str:
        return f"LegacyBatch(magic={self.magic}, offset={self.wrapper_offset}, compression={str(self.compression)!r})"


def _record(message: LegacyBatch) -> Record:
    return Record(message.wrapper_offset, message.timestamp, message.key, message.value, ())


def read_legacy_batch(data: bytes, offset: int, size: int, max_size: int, path: str) -> LegacyBatch:
    """The entry of `size` bytes at `offset`. Raises DecodeError."""
    return LegacyBatch(data, offset, size, max_size, path)


def _need(path: str, position: int, stop: int, size: int) -> None:
    if stop - position < size:
        raise Underrun(path, position, f"{size} bytes", str(stop - position))


def _field(data: bytes, position: int, stop: int, path: str) -> tuple[bytes | None, int]:
    _need(path, position, stop, SIZE.size)
    (size,) = SIZE.unpack_from(data, position)
    position += SIZE.size
    if size == -1:
        return None, position
    if size < -1:
        raise BadCount(path, position - SIZE.size, "a length of -1 or more", str(size))
    _need(path, position, stop, size)
    return data[position : position + size], position + size
