"""A network client, the brokers of one cluster, and the network between them, on virtual time.

    world = World(nodes=3, topics={"orders": 6}, retry_backoff_ms=50)
    number = world.ask(node_id=2)
    assert world.answer(number).producer_id == 3001

Node n is `broker-n.test` at 10.0.0.(n + 1), port 9092; the client begins with node 0 unless told otherwise. That each
request ends once at most is checked wherever one ends.
"""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from client.other_ends import TlsEnd
from client.scripted_broker import SaslServer, ScriptedBroker, ScriptedCluster
from client.simulation import SimulatedNetwork

from kproto.client.config import ClientConfig
from kproto.client.effects import ConnectionObserver, Effect
from kproto.client.in_flight import Completion
from kproto.client.network import NetworkClient
from kproto.wire import RESPONSES, InitProducerIdRequest, KafkaError, Request, Response

PORT = 9092
POLLS_PER_NODE_MAX = 10  # at one millisecond


class WatchedClient(NetworkClient):
    """Hands its completions over after each pass, as a driver would have it, and counts the passes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.ended: dict[Any, Completion] = {}
        self.polls = 0
        self.polls_at: Counter[int] = Counter()

    def poll(self, now_ms: int) -> list[Effect]:
        self.polls += 1
        self.polls_at[now_ms] += 1
        effects = super().poll(now_ms)
        self.collect()
        return effects

    def collect(self) -> None:
        for completion in self.take_completions():
            assert completion.token not in self.ended, f"{completion.token} ends twice: {completion}"
            assert completion.error is None or completion.response is None
            self.ended[completion.token] = completion


class CountedNetwork(SimulatedNetwork):
    """Knows how many things have happened, or are going to: bytes that arrive, names that are found ..."""

    events = 0

    def at_time(self, at_ms: int, happen: Callable[[], None]) -> None:
        self.events += 1
        super().at_time(at_ms, happen)


class World:
    """Everything public may be changed while it runs. settings: of ClientConfig.

    servers: bootstrap_servers. tls: the server's context. network: options of SimulatedNetwork.
    """

    def __init__(
        self,
        nodes: int = 1,
        topics: dict[str, int] | None = None,
        *,
        servers: str = "broker-0.test:9092",
        seed: int = 1,
        cluster: ScriptedCluster | None = None,
        sasl: SaslServer | None = None,
        tls: ssl.SSLContext | None = None,
        network: dict[str, Any] | None = None,
        observer: ConnectionObserver | None = None,
        **settings: Any,
    ) -> None:
        self.cluster = cluster or ScriptedCluster(nodes, topics)
        self.tls = tls
        self.sasl = sasl
        self.brokers: dict[int, ScriptedBroker] = {}
        config = ClientConfig.of(bootstrap_servers=servers, **settings)
        nonces = Random(seed)
        self.client = WatchedClient(
            config, rng=Random(seed), make_nonce=lambda: f"{nonces.random():.9f}", now_ms=0, observer=observer
        )
        self.network = CountedNetwork(self.client, seed=seed, **(network or {}))
        for node_id in self.cluster.nodes:
            self.start_broker(node_id)
        self.asked = 0

    def start_broker(self, node_id: int, **options: Any) -> ScriptedBroker:
        """A broker for a node of the cluster, where its name leads; instead of the one before."""
        broker = self.brokers[node_id] = ScriptedBroker(self.cluster, node_id, sasl=self.sasl, **options)
        self.network.names.setdefault(self.cluster.nodes[node_id].host, [address_of(node_id)])
        self.serve(node_id, broker)
        return broker

    def serve(self, node_id: int, server: Any) -> None:
        """Who listens at a node's address."""
        tls = self.tls
        if tls is not None and isinstance(server, ScriptedBroker):
            self.network.serve(address_of(node_id), PORT, lambda: TlsEnd(server.connect(), tls))
        else:
            self.network.serve(address_of(node_id), PORT, server)

    @property
    def now_ms(self) -> int:
        return self.network.now_ms

    def down(self, *node_ids: int) -> None:
        for node_id in node_ids:
            self.network.down(address_of(node_id), PORT)

    def up(self, *node_ids: int) -> None:
        for node_id in node_ids:
            self.network.up(address_of(node_id), PORT)

    def cut(self, *node_ids: int, reason: str | None = "Connection reset by peer") -> None:
        for node_id in node_ids:
            self.network.cut(address_of(node_id), PORT, reason)

    # Requests

    def ask(
        self,
        request: Request | None = None,
        node_id: int | None = None,
        *,
        timeout_ms: int = 30_000,
        version: int | None = None,
        response: type[Response] | str | None = "declared",
    ) -> int:
        """Enqueue a request, InitProducerId if None; its number."""
        self.asked += 1
        request = InitProducerIdRequest() if request is None else request
        answer = RESPONSES[request.api_key or 0] if isinstance(response, str) else response
        self.client.enqueue(
            request, self.asked, self.now_ms, timeout_ms=timeout_ms, node_id=node_id, version=version, response=answer
        )
        return self.asked

    def ended(self, number: int) -> bool:
        return number in self.client.ended

    def completion(self, number: int, limit_ms: int = 60_000) -> Completion:
        """How a request ends."""
        self.network.run_until(partial(self.ended, number), limit_ms)
        return self.client.ended[number]

    def answer(self, number: int, limit_ms: int = 60_000) -> Any:
        """The answer to a request that must end well."""
        completion = self.completion(number, limit_ms)
        if completion.error is not None:
            raise self.network.failure(f"request {number} ended with {completion.error!r}")
        return completion.response

    def error(self, number: int, limit_ms: int = 60_000) -> KafkaError:
        """The error of a request that must fail."""
        error = self.completion(number, limit_ms).error
        if error is None:
            raise self.network.failure(f"request {number} ended well")
        return error

    # The cluster

    def learn(self, *topics: str, limit_ms: int = 60_000) -> None:
        """Until an answer to a metadata request that goes out from now on; the topics are of interest."""
        for topic in topics:
            self.client.metadata.add_topic(topic, self.now_ms)
        passed = self.client.metadata.request_update(reset=True)
        self.network.run_until(lambda: self.client.metadata.update_version > passed, limit_ms)

    def connect(self, *node_ids: int) -> None:
        """Until the client is connected to these nodes, and knows the cluster."""
        self.network.run_until(lambda: self.client.metadata.update_version)
        for node_id in node_ids:
            self.answer(self.ask(node_id=node_id))

    def opened(self, node_id: int | None = None) -> list[int]:
        """When connections were opened so far, in ms; to one node, or all."""
        wanted = " open " if node_id is None else f" open {address_of(node_id)}:"
        return [int(line.split()[0]) for line in self.network.log if wanted in line]

    def check_pace(self, events: int = 0) -> None:
        """The core was never polled in circles at one millisecond. events: how many there may be beside the usual."""
        busiest, polls = max(self.client.polls_at.items(), key=lambda item: item[1], default=(0, 0))
        usual = POLLS_PER_NODE_MAX * (len(self.cluster.nodes) + 1)
        if polls > usual + events:
            raise self.network.failure(f"{polls} polls at {busiest} ms")


def address_of(node_id: int) -> str:
    return f"10.0.0.{node_id + 1}"


def polls_per_second(client: WatchedClient) -> dict[int, int]:
    """Second -> polls in it."""
    seconds: Counter[int] = Counter()
    for at_ms, polls in client.polls_at.items():
        seconds[at_ms // 1000] += polls
    return dict(seconds)
