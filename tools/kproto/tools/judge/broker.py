"""One broker of the judge's cluster: what it speaks, what it knows, and what it answers.

Layer: tools. Knows requests and answers; its connections know bytes.
Source: kafka.server.KafkaApis.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from kproto.tools.judge.answers import api_versions_answer, error_response, init_producer_id_answer
from kproto.tools.judge.apis import VERSIONS
from kproto.tools.judge.connection import JudgeConnection
from kproto.tools.judge.consumer_messages import FetchRequest, ListOffsetsRequest
from kproto.tools.judge.faults import FaultPoint, Faults
from kproto.tools.judge.fetch import fetch_answer, fetch_waits, list_offsets_answer
from kproto.tools.judge.image import ClusterImage
from kproto.tools.judge.metadata import metadata_answer, missing_topics, with_topic_errors
from kproto.tools.judge.produce import ProduceHandler, note_batches, produce_topic
from kproto.tools.judge.topic_messages import CreateTopicsRequest, DeleteTopicsRequest
from kproto.tools.judge.topics import create_topics_answer, delete_topics_answer
from kproto.wire import (
    ApiKey,
    ApiVersionsRequest,
    InitProducerIdRequest,
    MetadataRequest,
    ProduceRequest,
    Request,
    RequestHeader,
    Response,
)

if TYPE_CHECKING:
    from kproto.tools.judge.cluster import JudgeCluster

__all__ = ["JudgeBroker", "SeenRequest"]

PRODUCE_SINCE: Final = 3  # KIP-896: 0-2 are announced, for old librdkafkas, and end the connection


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request as a broker got it. at_ms: on the cluster's clock. request: None for one that was not read.

    partitions: what it is about: (topic, index) for Produce (of topics that the broker knows), Fetch and ListOffsets;
    (topic, -1) for Metadata, CreateTopics and DeleteTopics.
    """

    at_ms: int
    node_id: int
    connection_id: int
    api_key: int
    version: int
    correlation_id: int
    client_id: str | None = None
    request: Request | None = None
    partitions: tuple[tuple[str, int], ...] = ()


class JudgeBroker:
    """A node. Everything public may be changed while connections are open. Not thread-safe.

    versions: API key -> versions that it announces; a changed row makes an old broker of it.
    latency_ms: from request to answer; a function draws it from the cluster's generator.
    throttle_time_ms: told in every answer, and kept: the connection is not read for so long (KIP-219).
    metadata_delay_ms: after which it hears of a change of the cluster; None: only by `catch_up`.
    connections: those that have not ended, in the order of connecting.
    """

    def __init__(self, cluster: JudgeCluster, node_id: int) -> None:
        self.cluster = cluster
        self.node_id = node_id
        self.versions: dict[int, range] = dict(VERSIONS)
        self.latency_ms: int | Callable[[Random], int] = 0
        self.throttle_time_ms = 0
        self.metadata_delay_ms: int | None = 0
        self.connections: list[JudgeConnection] = []
        self._image = cluster.image
        self._news: deque[tuple[int | None, ClusterImage]] = deque()

    def connect(self) -> JudgeConnection:
        """The broker's end of a new connection."""
        self.connections = [one for one in self.connections if not one.done]
        connection = JudgeConnection(self, self.cluster.next_connection_id())
        self.connections.append(connection)
        return connection

    def close_connections(self) -> None:
        """End all connections, in good order."""
        for connection in self.connections:
            connection.closed = True

    @property
    def image(self) -> ClusterImage:
        """The cluster as this broker knows it now."""
        while self._news:
            due_ms, image = self._news[0]
            if due_ms is None or due_ms > self.cluster.now_ms:
                break
            self._image = image
            self._news.popleft()
        return self._image

    def learn(self, image: ClusterImage) -> None:
        """The cluster has changed. News come in their order, so late ones hold up those behind them."""
        delay_ms = self.metadata_delay_ms
        self._news.append((None if delay_ms is None else self.cluster.now_ms + delay_ms, image))

    def catch_up(self) -> None:
        """It hears all news now."""
        if self._news:
            self._image = self._news[-1][1]
            self._news.clear()

    def latency(self) -> int:
        """The next delay of an answer."""
        return self.latency_ms if isinstance(self.latency_ms, int) else self.latency_ms(self.cluster.rng)

    def speaks(self, api: int, version: int) -> bool:
        """Whether it serves the version; not all that it announces, it serves."""
        served = version >= PRODUCE_SINCE or api != ApiKey.PRODUCE
        return served and version in self.versions.get(api, ())

    def seen(self, header: RequestHeader, connection_id: int, request: Request | None = None) -> SeenRequest:
        """What is known of a request. request: None for one that is not read."""
        partitions: list[tuple[str, int]] = []
        if isinstance(request, ProduceRequest):
            for asked in request.topic_data:
                topic = produce_topic(self.image, asked, header.request_api_version)
                partitions += [(topic.name, one.index) for one in asked.partition_data if topic is not None]
        elif isinstance(request, MetadataRequest):
            partitions += [(one.name, -1) for one in request.topics or () if one.name is not None]
        elif isinstance(request, FetchRequest):
            partitions += [(topic.topic, one.partition) for topic in request.topics for one in topic.partitions]
        elif isinstance(request, ListOffsetsRequest):
            partitions += [(topic.name, one.partition_index) for topic in request.topics for one in topic.partitions]
        elif isinstance(request, CreateTopicsRequest):
            partitions += [(topic.name, -1) for topic in request.topics]
        elif isinstance(request, DeleteTopicsRequest):
            partitions += [(name, -1) for name in request.topic_names]
        return SeenRequest(
            self.cluster.now_ms,
            self.node_id,
            connection_id,
            header.request_api_key,
            header.request_api_version,
            header.correlation_id,
            None if request is None else header.client_id,
            request,
            tuple(partitions),
        )

    def received(self, seen: SeenRequest) -> None:
        """Note a request, whatever becomes of it."""
        self.cluster.requests.append(seen if self.cluster.bodies_kept else replace(seen, request=None))
        if isinstance(seen.request, ProduceRequest):
            note_batches(self, seen.request, seen.version)

    def answer(self, seen: SeenRequest, faults: Faults) -> Response:
        """Do what is asked, with the errors of the faults. That of Produce with acks=0 is not to be sent."""
        request = seen.request
        if isinstance(request, ProduceRequest):
            return ProduceHandler(self, seen, request, faults).answer()
        if isinstance(request, MetadataRequest):
            return self._metadata(request, seen.version, faults)
        assert request is not None
        code = faults.error_code(FaultPoint.BEFORE_APPEND)
        if code:
            return error_response(request, code)
        response = self._done(request, seen.version, faults)
        code = faults.error_code(FaultPoint.AFTER_APPEND)
        return error_response(request, code) if code else response

    def _done(self, request: Request, version: int, faults: Faults) -> Response:
        match request:
            case FetchRequest():
                return fetch_answer(self, request, version, faults)
            case ListOffsetsRequest():
                return list_offsets_answer(self, request, version, faults)
            case CreateTopicsRequest():
                return create_topics_answer(self.cluster, request)
            case DeleteTopicsRequest():
                return delete_topics_answer(self.cluster, request)
            case ApiVersionsRequest():
                return api_versions_answer(self, request, version)
        assert isinstance(request, InitProducerIdRequest)
        return init_producer_id_answer(self, request)

    def wait_ms(self, seen: SeenRequest) -> int:
        """How long a Fetch waits at most for what is not there yet; 0 for all that is answered at once."""
        request = seen.request
        waits = isinstance(request, FetchRequest) and fetch_waits(self, request, seen.version)
        return request.max_wait_ms if waits and isinstance(request, FetchRequest) else 0

    def _metadata(self, request: MetadataRequest, version: int, faults: Faults) -> Response:
        image = self.image  # as it was before the request made topics: the first answer lacks them
        if request.allow_auto_topic_creation:
            self.cluster.auto_create(missing_topics(image, request))
        for point in (FaultPoint.BEFORE_APPEND, FaultPoint.AFTER_APPEND):
            code = faults.error_code(point)
            if code:
                return error_response(request, code)
        response = metadata_answer(image, self.cluster.cluster_id, request, version)
        return with_topic_errors(response, partial(faults.error_code, FaultPoint.BEFORE_APPEND))
