"""How many bytes a record takes, known before it is encoded.

Layer: producer.
Source: org.apache.kafka.common.record.AbstractRecords.estimateSizeInBytesUpperBound (SIZE-1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kproto.wire.records.builder import ZIGZAG_PLUS_SIZE
from kproto.wire.varint import varint_size

__all__ = ["RECORD_OVERHEAD_MAX", "record_size_bound"]

RECORD_OVERHEAD_MAX: Final = 21  # length, attributes, and both deltas, at their longest


def record_size_bound(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] = ()) -> int:
    """Bytes that a record takes at most, without compression and without the batch's header (SIZE-1)."""
    size = RECORD_OVERHEAD_MAX + _sized(key) + _sized(value)
    if not headers:
        return size + 1
    for name, data in headers:
        size += _sized(name.encode("utf-8", "surrogatepass")) + _sized(data)
    return size + varint_size(len(headers))


def _sized(data: bytes | None) -> int:
    if data is None:
        return 1
    size = len(data)
    return ZIGZAG_PLUS_SIZE[size] if size < len(ZIGZAG_PLUS_SIZE) else varint_size(size) + size
