"""What happens to each batch, and why: for those who want to see it. Nobody listening costs nothing.

Layer: producer. Values only. `kproto.tools.timeline` draws them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import auto

from kproto.client import TopicPartition
from kproto.client.transitions import State
from kproto.wire import KafkaError

__all__ = [
    "BatchCompleted",
    "BatchEvent",
    "BatchHeld",
    "BatchObserver",
    "BatchOpened",
    "BatchReady",
    "BatchRetried",
    "BatchSent",
    "BatchSplit",
    "HeldReason",
    "ProducerIdChanged",
    "RecordAppended",
    "SendReason",
]


class SendReason(State):
    """Why a batch leaves the accumulator."""

    FULL = auto()
    """The next record does not fit, or nothing more does."""
    LINGER = auto()
    """linger_ms has passed since it was opened."""
    PIGGYBACK = auto()
    """A request to its node went out anyway, for another partition."""
    FLUSH = auto()
    """Somebody waits in flush."""
    CLOSE = auto()
    """The producer is closing."""
    MEMORY = auto()
    """Somebody waits for room in buffer_memory."""
    RETRY = auto()
    """It was sent before, and the answer allows another attempt."""


class HeldReason(State):
    """Why a batch that is ready does not leave."""

    NO_LEADER = auto()
    """No leader of the partition is known; metadata is asked for."""
    NOT_CONNECTED = auto()
    """The connection to the leader is not ready."""
    THROTTLED = auto()
    """The broker asked for a pause."""
    WRITING = auto()
    """The request before it is not written to the socket yet."""
    IN_FLIGHT_LIMIT = auto()
    """The connection, or the partition, has as many unanswered requests as it may."""
    FIRST_ACKNOWLEDGEMENT = auto()
    """Until the first batch of a partition is acknowledged, it is alone."""
    OLD_LEADER = auto()
    """Requests to the former leader are unanswered."""
    NO_PRODUCER_ID = auto()
    """The producer id is being asked for."""
    BACKOFF = auto()
    """retry_backoff_ms since the last attempt have not passed."""
    EARLIER_RETRY = auto()
    """An earlier batch of the partition is to be sent again first."""
    OLD_EPOCH = auto()
    """Batches under the former producer epoch are unanswered."""
    UNRESOLVED = auto()
    """An earlier batch was given up, and it is not yet known whether it was written."""
    COMPRESSING = auto()
    """It is being compressed."""
    REQUEST_FULL = auto()
    """Other batches fill the request; it is the first in the next one."""


@dataclass(frozen=True, slots=True)
class BatchOpened:
    """The first record of a batch is about to be appended. batch: its number within the partition, from 1."""

    at_ms: int
    partition: TopicPartition
    batch: int


@dataclass(frozen=True, slots=True)
class RecordAppended:
    """count, size: of the batch, with this record; bytes before compression."""

    at_ms: int
    partition: TopicPartition
    batch: int
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class BatchReady:
    """It may leave, and takes no more records unless the reason is one that waits for others."""

    at_ms: int
    partition: TopicPartition
    batch: int
    reason: SendReason


@dataclass(frozen=True, slots=True)
class BatchHeld:
    """It is ready but does not leave; told once until the reason changes. until_ms: where that is known."""

    at_ms: int
    partition: TopicPartition
    batch: int
    reason: HeldReason
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class BatchSent:
    """It is in a request. size: bytes as sent; attempt: from 1; sequence: of its first record, -1 for none."""

    at_ms: int
    partition: TopicPartition
    batch: int
    reason: SendReason
    node_id: int
    count: int
    size: int
    attempt: int
    producer_id: int
    producer_epoch: int
    sequence: int


@dataclass(frozen=True, slots=True)
class BatchRetried:
    """The attempt failed, and another will follow, not before retry_at_ms."""

    at_ms: int
    partition: TopicPartition
    batch: int
    error: KafkaError
    retry_at_ms: int


@dataclass(frozen=True, slots=True)
class BatchSplit:
    """The broker finds it too large: its records go on in these batches."""

    at_ms: int
    partition: TopicPartition
    batch: int
    into: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BatchCompleted:
    """It ended. error: None for delivered; offset: of its first record, -1 for unknown."""

    at_ms: int
    partition: TopicPartition
    batch: int
    error: KafkaError | None
    offset: int


@dataclass(frozen=True, slots=True)
class ProducerIdChanged:
    """A new producer id, or a new epoch of it; why: a phrase."""

    at_ms: int
    producer_id: int
    producer_epoch: int
    why: str


BatchEvent = (
    BatchOpened
    | RecordAppended
    | BatchReady
    | BatchHeld
    | BatchSent
    | BatchRetried
    | BatchSplit
    | BatchCompleted
    | ProducerIdChanged
)

BatchObserver = Callable[[BatchEvent], None]
"""Called inside the producer's locks, by any of its threads: be quick, do not raise, and do not call the producer."""
