"""Tells the sticky partitioners how long the queues are, so that they prefer short ones.

Layer: producer. A core, part of the sender's side.
Source: KIP-794; org.apache.kafka.clients.producer.internals.RecordAccumulator.updatePartitionStats (PART-13, PART-14).
Here a broker that is not ready for too long is left out with all its partitions, also those with nothing queued.
"""

from __future__ import annotations

from typing import Final

from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.config import ProducerConfig
from kproto.producer.lanes import Lanes
from kproto.producer.partition_state import NO_LEADER
from kproto.producer.queues import TopicQueues

__all__ = ["LoadReport"]

INTERVAL_MS: Final = 10  # between reports: one takes 90 us for a topic of 1,000 partitions


class LoadReport:
    """See the module. Not thread-safe: inside the driver's guard."""

    def __init__(self, config: ProducerConfig, accumulator: RecordAccumulator, lanes: Lanes) -> None:
        self._adaptive = config.partitioner_adaptive_partitioning_enable
        self._availability_ms = config.partitioner_availability_timeout_ms
        self._accumulator = accumulator
        self._lanes = lanes
        self._next_ms = 0

    def update(self, now_ms: int) -> None:
        """Report on the topics with records without a key, if it is time."""
        if not self._adaptive or now_ms < self._next_ms:
            return
        self._next_ms = now_ms + INTERVAL_MS
        for topic in [*self._accumulator.topics.values()]:
            partitions = topic.choices.partitions
            if topic.sticky.current is None or len(partitions) < 2:
                continue
            lengths = self._lengths(topic, now_ms) if len(topic.partitions) >= len(partitions) else None
            with self._accumulator.lock:
                topic.sticky.update_load(lengths, len(partitions), topic.choices.local)

    def _lengths(self, topic: TopicQueues, now_ms: int) -> dict[int, int]:
        """Batches queued, without the partitions that are to be avoided."""
        shunned = self._shunned(now_ms)
        cluster = self._lanes.cluster
        lengths = {}
        for number in topic.choices.available:
            queue = topic.partitions[number]
            leader = cluster.leader_for(queue.partition)
            if leader is not None and leader.node_id not in shunned:
                lengths[number] = len(queue.batches)
        return lengths

    def _shunned(self, now_ms: int) -> set[int]:
        if not self._availability_ms:
            return set()
        return {
            lane.node_id
            for lane in self._lanes.lanes.values()
            if lane.node_id != NO_LEADER
            and lane.blocked_since_ms is not None
            and now_ms - lane.blocked_since_ms > self._availability_ms
        }
