"""Brings a record into the accumulator, on an event loop: waits for metadata and for room, within one limit of time.

Layer: producer. Part of the face for asyncio; what `blocking` is for threads.
Source: org.apache.kafka.clients.producer.KafkaProducer.waitOnMetadata, BufferPool.allocate (META-WAIT-1 to
META-WAIT-6).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterable
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from kproto.client.driver import monotonic_ms
from kproto.producer.async_delivery import AsyncDelivery
from kproto.producer.batch import OnDelivery, ProducerBatch
from kproto.producer.errors import BufferFullError
from kproto.producer.fast_send import fast_send_of
from kproto.producer.queues import Appended, Fields, PartitionQueue, TopicQueues
from kproto.producer.record_path import ProducerRecord, placeholder
from kproto.wire import KafkaError
from kproto.wire.records import RecordBatchBuilder

if TYPE_CHECKING:
    from kproto.producer.async_engine import AsyncEngine

__all__ = ["AsyncAppends"]


LOOK_AFTER: Final = 16  # records: to look for each would add a third to what the fast way takes


class AsyncAppends:
    """See the module. Only in the loop's thread."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._core = engine.engine
        self._accumulator = engine.accumulator
        self._intercepts = bool(self._core.config.interceptors)
        self._max_block_ms = self._core.config.max_block_ms
        self.fast_enqueue: Callable[..., Coroutine[Any, Any, AsyncDelivery]] | None = None
        """`AsyncProducer.enqueue` and `try_enqueue` that try the fast way first; None where that does not apply."""
        self.fast_try_enqueue: Callable[..., AsyncDelivery] = self.try_enqueue
        fast = fast_send_of(self._core, slow=_not_so, new=AsyncDelivery, roll=self._roll, clock=time.time)
        if fast is not None:
            self._hurry(fast)

    def _hurry(self, fast: Callable[..., AsyncDelivery | None]) -> None:
        # Nothing but our loop runs in its thread while it does. In 3.11 to ask asyncio for it takes a system call.
        thread_id, is_running, pass_if_late = get_ident(), self._engine.loop.is_running, self._engine.pass_if_late
        until_look = LOOK_AFTER
        enqueue_slowly, try_enqueue_slowly = self.enqueue, self.try_enqueue

        async def enqueue(topic: str, value: Any = None, key: Any = None, **options: Any) -> AsyncDelivery:
            nonlocal until_look
            delivery = fast(topic, value, key, **options) if get_ident() == thread_id and is_running() else None
            until_look -= 1
            if not until_look:  # a loop that never yields is served here
                until_look = LOOK_AFTER
                pass_if_late()
            return delivery or await enqueue_slowly(topic, value, key, **options)

        def try_enqueue(topic: str, value: Any = None, key: Any = None, **options: Any) -> AsyncDelivery:
            delivery = fast(topic, value, key, **options) if get_ident() == thread_id and is_running() else None
            return delivery or try_enqueue_slowly(topic, value, key, **options)

        self.fast_enqueue, self.fast_try_enqueue = enqueue, try_enqueue

    def _roll(
        self,
        queue: PartitionQueue,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes,
        on_delivery: OnDelivery | None,
    ) -> tuple[ProducerBatch, int, int] | None:
        """See fast_send.Roll."""
        fields = timestamp_ms, key, value, ()
        appended = self._append(queue.topic, queue.partition.partition, fields, on_delivery, clocked=True)
        if appended is None:
            return None
        self._engine.push(appended)
        return appended.batch, appended.index, appended.batch.largest_record

    def _record(
        self,
        topic: str,
        value: Any,
        key: Any,
        partition: int | None,
        timestamp_ms: int | None,
        headers: Iterable[tuple[str, bytes | None]] | None,
    ) -> ProducerRecord:
        """What is sent, after the interceptors."""
        path = self._core.path
        record = ProducerRecord(topic, value, key, partition, timestamp_ms, path.headers(headers))
        return path.intercept(record) if self._intercepts else record

    async def enqueue(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> AsyncDelivery:
        """Accept it. Raises what `enqueue` of the face raises."""
        self._engine.check()
        record = self._record(topic, value, key, partition, timestamp_ms, headers)
        try:
            queues, left_ms = await self.topic(record)
            partition, fields = self._prepared(queues, record)
            ended, clocked = self._ended(on_delivery), record.timestamp_ms is None
            appended = self._append(queues, partition, fields, ended, clocked=clocked)
            if appended is None:
                appended = await self._engine.with_room(
                    lambda wake, memory: self._accumulator.append(
                        queues,
                        partition,
                        fields,
                        ended,
                        now_ms=monotonic_ms(),
                        wake=wake,
                        memory=memory,
                        clocked=clocked,
                    ),
                    left_ms,
                )
        except KafkaError as error:
            self._refused(record, error)
            raise
        return self._taken(appended)

    def try_enqueue(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> AsyncDelivery:
        """Accept it at once, or raise. What it lacks is asked for all the same."""
        self._engine.check()
        record = self._record(topic, value, key, partition, timestamp_ms, headers)
        try:
            queues = self._known(record)
            if queues is None:
                self._engine.ask_for_topic(record.topic)
                self._core.check_topic(record.topic)
                raise self._core.topic_timeout(record.topic, record.partition, 0)
            partition, fields = self._prepared(queues, record)
            ended, clocked = self._ended(on_delivery), record.timestamp_ms is None
            appended = self._append(queues, partition, fields, ended, clocked=clocked)
            if appended is None:
                self._engine.driver.run_pass()  # answers may be there that nobody has read
                appended = self._append(queues, partition, fields, ended, clocked=clocked)
            if appended is None:
                memory = self._accumulator.memory
                self._core.metrics.buffer_exhausted(monotonic_ms())
                raise BufferFullError(self._core.config.batch_size, memory.capacity, 0, memory.waiting)
        except KafkaError as error:
            self._refused(record, error)
            raise
        return self._taken(appended)

    async def enqueue_batch(
        self, topic: str, partition: int, batch: RecordBatchBuilder, on_delivery: OnDelivery | None
    ) -> AsyncDelivery:
        """A batch that was built by hand; the delivery is that of its first record."""
        if type(partition) is not int:  # None would be taken, and wait for a leader that nobody can name
            raise TypeError(f"partition: an int, not {partition!r}")
        try:
            queues, left_ms = await self.topic(ProducerRecord(topic, partition=partition))
            await self._engine.compression.seal_builder(batch)
            appended = await self._engine.with_room(
                lambda wake, memory: self._accumulator.append_batch(
                    queues, partition, batch, on_delivery, now_ms=monotonic_ms(), wake=wake, memory=memory
                ),
                left_ms,
            )
        except KafkaError:
            self._core.metrics.record_refused(topic, monotonic_ms())
            raise
        return self._taken(appended)

    async def topic(self, record: ProducerRecord) -> tuple[TopicQueues, int]:
        """The topic's queues, and what is left of max_block_ms."""
        limit_ms = self._max_block_ms
        queues = self._known(record)
        if queues is not None:
            return queues, limit_ms
        began_ns = time.monotonic_ns()
        try:
            queues = await self._engine.topic(record.topic, record.partition, limit_ms)
        finally:
            waited_ns = time.monotonic_ns() - began_ns
            self._core.metrics.metadata_wait(waited_ns)
        return queues, max(0, limit_ms - waited_ns // 1_000_000)

    def _known(self, record: ProducerRecord) -> TopicQueues | None:
        self._core.path.check(record.topic, record.partition, record.timestamp_ms)
        self._core.check_open()
        return self._core.known_topic(record.topic, record.partition)

    def _prepared(self, queues: TopicQueues, record: ProducerRecord) -> tuple[int, Fields]:
        return self._core.prepare(
            queues, record.value, record.key, record.partition, record.timestamp_ms, record.headers
        )

    def _append(
        self, queues: TopicQueues, partition: int, fields: Fields, ended: OnDelivery | None, *, clocked: bool
    ) -> Appended | None:
        """Without waiting: None where there is no room."""
        appended = self._accumulator.append(queues, partition, fields, ended, now_ms=monotonic_ms(), clocked=clocked)
        assert appended is None or isinstance(appended, Appended)
        return appended

    def _taken(self, appended: Appended) -> AsyncDelivery:
        self._engine.push(appended)
        delivery = AsyncDelivery()
        delivery._batch, delivery._index = appended.batch, appended.index
        return delivery

    def _ended(self, on_delivery: OnDelivery | None) -> OnDelivery | None:
        return self._core.path.intercepted(on_delivery) if self._intercepts else on_delivery

    def _refused(self, record: ProducerRecord, error: KafkaError) -> None:
        self._core.metrics.record_refused(record.topic, monotonic_ms())
        self._core.path.acknowledge(placeholder(record.topic, record.partition), error)


def _not_so(*record: Any) -> None:
    """What the fast way does not take; who has called it goes the other."""
