"""The records of a batch while it is open: encoded one by one, with what is to be called when each has ended.

Layer: producer. A core, the lower half of `ProducerBatch`. Who may call what, and under which lock, the accumulator
says; `fast_send` adds to it without a lock, as long as `room` allows.
Source: org.apache.kafka.clients.producer.internals.ProducerBatch.tryAppend (ARCH-3, ARCH-4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kproto.producer.record import RecordMetadata
from kproto.wire import KafkaError
from kproto.wire.records import RecordBatchBuilder, RecordColumns, record_heads

__all__ = ["BatchRecords", "Heads", "OnDelivery"]

Heads = list[bytes] | dict[int, bytes]
"""See record_heads."""

OnDelivery = Callable[[RecordMetadata, KafkaError | None], object]


class BatchRecords:
    """See the module. limit: bytes before compression up to which records are appended."""

    __slots__ = (
        "_size",
        "builder",
        "called",
        "calls",
        "heads",
        "largest_record",
        "limit",
        "room",
        "tick_end_s",
        "timestamps",
    )

    def __init__(self, builder: RecordBatchBuilder, limit: int) -> None:
        self.builder = builder
        self.limit = limit
        self._size = 0  # bytes as it is sent; 0 until it is sealed
        self.largest_record = 0  # bytes
        self.timestamps: list[tuple[int, int]] = []  # where a run of equal timestamps begins, and which
        self.calls: list[Any] = []  # index, callback, index, callback: pairs would keep the collector busy
        self.called = 0  # how many entries of it have had their turn
        # What `fast_send` may add to, until the millisecond is over; see `begin_tick`
        self.room = -1  # bytes before compression that the batch may not reach; -1 while only `append` may add
        self.tick_end_s = 0.0
        self.heads: Heads = []

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
        """Open it to `fast_send` until this millisecond, that of the record just appended, is over. Not while a record
        of it is newer: later ones would hide that from the batch's header."""
        delta = timestamp_ms - self.builder.base_timestamp
        if delta >= 0 and timestamp_ms == self.builder.max_timestamp:
            self.heads = record_heads(delta, self.builder.count)
            self.tick_end_s = (timestamp_ms + 1) / 1000
            self.room = self.limit

    def size_after(
        self, timestamp_ms: int, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
    ) -> int:
        """Bytes before compression, if this record were appended."""
        return self.builder.size_after(timestamp_ms, key, value, headers)
