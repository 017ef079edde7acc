"""The engine of a producer on the user's own event loop.

Layer: producer. Part of the face for asyncio: everything but compression happens in the loop's thread. It does not know
the face, so that one that is dropped unclosed can be collected.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import nullcontext
from copy import copy
from functools import partial

from kproto.client import ConnectionObserver
from kproto.client.driver import Driver, monotonic_ms
from kproto.producer.async_appends import AsyncAppends
from kproto.producer.async_compression import AsyncCompression
from kproto.producer.async_delivery import AsyncDeliveries
from kproto.producer.buffer_memory import MemoryWaiter
from kproto.producer.completions import Completions
from kproto.producer.config import ProducerConfig
from kproto.producer.engine import Engine
from kproto.producer.errors import BufferFullError
from kproto.producer.events import BatchObserver
from kproto.producer.forks import ForkMark
from kproto.producer.pace import PassPace
from kproto.producer.queues import Appended, TopicQueues
from kproto.wire import KafkaError

__all__ = ["AsyncEngine"]

Attempt = Callable[[Callable[[], None], MemoryWaiter | None], Appended | MemoryWaiter | None]


class AsyncEngine:
    """See the module. Made in the loop that it runs on. Raises what Engine and Driver raise."""

    def __init__(
        self,
        config: ProducerConfig,
        loop: asyncio.AbstractEventLoop,
        observer: ConnectionObserver | None,
        batch_observer: BatchObserver | None,
    ) -> None:
        self.loop = loop
        self.compression = AsyncCompression(self, config)
        self.engine = Engine(
            config,
            lock=nullcontext(),
            compress=self.compression.seal,
            observer=observer,
            batch_observer=batch_observer,
        )
        self.accumulator = self.engine.accumulator
        self.fork = ForkMark(self, self.accumulator.routes)
        self.deliveries = AsyncDeliveries(loop)
        self.accumulator.context = self.deliveries
        self.completions = Completions(self.accumulator, self._batch_through)
        self.appends = AsyncAppends(self)
        self.driver: Driver = self.engine.driver(loop, self._collect, self._deliver, None)
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._seen: tuple[object, ...] = ()
        self._fatal: KafkaError | None = None
        self._fatals = 0
        """What no waiting for metadata cures, and how often that has come."""
        self._abandoned = False
        self._pace = PassPace()
        self._linger_ms = config.linger_ms
        self._linger_ends_ms: int | None = None
        """Of what was opened since the last pass."""

    def check(self) -> None:
        """Raises ForkedProducerError in a child of the process; RuntimeError where another loop runs, or none."""
        self.fork.check()
        if asyncio._get_running_loop() is not self.loop:
            raise RuntimeError(
                "this producer belongs to the event loop that started it, and is used outside: make one in each loop; "
                "or call asyncio.run_coroutine_threadsafe(producer.send(...), loop); or take Producer, which is for "
                "any thread"
            )

    # Passes

    def _collect(self) -> None:
        engine = self.engine
        self._linger_ends_ms = None
        ended = engine.take_ended()
        for batch in ended:
            self.deliveries.wake(batch)
        self.completions.add(ended)
        metadata = engine.network.metadata
        fatal = metadata.take_fatal_error()
        seen = (metadata.update_version, engine.ready, engine.accumulator.closed)
        if fatal is not None or seen != self._seen:
            self._seen = seen
            if fatal is not None:
                self._fatal = fatal
                self._fatals += 1
            self._ring()

    def _deliver(self, _: None) -> None:
        self.completions.run()

    def _batch_through(self) -> None:
        accumulator = self.accumulator
        if accumulator.flushes or accumulator.closed:
            self._ring()
            if self._abandoned and not accumulator.incomplete:
                self.loop.call_soon(self.end)

    def push(self, appended: Appended) -> None:
        """Seal what is full, and make a pass where there is something to send, or its time has come: a loop that never
        yields sends, too."""
        now_ms = monotonic_ms()
        ready = appended.ready
        if appended.closed is not None:
            ready &= self.compression.seal(appended.closed)
        if appended.opened and self._linger_ends_ms is None:
            self._linger_ends_ms = now_ms + self._linger_ms
        hurries = appended.opened and (not self._linger_ms or self.accumulator.hurrying)
        began_ns = time.monotonic_ns()
        if hurries or self._is_late(now_ms) or (ready and self._pace.allows(self.engine.sender.calls, began_ns)):
            self.driver.run_pass()
            self._pace.passed(began_ns, time.monotonic_ns())
        elif appended.opened:
            self.driver.wake_by(now_ms + self._linger_ms)

    def pass_if_late(self) -> None:
        """Make the pass that the loop has not come to."""
        if self._is_late(monotonic_ms()):
            self.driver.run_pass()

    def _is_late(self, now_ms: int) -> bool:
        """Whether the loop has not come round when it was to."""
        times = (self._linger_ends_ms, self.engine.sender.lanes.next_wake_ms)
        return any(at_ms is not None and at_ms <= now_ms for at_ms in times)

    # Waiting

    def _ring(self) -> None:
        """Something may have changed for those who wait."""
        waiting, self._waiting = self._waiting, {}
        for future in waiting:
            self._end_wait(future)

    def _end_wait(self, future: asyncio.Future[None]) -> None:
        if not future.done() and not self.loop.is_closed():
            future.set_result(None)

    async def _until(self, future: asyncio.Future[None], left_s: float | None) -> None:
        """It has ended, or the time is over."""
        timer = None if left_s is None else self.loop.call_later(left_s, self._end_wait, future)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()

    async def wait(self, wanted: Callable[[], bool], timeout_s: float | None) -> bool:
        """Whether it holds in time. It is looked at now, and when the metadata changes; while anybody flushes or closes
        also when a batch is through."""
        left_s = timeout_s
        ends_s = time.monotonic() + (timeout_s or 0)
        while not wanted():
            if left_s is not None and left_s <= 0:
                return False
            news: asyncio.Future[None] = self.loop.create_future()
            self._waiting[news] = None
            try:
                await self._until(news, left_s)
            finally:
                self._waiting.pop(news, None)
            left_s = None if timeout_s is None else ends_s - time.monotonic()
        return True

    async def wait_until_ready(self, timeout_s: float) -> None:
        """Wait for the cluster and a producer id, or the end. Raises what no waiting cures."""
        await self._wait_for_cluster(lambda: self.engine.ready, timeout_s)

    async def _wait_for_cluster(self, wanted: Callable[[], bool], timeout_s: float) -> bool:
        accumulator, fatals = self.accumulator, self._fatals

        def over() -> bool:
            return wanted() or self._fatals != fatals or accumulator.closed

        in_time = await self.wait(over, timeout_s)
        if self._fatals != fatals and not wanted() and not accumulator.closed:
            assert self._fatal is not None
            raise copy(self._fatal)  # one for each who waits, or their tracebacks pile up
        return in_time

    def _is_updated_since(self, version: int) -> bool:
        return self.engine.network.metadata.update_version > version

    async def topic(self, name: str, partition: int | None, limit_ms: int) -> TopicQueues:
        """Ask until the cluster has the topic, and the partition. Raises what `send` raises."""
        engine = self.engine
        deadline_ms = monotonic_ms() + limit_ms
        while True:
            asked = self.ask_for_topic(name)
            in_time = await self._wait_for_cluster(
                partial(self._is_updated_since, asked),
                max(0, deadline_ms - monotonic_ms()) / 1000,
            )
            engine.check_open()
            queues = engine.known_topic(name, partition)
            if queues is not None:
                return queues
            engine.check_topic(name)
            if not in_time or monotonic_ms() >= deadline_ms:
                raise engine.topic_timeout(name, partition, limit_ms)

    def ask_for_topic(self, name: str) -> int:
        """Ask for its metadata; the version that has to be passed. However many ask, one pass is made."""
        asked = self.engine.ask_for_topic(name, monotonic_ms())
        self.driver.wake()
        return asked

    async def with_room(self, attempt: Attempt, left_ms: int) -> Appended:
        """Try until it is in. While somebody waits, no batch lingers. Raises BufferFullError, ProducerClosedError."""
        deadline_ms = monotonic_ms() + left_ms
        memory: MemoryWaiter | None = None
        try:
            while True:
                room: asyncio.Future[None] = self.loop.create_future()
                appended = attempt(partial(self._end_wait, room), memory)
                if isinstance(appended, Appended):
                    return appended
                assert appended is not None
                memory = appended
                await self._wait_for_room(memory, room, deadline_ms, left_ms)
        except BaseException:
            if memory is not None:
                self.accumulator.memory.leave(memory)
            raise

    async def _wait_for_room(
        self, memory: MemoryWaiter, room: asyncio.Future[None], deadline_ms: int, limit_ms: int
    ) -> None:
        engine, began_ms = self.engine, monotonic_ms()
        self.driver.wake()
        await self._until(room, max(0, deadline_ms - began_ms) / 1000)
        now_ms = monotonic_ms()
        engine.metrics.memory_wait((now_ms - began_ms) * 1_000_000, now_ms)
        if memory.granted:
            return
        self.accumulator.memory.leave(memory)
        engine.check_open()
        engine.metrics.buffer_exhausted(now_ms)
        raise BufferFullError(memory.size, self.accumulator.memory.capacity, limit_ms, self.accumulator.memory.waiting)

    # The end

    def close(self) -> None:
        """Accept nothing more; what was accepted leaves at once."""
        self.accumulator.close()
        self.driver.run_pass()

    def abort(self) -> int:
        """Give up what is left; how many records that were."""
        counts: list[int] = []
        self.driver.call(lambda now_ms: counts.append(self.engine.sender.abort(now_ms)))
        return sum(counts)

    def end(self) -> None:
        """Close all connections. May be called again."""
        self.driver.call(self.engine.sender.close)
        self.driver.close()
        self.compression.end()

    def give_up(self) -> int:
        """The loop is closed, and nothing can be delivered any more: how many records are lost."""
        self.accumulator.close()
        self.driver.close()
        left = self.abort()
        self.end()
        return left

    def abandon(self) -> None:
        """Nobody has the producer any more: have the loop deliver what was accepted, then end. For any thread."""
        try:
            self.loop.call_soon_threadsafe(self._finish)
        except RuntimeError:  # it is closed, and nobody else can be here
            self.give_up()

    def _finish(self) -> None:
        self._abandoned = True
        self.close()
        if not self.accumulator.incomplete:
            self.end()
