"""What scripted brokers know of their cluster, and how they tell it: nodes, topics, versions.

No I/O, clock or randomness. All of it may be changed by a test at any time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kproto.wire import (
    NO_UUID,
    REQUESTS,
    RESPONSES,
    ApiKey,
    ApiVersionsResponse,
    ErrorCode,
    MetadataRequest,
    MetadataResponse,
    ProduceRequest,
    ProduceResponse,
    Request,
    Response,
)

KAFKA_VERSIONS = {int(key): cls.versions for key, cls in REQUESTS.items()}
KAFKA_VERSIONS[ApiKey.INIT_PRODUCER_ID] = range(6)  # Kafka 4.4.0 has version 6, but does not announce it
TOPIC_NAME = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")


@dataclass(slots=True)
class Node:
    """Where a broker says that clients reach it."""

    host: str
    port: int
    rack: str | None = None


@dataclass(slots=True)
class Partition:
    """leader: -1 for none, which is told as LEADER_NOT_AVAILABLE; error_code: told instead of that, unless 0."""

    leader: int
    leader_epoch: int = 0
    replicas: tuple[int, ...] = ()
    isr: tuple[int, ...] = ()
    offline: tuple[int, ...] = ()
    error_code: int = 0


@dataclass(slots=True)
class Topic:
    """error_code: told with the topic, unless 0; its partitions are then left out, as Kafka does."""

    topic_id: UUID
    partitions: list[Partition]
    error_code: int = 0
    is_internal: bool = False


class ScriptedCluster:
    """Nodes 0 to `nodes` - 1 at broker-0.test:9092 and so on, and topics by name, with so many partitions.

    versions: API key -> the versions that its brokers announce and take; Kafka 4.4.0's of the declared APIs.
    A broker with a cluster of its own has another opinion than the rest.
    """

    def __init__(
        self, nodes: int = 1, topics: Mapping[str, int] | None = None, *, cluster_id: str | None = "scripted"
    ) -> None:
        self.nodes = {node_id: Node(f"broker-{node_id}.test", 9092) for node_id in range(nodes)}
        self.cluster_id = cluster_id
        self.controller_id = 0
        self.versions = dict(KAFKA_VERSIONS)
        self.topics: dict[str, Topic] = {}
        self._topics_made = 0
        for name, partitions in (topics or {}).items():
            self.create_topic(name, partitions)

    def create_topic(self, name: str, partitions: int = 1, replicas: int = 1) -> Topic:
        """A topic with a new id, also where the name exists; nodes take turns as leaders and replicas."""
        self._topics_made += 1
        ids = sorted(self.nodes)
        made = []
        for index in range(partitions):
            held = tuple(ids[(index + turn) % len(ids)] for turn in range(replicas))
            made.append(Partition(held[0], 0, held, held))
        topic = self.topics[name] = Topic(UUID(int=0xA0 << 120 | self._topics_made), made)
        return topic

    def move_leader(self, name: str, partition: int, leader: int, *, epochs: int = 1) -> None:
        """Another leader, or -1 for none, so many epochs later."""
        found = self.topics[name].partitions[partition]
        found.leader = leader
        found.leader_epoch += epochs

    def metadata(self, request: MetadataRequest, version: int) -> MetadataResponse:
        """What its brokers answer; no topic is ever created by asking."""
        asked = request.topics
        if 10 <= version < 12 and any(one.name is None or one.topic_id != NO_UUID for one in asked or ()):
            return metadata_error(request, ErrorCode.INVALID_REQUEST)
        broker = MetadataResponse.MetadataResponseBroker
        if asked is None or (version == 0 and not asked):
            topics = [described(name, topic) for name, topic in self.topics.items()]
        else:
            topics = [described(*self._found(one)) for one in asked]
        return MetadataResponse(
            brokers=[broker(node_id=key, host=n.host, port=n.port, rack=n.rack) for key, n in self.nodes.items()],
            cluster_id=self.cluster_id,
            controller_id=self.controller_id,
            topics=topics,
        )

    def _found(self, asked: MetadataRequest.MetadataRequestTopic) -> tuple[str | None, Topic]:
        """The topic by its name or id, or one whose error says why there is none."""
        if asked.name is None:
            for name, topic in self.topics.items():
                if topic.topic_id == asked.topic_id:
                    return name, topic
            return None, Topic(asked.topic_id, [], ErrorCode.UNKNOWN_TOPIC_ID)
        if TOPIC_NAME.fullmatch(asked.name) is None:
            return asked.name, Topic(NO_UUID, [], ErrorCode.INVALID_TOPIC_EXCEPTION)
        missing = Topic(NO_UUID, [], ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return asked.name, self.topics.get(asked.name, missing)


def described(name: str | None, topic: Topic) -> MetadataResponse.MetadataResponseTopic:
    """A topic as Metadata has it."""
    partitions = []
    for index, one in enumerate(() if topic.error_code else topic.partitions):
        partitions.append(
            MetadataResponse.MetadataResponsePartition(
                error_code=one.error_code or (ErrorCode.LEADER_NOT_AVAILABLE if one.leader == -1 else 0),
                partition_index=index,
                leader_id=one.leader,
                leader_epoch=one.leader_epoch,
                replica_nodes=one.replicas,
                isr_nodes=one.isr,
                offline_replicas=one.offline,
            )
        )
    return MetadataResponse.MetadataResponseTopic(
        error_code=topic.error_code,
        name=name,
        topic_id=topic.topic_id,
        is_internal=topic.is_internal,
        partitions=partitions,
    )


def api_versions(ranges: Mapping[int, range], error_code: int = 0) -> ApiVersionsResponse:
    """A list of versions."""
    listed = [
        ApiVersionsResponse.ApiVersion(api_key=key, min_version=offered.start, max_version=offered.stop - 1)
        for key, offered in ranges.items()
    ]
    return ApiVersionsResponse(error_code=error_code, api_keys=listed)


def error_response(request: Request, error_code: int) -> Response:
    """The answer that Kafka gives for a request that fails as a whole."""
    if isinstance(request, MetadataRequest):
        return metadata_error(request, error_code)
    if isinstance(request, ProduceRequest):
        return produced(request, error_code)
    made: Any = RESPONSES[request.api_key or 0]
    response: Response = made(error_code=error_code)
    return response


def metadata_error(request: MetadataRequest, error_code: int) -> MetadataResponse:
    """The code in each topic asked for and, from version 13, in the answer; no brokers."""
    topic = MetadataResponse.MetadataResponseTopic
    topics = [topic(error_code=error_code, name=one.name or "", topic_id=one.topic_id) for one in request.topics or ()]
    return MetadataResponse(topics=topics, error_code=error_code)


def produced(request: ProduceRequest, error_code: int = 0) -> ProduceResponse:
    """The same for each partition, at offset 0; nothing is kept."""
    offset = -1 if error_code else 0
    partition, topic = ProduceResponse.PartitionProduceResponse, ProduceResponse.TopicProduceResponse
    responses = []
    for one in request.topic_data:
        parts = [partition(index=p.index, error_code=error_code, base_offset=offset) for p in one.partition_data]
        responses.append(topic(name=one.name, topic_id=one.topic_id, partition_responses=parts))
    return ProduceResponse(responses=responses)
