"""What a producer does about each error code, as data.

Layer: producer. One row for each code that a broker answers a Produce request with; `outcome_of` looks it up.

A row has two parts. The action; and whether the answer leaves open that the batch was written: most retriable errors
can come after the append, too (a leader that is deposed while it waits for its followers answers
NOT_LEADER_OR_FOLLOWER), so that only what is checked before it, or is proof of it, is certain.
Source: org.apache.kafka.clients.producer.internals.Sender, TransactionManager.canRetry; kafka.server.ReplicaManager and
DelayedProduce for what is certain; librdkafka's table of actions for the idea.
"""

from __future__ import annotations

from enum import auto
from typing import Final, NamedTuple

from kproto.client.transitions import State
from kproto.wire import ErrorCode

__all__ = ["OUTCOMES", "Action", "Outcome", "outcome_of"]


class Action(State):
    """What to do with the batch."""

    COMPLETE = auto()
    """It is written: its records have the offset of the answer."""
    COMPLETE_DUPLICATE = auto()
    """It was written before, and the broker no longer knows where: its records have no offset."""
    RETRY = auto()
    """Send it again, unchanged."""
    SPLIT = auto()
    """Send its records in smaller batches; one that is a single record fails."""
    OUT_OF_ORDER = auto()
    """It was not written, for a batch before it was not: see PartitionSequences.out_of_order."""
    UNKNOWN_PRODUCER = auto()
    """The broker has forgotten the producer: see PartitionSequences.forgotten."""
    FAIL = auto()
    """Its records fail; the producer goes on."""
    FATAL = auto()
    """Its records fail, and those of every other batch: the producer can send nothing any more."""


class Outcome(NamedTuple):
    """open: whether the batch may have been written all the same."""

    action: Action
    open: bool


OPEN: Final = True
CERTAIN: Final = False

OUTCOMES: Final[dict[int, Outcome]] = {
    ErrorCode.NONE: Outcome(Action.COMPLETE, CERTAIN),
    ErrorCode.DUPLICATE_SEQUENCE_NUMBER: Outcome(Action.COMPLETE_DUPLICATE, CERTAIN),
    # Checked before the append.
    ErrorCode.CORRUPT_MESSAGE: Outcome(Action.RETRY, CERTAIN),
    ErrorCode.MESSAGE_TOO_LARGE: Outcome(Action.SPLIT, CERTAIN),
    ErrorCode.INVALID_TOPIC_EXCEPTION: Outcome(Action.FAIL, CERTAIN),
    ErrorCode.RECORD_LIST_TOO_LARGE: Outcome(Action.FAIL, CERTAIN),
    ErrorCode.NOT_ENOUGH_REPLICAS: Outcome(Action.RETRY, CERTAIN),
    ErrorCode.INVALID_REQUIRED_ACKS: Outcome(Action.FAIL, CERTAIN),
    ErrorCode.TOPIC_AUTHORIZATION_FAILED: Outcome(Action.FAIL, CERTAIN),
    ErrorCode.CLUSTER_AUTHORIZATION_FAILED: Outcome(Action.FATAL, CERTAIN),
    ErrorCode.INVALID_TIMESTAMP: Outcome(Action.FAIL, CERTAIN),
    ErrorCode.UNSUPPORTED_VERSION: Outcome(Action.FATAL, CERTAIN),
    ErrorCode.INVALID_REQUEST: Outcome(Action.FAIL, CERTAIN),
    ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT: Outcome(Action.FAIL, CERTAIN),
    ErrorCode.POLICY_VIOLATION: Outcome(Action.FAIL, CERTAIN),
    ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER: Outcome(Action.OUT_OF_ORDER, CERTAIN),
    ErrorCode.INVALID_PRODUCER_EPOCH: Outcome(Action.FAIL, CERTAIN),
    ErrorCode.INVALID_TXN_STATE: Outcome(Action.FAIL, CERTAIN),
    ErrorCode.INVALID_PRODUCER_ID_MAPPING: Outcome(Action.FAIL, CERTAIN),
    ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Outcome(Action.FATAL, CERTAIN),
    ErrorCode.SECURITY_DISABLED: Outcome(Action.FAIL, CERTAIN),
    ErrorCode.UNKNOWN_PRODUCER_ID: Outcome(Action.UNKNOWN_PRODUCER, CERTAIN),
    ErrorCode.UNSUPPORTED_COMPRESSION_TYPE: Outcome(Action.FAIL, CERTAIN),
    ErrorCode.INVALID_RECORD: Outcome(Action.FAIL, CERTAIN),
    ErrorCode.THROTTLING_QUOTA_EXCEEDED: Outcome(Action.RETRY, CERTAIN),
    ErrorCode.PRODUCER_FENCED: Outcome(Action.FATAL, CERTAIN),
    ErrorCode.UNKNOWN_TOPIC_ID: Outcome(Action.RETRY, CERTAIN),
    ErrorCode.INCONSISTENT_TOPIC_ID: Outcome(Action.RETRY, CERTAIN),
    # Also answered after the append, or where it failed half way.
    ErrorCode.UNKNOWN_SERVER_ERROR: Outcome(Action.FAIL, OPEN),
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: Outcome(Action.RETRY, OPEN),
    ErrorCode.LEADER_NOT_AVAILABLE: Outcome(Action.RETRY, OPEN),
    ErrorCode.NOT_LEADER_OR_FOLLOWER: Outcome(Action.RETRY, OPEN),
    ErrorCode.REQUEST_TIMED_OUT: Outcome(Action.RETRY, OPEN),
    ErrorCode.REPLICA_NOT_AVAILABLE: Outcome(Action.RETRY, OPEN),
    ErrorCode.NETWORK_EXCEPTION: Outcome(Action.RETRY, OPEN),
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND: Outcome(Action.RETRY, OPEN),
    ErrorCode.KAFKA_STORAGE_ERROR: Outcome(Action.RETRY, OPEN),
    ErrorCode.FENCED_LEADER_EPOCH: Outcome(Action.RETRY, OPEN),
    ErrorCode.UNKNOWN_LEADER_EPOCH: Outcome(Action.RETRY, OPEN),
}
"""Error code -> what to do. One without a row is retried where Kafka calls it retriable, failed where not, and open."""


def outcome_of(code: int) -> Outcome:
    """What to do about a code, also one that no table knows."""
    row = OUTCOMES.get(code)
    if row is not None:
        return row
    known = ErrorCode.of(code)
    retriable = isinstance(known, ErrorCode) and known.retriable
    return Outcome(Action.RETRY if retriable else Action.FAIL, OPEN)
