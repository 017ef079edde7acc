"""What stands between the length of a record and its key: attributes, timestamp delta, offset delta; as tables.

Layer: wire. For those who append record after record of one millisecond: one look-up in place of three.
Source: org.apache.kafka.common.record.DefaultRecord.writeTo.
"""

from __future__ import annotations

from typing import Final

from kproto.wire.records.header_writer import NULL, ZIGZAG
from kproto.wire.varint import encode_varint, encode_varlong

__all__ = ["ENTRIES_MAX", "KEPT_DELTAS", "record_heads", "sized_bytes"]

KEPT_DELTAS: Final = 64  # ms: few batches stay open for longer
STEP: Final = 128  # entries that are made at a time: a new millisecond must cost next to nothing
STEP_OF_LATE: Final = 32  # of a table that is not kept
ENTRIES_MAX: Final = 8192  # of a table: who appends more finds none, and encodes

_tables: Final[list[list[bytes]]] = [[] for _ in range(KEPT_DELTAS)]  # by delta; they only grow


def record_heads(timestamp_delta: int, index: int) -> list[bytes] | dict[int, bytes]:
    """A table of these bytes, by the index of the record in its batch; it has the entry for `index`, and may end
    anywhere behind it. For a delta that few batches come to it begins there, too.

    timestamp_delta: ms, from 0; index: below ENTRIES_MAX, or the table has no entry for it. Thread-safe. Do not change
    it: others read it, too.
    """
    if timestamp_delta >= KEPT_DELTAS:
        entries = range(index, min(index + STEP_OF_LATE, ENTRIES_MAX))
        return dict(zip(entries, _entries(timestamp_delta, entries), strict=True))
    table = _tables[timestamp_delta]
    if len(table) <= index:
        start, end = len(table), min(index + STEP, ENTRIES_MAX)
        # Two threads may do so at once: they put the same bytes in the same places.
        table[start:end] = _entries(timestamp_delta, range(start, end))
    return table


def _entries(timestamp_delta: int, entries: range) -> list[bytes]:
    head = b"\0" + encode_varlong(timestamp_delta)
    return [head + (ZIGZAG[at] if at < len(ZIGZAG) else encode_varint(at)) for at in entries]


def sized_bytes(data: bytes | None) -> bytes:
    """A key as a record holds it: its length as a varint, -1 for None, and its bytes."""
    if data is None:
        return NULL
    size = len(data)
    return (ZIGZAG[size] if size < len(ZIGZAG) else encode_varint(size)) + data
