"""One batch: the records that share a fate, from the first append to the offset or the error.

Layer: producer. A core. The unit of everything: of memory, sequence numbers, attempts and completion; a record knows
only its batch and its index there.
Source: org.apache.kafka.clients.producer.internals.ProducerBatch, ProduceRequestResult (ARCH-3, ARCH-4, CB-5 to CB-7).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Final

from kproto.client import TopicPartition
from kproto.client.transitions import step
from kproto.producer.batch_records import BatchRecords, OnDelivery
from kproto.producer.batch_state import TRANSITIONS, BatchEvent, BatchState
from kproto.producer.errors import DeliveryError
from kproto.producer.events import SendReason
from kproto.producer.producer_id import NO_IDENTITY, ProducerIdAndEpoch
from kproto.producer.record import NO_OFFSET, RecordMetadata, WriteStatus
from kproto.wire.records import NO_SEQUENCE, NO_TIMESTAMP, RecordBatchBuilder, restamp

__all__ = ["BATCH_MEMORY", "CALLBACK_MEMORY", "OnDelivery", "ProducerBatch"]

NO_RUN: Final = (0, 0, NO_TIMESTAMP)  # no index is in it

new_tuple = tuple.__new__  # for what is made for each record: a call of the class takes twice the time

# Bytes, measured with tracemalloc on CPython 3.11; a test measures again.
BATCH_MEMORY: Final = 1_150  # that a sealed batch takes beside its records
CALLBACK_MEMORY: Final = 210  # that a callback takes: a small closure or partial, and its place in the batch
RUN_MEMORY: Final = 120  # that another timestamp than that of the record before takes


class ProducerBatch(BatchRecords):
    """See the module.

    number: within the partition, from 1, for people; reserved: bytes that are charged to the buffer memory; created_ms:
    monotonic. The attributes are the sender's, but for those of BatchRecords, which are the accumulator's while it is
    open: both say who may change what, and under which lock.
    """

    __slots__ = (
        "_last_run",
        "_root",
        "attempts",
        "base_offset",
        "called_back",
        "claimed",
        "context",
        "created_ms",
        "data",
        "done",
        "error",
        "first",
        "grown",
        "identity",
        "in_flight",
        "leader_epoch",
        "log_append_time_ms",
        "node_id",
        "number",
        "open_outcome",
        "partition",
        "parts",
        "record_errors",
        "reserved",
        "retry_at_ms",
        "sealed",
        "send_reason",
        "sequence",
        "signal",
        "state",
        "witness",
    )

    def __init__(
        self,
        partition: TopicPartition,
        number: int,
        builder: RecordBatchBuilder,
        *,
        limit: int,
        reserved: int,
        created_ms: int,
    ) -> None:
        self.partition, self.number = partition, number
        super().__init__(builder, limit)
        self.reserved, self.created_ms = reserved, created_ms
        self.state = BatchState.OPEN
        self.grown = False  # beyond batch_size: it may leave, though it still takes records
        self.claimed: object = None  # who compresses it, or has; None for nobody yet
        self.sealed = False
        self.send_reason: SendReason | None = None
        # Attempts
        self.attempts = 0  # that have failed
        self.retry_at_ms, self.node_id, self.leader_epoch = 0, -1, -1
        self.identity, self.sequence = NO_IDENTITY, NO_SEQUENCE
        self.in_flight = False  # whether a request with it is unanswered; also of one that is given up
        self.open_outcome = False  # whether an attempt may have written it, as far as is known
        self.data: bytes | bytearray | None = None
        self.done = False
        self.error: DeliveryError | None = None
        self.record_errors: Mapping[int, DeliveryError] = {}
        self.base_offset = NO_OFFSET
        self.log_append_time_ms = NO_TIMESTAMP
        self._last_run = NO_RUN  # where `metadata_of` has found the timestamp last
        # Those who wait for it
        self.called_back = False  # whether all callbacks have run, so that a later one is called at once
        self.signal: Any = None  # the face's own, for those who wait for it; of a root
        self.witness: Any = None  # the face's own, for a failure that nobody has looked at
        self.context: Any = None  # the face's own: what its futures share
        # A batch that was split: its root has the futures, its parts the records
        self._root: ProducerBatch | None = None  # not itself: nothing but the collector would free it
        self.first = 0
        self.parts: list[ProducerBatch] = []

    @property
    def root(self) -> ProducerBatch:
        """The batch that the records were appended to: itself, unless it is part of one that was split."""
        return self if self._root is None else self._root

    @property
    def written(self) -> WriteStatus:
        """What is known of it should it fail now."""
        return WriteStatus.POSSIBLY if self.open_outcome or self.in_flight else WriteStatus.NO

    def adopt(self, on_delivery: OnDelivery | None) -> None:
        """The builder has its records already, and they are all there will be."""
        self.timestamps.append((0, self.builder.base_timestamp))
        self.largest_record = self.builder.size // self.builder.count  # as far as anybody can tell
        if on_delivery is not None:
            self.call_back(0, on_delivery)
        self.close()

    def close(self) -> None:
        """No record comes any more. May be called again."""
        if self.state is BatchState.OPEN:
            self._on(BatchEvent.CLOSE)

    def seal(self) -> None:
        """Compress it, by whoever has `claimed` it, outside every lock: this is the costly part. Nothing is done where
        it was given up meanwhile."""
        if not self.done:
            self._size = self.builder.seal()
            self.sealed = True

    def memory(self) -> int:
        """Bytes that it really takes once sealed."""
        runs = max(0, len(self.timestamps) - 1)
        return self.size + BATCH_MEMORY + CALLBACK_MEMORY * (len(self.calls) // 2) + RUN_MEMORY * runs

    # Attempts

    def stamp(self, identity: ProducerIdAndEpoch, sequence: int) -> None:
        """The identity and sequence that it goes out under. A retry keeps them: only a restart gives others."""
        if (identity, sequence) != (self.identity, self.sequence):
            self.identity = identity
            self.sequence = sequence
            if self.data is not None:
                self.data = restamp(self.data, identity.producer_id, identity.epoch, sequence)

    def send(self, node_id: int, leader_epoch: int) -> bytes | bytearray:
        """It goes out: the bytes, the same for each attempt under one identity."""
        self._on(BatchEvent.SEND)
        self.in_flight = True
        self.node_id = node_id
        self.leader_epoch = leader_epoch
        return self.bytes()

    def bytes(self) -> bytes | bytearray:
        """The batch as it is sent, under its identity; sealed."""
        if self.data is None:
            self.data = self.builder.finish(self.identity.producer_id, self.identity.epoch, self.sequence)
        return self.data

    def forget_bytes(self) -> None:
        """Nobody sends it any more: futures that are kept must not keep the records, too."""
        self.data = None
        self.builder.discard()

    def retry(self, retry_at_ms: int) -> None:
        """The attempt failed, and another follows."""
        self._on(BatchEvent.RETRY)
        self.attempts += 1
        self.retry_at_ms = retry_at_ms

    # The end

    def succeed(self, base_offset: int, log_append_time_ms: int) -> None:
        """It is written. base_offset: -1 where the broker does not say.

        A broker that has the batch already answers with the newest timestamp in it as the append time, whoever keeps
        the time (UnifiedLog.append). Such an answer says nothing of when each record was written.
        """
        self._on(BatchEvent.SUCCEED)
        self.base_offset = base_offset
        if not self.attempts or log_append_time_ms != self.builder.max_timestamp:
            self.log_append_time_ms = log_append_time_ms
        self.done = True

    def fail(self, error: DeliveryError, record_errors: Mapping[int, DeliveryError] | None = None) -> None:
        """Its records were not delivered. record_errors: those that have an error of their own, by index (KIP-467)."""
        self._on(BatchEvent.FAIL)
        self.error = error
        self.record_errors = record_errors or {}
        self.done = True

    def split_into(self, parts: Sequence[ProducerBatch]) -> None:
        """Its records go on in these batches, in order; futures and callbacks find them there."""
        self._on(BatchEvent.SPLIT)
        root, first = self.root, self.first
        for part in parts:
            part._root, part.first = root, first
            first += part.count
        at = root.parts.index(self) if self in root.parts else 0
        root.parts[at : at + 1] = parts
        for index, on_delivery in self.callbacks:
            part = parts[bisect_right([each.first for each in parts], self.first + index) - 1]
            part.call_back(self.first + index - part.first, on_delivery)
        self.calls = []

    def part_of(self, index: int) -> tuple[ProducerBatch, int]:
        """Where the record with this index is now: the batch, and the index there."""
        if not self.parts:
            return self, index
        part = self.parts[bisect_right(self.parts, index, key=lambda each: each.first) - 1]
        return part, index - part.first

    @property
    def all_done(self) -> bool:
        """Whether it, or every part of it, has ended."""
        return all(part.done for part in self.parts) if self.parts else self.done

    def run_of(self, index: int) -> tuple[int, int, int]:
        """The records around this one that have its timestamp: the first, the one behind the last, and the timestamp;
        the broker's where the topic has LogAppendTime."""
        if self.log_append_time_ms != NO_TIMESTAMP:
            return 0, self.count, self.log_append_time_ms
        runs = self.timestamps
        at = bisect_right(runs, (index, inf))
        end = runs[at][0] if at < len(runs) else self.count
        first, timestamp_ms = runs[at - 1]
        return first, end, timestamp_ms

    def metadata_of(self, index: int) -> RecordMetadata:
        """Where a delivered record is; the placeholder for one that failed (ERR-1). Once it is done."""
        topic, partition = self.partition
        if self.error is not None:
            return RecordMetadata(topic, partition, NO_OFFSET, NO_TIMESTAMP)
        first, end, timestamp_ms = self._last_run  # futures are read in order
        if not first <= index < end:
            first, end, timestamp_ms = self._last_run = self.run_of(index)
        offset = self.base_offset + index if self.base_offset >= 0 else NO_OFFSET
        return new_tuple(RecordMetadata, (topic, partition, offset, timestamp_ms))

    def error_of(self, index: int) -> DeliveryError | None:
        """Why a record was not delivered; None for one that was."""
        return self.record_errors.get(index, self.error)

    def _on(self, event: BatchEvent) -> None:
        self.room = -1
        self.state = step(TRANSITIONS, self.state, event)

    def __repr__(self) -> str:
        stamp = f", sequence {self.sequence}" if self.sequence >= 0 else ""
        return f"<ProducerBatch {self.partition}#{self.number} {self.state.name}, {self.count} records{stamp}>"
