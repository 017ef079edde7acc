"""A batch as an idempotent producer sent it, and what is known of its fate.

Layer: tools. Sequence numbers are those of KIP-98: 0 to 2**31 - 1, then 0 again.
Source: KIP-98; org.apache.kafka.common.record.DefaultRecordBatch.incrementSequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from kproto.wire import ErrorCode
from kproto.wire.records import RECORD_BATCH_OVERHEAD, RecordBatch

__all__ = ["Fate", "SentBatch", "after", "distance", "fate_of"]

SEQUENCES: Final = 2**31
WRITTEN_BEFORE: Final = frozenset({ErrorCode.NONE, ErrorCode.DUPLICATE_SEQUENCE_NUMBER})
PERHAPS_WRITTEN: Final = frozenset(
    {
        ErrorCode.UNKNOWN_SERVER_ERROR,
        ErrorCode.REQUEST_TIMED_OUT,
        ErrorCode.NETWORK_EXCEPTION,
        ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        ErrorCode.KAFKA_STORAGE_ERROR,
    }
)


class Fate(Enum):
    """What became of a batch. OPEN: an answer is due; LOST: none comes, so that it may be written or not.

    TAKEN: its own answer was lost, but a later batch was acknowledged. Its producer may well send it again.
    """

    OPEN = "unanswered"
    LOST = "answer lost"
    TAKEN = "taken, as a later one was acknowledged"
    WRITTEN = "acknowledged"
    REFUSED = "refused"


def fate_of(error: int) -> Fate:
    """What the error code of a partition's answer says about the batch."""
    if error in WRITTEN_BEFORE:
        return Fate.WRITTEN
    return Fate.LOST if error in PERHAPS_WRITTEN else Fate.REFUSED


def after(sequence: int, count: int) -> int:
    """The sequence `count` records later."""
    return (sequence + count) % SEQUENCES


def distance(earlier: int, later: int) -> int:
    """Records from one sequence to another that is less than 2**30 away; negative where it goes back."""
    steps = (later - earlier) % SEQUENCES
    return steps - SEQUENCES if steps >= SEQUENCES // 2 else steps


@dataclass(slots=True)
class SentBatch:
    """One attempt. bytes_id: equal for equal bytes; body_id: for equal records, whatever identity is in the header.

    frame, conn, broker: of the request; attempts: so far, with this one.
    """

    epoch: int
    base: int
    count: int
    bytes_id: tuple[int, int]
    body_id: tuple[int, int, int, int]
    frame: int
    conn: int
    broker: str
    fate: Fate = Fate.OPEN
    error: int = 0
    attempts: int = 1

    @classmethod
    def of(cls, batch: RecordBatch, body_crc: int, frame: int, conn: int, broker: str) -> SentBatch:
        """Of a batch of which the checksum matches. body_crc: of what follows the header."""
        body = (batch.base_timestamp, batch.max_timestamp, batch.size - RECORD_BATCH_OVERHEAD, body_crc)
        sequence = (batch.producer_epoch, batch.base_sequence, batch.count)
        return cls(*sequence, (batch.crc, batch.size), body, frame, conn, broker)

    @property
    def behind(self) -> int:
        """The sequence that follows."""
        return after(self.base, self.count)

    def overlaps(self, other: SentBatch) -> bool:
        """Whether a sequence is in both."""
        start = distance(self.base, other.base)
        return -other.count < start < self.count

    def __str__(self) -> str:
        last = after(self.base, max(self.count, 1) - 1)
        return f"{self.base}{'' if last == self.base else f'-{last}'} (frame {self.frame})"
