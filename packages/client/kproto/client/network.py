"""Many connections, one metadata: asks any node anything, and keeps the picture of the cluster fresh.

Layer: client. A core, driven through `effects.SansIO`. What is above it either waits in line (`enqueue`: any node or a
certain one, within a time) or chooses by itself (`ready`, `can_send`, `send`), and takes completions after each pass.
Source: org.apache.kafka.clients.NetworkClient, DefaultMetadataUpdater; KIP-899, KIP-1102, KIP-1242.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

from kproto.client.api_versions_check import SOFTWARE_VERSION
from kproto.client.cluster import Cluster, Node, TopicPartition
from kproto.client.config import ClientConfig
from kproto.client.connection import ConnectionSettings, ConnectionState
from kproto.client.connection_state import Readiness
from kproto.client.deadlines import earliest
from kproto.client.effects import ConnectionObserver, Effect
from kproto.client.errors import (
    AuthenticationError,
    BrokerError,
    ClientClosedError,
    KafkaConnectionError,
)
from kproto.client.in_flight import Completion
from kproto.client.metadata import RequestGeneration
from kproto.client.metadata_state import WANTED
from kproto.client.metadata_updater import MetadataUpdater
from kproto.client.network_input import NetworkInput
from kproto.client.node_connection import NodeConnection
from kproto.client.node_connections import NodeConnections
from kproto.client.request_line import RequestLine
from kproto.client.security import Security
from kproto.client.waiting_line import Waiting
from kproto.wire import ErrorCode, KafkaError, Request, Response

__all__ = ["NetworkClient"]


class NetworkClient(NetworkInput):
    """See the module.

    config: the client's; rng: for jitter and choices between equals; make_nonce: unpredictable text for SCRAM, from
    `secrets`; observer: hears of each connection and frame. Raises ConfigError for certificates that cannot be read.
    now_ms: monotonic milliseconds. Not thread-safe: the driver holds its guard.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        rng: Random,
        make_nonce: Callable[[], str],
        now_ms: int,
        observer: ConnectionObserver | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        security = Security(config, make_nonce)
        security.check()
        settings = ConnectionSettings(
            client_id=config.client_id,
            request_timeout_ms=config.request_timeout_ms,
            max_in_flight=config.max_in_flight_requests_per_connection,
            receive_message_max_bytes=config.receive_message_max_bytes,
            security=security,
            software_version=SOFTWARE_VERSION,
        )
        self.connections = NodeConnections(config, settings, rng, observer)
        self._updater = MetadataUpdater(config, self.connections, rng, now_ms)
        self.metadata = self._updater.metadata
        self._line = RequestLine(self.connections, self._updater)
        self._completions: list[Completion] = []
        # What happened since the last full pass; where nothing has, and no time has come, a pass is nothing
        self._metadata_events = -1
        self._deadline_ms: int | None = None
        self._deadline_of = -1  # the wakes it was worked out from; -1 where it has to be worked out anew

    @property
    def cluster(self) -> Cluster:
        """What is known of the cluster; immutable, may be read by any thread."""
        return self.metadata.cluster

    def poll(self, now_ms: int) -> list[Effect]:
        """Settle what ended, then metadata, then the line: metadata goes first (CONN-8)."""
        if self._is_quiet(now_ms):
            return self.connections.take_effects()
        self._deadline_of = -1
        self.connections.wakes_ms.clear()
        if self.connections.end_lookups(now_ms):
            self.metadata.request_update()
        for found in self.connections.open:
            assert found.connection is not None
            found.connection.poll(now_ms)
        self._settle(now_ms)
        if not self._closed:
            if self._updater.update(now_ms):
                self._settle(now_ms)
                self._updater.update(now_ms)
            self._completions += self._line.serve(now_ms)
            self._close_idle(now_ms)
        if self._settle(now_ms):
            self.connections.wakes_ms.append(now_ms)
        self._touched = False
        self._metadata_events = self.metadata.events
        return self.connections.take_effects()

    def wants_poll_after_write(self, now_ms: int) -> bool:
        return not self._is_quiet(now_ms)

    def _is_quiet(self, now_ms: int) -> bool:
        """Whether nothing has happened since the last pass, no time has come, and nobody waits for a free node."""
        if self._touched or self.metadata.events != self._metadata_events or self.metadata.state in WANTED:
            return False
        deadline_ms = self.next_deadline_ms()
        return (deadline_ms is None or deadline_ms > now_ms) and self._line.next_deadline_ms() is None

    def next_deadline_ms(self) -> int | None:
        if self._deadline_of != len(self.connections.wakes_ms):
            self._deadline_ms = self._earliest_ms()
            self._deadline_of = len(self.connections.wakes_ms)
        return self._deadline_ms

    def _earliest_ms(self) -> int | None:
        deadlines = [*self.connections.wakes_ms, self._line.next_deadline_ms()]
        deadlines += [found.connection.next_deadline_ms() for found in self.connections.open if found.connection]
        return earliest(deadlines)

    # What is above asks.

    def enqueue(
        self,
        request: Request,
        token: Any,
        now_ms: int,
        *,
        timeout_ms: int,
        response: type[Response] | None,
        node_id: int | None = None,
        version: int | None = None,
    ) -> None:
        """Send it as soon as the node, or any if None, can take it; its Completion carries the token.

        timeout_ms: to be sent; from then on request_timeout_ms counts. version: the highest that both sides speak if
        None. response: the class of the answer, None where the broker sends none.
        """
        self._touched = True
        if self._closed:
            self._completions.append(Completion(token, None, ClientClosedError(), -1))
            return
        self._line.add(Waiting(request, response, node_id, version, token, now_ms, now_ms + timeout_ms))

    def take_completions(self) -> list[Completion]:
        """Those since the last call, in the order in which they ended."""
        taken, self._completions = self._completions, []
        return taken

    def ready(self, node_id: int, now_ms: int) -> bool:
        """Whether a request may be sent to the node now, see `readiness`."""
        return self.readiness(node_id, now_ms) is Readiness.READY

    def readiness(self, node_id: int, now_ms: int, *, metadata_first: bool = True) -> Readiness:
        """Whether a request may be sent to the node now, or why not; a connection is begun where that may be.

        metadata_first: nothing is ready while a metadata update is due (CONN-8), however long no node can be asked.
        """
        found = self.connections.get(node_id)
        if self._closed or found is None:
            return Readiness.NOT_CONNECTED
        if metadata_first and self.metadata.time_to_next_update_ms(now_ms) == 0:
            return Readiness.METADATA_DUE
        self.connections.usable(found, now_ms)
        return Readiness.NOT_CONNECTED if found.connection is None else found.connection.readiness()

    def send(
        self,
        node_id: int,
        request: Request,
        version: int,
        token: Any,
        now_ms: int,
        *,
        response: type[Response] | None,
        timeout_ms: int | None = None,
    ) -> None:
        """Send a request to a node that is `ready`, see Connection.send."""
        found = self.connections.get(node_id)
        assert found is not None and found.connection is not None
        self._deadline_of = -1
        found.connection.send(request, version, token, now_ms, response=response, timeout_ms=timeout_ms)

    def negotiate(self, node_id: int, request: type[Request], within: range | None = None) -> int:
        """The highest version that the node and we speak; only of a node that is `ready`. See ApiVersions."""
        found = self.connections.get(node_id)
        assert found is not None and found.connection is not None and found.connection.versions is not None
        return found.connection.versions.negotiate(request, within)

    def update_leadership(
        self, leaders: Mapping[TopicPartition, tuple[int, int]], nodes: Iterable[Node]
    ) -> set[TopicPartition]:
        """Take the leaders that a Produce answer named (KIP-951), see Metadata; their nodes may be asked now."""
        self._touched = True
        changed = self.metadata.update_leadership(leaders, nodes)
        self.connections.set_nodes(self.cluster.nodes.values())
        return changed

    def connection_error(self) -> KafkaError | None:
        """Why no broker can be asked, with the error of each; None while one can, or nothing failed yet."""
        return self.connections.error()

    def close(self, now_ms: int) -> None:
        """End everything: all requests fail with ClientClosedError, all connections are closed by the next `poll`."""
        self._closed = self._touched = True
        error = ClientClosedError("the client was closed before the answer came")
        self._completions += self._line.fail_all(error)
        for found in self.connections.open:
            self.connections.close(found, error)
        self._settle(now_ms)

    # What ended.

    def _settle(self, now_ms: int) -> bool:
        """Whether a connection has ended."""
        ended = [self._settle_one(found, now_ms) for found in self.connections.open]
        return any(ended)

    def _settle_one(self, found: NodeConnection, now_ms: int, *, told: bool = False, idle: bool = False) -> bool:
        connection = found.connection
        assert connection is not None
        if not found.was_ready and connection.state in (ConnectionState.READY, ConnectionState.THROTTLED):
            self.connections.note_ready(found)
        if connection.surplus_bytes:
            self.connections.note_surplus(found)
        while completions := connection.take_completions():  # an answer may close the connection it came on
            for completion in completions:
                self._complete(completion, now_ms)
        if connection.state is not ConnectionState.CLOSED:
            return False
        error = self.connections.ended(found, told=told, now_ms=now_ms)
        if isinstance(error, AuthenticationError):
            self.metadata.fatal_error(error)
            self._completions += self._line.fail(error, found.node.node_id)
        if isinstance(error, BrokerError) and error.code == ErrorCode.REBOOTSTRAP_REQUIRED:
            self._updater.begin_from_bootstrap(now_ms)
        elif not idle and not self._closed:
            self.metadata.request_update()
        return True

    def _complete(self, completion: Completion, now_ms: int) -> None:
        token, response = completion.token, completion.response
        if not isinstance(token, RequestGeneration):
            self._completions.append(completion)
            if getattr(response, "error_code", 0) == ErrorCode.REBOOTSTRAP_REQUIRED:
                self._updater.begin_from_bootstrap(now_ms)
        else:
            self._updater.answered(token, completion, now_ms)

    def _close_idle(self, now_ms: int) -> None:
        """At most one in a pass, the one unused for longest (CONN-16)."""
        idle_ms = self.config.connections_max_idle_ms
        found = self.connections.longest_unused() if idle_ms >= 0 else None
        if found is None or found.connection is None:
            return
        last_used_ms = found.connection.last_used_ms
        if now_ms - last_used_ms >= idle_ms:
            self.connections.close(found, KafkaConnectionError(found.node.address, f"unused for {idle_ms} ms"))
            self._settle_one(found, now_ms, idle=True)
            found.last_error = None  # nothing is wrong with it
            self.connections.wakes_ms.append(now_ms)
        else:
            self.connections.wakes_ms.append(last_used_ms + idle_ms)
