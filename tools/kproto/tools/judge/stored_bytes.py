"""A batch's bytes as a broker keeps them: at its offset, under its leader's epoch, with the timestamps that count.

Layer: tools.
Source: org.apache.kafka.storage.internals.log.LogValidator.assignOffsetsNonCompressed and
validateMessagesAndAssignOffsetsCompressed, which write into the header in place; DefaultRecordBatch.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from kproto.wire.records.crc import crc32c

__all__ = ["stored_bytes"]

INT16: Final = Struct(">h")
INT32: Final = Struct(">i")
INT64: Final = Struct(">q")
CRC: Final = Struct(">I")
LEADER_EPOCH_AT: Final = 12
CRC_AT: Final = 17
COVERED_AT: Final = 21  # from the attributes on
MAX_TIMESTAMP_AT: Final = 35
LOG_APPEND_TIME: Final = 0x08


def stored_bytes(data: bytes, base_offset: int, leader_epoch: int, latest_ms: int, *, by_broker: bool) -> bytes:
    """A valid batch of magic 2, as it stands in the log. latest_ms: the greatest timestamp, since the epoch.

    by_broker: whether it is the broker's (LogAppendTime). The checksum changes only if the covered bytes do.
    """
    kept = bytearray(data)
    INT64.pack_into(kept, 0, base_offset)
    INT32.pack_into(kept, LEADER_EPOCH_AT, leader_epoch)
    if by_broker:
        (attributes,) = INT16.unpack_from(kept, COVERED_AT)
        INT16.pack_into(kept, COVERED_AT, attributes | LOG_APPEND_TIME)
    # Also with CreateTime: a producer may have said another greatest timestamp than its records have.
    INT64.pack_into(kept, MAX_TIMESTAMP_AT, latest_ms)
    if kept[COVERED_AT:] != data[COVERED_AT:]:
        with memoryview(kept) as view:
            CRC.pack_into(kept, CRC_AT, crc32c(view[COVERED_AT:]))
    return bytes(kept)
