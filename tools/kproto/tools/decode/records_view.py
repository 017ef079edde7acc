"""The record batches of `records` fields, batch by batch: header, checksum, records, and what is wrong with them.

Layer: tools. Bounded on hostile bytes: decompressed size and number of records, for each frame.
Source: KIP-98; org.apache.kafka.common.record.DefaultRecordBatch, AbstractLegacyRecordBatch.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from kproto.tools.decode.model import Finding
from kproto.wire import BadCrc, DecodeError, EncodeError, Struct
from kproto.wire.field import element_struct
from kproto.wire.records import RECORD_BATCH_OVERHEAD, LegacyBatch, Record, RecordBatch, read_record_batches
from kproto.wire.wire_type import Array

__all__ = ["Allowance", "BatchView", "RecordsField", "RecordsReader", "has_records", "records_fields"]

DECOMPRESSED_SIZE_MAX: Final = 64 << 20  # bytes of the batches of one frame, and EXPANSION times its size
EXPANSION: Final = 16
ALLOWED_AT_ONCE: Final = 96 << 20  # bytes of the batches of a run
ALLOWED_EXPANSION: Final = 48  # and for each byte that came
RECORD_COSTS: Final = 64  # bytes, beside its own: what it takes to read a record
LEGACY_SIZE_MAX: Final = 8 << 20  # bytes of a compressed message set, which is read message by message
FAILURE_COSTS: Final = 16 << 20  # bytes: what a batch that does not come out may have taken
RECORDS_MAX: Final = 100_000  # of the compressed batches of one frame, and one for each RECORD_SIZE of its bytes
RECORD_SIZE: Final = 8
LOG_APPEND_TIME: Final = 8  # of a batch's attributes
COMPRESSED: Final = 7  # of them: the codec
LEGACY_OVERHEAD: Final = 12  # offset and size of a message


class RecordsField(NamedTuple):
    """A field with records. path: `topic_data[0].partition_data[1].records`; data: its bytes, None for null."""

    path: str
    data: bytes | None


@dataclass(slots=True)
class BatchView:
    """A batch. records: None where they are not to be read. body: then their bytes, as they stand in the batch.

    Timestamps are those that the records hold: with LogAppendTime, max_timestamp counts instead.
    """

    batch: RecordBatch | LegacyBatch
    crc_valid: bool
    records: list[Record] | None
    body: bytes = b""


class Allowance:
    """What compressed batches may come to in a whole run: so much at once, and so much for each byte that came.

    Few captures ever come near; those that are made to keep a reader busy do.
    """

    def __init__(self) -> None:
        self._left = ALLOWED_AT_ONCE

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left for now."""
        return self._left <= 0

    def earn(self, size: int) -> None:
        """Bytes of a frame came."""
        self._left = min(ALLOWED_AT_ONCE, self._left + ALLOWED_EXPANSION * size)

    def spend(self, size: int) -> None:
        """Bytes were decompressed."""
        self._left -= size


class RecordsReader:
    """Reads the fields of one frame, which share its bounds. frame_size: bytes. allowance: of the run."""

    def __init__(self, frame_size: int, allowance: Allowance | None = None) -> None:
        self._allowance = allowance or Allowance()
        self._allowance.earn(frame_size)
        self._size_left = DECOMPRESSED_SIZE_MAX + EXPANSION * frame_size
        self._records_left = RECORDS_MAX + frame_size // RECORD_SIZE

    def read(
        self, field: RecordsField, findings: list[Finding], *, may_be_cut: bool = False
    ) -> Iterator[BatchView | bytes]:
        """Each batch; and what no batch is made of, at the end, as it stands.

        findings: gets what is wrong. may_be_cut: whether the last batch may be cut, as in an answer to Fetch.
        """
        data = field.data or b""
        behind = 0
        batches = read_record_batches(data, LEGACY_SIZE_MAX, verify_crc=False, allow_truncated=may_be_cut)
        while True:
            try:
                batch = next(batches, None)
            except DecodeError as error:
                findings.append(_finding("bad-records", field.path, error))
                break
            if batch is None:
                break
            behind = batch.offset + batch.size
            yield self._view(batch, data, field.path, findings)
        if behind < len(data):
            yield data[behind:]

    def _view(self, batch: RecordBatch | LegacyBatch, data: bytes, path: str, findings: list[Finding]) -> BatchView:
        valid = batch.crc_valid
        if not valid:
            try:
                batch.check_crc()
            except BadCrc as error:
                findings.append(_finding("crc", path, error))
        compressed = batch.attributes & COMPRESSED
        try:
            if compressed and self._allowance.is_spent:
                text = f"{path}: this batch is left compressed: the capture expands to more than is read at a time"
                findings.append(Finding("expansion", text, notice=True, offset=batch.offset, path=path))
            else:
                return BatchView(batch, valid, self._records(batch))
        except DecodeError as error:
            findings.append(_finding("bad-records", path, error))
            if compressed:
                self._size_left -= FAILURE_COSTS
                self._allowance.spend(FAILURE_COSTS)
        except EncodeError as error:  # a codec whose library is not installed
            findings.append(Finding("codec", f"{path}: {error}", notice=True, path=path))
        start = batch.offset + (RECORD_BATCH_OVERHEAD if isinstance(batch, RecordBatch) else LEGACY_OVERHEAD)
        return BatchView(batch, valid, None, data[start : batch.offset + batch.size])

    def _records(self, batch: RecordBatch | LegacyBatch) -> list[Record]:
        """Raises DecodeError, also where there would be too much of them; EncodeError for a codec that is missing."""
        if isinstance(batch, RecordBatch) and batch.attributes & LOG_APPEND_TIME:
            batch = copy(batch)
            batch.attributes &= ~LOG_APPEND_TIME
        if not batch.attributes & COMPRESSED:
            return batch.records()
        if isinstance(batch, RecordBatch):
            if batch.count > self._records_left:
                raise _too_much(batch, f"{max(0, self._records_left):,} records", f"{batch.count:,}")
            batch.max_size = max(0, min(DECOMPRESSED_SIZE_MAX, self._size_left))
        elif self._size_left < LEGACY_SIZE_MAX:
            raise _too_much(batch, f"{max(0, self._size_left):,} bytes", "a compressed set")
        records = batch.records()
        self._records_left -= len(records)
        size = sum(len(each.key or b"") + len(each.value or b"") for each in records)
        self._size_left -= size + RECORD_SIZE * len(records)
        self._allowance.spend(size + RECORD_COSTS * len(records))
        return records


def _too_much(batch: RecordBatch | LegacyBatch, most: str, found: str) -> DecodeError:
    """The bound is that of the frame, so that a few bytes do not keep the reader busy for minutes."""
    return DecodeError("records", batch.offset, f"at most {most} more, decompressed, in this frame", found)


def _finding(code: str, path: str, error: DecodeError) -> Finding:
    return Finding(code, f"{path}: {error}", offset=error.offset, path=path)


def records_fields(message: Struct) -> Iterator[RecordsField]:
    """The fields with records of a message, nested ones too, in the order of its fields."""
    found: list[RecordsField] = []
    _collect(message, _plan(type(message)), "", found)
    return iter(found)


def has_records(cls: type[Struct]) -> bool:
    """Whether there are such fields in a message."""
    own, ways = _plan(cls)
    return bool(own or ways)


Plan = tuple[tuple[str, ...], tuple[tuple[str, bool, "Plan"], ...]]
"""Names of fields with records; and fields that lead to others: name, whether an array, its plan."""


@lru_cache(maxsize=512)
def _plan(cls: type[Struct]) -> Plan:
    own = tuple(field.name for field in cls.fields if field.type.name == "records")
    ways = []
    for field in cls.fields:
        struct: type[Struct] | None = element_struct(field.type)
        if struct is not None and has_records(struct):
            ways.append((field.name, isinstance(field.type, Array), _plan(struct)))
    return own, tuple(ways)


def _collect(value: Any, plan: Plan, path: str, found: list[RecordsField]) -> None:
    own, ways = plan
    found += [RecordsField(f"{path}{name}", getattr(value, name)) for name in own]
    for name, is_array, way in ways:
        inner = getattr(value, name)
        if inner is None:
            continue
        if not is_array:
            _collect(inner, way, f"{path}{name}.", found)
            continue
        for index, element in enumerate(inner):
            _collect(element, way, f"{path}{name}[{index}].", found)
