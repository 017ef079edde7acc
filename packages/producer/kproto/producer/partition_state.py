"""What the sender knows of one partition: its queue, its sequences, its lane, and when to look at it again.

Layer: producer. The sender's own: only whoever is inside the driver's guard touches it.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from kproto.client import TopicPartition
from kproto.producer.batch import ProducerBatch
from kproto.producer.events import HeldReason
from kproto.producer.queues import PartitionQueue
from kproto.producer.sequences import PartitionSequences

__all__ = ["NO_LEADER", "Lane", "PartitionState"]

NO_LEADER: Final = -1
"""The lane of partitions without a leader."""


class PartitionState:
    """See the module. held: why its head was last held."""

    __slots__ = ("held", "lane", "leader_epoch", "queue", "sequences", "topic_id", "wakes_ms")

    def __init__(self, queue: PartitionQueue) -> None:
        self.queue = queue
        self.sequences = PartitionSequences()
        self.lane: Lane | None = None
        self.leader_epoch = -1
        self.topic_id: UUID | None = None
        self.wakes_ms: list[int] = []
        """When to look again, the next time last: each is a timer that runs."""
        self.held: tuple[int, HeldReason] | None = None

    @property
    def partition(self) -> TopicPartition:
        """Topic and number."""
        return self.queue.partition

    def sent(self) -> list[ProducerBatch]:
        """Batches that were sent and have not ended, in order; some of them are in the queue again."""
        found = dict.fromkeys((*self.sequences.sent, *self.sequences.in_flight))
        return [batch for batch in found if not batch.done and not batch.parts]

    def __repr__(self) -> str:
        return f"<PartitionState {self.partition}: {len(self.queue.batches)} queued, {self.sequences!r}>"


class Lane:
    """The partitions that one node leads and that have something queued.

    listed: all of them, in the order in which they have their turn; due: those with a batch that may leave.
    """

    __slots__ = ("blocked_since_ms", "due", "listed", "node_id")

    def __init__(self, node_id: int) -> None:
        self.node_id = node_id
        self.listed: dict[PartitionState, None] = {}
        self.due: dict[PartitionState, None] = {}
        self.blocked_since_ms: int | None = None
        """Since when the node could take nothing, though something was due; None where it can."""

    def leave(self, state: PartitionState) -> None:
        """The partition has nothing queued any more, or another leader."""
        self.listed.pop(state, None)
        self.due.pop(state, None)
        state.lane = None

    def to_the_end(self, state: PartitionState) -> None:
        """It has had its turn."""
        if self.listed.pop(state, state) is None:
            self.listed[state] = None
