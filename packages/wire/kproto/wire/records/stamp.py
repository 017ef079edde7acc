"""The header of a record batch: packed in front of its records, or changed for another producer.

Layer: wire. Knows no record.
Source: KIP-98; org.apache.kafka.common.record.DefaultRecordBatch.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from kproto.wire.errors import DecodeError, EncodeError
from kproto.wire.records.crc import crc32c
from kproto.wire.records.model import RECORD_BATCH_OVERHEAD

__all__ = ["HEADER_GAP", "check_stamp", "pack_header", "restamp"]

LENGTH_BEHIND: Final = 12  # the length field does not count the offset and itself
# base offset, length, leader epoch, magic, crc; attributes, last offset delta, base and max timestamp, producer id,
# epoch, base sequence, count
HEADER: Final = Struct(">qiibIhiqqqhii")
COVERED_AT: Final = 21  # from here on the checksum counts
STAMP: Final = Struct(">qhi")  # producer id, epoch, base sequence
STAMP_AT: Final = COVERED_AT + 22
CRC: Final = Struct(">I")
CRC_AT: Final = 17
HEADER_GAP: Final = bytes(RECORD_BATCH_OVERHEAD)
"""What keeps its place until it is packed."""
assert HEADER.size == RECORD_BATCH_OVERHEAD


def pack_header(
    data: bytearray,
    attributes: int,
    count: int,
    base_timestamp: int,
    max_timestamp: int,
    producer_id: int,
    producer_epoch: int,
    base_sequence: int,
) -> None:
    """Pack the header into the gap in front of the records: base offset 0, partition leader epoch -1."""
    HEADER.pack_into(
        data,
        0,
        0,
        len(data) - LENGTH_BEHIND,
        -1,
        2,
        0,
        attributes,
        count - 1,
        base_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        count,
    )
    with memoryview(data) as view:
        CRC.pack_into(data, CRC_AT, crc32c(view[COVERED_AT:]))


def check_stamp(producer_id: int, producer_epoch: int, base_sequence: int) -> None:
    """Raises EncodeError unless all three are there, or none: a broker takes nothing in between."""
    bounds = (
        (producer_id, 63, "producer_id"),
        (producer_epoch, 15, "producer_epoch"),
        (base_sequence, 31, "base_sequence"),
    )
    for value, bits, name in bounds:
        if not -1 <= value < 2**bits:
            raise EncodeError(f"RecordBatch {name}", value, f"lies between -1 and 2**{bits} - 1")
        if (value >= 0) != (producer_id >= 0):
            raise EncodeError(f"RecordBatch {name}", value, "producer id, epoch and sequence come together")


def restamp(batch: bytes | bytearray, producer_id: int, producer_epoch: int, base_sequence: int) -> bytes:
    """A copy of a built batch under another producer id, epoch and sequence; the checksum is made anew.

    Raises EncodeError as `build`, DecodeError for bytes that are no v2 batch.
    """
    check_stamp(producer_id, producer_epoch, base_sequence)
    if len(batch) < RECORD_BATCH_OVERHEAD or batch[16] != 2:
        raise DecodeError("RecordBatch", 16, "a batch of magic 2", f"{len(batch)} bytes of something else")
    stamped = bytearray(batch)
    STAMP.pack_into(stamped, STAMP_AT, producer_id, producer_epoch, base_sequence)
    CRC.pack_into(stamped, CRC_AT, crc32c(memoryview(stamped)[COVERED_AT:]))
    return bytes(stamped)
