"""The batches of all partitions, and the memory they take: what the sender sees of the accumulator.

Layer: producer. A core between two sides, under one lock: threads that send add to the tails of the queues (see
`accumulator`), the sender removes heads, and looks at them without the lock, for only it removes them.
Source: org.apache.kafka.clients.producer.internals.RecordAccumulator, IncompleteBatches.
"""

from __future__ import annotations

from collections import deque
from contextlib import AbstractContextManager, suppress
from itertools import takewhile
from random import Random
from typing import Any

from kproto.producer.batch import ProducerBatch
from kproto.producer.buffer_memory import BufferMemory
from kproto.producer.config import ProducerConfig
from kproto.producer.queues import PartitionQueue, TopicQueues
from kproto.producer.routes import TopicRoutes
from kproto.producer.sticky import StickyPartitioner
from kproto.wire import KafkaError
from kproto.wire.records import RECORD_BATCH_OVERHEAD, Compression

__all__ = ["BatchQueues"]


class BatchQueues:
    """See the module. lock: guards all that several threads change; a null context where there is but one thread.

    rng: of the sticky partitioners.
    """

    def __init__(self, config: ProducerConfig, *, lock: AbstractContextManager[Any], rng: Random) -> None:
        self.lock = lock
        self.memory = BufferMemory(config.buffer_memory)
        self.topics: dict[str, TopicQueues] = {}
        self.routes: dict[str, TopicRoutes] = {}
        """Of the topics that `fast_send` may send to: only what is known, and while anything is accepted."""
        self.incomplete: set[ProducerBatch] = set()
        """Batches that have not ended, or whose callbacks have not run: what a flush waits for."""
        self.news: deque[PartitionQueue] = deque()
        """Queues in which a batch was opened or has become full, for the sender to look at."""
        self.closed = False
        self.closed_with: KafkaError | None = None
        """Why nothing is accepted any more, where that is more than that it was closed."""
        self.flushes = 0
        """How many wait in flush: batches do not linger then."""
        self._sealed: deque[ProducerBatch] = deque()  # that are to be charged
        self._batch_size = config.batch_size
        self._compression = Compression.of(config.compression_type)
        self._rng = rng

    @property
    def hurrying(self) -> bool:
        """Whether every batch is to leave now, whatever it lingers for (READY-7)."""
        return self.closed or self.flushes > 0 or self.memory.waiting > 0

    def topic(self, name: str) -> TopicQueues:
        """The queues of a topic, made on first use. Under the lock."""
        found = self.topics.get(name)
        if found is None:
            sticky = StickyPartitioner(batch_size=self._batch_size, rng=self._rng)
            found = self.topics[name] = TopicQueues(name, sticky, self.lock)
        return found

    # Compression, by any thread, outside the lock

    def claim(self, batch: ProducerBatch) -> bool:
        """Whether the caller is to seal this closed batch, and then to `charge_sealed`; once only."""
        return self._claim(batch, object())

    def seal(self, batch: ProducerBatch) -> None:
        """Compress a closed batch, unless somebody does, or has. Whoever is interrupted leaves it to the sender, as
        everybody leaves the charge: half of that would be a hole in memory for ever."""
        token = object()
        try:
            if not self._claim(batch, token):
                return
            batch.seal()
        except BaseException:
            if batch.claimed is token:
                batch.claimed = None
            raise
        self._sealed.append(batch)

    def _claim(self, batch: ProducerBatch, token: object) -> bool:
        with self.lock:
            if batch.claimed is None:
                batch.claimed = token
            return batch.claimed is token

    def charge_sealed(self, batch: ProducerBatch) -> None:
        """A batch was sealed: charge what it really takes, and learn how well it compresses. Not to be interrupted."""
        plain = batch.plain_size - RECORD_BATCH_OVERHEAD
        with self.lock:
            if not batch.reserved:
                return  # it has ended meanwhile, or was split, and its memory is given back
            if plain and self._compression is not Compression.NONE:
                topic = self.topic(batch.partition.topic)
                topic.learn_ratio((batch.size - RECORD_BATCH_OVERHEAD) / plain)
            self._recharge(batch, batch.memory())

    def charge_all_sealed(self) -> None:
        """Those that any thread has sealed since. The sender's, in each pass."""
        while self._sealed:
            self.charge_sealed(self._sealed.popleft())

    def _recharge(self, batch: ProducerBatch, size: int) -> None:
        before, batch.reserved = batch.reserved, size
        if size > before:
            self.memory.charge(size - before)
        else:
            self.memory.release(before - size)

    # The sender's side; takes the lock itself

    def take(self, queue: PartitionQueue) -> ProducerBatch:
        """Remove the head, and close it. There must be one."""
        with self.lock:
            batch = queue.batches.popleft()
            self._close(queue, batch)
            return batch

    def close_head(self, queue: PartitionQueue) -> None:
        """Close the head, without removing it. There must be one."""
        with self.lock:
            self._close(queue, queue.batches[0])

    def _close(self, queue: PartitionQueue, batch: ProducerBatch) -> None:
        batch.close()
        if queue.open is batch:
            queue.forget_open()

    def queued(self, queue: PartitionQueue, created_ms: int | None = None) -> list[ProducerBatch]:
        """The batches of a queue in order; with a time, those before the first that was opened later."""
        with self.lock:
            if created_ms is None:
                return list(queue.batches)
            return [*takewhile(lambda batch: batch.created_ms <= created_ms, queue.batches)]

    def put_back(self, queue: PartitionQueue, *batches: ProducerBatch) -> None:
        """What is to be sent again goes before all that comes after it (REQ-1, REQ-2), in order."""
        with self.lock:
            before: list[ProducerBatch] = []
            while queue.batches and is_before(queue.batches[0], batches[0]):
                before.append(queue.batches.popleft())
            queue.batches.extendleft(reversed((*before, *batches)))

    def remove(self, queue: PartitionQueue, batch: ProducerBatch) -> None:
        """Take a batch out that is given up; it is closed by its failure. It may have left already."""
        with self.lock, suppress(ValueError):
            queue.batches.remove(batch)
            if queue.open is batch:
                queue.forget_open()

    def release(self, batch: ProducerBatch) -> None:
        """Give the memory of a batch back that is done and in no request any more. Once."""
        with self.lock:
            self._recharge(batch, 0)

    def replace(self, batch: ProducerBatch, queue: PartitionQueue, parts: list[ProducerBatch]) -> None:
        """The parts of a split batch take its place in the queue, behind what is before it, and in memory."""
        with self.lock:
            self.put_back(queue, *parts)
            for part in parts:
                self._recharge(part, part.memory())
            self._recharge(batch, 0)

    def completed(self, batch: ProducerBatch) -> None:
        """A batch and all its parts have ended, and their callbacks have run."""
        with self.lock:
            self.incomplete.discard(batch)

    def begin_flush(self) -> list[ProducerBatch]:
        """Batches leave at once from now on; those that there are now."""
        with self.lock:
            self.flushes += 1
            return list(self.incomplete)

    def end_flush(self) -> None:
        """One flush less."""
        with self.lock:
            self.flushes -= 1

    def close(self, error: KafkaError | None = None) -> None:
        """Accept no more records; what is there leaves at once. Who waits for memory is told.

        error: what `append` raises from now on; the first one stays.
        """
        with self.lock:
            self.closed = True
            self.routes.clear()
            self.closed_with = self.closed_with or error
            self.memory.close()


def is_before(one: ProducerBatch, other: ProducerBatch) -> bool:
    """Whether a queued batch goes before another of its partition, as they were opened. Parts of one batch by place."""
    return (one.root.number, one.first, one.number) < (other.root.number, other.first, other.number)
