"""What `AsyncProducer.enqueue` gives: awaited, it is where the record was written.

Layer: producer. Part of the face for asyncio. Like `Delivery` it owns nothing, and asks its batch; everything happens
in the thread of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import nullcontext
from contextvars import Context
from copy import copy
from typing import Any

from kproto.producer.batch import ProducerBatch
from kproto.producer.errors import DeliveryError
from kproto.producer.record import RecordMetadata

__all__ = ["AsyncDeliveries", "AsyncDelivery"]


class AsyncDeliveries:
    """What the deliveries of one producer share: the loop in which they are awaited.

    The signal of a batch is a dict: who waits -> index of his record.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.condition = nullcontext()  # one thread needs none

    def wake(self, batch: ProducerBatch) -> None:
        """A batch has ended: wake those who wait for its records."""
        waiting: dict[asyncio.Future[None], int] | None = batch.root.signal
        if not waiting or self.loop.is_closed():
            return
        last = batch.first + batch.count
        for future in [future for future, index in waiting.items() if batch.first <= index < last]:
            del waiting[future]
            if not future.done():
                future.set_result(None)

    def future_of(self, delivery: AsyncDelivery) -> asyncio.Future[None]:
        """Ends when the record has."""
        batch = delivery._batch
        if batch.signal is None:
            batch.signal = {}
        future: asyncio.Future[None] = self.loop.create_future()
        batch.signal[future] = delivery._index
        return future

    def forget(self, delivery: AsyncDelivery, future: asyncio.Future[None]) -> bool:
        """Nobody waits by it any more; whether anybody did."""
        return delivery._batch.signal.pop(future, None) is not None


class AsyncDelivery:
    """See the module. Awaited as often as one likes; whoever stops waiting stops nothing but that.

    `asyncio.wait`, `gather`, `wait_for` and `shield` take it. Not thread-safe, as all of asyncio.
    """

    __slots__ = ("_batch", "_callbacks", "_index")

    _batch: ProducerBatch
    _index: int
    _callbacks: list[tuple[Callable[[AsyncDelivery], object], asyncio.Future[None]]]  # made with the first

    def __await__(self) -> Generator[Any, None, RecordMetadata]:
        batch = self._batch
        if batch.done and batch.error is None:
            return batch.metadata_of(self._index)
        if not self.done():
            context = batch.context
            future = context.future_of(self)
            try:
                yield from future
            finally:
                context.forget(self, future)
        return self.result()

    def done(self) -> bool:
        """Whether the record was delivered, or has failed."""
        batch = self._batch
        return batch.done or (bool(batch.parts) and batch.part_of(self._index)[0].done)

    def cancelled(self) -> bool:
        """False."""
        return False

    def cancel(self, msg: object = None) -> bool:
        """False: the record is on its way, and may be written already."""
        return False

    def result(self) -> RecordMetadata:
        """Where the record is. Raises DeliveryError; asyncio.InvalidStateError where it has not ended."""
        batch = self._batch
        if batch.done and batch.error is None:
            return batch.metadata_of(self._index)
        error = self.exception()
        if error is not None:
            raise copy(error)  # all records of a batch have the same one, which would gather all their tracebacks
        batch, index = self._batch.part_of(self._index)
        return batch.metadata_of(index)

    def exception(self) -> DeliveryError | None:
        """Why it was not delivered, or None. Raises asyncio.InvalidStateError where it has not ended."""
        if not self.done():
            raise asyncio.InvalidStateError("the record has not ended yet")
        batch, index = self._batch.part_of(self._index)
        if batch.witness is not None:
            batch.witness.seen = True
        return batch.error_of(index)

    def add_done_callback(self, fn: Callable[[AsyncDelivery], object], *, context: Context | None = None) -> None:
        """Have the loop call fn(self) once it has ended."""
        deliveries = self._batch.context
        if self.done():
            deliveries.loop.call_soon(fn, self, context=context)
            return
        future = deliveries.future_of(self)
        future.add_done_callback(lambda ended: fn(self), context=context)
        if not hasattr(self, "_callbacks"):
            self._callbacks = []
        self._callbacks.append((fn, future))

    def remove_done_callback(self, fn: Callable[[AsyncDelivery], object]) -> int:
        """How many were removed."""
        callbacks = getattr(self, "_callbacks", [])
        found = [each for each in callbacks if each[0] == fn]
        self._callbacks = [each for each in callbacks if each not in found]
        return sum(self._batch.context.forget(self, future) for _, future in found)

    def __repr__(self) -> str:
        batch, index = self._batch.part_of(self._index)
        state = "pending" if not batch.done else "delivered" if batch.error_of(index) is None else "failed"
        return f"<AsyncDelivery to {batch.partition}, {state}>"
