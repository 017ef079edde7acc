"""What `AsyncProducer.enqueue` gives: awaited, it is where the record was written.

Layer: producer. Part of the face for asyncio. Like `Delivery` it owns nothing, and asks its batch; everything happens
in the thread of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import nullcontext
from contextvars import Context
from typing import Any

from kproto.producer.batch import ProducerBatch
from kproto.producer.errors import DeliveryError
from kproto.producer.record import RecordMetadata

__all__ = ["AsyncDeliveries", "AsyncDelivery"]


class AsyncDeliveries:
    """What the deliveries of one producer share: the loop in which they are awaited."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.condition = nullcontext()  # one thread needs none

    def wake(self, batch: ProducerBatch) -> None:
        """A batch has ended: wake those who wait for its records."""
        signal: list[tuple[int, asyncio.Future[None]]] = batch.root.signal or []
        last = batch.first + batch.count
        for index, future in signal:
            if batch.first <= index < last and not future.done():
                future.set_result(None)

    def future_of(self, delivery: AsyncDelivery) -> asyncio.Future[None]:
        """Ends when the record has."""
        batch = delivery._batch
        if batch.signal is None:
            batch.signal = []
        future: asyncio.Future[None] = self.loop.create_future()
        batch.signal.append((delivery._index, future))
        return future


class AsyncDelivery:
    """See the module. Awaited as often as one likes; whoever stops waiting stops nothing but that.

    `asyncio.wait`, `gather`, `wait_for` and `shield` take it. Not thread-safe, as all of asyncio.
    """

    __slots__ = ("_batch", "_callbacks", "_index")

    def __init__(self, batch: ProducerBatch, index: int) -> None:
        self._batch = batch
        self._index = index
        self._callbacks: dict[Callable[[AsyncDelivery], object], asyncio.Future[None]] | None = None

    def __await__(self) -> Generator[Any, None, RecordMetadata]:
        if not self.done():
            yield from self._batch.context.future_of(self).__await__()
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
        error = self.exception()
        if error is not None:
            raise error
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
        loop = self._batch.context.loop
        if self.done():
            loop.call_soon(fn, self, context=context)
            return
        future = self._batch.context.future_of(self)
        future.add_done_callback(lambda ended: None if ended.cancelled() else fn(self), context=context)
        if self._callbacks is None:
            self._callbacks = {}
        self._callbacks[fn] = future

    def remove_done_callback(self, fn: Callable[[AsyncDelivery], object]) -> int:
        """How many were removed."""
        future = (self._callbacks or {}).pop(fn, None)
        if future is None or future.done():
            return 0
        future.cancel()
        return 1

    def __repr__(self) -> str:
        batch, index = self._batch.part_of(self._index)
        state = "pending" if not batch.done else "delivered" if batch.error_of(index) is None else "failed"
        return f"<AsyncDelivery to {batch.partition}, {state}>"
