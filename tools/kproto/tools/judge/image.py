"""What the cluster is at a moment: nodes, topics, leaders. Images are replaced, never changed, so brokers may keep one.

Layer: tools.
Source: org.apache.kafka.image.MetadataImage, org.apache.kafka.metadata.KRaftMetadataCache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

__all__ = ["NO_LEADER", "ClusterImage", "Node", "PartitionImage", "TopicConfig", "TopicImage"]

NO_LEADER: Final = -1


@dataclass(frozen=True, slots=True)
class Node:
    """Where clients reach a broker."""

    host: str
    port: int = 9092
    rack: str | None = None


@dataclass(frozen=True, slots=True)
class PartitionImage:
    """A partition's leader and replicas. leader: NO_LEADER while there is none."""

    leader: int
    leader_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """The settings of a topic, with Kafka's defaults.

    max_message_bytes: of a batch as it is sent. compacted: whether records need keys. log_append_time: whether the
    broker sets the timestamps. timestamp_after_max_ms: how far timestamps may be ahead of the broker's clock; None for
    any (Kafka: an hour), as clocks of simulations need not agree.
    """

    max_message_bytes: int = 1_048_588
    compacted: bool = False
    log_append_time: bool = False
    min_insync_replicas: int = 1
    timestamp_after_max_ms: int | None = None


@dataclass(frozen=True, slots=True)
class TopicImage:
    """A topic. A deleted one that is made again has another id."""

    name: str
    topic_id: UUID
    partitions: tuple[PartitionImage, ...]
    config: TopicConfig = field(default_factory=TopicConfig)

    def with_partition(self, index: int, **changes: object) -> TopicImage:
        """The same, but for a partition. Raises IndexError where there is none."""
        partitions = list(self.partitions)
        partitions[index] = replace(partitions[index], **changes)  # type: ignore[arg-type]
        return replace(self, partitions=tuple(partitions))


@dataclass(frozen=True, slots=True)
class ClusterImage:
    """Nodes by id and topics by name."""

    nodes: Mapping[int, Node]
    topics: Mapping[str, TopicImage]

    def topic_by_id(self, topic_id: UUID) -> TopicImage | None:
        """The topic of this id."""
        return next((topic for topic in self.topics.values() if topic.topic_id == topic_id), None)

    def with_topic(self, topic: TopicImage) -> ClusterImage:
        """The same, with one topic new or replaced."""
        return replace(self, topics={**self.topics, topic.name: topic})

    def without_topic(self, name: str) -> ClusterImage:
        """The same, without a topic. Raises KeyError where there is none."""
        self.topics[name]
        return replace(self, topics={key: topic for key, topic in self.topics.items() if key != name})
