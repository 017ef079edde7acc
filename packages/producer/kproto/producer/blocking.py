"""Brings a record into the accumulator, from any thread: waits for metadata and for room, within one limit of time.

Layer: producer. Part of the face for threads. Whoever fills a batch makes a pass of the sender himself, and whoever
waits makes one first: so a thread that never yields is served all the same.
Source: org.apache.kafka.clients.producer.KafkaProducer.waitOnMetadata, RecordAccumulator.append, BufferPool.allocate
(META-WAIT-1 to META-WAIT-6, POOL-2 to POOL-6).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from kproto.client.driver import monotonic_ms
from kproto.producer.batch import OnDelivery
from kproto.producer.buffer_memory import MemoryWaiter
from kproto.producer.engine_thread import EngineThread
from kproto.producer.errors import BufferFullError
from kproto.producer.interrupts import HeldSignals
from kproto.producer.queues import Appended, Fields, TopicQueues
from kproto.wire.records import RecordBatchBuilder

__all__ = ["BlockingAppends"]

Attempt = Callable[[Callable[[], None], MemoryWaiter | None], Appended | MemoryWaiter | None]
"""Given what to call when there is room, and who has waited for it: the record is in, or somebody waits."""


class BlockingAppends:
    """See the module. Thread-safe."""

    def __init__(self, thread: EngineThread) -> None:
        self._thread = thread
        self._engine = thread.engine
        self._max_block_ms = thread.engine.config.max_block_ms
        self._linger_ms = thread.engine.config.linger_ms

    def topic(self, topic: str, partition: int | None, timestamp_ms: int | None) -> tuple[TopicQueues, int]:
        """The topic's queues, and what is left of max_block_ms. Raises what `send` raises."""
        engine, limit_ms = self._engine, self._max_block_ms
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
        engine, thread = self._engine, self._thread
        deadline_ms = monotonic_ms() + limit_ms
        while True:
            has_come = thread.ask_for_topic(topic)
            with thread.condition:
                in_time = thread.condition.wait_for(has_come, max(0, deadline_ms - monotonic_ms()) / 1000)
                fatal = thread.fatal
            engine.check_open()
            queues = engine.known_topic(topic, partition)
            if queues is not None:
                return queues
            engine.check_topic(topic)
            if fatal is not None:
                raise fatal
            if not in_time or monotonic_ms() >= deadline_ms:
                raise engine.topic_timeout(topic, partition, limit_ms)

    def append(
        self, queues: TopicQueues, partition: int, fields: Fields, on_delivery: OnDelivery | None, left_ms: int
    ) -> Appended:
        """Into the open batch where there is room, else into a new one. Raises what `send` raises."""
        accumulator = self._engine.accumulator
        now_ms = monotonic_ms() if self._engine.observes_batches else 0
        with accumulator.lock:
            appended = accumulator.append(queues, partition, fields, on_delivery, now_ms=now_ms, only_open=True)
        if isinstance(appended, Appended):
            return appended
        return self._with_room(
            lambda wake, memory: accumulator.append(
                queues, partition, fields, on_delivery, now_ms=monotonic_ms(), wake=wake, memory=memory
            ),
            left_ms,
        )

    def append_batch(
        self,
        queues: TopicQueues,
        partition: int,
        builder: RecordBatchBuilder,
        on_delivery: OnDelivery | None,
        left_ms: int,
    ) -> Appended:
        """A batch that was built by hand."""
        accumulator = self._engine.accumulator
        return self._with_room(
            lambda wake, memory: accumulator.append_batch(
                queues, partition, builder, on_delivery, now_ms=monotonic_ms(), wake=wake, memory=memory
            ),
            left_ms,
        )

    def _with_room(self, attempt: Attempt, left_ms: int) -> Appended:
        """Try until it is in, with signals held back, so that memory and queues agree whatever interrupts."""
        deadline_ms = monotonic_ms() + left_ms
        memory: MemoryWaiter | None = None
        while True:
            room = threading.Event()
            with HeldSignals(), self._engine.accumulator.lock:
                appended = attempt(room.set, memory)
            if isinstance(appended, Appended):
                return appended
            assert appended is not None
            memory = appended
            self._wait_for_room(memory, room, deadline_ms, left_ms)

    def _wait_for_room(self, memory: MemoryWaiter, room: threading.Event, deadline_ms: int, limit_ms: int) -> None:
        """While somebody waits, no batch lingers. Raises BufferFullError, ProducerClosedError."""
        engine = self._engine
        accumulator = engine.accumulator
        began_ns = time.monotonic_ns()
        try:
            self._thread.run_pass()
            room.wait(max(0, deadline_ms - monotonic_ms()) / 1000)
        except BaseException:
            with accumulator.lock:
                accumulator.memory.leave(memory)
            raise
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

    def push(self, appended: Appended) -> None:
        """Seal what is full, and have the sender look at what is new: in this thread if there is something to send."""
        accumulator = self._engine.accumulator
        if appended.closed is not None:
            accumulator.seal(appended.closed)
        if appended.ready or (appended.opened and (not self._linger_ms or accumulator.hurrying)):
            self._thread.run_pass()
        elif appended.opened:
            self._thread.driver.wake_by(monotonic_ms() + self._linger_ms)
