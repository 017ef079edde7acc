"""The thread of a producer: it has the event loop, and lives until the producer is closed and everything has ended.

Layer: producer. Part of the face for threads. It does not know the face, so that one that is dropped unclosed can be
collected: then it delivers what was accepted, and ends by itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final

from kproto.client import ConnectionObserver
from kproto.client.driver import Driver
from kproto.producer.completions import Completions
from kproto.producer.config import ProducerConfig
from kproto.producer.delivery import Deliveries
from kproto.producer.engine import Engine
from kproto.producer.events import BatchObserver
from kproto.producer.interrupts import HeldSignals
from kproto.wire import KafkaError

__all__ = ["EngineThread"]

ABORT_S: Final = 0.1  # for a pass that is under way, when the producer is closed by force
JOIN_S: Final = 0.1


class EngineThread:
    """See the module. engine: what it drives; condition: over the accumulator's lock, told of every change.

    Raises what Engine raises. Opens nothing, but starts the thread.
    """

    def __init__(
        self,
        config: ProducerConfig,
        observer: ConnectionObserver | None,
        batch_observer: BatchObserver | None,
    ) -> None:
        lock = threading.RLock()
        self.condition = threading.Condition(lock)
        self.engine = Engine(config, lock=lock, observer=observer, batch_observer=batch_observer)
        self.deliveries = Deliveries(self.condition, self.run_pass)
        self.engine.accumulator.context = self.deliveries
        self.completions = Completions(self.engine.accumulator, self._batch_through)
        self.fatal: KafkaError | None = None
        """What no waiting for metadata cures, as last told; waiters look at it while they wait."""
        self._seen: tuple[int, Any] = (-1, None)
        self._abandoned = False
        self._stopping = False
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="kproto-producer", daemon=True)
        self._thread.start()
        ready.wait()
        if self._start_error is not None:
            raise self._start_error

    _start_error: BaseException | None = None

    # The thread

    def _run(self, ready: threading.Event) -> None:
        loop = asyncio.SelectorEventLoop()
        try:
            self._loop = loop
            self.driver: Driver = self.engine.driver(loop, self._collect, self._deliver, HeldSignals)
        except BaseException as error:
            self._start_error = error
            loop.close()
            return
        finally:
            ready.set()
        try:
            self.run_pass()
            loop.run_forever()
        finally:
            self.driver.call(self.engine.sender.close)
            self.driver.close()
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def run_pass(self) -> None:
        """Make a pass, by this thread. For any thread."""
        self.driver.run_pass()

    def _collect(self) -> None:
        """Inside the guard, at the end of each pass."""
        engine = self.engine
        ended = engine.take_ended()
        for batch in ended:
            self.deliveries.wake(batch)
        self.completions.add(ended)
        metadata = engine.network.metadata
        fatal = metadata.take_fatal_error()
        seen = (metadata.update_version, engine.ready)
        if fatal is not None or seen != self._seen:
            self._seen = seen
            with self.condition:
                self.fatal = fatal
                self.condition.notify_all()

    def _deliver(self, _: None) -> None:
        self.completions.run()

    def _batch_through(self) -> None:
        accumulator = self.engine.accumulator
        if accumulator.flushes or accumulator.closed:
            with self.condition:
                self.condition.notify_all()
        if self._abandoned and not accumulator.incomplete:
            self.stop()

    # For any thread

    def close(self) -> None:
        """Accept nothing more; what was accepted leaves at once."""
        self.engine.accumulator.close()
        with self.condition:
            self.condition.notify_all()
        self.run_pass()

    def ask_for_topic(self, topic: str) -> Callable[[], bool]:
        """Ask for its metadata; what tells whether there is news: an answer, what no waiting cures, or the end."""
        engine = self.engine
        metadata = engine.network.metadata
        passed: list[int] = []
        has_come = self.expect_news(lambda: bool(passed) and metadata.update_version > passed[0])
        self.driver.call(lambda now_ms: passed.append(engine.ask_for_topic(topic, now_ms)))
        return has_come

    def expect_news(self, wanted: Callable[[], bool]) -> Callable[[], bool]:
        """What tells, under the condition, that it is as wanted, or that `fatal` or the end came first."""
        with self.condition:
            self.fatal = None
        return lambda: wanted() or self.fatal is not None or self.engine.accumulator.closed

    def wait_until_empty(self, timeout_s: float | None) -> bool:
        """Wait until nothing accepted is left, callbacks included; whether that is so."""
        incomplete = self.engine.accumulator.incomplete
        with self.condition:
            return self.condition.wait_for(lambda: not incomplete, timeout_s)

    def abort(self) -> int:
        """Give up what is left; how many records that were."""
        done = threading.Event()
        count = 0

        def give_up(now_ms: int) -> None:
            nonlocal count
            count = self.engine.sender.abort(now_ms)
            done.set()

        self.driver.call(give_up)
        done.wait(ABORT_S)
        self.completions.run()
        return count

    def stop(self) -> None:
        """End the thread, without waiting for it."""
        if not self._stopping:
            self._stopping = True
            try:
                self._loop.call_soon_threadsafe(self._loop.stop)
            except RuntimeError:  # it is closed already
                return

    def join(self, timeout_s: float = JOIN_S) -> None:
        """Wait for the end of the thread, but not from within it."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def abandon(self) -> None:
        """Nobody has the producer any more: deliver what was accepted, then end."""
        self._abandoned = True
        self.engine.accumulator.close()
        self._loop.call_soon_threadsafe(self._abandoned_pass)  # this may be any thread, and inside the guard

    def _abandoned_pass(self) -> None:
        self.run_pass()
        if not self.engine.accumulator.incomplete:
            self.stop()
