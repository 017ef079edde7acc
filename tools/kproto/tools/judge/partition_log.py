"""A partition's log: what was appended, what is still there, and what its producers were told.

Layer: tools. Knows bytes of one partition and its topic's settings; knows no leaders.
Source: org.apache.kafka.storage.internals.log.UnifiedLog; kafka.server.ReplicaManager for what an answer tells.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import islice
from typing import Final

from kproto.tools.judge.image import TopicConfig
from kproto.tools.judge.producer_state import FirstSequence, ProducerStates, Stamp, next_sequence
from kproto.tools.judge.stored_bytes import stored_bytes
from kproto.tools.judge.validator import RecordErrors, Refused, validated_records
from kproto.wire import NO_PRODUCER_ID, ErrorCode
from kproto.wire.records import NO_SEQUENCE, Compression, Header, RecordBatch

__all__ = ["PartitionLog", "StoredBatch", "StoredRecord", "Verdict"]

NONE: Final = -1  # an offset or time that the answer does not tell


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record in a log. timestamp: ms since the epoch. producer_id, producer_epoch, sequence: -1 without."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    producer_id: int
    producer_epoch: int
    sequence: int


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch in a log. at_ms: when it was appended, on the cluster's clock; node: by which leader, of which epoch."""

    base_offset: int
    records: tuple[StoredRecord, ...]
    producer_id: int
    producer_epoch: int
    base_sequence: int
    crc: int
    size: int
    compression: Compression
    at_ms: int
    node: int
    leader_epoch: int
    data: bytes = b""
    """The bytes that consumers get."""

    @property
    def last_offset(self) -> int:
        """The offset of the last record."""
        return self.base_offset + len(self.records) - 1

    @property
    def last_sequence(self) -> int:
        """The sequence of the last record; -1 without a producer id."""
        if self.producer_id == NO_PRODUCER_ID:
            return NO_SEQUENCE
        return next_sequence(self.base_sequence, len(self.records) - 1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the answer says of a batch; why: in words, for who debugs."""

    error_code: int = 0
    base_offset: int = NONE
    log_append_time_ms: int = NONE
    log_start_offset: int = NONE
    record_errors: RecordErrors = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Leadership:
    """Who appends: a node, in a leader epoch, at a time of the cluster's clock and of the wall's."""

    node: int
    leader_epoch: int
    now_ms: int
    wall_ms: int


# ReplicaManager.appendRecordsToLeader tells the log's start with every error but these. Kafka's API layer, which finds
# 3, 21, 76 and 100, tells none either; of 87 only what the log itself has found.
WITHOUT_LOG_START: Final = frozenset(
    {
        ErrorCode.CORRUPT_MESSAGE,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.MESSAGE_TOO_LARGE,
        ErrorCode.RECORD_LIST_TOO_LARGE,
        ErrorCode.INVALID_REQUIRED_ACKS,
        ErrorCode.KAFKA_STORAGE_ERROR,
        ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
        ErrorCode.UNKNOWN_TOPIC_ID,
    }
)


class PartitionLog:
    """One log, shared by all replicas: what a leader has appended, the next one has, too. Not thread-safe.

    history: all batches ever appended, deleted ones included.
    """

    def __init__(
        self,
        first_sequence: FirstSequence = FirstSequence.ANY,
        late_duplicate: int = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        producer_expiration_ms: int | None = None,
    ) -> None:
        self.producers = ProducerStates(first_sequence, late_duplicate, producer_expiration_ms)
        self.history: list[StoredBatch] = []
        self.start_offset = 0
        self.end_offset = 0

    def append(
        self,
        batch: RecordBatch,
        config: TopicConfig,
        leadership: Leadership,
        data: bytes | None = None,
        *,
        full: bool = False,
    ) -> Verdict:
        """Take the batch, or say why not. A batch that is there already is answered with the offset that it got.

        data: its bytes; without, consumers get none of it. full: there is no room for a new one.
        """
        self.producers.expire(leadership.wall_ms)
        try:
            stored = self._stored(batch, config, leadership, data)
        except Refused as error:
            return self.refusal(error.code, error.why, error.record_errors)
        if batch.producer_id >= 0:
            stamp = Stamp(batch.producer_id, batch.producer_epoch, batch.base_sequence, stored.last_sequence)
            known = self.producers.duplicate_of(stamp)
            if known is not None:
                # UnifiedLog.append: the log append time of a duplicate is its timestamp, also with CreateTime.
                return Verdict(0, known.base_offset, known.timestamp, self.start_offset)
            code = self.producers.error_of(stamp)
            if code:
                return self.refusal(code, f"{stamp} does not follow")
        if full:
            return self.refusal(ErrorCode.POLICY_VIOLATION, "the broker's memory for logs is full")
        if batch.producer_id >= 0:
            self.producers.add(stamp, stored.base_offset, max(one.timestamp for one in stored.records))
        self.producers.empty = False
        self.history.append(stored)
        self.end_offset = stored.last_offset + 1
        append_time_ms = leadership.wall_ms if config.log_append_time else NONE
        return Verdict(0, stored.base_offset, append_time_ms, self.start_offset)

    def refusal(self, code: int, why: str = "", record_errors: RecordErrors = ()) -> Verdict:
        """An answer with an error, and with the log's start where Kafka tells it."""
        start = NONE if code in WITHOUT_LOG_START else self.start_offset
        return Verdict(code, log_start_offset=start, record_errors=record_errors, why=why)

    def _stored(
        self, batch: RecordBatch, config: TopicConfig, leadership: Leadership, data: bytes | None
    ) -> StoredBatch:
        numbered = batch.producer_id >= 0
        records = tuple(
            StoredRecord(
                self.end_offset + index,
                leadership.wall_ms if config.log_append_time else record.timestamp,
                record.key,
                record.value,
                record.headers,
                batch.producer_id,
                batch.producer_epoch,
                next_sequence(batch.base_sequence, index) if numbered else NO_SEQUENCE,
            )
            for index, record in enumerate(validated_records(batch, config, leadership.wall_ms))
        )
        return StoredBatch(
            self.end_offset,
            records,
            batch.producer_id,
            batch.producer_epoch,
            batch.base_sequence,
            batch.crc,
            batch.size,
            batch.compression,
            leadership.now_ms,
            leadership.node,
            leadership.leader_epoch,
            b"" if data is None else self._as_kept(data, records, config, leadership),
        )

    def _as_kept(
        self, data: bytes, records: tuple[StoredRecord, ...], config: TopicConfig, leadership: Leadership
    ) -> bytes:
        latest_ms = max(one.timestamp for one in records)
        return stored_bytes(data, self.end_offset, leadership.leader_epoch, latest_ms, by_broker=config.log_append_time)

    def read(self, offset: int, max_bytes: int, *, one_at_least: bool = False) -> bytes:
        """Batches from the one on that has the offset; the last may be cut, as LogSegment.read cuts a file.

        one_at_least: the first is whole, however large it is (KIP-74); else there is nothing where it would be cut
        (ReplicaManager.readFromLog).
        """
        found = bytearray()
        first = bisect_left(self.history, offset, key=lambda one: one.last_offset)
        for batch in islice(self.history, first, None):
            if not found and len(batch.data) > max_bytes:
                return batch.data if one_at_least else b""
            found += batch.data
            if len(found) >= max_bytes:
                break
        return bytes(found[:max_bytes])

    @property
    def batches(self) -> list[StoredBatch]:
        """Those that still have a record in the log."""
        return [batch for batch in self.history if batch.last_offset >= self.start_offset]

    def records(self) -> list[StoredRecord]:
        """All from the log's start on."""
        return [one for batch in self.batches for one in batch.records if one.offset >= self.start_offset]

    def delete_before(self, offset: int) -> None:
        """The log starts here now, as after DeleteRecords or retention. Raises ValueError for what cannot be."""
        if not self.start_offset <= offset <= self.end_offset:
            raise ValueError(f"the log has offsets {self.start_offset} to {self.end_offset}, not {offset}")
        self.start_offset = offset
