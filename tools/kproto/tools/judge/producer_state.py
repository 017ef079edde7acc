"""What a partition remembers of each producer id: its epoch, and its last five batches.

Layer: tools. Knows sequences and offsets; knows no records.
Source: org.apache.kafka.storage.internals.log.ProducerStateEntry, ProducerAppendInfo, ProducerStateManager; KIP-98.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NamedTuple

from kproto.wire import ErrorCode

__all__ = ["RETAINED_BATCHES", "BatchMetadata", "FirstSequence", "ProducerStates", "Stamp", "next_sequence"]

RETAINED_BATCHES: Final = 5  # ProducerStateEntry.NUM_BATCHES_TO_RETAIN
SEQUENCES: Final = 2**31


def next_sequence(sequence: int, count: int = 1) -> int:
    """The sequence so many records later; 0 comes behind 2**31 - 1 (DefaultRecordBatch.incrementSequence)."""
    return (sequence + count) % SEQUENCES


class FirstSequence(Enum):
    """What a partition does with a first sequence other than 0, from a producer id that it knows nothing of."""

    ANY = auto()
    """Takes it: the broker may have forgotten the producer (ProducerAppendInfo.checkSequence)."""
    ZERO = auto()
    """OUT_OF_ORDER_SEQUENCE_NUMBER: stricter than a broker, to find producers that lean on its leniency."""
    ZERO_WHERE_EMPTY = auto()
    """OUT_OF_ORDER_SEQUENCE_NUMBER, but only where nothing was ever appended: no retention can have forgotten there
    (KAFKA-15591)."""
    UNKNOWN_PRODUCER_ID = auto()
    """UNKNOWN_PRODUCER_ID, as brokers before 2.5 (KIP-360)."""


class Stamp(NamedTuple):
    """How a batch is numbered: by its producer, in its epoch, from its first to its last record."""

    producer_id: int
    producer_epoch: int
    first_sequence: int
    last_sequence: int


class BatchMetadata(NamedTuple):
    """A batch that is remembered. timestamp: its greatest, in ms since the epoch."""

    first_sequence: int
    last_sequence: int
    base_offset: int
    timestamp: int


@dataclass(slots=True)
class _Entry:
    epoch: int
    batches: deque[BatchMetadata] = field(default_factory=lambda: deque(maxlen=RETAINED_BATCHES))


class ProducerStates:
    """Producer id -> what is remembered, of one partition.

    late_duplicate: the error for a batch that precedes the remembered ones: Kafka has answered 45 since 1.1, 46 before.
    expiration_ms: producer.id.expiration.ms; None: nothing is forgotten by itself.
    """

    def __init__(
        self,
        first_sequence: FirstSequence = FirstSequence.ANY,
        late_duplicate: int = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        expiration_ms: int | None = None,
    ) -> None:
        self.first_sequence = first_sequence
        self.late_duplicate = late_duplicate
        self.expiration_ms = expiration_ms
        self.empty = True
        """Whether nothing was ever appended here, by any producer."""
        self._entries: dict[int, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def duplicate_of(self, stamp: Stamp) -> BatchMetadata | None:
        """The remembered batch of the same epoch and sequences (ProducerStateEntry.findDuplicateBatch)."""
        entry = self._entries.get(stamp.producer_id)
        if entry is None or entry.epoch != stamp.producer_epoch:
            return None
        wanted = stamp[2:]
        return next((one for one in entry.batches if (one.first_sequence, one.last_sequence) == wanted), None)

    def error_of(self, stamp: Stamp) -> int:
        """Why the batch may not be appended, 0 where it may; to be asked once it is known to be no duplicate."""
        entry = self._entries.get(stamp.producer_id)
        if entry is None:
            return self._error_of_first(stamp)
        # ProducerAppendInfo.checkProducerEpoch, then checkSequence: a newer epoch has to begin with 0.
        if stamp.producer_epoch < entry.epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if stamp.producer_epoch > entry.epoch:
            return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER if stamp.first_sequence else 0
        last = entry.batches[-1].last_sequence
        if stamp.first_sequence == next_sequence(last):
            return 0
        behind = (last - stamp.last_sequence) % SEQUENCES < SEQUENCES // 2
        return self.late_duplicate if behind else ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER

    def _error_of_first(self, stamp: Stamp) -> int:
        policy = self.first_sequence
        lenient = policy is FirstSequence.ANY or (policy is FirstSequence.ZERO_WHERE_EMPTY and not self.empty)
        if stamp.first_sequence == 0 or lenient:
            return 0
        if policy is FirstSequence.UNKNOWN_PRODUCER_ID:
            return ErrorCode.UNKNOWN_PRODUCER_ID
        return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER

    def add(self, stamp: Stamp, base_offset: int, timestamp: int) -> None:
        """Remember a batch that was appended; a new epoch forgets those of the old one."""
        entry = self._entries.get(stamp.producer_id)
        if entry is None or entry.epoch != stamp.producer_epoch:
            entry = self._entries[stamp.producer_id] = _Entry(stamp.producer_epoch)
        entry.batches.append(BatchMetadata(stamp.first_sequence, stamp.last_sequence, base_offset, timestamp))

    def expire(self, wall_ms: int) -> None:
        """Forget who has sent nothing for expiration_ms.

        ProducerStateManager.isProducerExpired looks at the timestamps of the last batch, which the producer sets: who
        sends old records is forgotten early. Kafka looks every ten minutes, the judge before each append.
        """
        if self.expiration_ms is not None:
            limit_ms = wall_ms - self.expiration_ms
            old = [key for key, one in self._entries.items() if one.batches[-1].timestamp <= limit_ms]
            for producer_id in old:
                self.forget(producer_id)

    def forget(self, producer_id: int | None = None) -> None:
        """One producer, or all: as when producer.id.expiration.ms is over."""
        if producer_id is None:
            self._entries.clear()
        else:
            self._entries.pop(producer_id, None)
