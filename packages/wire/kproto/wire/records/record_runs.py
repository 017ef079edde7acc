"""Reads runs of records that are laid out alike (equal sizes, no headers), as machines mostly write them.

Layer: wire. Strided slices prove that the layout repeats, then one `struct` iteration cuts all keys and values.
Measured on 1,000 records of 10 + 100 bytes: 0.45 us a record, against 0.95 us in `record_loop.py`. Where no run begins,
finding that out costs about 2 us a batch.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Final, NamedTuple

from kproto.wire.records.record_loop import USER, RecordKind
from kproto.wire.varint import UNSIGNED_VARINT_TABLE, read_unsigned_varint

__all__ = ["run_records"]

DENSE_DELTAS: Final = UNSIGNED_VARINT_TABLE[::2]
ONE_BYTE_DELTAS: Final = 64  # the first offset delta of two bytes
UNZIGZAG: Final = tuple((n >> 1) ^ -(n & 1) for n in range(16384))
LOW_BYTES: Final = bytes(delta[0] for delta in DENSE_DELTAS)
HIGH_BYTES: Final = bytes(delta[-1] for delta in DENSE_DELTAS)
RUN_LENGTH_MIN: Final = 8  # records: below, the proof costs more than it saves

# The bytes that a varint's last byte, and one before it, may be: then every delta of the run is as wide as the first.
LAST: Final = bytes(range(128))
LAST_OF_TWO: Final = bytes(range(1, 128))
NOT_LAST: Final = bytes(range(128, 256))

_new = tuple.__new__


def run_records(
    body: bytes, start: int, stop: int, count: int, base_offset: int, base_timestamp: int, kind: RecordKind = USER
) -> tuple[list[Any], int]:
    """As many of the first records in body[start:stop] as runs hold, with dense offsets, and the offset behind them.

    Raises DecodeError or IndexError for bytes that are no records.
    """
    records: list[Any] = []
    p = start
    first = 0
    while count - first >= RUN_LENGTH_MIN and first < len(DENSE_DELTAS):
        last = min(count, ONE_BYTE_DELTAS if first < ONE_BYTE_DELTAS else len(DENSE_DELTAS))
        layout = _layout(body, p, len(DENSE_DELTAS[first]))
        length = _run_length(body, p, stop, layout, first, last) if layout else 0
        if layout is None or length < min(RUN_LENGTH_MIN, last - first):
            break
        behind = p + layout.size * length
        offsets = range(base_offset + first, base_offset + first + length)
        records += _cut(body, p, layout, offsets, base_timestamp, kind)
        first += length
        p = behind
    return records, p


class _Layout(NamedTuple):
    """Where the parts of a record are, in bytes from its start. key_size -1: the key is null."""

    size: int
    delta_at: int
    delta_size: int
    offset_size: int
    key_at: int
    key_size: int
    value_at: int
    value_size: int


def _layout(body: bytes, start: int, offset_size: int) -> _Layout | None:
    """The layout of the record at `start`; None for one that no run takes: with headers, or a null value."""
    length, p = read_unsigned_varint(body, start)
    size = p - start + (length >> 1)
    delta_at = p + 1 - start
    _, p = read_unsigned_varint(body, p + 1, bits=64)
    delta_size = p - start - delta_at
    key_length, p = read_unsigned_varint(body, p + offset_size)
    key_at = p - start
    key_size = -1 if key_length == 1 else key_length >> 1
    value_length, p = read_unsigned_varint(body, p + max(key_size, 0))
    value_at = p - start
    value_size = value_length >> 1
    odd = length & 1 or value_length & 1 or (key_length & 1 and key_length != 1)
    if odd or delta_size > 2 or value_at + value_size + 1 != size or body[start + size - 1]:
        return None
    return _Layout(size, delta_at, delta_size, offset_size, key_at, key_size, value_at, value_size)


def _run_length(body: bytes, start: int, stop: int, layout: _Layout, first: int, last: int) -> int:
    """How many records from `start` on, which are numbers `first` to `last`, share the layout."""
    size, delta_at, delta_size, offset_size, key_at, key_size, value_at, _ = layout
    length = min(last - first, (stop - start) // size)
    offset_at = delta_at + delta_size
    allowed = dict.fromkeys((*range(delta_at), *range(offset_at + offset_size, key_at)), b"")
    allowed |= dict.fromkeys((*range(key_at + max(key_size, 0), value_at), size - 1), b"")
    allowed |= {delta_at: LAST} if delta_size == 1 else {delta_at: NOT_LAST, delta_at + 1: LAST_OF_TWO}
    for at, values in allowed.items():
        column = body[start + at : start + size * length : size]
        length = len(column) - len(column.lstrip(values or column[:1]))
        if length < RUN_LENGTH_MIN:
            return length
    columns = ((offset_at, LOW_BYTES), (offset_at + 1, HIGH_BYTES))[:offset_size]
    for at, dense in columns:
        column = body[start + at : start + size * length : size]
        if column != dense[first : first + length]:
            pairs = zip(column, dense[first : first + length], strict=True)
            length = next(index for index, (found, expected) in enumerate(pairs) if found != expected)
    return length


def _cut(body: bytes, start: int, layout: _Layout, offsets: range, base_timestamp: int, kind: RecordKind) -> list[Any]:
    size, delta_at, delta_size, _, key_at, key_size, value_at, value_size = layout
    run = memoryview(body)[start : start + size * len(offsets)]
    deltas: bytes | list[int] = bytes(run[delta_at::size])
    if delta_size == 2:
        deltas = [low + (high << 7) - 128 for low, high in zip(deltas, run[delta_at + 1 :: size], strict=True)]
    timestamps = [base_timestamp + UNZIGZAG[delta] for delta in deltas]
    key_width = max(key_size, 0)
    parts = Struct(f"{key_at}x{key_width}s{value_at - key_at - key_width}x{value_size}sx").iter_unpack(run)
    if key_size < 0:
        parts = ((None, value) for _, value in parts)
    record_type, no_headers, _ = kind
    return [
        _new(record_type, (offset, timestamp, key, value, no_headers))
        for offset, timestamp, (key, value) in zip(offsets, timestamps, parts, strict=True)
    ]
