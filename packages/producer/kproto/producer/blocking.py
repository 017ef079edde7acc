"""Brings a record into the accumulator, from any thread: waits for metadata and for room, within one limit of time.

Layer: producer. Part of the face for threads. Whoever fills a batch makes a pass of the sender himself, and whoever
waits makes one first: so a thread that never yields is served all the same.
Source: org.apache.kafka.clients.producer.KafkaProducer.waitOnMetadata, RecordAccumulator.append, BufferPool.allocate
(META-WAIT-1 to META-WAIT-6, POOL-2 to POOL-6).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from kproto.client.driver import monotonic_ms
from kproto.producer.batch import OnDelivery, ProducerBatch
from kproto.producer.bell import Bell
from kproto.producer.buffer_memory import MemoryWaiter
from kproto.producer.delivery import Delivery
from kproto.producer.engine_thread import EngineThread
from kproto.producer.errors import BufferFullError, ProducerClosedError
from kproto.producer.fast_send import fast_send_of
from kproto.producer.interrupts import HeldSignals
from kproto.producer.queues import Appended, Fields, PartitionQueue, TopicQueues
from kproto.producer.record_path import ProducerRecord
from kproto.producer.spinning import Spinning
from kproto.wire import KafkaError
from kproto.wire.records import RecordBatchBuilder

__all__ = ["BlockingAppends"]

Attempt = Callable[[Callable[[], None], MemoryWaiter | None], Appended | MemoryWaiter | None]
"""Given what to call when there is room, and who has waited for it: the record is in, or somebody waits."""


class BlockingAppends:
    """See the module. Thread-safe."""

    def __init__(self, thread: EngineThread) -> None:
        self._thread = thread
        self.engine = thread.engine
        self.check_process = thread.fork.check
        self._entered = thread.entered
        self._max_block_ms = thread.engine.config.max_block_ms
        self._linger_ms = thread.engine.config.linger_ms
        self._intercepts = bool(thread.engine.config.interceptors)
        self.fast_send = fast_send_of(thread.engine, slow=self.send, new=Delivery, roll=self._roll, clock=time.time)
        """The same, for most records; None where it does not apply."""

    def send(
        self,
        topic: str,
        value: Any,
        key: Any,
        partition: int | None,
        timestamp_ms: int | None,
        headers: Iterable[tuple[str, bytes | None]] | None,
        on_delivery: OnDelivery | None,
    ) -> Delivery:
        """Accept a record. See Producer.send."""
        self.check_process()
        if self._intercepts:
            headers = self.engine.path.headers(headers)
            return self._send_intercepted(
                ProducerRecord(topic, value, key, partition, timestamp_ms, headers), on_delivery
            )
        try:
            return self._send(topic, value, key, partition, timestamp_ms, headers, on_delivery)
        except KafkaError:
            self.refused(topic)
            raise

    def _send_intercepted(self, record: ProducerRecord, on_delivery: OnDelivery | None) -> Delivery:
        path = self.engine.path
        record = path.intercept(record)
        try:
            return self._send(
                record.topic,
                record.value,
                record.key,
                record.partition,
                record.timestamp_ms,
                record.headers,
                path.intercepted(on_delivery),
            )
        except KafkaError as error:
            self.refused(record.topic)
            path.refused(record, error)
            raise

    def refused(self, topic: str) -> None:
        """Count a record that was not accepted."""
        with self.engine.accumulator.lock:
            self.engine.metrics.record_refused(topic, monotonic_ms())

    def _send(
        self,
        topic: str,
        value: Any,
        key: Any,
        partition: int | None,
        timestamp_ms: int | None,
        headers: Iterable[tuple[str, bytes | None]] | None,
        on_delivery: OnDelivery | None,
    ) -> Delivery:
        queues, left_ms = self.topic(topic, partition, timestamp_ms)
        chosen, fields = self.engine.prepare(queues, value, key, partition, timestamp_ms, headers)
        try:
            return self._push(self._append(queues, chosen, fields, on_delivery, left_ms, timestamp_ms is None))
        except BaseException:
            self._thread.driver.wake()  # it may be in all the same, and nobody has been told
            raise

    def send_batch(
        self, topic: str, partition: int, batch: RecordBatchBuilder, on_delivery: OnDelivery | None
    ) -> Delivery:
        """Accept a batch that was built by hand. See Producer.send_batch."""
        self.check_process()
        accumulator = self.engine.accumulator
        try:
            queues, left_ms = self.topic(topic, partition, None)
            appended = self.with_room(
                lambda wake, memory: accumulator.append_batch(
                    queues, partition, batch, on_delivery, now_ms=monotonic_ms(), wake=wake, memory=memory
                ),
                left_ms,
            )
            return self._push(appended)
        except KafkaError:
            self.refused(topic)
            raise
        except BaseException:
            self._thread.driver.wake()
            raise

    def _roll(
        self,
        queue: PartitionQueue,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes,
        on_delivery: OnDelivery | None,
    ) -> tuple[ProducerBatch, int, int] | None:
        """See fast_send.Roll. None also where there is no room, or this thread is inside: then nothing was done."""
        if self._entered():
            return None
        accumulator = self.engine.accumulator
        fields = timestamp_ms, key, value, ()
        try:
            with HeldSignals():
                with Spinning(accumulator.lock):
                    appended = accumulator.append(
                        queue.topic, queue.partition.partition, fields, on_delivery, now_ms=monotonic_ms(), clocked=True
                    )
                if not isinstance(appended, Appended):
                    return None
                if appended.closed is not None:
                    accumulator.seal(appended.closed)
            self._announce(appended)
        except ProducerClosedError:
            return None  # the slow way says so
        except BaseException:
            self._thread.driver.wake()
            raise
        return appended.batch, appended.index, appended.batch.largest_record

    # Metadata

    def topic(self, topic: str, partition: int | None, timestamp_ms: int | None) -> tuple[TopicQueues, int]:
        """The topic's queues, and what is left of max_block_ms. Raises what `send` raises."""
        engine, limit_ms = self.engine, self._max_block_ms
        engine.path.check(topic, partition, timestamp_ms)
        engine.check_open()
        queues = engine.known_topic(topic, partition)
        if queues is not None:
            return queues, limit_ms
        began_ns = time.monotonic_ns()
        try:
            queues = self._wait_for_topic(topic, partition, limit_ms)
        finally:
            waited_ns = time.monotonic_ns() - began_ns
            with engine.accumulator.lock:
                engine.metrics.metadata_wait(waited_ns)
        return queues, max(0, limit_ms - waited_ns // 1_000_000)

    def _wait_for_topic(self, topic: str, partition: int | None, limit_ms: int) -> TopicQueues:
        """Ask until the cluster has the topic, and the partition; one that is refused raises at once."""
        engine = self.engine
        deadline_ms = monotonic_ms() + limit_ms
        while True:
            in_time = self._thread.wait_for_topic(topic, max(0, deadline_ms - monotonic_ms()) / 1000)
            engine.check_open()
            queues = engine.known_topic(topic, partition)
            if queues is not None:
                return queues
            engine.check_topic(topic)
            if not in_time or monotonic_ms() >= deadline_ms:
                raise engine.topic_timeout(topic, partition, limit_ms)

    # Room

    def _append(
        self,
        queues: TopicQueues,
        partition: int,
        fields: Fields,
        on_delivery: OnDelivery | None,
        left_ms: int,
        clocked: bool,
    ) -> Appended:
        """Into the open batch where there is room, else into a new one."""
        accumulator = self.engine.accumulator
        if self._entered():
            self._thread.check_outside()
        now_ms = monotonic_ms() if self.engine.observes_batches else 0
        with accumulator.lock:
            appended = accumulator.append(
                queues, partition, fields, on_delivery, now_ms=now_ms, only_open=True, clocked=clocked
            )
        if isinstance(appended, Appended):
            return appended
        return self.with_room(
            lambda wake, memory: accumulator.append(
                queues, partition, fields, on_delivery, now_ms=monotonic_ms(), wake=wake, memory=memory, clocked=clocked
            ),
            left_ms,
        )

    def with_room(self, attempt: Attempt, left_ms: int) -> Appended:
        """Try until it is in, with signals held back, so that memory and queues agree whatever interrupts."""
        self._thread.check_outside()
        accumulator = self.engine.accumulator
        deadline_ms = monotonic_ms() + left_ms
        memory: MemoryWaiter | None = None
        try:
            while True:
                room = Bell()
                with HeldSignals(), accumulator.lock:
                    appended = attempt(room.ring, memory)
                    memory = appended if isinstance(appended, MemoryWaiter) else memory
                if isinstance(appended, Appended):
                    return appended
                assert memory is not None
                self._wait_for_room(memory, room, deadline_ms, left_ms)
        except BaseException:
            if memory is not None:
                with HeldSignals(), accumulator.lock:
                    accumulator.memory.leave(memory)
            raise

    def _wait_for_room(self, memory: MemoryWaiter, room: Bell, deadline_ms: int, limit_ms: int) -> None:
        """While somebody waits, no batch lingers. Raises BufferFullError, ProducerClosedError."""
        engine = self.engine
        accumulator = engine.accumulator
        began_ns = time.monotonic_ns()
        left_s = max(0, deadline_ms - monotonic_ms()) / 1000
        self._thread.wait_for(room, lambda: memory.granted or memory.closed, left_s)
        with accumulator.lock:
            now_ms = monotonic_ms()
            engine.metrics.memory_wait(time.monotonic_ns() - began_ns, now_ms)
            if memory.granted:
                return
            accumulator.memory.leave(memory)
            if not memory.closed:
                engine.metrics.buffer_exhausted(now_ms)
        engine.check_open()
        raise BufferFullError(memory.size, accumulator.memory.capacity, limit_ms, accumulator.memory.waiting)

    def _push(self, appended: Appended) -> Delivery:
        delivery: Delivery = Delivery()
        delivery._batch, delivery._index = appended.batch, appended.index
        self.pushed(appended)
        return delivery

    def interrupted(self) -> None:
        """Records may be in, and nobody has been told: the producer's own thread is to look."""
        self._thread.driver.wake()

    def pushed(self, appended: Appended) -> None:
        """Seal what is full, and have the sender look at what is new: in this thread if there is something to send."""
        self._seal(appended)
        self._announce(appended)

    def _seal(self, appended: Appended) -> None:
        if appended.closed is not None:
            with HeldSignals():  # a handler that flushes would wait for what is being compressed beneath it
                self.engine.accumulator.seal(appended.closed)

    def _announce(self, appended: Appended) -> None:
        if appended.opened and (not self._linger_ms or self.engine.accumulator.hurrying):
            self._thread.run_pass()
        elif appended.ready:
            self._thread.help()
        elif appended.opened:
            self._thread.driver.wake_by(monotonic_ms() + self._linger_ms)
