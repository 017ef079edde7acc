"""Collects records in batches by partition, within bounded memory, until the sender takes them.

Layer: producer. A core: any thread appends, under the lock. Knows no leaders, no connections and no sequence numbers.
Source: org.apache.kafka.clients.producer.internals.RecordAccumulator.append (ACC-1 to ACC-12).
"""

from __future__ import annotations

from collections.abc import Callable

from kproto.producer.batch import BATCH_MEMORY, OnDelivery, ProducerBatch
from kproto.producer.batch_opening import BatchOpening, has_room
from kproto.producer.batch_state import BatchState
from kproto.producer.buffer_memory import MemoryWaiter
from kproto.producer.events import RecordAppended
from kproto.producer.queues import Appended, Fields, PartitionQueue, TopicQueues
from kproto.producer.record import NO_PARTITION
from kproto.producer.record_size import record_size_bound
from kproto.wire.records import RECORD_BATCH_OVERHEAD, RecordBatchBuilder, RecordColumns

__all__ = ["RecordAccumulator"]


class RecordAccumulator(BatchOpening):
    """See the module. observer: hears of every record, under the lock."""

    def append(
        self,
        topic: TopicQueues,
        partition: int,
        fields: Fields,
        on_delivery: OnDelivery | None = None,
        *,
        now_ms: int,
        wake: Callable[[], None] | None = None,
        memory: MemoryWaiter | None = None,
        only_open: bool = False,
        clocked: bool = False,
    ) -> Appended | MemoryWaiter | None:
        """Accept a record; or say that there is no room for it.

        partition: NO_PARTITION for the topic's sticky one. Without room: None where `wake` is None; else a waiter,
        whose `wake` is called once he has what he needs, and who is given back as `memory` with the next attempt.
        only_open: None also where a batch would have to be opened, and nothing is changed. clocked: the record's
        timestamp is the time, so that others of this millisecond may follow by `fast_send`. now_ms: monotonic.
        Raises ProducerClosedError, EncodeError.
        """
        self._check_open()
        sticks = partition == NO_PARTITION
        queue = self._sticky_queue(topic) if sticks else topic.queue(partition)
        bound = record_size_bound(*fields[1:])
        tail = queue.tail
        before = 0
        if tail is not None:
            tail.room = -1  # so that nobody else adds while it is looked at
            before = tail.size
        if only_open and (tail is None or not has_room(tail, bound, fields)):
            return None
        appended = None if tail is None else self._append_to(queue, tail, bound, fields, on_delivery)
        if appended is None:
            limit, least, before = self._limit(topic), RECORD_BATCH_OVERHEAD + bound, 0
            room = self._reserve(max(limit, least) + BATCH_MEMORY, least + BATCH_MEMORY, wake, memory)
            if not isinstance(room, int):
                return room
            limit = min(limit, room - BATCH_MEMORY)
            appended = self._append_to_new(queue, tail, limit, room, fields, on_delivery, now_ms)
        elif memory is not None:
            self.memory.leave(memory)  # another thread has opened a batch meanwhile
        batch = appended.batch
        if self._observer is not None:
            self._observer(RecordAppended(now_ms, queue.partition, batch.number, batch.count, batch.size))
        if sticks:
            self._count_sticky(topic, batch.plain_size - before, all_full=queue.tail is None)
        if clocked and batch.state is BatchState.OPEN:
            batch.begin_tick(fields[0])
        return appended

    def append_columns(
        self,
        topic: TopicQueues,
        partition: int,
        columns: RecordColumns,
        start: int,
        timestamp_ms: int,
        *,
        now_ms: int,
        wake: Callable[[], None] | None = None,
        memory: MemoryWaiter | None = None,
    ) -> Appended | MemoryWaiter | None:
        """Accept records from `start` on, as many as go into one batch: the open one, or else a new one.

        As so many calls of `append`, but for the sticky partition, which is looked at once; `Appended.index` is that of
        the first, `Appended.count` says how many there were.
        """
        self._check_open()
        sticks = partition == NO_PARTITION
        queue = self._sticky_queue(topic) if sticks else topic.queue(partition)
        bound = columns.size_max(start)
        tail, before = queue.tail, 0
        if tail is not None:
            tail.room = -1
            before = tail.size
        appended = None if tail is None else self._extend(queue, tail, columns, start, timestamp_ms, bound)
        if appended is None:
            usual, least, before = self._limit(topic), RECORD_BATCH_OVERHEAD + bound, 0
            limit = max(usual, min(self._growth_max, least + columns.size_from(start)))
            room = self._reserve(max(limit, least) + BATCH_MEMORY, least + BATCH_MEMORY, wake, memory)
            if not isinstance(room, int):
                return room
            batch = self._new_batch(queue, min(limit, room - BATCH_MEMORY), room, now_ms)
            appended = self._extend_new(queue, tail, batch, columns, start, timestamp_ms, usual)
        elif memory is not None:
            self.memory.leave(memory)
        if sticks:
            self._count_sticky(topic, appended.batch.plain_size - before, all_full=queue.tail is None)
        return appended

    def _extend(
        self,
        queue: PartitionQueue,
        tail: ProducerBatch,
        columns: RecordColumns,
        start: int,
        timestamp_ms: int,
        bound: int,
    ) -> Appended | None:
        index = tail.count
        count, grown = tail.extend(timestamp_ms, columns, start), False
        while count < len(columns) - start and self._grow(queue, tail, bound):
            grown = True
            count += tail.extend(timestamp_ms, columns, start + count)
        full = tail.size >= tail.limit
        if full or count < len(columns) - start:
            self._close(queue, tail)
            self.news.append(queue)
        elif grown:
            self.news.append(queue)
        if not count:
            return None
        closed = tail if tail.state is not BatchState.OPEN else None
        return Appended(tail, index, opened=False, ready=grown or closed is not None, closed=closed, count=count)

    def _extend_new(
        self,
        queue: PartitionQueue,
        tail: ProducerBatch | None,
        batch: ProducerBatch,
        columns: RecordColumns,
        start: int,
        timestamp_ms: int,
        usual: int,
    ) -> Appended:
        """usual: bytes up to which a batch is filled that does not grow."""
        count = batch.extend(timestamp_ms, columns, start)
        batch.grown = batch.size > usual
        if batch.size >= batch.limit:
            batch.close()
        appended = self._enqueue(queue, batch, tail, batch.created_ms, count=count)
        appended.ready |= batch.grown
        return appended

    def append_batch(
        self,
        topic: TopicQueues,
        partition: int,
        builder: RecordBatchBuilder,
        on_delivery: OnDelivery | None = None,
        *,
        now_ms: int,
        wake: Callable[[], None],
        memory: MemoryWaiter | None = None,
    ) -> Appended | MemoryWaiter:
        """Accept a batch that was built elsewhere, behind what is there; it takes no more records. As `append`."""
        self._check_open()
        queue = topic.queue(partition)
        size = builder.size + BATCH_MEMORY
        room = self._reserve(size, size, wake, memory)
        if not isinstance(room, int):
            assert room is not None
            return room
        tail = queue.tail
        if tail is not None:
            self._close(queue, tail)
        number = queue.opened + 1
        batch = ProducerBatch(queue.partition, number, builder, limit=0, reserved=room, created_ms=now_ms)
        batch.context = self.context
        batch.adopt(on_delivery)
        return self._enqueue(queue, batch, tail, now_ms)

    def _append_to(
        self, queue: PartitionQueue, tail: ProducerBatch, bound: int, fields: Fields, on_delivery: OnDelivery | None
    ) -> Appended | None:
        """Into the open batch; where it has no room it is closed, and takes no smaller record later (ACC-4)."""
        grown = False
        if not has_room(tail, bound, fields):
            grown = self._grow(queue, tail, bound)
            if not grown:
                self._close(queue, tail)
                self.news.append(queue)
                return None
        index = tail.append(*fields, on_delivery)
        full = tail.size >= tail.limit
        if full:
            self._close(queue, tail)
        if full or grown:
            self.news.append(queue)
        return Appended(tail, index, opened=False, ready=full or grown, closed=tail if full else None)

    def _append_to_new(
        self,
        queue: PartitionQueue,
        tail: ProducerBatch | None,
        limit: int,
        reserved: int,
        fields: Fields,
        on_delivery: OnDelivery | None,
        now_ms: int,
    ) -> Appended:
        """The first record is appended before anybody can see the batch: an empty one is refused by brokers."""
        batch = self._new_batch(queue, limit, reserved, now_ms)
        try:
            batch.append(*fields, on_delivery)
        except BaseException:
            self.memory.release(reserved)
            raise
        if batch.size >= limit:
            batch.close()
        return self._enqueue(queue, batch, tail, now_ms)
