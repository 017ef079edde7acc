"""What is known of a cluster at one moment: brokers, topics, and the leader of each partition.

Layer: client. Values only: `kproto.client.metadata` publishes a new one with each answer.
Source: org.apache.kafka.common.Cluster, org.apache.kafka.clients.MetadataSnapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple
from uuid import UUID

from kproto.wire import NO_UUID, ErrorCode, MetadataRequest

__all__ = [
    "NO_CLUSTER",
    "NO_EPOCH",
    "NO_NODE_ID",
    "Cluster",
    "Node",
    "Partition",
    "Topic",
    "TopicPartition",
    "check_topic",
]

NO_EPOCH: Final = -1
NO_NODE_ID: Final = -1
PORTS: Final = range(1, 2**16)


def check_topic(name: str) -> None:
    """Raises EncodeError for a name that no request can carry; which of the rest are legal the broker says."""
    MetadataRequest(topics=[MetadataRequest.MetadataRequestTopic(name=name)]).encode(MetadataRequest.versions[-1])


class TopicPartition(NamedTuple):
    """A topic's name and a partition's number, from 0. Reads as Kafka writes it: `orders-3`."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


@dataclass(frozen=True, slots=True)
class Node:
    """Where one broker is reached. node_id: from 0; below 0 for a bootstrap server, whose id is not known yet."""

    node_id: int
    host: str
    port: int
    rack: str | None = None

    @property
    def address(self) -> str:
        """ "host:port", with brackets around an IPv6 host."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def reachable(self) -> bool:
        """Whether anything could be connected to: a host that is not empty, and a port from 1 to 65535."""
        return bool(self.host) and self.port in PORTS

    def __str__(self) -> str:
        return f"{self.address} (id {self.node_id})"


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition. leader_id and leader_epoch: -1 where unknown; error: what the broker says of it, NONE for well."""

    partition: int
    leader_id: int = NO_NODE_ID
    leader_epoch: int = NO_EPOCH
    replicas: tuple[int, ...] = ()
    isr: tuple[int, ...] = ()
    offline_replicas: tuple[int, ...] = ()
    error: ErrorCode | int = ErrorCode.NONE


@dataclass(frozen=True, slots=True, repr=False)
class Topic:
    """A topic that exists. topic_id: zero where the broker gives none; partitions: by number, in order, read-only."""

    name: str
    topic_id: UUID = NO_UUID
    is_internal: bool = False
    partitions: Mapping[int, Partition] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "partitions", MappingProxyType(dict(sorted(self.partitions.items()))))

    def __repr__(self) -> str:
        return f"<Topic {self.name}: {_counted(len(self.partitions), 'partition')}>"


@dataclass(frozen=True, slots=True, repr=False)
class Cluster:
    """A picture of the cluster. Immutable, so any thread may read it.

    nodes: by id, only those that can be reached; topics: by name, those that exist, perhaps without partitions yet;
    topic_errors: by name, why a topic that was asked for cannot be shown. All three are read-only.
    """

    cluster_id: str | None = None
    controller_id: int = NO_NODE_ID
    nodes: Mapping[int, Node] = field(default_factory=dict, hash=False)
    topics: Mapping[str, Topic] = field(default_factory=dict, hash=False)
    topic_errors: Mapping[str, ErrorCode | int] = field(default_factory=dict, hash=False)
    _names: Mapping[UUID, str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("nodes", "topics", "topic_errors"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        names = {topic.topic_id: topic.name for topic in self.topics.values() if topic.topic_id != NO_UUID}
        object.__setattr__(self, "_names", names)

    @property
    def controller(self) -> Node | None:
        """The broker that is the controller, where it is known and can be reached."""
        return self._broker(self.controller_id)

    @property
    def invalid_topics(self) -> frozenset[str]:
        """Topics whose name the broker refuses."""
        return self._with_error(ErrorCode.INVALID_TOPIC_EXCEPTION)

    @property
    def unauthorized_topics(self) -> frozenset[str]:
        """Topics that the principal may not see or write."""
        return self._with_error(ErrorCode.TOPIC_AUTHORIZATION_FAILED)

    def leader_for(self, partition: TopicPartition) -> Node | None:
        """Whom to send to; None where the partition or its leader is unknown, or the leader is not among `nodes`."""
        known = self.partition(partition)
        return None if known is None else self._broker(known.leader_id)

    def partition(self, partition: TopicPartition) -> Partition | None:
        """What is known of one partition."""
        topic = self.topics.get(partition.topic)
        return None if topic is None else topic.partitions.get(partition.partition)

    def partitions_for(self, topic: str) -> tuple[Partition, ...]:
        """The partitions of a topic in order, those without a leader too; empty where the topic is unknown."""
        known = self.topics.get(topic)
        return () if known is None else tuple(known.partitions.values())

    def partition_count(self, topic: str) -> int | None:
        """How many partitions the topic has, never 0: a topic that is listed without any is not known yet."""
        known = self.topics.get(topic)
        return None if known is None else len(known.partitions) or None

    def topic_id(self, name: str) -> UUID | None:
        """The topic's id; None where the topic is unknown, or the broker gave none."""
        known = self.topics.get(name)
        return None if known is None or known.topic_id == NO_UUID else known.topic_id

    def topic_name(self, topic_id: UUID) -> str | None:
        """The name of the topic with this id."""
        return self._names.get(topic_id)

    def _broker(self, node_id: int) -> Node | None:
        return self.nodes.get(node_id) if node_id >= 0 else None  # bootstrap servers have ids below: they lead nothing

    def _with_error(self, code: ErrorCode) -> frozenset[str]:
        return frozenset(name for name, error in self.topic_errors.items() if error == code)

    def __repr__(self) -> str:
        errors = f", {len(self.topic_errors)} with errors" if self.topic_errors else ""
        sizes = f"{_counted(len(self.nodes), 'broker')}, {_counted(len(self.topics), 'topic')}{errors}"
        return f"<Cluster {self.cluster_id or 'without id'}: {sizes}>"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


NO_CLUSTER: Final = Cluster()
"""Nothing is known."""
