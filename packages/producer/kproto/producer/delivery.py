"""The future of a record: it owns nothing, and asks its batch.

Layer: producer. Part of the face for threads. A `concurrent.futures.Future` costs about ten times what a record may;
this one is two fields, and is one all the same: `concurrent.futures.wait`, `as_completed` and `asyncio.wrap_future`
take it. They look at `_state`, `_condition` and `_waiters`, which are made when they are asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures._base import FINISHED, PENDING
from typing import Any

from kproto.producer.batch import ProducerBatch
from kproto.producer.completions import call
from kproto.producer.errors import DeliveryError
from kproto.producer.record import RecordMetadata

__all__ = ["Deliveries", "Delivery"]


class BatchSignal:
    """Those who wait for records of one batch: an event for each, and by index the standard library's waiters."""

    __slots__ = ("events", "waiters")

    def __init__(self) -> None:
        self.events: list[tuple[int, threading.Event]] = []
        self.waiters: dict[int, tuple[Delivery, list[Any]]] = {}


class Deliveries:
    """What the futures of one producer share.

    condition: over the accumulator's lock; drive: makes a pass, so that whoever waits need not wait for another thread.
    """

    def __init__(self, condition: threading.Condition, drive: Callable[[], None]) -> None:
        self.condition = condition
        self.drive = drive

    def wake(self, batch: ProducerBatch) -> None:
        """A batch has ended: wake those who wait for its records. Called once it is done."""
        with self.condition:
            signal: BatchSignal | None = batch.root.signal
            if signal is None:
                return
            last = batch.first + batch.count
            for index, event in signal.events:
                if batch.first <= index < last:
                    event.set()
            for index, (delivery, waiters) in signal.waiters.items():
                if batch.first <= index < last:
                    for waiter in waiters:
                        (waiter.add_exception if delivery.failed else waiter.add_result)(delivery)

    def signal_of(self, batch: ProducerBatch) -> BatchSignal:
        """Under the condition."""
        signal: BatchSignal | None = batch.signal
        if signal is None:
            signal = batch.signal = BatchSignal()
        return signal

    def wait(self, delivery: Delivery, timeout: float | None) -> None:
        """Until the record has ended. Raises TimeoutError."""
        event = threading.Event()
        entry = (delivery._index, event)
        with self.condition:
            signal = self.signal_of(delivery._batch)
            signal.events.append(entry)
        try:
            if not delivery.done():
                self.drive()
            if not delivery.done() and not event.wait(timeout):
                raise TimeoutError
        finally:
            with self.condition:
                signal.events.remove(entry)


class Delivery(Future[RecordMetadata]):
    """See the module. Ends with a RecordMetadata or a DeliveryError. It cannot be cancelled: the record is on its way.

    Thread-safe. `result` and `exception` in a callback of an earlier record of the same partition may wait for ever.
    """

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
        """Where the record is. timeout: seconds. Raises DeliveryError, TimeoutError."""
        if not self.done():
            self._batch.context.wait(self, timeout)
        batch, index = self._seen()
        error = batch.error_of(index)
        if error is not None:
            try:
                raise error
            finally:
                error = None  # or the traceback and the frame would keep each other
        return batch.metadata_of(index)

    def exception(self, timeout: float | None = None) -> DeliveryError | None:
        """Why it was not delivered, or None. timeout: seconds. Raises TimeoutError."""
        if not self.done():
            self._batch.context.wait(self, timeout)
        batch, index = self._seen()
        return batch.error_of(index)

    def add_done_callback(self, fn: Callable[[Future[RecordMetadata]], object]) -> None:
        """Call fn(future) when it has ended: in the thread that finds out, or now. What it raises is logged."""
        with self._batch.context.condition:
            batch, index = self._seen()
            if not batch.called_back:
                batch.callbacks.append((index, lambda metadata, error: fn(self)))
                return
        call(lambda metadata, error: fn(self), None, None)

    @property
    def failed(self) -> bool:
        """Whether it has ended with an error."""
        batch, index = self._batch.part_of(self._index)
        return batch.done and batch.error_of(index) is not None

    def _seen(self) -> tuple[ProducerBatch, int]:
        """Where the record is; whoever asks has looked at its failure, or will."""
        batch, index = self._batch.part_of(self._index)
        if batch.witness is not None:
            batch.witness.seen = True
        return batch, index

    def __repr__(self) -> str:
        state = "pending" if not self.done() else "failed" if self.failed else "delivered"
        return f"<Delivery to {self._batch.partition}, {state}>"

    # What the standard library's helpers look at

    @property
    def _state(self) -> str:  # type: ignore[override]
        return FINISHED if self.done() else PENDING

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]
        condition: threading.Condition = self._batch.context.condition
        return condition

    @property
    def _waiters(self) -> list[Any]:  # type: ignore[override]
        signal: BatchSignal = self._batch.context.signal_of(self._batch)
        return signal.waiters.setdefault(self._index, (self, []))[1]

    @property
    def _result(self) -> RecordMetadata | None:  # type: ignore[override]
        batch, index = self._seen()
        return batch.metadata_of(index) if batch.done and batch.error_of(index) is None else None

    @property
    def _exception(self) -> DeliveryError | None:  # type: ignore[override]
        batch, index = self._seen()
        return batch.error_of(index) if batch.done else None
