"""Reads record batches: v2, and the message sets of magic 0 and 1 that came before.

Layer: wire. Knows bytes; knows no topic or partition. Proven equal to RECORD_BATCH in schema.py.
Source: KIP-98; org.apache.kafka.common.record.DefaultRecordBatch, MemoryRecords.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Any, Final

from kproto.wire.errors import BadCount, BadCrc, DecodeError, Underrun
from kproto.wire.records.compression import decompress
from kproto.wire.records.crc import crc32c
from kproto.wire.records.legacy import LegacyBatch, read_legacy_batch
from kproto.wire.records.model import RECORD_BATCH_OVERHEAD, Compression, ControlType, RawRecord, Record, TimestampType
from kproto.wire.records.record_loop import LOOP_REFUSALS, RAW, USER, RecordKind, loop_records
from kproto.wire.records.record_reader import read_records
from kproto.wire.records.record_runs import run_records

__all__ = ["DECOMPRESSED_SIZE_MAX", "ControlRecord", "RecordBatch", "read_record_batches"]

DECOMPRESSED_SIZE_MAX: Final = 64 << 20  # bytes of one batch
LENGTH: Final = Struct(">qi")  # base offset, then the length of what follows
HEADER: Final = Struct(">qiibIhiqqqhii")
MAGIC_AT: Final = 16
CRC_COVERS_FROM: Final = 21
COMPRESSION_MAX: Final = max(Compression)
LENGTH_MIN: Final = RECORD_BATCH_OVERHEAD - LENGTH.size
END_TXN: Final = Struct(">hi")
CONTROL_KEY: Final = Struct(">hh")


class ControlRecord:
    """What a control batch says. type: a ControlType, or the number of one not known.

    version: of the key; coordinator_epoch: of an abort or commit marker, else None.
    """

    __slots__ = ("coordinator_epoch", "type", "version")

    def __init__(self, version: int, type_: int, coordinator_epoch: int | None) -> None:
        self.version = version
        self.type: ControlType | int = ControlType(type_) if type_ in ControlType._value2member_map_ else type_
        self.coordinator_epoch = coordinator_epoch

    def __repr__(self) -> str:
        return f"ControlRecord(version={self.version}, type={self.type!r}, coordinator_epoch={self.coordinator_epoch})"


class RecordBatch:
    """A v2 batch as it was read. Iterate over it for its records.

    offset: where it begins in the buffer; size: its bytes. count: records, by its header. All else is the header's, by
    name; timestamps in ms since the epoch. Records are decoded anew by each iteration; nothing else changes, so a batch
    may be shared between threads.
    """

    __slots__ = (
        "_data",
        "_path",
        "attributes",
        "base_offset",
        "base_sequence",
        "base_timestamp",
        "count",
        "crc",
        "last_offset_delta",
        "magic",
        "max_size",
        "max_timestamp",
        "offset",
        "partition_leader_epoch",
        "producer_epoch",
        "producer_id",
        "size",
    )

    def __init__(self, data: bytes, offset: int, size: int, max_size: int, path: str) -> None:
        self._data = data
        self._path = path
        self.offset = offset
        self.size = size
        self.max_size = max_size
        (
            self.base_offset,
            _,
            self.partition_leader_epoch,
            self.magic,
            self.crc,
            self.attributes,
            self.last_offset_delta,
            self.base_timestamp,
            self.max_timestamp,
            self.producer_id,
            self.producer_epoch,
            self.base_sequence,
            self.count,
        ) = HEADER.unpack_from(data, offset)
        if self.attributes & 7 > COMPRESSION_MAX:
            raise DecodeError(f"{path} attributes", offset + 21, "a codec of 0 to 4", str(self.attributes & 7))
        if self.count < 0:
            raise BadCount(f"{path} count", offset + 57, "0 records or more", str(self.count))

    @property
    def last_offset(self) -> int:
        """The offset of the last record that the batch had when it was written."""
        return int(self.base_offset + self.last_offset_delta)

    @property
    def compression(self) -> Compression:
        """The codec of the records."""
        return Compression(self.attributes & 7)

    @property
    def timestamp_type(self) -> TimestampType:
        """Whether the broker set the timestamps; then all records have max_timestamp."""
        return TimestampType(self.attributes >> 3 & 1)

    @property
    def transactional(self) -> bool:
        """Whether the batch belongs to a transaction."""
        return bool(self.attributes & 0x10)

    @property
    def control(self) -> bool:
        """Whether the batch is a broker's marker, not data."""
        return bool(self.attributes & 0x20)

    @property
    def has_delete_horizon(self) -> bool:
        """Whether base_timestamp is the time from which tombstones may go (KIP-534)."""
        return bool(self.attributes & 0x40)

    @property
    def crc_valid(self) -> bool:
        """Whether the CRC-32C matches the bytes from the attributes on."""
        covered = memoryview(self._data)[self.offset + CRC_COVERS_FROM : self.offset + self.size]
        return bool(crc32c(covered) == self.crc)

    def check_crc(self) -> None:
        """Raises BadCrc unless `crc_valid`."""
        if not self.crc_valid:
            raise BadCrc(f"{self._path} crc", self.offset + 17, "the CRC-32C of the batch", f"{self.crc:#010x}")

    def body(self) -> tuple[bytes, int, int]:
        """A buffer, and where in it the uncompressed records begin and end. Raises DecompressionError."""
        start, stop = self.offset + RECORD_BATCH_OVERHEAD, self.offset + self.size
        if not self.attributes & 7:
            return self._data, start, stop
        body = decompress(self.compression, self._data[start:stop], self.max_size, f"{self._path} body", start)
        return body, 0, len(body)

    def records(self) -> list[Record]:
        """All records. Raises DecodeError; with compression, its offsets count from the decompressed body's start."""
        return self._records(USER)

    def raw_records(self) -> list[RawRecord]:
        """All records with their headers as bytes, decoded when asked for: half the time where there are headers.

        Raises as `records`, but for what is wrong inside the headers.
        """
        return self._records(RAW)

    def _records(self, kind: RecordKind) -> list[Any]:
        body, start, stop = self.body()
        where = (body, start, stop, self.count, self.base_offset, self.base_timestamp)
        try:
            records, behind = run_records(*where, kind)
            if behind != stop or len(records) != self.count:
                rest = loop_records(body, behind, *where[2:], len(records), kind)
                records = records + rest if records else rest
        except (*LOOP_REFUSALS, DecodeError):
            path = f"{self._path} ({self.compression})" if self.attributes & 7 else self._path
            records = read_records(*where, path)
        if self.attributes & 8:
            return [record._replace(timestamp=self.max_timestamp) for record in records]
        return records

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records())

    def control_record(self) -> ControlRecord | None:
        """What a control batch says; None for data. Raises DecodeError where its record is none."""
        if not self.control:
            return None
        records = self.records()
        if len(records) != 1 or records[0].key is None or len(records[0].key) < CONTROL_KEY.size:
            raise DecodeError(f"{self._path} records", self.offset, "one record with a key of 4 bytes", "another")
        version, type_ = CONTROL_KEY.unpack_from(records[0].key)
        value = records[0].value
        marker = type_ in (ControlType.ABORT, ControlType.COMMIT) and value is not None and len(value) >= END_TXN.size
        return ControlRecord(version, type_, END_TXN.unpack_from(value)[1] if marker and value else None)

    def __repr__(self) -> str:
        return (
            f"RecordBatch(base_offset={self.base_offset}, count={self.count}, compression={str(self.compression)!r}, "
            f"producer_id={self.producer_id}, producer_epoch={self.producer_epoch}, "
            f"base_sequence={self.base_sequence}, size={self.size})"
        )


def read_record_batches(
    data: bytes | bytearray | memoryview,
    max_size: int = DECOMPRESSED_SIZE_MAX,
    *,
    verify_crc: bool = True,
    allow_truncated: bool = False,
) -> Iterator[RecordBatch | LegacyBatch]:
    """The batches of a `records` field, one after the other.

    max_size: bytes that one batch may have when it is decompressed. verify_crc: whether a wrong checksum raises BadCrc
    before a batch is given; without, `crc_valid` tells. allow_truncated: whether the last batch may be cut, as in an
    answer to Fetch; it is then left out. Raises DecodeError, when the iteration comes to what is wrong.
    """
    buffer = data if data.__class__ is bytes else bytes(memoryview(data))
    offset = 0
    index = 0
    while offset < len(buffer):
        path = f"RecordBatch[{index}]"
        size = _batch_size(buffer, offset, path)
        if size is None or size > len(buffer) - offset:
            if allow_truncated:
                return
            needed = LENGTH.size if size is None else size
            raise Underrun(path, offset, f"{needed} bytes", str(len(buffer) - offset))
        batch = _batch(buffer, offset, size, max_size, path)
        if verify_crc:
            batch.check_crc()
        yield batch
        offset += size
        index += 1


def _batch_size(buffer: bytes, offset: int, path: str) -> int | None:
    """Bytes of the batch at `offset`; None where the buffer ends before it says."""
    if len(buffer) - offset < LENGTH.size:
        return None
    length: int = LENGTH.unpack_from(buffer, offset)[1]
    if length < 0:
        raise BadCount(f"{path} length", offset + 8, "a length of 0 or more", str(length))
    return LENGTH.size + length


def _batch(buffer: bytes, offset: int, size: int, max_size: int, path: str) -> RecordBatch | LegacyBatch:
    if size <= MAGIC_AT:
        raise BadCount(f"{path} length", offset + 8, "a batch with a magic", f"{size - LENGTH.size} bytes")
    magic = buffer[offset + MAGIC_AT]
    if magic < 2:
        return read_legacy_batch(buffer, offset, size, max_size, path)
    if magic > 2:
        raise DecodeError(f"{path} magic", offset + MAGIC_AT, "magic 0, 1 or 2", str(magic))
    if size < RECORD_BATCH_OVERHEAD:
        raise BadCount(f"{path} length", offset + 8, f"{LENGTH_MIN} bytes or more", str(size - LENGTH.size))
    return RecordBatch(buffer, offset, size, max_size, path)
