"""The engine of a producer on the user's own event loop.

Layer: producer. Part of the face for asyncio: everything but compression happens in the loop's thread. It does not know
the face, so that one that is dropped unclosed can be collected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

from kproto.client import ConnectionObserver
from kproto.client.driver import Driver, monotonic_ms
from kproto.producer.async_appends import AsyncAppends
from kproto.producer.async_delivery import AsyncDeliveries
from kproto.producer.batch import ProducerBatch
from kproto.producer.buffer_memory import MemoryWaiter
from kproto.producer.completions import Completions
from kproto.producer.config import ProducerConfig
from kproto.producer.engine import Engine
from kproto.producer.errors import BufferFullError
from kproto.producer.events import BatchObserver
from kproto.producer.queues import Appended, TopicQueues
from kproto.wire import KafkaError
from kproto.wire.records import Compression

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
        compresses = Compression.of(config.compression_type) is not Compression.NONE
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="kproto-compress") if compresses else None
        self.engine = Engine(
            config,
            lock=nullcontext(),
            compress=self.compress,
            observer=observer,
            batch_observer=batch_observer,
        )
        self.accumulator = self.engine.accumulator
        self.deliveries = AsyncDeliveries(loop)
        self.accumulator.context = self.deliveries
        self.completions = Completions(self.accumulator, self._batch_through)
        self.appends = AsyncAppends(self)
        self.driver: Driver = self.engine.driver(loop, self._collect, self._deliver, None)
        self._fatal: KafkaError | None = None
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._abandoned = False
        self._linger_ms = config.linger_ms

    # Passes

    def _collect(self) -> None:
        ended = self.engine.take_ended()
        for batch in ended:
            self.deliveries.wake(batch)
        self.completions.add(ended)
        if self._waiting:
            self._fatal = self.engine.network.metadata.take_fatal_error() or self._fatal

    def _deliver(self, _: None) -> None:
        self.completions.run()
        self._look_around()

    def _batch_through(self) -> None:
        if self._abandoned and not self.accumulator.incomplete:
            self.loop.call_soon(self.end)

    def _look_around(self) -> None:
        for check, future in [*self._waiting]:
            if not future.done() and (self._fatal is not None or check()):
                future.set_result(None)

    def compress(self, batch: ProducerBatch) -> bool:
        """Seal a closed batch: at once where that is quick, else in a thread of its own, never on the loop."""
        if self._executor is None:
            self.accumulator.seal(batch)
            return True
        if not self.accumulator.claim(batch):
            return batch.sealed
        sealing = self.loop.run_in_executor(self._executor, batch.seal)
        sealing.add_done_callback(lambda ended: self._sealed(batch, ended))
        return False

    def _sealed(self, batch: ProducerBatch, sealing: asyncio.Future[None]) -> None:
        if not sealing.cancelled():
            sealing.result()
            self.accumulator.charge_sealed(batch)
            self.driver.run_pass()

    # Waiting

    async def wait(self, check: Callable[[], bool], timeout_s: float | None) -> bool:
        """Until it holds after some pass; False where it does not in time. Raises what no waiting cures."""
        self._fatal = None
        if check():
            return True
        future: asyncio.Future[None] = self.loop.create_future()
        entry = (check, future)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            return check()
        finally:
            self._waiting.remove(entry)
        if not check() and self._fatal is not None:
            raise self._fatal
        return True

    async def topic(self, name: str, partition: int | None, limit_ms: int) -> TopicQueues:
        """Ask until the cluster has the topic, and the partition. Raises what `send` raises."""
        engine = self.engine
        metadata = engine.network.metadata
        deadline_ms = monotonic_ms() + limit_ms
        while True:
            passed: list[int] = []
            self.driver.call(lambda now_ms, passed=passed: passed.append(engine.ask_for_topic(name, now_ms)))  # type: ignore[misc]
            in_time = await self.wait(
                lambda passed=passed: metadata.update_version > passed[0] or engine.accumulator.closed,  # type: ignore[misc]
                max(0, deadline_ms - monotonic_ms()) / 1000,
            )
            engine.check_open()
            queues = engine.known_topic(name, partition)
            if queues is not None:
                return queues
            engine.check_topic(name)
            if not in_time or monotonic_ms() >= deadline_ms:
                raise engine.topic_timeout(name, partition, limit_ms)

    async def with_room(self, attempt: Attempt, left_ms: int) -> Appended:
        """Try until it is in. While somebody waits, no batch lingers. Raises BufferFullError, ProducerClosedError."""
        deadline_ms = monotonic_ms() + left_ms
        memory: MemoryWaiter | None = None
        while True:
            room: asyncio.Future[None] = self.loop.create_future()
            appended = attempt(lambda room=room: None if room.done() else room.set_result(None), memory)  # type: ignore[misc]
            if isinstance(appended, Appended):
                return appended
            assert appended is not None
            memory = appended
            await self._wait_for_room(memory, room, deadline_ms, left_ms)

    async def _wait_for_room(
        self, memory: MemoryWaiter, room: asyncio.Future[None], deadline_ms: int, limit_ms: int
    ) -> None:
        engine, began_ms = self.engine, monotonic_ms()
        try:
            self.driver.run_pass()
            async with asyncio.timeout(max(0, deadline_ms - monotonic_ms()) / 1000):
                await room
        except TimeoutError:
            pass
        except BaseException:
            self.accumulator.memory.leave(memory)
            raise
        now_ms = monotonic_ms()
        engine.metrics.memory_wait((now_ms - began_ms) * 1_000_000, now_ms)
        if memory.granted:
            return
        self.accumulator.memory.leave(memory)
        engine.check_open()
        engine.metrics.buffer_exhausted(now_ms)
        raise BufferFullError(memory.size, self.accumulator.memory.capacity, limit_ms, self.accumulator.memory.waiting)

    def push(self, appended: Appended) -> None:
        """Seal what is full, and make a pass where there is something to send: a loop that never yields sends, too."""
        ready = appended.ready
        if appended.closed is not None:
            ready &= self.compress(appended.closed)
        if ready or (appended.opened and (not self._linger_ms or self.accumulator.hurrying)):
            self.driver.run_pass()
        elif appended.opened:
            self.driver.wake_by(monotonic_ms() + self._linger_ms)

    # The end

    async def wait_until_empty(self, timeout_s: float | None) -> bool:
        """Wait until nothing accepted is left, callbacks included; whether that is so. What no waiting cures is no
        reason to wait less: records may be on their way all the same."""
        deadline_ms = None if timeout_s is None else monotonic_ms() + int(timeout_s * 1000)
        while self.accumulator.incomplete:
            left_s = None if deadline_ms is None else max(0, deadline_ms - monotonic_ms()) / 1000
            try:
                if not await self.wait(lambda: not self.accumulator.incomplete, left_s):
                    return False
            except KafkaError:
                continue
        return True

    def close(self) -> None:
        """Accept nothing more; what was accepted leaves at once."""
        self.accumulator.close()
        self.driver.run_pass()

    def abort(self) -> int:
        """Give up what is left; how many records that were."""
        counts: list[int] = []
        self.driver.call(lambda now_ms: counts.append(self.engine.sender.abort(now_ms)))
        return counts[0] if counts else 0

    def end(self) -> None:
        """Close all connections. May be called again."""
        self.driver.call(self.engine.sender.close)
        self.driver.close()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def abandon(self) -> None:
        """Nobody has the producer any more: deliver what was accepted, then end."""
        self._abandoned = True
        if self.loop.is_closed():
            self.end()
            return
        self.close()
        if not self.accumulator.incomplete:
            self.end()
