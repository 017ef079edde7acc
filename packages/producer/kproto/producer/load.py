"""Tells the sticky partitioners how long the queues are, so that they prefer short ones.

Layer: producer. A core, part of the sender's side.
Source: KIP-794; org.apache.kafka.clients.producer.internals.RecordAccumulator.updatePartitionStats (PART-13, PART-14).
Here a broker that is not ready for too long is left out with all its partitions, also those with nothing queued.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from kproto.client import Cluster
from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.config import ProducerConfig
from kproto.producer.lanes import Lanes
from kproto.producer.partition_state import NO_LEADER
from kproto.producer.queues import TopicQueues

__all__ = ["LoadReport"]

INTERVAL_MS: Final = 10  # between reports: one takes 90 us for a topic of 1,000 partitions, if anything is queued


class LoadReport:
    """See the module. Not thread-safe: inside the driver's guard."""

    def __init__(self, config: ProducerConfig, accumulator: RecordAccumulator, lanes: Lanes) -> None:
        self._adaptive = config.partitioner_adaptive_partitioning_enable
        self._availability_ms = config.partitioner_availability_timeout_ms
        self._accumulator = accumulator
        self._lanes = lanes
        self._next_ms = 0
        self._busy: set[str] = set()  # topics with something queued, as of the last report
        self._cluster: Cluster | None = None
        self._shunned: frozenset[int] = frozenset()

    def update(self, now_ms: int) -> None:
        """Report on the topics with records without a key for which anything has changed, if it is time."""
        if not self._adaptive or now_ms < self._next_ms:
            return
        self._next_ms = now_ms + INTERVAL_MS
        for name in self._changed(now_ms):
            topic = self._accumulator.topics[name]
            partitions = topic.choices.partitions
            if topic.sticky.current is None or len(partitions) < 2:
                continue
            lengths = self._lengths(topic) if all(number in topic.partitions for number in partitions) else None
            with self._accumulator.lock:
                topic.sticky.update_load(lengths, len(partitions), topic.choices.local)

    def _changed(self, now_ms: int) -> Collection[str]:
        """Of thousands of topics most are idle, and those need no report."""
        before, self._busy = self._busy, self._busy_now()
        cluster, shunned = self._lanes.cluster, self._shunned_at(now_ms)
        if cluster is self._cluster and shunned == self._shunned:
            return before | self._busy
        self._cluster, self._shunned = cluster, shunned
        return [*self._accumulator.topics]

    def _busy_now(self) -> set[str]:
        return {state.partition.topic for lane in self._lanes.lanes.values() for state in lane.listed}

    def _lengths(self, topic: TopicQueues) -> dict[int, int]:
        """Batches queued, without the partitions that are to be avoided."""
        lengths = {}
        for number in topic.choices.available:
            queue = topic.partitions[number]
            leader = self._lanes.cluster.leader_for(queue.partition)
            if leader is not None and leader.node_id not in self._shunned:
                lengths[number] = len(queue.batches)
        return lengths

    def _shunned_at(self, now_ms: int) -> frozenset[int]:
        if not self._availability_ms:
            return frozenset()
        return frozenset(
            lane.node_id
            for lane in self._lanes.lanes.values()
            if lane.node_id != NO_LEADER
            and lane.blocked_since_ms is not None
            and now_ms - lane.blocked_since_ms > self._availability_ms
        )
