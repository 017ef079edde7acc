"""Brokers that do what a test says. What is not scripted is answered as Kafka 4.4.0 does.

No I/O, clock or randomness, and no record is kept. tests/client/test_scripted_broker.py holds it against a real Kafka,
down to which requests are answered with a closed connection.

    cluster = ScriptedCluster(nodes=3, topics={"orders": 6})
    broker = ScriptedBroker(cluster, 0)
    broker.fail(ApiKey.METADATA, "silence", ErrorCode.LEADER_NOT_AVAILABLE)
    end = broker.connect()
    end.receive(encode_request(ApiVersionsRequest(), 0, correlation_id=1, client_id="me"))
    end.output()
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Literal

from client.scripted_cluster import Node, Partition, ScriptedCluster, Topic
from client.scripted_end import BrokerEnd
from client.scripted_sasl import SaslServer

from kproto.wire import Request, RequestHeader, Response

__all__ = ["BrokerEnd", "Fault", "Node", "Partition", "SaslServer", "ScriptedBroker", "ScriptedCluster", "Topic"]

Named = Literal["close", "silence", "hold", "twice", "half", "wrong correlation id"]
Fault = int | Named | bytes | Callable[[RequestHeader, Request, Response], Response | bytes | None]
Unsupported = Literal["named", "unnamed", "junk"]


class ScriptedBroker:
    """One broker of a cluster. Everything public may be changed while connections are open. Not thread-safe.

    sasl: None for a listener without login. versions: of this broker, instead of the cluster's.
    unsupported: the body of error 35: Kafka's ("named": it has the range of ApiVersions), that of brokers before 2.4
    ("unnamed": it has none), or that of librdkafka's mock, which is of no version ("junk").
    strict: bytes behind a request end the connection. Kafka ignores them, and librdkafka 2.16 sends some: three behind
    Metadata 13 for all topics.
    Raises KeyError for a node that the cluster lacks.
    """

    def __init__(
        self,
        cluster: ScriptedCluster,
        node_id: int = 0,
        *,
        sasl: SaslServer | None = None,
        versions: Mapping[int, range] | None = None,
        unsupported: Unsupported = "named",
        strict: bool = True,
    ) -> None:
        cluster.nodes[node_id]
        self.cluster = cluster
        self.node_id = node_id
        self.sasl = sasl
        self.versions = versions
        self.unsupported = unsupported
        self.strict = strict
        self.throttle_time_ms = 0
        """Told in every answer that has the field."""
        self.always: dict[int, Fault] = {}
        """API key -> the fault of each request that has none of its own."""
        self.requests: list[tuple[RequestHeader, Request | None]] = []
        """All that came, of all connections, in order; None for a version that the broker does not speak."""
        self.connections: list[BrokerEnd] = []
        """All so far, in the order of connecting."""
        self._faults: dict[int, deque[Fault]] = defaultdict(deque)
        self._producer_ids = 1000 * (node_id + 1)

    def connect(self) -> BrokerEnd:
        """The server's end of a new connection."""
        end = BrokerEnd(self)
        self.connections.append(end)
        return end

    def fail(self, api: int, *faults: Fault) -> None:
        """What becomes of the next requests of an API, in turn; those after the last are answered as usual.

        A number is the error code of the answer; an answer of SASL's then ends the connection. "close": no answer, the
        connection ends. "silence": neither this nor a later request of the connection is answered. "hold": this answer
        and later ones wait for `release`. "twice": the answer comes two times. "half": half of it, then the end. Bytes
        are sent instead of the answer. A function takes header, request and usual answer, and gives the answer, bytes,
        or None for no answer to this one.
        """
        self._faults[api].extend(faults)

    def next_fault(self, api: int) -> Fault | None:
        """The fault of the request that comes now."""
        return self._faults[api].popleft() if self._faults[api] else self.always.get(api)

    def announced(self) -> Mapping[int, range]:
        """API key -> the versions that it takes."""
        return self.cluster.versions if self.versions is None else self.versions

    def asked(self, api: int) -> list[Request | None]:
        """The requests of one API so far."""
        return [request for header, request in self.requests if header.request_api_key == api]

    def new_producer_id(self) -> int:
        """One that no other request got."""
        self._producer_ids += 1
        return self._producer_ids

    def release(self) -> None:
        """Send what is held back, on all connections."""
        for end in self.connections:
            end.release()

    def close_connections(self) -> None:
        """End all connections in good order."""
        for end in self.connections:
            end.close()
