"""What a broker does with a Produce request: each partition on its own, and one answer for all.

Layer: tools.
Source: kafka.server.KafkaApis.handleProduceRequest, ReplicaManager.appendRecords, Partition.appendRecordsToLeader,
DelayedProduce.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kproto.tools.judge.answers import produce_error
from kproto.tools.judge.faults import FaultPoint, Faults
from kproto.tools.judge.image import ClusterImage, PartitionImage, TopicImage
from kproto.tools.judge.partition_log import Leadership, Verdict
from kproto.tools.judge.validator import Refused, only_batch
from kproto.wire import ErrorCode, ProduceRequest, ProduceResponse
from kproto.wire.records import RecordBatch

if TYPE_CHECKING:
    from kproto.tools.judge.broker import JudgeBroker, SeenRequest

__all__ = ["ProduceHandler", "note_batches", "produce_topic"]

BY_ID_SINCE: Final = 13  # KIP-516
HINTS_SINCE: Final = 10  # KIP-951
ACKS: Final = (-1, 0, 1)
ALL_IN_SYNC: Final = -1
LENGTH_AT: Final = 8
LENGTH_MIN: Final = 14  # LegacyRecord.RECORD_OVERHEAD_V0
BEHIND_LENGTH: Final = 12
MAGIC_AT: Final = 16
MAGIC_MAX: Final = 2
TRANSACTIONAL_AT: Final = 22  # the lower byte of a batch's attributes
TRANSACTIONAL: Final = 0x10
Asked = ProduceRequest.TopicProduceData
Answered = ProduceResponse.TopicProduceResponse.PartitionProduceResponse


def produce_topic(image: ClusterImage, asked: Asked, version: int) -> TopicImage | None:
    """The topic that a request means: by its name, from version 13 by its id."""
    return image.topic_by_id(asked.topic_id) if version >= BY_ID_SINCE else image.topics.get(asked.name)


def note_batches(broker: JudgeBroker, request: ProduceRequest, version: int) -> None:
    """What the cluster remembers of batches as they come, whatever becomes of them."""
    cluster = broker.cluster
    for asked in request.topic_data:
        topic = produce_topic(broker.image, asked, version)
        indexes = [one.index for one in asked.partition_data]
        if len(set(indexes)) != len(indexes):
            cluster.violated(f"node {broker.node_id}: one request with a partition twice: {asked.name} {indexes}")
        if topic is None:
            continue
        for one in asked.partition_data:
            with suppress(Refused):
                cluster.resends.came(topic, one.index, only_batch(one.records, version))


class ProduceHandler:
    """One request at one broker; `answer` may be asked once."""

    def __init__(self, broker: JudgeBroker, seen: SeenRequest, request: ProduceRequest, faults: Faults) -> None:
        self.broker = broker
        self.image = broker.image
        self.version = seen.version
        self.request = request
        self.faults = faults
        self._endpoints: dict[int, ProduceResponse.NodeEndpoint] = {}

    def answer(self) -> ProduceResponse:
        """Append what may be appended. To be sent unless acks=0."""
        code = self._error_of_all()
        if code:
            self._refuse_all(code)
            return produce_error(self.request, code)
        topic_response = ProduceResponse.TopicProduceResponse
        responses = []
        for asked in self.request.topic_data:
            topic = produce_topic(self.image, asked, self.version)
            partitions = [self._partition(topic, one.index, one.records) for one in asked.partition_data]
            responses.append(topic_response(name=asked.name, topic_id=asked.topic_id, partition_responses=partitions))
        return ProduceResponse(responses=responses, node_endpoints=list(self._endpoints.values()))

    def _refuse_all(self, code: int) -> None:
        verdict = Verdict(code, why="the head of a batch of this request spoils all of it")
        for asked in self.request.topic_data:
            topic = produce_topic(self.image, asked, self.version)
            for one in asked.partition_data:
                name = None if topic is None else topic.name
                self.broker.cluster.refused(self.broker.node_id, name, one.index, verdict)
                with suppress(Refused):
                    batch = only_batch(one.records, self.version)
                    if topic is not None:
                        self.broker.cluster.resends.judged(topic, one.index, batch, refused=True)

    def _error_of_all(self) -> int:
        """Before anything else: who may write transactions at all? Nobody without a transactional id.

        RequestUtils.hasTransactionalRecords looks at the head of one partition's batch after the other until it finds a
        transactional one; a head that is none spoils the whole request.
        """
        for asked in self.request.topic_data:
            for one in asked.partition_data:
                code = _error_of_head(one.records or b"")
                if (
                    code == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
                    and self.request.transactional_id is not None
                ):
                    return 0
                if code:
                    return code
        return 0

    def _partition(self, topic: TopicImage | None, index: int, records: bytes | None) -> Answered:
        name = None if topic is None else topic.name
        verdict = self._verdict(topic, index, records)
        after = self.faults.error_code(FaultPoint.AFTER_APPEND, name, index)
        if after and not verdict.error_code:
            # DelayedProduce changes the error alone: the answer still tells the offset.
            verdict = replace(verdict, error_code=after)
        if verdict.error_code:
            self.broker.cluster.refused(self.broker.node_id, name, index, verdict)
        explained = verdict.record_errors or verdict.error_code == ErrorCode.POLICY_VIOLATION
        made = Answered(
            index=index,
            error_code=verdict.error_code,
            base_offset=verdict.base_offset,
            log_append_time_ms=verdict.log_append_time_ms,
            log_start_offset=verdict.log_start_offset,
            record_errors=[
                ProduceResponse.BatchIndexAndErrorMessage(batch_index=at, batch_index_error_message=why)
                for at, why in verdict.record_errors
            ],
            error_message=verdict.why if explained else None,
        )
        hinted = verdict.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER and self.version >= HINTS_SINCE
        return made.replace(current_leader=self._hint(topic, index)) if hinted and topic is not None else made

    def _hint(self, topic: TopicImage, index: int) -> Answered.LeaderIdAndEpoch:
        """The leader as this broker knows it, which may be old news; its address goes into the answer, too."""
        known = topic.partitions[index]
        node = self.image.nodes.get(known.leader)
        if node is not None:
            self._endpoints[known.leader] = ProduceResponse.NodeEndpoint(
                node_id=known.leader, host=node.host, port=node.port, rack=node.rack
            )
        return Answered.LeaderIdAndEpoch(leader_id=known.leader, leader_epoch=known.leader_epoch)

    def _verdict(self, topic: TopicImage | None, index: int, records: bytes | None) -> Verdict:
        """In Kafka's order: does it exist, is it one batch of the right format, is this the leader, may it be taken."""
        if topic is None:
            by_id = self.version >= BY_ID_SINCE
            return Verdict(ErrorCode.UNKNOWN_TOPIC_ID if by_id else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        if not 0 <= index < len(topic.partitions):
            return Verdict(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        try:
            batch = only_batch(records, self.version)
        except Refused as error:
            return Verdict(error.code, why=error.why)
        verdict = self._append(topic, index, batch, records or b"")
        self.broker.cluster.resends.judged(topic, index, batch, refused=bool(verdict.error_code))
        return verdict

    def _append(self, topic: TopicImage, index: int, batch: RecordBatch, data: bytes) -> Verdict:
        cluster, node_id = self.broker.cluster, self.broker.node_id
        if self.request.acks not in ACKS:
            return Verdict(ErrorCode.INVALID_REQUIRED_ACKS, why=f"acks={self.request.acks}")
        log = cluster.log_of(topic.topic_id, index)
        before = self.faults.error_code(FaultPoint.BEFORE_APPEND, topic.name, index)
        if before:
            return log.refusal(before, "injected")
        if batch.transactional:
            return log.refusal(ErrorCode.INVALID_TXN_STATE, "there are no transactions here")
        partition = self._led(topic, index)
        if partition is None:
            return Verdict(ErrorCode.NOT_LEADER_OR_FOLLOWER, why=f"{topic.name}-{index} is not led by {node_id}")
        # Partition.effectiveMinIsr: a topic of fewer replicas needs no more than it has.
        needed = min(topic.config.min_insync_replicas, len(partition.replicas))
        if self.request.acks == ALL_IN_SYNC and len(partition.isr) < needed:
            return log.refusal(ErrorCode.NOT_ENOUGH_REPLICAS, f"in sync are {partition.isr}")
        leadership = Leadership(node_id, partition.leader_epoch, cluster.now_ms, cluster.wall_ms)
        before_end = log.end_offset
        full = cluster.no_room_for(batch.size, batch.count)
        verdict = log.append(batch, topic.config, leadership, data, full=full)
        if log.end_offset > before_end:
            cluster.appended(batch.size, batch.count)
        return verdict

    def _led(self, topic: TopicImage, index: int) -> PartitionImage | None:
        """The partition, if this node leads it: once it has heard of that, and only until another node does."""
        real = self.broker.cluster.image.topic_by_id(topic.topic_id)
        leader = self.broker.node_id
        if real is None or topic.partitions[index].leader != leader or real.partitions[index].leader != leader:
            return None
        return real.partitions[index]


def _error_of_head(data: bytes) -> int:
    """ByteBufferLogInputStream.nextBatchSize, and whether the batch is transactional."""
    if len(data) < BEHIND_LENGTH:
        return 0
    length = int.from_bytes(data[LENGTH_AT:BEHIND_LENGTH], "big", signed=True)
    if length < LENGTH_MIN or (len(data) > MAGIC_AT and data[MAGIC_AT] > MAGIC_MAX):
        return ErrorCode.CORRUPT_MESSAGE
    whole = len(data) > max(TRANSACTIONAL_AT, BEHIND_LENGTH + length - 1)
    if whole and data[MAGIC_AT] == MAGIC_MAX and data[TRANSACTIONAL_AT] & TRANSACTIONAL:
        return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    return 0
