"""One batch: the records that share a fate, from the first append to the offset or the error.

Layer: producer. A core. The unit of everything: of memory, sequence numbers, attempts and completion; a record knows
only its batch and its index there.
Source: org.apache.kafka.clients.producer.internals.ProducerBatch, ProduceRequestResult (ARCH-3, ARCH-4, CB-5 to CB-7).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, Final

from kproto.client import TopicPartition
from kproto.client.transitions import step
from kproto.producer.batch_state import TRANSITIONS, BatchEvent, BatchState
from kproto.producer.errors import DeliveryError
from kproto.producer.events import SendReason
from kproto.producer.producer_id import NO_IDENTITY, ProducerIdAndEpoch
from kproto.producer.record import NO_OFFSET, RecordMetadata, WriteStatus
from kproto.wire import KafkaError
from kproto.wire.records import NO_SEQUENCE, NO_TIMESTAMP, RecordBatchBuilder, RecordColumns, record_heads, restamp

__all__ = ["BATCH_MEMORY", "CALLBACK_MEMORY", "OnDelivery", "ProducerBatch"]

new_tuple = tuple.__new__  # for what is made for each record: a call of the class takes twice the time

OnDelivery = Callable[[RecordMetadata, KafkaError | None], object]

# Bytes, measured with tracemalloc on CPython 3.11; a test measures again.
BATCH_MEMORY: Final = 1_150  # that a sealed batch takes beside its records
CALLBACK_MEMORY: Final = 210  # that a callback takes: a small closure or partial, and its place in the batch
RUN_MEMORY: Final = 120  # that another timestamp than that of the record before takes


class ProducerBatch:
    """See the module.

    number: within the partition, from 1, for people; limit: bytes before compression up to which records are appended;
    reserved: bytes that are charged to the buffer memory; created_ms: monotonic. The attributes are the sender's, but
    for those that `append` changes, which are the accumulator's: both say who may change what, and under which lock.
    """

    __slots__ = (
        "_root",
        "_size",
        "attempts",
        "base_offset",
        "builder",
        "called",
        "called_back",
        "calls",
        "claimed",
        "context",
        "created_ms",
        "data",
        "done",
        "error",
        "first",
        "heads",
        "identity",
        "in_flight",
        "largest_record",
        "leader_epoch",
        "limit",
        "log_append_time_ms",
        "node_id",
        "number",
        "open_outcome",
        "partition",
        "parts",
        "record_errors",
        "reserved",
        "retry_at_ms",
        "room",
        "sealed",
        "send_reason",
        "sequence",
        "signal",
        "state",
        "tick_end_s",
        "timestamps",
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
        self.builder = builder
        self._size = 0  # bytes as it is sent; 0 until it is sealed
        self.largest_record = 0  # bytes
        self.limit, self.reserved, self.created_ms = limit, reserved, created_ms
        # What `fast_send` may add to, until the millisecond is over; see `begin_tick`
        self.room = -1  # bytes before compression that the batch may not reach; -1 while only `append` may add
        self.tick_end_s = 0.0
        self.heads: Sequence[bytes] = ()
        self.state = BatchState.OPEN
        self.claimed: object = None  # who compresses it, or has; None for nobody yet
        self.sealed = False
        self.send_reason: SendReason | None = None
        # Attempts
        self.attempts = 0  # that have failed
        self.retry_at_ms, self.node_id, self.leader_epoch = 0, -1, -1
        self.identity, self.sequence = NO_IDENTITY, NO_SEQUENCE
        self.in_flight = False  # whether a request with it is unanswered; also of one that is given up
        self.open_outcome = False  # whether an attempt may have written it, as far as is known
        self.data: bytes | None = None
        self.done = False
        self.error: DeliveryError | None = None
        self.record_errors: Mapping[int, DeliveryError] = {}
        self.base_offset = NO_OFFSET
        self.log_append_time_ms = NO_TIMESTAMP
        # Those who wait for it
        self.calls: list[Any] = []  # index, callback, index, callback: pairs would keep the collector busy
        self.called = 0  # how many entries of it have had their turn
        self.called_back = False  # whether all callbacks have run, so that a later one is called at once
        self.signal: Any = None  # the face's own, for those who wait for it; of a root
        self.witness: Any = None  # the face's own, for a failure that nobody has looked at
        self.context: Any = None  # the face's own: what its futures share
        self.timestamps: list[tuple[int, int]] = []  # where a run of equal timestamps begins, and which
        # A batch that was split: its root has the futures, its parts the records
        self._root: ProducerBatch | None = None  # not itself: nothing but the collector would free it
        self.first = 0
        self.parts: list[ProducerBatch] = []

    @property
    def root(self) -> ProducerBatch:
        """The batch that the records were appended to: itself, unless it is part of one that was split."""
        return self if self._root is None else self._root

    @property
    def count(self) -> int:
        """Records."""
        return self.builder.count

    @property
    def plain_size(self) -> int:
        """Bytes before compression."""
        return self.builder.size

    @property
    def size(self) -> int:
        """Bytes: before compression until it is sealed, from then on as it is sent."""
        return self._size or self.builder.size

    @property
    def written(self) -> WriteStatus:
        """What is known of it should it fail now."""
        return WriteStatus.POSSIBLY if self.open_outcome or self.in_flight else WriteStatus.NO

    def append(
        self,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
        on_delivery: OnDelivery | None,
    ) -> int:
        """Add a record; its index. Only while OPEN. Raises EncodeError, and then nothing is added."""
        builder = self.builder
        self.room = -1  # nobody else adds meanwhile, nor with another timestamp afterwards
        index, before = builder.count, builder.size
        builder.append(timestamp_ms, key, value, headers)
        grown = builder.size - before
        if grown > self.largest_record:
            self.largest_record = grown
        if not index or self.timestamps[-1][1] != timestamp_ms:
            self.timestamps.append((index, timestamp_ms))
        if on_delivery is not None:
            self.call_back(index, on_delivery)
        return index

    def extend(self, timestamp_ms: int, columns: RecordColumns, start: int) -> int:
        """Add records of columns from `start` on, as many as there is room for, but one to a batch that has none; how
        many. As `append`."""
        builder = self.builder
        self.room = -1
        index = builder.count
        count = builder.extend(timestamp_ms, columns, start, size_limit=self.limit)
        if not count and not index:
            count = builder.extend(timestamp_ms, columns, start, start + 1)
        if count:
            self.largest_record = max(self.largest_record, columns.largest_of(start, start + count))
            if not index or self.timestamps[-1][1] != timestamp_ms:
                self.timestamps.append((index, timestamp_ms))
        return count

    def call_back(self, index: int, on_delivery: OnDelivery) -> None:
        """Have it called when this record has ended. Under the lock, and while `called_back` says no."""
        self.calls += (index, on_delivery)

    @property
    def callbacks(self) -> list[tuple[int, OnDelivery]]:
        """Those that have not had their turn, in order: the index of the record, and what to call."""
        waiting = self.calls[self.called :]
        return list(zip(waiting[::2], waiting[1::2], strict=True))

    def begin_tick(self, timestamp_ms: int) -> None:
        """Open it to `fast_send` until this millisecond, that of the record just appended, is over."""
        delta = timestamp_ms - self.builder.base_timestamp
        if delta >= 0 and self.state is BatchState.OPEN:
            self.heads = record_heads(delta, self.builder.count)
            self.tick_end_s = (timestamp_ms + 1) / 1000
            self.room = self.limit

    def adopt(self, on_delivery: OnDelivery | None) -> None:
        """The builder has its records already, and they are all there will be."""
        self.timestamps.append((0, self.builder.base_timestamp))
        self.largest_record = self.builder.size // self.builder.count  # as far as anybody can tell
        if on_delivery is not None:
            self.call_back(0, on_delivery)
        self.close()

    def size_after(
        self, timestamp_ms: int, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
    ) -> int:
        """Bytes before compression, if this record were appended."""
        return self.builder.size_after(timestamp_ms, key, value, headers)

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

    def send(self, node_id: int, leader_epoch: int) -> bytes:
        """It goes out: the bytes, the same for each attempt under one identity."""
        self._on(BatchEvent.SEND)
        self.in_flight = True
        self.node_id = node_id
        self.leader_epoch = leader_epoch
        return self.bytes()

    def bytes(self) -> bytes:
        """The batch as it is sent, under its identity; sealed."""
        if self.data is None:
            self.data = self.builder.build(self.identity.producer_id, self.identity.epoch, self.sequence)
            self.builder.discard()  # what it holds is the body again: once is enough
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
        """It is written. base_offset: -1 where the broker does not say."""
        self._on(BatchEvent.SUCCEED)
        self.base_offset = base_offset
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
        """Where a delivered record is; the placeholder for one that failed (ERR-1)."""
        topic, partition = self.partition
        if self.error is not None:
            return RecordMetadata(topic, partition, NO_OFFSET, NO_TIMESTAMP)
        offset = self.base_offset + index if self.base_offset >= 0 else NO_OFFSET
        timestamp_ms = self.log_append_time_ms
        if timestamp_ms == NO_TIMESTAMP:
            runs = self.timestamps
            timestamp_ms = runs[bisect_right(runs, (index, inf)) - 1][1]
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
