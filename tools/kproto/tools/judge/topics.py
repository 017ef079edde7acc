"""CreateTopics and DeleteTopics: any broker takes them, as those of Kafka pass them on to the controller.

Layer: tools.
Source: kafka.server.ControllerApis, org.apache.kafka.controller.ReplicationControlManager.createTopics (KIP-590).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from kproto.tools.judge.image import TopicConfig
from kproto.tools.judge.metadata import TOPIC_NAME
from kproto.tools.judge.topic_messages import (
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
)
from kproto.wire import ErrorCode, KafkaError

if TYPE_CHECKING:
    from kproto.tools.judge.cluster import JudgeCluster

__all__ = ["TopicRefused", "create_topics_answer", "delete_topics_answer", "topic_config"]

DEFAULT: Final = -1
PARTITIONS_MAX: Final = 10_000  # ReplicationControlManager.MAX_PARTITIONS_PER_BATCH
Result = CreateTopicsResponse.CreatableTopicResult
Deleted = DeleteTopicsResponse.DeletableTopicResult
TIMESTAMP_TYPES: Final = {"CreateTime": False, "LogAppendTime": True}


class TopicRefused(KafkaError):
    """A topic that is not made: the code of the answer, and why."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(code, why)
        self.code = code
        self.why = why


def topic_config(configs: Sequence[tuple[str, str | None]]) -> TopicConfig:
    """The settings that matter here, by Kafka's names; others are taken, and have no effect. Raises TopicRefused."""
    found: dict[str, Any] = {}
    for name, value in configs:
        try:
            match name:
                case "max.message.bytes":
                    found["max_message_bytes"] = int(value or "")
                case "min.insync.replicas":
                    found["min_insync_replicas"] = int(value or "")
                case "message.timestamp.after.max.ms":
                    found["timestamp_after_max_ms"] = int(value or "")
                case "cleanup.policy":
                    found["compacted"] = "compact" in (value or "").split(",")
                case "message.timestamp.type":
                    found["log_append_time"] = TIMESTAMP_TYPES[value or ""]
        except (ValueError, KeyError):
            raise TopicRefused(ErrorCode.INVALID_CONFIG, f"Invalid value {value} for configuration {name}") from None
    return TopicConfig(**found)


def create_topics_answer(cluster: JudgeCluster, request: CreateTopicsRequest) -> CreateTopicsResponse:
    """Each on its own: made, or refused with a reason."""
    names = Counter(one.name for one in request.topics)
    results = []
    for asked in request.topics:
        try:
            if names[asked.name] > 1:
                raise TopicRefused(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
            results.append(_created(cluster, asked, validate_only=request.validate_only))
        except TopicRefused as error:
            results.append(Result(name=asked.name, error_code=error.code, error_message=error.why, configs=None))
    return CreateTopicsResponse(topics=results)


def _created(cluster: JudgeCluster, asked: CreateTopicsRequest.CreatableTopic, *, validate_only: bool) -> Result:
    partitions = cluster.auto_create_partitions or 1 if asked.num_partitions == DEFAULT else asked.num_partitions
    nodes = len(cluster.image.nodes)
    copies = min(cluster.replication_factor, nodes) if asked.replication_factor == DEFAULT else asked.replication_factor
    if TOPIC_NAME.fullmatch(asked.name) is None:
        raise TopicRefused(ErrorCode.INVALID_TOPIC_EXCEPTION, f"{asked.name!r} is no name for a topic")
    if asked.name in cluster.image.topics:
        raise TopicRefused(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{asked.name}' already exists.")
    if asked.assignments:
        raise TopicRefused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, "this broker places replicas itself")
    if not 0 < partitions <= PARTITIONS_MAX:
        raise TopicRefused(ErrorCode.INVALID_PARTITIONS, f"{partitions} partitions, where 1 to {PARTITIONS_MAX} can be")
    if not 0 < copies <= nodes:
        raise TopicRefused(ErrorCode.INVALID_REPLICATION_FACTOR, f"{copies} replicas, where 1 to {nodes} can be")
    config = topic_config([(one.name, one.value) for one in asked.configs])
    made = Result(name=asked.name, num_partitions=partitions, replication_factor=copies, error_message=None)
    if validate_only:
        return made
    topic = cluster.create_topic(asked.name, partitions, config, replicas=copies)
    return made.replace(topic_id=topic.topic_id)


def delete_topics_answer(cluster: JudgeCluster, request: DeleteTopicsRequest) -> DeleteTopicsResponse:
    """Those that are there are gone."""
    results = []
    for name in request.topic_names:
        known = name in cluster.image.topics
        if known:
            cluster.delete_topic(name)
        results.append(Deleted(name=name, error_code=0 if known else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
    return DeleteTopicsResponse(responses=results)
