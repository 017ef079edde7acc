"""CreateTopics and DeleteTopics, in the versions that the judge serves.

Layer: tools. Declared with the wire layer's own words; the wire layer itself has the producer's messages only.
Source: KIP-4, KIP-525 (CreateTopics 5: what was made), KIP-516 (7: topic ids), KIP-599 (DeleteTopics 5: messages).
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from kproto.wire import ApiKey, Request, Response, Struct
from kproto.wire.field import field
from kproto.wire.wire_type import Array, Boolean, Int8, Int16, Int32, NullableString, String, Uuid

__all__ = ["CreateTopicsRequest", "CreateTopicsResponse", "DeleteTopicsRequest", "DeleteTopicsResponse"]


class CreateTopicsRequest(Request, api_key=ApiKey.CREATE_TOPICS, versions="2-7", flexible="5+"):
    """New topics. num_partitions, replication_factor: -1 for what the cluster thinks right, or with assignments."""

    class CreatableTopic(Struct):
        """One of them."""

        class CreatableReplicaAssignment(Struct):
            """Where the replicas of a partition are to be."""

            partition_index: int = field(Int32, map_key=True)
            broker_ids: Sequence[int] = field(Array(Int32))

        class CreatableTopicConfig(Struct):
            """A setting by name."""

            name: str = field(String, map_key=True)
            value: str | None = field(String, nullable="0+")

        name: str = field(String, map_key=True)
        num_partitions: int = field(Int32)
        replication_factor: int = field(Int16)
        assignments: Sequence[CreatableReplicaAssignment] = field(Array(CreatableReplicaAssignment))
        configs: Sequence[CreatableTopicConfig] = field(Array(CreatableTopicConfig))

    CreatableReplicaAssignment = CreatableTopic.CreatableReplicaAssignment
    CreatableTopicConfig = CreatableTopic.CreatableTopicConfig

    topics: Sequence[CreatableTopic] = field(Array(CreatableTopic))
    timeout_ms: int = field(Int32, default=60_000)
    validate_only: bool = field(Boolean)


class CreateTopicsResponse(Response, api_key=ApiKey.CREATE_TOPICS, versions="2-7", flexible="5+"):
    """What became of each."""

    class CreatableTopicResult(Struct):
        """One of them."""

        class CreatableTopicConfigs(Struct):
            """A setting as it is."""

            name: str = field(String, since=5)
            value: str | None = field(NullableString, since=5)
            read_only: bool = field(Boolean, since=5)
            config_source: int = field(Int8, since=5, default=-1, ignorable=True)
            is_sensitive: bool = field(Boolean, since=5)

        name: str = field(String, map_key=True)
        topic_id: UUID = field(Uuid, since=7, ignorable=True)
        error_code: int = field(Int16)
        error_message: str | None = field(NullableString, ignorable=True)
        topic_config_error_code: int = field(Int16, since=5, tag=0, ignorable=True)
        num_partitions: int = field(Int32, since=5, default=-1, ignorable=True)
        replication_factor: int = field(Int16, since=5, default=-1, ignorable=True)
        configs: Sequence[CreatableTopicConfigs] | None = field(
            Array(CreatableTopicConfigs), since=5, nullable="5+", ignorable=True
        )

    CreatableTopicConfigs = CreatableTopicResult.CreatableTopicConfigs

    throttle_time_ms: int = field(Int32, ignorable=True)
    topics: Sequence[CreatableTopicResult] = field(Array(CreatableTopicResult))


class DeleteTopicsRequest(Request, api_key=ApiKey.DELETE_TOPICS, versions="1-5", flexible="4+"):
    """Topics to be gone, by name."""

    topic_names: Sequence[str] = field(Array(String), ignorable=True)
    timeout_ms: int = field(Int32)


class DeleteTopicsResponse(Response, api_key=ApiKey.DELETE_TOPICS, versions="1-5", flexible="4+"):
    """What became of each."""

    class DeletableTopicResult(Struct):
        """One of them."""

        name: str = field(String, map_key=True)
        error_code: int = field(Int16)
        error_message: str | None = field(NullableString, since=5, ignorable=True)

    throttle_time_ms: int = field(Int32, ignorable=True)
    responses: Sequence[DeletableTopicResult] = field(Array(DeletableTopicResult))
