"""Metadata: brokers, topics, and the leader of each partition.

Layer: wire.
Source: KIP-4 (1), KIP-78 (2: cluster id), KIP-204 (4), KIP-112 (5: offline replicas), KIP-320 (7: leader epochs),
KIP-430 (8-10: authorized operations), KIP-516 (10-12: topic ids), KIP-1102 (13: an error for the whole answer).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from kproto.wire.api_key import ApiKey
from kproto.wire.field import field
from kproto.wire.schema import Request, Response, Struct
from kproto.wire.wire_type import Array, Boolean, Int16, Int32, NullableString, String, Uuid

__all__ = ["NO_AUTHORIZED_OPERATIONS", "MetadataRequest", "MetadataResponse"]

NO_AUTHORIZED_OPERATIONS: Final = -(2**31)  # "not asked for"


class MetadataRequest(Request, api_key=ApiKey.METADATA, versions="0-13", flexible="9+"):
    """Ask about topics. From version 1, None asks about all and () about none; in version 0, () asks about all."""

    class MetadataRequestTopic(Struct):
        """A topic by name, or from version 10 by id (with the name None)."""

        topic_id: UUID = field(Uuid, since=10, ignorable=True)
        name: str | None = field(String, nullable="10+")

    topics: Sequence[MetadataRequestTopic] | None = field(Array(MetadataRequestTopic), nullable="1+")
    allow_auto_topic_creation: bool = field(Boolean, since=4, default=True)
    include_cluster_authorized_operations: bool = field(Boolean, since=8, until=10)
    include_topic_authorized_operations: bool = field(Boolean, since=8)


class MetadataResponse(Response, api_key=ApiKey.METADATA, versions="0-13", flexible="9+"):
    """Brokers, and the leaders and replicas of the topics asked for."""

    class MetadataResponseBroker(Struct):
        """Where clients reach one broker."""

        node_id: int = field(Int32, map_key=True)
        host: str = field(String)
        port: int = field(Int32)
        rack: str | None = field(NullableString, since=1, ignorable=True)

    class MetadataResponseTopic(Struct):
        """One topic, or why it cannot be shown; name is None where an id was asked for that no topic has."""

        class MetadataResponsePartition(Struct):
            """One partition; leader_id is -1 where there is no leader."""

            error_code: int = field(Int16)
            partition_index: int = field(Int32)
            leader_id: int = field(Int32)
            leader_epoch: int = field(Int32, since=7, default=-1, ignorable=True)
            replica_nodes: Sequence[int] = field(Array(Int32))
            isr_nodes: Sequence[int] = field(Array(Int32))
            offline_replicas: Sequence[int] = field(Array(Int32), since=5, ignorable=True)

        error_code: int = field(Int16)
        name: str | None = field(String, nullable="12+", map_key=True)
        topic_id: UUID = field(Uuid, since=10, ignorable=True)
        is_internal: bool = field(Boolean, since=1, ignorable=True)
        partitions: Sequence[MetadataResponsePartition] = field(Array(MetadataResponsePartition))
        topic_authorized_operations: int = field(Int32, since=8, default=NO_AUTHORIZED_OPERATIONS)

    MetadataResponsePartition = MetadataResponseTopic.MetadataResponsePartition

    throttle_time_ms: int = field(Int32, since=3, ignorable=True)
    brokers: Sequence[MetadataResponseBroker] = field(Array(MetadataResponseBroker))
    cluster_id: str | None = field(NullableString, since=2, ignorable=True)
    controller_id: int = field(Int32, since=1, default=-1, ignorable=True)
    topics: Sequence[MetadataResponseTopic] = field(Array(MetadataResponseTopic))
    cluster_authorized_operations: int = field(Int32, since=8, until=10, default=NO_AUTHORIZED_OPERATIONS)
    error_code: int = field(Int16, since=13, ignorable=True)
