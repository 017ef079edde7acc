"""The future of a record: it owns nothing, and asks its batch.

Layer: producer. Part of the face for threads. A `concurrent.futures.Future` costs about ten times what a record may;
this one is two fields, and is one all the same: `concurrent.futures.wait`, `as_completed` and `asyncio.wrap_future`
take it. They look at `_state`, `_condition` and `_waiters`, which are made when they are asked for (`WatchedRecord`).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures._base import FINISHED, PENDING
from contextlib import AbstractContextManager
from copy import copy
from typing import Any

from kproto.producer.batch import ProducerBatch
from kproto.producer.bell import Bell
from kproto.producer.completions import survive
from kproto.producer.errors import DeliveryError
from kproto.producer.interrupts import HeldSignals
from kproto.producer.record import RecordMetadata
from kproto.producer.unseen import UnseenFailure

__all__ = ["Deliveries", "Delivery"]


class WatchedRecord:
    """What the standard library's helpers see of a record, and the lock that they take around their look.

    It keeps nobody out: as long as anybody holds it, the record seems to stay as it is, and who has looked at it hears
    of its end when the last one has let go. So the sender never waits for a thread that looks at thousands of futures,
    and two that look at the same futures in another order never wait for each other.
    """

    __slots__ = ("_ended", "_future", "_held", "_lock", "told", "waiters")

    def __init__(self, future: Delivery, lock: AbstractContextManager[Any]) -> None:
        self._future: Delivery | None = future
        self._lock = lock
        self._held = 0
        self._ended = False
        self.told = False
        """Whether it has ended for those who look."""
        self.waiters: list[Any] = []

    def acquire(self) -> bool:
        """Stay as it is."""
        with self._lock:
            self._held += 1
        return True

    def release(self) -> None:
        """It may end."""
        with self._lock:
            self._held -= 1
        if self._ended and not self.told:
            with HeldSignals():
                self._tell()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exception: object) -> None:
        self.release()

    def end(self) -> None:
        """The record has ended."""
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            future = self._future
            if self._held or future is None:
                return
            self.told, self._future = True, None  # that would keep the batch, and the batch this
            waiters = [*self.waiters]
        for waiter in waiters:
            (waiter.add_exception if future.failed else waiter.add_result)(future)


class BatchSignal:
    """Those who wait for records of one batch: threads, and by index the standard library's waiters."""

    __slots__ = ("bell", "watched")

    def __init__(self) -> None:
        self.bell = Bell()
        self.watched: dict[int, WatchedRecord] = {}


class Deliveries:
    """What the futures of one producer share.

    condition: the accumulator's lock; wait: waits by a bell until something holds, and makes passes as need be; check:
    raises where nothing will end any more.
    """

    def __init__(
        self,
        condition: AbstractContextManager[Any],
        wait: Callable[[Bell, Callable[[], bool], float | None], bool],
        check: Callable[[], None],
    ) -> None:
        self.condition = condition
        self.check = check
        self._wait = wait

    def wake(self, batch: ProducerBatch) -> None:
        """A batch has ended: wake those who wait for its records. Called once it is done."""
        with self.condition:
            signal: BatchSignal | None = batch.root.signal
            if signal is None:
                return
            last = batch.first + batch.count
            ended = [record for index, record in signal.watched.items() if batch.first <= index < last]
        signal.bell.ring()
        for record in ended:
            record.end()

    def wait(self, delivery: Delivery, timeout_s: float | None) -> None:
        """Until the record has ended. Raises TimeoutError, ForkedProducerError."""
        self.check()
        with self.condition:
            bell = self._signal_of(delivery._batch).bell
        if not self._wait(bell, delivery.done, timeout_s):
            raise TimeoutError

    def watched(self, delivery: Delivery) -> WatchedRecord | None:
        """What helpers see of it, if one has looked."""
        signal: BatchSignal | None = delivery._batch.signal
        return None if signal is None else signal.watched.get(delivery._index)

    def watch(self, delivery: Delivery) -> WatchedRecord:
        """The same, made now if need be. Raises ForkedProducerError."""
        self.check()
        with self.condition:
            watched = self._signal_of(delivery._batch).watched
            record = watched.get(delivery._index)
            if record is None:
                record = watched[delivery._index] = WatchedRecord(delivery, self.condition)
        if delivery.done():
            record.end()  # `wake` may have passed already
        return record

    def _signal_of(self, batch: ProducerBatch) -> BatchSignal:
        signal: BatchSignal | None = batch.signal
        if signal is None:
            signal = batch.signal = BatchSignal()
        return signal


class Delivery(Future[RecordMetadata]):
    """See the module. Ends with a RecordMetadata or a DeliveryError. It cannot be cancelled: the record is on its way.

    Thread-safe.
    """

    __slots__ = ("_batch", "_index")

    _batch: ProducerBatch
    _index: int

    __init__ = object.__init__  # nothing to set up: this alone is most of what it saves

    def done(self) -> bool:
        """Whether the record was delivered, or has failed."""
        batch = self._batch
        return batch.done or (bool(batch.parts) and batch.part_of(self._index)[0].done)

    def cancel(self) -> bool:
        """False: it may be written already."""
        return False

    def cancelled(self) -> bool:
        """False."""
        return False

    def running(self) -> bool:
        """False: Kafka's own is never running, either."""
        return False

    def result(self, timeout: float | None = None) -> RecordMetadata:
        """Where the record is. timeout: seconds. Raises DeliveryError, TimeoutError; ForkedProducerError in a child,
        RuntimeError in a signal's handler that has interrupted the producer."""
        batch = self._batch
        if batch.done and batch.error is None:
            return batch.metadata_of(self._index)
        error = self.exception(timeout)
        if error is not None:
            raise copy(error)  # all records of a batch have the same one, which would gather all their tracebacks
        batch, index = self._batch.part_of(self._index)
        return batch.metadata_of(index)

    def exception(self, timeout: float | None = None) -> DeliveryError | None:
        """Why it was not delivered, or None. timeout: seconds. Raises as `result` for what is not over."""
        if not self.done():
            self._batch.context.wait(self, timeout)
        batch, index = self._seen()
        return batch.error_of(index)

    def add_done_callback(self, fn: Callable[[Future[RecordMetadata]], object]) -> None:
        """Call fn(future) when it has ended: in the thread that finds out, or now. What it raises is logged."""
        context = self._batch.context
        context.check()
        with context.condition:
            batch, index = self._seen()
            if not batch.called_back:
                batch.call_back(index, lambda metadata, error: fn(self))
                return
        try:
            fn(self)
        except BaseException as raised:
            survive(raised)

    @property
    def failed(self) -> bool:
        """Whether it has ended with an error."""
        batch, index = self._batch.part_of(self._index)
        return batch.done and batch.error_of(index) is not None

    def _seen(self) -> tuple[ProducerBatch, int]:
        """Where the record is; whoever asks has looked at its failure, or will."""
        batch, index = self._batch.part_of(self._index)
        if batch.error is not None:
            with self._batch.context.condition:
                batch.witness = batch.witness or UnseenFailure(batch)
                batch.witness.seen = True
        return batch, index

    def __repr__(self) -> str:
        state = "pending" if not self.done() else "failed" if self.failed else "delivered"
        return f"<Delivery to {self._batch.partition}, {state}>"

    # What the standard library's helpers look at: fields of Future, which are worked out here, hence the overrides

    @property
    def _state(self) -> str:  # type: ignore[override]
        record = self._batch.context.watched(self)
        return FINISHED if (self.done() if record is None else record.told) else PENDING

    @property
    def _condition(self) -> WatchedRecord:  # type: ignore[override]
        record: WatchedRecord = self._batch.context.watch(self)
        return record

    @property
    def _waiters(self) -> list[Any]:  # type: ignore[override]
        waiters: list[Any] = self._batch.context.watch(self).waiters
        return waiters

    @property
    def _result(self) -> RecordMetadata | None:  # type: ignore[override]
        batch, index = self._seen()
        return batch.metadata_of(index) if batch.done and batch.error_of(index) is None else None

    @property
    def _exception(self) -> DeliveryError | None:  # type: ignore[override]
        batch, index = self._seen()
        return batch.error_of(index) if batch.done else None

    def _get_snapshot(self) -> tuple[bool, bool, RecordMetadata | None, DeliveryError | None]:
        """For asyncio of Python 3.14: done, cancelled, result, exception."""
        return self.done(), False, self._result, self._exception
