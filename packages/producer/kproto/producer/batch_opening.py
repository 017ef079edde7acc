"""Opens batches, lets them grow, and reserves the memory that they take: what the accumulator's appends share.

Layer: producer. A core, between the queues and the appends; all of it under the accumulator's lock.
Source: org.apache.kafka.clients.producer.internals.RecordAccumulator (ACC-4, ACC-9), BuiltInPartitioner.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random
from typing import Any

from kproto.producer.batch import ProducerBatch
from kproto.producer.batch_queues import BatchQueues
from kproto.producer.batch_state import BatchState
from kproto.producer.buffer_memory import MemoryWaiter
from kproto.producer.config import ProducerConfig
from kproto.producer.errors import ProducerClosedError
from kproto.producer.events import BatchObserver, BatchOpened
from kproto.producer.queues import Appended, Fields, PartitionQueue, TopicQueues
from kproto.producer.record_size import RECORD_OVERHEAD_MAX
from kproto.wire.records import RECORD_BATCH_OVERHEAD, Compression, RecordBatchBuilder

__all__ = ["BatchOpening", "has_room"]


class BatchOpening(BatchQueues):
    """See the module. observer: hears of every record, under the lock."""

    def __init__(
        self,
        config: ProducerConfig,
        *,
        lock: AbstractContextManager[Any],
        rng: Random,
        observer: BatchObserver | None = None,
    ) -> None:
        super().__init__(config, lock=lock, rng=rng)
        self.context: Any = None
        """What the face gives each batch for its futures."""
        self._growth_max = config.batch_growth_max_bytes
        self._level = config.compression_level
        self._observer = observer

    def turn_sticky(self, topic: TopicQueues) -> None:
        """So much went to its sticky partition that another is due, whatever is open there."""
        with self.lock:
            self._count_sticky(topic, 0, all_full=False)

    def _count_sticky(self, topic: TopicQueues, size: int, *, all_full: bool) -> bool:
        turned = topic.sticky.produced(size, topic.choices.candidates, all_full=all_full)
        if turned:
            topic.routes.pop(None, None)
        return turned

    def _check_open(self) -> None:
        if self.closed:
            raise self.closed_with or ProducerClosedError("the producer was closed before the record was accepted")

    def _sticky_queue(self, topic: TopicQueues) -> PartitionQueue:
        candidates = topic.choices.candidates
        queue = topic.queue(topic.sticky.partition(candidates))
        if self._count_sticky(topic, 0, all_full=queue.tail is None):  # a change that was put off
            queue = topic.queue(topic.sticky.partition(candidates))
        return queue

    def _new_batch(self, queue: PartitionQueue, limit: int, reserved: int, now_ms: int) -> ProducerBatch:
        builder = RecordBatchBuilder(self._compression, self._level)
        batch = ProducerBatch(
            queue.partition, queue.opened + 1, builder, limit=limit, reserved=reserved, created_ms=now_ms
        )
        batch.context = self.context
        return batch

    def _enqueue(
        self, queue: PartitionQueue, batch: ProducerBatch, tail: ProducerBatch | None, now_ms: int, *, count: int = 1
    ) -> Appended:
        """A new batch, behind the one that it has closed, if any."""
        if self._observer is not None:
            self._observer(BatchOpened(now_ms, queue.partition, batch.number))
        queue.opened = batch.number
        self.incomplete.add(batch)
        queue.batches.append(batch)
        self.news.append(queue)
        full = batch.state is not BatchState.OPEN
        if not full:
            queue.open = batch
        waiting = tail if tail is not None else batch if full else None
        return Appended(batch, 0, opened=True, ready=waiting is not None, closed=waiting, count=count)

    def _grow(self, queue: PartitionQueue, batch: ProducerBatch, bound: int) -> bool:
        """Let the open batch grow where the record fits then: to twice its size, as each step costs a look, or by
        batch_size where memory is short. From now on it may leave, and takes records until it does: so batches are as
        large as the sender is busy."""
        most = self._growth_max - batch.limit
        for wanted in (batch.limit, self._batch_size):
            step = min(wanted, most)
            if step > 0 and batch.size + bound <= batch.limit + step and self.memory.try_reserve(step):
                batch.limit += step
                batch.reserved += step
                batch.grown = True
                return True
        return False

    def _limit(self, topic: TopicQueues) -> int:
        """Bytes before compression up to which a batch takes a second record, and more (ACC-9)."""
        if self._compression is Compression.NONE:
            return self._batch_size
        return topic.plain_limit(self._batch_size, RECORD_BATCH_OVERHEAD)

    def _reserve(
        self, size: int, least: int, wake: Callable[[], None] | None, memory: MemoryWaiter | None
    ) -> int | MemoryWaiter | None:
        """The bytes that are charged now; else who waits. One who has waited takes what he was granted if it is at
        least enough: `size` moves with the estimate of compression, and nobody is to get in line again for that."""
        capacity = self.memory.capacity
        if memory is not None:
            if memory.granted and memory.size >= min(least, capacity):
                return self.memory.take(memory)
            self.memory.leave(memory)
        size = min(size, capacity)
        if self.memory.try_reserve(size):
            return size
        return None if wake is None else self.memory.wait(size, wake)


def has_room(batch: ProducerBatch, bound: int, fields: Fields) -> bool:
    """Whether the record fits. The bound settles most; the exact size is worked out only near the limit."""
    if batch.size + bound <= batch.limit:
        return True
    return batch.size + bound - RECORD_OVERHEAD_MAX <= batch.limit and batch.size_after(*fields) <= batch.limit
