"""Why a record was not accepted, or not delivered: the producer's branches of the tree in `kproto.wire.errors`.

Layer: producer.

KafkaError
├─ BufferFullError (BufferError)                no room in buffer_memory within max_block_ms: nothing was accepted
├─ SerializationError (ValueError)              a serializer raised, or gave no bytes
├─ PartitionerError (ValueError)                a partitioner raised, or chose a partition that does not exist
├─ ProducerClosedError                          the producer is closed, or was closed meanwhile
├─ ForkedProducerError                          the producer belongs to the parent of this process
├─ ProducerFatalError                           no record can be sent by this producer any more: cause
├─ DeliveryError                                a record was not delivered: partition, written, code, cause
│  ├─ DeliveryTimeoutError (KafkaTimeoutError)     not within delivery_timeout_ms
│  ├─ MessageSizeTooLargeError                     a record is too large, for us or for the broker
│  ├─ InvalidRecordError                           the broker refuses this record, or another of its batch
│  ├─ InvalidTopicError                            no topic may have this name
│  ├─ UnknownTopicOrPartitionError                 there is no such topic, or no such partition
│  ├─ NotLeaderForPartitionError                   retries ended before the leader was found
│  ├─ TopicAuthorizationFailedError                the principal may not write to the topic
│  ├─ ClusterAuthorizationFailedError              the principal may not write idempotently
│  ├─ OutOfOrderSequenceNumberError                retries ended before the sequence was in order again
│  └─ ProducerFencedError                          another producer has taken the place of this one
└─ BulkDeliveryError                            some records of a send_many were not delivered
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from kproto.client import KafkaTimeoutError, TopicPartition
from kproto.producer.record import NO_PARTITION, WriteStatus
from kproto.wire import ErrorCode, KafkaError

if TYPE_CHECKING:
    from kproto.producer.bulk import RecordRange

__all__ = [
    "BufferFullError",
    "BulkDeliveryError",
    "ClusterAuthorizationFailedError",
    "DeliveryError",
    "DeliveryTimeoutError",
    "ForkedProducerError",
    "InvalidRecordError",
    "InvalidTopicError",
    "MessageSizeTooLargeError",
    "NotLeaderForPartitionError",
    "OutOfOrderSequenceNumberError",
    "PartitionerError",
    "ProducerClosedError",
    "ProducerFatalError",
    "ProducerFencedError",
    "SerializationError",
    "TopicAuthorizationFailedError",
    "UnknownTopicOrPartitionError",
    "delivery_error",
]


class BufferFullError(KafkaError, BufferError):
    """No room for a record within max_block_ms: the brokers are slower than the sender, or gone.

    needed, capacity: bytes; waited_ms: how long; waiting: how many others waited when it gave up.
    """

    retriable = True

    def __init__(self, needed: int, capacity: int, waited_ms: int, waiting: int = 0) -> None:
        super().__init__(needed, capacity, waited_ms, waiting)
        self.needed = needed
        self.capacity = capacity
        self.waited_ms = waited_ms
        self.waiting = waiting

    def __str__(self) -> str:
        return (
            f"no room for {self.needed} bytes in buffer_memory={self.capacity} within {self.waited_ms} ms: the brokers "
            "take less than is sent. Send slower, raise buffer_memory or max_block_ms, or see why they are slow"
        )


class SerializationError(KafkaError, ValueError):
    """A serializer raised, or gave neither bytes nor None. what: "key" or "value"; why: a phrase."""

    def __init__(self, topic: str, what: str, why: str) -> None:
        super().__init__(topic, what, why)
        self.topic = topic
        self.what = what
        self.why = why

    def __str__(self) -> str:
        return f"topic {self.topic}: the {self.what} {self.why}"


class PartitionerError(KafkaError, ValueError):
    """A partitioner raised, or chose a partition that does not exist. why: a phrase."""

    def __init__(self, topic: str, why: str) -> None:
        super().__init__(topic, why)
        self.topic = topic
        self.why = why

    def __str__(self) -> str:
        return f"topic {self.topic}: the partitioner {self.why}"


class ProducerClosedError(KafkaError):
    """The producer is closed, or was closed before the record was accepted or delivered."""

    def __init__(self, what: str = "the producer is closed") -> None:
        super().__init__(what)


class ForkedProducerError(KafkaError):
    """A producer was made before the process forked: its threads and connections belong to the parent."""

    def __init__(self, what: str = "this producer belongs to the parent process: make one in each child") -> None:
        super().__init__(what)


class ProducerFatalError(KafkaError):
    """Nothing can be sent by this producer any more. cause: what happened; make a new producer once that is mended."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(cause)
        self.cause = cause

    def __str__(self) -> str:
        return f"the producer can send nothing any more: {self.cause}. Mend the cause and make a new one"


class DeliveryError(KafkaError):
    """A record was not delivered.

    partition: where it was to go, number -1 where none was chosen; written: whether it may be in the log; code: what
    the broker said, None where it said nothing; why: a phrase with sizes, limits and the next step; cause: the error
    behind it, or None.
    """

    def __init__(
        self,
        partition: TopicPartition,
        written: WriteStatus,
        why: str,
        code: ErrorCode | int | None = None,
        cause: BaseException | None = None,
    ) -> None:
        Exception.__init__(self, partition, written, why, code, cause)
        self.partition = partition
        self.written = written
        self.why = why
        self.code = code
        self.cause: Any = cause

    @property
    def retriable(self) -> bool:  # type: ignore[override]  # of the code, not of the class
        """Whether to send the record again may help; first see whether it was `written`."""
        code = self.code
        return isinstance(code, ErrorCode) and code.retriable

    def __str__(self) -> str:
        at = self.partition if self.partition.partition >= 0 else f"topic {self.partition.topic}"
        because = f"; last error: {self.cause}" if self.cause is not None else ""
        return f"{at}: {self.why} ({self.written}){because}"


class DeliveryTimeoutError(DeliveryError, KafkaTimeoutError):
    """A record was not delivered within delivery_timeout_ms. timeout_ms: how long it was tried."""

    retriable = True

    def __init__(
        self,
        partition: TopicPartition,
        written: WriteStatus,
        why: str,
        code: ErrorCode | int | None = None,
        cause: BaseException | None = None,
        timeout_ms: float = 0,
    ) -> None:
        DeliveryError.__init__(self, partition, written, why, code, cause)
        self.args = (partition, written, why, code, cause, timeout_ms)
        self.what = why
        self.timeout_ms = timeout_ms

    def __str__(self) -> str:
        return DeliveryError.__str__(self)


class MessageSizeTooLargeError(DeliveryError):
    """A record is larger than max_request_size or buffer_memory, or than the topic's max.message.bytes."""


class InvalidRecordError(DeliveryError):
    """The broker refuses this record, or another one of its batch."""


class InvalidTopicError(DeliveryError):
    """No topic may have this name, or clients may not write to it."""


class UnknownTopicOrPartitionError(DeliveryError):
    """There is no such topic, or no such partition."""


class NotLeaderForPartitionError(DeliveryError):
    """The broker that was asked does not lead the partition, and no attempts are left."""


class TopicAuthorizationFailedError(DeliveryError):
    """The principal may not write to the topic."""


class ClusterAuthorizationFailedError(DeliveryError):
    """The principal may not write idempotently: grant IdempotentWrite on the cluster, or write without."""


class OutOfOrderSequenceNumberError(DeliveryError):
    """The broker expects another sequence number, and no attempts are left."""


class ProducerFencedError(DeliveryError):
    """Another producer with the same identity has taken the place of this one."""


class BulkDeliveryError(KafkaError):
    """Some records of a `send_many` were not delivered.

    delivered: ranges that were; failed: pairs of a range of the call's own indices and its error.
    """

    def __init__(self, delivered: Sequence[RecordRange], failed: Sequence[tuple[Sequence[int], DeliveryError]]) -> None:
        super().__init__(tuple(delivered), tuple(failed))
        self.delivered = tuple(delivered)
        self.failed = tuple(failed)

    @property
    def retriable(self) -> bool:  # type: ignore[override]
        """Whether to send what failed again may help."""
        return all(error.retriable for _, error in self.failed)

    def __str__(self) -> str:
        failed = sum(len(indices) for indices, _ in self.failed)
        delivered = sum(item.count for item in self.delivered)
        first = self.failed[0][1] if self.failed else "nothing failed"
        return f"{failed} of {failed + delivered} records were not delivered, the first because: {first}"


ERROR_OF_CODE: Final[dict[int, type[DeliveryError]]] = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: UnknownTopicOrPartitionError,
    ErrorCode.UNKNOWN_TOPIC_ID: UnknownTopicOrPartitionError,
    ErrorCode.NOT_LEADER_OR_FOLLOWER: NotLeaderForPartitionError,
    ErrorCode.MESSAGE_TOO_LARGE: MessageSizeTooLargeError,
    ErrorCode.RECORD_LIST_TOO_LARGE: MessageSizeTooLargeError,
    ErrorCode.INVALID_TOPIC_EXCEPTION: InvalidTopicError,
    ErrorCode.TOPIC_AUTHORIZATION_FAILED: TopicAuthorizationFailedError,
    ErrorCode.CLUSTER_AUTHORIZATION_FAILED: ClusterAuthorizationFailedError,
    ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER: OutOfOrderSequenceNumberError,
    ErrorCode.INVALID_PRODUCER_EPOCH: ProducerFencedError,
    ErrorCode.PRODUCER_FENCED: ProducerFencedError,
    ErrorCode.INVALID_RECORD: InvalidRecordError,
    ErrorCode.INVALID_TIMESTAMP: InvalidRecordError,
}
"""The codes that callers act on by class; every other one is a plain DeliveryError."""


def delivery_error(
    partition: TopicPartition,
    written: WriteStatus,
    code: ErrorCode | int,
    message: str | None = None,
    cause: BaseException | None = None,
) -> DeliveryError:
    """The error for what the broker said. message: the broker's words; its own phrase for the code where None."""
    known = ErrorCode.of(code)
    if isinstance(known, ErrorCode):
        why = f"{known.name} ({int(known)}), {message or known.description}"
    else:
        why = f"error {known}, which Kafka 4.4.0 does not have{f' ({message})' if message else ''}"
    return ERROR_OF_CODE.get(int(code), DeliveryError)(partition, written, why, known, cause)


def refused(topic: str, code: ErrorCode | int) -> DeliveryError:
    """The error of a `send` to a topic that cannot be written to."""
    return delivery_error(TopicPartition(topic, NO_PARTITION), WriteStatus.NO, code)
