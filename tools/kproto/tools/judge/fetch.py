"""What a broker answers to consumers: Fetch and ListOffsets. There are no transactions, sessions or followers behind.

Layer: tools.
Source: kafka.server.KafkaApis.handleFetchRequest, kafka.server.ReplicaManager.readFromLog,
kafka.cluster.Partition.getLocalLog, org.apache.kafka.storage.internals.log.UnifiedLog.fetchOffsetByTimestamp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kproto.tools.judge.consumer_messages import FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse
from kproto.tools.judge.faults import FaultPoint, Faults
from kproto.tools.judge.image import PartitionImage
from kproto.tools.judge.partition_log import PartitionLog
from kproto.wire import ErrorCode

if TYPE_CHECKING:
    from kproto.tools.judge.broker import JudgeBroker

__all__ = ["fetch_answer", "fetch_waits", "list_offsets_answer"]

NO_EPOCH: Final = -1
EPOCHS_SINCE: Final = 4  # of ListOffsets, KIP-320
LATEST: Final = -1
EARLIEST: Final = -2
MAX_TIMESTAMP: Final = -3
FOLLOWERS_SINCE: Final = 11  # KIP-392: any replica serves a consumer that can tell its rack
FetchPartition = FetchRequest.FetchTopic.FetchPartition
Fetched = FetchResponse.FetchableTopicResponse
PartitionData = FetchResponse.FetchableTopicResponse.PartitionData
ListPartition = ListOffsetsRequest.ListOffsetsTopic.ListOffsetsPartition
Listed = ListOffsetsResponse.ListOffsetsTopicResponse
ListedPartition = ListOffsetsResponse.ListOffsetsTopicResponse.ListOffsetsPartitionResponse


class _Readable:
    """A partition as this broker may read it; code: why it may not."""

    def __init__(self, broker: JudgeBroker, topic: str, index: int, epoch: int, *, leads: bool) -> None:
        self.code = 0
        known = broker.image.topics.get(topic)
        if known is None or not 0 <= index < len(known.partitions):
            self.code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            return
        partition = known.partitions[index]
        self.code = _epoch_error(partition, epoch) or _place_error(broker, partition, leads)
        self.leader_epoch = partition.leader_epoch
        self.log = broker.cluster.log_of(known.topic_id, index)


def _epoch_error(partition: PartitionImage, epoch: int) -> int:
    """Partition.checkCurrentLeaderEpoch (KIP-320)."""
    if epoch == NO_EPOCH or epoch == partition.leader_epoch:
        return 0
    older = epoch < partition.leader_epoch
    return ErrorCode.FENCED_LEADER_EPOCH if older else ErrorCode.UNKNOWN_LEADER_EPOCH


def _place_error(broker: JudgeBroker, partition: PartitionImage, leads: bool) -> int:
    here = partition.leader == broker.node_id or (not leads and broker.node_id in partition.replicas)
    return 0 if here else ErrorCode.NOT_LEADER_OR_FOLLOWER


def fetch_answer(broker: JudgeBroker, request: FetchRequest, version: int, faults: Faults) -> FetchResponse:
    """Batches, up to the sizes asked for; the first of all in any case, so that nobody is stuck (KIP-74)."""
    left = request.max_bytes
    first = True
    responses = []
    for asked in request.topics:
        partitions = []
        for one in asked.partitions:
            code = faults.error_code(FaultPoint.BEFORE_APPEND, asked.topic, one.partition)
            room = min(left, one.partition_max_bytes)
            answered = _fetched(broker, asked.topic, one, room, leads=version < FOLLOWERS_SINCE, first=first, code=code)
            left -= len(answered.records or b"")
            first = first and not answered.records
            partitions.append(answered)
        responses.append(Fetched(topic=asked.topic, partitions=partitions))
    return FetchResponse(responses=responses)


def _fetched(
    broker: JudgeBroker,
    topic: str,
    asked: FetchPartition,
    room: int,
    *,
    leads: bool,
    first: bool,
    code: int,
) -> PartitionData:
    readable = _Readable(broker, topic, asked.partition, asked.current_leader_epoch, leads=leads)
    code = code or readable.code
    if not code and not readable.log.start_offset <= asked.fetch_offset <= readable.log.end_offset:
        code = ErrorCode.OFFSET_OUT_OF_RANGE
    if code:
        # FetchResponse.partitionResponse, for what KafkaApis finds, has an empty list; ReplicaManager finds the rest.
        aborted = () if code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION else None
        return PartitionData(
            partition_index=asked.partition,
            error_code=code,
            high_watermark=-1,
            aborted_transactions=aborted,
            records=b"",
        )
    log = readable.log
    return PartitionData(
        partition_index=asked.partition,
        high_watermark=log.end_offset,
        last_stable_offset=log.end_offset,
        log_start_offset=log.start_offset,
        aborted_transactions=None,
        records=log.read(asked.fetch_offset, max(0, room), one_at_least=first),
    )


def fetch_waits(broker: JudgeBroker, request: FetchRequest, version: int) -> bool:
    """Whether there is too little yet, as ReplicaManager.fetchMessages sees it: an error is told at once."""
    if not request.topics:
        return False
    found = fetch_answer(broker, request, version, Faults())
    partitions = [one for topic in found.responses for one in topic.partitions]
    enough = sum(len(one.records or b"") for one in partitions) >= request.min_bytes
    return not enough and not any(one.error_code for one in partitions)


def list_offsets_answer(
    broker: JudgeBroker, request: ListOffsetsRequest, version: int, faults: Faults
) -> ListOffsetsResponse:
    """The offset of each partition that a time stands for, by the leader alone."""
    topics = []
    for asked in request.topics:
        partitions = []
        for one in asked.partitions:
            code = faults.error_code(FaultPoint.BEFORE_APPEND, asked.name, one.partition_index)
            listed = _listed(broker, asked.name, one, code)
            partitions.append(listed if version >= EPOCHS_SINCE else listed.replace(leader_epoch=NO_EPOCH))
        topics.append(Listed(name=asked.name, partitions=partitions))
    return ListOffsetsResponse(topics=topics)


def _listed(broker: JudgeBroker, topic: str, asked: ListPartition, code: int) -> ListedPartition:
    answered = ListedPartition(partition_index=asked.partition_index)
    readable = _Readable(broker, topic, asked.partition_index, asked.current_leader_epoch, leads=True)
    code = code or readable.code
    if code:
        return answered.replace(error_code=code)
    log = readable.log
    if asked.timestamp == LATEST:
        return answered.replace(offset=log.end_offset, leader_epoch=readable.leader_epoch)
    if asked.timestamp == EARLIEST:
        held = next((one.leader_epoch for one in log.batches), readable.leader_epoch)
        return answered.replace(offset=log.start_offset, leader_epoch=held)
    return answered.replace(**_by_time(log, asked.timestamp))


def _by_time(log: PartitionLog, timestamp: int) -> dict[str, int]:
    """The first record that is so late; for MAX_TIMESTAMP (KIP-734) the first of the latest ones."""
    records = [(one.timestamp, -one.offset, batch.leader_epoch) for batch in log.batches for one in batch.records]
    records = [one for one in records if -one[1] >= log.start_offset]
    if timestamp == MAX_TIMESTAMP:
        found = max(records, default=None)
    else:
        found = next((one for one in records if one[0] >= timestamp), None)
    return {} if found is None else {"timestamp": found[0], "offset": -found[1], "leader_epoch": found[2]}
