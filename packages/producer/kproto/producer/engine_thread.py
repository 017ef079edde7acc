"""The thread of a producer: it has the event loop, and lives until the producer is closed and everything has ended.

Layer: producer. Part of the face for threads. It does not know the face, so that one that is dropped unclosed can be
collected: then it delivers what was accepted, and ends by itself.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from kproto.client import ConnectionObserver
from kproto.client.driver import Driver
from kproto.producer.bell import Bell
from kproto.producer.completions import Completions
from kproto.producer.config import ProducerConfig
from kproto.producer.delivery import Deliveries
from kproto.producer.engine import Engine
from kproto.producer.events import BatchObserver
from kproto.producer.forks import ForkMark
from kproto.producer.interrupts import HeldSignals
from kproto.producer.pace import PassPace
from kproto.wire import KafkaError

__all__ = ["EngineThread"]

ABORT_S: Final = 0.1  # for a pass that is under way, when the producer is closed by force
JOIN_S: Final = 0.1
POLL_S: Final = 0.005  # between passes of one who waits while the thread is in callbacks, and so reads nothing
LOOK_S: Final = 1.0  # between looks whether it is


class EngineThread:
    """See the module. engine: what it drives; fork: whether this is a child of its process; at_end: called once it has
    ended, however it does.

    Thread-safe. Raises what Engine raises, OSError and RuntimeError where the system gives no thread.
    """

    def __init__(
        self,
        config: ProducerConfig,
        observer: ConnectionObserver | None,
        batch_observer: BatchObserver | None,
    ) -> None:
        lock = threading.RLock()
        self.entered: Callable[[], bool] = lock._is_owned  # type: ignore[attr-defined]  # Condition uses it, too
        """Whether this thread is in a signal's handler, or in a finalizer, that has interrupted it in the accumulator:
        nothing there can be relied upon then, and who would wait for it would wait for itself."""
        self.engine = Engine(config, lock=lock, observer=observer, batch_observer=batch_observer)
        self.fork = ForkMark(self, self.engine.accumulator.routes)
        self.deliveries = Deliveries(lock, self.wait_for, self.fork.check)
        self.engine.accumulator.context = self.deliveries
        self.completions = Completions(self.engine.accumulator, self._batch_through)
        self.at_end: Callable[[], object] = _nothing
        self._news = Bell()
        """Rings for what flushes, closes, and waits for metadata look at."""
        self._fatal: KafkaError | None = None
        self._fatals = 0
        """What no waiting for metadata cures, and how often that has come."""
        self._seen: tuple[Any, ...] = ()
        self._calls_back = False
        self._pace = PassPace()
        self._closing = False
        self._ending = False
        self._loop = asyncio.SelectorEventLoop()
        self._started = False
        self._start_error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="kproto-producer", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the system has none left
            self._loop.close()
            raise
        self._news.wait_for(lambda: self._started)
        if self._start_error is not None:
            raise self._start_error

    # The thread

    def _run(self) -> None:
        loop = self._loop
        try:
            self.driver: Driver = self.engine.driver(loop, self._collect, self._deliver, HeldSignals)
        except BaseException as error:
            self._start_error = error
            loop.close()
            return
        finally:
            self._started = True
            self._news.ring()
        try:
            self.run_pass()
            loop.run_forever()
        finally:
            self._ending = True
            self.engine.accumulator.close()
            self.driver.call(self._end)
            self.driver.close()
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            self.at_end()

    def _end(self, now_ms: int) -> None:
        self.engine.sender.abort(now_ms)
        self.engine.sender.close(now_ms)

    def _collect(self) -> None:
        """Inside the guard, at the end of each pass."""
        engine = self.engine
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
            self._news.ring()

    def _deliver(self, _: None) -> None:
        if threading.current_thread() is not self._thread or self._calls_back:
            self.completions.run()
            return
        self._calls_back = True
        try:
            self.completions.run()
        finally:
            self._calls_back = False

    def _batch_through(self) -> None:
        accumulator = self.engine.accumulator
        if accumulator.flushes or accumulator.closed:
            self._news.ring()
            self._stop_if_over()

    # Passes, by any thread

    def check_outside(self) -> None:
        """Raises RuntimeError where this thread is inside, see `entered`."""
        if self.entered():
            raise RuntimeError(
                "a signal's handler or a finalizer has interrupted a send, and so can neither send nor wait: "
                "have it set a flag, and do the rest where the flag is looked at"
            )

    def help(self) -> None:
        """Make a pass for a batch that is full, but not too often, see PassPace; the end of the loop's nap brings one,
        too."""
        self.driver.helped_ns = began_ns = time.monotonic_ns()
        if self._pace.allows(self.engine.sender.calls, began_ns):
            self.run_pass()
            self._pace.passed(began_ns, time.monotonic_ns())

    def run_pass(self) -> None:
        """Make a pass. Whatever interrupts it, the producer's own thread goes on with what is left."""
        if self.entered():
            self.driver.wake()
            return
        try:
            self.driver.run_pass()
        except BaseException:
            self.driver.wake()
            raise

    def _call(self, action: Callable[[int], None]) -> None:
        """The same, with something to do inside the guard."""
        try:
            self.driver.call(action)
        except BaseException:
            self.driver.wake()
            raise

    def wait_for(self, bell: Bell, wanted: Callable[[], bool], timeout_s: float | None) -> bool:
        """Whether it holds in time; a pass at least is made for it. Raises RuntimeError where this thread is inside.

        While the producer's own thread is in a callback, he makes the passes: that one may wait for what he holds.
        """
        self.check_outside()
        if wanted():
            return True
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        lock, driver = self.engine.accumulator.lock, self.driver
        with lock:
            driver.awaited += 1
        try:
            while not wanted():
                left_s = LOOK_S if deadline_s is None else deadline_s - time.monotonic()
                if left_s <= 0 or not self.engine.sender.calls:
                    self.run_pass()
                if left_s <= 0:
                    return wanted()
                ends_s = time.monotonic() + min(left_s, POLL_S if self._calls_back else LOOK_S)
                if self.engine.sender.calls:
                    driver.drive(wanted, ends_s)
                else:
                    driver.end_nap()  # what comes without having been asked for is read by the loop
                bell.wait_for(wanted, max(0.0, ends_s - time.monotonic()))
        finally:
            with lock:
                driver.awaited -= 1
        return True

    # What threads wait for

    def wait_for_topic(self, topic: str, timeout_s: float) -> bool:
        """Ask for its metadata, and wait for an answer, or the end; whether that came in time. Raises what no waiting
        cures."""
        self.check_outside()
        metadata = self.engine.network.metadata
        asked: list[int] = []
        fatals = self._fatals
        self._call(lambda now_ms: asked.append(self.engine.ask_for_topic(topic, now_ms)))
        return self._wait_for_cluster(lambda: bool(asked) and metadata.update_version > asked[0], timeout_s, fatals)

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Wait for the cluster and a producer id, or the end; as `wait_for_topic`."""
        return self._wait_for_cluster(lambda: self.engine.ready, timeout_s, self._fatals)

    def _wait_for_cluster(self, wanted: Callable[[], bool], timeout_s: float, fatals: int) -> bool:
        accumulator = self.engine.accumulator

        def over() -> bool:
            return wanted() or self._fatals != fatals or accumulator.closed

        in_time = self.wait_for(self._news, over, timeout_s)
        if self._fatals != fatals and not wanted() and not accumulator.closed:
            assert self._fatal is not None
            raise self._fatal
        return in_time

    def wait_until_over(self, over: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait for batches; looked at whenever one is through while anybody flushes or closes."""
        return self.wait_for(self._news, over, timeout_s)

    # The end

    def close(self) -> None:
        """Accept nothing more; what was accepted leaves at once, and then the thread ends."""
        self._closing = True
        self.engine.accumulator.close()
        self._news.ring()
        self.run_pass()
        self._stop_if_over()

    def abandon(self) -> None:
        """The same without a pass, for whoever must not wait, a finalizer: the thread does it."""
        with suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self.close)

    def abort(self) -> int:
        """Give up what is left; how many records that were."""
        done, counts = Bell(), [0]
        left = sum(batch.count for batch in [*self.engine.accumulator.incomplete] if not batch.all_done)

        def give_up(now_ms: int) -> None:
            counts.append(self.engine.sender.abort(now_ms))
            done.ring()

        self._call(give_up)
        in_time = done.wait_for(lambda: len(counts) > 1, ABORT_S)
        self.completions.run()
        return counts[-1] if in_time else left

    def _stop_if_over(self) -> None:
        if self._closing and not self.engine.accumulator.incomplete:
            self.stop()

    def stop(self) -> None:
        """End the thread, without waiting for it, and without those who wait for anything."""
        with suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._stop_now)

    def _stop_now(self) -> None:
        if not self._ending:  # or what the end itself waits for would be stopped
            self._loop.stop()

    def join(self) -> None:
        """Wait a little for the end of the thread, but not from within it."""
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_S)


def _nothing() -> None:
    """Nobody asks to be told of the end."""
