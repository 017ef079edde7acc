"""Which partition records without a key go to: one at a time, until about a batch's worth of bytes is there.

Layer: producer. One StickyPartitioner per topic; it draws from the rng that it is given, and knows no cluster.
Source: KIP-480, KIP-794, KIP-1123; org.apache.kafka.clients.producer.internals.BuiltInPartitioner.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import NamedTuple

__all__ = ["PartitionLoad", "StickyPartitioner", "partition_load"]


class PartitionLoad(NamedTuple):
    """Partitions and the running sum of their weights: a draw below the last sum is for the first sum above it."""

    partitions: tuple[int, ...]
    sums: tuple[int, ...]

    def partition_at(self, drawn: int) -> int:
        """drawn: from 0 up to, not including, the last sum."""
        return self.partitions[bisect_right(self.sums, drawn)]


def partition_load(
    queue_lengths: Mapping[int, int], partition_count: int, local: Iterable[int] = ()
) -> PartitionLoad | None:
    """The weights, which fall as queues grow; None where chance should be equal for all.

    queue_lengths: batches queued, by partition, without those that are to be avoided; partition_count: of the topic,
    with those; local: partitions to which the choice is confined while any of them is among queue_lengths.
    A weight is the longest queue's length + 1 - the partition's own, so that none is ever 0.
    """
    complete = len(queue_lengths) >= partition_count
    if not queue_lengths or (complete and len(set(queue_lengths.values())) == 1):
        return None
    lengths = {number: queue_lengths[number] for number in local if number in queue_lengths} or queue_lengths
    top = max(lengths.values()) + 1
    return PartitionLoad(tuple(lengths), tuple(accumulate(top - length for length in lengths.values())))


class StickyPartitioner:
    """The current partition of one topic, for records without a key.

    batch_size: bytes after which to move on; 0 counts as 1. rng: where chance comes from; only its `random` is called,
    once for each choice. candidates, of each call: the partitions to choose from, at least one:
    `PartitionChoices.candidates`.

    Not thread-safe: every call is made under the lock that guards the topic's batches, so that the partition cannot
    change between the look at it and the append.
    """

    __slots__ = ("_load", "_rng", "current", "produced_bytes", "sticky_batch_size")

    def __init__(self, *, batch_size: int, rng: Random) -> None:
        self.sticky_batch_size = max(1, batch_size)
        self.current: int | None = None
        """The choice; None before the first one."""
        self.produced_bytes = 0
        """Appended since the choice."""
        self._rng = rng
        self._load: PartitionLoad | None = None

    def partition(self, candidates: Sequence[int]) -> int:
        """The current partition, chosen now where there is none."""
        current = self.current
        return self._choose(candidates) if current is None else current

    def produced(self, size: int, candidates: Sequence[int], *, all_full: bool) -> bool:
        """Count what was appended to the current partition, and choose anew once that is enough; whether it was.

        size: bytes by which the batches of the partition grew, the header of a new batch included. 0, before an append
        that finds all batches full, makes up for a choice that was put off.
        all_full: whether no batch of the partition takes more. While one does, the choice waits, so that no half-filled
        batch is left behind; but for two batch sizes at most, for records with keys may open batches all the time.
        """
        self.produced_bytes += size
        if self.produced_bytes < (self.sticky_batch_size if all_full else 2 * self.sticky_batch_size):
            return False
        self._choose(candidates)
        return True

    def update_load(
        self, queue_lengths: Mapping[int, int] | None, partition_count: int, local: Iterable[int] = ()
    ) -> None:
        """Let later choices prefer short queues, as `partition_load` says; None for equal chances again.

        The caller leaves out what has no leader, or a leader that has not been ready for too long; and gives None until
        every partition of the topic has had a batch, for to prefer those without would be to start them all at once.
        """
        self._load = None if queue_lengths is None else partition_load(queue_lengths, partition_count, local)

    def forget(self) -> None:
        """Choose anew at the next call: the topic was made again, with fewer partitions."""
        self.current = self._load = None

    def _choose(self, candidates: Sequence[int]) -> int:
        load = self._load
        drawn = self._rng.random()
        self.produced_bytes = 0
        if load is None:
            chosen = candidates[int(drawn * len(candidates))]
        else:
            chosen = load.partition_at(int(drawn * load.sums[-1]))
        self.current = chosen
        return chosen
