"""The face of the producer for threads.

Layer: producer. One thread of its own, with an event loop; whoever sends, flushes or waits helps it along.

    with Producer("localhost:9092", compression_type="zstd") as producer:
        future = producer.send("orders", b"value", b"key", headers=[("trace", b"1")])
        print(future.result(timeout=10).offset)
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any

from kproto.client import ConnectionObserver, KafkaTimeoutError, Partition
from kproto.producer.batch import OnDelivery, ProducerBatch
from kproto.producer.blocking import BlockingAppends
from kproto.producer.blocking_bulk import send_columns
from kproto.producer.bulk import BulkDelivery, RecordRange
from kproto.producer.config import ProducerConfig
from kproto.producer.delivery import Delivery
from kproto.producer.engine_thread import EngineThread
from kproto.producer.errors import BulkDeliveryError
from kproto.producer.events import BatchObserver
from kproto.producer.exits import Exits
from kproto.producer.interrupts import HeldSignals
from kproto.producer.metrics import MetricName
from kproto.wire.records import RecordBatchBuilder

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Producer"]


class Producer:
    """See the module.

    bootstrap_servers: "host:port" or several, with commas or as a list; settings: those of ProducerConfig, by name;
    observer: hears of each connection and frame, such as a recorder; batch_observer: of each batch, why it leaves and
    why it is held. Raises ConfigError. It connects in the background: see `wait_ready`.

    All methods are thread-safe, and may be interrupted at any moment; a signal's handler that has interrupted a send
    cannot wait, nor send what needs a new batch (RuntimeError). Use `with`, or call `close`; at the exit of the
    interpreter what was accepted is delivered, for a short while.
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
        with HeldSignals():  # or Ctrl-C could leave a thread that nobody ends
            self._thread = EngineThread(self.config, observer, batch_observer)
            self._engine = self._thread.engine
            self._appends = BlockingAppends(self._thread)
            self._exits = Exits(self, self._thread)
        if self._appends.fast_send is not None and type(self).send is Producer.send:
            self.send = self._appends.fast_send  # type: ignore[method-assign]  # of this object

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Producer to {', '.join(self.config.bootstrap_servers)}>"

    # Sending

    def send(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> Delivery:
        """Accept a record; its future ends with a RecordMetadata, or a DeliveryError that tells whether it is written.

        Waits up to max_block_ms, for the topic's metadata and for room in buffer_memory together. key, value: bytes,
        or what the serializers take; None is a value. partition: None where the partitioner chooses. timestamp_ms:
        since the epoch, now if None. headers: pairs of str and bytes or None. on_delivery(metadata, error): called when
        it has ended, in any thread; quick, please.

        Raises, and then nothing was accepted: BufferFullError, KafkaTimeoutError (no metadata), DeliveryError (no such
        topic, not authorized, too large), SerializationError, PartitionerError, EncodeError, ProducerClosedError,
        ProducerFatalError, ForkedProducerError, TypeError, ValueError.
        """
        return self._appends.send(topic, value, key, partition, timestamp_ms, headers, on_delivery)

    def send_many(
        self,
        topic: str,
        values: Sequence[Any],
        keys: Sequence[Any] | None = None,
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] | None = None,
    ) -> Future[tuple[RecordRange, ...]]:
        """Accept many records; one future for all of them, with the ranges that they were written to.

        keys: as many as values, or None. The rest is as in `send`, for all records alike. The future's error, a
        BulkDeliveryError, holds what was delivered, and what was not or was not even accepted. Raises as `send`, and
        then no record was accepted; ValueError where keys and values are not equally many.
        """
        if keys is not None and len(keys) != len(values):
            raise ValueError(f"keys and values: as many of the one as of the other, not {len(keys)} and {len(values)}")
        future: Future[tuple[RecordRange, ...]] = Future()
        future.set_running_or_notify_cancel()  # they are on their way: `cancel` gives False

        def finish(ranges: tuple[RecordRange, ...], error: BulkDeliveryError | None) -> None:
            if error is None:
                future.set_result(ranges)
            else:
                future.set_exception(error)

        bulk = BulkDelivery(finish)
        pairs = self._engine.path.headers(headers)
        if send_columns(self._appends, topic, values, keys, partition, timestamp_ms, pairs, bulk):
            bulk.through()
            return future
        for place, value in enumerate(values):
            try:
                key = None if keys is None else keys[place]
                delivery = self._appends.send(topic, value, key, partition, timestamp_ms, pairs, None)
            except Exception as error:
                if not bulk.accepted:
                    raise
                bulk.refuse(topic, range(place, len(values)), error)
                break
            bulk.add(delivery._batch, delivery._index, place)
        bulk.through()
        return future

    def send_batch(
        self,
        topic: str,
        partition: int,
        batch: RecordBatchBuilder,
        *,
        on_delivery: OnDelivery | None = None,
    ) -> Delivery:
        """Accept a batch that was built by hand; it goes out as it is, and takes no more records from now on.

        The future is that of its first record: the others have the offsets behind it. Raises as `send`; ValueError for
        an empty batch.
        """
        if not batch.count:
            raise ValueError("batch: at least one record")
        return self._appends.send_batch(topic, partition, batch, on_delivery)

    # Waiting

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all that was accepted before has ended, callbacks included; nothing lingers meanwhile.

        timeout: seconds. What failed is not raised here: see the futures. Raises KafkaTimeoutError with the count that
        is left, ForkedProducerError; RuntimeError in a callback, where it would wait for itself.
        """
        self._exits.check()
        thread, engine = self._thread, self._engine
        if thread.completions.is_inside():
            raise RuntimeError("flush in a callback would wait for itself: call it outside")
        thread.check_outside()
        accumulator, incomplete = engine.accumulator, engine.accumulator.incomplete
        batches: list[ProducerBatch] | None = None
        began_ns = time.monotonic_ns()

        def over() -> bool:
            while batches and batches[-1] not in incomplete:
                batches.pop()
            return not batches

        try:
            with HeldSignals():
                batches = accumulator.begin_flush()
            if not thread.wait_until_over(over, timeout):
                left = sum(batch.count for batch in batches if batch in incomplete)
                raise KafkaTimeoutError(f"flush: {left} records are not delivered yet", (timeout or 0) * 1000)
        finally:
            if batches is not None:
                with accumulator.lock:  # no call before this: it could be interrupted, and all would hurry for ever
                    accumulator.flushes -= 1
                    engine.metrics.flush_time(time.monotonic_ns() - began_ns)

    def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until the cluster is known, and the producer id where one is needed. timeout: seconds, max_block_ms if
        None. Raises KafkaTimeoutError with its cause, AuthenticationError, ProducerFatalError, ProducerClosedError."""
        self._exits.check()
        engine = self._engine
        timeout_s = self.config.max_block_ms / 1000 if timeout is None else timeout
        self._thread.wait_until_ready(timeout_s)
        engine.check_open()
        if not engine.ready:
            cause = engine.network.connection_error() or engine.sender.producer_id.last_error
            raise KafkaTimeoutError("the cluster and a producer id", timeout_s * 1000, cause)

    def partitions_for(self, topic: str) -> tuple[Partition, ...]:
        """The partitions of a topic in order, those without a leader, too. Waits and raises as `send`."""
        self._exits.check()
        self._appends.topic(topic, None, None)
        return self._engine.network.cluster.partitions_for(topic)

    def metrics(self) -> dict[MetricName, float]:
        """The metrics now, under Java's names where it has them."""
        return self._engine.snapshot()

    def close(self, timeout: float | None = None) -> int:
        """Accept nothing more, deliver what was accepted, and end. How many records were given up.

        timeout: seconds for all of it; None for as long as it takes, which delivery_timeout_ms bounds. In a callback,
        and in a signal's handler that has interrupted a send or a callback, it does not wait: the rest is delivered
        behind it, or given up with a timeout of 0. Never raises but ValueError for a negative timeout; may be called
        again.
        """
        if timeout is not None and timeout < 0:
            raise ValueError(f"timeout: seconds from 0, or None, not {timeout}")
        return self._exits.close(timeout)
