"""Produce: record batches to partition leaders.

Layer: wire.
Source: KIP-98 (3: batch format v2, transactional id), KIP-110 (7: zstd), KIP-467 (8: errors of single records), KIP-951
(10: the new leader beside NOT_LEADER_OR_FOLLOWER), KIP-890 (11, 12), KIP-516 (13: topic ids instead of names), KIP-896
(0-2 are no longer served by Kafka 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from kproto.wire.api_key import ApiKey
from kproto.wire.field import field
from kproto.wire.schema import Request, Response, Struct
from kproto.wire.wire_type import Array, Int16, Int32, Int64, NullableString, Records, String, Uuid

__all__ = ["ProduceRequest", "ProduceResponse"]


class ProduceRequest(Request, api_key=ApiKey.PRODUCE, versions="0-13", flexible="9+"):
    """One record batch for each partition. acks: 0, 1 or -1 (all in-sync replicas); with 0 there is no answer."""

    class TopicProduceData(Struct):
        """A topic by name, from version 13 by id."""

        class PartitionProduceData(Struct):
            """The batch for one partition, as `kproto.wire.records` builds it."""

            index: int = field(Int32)
            records: bytes | None = field(Records, nullable="0+")

        name: str = field(String, until=12, map_key=True, ignorable=True)
        topic_id: UUID = field(Uuid, since=13, map_key=True, ignorable=True)
        partition_data: Sequence[PartitionProduceData] = field(Array(PartitionProduceData))

    PartitionProduceData = TopicProduceData.PartitionProduceData

    transactional_id: str | None = field(NullableString, since=3)
    acks: int = field(Int16)
    timeout_ms: int = field(Int32)
    topic_data: Sequence[TopicProduceData] = field(Array(TopicProduceData))


class ProduceResponse(Response, api_key=ApiKey.PRODUCE, versions="0-13", flexible="9+"):
    """The offset that each batch got, or why it got none."""

    class TopicProduceResponse(Struct):
        """A topic by name, from version 13 by id."""

        class PartitionProduceResponse(Struct):
            """The fate of one batch. base_offset: of its first record; log_append_time_ms: -1 unless LogAppendTime."""

            class LeaderIdAndEpoch(Struct):
                """The leader that the broker knows of, where it is not itself; -1 for not known."""

                leader_id: int = field(Int32, since=10, default=-1)
                leader_epoch: int = field(Int32, since=10, default=-1)

            class BatchIndexAndErrorMessage(Struct):
                """A record that made the broker refuse its batch; batch_index counts from 0 in the batch."""

                batch_index: int = field(Int32, since=8)
                batch_index_error_message: str | None = field(NullableString, since=8)

            index: int = field(Int32)
            error_code: int = field(Int16)
            base_offset: int = field(Int64)
            log_append_time_ms: int = field(Int64, since=2, default=-1, ignorable=True)
            log_start_offset: int = field(Int64, since=5, default=-1, ignorable=True)
            record_errors: Sequence[BatchIndexAndErrorMessage] = field(
                Array(BatchIndexAndErrorMessage), since=8, ignorable=True
            )
            error_message: str | None = field(NullableString, since=8, ignorable=True)
            current_leader: LeaderIdAndEpoch = field(LeaderIdAndEpoch, since=10, tag=0)

        name: str = field(String, until=12, map_key=True, ignorable=True)
        topic_id: UUID = field(Uuid, since=13, map_key=True, ignorable=True)
        partition_responses: Sequence[PartitionProduceResponse] = field(Array(PartitionProduceResponse))

    PartitionProduceResponse = TopicProduceResponse.PartitionProduceResponse
    BatchIndexAndErrorMessage = PartitionProduceResponse.BatchIndexAndErrorMessage
    LeaderIdAndEpoch = PartitionProduceResponse.LeaderIdAndEpoch

    class NodeEndpoint(Struct):
        """Where a leader named in `current_leader` is reached."""

        node_id: int = field(Int32, since=10, map_key=True)
        host: str = field(String, since=10)
        port: int = field(Int32, since=10)
        rack: str | None = field(NullableString, since=10)

    responses: Sequence[TopicProduceResponse] = field(Array(TopicProduceResponse))
    throttle_time_ms: int = field(Int32, since=1, ignorable=True)
    node_endpoints: Sequence[NodeEndpoint] = field(Array(NodeEndpoint), since=10, tag=0)
