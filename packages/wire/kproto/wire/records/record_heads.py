"""What stands between the length of a record and its key: attributes, timestamp delta, offset delta; as tables.

Layer: wire. For those who append record after record of one millisecond: one look-up in place of three.
Source: org.apache.kafka.common.record.DefaultRecord.writeTo.
"""

from __future__ import annotations

from typing import Final

from kproto.wire.records.header_writer import NULL, ZIGZAG
from kproto.wire.varint import encode_varint, encode_varlong

__all__ = ["record_heads", "sized_bytes"]

KEPT_DELTAS: Final = 64  # ms: few batches stay open for longer
STEP: Final = 128  # entries that are made at a time: a new millisecond must cost next to nothing
ENTRIES_MAX: Final = 8192  # of a table: who appends more finds none, and encodes

_tables: Final[list[list[bytes]]] = [[] for _ in range(KEPT_DELTAS)]  # by delta; they only grow


def record_heads(timestamp_delta: int, index: int) -> list[bytes]:
    """A table of these bytes, by the index of the record in its batch; it may end anywhere behind `index`.

    timestamp_delta: ms, from 0. Thread-safe. Do not change it: others read it, too.
    """
    kept = timestamp_delta < KEPT_DELTAS
    table = _tables[timestamp_delta] if kept else []
    if len(table) > index:
        return table
    start = len(table) if kept else 0
    head = b"\0" + encode_varlong(timestamp_delta)
    end = min(index + STEP, ENTRIES_MAX)
    made = [head + (ZIGZAG[at] if at < len(ZIGZAG) else encode_varint(at)) for at in range(start, end)]
    if kept:
        table[start:end] = made  # two threads may do so at once: they put the same bytes in the same places
        return table
    return made


def sized_bytes(data: bytes | None) -> bytes:
    """A key as a record holds it: its length as a varint, -1 for None, and its bytes."""
    if data is None:
        return NULL
    size = len(data)
    return (ZIGZAG[size] if size < len(ZIGZAG) else encode_varint(size)) + data
