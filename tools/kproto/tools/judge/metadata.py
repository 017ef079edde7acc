"""What a broker answers to Metadata, from the image that it has.

Layer: tools.
Source: kafka.server.KafkaApis.handleTopicMetadataRequest, org.apache.kafka.metadata.KRaftMetadataCache.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from kproto.tools.judge.image import NO_LEADER, ClusterImage, PartitionImage, TopicImage
from kproto.wire import NO_UUID, ErrorCode, MetadataRequest, MetadataResponse

__all__ = ["metadata_answer", "metadata_error", "missing_topics", "with_topic_errors"]

Asked = MetadataRequest.MetadataRequestTopic
Answered = MetadataResponse.MetadataResponseTopic
TOPIC_NAME: Final = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")
BY_ID_SINCE: Final = 12  # the field came with version 10, but Kafka refuses what it could say until 12 (KIP-516)


def metadata_answer(image: ClusterImage, cluster_id: str, request: MetadataRequest, version: int) -> MetadataResponse:
    """Nodes, and the topics asked for."""
    asked = request.topics
    if 10 <= version < BY_ID_SINCE and any(one.name is None or one.topic_id != NO_UUID for one in asked or ()):
        return metadata_error(request, ErrorCode.INVALID_REQUEST)
    if asked is None or (version == 0 and not asked):
        topics = [_topic(image, topic) for topic in image.topics.values()]
    else:
        topics = [_found(image, one) for one in asked]
    broker = MetadataResponse.MetadataResponseBroker
    return MetadataResponse(
        brokers=[broker(node_id=key, host=one.host, port=one.port, rack=one.rack) for key, one in image.nodes.items()],
        cluster_id=cluster_id,
        controller_id=min(image.nodes, default=NO_LEADER),
        topics=topics,
    )


def metadata_error(request: MetadataRequest, code: int) -> MetadataResponse:
    """The code in each topic asked for and, from version 13, in the answer; no brokers."""
    answered = [Answered(error_code=code, name=one.name or "", topic_id=one.topic_id) for one in request.topics or ()]
    return MetadataResponse(topics=answered, error_code=code)


def with_topic_errors(response: MetadataResponse, code_of: Callable[[str | None], int]) -> MetadataResponse:
    """The answer, but for the topics that have to fail."""
    failed = [
        Answered(error_code=code, name=one.name, topic_id=one.topic_id) if (code := code_of(one.name)) else one
        for one in response.topics
    ]
    return response.replace(topics=failed)


def missing_topics(image: ClusterImage, request: MetadataRequest) -> list[str]:
    """The names asked for that could be created."""
    names = [one.name for one in request.topics or () if one.name is not None]
    return [name for name in names if name not in image.topics and TOPIC_NAME.fullmatch(name)]


def _found(image: ClusterImage, asked: Asked) -> Answered:
    if asked.name is None:
        topic = image.topic_by_id(asked.topic_id)
        if topic is None:
            return Answered(error_code=ErrorCode.UNKNOWN_TOPIC_ID, name=None, topic_id=asked.topic_id)
        return _topic(image, topic)
    if TOPIC_NAME.fullmatch(asked.name) is None:
        return Answered(error_code=ErrorCode.INVALID_TOPIC_EXCEPTION, name=asked.name)
    if asked.name not in image.topics:
        return Answered(error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, name=asked.name)
    return _topic(image, image.topics[asked.name])


def _topic(image: ClusterImage, topic: TopicImage) -> Answered:
    partitions = [_partition(image, index, one) for index, one in enumerate(topic.partitions)]
    return Answered(name=topic.name, topic_id=topic.topic_id, partitions=partitions)


def _partition(
    image: ClusterImage, index: int, partition: PartitionImage
) -> MetadataResponse.MetadataResponseTopic.MetadataResponsePartition:
    led = partition.leader in image.nodes  # a leader that is no node: LEADER_NOT_AVAILABLE, as without any
    return MetadataResponse.MetadataResponseTopic.MetadataResponsePartition(
        error_code=0 if led else ErrorCode.LEADER_NOT_AVAILABLE,
        partition_index=index,
        leader_id=partition.leader if led else NO_LEADER,
        leader_epoch=partition.leader_epoch,
        replica_nodes=partition.replicas,
        isr_nodes=partition.isr,
        offline_replicas=[one for one in partition.replicas if one not in image.nodes],
    )
