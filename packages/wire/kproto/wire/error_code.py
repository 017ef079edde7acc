"""The error codes of Kafka 4.4.0: number, name, and what each says about trying again.

Layer: wire. Knows no operation: what a producer does on a code stands in the producer's table.
Source: org.apache.kafka.common.protocol.Errors; a code is retriable where its exception is a RetriableException, and
`invalid_metadata` where it is an InvalidMetadataException.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["ErrorCode"]

RETRIABLE: Final = True  # the same request may succeed later
STALE: Final = (True, True)  # retriable, and the metadata that led here is wrong: refresh it first


class ErrorCode(IntEnum):
    """An error by its number. A number that is not here stays an int: see `of`."""

    description: str
    """What it says, in a phrase for people."""
    retriable: bool
    """Whether the same request may succeed when it is sent again."""
    invalid_metadata: bool
    """Whether the metadata behind the request is out of date, so that it should be refreshed first."""

    # Defaults also where each row has a value: a type checker reads `ErrorCode(3)` as a call of this.
    def __new__(
        cls, number: int, description: str = "", retriable: bool = False, invalid_metadata: bool = False
    ) -> ErrorCode:
        code = int.__new__(cls, number)
        code._value_ = number
        code.description = description
        code.retriable = retriable
        code.invalid_metadata = invalid_metadata
        return code

    UNKNOWN_SERVER_ERROR = -1, "the broker failed in a way that has no code of its own"
    NONE = 0, "all is well"
    OFFSET_OUT_OF_RANGE = 1, "the partition has no such offset, or no longer"
    CORRUPT_MESSAGE = 2, "a batch is damaged: its checksum or its size is wrong", RETRIABLE
    UNKNOWN_TOPIC_OR_PARTITION = 3, "no such topic or partition on this broker", *STALE
    INVALID_FETCH_SIZE = 4, "the fetch asks for a size that cannot be"
    LEADER_NOT_AVAILABLE = 5, "an election is under way: the partition has no leader yet", *STALE
    NOT_LEADER_OR_FOLLOWER = 6, "another broker leads the partition, or this one does not hold it", *STALE
    REQUEST_TIMED_OUT = 7, "the broker gave up waiting; what was asked may still happen", RETRIABLE
    BROKER_NOT_AVAILABLE = 8, "the broker is not up"
    REPLICA_NOT_AVAILABLE = 9, "the replica is not on this broker", *STALE
    MESSAGE_TOO_LARGE = 10, "a batch is larger than the topic's max.message.bytes"
    STALE_CONTROLLER_EPOCH = 11, "the controller that spoke has been replaced"
    OFFSET_METADATA_TOO_LARGE = 12, "the note committed with an offset is too long"
    NETWORK_EXCEPTION = 13, "the connection broke before an answer came", *STALE
    COORDINATOR_LOAD_IN_PROGRESS = 14, "the coordinator is still loading its state", RETRIABLE
    COORDINATOR_NOT_AVAILABLE = 15, "there is no coordinator yet, or it is not up", RETRIABLE
    NOT_COORDINATOR = 16, "another broker coordinates this group or transaction", RETRIABLE
    INVALID_TOPIC_EXCEPTION = 17, "no topic may have this name, or clients may not write to it"
    RECORD_LIST_TOO_LARGE = 18, "the request carries more than a segment of the log can hold"
    NOT_ENOUGH_REPLICAS = 19, "fewer replicas are in sync than min.insync.replicas asks; nothing was written", RETRIABLE
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20, "written, but to fewer replicas than min.insync.replicas asks", RETRIABLE
    INVALID_REQUIRED_ACKS = 21, "acks is none of -1, 0 and 1"
    ILLEGAL_GENERATION = 22, "the member speaks for a generation of the group that has passed"
    INCONSISTENT_GROUP_PROTOCOL = 23, "the member shares no protocol with the rest of the group"
    INVALID_GROUP_ID = 24, "no group may have this id"
    UNKNOWN_MEMBER_ID = 25, "the coordinator does not know this member"
    INVALID_SESSION_TIMEOUT = 26, "the session timeout is outside the broker's bounds"
    REBALANCE_IN_PROGRESS = 27, "the group is rebalancing: join it again"
    INVALID_COMMIT_OFFSET_SIZE = 28, "the offsets to commit take more room than is allowed"
    TOPIC_AUTHORIZATION_FAILED = 29, "the principal may not do this to the topic"
    GROUP_AUTHORIZATION_FAILED = 30, "the principal may not do this to the group"
    CLUSTER_AUTHORIZATION_FAILED = 31, "the principal may not do this to the cluster"
    INVALID_TIMESTAMP = 32, "a timestamp is outside the range that the topic takes"
    UNSUPPORTED_SASL_MECHANISM = 33, "the broker does not offer this SASL mechanism"
    ILLEGAL_SASL_STATE = 34, "no SASL request is expected at this point, or on this listener"
    UNSUPPORTED_VERSION = 35, "the broker does not speak this version of the API"
    TOPIC_ALREADY_EXISTS = 36, "a topic of this name exists"
    INVALID_PARTITIONS = 37, "the number of partitions cannot be"
    INVALID_REPLICATION_FACTOR = 38, "the replication factor is below 1 or above the number of brokers"
    INVALID_REPLICA_ASSIGNMENT = 39, "the replicas named for a partition cannot be"
    INVALID_CONFIG = 40, "a setting is unknown or has a value that cannot be"
    NOT_CONTROLLER = 41, "another node is the controller", RETRIABLE
    INVALID_REQUEST = 42, "the request contradicts itself or the protocol"
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43, "the log's message format is too old for this"
    POLICY_VIOLATION = 44, "a policy of the cluster forbids it"
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45, "the batch does not follow the last one of its producer: one is missing between"
    DUPLICATE_SEQUENCE_NUMBER = 46, "the batch was written earlier, too long ago for the broker to say where"
    INVALID_PRODUCER_EPOCH = 47, "a newer epoch of this producer id is in use"
    INVALID_TXN_STATE = 48, "the transaction's state does not allow this step"
    INVALID_PRODUCER_ID_MAPPING = 49, "the producer id is not the one of this transactional id"
    INVALID_TRANSACTION_TIMEOUT = 50, "the transaction timeout is longer than the broker allows"
    CONCURRENT_TRANSACTIONS = 51, "another change of this transaction is still under way", RETRIABLE
    TRANSACTION_COORDINATOR_FENCED = 52, "the transaction coordinator that spoke has been replaced"
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53, "the principal may not use this transactional id"
    SECURITY_DISABLED = 54, "the broker has no authorizer"
    OPERATION_NOT_ATTEMPTED = 55, "not tried, because another part of the request failed"
    KAFKA_STORAGE_ERROR = 56, "the disk under the partition failed", *STALE
    LOG_DIR_NOT_FOUND = 57, "the broker has no such log directory"
    SASL_AUTHENTICATION_FAILED = 58, "the credentials were refused"
    UNKNOWN_PRODUCER_ID = 59, "the broker remembers nothing of this producer id for the partition"
    REASSIGNMENT_IN_PROGRESS = 60, "the partition is being moved already"
    DELEGATION_TOKEN_AUTH_DISABLED = 61, "the cluster is not set up for delegation tokens"
    DELEGATION_TOKEN_NOT_FOUND = 62, "the broker knows no such delegation token"
    DELEGATION_TOKEN_OWNER_MISMATCH = 63, "the delegation token belongs to somebody else"
    DELEGATION_TOKEN_REQUEST_NOT_ALLOWED = 64, "delegation tokens cannot be asked for over this connection"
    DELEGATION_TOKEN_AUTHORIZATION_FAILED = 65, "the principal may not use this delegation token"
    DELEGATION_TOKEN_EXPIRED = 66, "the delegation token's time has passed"
    INVALID_PRINCIPAL_TYPE = 67, "the principal is of a type that is not supported"
    NON_EMPTY_GROUP = 68, "the group still has members"
    GROUP_ID_NOT_FOUND = 69, "there is no such group"
    FETCH_SESSION_ID_NOT_FOUND = 70, "the broker has forgotten the fetch session", RETRIABLE
    INVALID_FETCH_SESSION_EPOCH = 71, "the fetch session is at another epoch", RETRIABLE
    LISTENER_NOT_FOUND = 72, "the leader has no listener of this connection's name", *STALE
    TOPIC_DELETION_DISABLED = 73, "the cluster does not let topics be deleted"
    FENCED_LEADER_EPOCH = 74, "the leader epoch that the client knows is older than the broker's", *STALE
    UNKNOWN_LEADER_EPOCH = 75, "the leader epoch that the client knows is newer than the broker's", RETRIABLE
    UNSUPPORTED_COMPRESSION_TYPE = 76, "the client's version cannot carry the topic's compression"
    STALE_BROKER_EPOCH = 77, "the broker has registered anew since"
    OFFSET_NOT_AVAILABLE = 78, "a new leader does not know the last offset yet", RETRIABLE
    MEMBER_ID_REQUIRED = 79, "join again, with the member id of this answer"
    PREFERRED_LEADER_NOT_AVAILABLE = 80, "the preferred replica cannot lead now", *STALE
    GROUP_MAX_SIZE_REACHED = 81, "the group is full"
    FENCED_INSTANCE_ID = 82, "another member has taken this group.instance.id"
    ELIGIBLE_LEADERS_NOT_AVAILABLE = 83, "no replica that may lead is up", *STALE
    ELECTION_NOT_NEEDED = 84, "the partition has the right leader already", *STALE
    NO_REASSIGNMENT_IN_PROGRESS = 85, "the partition is not being moved"
    GROUP_SUBSCRIBED_TO_TOPIC = 86, "a member of the group subscribes to the topic"
    INVALID_RECORD = 87, "a record breaks a rule of its topic, such as a missing key where the log is compacted"
    UNSTABLE_OFFSET_COMMIT = 88, "a transaction has offsets pending for the partition", RETRIABLE
    THROTTLING_QUOTA_EXCEEDED = 89, "the principal's quota is used up for now", RETRIABLE
    PRODUCER_FENCED = 90, "a newer producer has taken this transactional id"
    RESOURCE_NOT_FOUND = 91, "there is no such resource"
    DUPLICATE_RESOURCE = 92, "the request names a resource twice"
    UNACCEPTABLE_CREDENTIAL = 93, "the credentials to be stored cannot be taken"
    INCONSISTENT_VOTER_SET = 94, "the sender or the receiver is not a voter that the other expects"
    INVALID_UPDATE_VERSION = 95, "the update is older than what it would replace"
    FEATURE_UPDATE_FAILED = 96, "a feature could not be brought to this level"
    PRINCIPAL_DESERIALIZATION_FAILURE = 97, "the forwarded principal could not be read"
    SNAPSHOT_NOT_FOUND = 98, "there is no such snapshot"
    POSITION_OUT_OF_RANGE = 99, "the snapshot has no such position"
    UNKNOWN_TOPIC_ID = 100, "no topic has this id on this broker", *STALE
    DUPLICATE_BROKER_REGISTRATION = 101, "another broker has registered this id"
    BROKER_ID_NOT_REGISTERED = 102, "no broker has registered this id"
    INCONSISTENT_TOPIC_ID = 103, "the topic's id is not the one that the log holds", *STALE
    INCONSISTENT_CLUSTER_ID = 104, "the request is meant for another cluster"
    TRANSACTIONAL_ID_NOT_FOUND = 105, "there is no such transactional id"
    FETCH_SESSION_TOPIC_ID_ERROR = 106, "the fetch session mixes requests with and without topic ids", RETRIABLE
    INELIGIBLE_REPLICA = 107, "the replica may not join those in sync"
    NEW_LEADER_ELECTED = 108, "the change was made, but another leader has been elected since"
    OFFSET_MOVED_TO_TIERED_STORAGE = 109, "the offset is in remote storage, no more on the broker"
    FENCED_MEMBER_EPOCH = 110, "the member's epoch has been fenced by the group"
    UNRELEASED_INSTANCE_ID = 111, "another member still holds this instance id"
    UNSUPPORTED_ASSIGNOR = 112, "the group cannot use this assignor"
    STALE_MEMBER_EPOCH = 113, "the member's epoch has passed; it should ask for the new one"
    MISMATCHED_ENDPOINT_TYPE = 114, "this listener serves the other kind of node, broker or controller"
    UNSUPPORTED_ENDPOINT_TYPE = 115, "the kind of endpoint asked for is not supported"
    UNKNOWN_CONTROLLER_ID = 116, "there is no such controller"
    UNKNOWN_SUBSCRIPTION_ID = 117, "the telemetry subscription is not known"
    TELEMETRY_TOO_LARGE = 118, "the telemetry is larger than the broker takes"
    INVALID_REGISTRATION = 119, "the controller rejects the broker's registration"
    TRANSACTION_ABORTABLE = 120, "the transaction has failed and can only be aborted"
    INVALID_RECORD_STATE = 121, "the share group's record is not in a state for this"
    SHARE_SESSION_NOT_FOUND = 122, "the broker has forgotten the share session", RETRIABLE
    INVALID_SHARE_SESSION_EPOCH = 123, "the share session is at another epoch", RETRIABLE
    FENCED_STATE_EPOCH = 124, "the share coordinator's state is at another epoch"
    INVALID_VOTER_KEY = 125, "the voter named is not the replica that was asked"
    DUPLICATE_VOTER = 126, "the quorum has this voter already"
    VOTER_NOT_FOUND = 127, "the quorum has no such voter"
    INVALID_REGULAR_EXPRESSION = 128, "the pattern is no regular expression"
    REBOOTSTRAP_REQUIRED = 129, "the client should start again from its bootstrap servers"
    STREAMS_INVALID_TOPOLOGY = 130, "the topology of the streams group cannot be"
    STREAMS_INVALID_TOPOLOGY_EPOCH = 131, "the epoch of the streams topology cannot be"
    STREAMS_TOPOLOGY_FENCED = 132, "the streams group has a newer topology than the member"
    SHARE_SESSION_LIMIT_REACHED = 133, "the broker has no room for another share session", RETRIABLE
    GROUP_DELETION_FAILED = 134, "the group could not be deleted"
    STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED = 135, "the description of the streams topology could not be updated"
    CONTROLLER_ID_NOT_REGISTERED = 136, "no controller has registered this id"

    @classmethod
    def of(cls, number: int) -> ErrorCode | int:
        """The error of this number, or the number itself where Kafka 4.4.0 has none."""
        return _BY_NUMBER.get(number, number)


_BY_NUMBER: Final = {code.value: code for code in ErrorCode}
