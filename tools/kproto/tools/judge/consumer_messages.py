"""Fetch and ListOffsets, in the versions that the judge serves: what a consumer without a group asks.

Layer: tools. Declared with the wire layer's own words; the wire layer itself has the producer's messages only.
Source: KIP-98 (Fetch 4: isolation level), KIP-107 (5: log start), KIP-227 (7: sessions), KIP-320 (9: leader epochs),
KIP-392 (11: racks), KIP-595 (12: tagged fields); ListOffsets: KIP-79 (1), KIP-98 (2), KIP-320 (4), KIP-734 (7).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kproto.wire import ApiKey, Request, Response, Struct
from kproto.wire.field import field
from kproto.wire.wire_type import Array, Int8, Int16, Int32, Int64, Records, String

__all__ = ["FetchRequest", "FetchResponse", "ListOffsetsRequest", "ListOffsetsResponse"]

SIZE_MAX: Final = 2**31 - 1


class FetchRequest(Request, api_key=ApiKey.FETCH, versions="4-12", flexible="12+"):
    """Batches from an offset on, of each partition. max_wait_ms: for min_bytes; sizes in bytes."""

    class FetchTopic(Struct):
        """A topic by name."""

        class FetchPartition(Struct):
            """Where to begin. current_leader_epoch: as the client knows it, -1 for none."""

            partition: int = field(Int32)
            current_leader_epoch: int = field(Int32, since=9, default=-1, ignorable=True)
            fetch_offset: int = field(Int64)
            last_fetched_epoch: int = field(Int32, since=12, default=-1)
            log_start_offset: int = field(Int64, since=5, default=-1, ignorable=True)
            partition_max_bytes: int = field(Int32)

        topic: str = field(String, ignorable=True)
        partitions: Sequence[FetchPartition] = field(Array(FetchPartition))

    FetchPartition = FetchTopic.FetchPartition

    class ForgottenTopic(Struct):
        """Partitions that leave a session; the judge has no sessions."""

        topic: str = field(String, since=7, ignorable=True)
        partitions: Sequence[int] = field(Array(Int32), since=7)

    cluster_id: str | None = field(String, since=12, nullable="12+", tag=0, default=None, ignorable=True)
    replica_id: int = field(Int32, default=-1)
    max_wait_ms: int = field(Int32)
    min_bytes: int = field(Int32)
    max_bytes: int = field(Int32, default=SIZE_MAX, ignorable=True)
    isolation_level: int = field(Int8, ignorable=True)
    session_id: int = field(Int32, since=7, ignorable=True)
    session_epoch: int = field(Int32, since=7, default=-1, ignorable=True)
    topics: Sequence[FetchTopic] = field(Array(FetchTopic))
    forgotten_topics_data: Sequence[ForgottenTopic] = field(Array(ForgottenTopic), since=7)
    rack_id: str = field(String, since=11, ignorable=True)


class FetchResponse(Response, api_key=ApiKey.FETCH, versions="4-12", flexible="12+"):
    """Batches as they stand in the log. session_id: 0 for no session."""

    class FetchableTopicResponse(Struct):
        """A topic by name."""

        class PartitionData(Struct):
            """One partition; records hold whole batches, the first of which may begin before the offset asked for."""

            class EpochEndOffset(Struct):
                """Where the client's log and this one part; -1 for nowhere."""

                epoch: int = field(Int32, since=12, default=-1)
                end_offset: int = field(Int64, since=12, default=-1)

            class LeaderIdAndEpoch(Struct):
                """The leader that the broker knows of, where it is not itself; -1 for not known."""

                leader_id: int = field(Int32, since=12, default=-1)
                leader_epoch: int = field(Int32, since=12, default=-1)

            class SnapshotId(Struct):
                """For controllers alone."""

                end_offset: int = field(Int64, default=-1)
                epoch: int = field(Int32, default=-1)

            class AbortedTransaction(Struct):
                """What a reader of committed records leaves out."""

                producer_id: int = field(Int64)
                first_offset: int = field(Int64)

            partition_index: int = field(Int32)
            error_code: int = field(Int16)
            high_watermark: int = field(Int64)
            last_stable_offset: int = field(Int64, default=-1, ignorable=True)
            log_start_offset: int = field(Int64, since=5, default=-1, ignorable=True)
            diverging_epoch: EpochEndOffset = field(EpochEndOffset, since=12, tag=0)
            current_leader: LeaderIdAndEpoch = field(LeaderIdAndEpoch, since=12, tag=1)
            snapshot_id: SnapshotId = field(SnapshotId, since=12, tag=2)
            aborted_transactions: Sequence[AbortedTransaction] | None = field(
                Array(AbortedTransaction), nullable="4+", ignorable=True
            )
            preferred_read_replica: int = field(Int32, since=11, default=-1)
            records: bytes | None = field(Records, nullable="0+")

        topic: str = field(String, ignorable=True)
        partitions: Sequence[PartitionData] = field(Array(PartitionData))

    PartitionData = FetchableTopicResponse.PartitionData
    AbortedTransaction = PartitionData.AbortedTransaction
    EpochEndOffset = PartitionData.EpochEndOffset
    LeaderIdAndEpoch = PartitionData.LeaderIdAndEpoch
    SnapshotId = PartitionData.SnapshotId

    throttle_time_ms: int = field(Int32, ignorable=True)
    error_code: int = field(Int16, since=7, ignorable=True)
    session_id: int = field(Int32, since=7)
    responses: Sequence[FetchableTopicResponse] = field(Array(FetchableTopicResponse))


class ListOffsetsRequest(Request, api_key=ApiKey.LIST_OFFSETS, versions="1-7", flexible="6+"):
    """The first offset at or behind a time. timestamp: ms since the epoch; -1 the end, -2 the start, -3 the latest."""

    class ListOffsetsTopic(Struct):
        """A topic by name."""

        class ListOffsetsPartition(Struct):
            """One partition."""

            partition_index: int = field(Int32)
            current_leader_epoch: int = field(Int32, since=4, default=-1, ignorable=True)
            timestamp: int = field(Int64)

        name: str = field(String)
        partitions: Sequence[ListOffsetsPartition] = field(Array(ListOffsetsPartition))

    ListOffsetsPartition = ListOffsetsTopic.ListOffsetsPartition

    replica_id: int = field(Int32)
    isolation_level: int = field(Int8, since=2)
    topics: Sequence[ListOffsetsTopic] = field(Array(ListOffsetsTopic))


class ListOffsetsResponse(Response, api_key=ApiKey.LIST_OFFSETS, versions="1-7", flexible="6+"):
    """An offset for each partition; -1 where no record is so late."""

    class ListOffsetsTopicResponse(Struct):
        """A topic by name."""

        class ListOffsetsPartitionResponse(Struct):
            """One partition. timestamp: that of the record, -1 for the ends of the log."""

            partition_index: int = field(Int32)
            error_code: int = field(Int16)
            timestamp: int = field(Int64, default=-1)
            offset: int = field(Int64, default=-1)
            leader_epoch: int = field(Int32, since=4, default=-1)

        name: str = field(String)
        partitions: Sequence[ListOffsetsPartitionResponse] = field(Array(ListOffsetsPartitionResponse))

    ListOffsetsPartitionResponse = ListOffsetsTopicResponse.ListOffsetsPartitionResponse

    throttle_time_ms: int = field(Int32, since=2, ignorable=True)
    topics: Sequence[ListOffsetsTopicResponse] = field(Array(ListOffsetsTopicResponse))
