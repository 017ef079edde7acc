"""One Produce request: from batches to the message, and from the answer back to the batches.

Layer: producer. Values only.
Source: KIP-516 (topic ids, version 13), KIP-467 (record errors), KIP-951 (leader hints); SENDER-9, SENDER-12 to
SENDER-15.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias
from uuid import UUID

from kproto.client import Cluster, Node, TopicPartition
from kproto.producer.batch import ProducerBatch
from kproto.wire import NO_UUID, ErrorCode, ProduceRequest, ProduceResponse

__all__ = ["BATCHES_SINCE", "PartitionAnswer", "ProduceCall", "leaders_named", "produce_versions"]

BATCHES_SINCE: Final = 3  # the first version that takes record batches of today's format
ZSTD_SINCE: Final = 7
TOPIC_IDS_SINCE: Final = 13

PartitionAnswer: TypeAlias = ProduceResponse.TopicProduceResponse.PartitionProduceResponse


def produce_versions(topics: Iterable[str], cluster: Cluster) -> range:
    """The versions that can carry these topics: 13 names them by id, so each must have one."""
    highest = ProduceRequest.versions[-1]
    if any(cluster.topic_id(topic) is None for topic in topics):
        highest = TOPIC_IDS_SINCE - 1
    return range(BATCHES_SINCE, highest + 1)


class ProduceCall:
    """A request to one node: its batches, one for each partition. sent_ms: when it went out."""

    __slots__ = ("_names", "batches", "node_id", "sent_ms", "version")

    def __init__(self, node_id: int, batches: list[ProducerBatch], sent_ms: int) -> None:
        self.node_id = node_id
        self.batches: Mapping[TopicPartition, ProducerBatch] = {batch.partition: batch for batch in batches}
        self.version = -1  # until it is negotiated
        self.sent_ms = sent_ms
        self._names: dict[UUID, str] = {}

    def request(self, acks: int, timeout_ms: int, cluster: Cluster) -> ProduceRequest:
        """The message. acks: -1, 0 or 1; timeout_ms: that the broker may wait for its replicas."""
        by_topic: dict[str, list[ProduceRequest.TopicProduceData.PartitionProduceData]] = {}
        for partition, batch in self.batches.items():
            data = ProduceRequest.PartitionProduceData(index=partition.partition, records=batch.bytes())  # type: ignore[arg-type]  # any buffer may be encoded
            by_topic.setdefault(partition.topic, []).append(data)
        topics = []
        for name, partitions in by_topic.items():
            topic_id = NO_UUID
            if self.version >= TOPIC_IDS_SINCE:
                topic_id = cluster.topic_id(name) or NO_UUID
                self._names[topic_id] = name
            topics.append(ProduceRequest.TopicProduceData(name=name, topic_id=topic_id, partition_data=partitions))
        return ProduceRequest(acks=acks, timeout_ms=timeout_ms, topic_data=topics)

    def answers(self, response: ProduceResponse) -> Iterator[tuple[ProducerBatch, PartitionAnswer | None]]:
        """Each batch once, with its part of the answer; None where the answer leaves it out.

        What was not asked for, or stands there twice, is passed over: it settles nothing (SENDER-13).
        """
        found: dict[TopicPartition, PartitionAnswer] = {}
        for topic in response.responses:
            name = self._names.get(topic.topic_id) if self.version >= TOPIC_IDS_SINCE else topic.name
            for answer in topic.partition_responses:
                if name is not None:
                    found.setdefault(TopicPartition(name, answer.index), answer)
        for partition, batch in self.batches.items():
            yield batch, found.get(partition)


def leaders_named(
    answers: Iterable[tuple[TopicPartition, PartitionAnswer]], response: ProduceResponse
) -> tuple[dict[TopicPartition, tuple[int, int]], list[Node]]:
    """The new leaders and where they are reached, of partitions whose leader is not who was asked (KIP-951)."""
    leaders = {}
    for partition, answer in answers:
        leader = answer.current_leader
        moved = answer.error_code in (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH)
        if moved and leader.leader_id >= 0 and leader.leader_epoch >= 0:
            leaders[partition] = (leader.leader_id, leader.leader_epoch)
    nodes = [Node(it.node_id, it.host, it.port, it.rack) for it in response.node_endpoints]
    return leaders, nodes
