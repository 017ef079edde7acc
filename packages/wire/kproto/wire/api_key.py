"""The APIs of Kafka 4.4.0: number, name, and the versions that are spoken.

Layer: wire. Knows the APIs that kproto does not declare, too: `kproto.wire.definitions` brings their messages.
Source: org.apache.kafka.common.protocol.ApiKeys and the validVersions of the message JSON.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["ApiKey"]


class ApiKey(IntEnum):
    """An API by its number. A number that is not here stays an int: see `of`."""

    first_version: int | None
    """The first version that Kafka 4.4.0 speaks; None for an API that it has retired."""
    last_version: int | None
    """The last version, unstable ones included; None for an API that Kafka 4.4.0 has retired."""

    def __new__(cls, number: int, first_version: int | None = None, last_version: int | None = None) -> ApiKey:
        key = int.__new__(cls, number)
        key._value_ = number
        key.first_version = first_version
        key.last_version = last_version
        return key

    PRODUCE = 0, 3, 13
    FETCH = 1, 4, 18
    LIST_OFFSETS = 2, 1, 11
    METADATA = 3, 0, 13
    LEADER_AND_ISR = 4
    STOP_REPLICA = 5
    UPDATE_METADATA = 6
    CONTROLLED_SHUTDOWN = 7
    OFFSET_COMMIT = 8, 2, 10
    OFFSET_FETCH = 9, 1, 10
    FIND_COORDINATOR = 10, 0, 6
    JOIN_GROUP = 11, 0, 9
    HEARTBEAT = 12, 0, 4
    LEAVE_GROUP = 13, 0, 5
    SYNC_GROUP = 14, 0, 5
    DESCRIBE_GROUPS = 15, 0, 6
    LIST_GROUPS = 16, 0, 5
    SASL_HANDSHAKE = 17, 0, 1
    API_VERSIONS = 18, 0, 5
    CREATE_TOPICS = 19, 2, 7
    DELETE_TOPICS = 20, 1, 6
    DELETE_RECORDS = 21, 0, 2
    INIT_PRODUCER_ID = 22, 0, 6
    OFFSET_FOR_LEADER_EPOCH = 23, 2, 4
    ADD_PARTITIONS_TO_TXN = 24, 0, 5
    ADD_OFFSETS_TO_TXN = 25, 0, 4
    END_TXN = 26, 0, 5
    WRITE_TXN_MARKERS = 27, 1, 2
    TXN_OFFSET_COMMIT = 28, 0, 6
    DESCRIBE_ACLS = 29, 1, 3
    CREATE_ACLS = 30, 1, 3
    DELETE_ACLS = 31, 1, 3
    DESCRIBE_CONFIGS = 32, 1, 4
    ALTER_CONFIGS = 33, 0, 2
    ALTER_REPLICA_LOG_DIRS = 34, 1, 2
    DESCRIBE_LOG_DIRS = 35, 1, 5
    SASL_AUTHENTICATE = 36, 0, 2
    CREATE_PARTITIONS = 37, 0, 3
    CREATE_DELEGATION_TOKEN = 38, 1, 3
    RENEW_DELEGATION_TOKEN = 39, 1, 2
    EXPIRE_DELEGATION_TOKEN = 40, 1, 2
    DESCRIBE_DELEGATION_TOKEN = 41, 1, 3
    DELETE_GROUPS = 42, 0, 3
    ELECT_LEADERS = 43, 0, 2
    INCREMENTAL_ALTER_CONFIGS = 44, 0, 1
    ALTER_PARTITION_REASSIGNMENTS = 45, 0, 1
    LIST_PARTITION_REASSIGNMENTS = 46, 0, 0
    OFFSET_DELETE = 47, 0, 0
    DESCRIBE_CLIENT_QUOTAS = 48, 0, 1
    ALTER_CLIENT_QUOTAS = 49, 0, 1
    DESCRIBE_USER_SCRAM_CREDENTIALS = 50, 0, 0
    ALTER_USER_SCRAM_CREDENTIALS = 51, 0, 0
    VOTE = 52, 0, 2
    BEGIN_QUORUM_EPOCH = 53, 0, 1
    END_QUORUM_EPOCH = 54, 0, 1
    DESCRIBE_QUORUM = 55, 0, 2
    ALTER_PARTITION = 56, 2, 3
    UPDATE_FEATURES = 57, 0, 2
    ENVELOPE = 58, 0, 0
    FETCH_SNAPSHOT = 59, 0, 1
    DESCRIBE_CLUSTER = 60, 0, 2
    DESCRIBE_PRODUCERS = 61, 0, 0
    BROKER_REGISTRATION = 62, 0, 4
    BROKER_HEARTBEAT = 63, 0, 2
    UNREGISTER_BROKER = 64, 0, 0
    DESCRIBE_TRANSACTIONS = 65, 0, 0
    LIST_TRANSACTIONS = 66, 0, 2
    ALLOCATE_PRODUCER_IDS = 67, 0, 0
    CONSUMER_GROUP_HEARTBEAT = 68, 0, 1
    CONSUMER_GROUP_DESCRIBE = 69, 0, 1
    CONTROLLER_REGISTRATION = 70, 0, 0
    GET_TELEMETRY_SUBSCRIPTIONS = 71, 0, 0
    PUSH_TELEMETRY = 72, 0, 0
    ASSIGN_REPLICAS_TO_DIRS = 73, 0, 0
    LIST_CONFIG_RESOURCES = 74, 0, 1
    DESCRIBE_TOPIC_PARTITIONS = 75, 0, 0
    SHARE_GROUP_HEARTBEAT = 76, 1, 1
    SHARE_GROUP_DESCRIBE = 77, 1, 1
    SHARE_FETCH = 78, 1, 2
    SHARE_ACKNOWLEDGE = 79, 1, 2
    ADD_RAFT_VOTER = 80, 0, 1
    REMOVE_RAFT_VOTER = 81, 0, 0
    UPDATE_RAFT_VOTER = 82, 0, 0
    INITIALIZE_SHARE_GROUP_STATE = 83, 0, 0
    READ_SHARE_GROUP_STATE = 84, 0, 0
    WRITE_SHARE_GROUP_STATE = 85, 0, 1
    DELETE_SHARE_GROUP_STATE = 86, 0, 0
    READ_SHARE_GROUP_STATE_SUMMARY = 87, 0, 1
    STREAMS_GROUP_HEARTBEAT = 88, 0, 1
    STREAMS_GROUP_DESCRIBE = 89, 0, 1
    DESCRIBE_SHARE_GROUP_OFFSETS = 90, 0, 1
    ALTER_SHARE_GROUP_OFFSETS = 91, 0, 0
    DELETE_SHARE_GROUP_OFFSETS = 92, 0, 0
    STREAMS_GROUP_TOPOLOGY_DESCRIPTION_UPDATE = 93, 0, 0
    UNREGISTER_CONTROLLER = 94, 0, 0

    @classmethod
    def of(cls, number: int) -> ApiKey | int:
        """The API of this number, or the number itself where Kafka 4.4.0 has none."""
        return _BY_NUMBER.get(number, number)

    @property
    def message_name(self) -> str:
        """The name that its messages begin with: `Produce` for ProduceRequest and ProduceResponse."""
        return self.name.title().replace("_", "")


_BY_NUMBER: Final = {key.value: key for key in ApiKey}
