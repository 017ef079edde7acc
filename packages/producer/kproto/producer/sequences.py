"""What was sent to one partition and is not known to be written: sequence numbers, order, and what may go next.

Layer: producer. A core. The broker takes a batch only behind the one with the sequence number before it, and knows its
last five batches again. All that a producer promises rests on two rules kept here:

- a batch is sent again under the identity and sequence that it had, for as long as an attempt may have written it;
- it gets others (a restart, under a later epoch) only when all that is to be renumbered is certainly not written.

So when a batch is given up with an open outcome, those behind it tell: if one of them is taken, it was written, too; if
the first of them is refused as out of order, neither it nor anything behind it was.
Source: KIP-98, KIP-360; org.apache.kafka.clients.producer.internals.TransactionManager, TxnPartitionEntry;
org.apache.kafka.storage.internals.log.ProducerStateEntry (five batches). IDEM-6 to IDEM-19. Here without its hole: Java
renumbers batches whose outcome is open.
"""

from __future__ import annotations

from typing import Final

from kproto.producer.batch import ProducerBatch
from kproto.producer.events import HeldReason
from kproto.producer.producer_id import NO_IDENTITY, ProducerIdAndEpoch
from kproto.wire.records import NO_SEQUENCE

__all__ = ["IN_FLIGHT_MAX", "SEQUENCE_MAX", "PartitionSequences", "increment_sequence", "sequence_distance"]

SEQUENCE_MAX: Final = 2**31 - 1
SEQUENCES: Final = 2**31
IN_FLIGHT_MAX: Final = 5  # batches of a producer that a partition's leader knows again


def increment_sequence(sequence: int, count: int) -> int:
    """The sequence number `count` records later: after 2**31 - 1 comes 0.

    >>> increment_sequence(2**31 - 1, 100)
    99
    """
    return (sequence + count) % SEQUENCES


def sequence_distance(earlier: int, later: int) -> int:
    """How many records lie between two sequence numbers less than 2**30 apart; negative where the order is reversed."""
    distance = (later - earlier) % SEQUENCES
    return distance - SEQUENCES if distance >= SEQUENCES // 2 else distance


class PartitionSequences:
    """See the module. identity: under which the numbers count. Not thread-safe: the sender's.

    Without idempotence batches have no numbers, and only what is in flight is kept.
    """

    __slots__ = (
        "acknowledged",
        "identity",
        "in_flight",
        "lost_before",
        "next_sequence",
        "sent",
    )

    def __init__(self) -> None:
        self.identity = NO_IDENTITY
        self.next_sequence = 0
        self.acknowledged = False
        """Whether the broker has taken a batch under this identity: it takes any first one (KAFKA-15591)."""
        self.sent: list[ProducerBatch] = []
        """Numbered batches that may still be delivered, in order: in flight, or waiting for another attempt."""
        self.in_flight: list[ProducerBatch] = []
        """Batches in unanswered requests, given up or not, in the order in which they were sent."""
        self.lost_before: int | None = None
        """The number behind the last batch that was given up: no new numbers until it is known whether it was written.
        None where nothing is unresolved."""

    # What may go

    def gate(self, head: ProducerBatch, node_id: int, current: ProducerIdAndEpoch) -> HeldReason | None:
        """Why the first batch of the queue may not go to this node now; None where it may."""
        flying = self.in_flight
        if flying:
            if any(batch.node_id != node_id for batch in flying):
                return HeldReason.OLD_LEADER
            if len(flying) >= IN_FLIGHT_MAX:
                return HeldReason.IN_FLIGHT_LIMIT
            if not self.acknowledged:
                return HeldReason.FIRST_ACKNOWLEDGEMENT
        if head.sequence != NO_SEQUENCE:
            return self._gate_retry(head)
        if self.lost_before is not None:
            return HeldReason.UNRESOLVED
        if self.identity != current and self.sent:
            return HeldReason.OLD_EPOCH
        if current == NO_IDENTITY:
            return HeldReason.NO_PRODUCER_ID
        return None

    def _gate_retry(self, head: ProducerBatch) -> HeldReason | None:
        """One at a time, the first of all: those behind it would only be refused. While something is lost, only a
        batch that may be written goes out, to find that out; the others wait for their new numbers."""
        if self.sent[0] is not head:
            return HeldReason.EARLIER_RETRY
        if self.lost_before is not None and not head.open_outcome:
            return HeldReason.UNRESOLVED
        return None

    @property
    def restartable(self) -> bool:
        """Whether something was lost, and all that is to be renumbered is certainly not written.

        Where the first of it is not, nothing behind it can be: the broker takes them in order.
        """
        if self.lost_before is None or self.in_flight:
            return False
        return not (self.sent and self.sent[0].open_outcome)

    def restart(self, current: ProducerIdAndEpoch) -> None:
        """Renumber from 0 under an identity that the partition has not seen. Only when `restartable`."""
        assert self.restartable and current not in (self.identity, NO_IDENTITY)
        self._adopt(current)
        for batch in self.sent:
            batch.open_outcome = False
            batch.stamp(current, self.next_sequence)
            self.next_sequence = increment_sequence(self.next_sequence, batch.count)

    def stamp(self, batch: ProducerBatch, current: ProducerIdAndEpoch) -> None:
        """Number a batch that `gate` has let through, and take note that it goes out. A retry keeps its number."""
        if batch.sequence == NO_SEQUENCE and current != NO_IDENTITY:
            if self.identity != current:
                self._adopt(current)
            batch.stamp(current, self.next_sequence)
            self.next_sequence = increment_sequence(self.next_sequence, batch.count)
            self.sent.append(batch)
        self.in_flight.append(batch)

    def _adopt(self, current: ProducerIdAndEpoch) -> None:
        self.identity = current
        self.next_sequence = 0
        self.acknowledged = False
        self.lost_before = None

    def forget_acknowledgement(self) -> None:
        """The partition's log is another one, for its topic was created again: send one batch alone first."""
        self.acknowledged = False

    # What came back

    def answered(self, batch: ProducerBatch) -> None:
        """Its request has ended, however it did. First of all, before any of the below."""
        batch.in_flight = False
        self.in_flight.remove(batch)

    def acked(self, batch: ProducerBatch) -> None:
        """It is written, and so is everything before it under the same identity."""
        if batch.sequence == NO_SEQUENCE:
            return
        self._forget(batch)
        if batch.identity != self.identity:
            return  # renumbered meanwhile: what is known of the old numbers matters no more
        self.acknowledged = True
        end = increment_sequence(batch.sequence, batch.count)
        if self.lost_before is not None and sequence_distance(self.lost_before, end) >= 0:
            self.lost_before = None

    def given_up(self, batch: ProducerBatch) -> None:
        """It will not be sent again, and is not known to be written."""
        if batch.sequence == NO_SEQUENCE:
            return
        self._forget(batch)
        self._lose(increment_sequence(batch.sequence, batch.count))

    def out_of_order(self, batch: ProducerBatch) -> None:
        """The broker misses what comes before it: it was not written by this attempt, nor by an earlier one, for those
        the broker would know again.

        Where nothing before it is to be sent again, what the broker misses does not come any more: numbers begin anew.
        """
        batch.open_outcome = False
        if self.sent[0] is batch:
            self._lose(batch.sequence)

    def forgotten(self, batch: ProducerBatch) -> None:
        """The broker no longer knows the producer, so it takes no number but 0: numbers begin anew (IDEM-11)."""
        self._lose(batch.sequence)

    def replace(self, batch: ProducerBatch, parts: list[ProducerBatch]) -> None:
        """It was not written, being too large: its parts take its numbers, in order (SPLIT-3)."""
        if batch.sequence == NO_SEQUENCE:
            return
        sequence = batch.sequence
        for part in parts:
            part.stamp(batch.identity, sequence)
            sequence = increment_sequence(sequence, part.count)
        at = self.sent.index(batch)
        self.sent[at : at + 1] = parts

    def _forget(self, batch: ProducerBatch) -> None:
        if batch in self.sent:
            self.sent.remove(batch)

    def _lose(self, before: int) -> None:
        if self.lost_before is None or sequence_distance(self.lost_before, before) > 0:
            self.lost_before = before

    def __repr__(self) -> str:
        lost = "" if self.lost_before is None else f", lost before {self.lost_before}"
        flying = len(self.in_flight)
        return f"<PartitionSequences next {self.next_sequence}, {len(self.sent)} sent, {flying} in flight{lost}>"
