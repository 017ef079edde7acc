"""Record batches out of the segments of Kafka's log: the `.log` files in a broker's folders.

Layer: tools. Batches of all magics are passed on as they are. Memory: one batch.
Source: org.apache.kafka.common.record.FileRecords, Records (offset and size before each batch).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final, NamedTuple

from kproto.tools.decode.byte_reader import ByteReader
from kproto.tools.decode.model import Finding
from kproto.wire import FRAME_SIZE_MAX
from kproto.wire.records.crc import crc32c

__all__ = ["RawBatch", "is_segment", "read_segment"]

LOG_OVERHEAD: Final = Struct(">qi")
MAGIC_AT: Final = 16
LEGACY_SIZE_MIN: Final = 14
SIZE_MIN: Final = 49  # of a batch without records, behind its size
SNIFFED_MAX: Final = 64 * 1024


class RawBatch(NamedTuple):
    """A batch with its offset and size, as it stands in the file. position: where it does."""

    position: int
    base_offset: int
    data: bytes


def is_segment(begin: bytes) -> bool:
    """Whether a file that begins so is a segment: whether its first batch is one, by its checksum if all is here."""
    if len(begin) <= MAGIC_AT:
        return False
    base_offset, size = LOG_OVERHEAD.unpack_from(begin)
    magic = begin[MAGIC_AT]
    if base_offset < 0 or magic > 2 or not (SIZE_MIN if magic == 2 else LEGACY_SIZE_MIN) <= size <= FRAME_SIZE_MAX:
        return False
    batch = begin[: LOG_OVERHEAD.size + size]
    if len(batch) < LOG_OVERHEAD.size + size:
        return len(begin) >= SNIFFED_MAX
    if magic == 2:
        return int.from_bytes(batch[17:21], "big") == crc32c(batch[21:])
    return int.from_bytes(batch[12:16], "big") == zlib.crc32(batch[16:])


def read_segment(reader: ByteReader, report: Callable[[Finding], None]) -> Iterator[RawBatch]:
    """The batches, in the order of the file; zeros behind the last, which brokers reserve, are its end.

    report: told what is damaged or cut, where reading ends. Checksums are not looked at.
    """
    while reader.need(LOG_OVERHEAD.size):
        position = reader.offset
        base_offset, size = LOG_OVERHEAD.unpack_from(reader.data, reader.at)
        if base_offset == size == 0:
            return
        if not LEGACY_SIZE_MIN <= size <= FRAME_SIZE_MAX:
            text = f"a batch of {size:,} bytes at byte {position:,}: the rest of the segment is not read"
            report(Finding("segment-damaged", text, offset=position))
            return
        stop = LOG_OVERHEAD.size + size
        if not reader.need(stop):
            break
        yield RawBatch(position, base_offset, reader.data[reader.at : reader.at + stop])
        reader.at += stop
    if reader.left:
        text = f"the segment ends at byte {reader.offset:,} within a batch: it was cut"
        report(Finding("segment-cut", text, offset=reader.offset))
