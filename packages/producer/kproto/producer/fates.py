"""How batches end: delivered, failed, split, or sent again; and what that means for memory and numbers.

Layer: producer. A core, part of the sender: `outcome` says what to do, this does it.
Source: org.apache.kafka.clients.producer.internals.Sender.completeBatch, RecordAccumulator.splitAndReenqueue (SENDER-16
to SENDER-24, SPLIT-1 to SPLIT-5, EXP-1); KIP-91, KIP-126, KIP-467.
"""

from __future__ import annotations

from random import Random

from kproto.client.backoff import ExponentialBackoff
from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.batch import ProducerBatch
from kproto.producer.batch_state import BatchState
from kproto.producer.config import ProducerConfig
from kproto.producer.errors import DeliveryError, DeliveryTimeoutError
from kproto.producer.events import BatchCompleted, BatchObserver, BatchRetried, BatchSplit
from kproto.producer.metrics import ProducerMetrics
from kproto.producer.partition_state import PartitionState
from kproto.producer.splitting import split
from kproto.wire import KafkaError

__all__ = ["BatchFates"]


class BatchFates:
    """See the module. ended: batches that ended since the sender's owner has taken them. Not thread-safe."""

    def __init__(
        self,
        config: ProducerConfig,
        accumulator: RecordAccumulator,
        metrics: ProducerMetrics,
        rng: Random,
        observer: BatchObserver | None,
    ) -> None:
        self.ended: list[ProducerBatch] = []
        self._config = config
        self._accumulator = accumulator
        self._metrics = metrics
        self._rng = rng
        self._observer = observer
        self._backoff = ExponentialBackoff(config.retry_backoff_ms, config.retry_backoff_max_ms)

    def deliver(self, state: PartitionState, batch: ProducerBatch, offset: int, append_ms: int, now_ms: int) -> None:
        """It is written at this offset, or -1 where the broker does not say. append_ms: the broker's time, or -1."""
        state.sequences.acked(batch)
        batch.succeed(offset, append_ms)
        self._end(batch, now_ms)

    def retry(self, state: PartitionState, batch: ProducerBatch, error: KafkaError, now_ms: int) -> bool:
        """Queue it for another attempt, or end it where its time is over; False where it has no attempt left
        (SENDER-17)."""
        config = self._config
        late = now_ms - batch.created_ms >= config.delivery_timeout_ms
        if late and not (config.fail_only_unwritten and batch.open_outcome):
            self.expire(state, batch, error, now_ms)
            return True
        if batch.attempts >= config.retries:
            return False
        batch.retry(now_ms + self._backoff.delay_ms(batch.attempts, self._rng))
        self._accumulator.put_back(state.queue, batch)
        self._metrics.records_retried(batch.partition.topic, batch.count, now_ms)
        if self._observer is not None:
            self._observer(BatchRetried(now_ms, batch.partition, batch.number, error, batch.retry_at_ms))
        return True

    def fail(
        self,
        state: PartitionState,
        batch: ProducerBatch,
        error: DeliveryError,
        now_ms: int,
        record_errors: dict[int, DeliveryError] | None = None,
    ) -> None:
        """Its records were not delivered. One that is in flight stays in the sequences until its answer is there."""
        queued = batch.state in (BatchState.OPEN, BatchState.WAITING)
        if queued:
            self._accumulator.remove(state.queue, batch)
        state.sequences.given_up(batch)
        batch.fail(error, record_errors)
        self._metrics.records_failed(batch.partition.topic, batch.count, now_ms)
        self._end(batch, now_ms)

    def expire(self, state: PartitionState, batch: ProducerBatch, cause: KafkaError | None, now_ms: int) -> None:
        """It was not delivered in time."""
        sent = batch.attempts + (batch.state is BatchState.IN_FLIGHT)  # also where its attempt ends just now
        tried = f"sent {sent} times" if sent > 1 else "sent once" if sent else "never sent"
        why = (
            f"{batch.count} records were not delivered within delivery_timeout_ms={self._config.delivery_timeout_ms}, "
            f"{tried}: see whether the leader of the partition can be reached"
        )
        timeout_ms = self._config.delivery_timeout_ms
        error = DeliveryTimeoutError(batch.partition, batch.written, why, None, cause, timeout_ms)
        self.fail(state, batch, error, now_ms)

    def split(self, state: PartitionState, batch: ProducerBatch, now_ms: int) -> list[ProducerBatch]:
        """Its records go on in smaller batches, in its place; no attempt is used up."""

        lock = self._accumulator.lock

        def next_number() -> int:
            with lock:
                state.queue.opened += 1
                return state.queue.opened

        parts = split(batch, self._config.batch_size, next_number, self._config.compression_level)
        state.sequences.replace(batch, parts)
        with lock:  # callbacks may be added by any thread
            topic = self._accumulator.topic(batch.partition.topic)
            topic.ratio = max(1.0, topic.ratio)  # or the next batches would be as large again (ACC-11)
            batch.split_into(parts)
        self._accumulator.replace(batch, state.queue, parts)
        batch.forget_bytes()
        self._metrics.batch_split(now_ms)
        if self._observer is not None:
            into = tuple(part.number for part in parts)
            self._observer(BatchSplit(now_ms, batch.partition, batch.number, into))
        return parts

    def answered_late(self, batch: ProducerBatch) -> None:
        """The answer to a batch that was given up meanwhile: only now is its memory free (DEALLOC-2)."""
        self._accumulator.release(batch)
        batch.forget_bytes()

    def _end(self, batch: ProducerBatch, now_ms: int) -> None:
        if not batch.in_flight:
            self._accumulator.release(batch)
            batch.forget_bytes()
        self.ended.append(batch)
        if self._observer is not None:
            self._observer(BatchCompleted(now_ms, batch.partition, batch.number, batch.error, batch.base_offset))
