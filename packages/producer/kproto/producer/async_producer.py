"""The face of the producer for asyncio.

Layer: producer. It runs in the loop of whoever starts it.

    async with AsyncProducer("localhost:9092") as producer:
        metadata = await producer.send("orders", b"value", b"key")   # delivered
        delivery = await producer.enqueue("orders", b"value")        # accepted; awaited, it is delivered
"""

from __future__ import annotations

import asyncio
import time
import warnings
import weakref
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from kproto.client import ConnectionObserver, KafkaTimeoutError, Partition
from kproto.producer.async_bulk import send_columns
from kproto.producer.async_delivery import AsyncDelivery
from kproto.producer.async_engine import AsyncEngine
from kproto.producer.batch import OnDelivery
from kproto.producer.bulk import BulkDelivery, RecordRange
from kproto.producer.config import ProducerConfig
from kproto.producer.errors import BulkDeliveryError, ProducerClosedError
from kproto.producer.events import BatchObserver
from kproto.producer.metrics import MetricName
from kproto.producer.record import RecordMetadata
from kproto.producer.record_path import ProducerRecord
from kproto.wire.records import RecordBatchBuilder

if TYPE_CHECKING:
    from typing import Self

__all__ = ["AsyncProducer"]


class AsyncProducer:
    """See the module. Arguments as those of Producer; raises ConfigError. Opens nothing before `start`, which
    `async with` calls.

    All methods are for the loop that started it, while it runs: elsewhere they raise RuntimeError, but for `metrics`.
    """

    def __init__(
        self,
        bootstrap_servers: str | Sequence[str] = "localhost:9092",
        *,
        observer: ConnectionObserver | None = None,
        batch_observer: BatchObserver | None = None,
        **settings: Any,
    ) -> None:
        self.config = ProducerConfig.of(bootstrap_servers=bootstrap_servers, **settings)
        self._observers = (observer, batch_observer)
        self._running: AsyncEngine | None = None
        self._closed = False
        self._forgotten: weakref.finalize[Any, Any] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncProducer to {', '.join(self.config.bootstrap_servers)}>"

    async def start(self) -> None:
        """Begin to connect, in the background: see `wait_ready`. May be called again. Raises ConfigError,
        ProducerClosedError."""
        if self._closed:
            raise ProducerClosedError
        if self._running is not None:
            self._running.check()
            return
        engine = self._running = AsyncEngine(self.config, asyncio.get_running_loop(), *self._observers)
        self._forgotten = weakref.finalize(self, _forget, engine, repr(self))
        self._forgotten.atexit = False
        engine.driver.run_pass()
        appends = engine.appends
        if appends.fast_enqueue is not None:
            if type(self).enqueue is AsyncProducer.enqueue:
                self.enqueue = appends.fast_enqueue  # type: ignore[method-assign]  # of this object
            if type(self).try_enqueue is AsyncProducer.try_enqueue:
                self.try_enqueue = appends.fast_try_enqueue  # type: ignore[method-assign]  # of this object

    def _started(self) -> AsyncEngine:
        engine = self._running
        if engine is None:
            what = "closed" if self._closed else "not started: use async with, or await start()"
            raise ProducerClosedError(f"the producer is {what}")
        engine.check()
        if self._closed:
            raise ProducerClosedError
        return engine

    # Sending

    async def send(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] | None = None,
    ) -> RecordMetadata:
        """Deliver a record: where it is. Arguments and errors as those of `enqueue`; also raises DeliveryError.

        A cancelled `send` takes nothing back: an accepted record is on its way.
        """
        return await (
            await self.enqueue(topic, value, key, partition=partition, timestamp_ms=timestamp_ms, headers=headers)
        )

    async def enqueue(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> AsyncDelivery:
        """Accept a record, waiting up to max_block_ms for metadata and for room; awaited again, it is delivered.

        Arguments and errors are those of Producer.send. on_delivery is called in the loop's thread.
        """
        return await self._started().appends.enqueue(
            topic, value, key, partition=partition, timestamp_ms=timestamp_ms, headers=headers, on_delivery=on_delivery
        )

    def try_enqueue(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> AsyncDelivery:
        """Accept a record at once, or raise: BufferFullError without room, KafkaTimeoutError without metadata of the
        topic, which `partitions_for` waits for. Else as `enqueue`."""
        return self._started().appends.try_enqueue(
            topic, value, key, partition=partition, timestamp_ms=timestamp_ms, headers=headers, on_delivery=on_delivery
        )

    async def send_many(
        self,
        topic: str,
        values: Sequence[Any],
        keys: Sequence[Any] | None = None,
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] | None = None,
    ) -> asyncio.Future[tuple[RecordRange, ...]]:
        """Accept many records; one future for all of them. See Producer.send_many.

        Cancelling the future, or a task that awaits it without asyncio.shield, takes no record back; and whoever is
        cancelled before he has the future has sent the records that were accepted until then.
        """
        running = self._started()
        if keys is not None and len(keys) != len(values):
            raise ValueError(f"keys and values: as many of the one as of the other, not {len(keys)} and {len(values)}")
        future: asyncio.Future[tuple[RecordRange, ...]] = asyncio.get_running_loop().create_future()

        def finish(ranges: tuple[RecordRange, ...], error: BulkDeliveryError | None) -> None:
            if future.done() or future.get_loop().is_closed():
                return
            if error is None:
                future.set_result(ranges)
            else:
                future.set_exception(error)

        bulk, pairs = BulkDelivery(finish), running.engine.path.headers(headers)
        try:
            if await send_columns(running, topic, values, keys, partition, timestamp_ms, pairs, bulk):
                return future
            for place, value in enumerate(values):
                try:
                    key = None if keys is None else keys[place]
                    delivery = await self.enqueue(
                        topic, value, key, partition=partition, timestamp_ms=timestamp_ms, headers=pairs
                    )
                except Exception as error:
                    if not bulk.accepted:
                        raise
                    bulk.refuse(topic, range(place, len(values)), error)
                    break
                bulk.add(delivery._batch, delivery._index, place)
        finally:
            bulk.through()
        return future

    async def send_batch(
        self, topic: str, partition: int, batch: RecordBatchBuilder, *, on_delivery: OnDelivery | None = None
    ) -> AsyncDelivery:
        """Accept a batch that was built by hand. See Producer.send_batch."""
        if not batch.count:
            raise ValueError("batch: at least one record")
        return await self._started().appends.enqueue_batch(topic, partition, batch, on_delivery)

    # Waiting

    async def flush(self, timeout: float | None = None) -> None:
        """Wait until all that was accepted before has ended, callbacks included; nothing lingers meanwhile.

        timeout: seconds. Raises KafkaTimeoutError with the count that is left.
        """
        engine = self._started()
        incomplete, began_ns = engine.accumulator.incomplete, time.monotonic_ns()
        batches = engine.accumulator.begin_flush()

        def over() -> bool:
            while batches and batches[-1] not in incomplete:
                batches.pop()
            return not batches

        try:
            engine.driver.run_pass()
            if not await engine.wait(over, timeout):
                left = sum(batch.count for batch in batches if batch in incomplete)
                raise KafkaTimeoutError(f"flush: {left} records are not delivered yet", (timeout or 0) * 1000)
        finally:
            engine.accumulator.end_flush()
            engine.engine.metrics.flush_time(time.monotonic_ns() - began_ns)

    async def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until the cluster is known, and the producer id where one is needed. See Producer.wait_ready."""
        engine = self._started()
        parts = engine.engine
        timeout_s = self.config.max_block_ms / 1000 if timeout is None else timeout
        await engine.wait_until_ready(timeout_s)
        parts.check_open()
        if not parts.ready:
            cause = parts.network.connection_error() or parts.sender.producer_id.last_error
            raise KafkaTimeoutError("the cluster and a producer id", timeout_s * 1000, cause)

    async def partitions_for(self, topic: str) -> tuple[Partition, ...]:
        """The partitions of a topic in order, those without a leader, too. Waits and raises as `enqueue`."""
        await self._started().appends.topic(ProducerRecord(topic))
        return self._started().engine.network.cluster.partitions_for(topic)

    def metrics(self) -> dict[MetricName, float]:
        """The metrics now, under Java's names where it has them; also of a producer that is closed."""
        engine = self._running or self._started()
        return engine.engine.snapshot()

    async def close(self, timeout: float | None = None) -> int:
        """Accept nothing more, deliver what was accepted, and end. How many records were given up.

        timeout: seconds; None for as long as it takes, which delivery_timeout_ms bounds. May be called again.
        Never raises but ValueError for a negative timeout, and RuntimeError in another loop; where it is cancelled, it
        gives up what is left, and ends.
        """
        if timeout is not None and timeout < 0:
            raise ValueError(f"timeout: seconds from 0, or None, not {timeout}")
        engine = self._running
        if engine is None or engine.fork.forked:
            self._closed = True
            return 0
        outlived = engine.loop.is_closed()
        if not outlived:
            engine.check()
        assert self._forgotten is not None
        self._forgotten.detach()
        self._closed = True
        if outlived:
            return engine.give_up()
        engine.close()
        over, incomplete = False, engine.accumulator.incomplete
        try:
            over = await engine.wait(lambda: not incomplete, timeout)
        finally:
            abandoned = 0 if over else engine.abort()
            engine.end()
        return abandoned


def _forget(engine: AsyncEngine, name: str) -> None:
    """The owner is collected, and nobody has closed it: this may be any thread."""
    if not engine.fork.forked:
        engine.abandon()
        warnings.warn(f"unclosed {name}: use async with, or await close()", ResourceWarning, stacklevel=2)
