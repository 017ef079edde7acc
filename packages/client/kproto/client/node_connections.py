"""The connections to the nodes of a cluster: which there are, which may be tried, and when.

Layer: client. A core: name look-ups and sockets are effects. Each node has at most one connection. All addresses of its
name are tried, one after the other, before an attempt counts as failed; attempts are spaced by an exponential backoff
that ends only when a connection is ready, so a broker that accepts and drops is not hammered.
Source: org.apache.kafka.clients.ClusterConnectionStates (CONN-1 to CONN-7), KIP-144, KIP-302, KIP-601, KIP-602.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from random import Random
from typing import TypeGuard

from kproto.client.backoff import ExponentialBackoff
from kproto.client.cluster import Node
from kproto.client.config import ClientConfig
from kproto.client.connection import Connection, ConnectionSettings
from kproto.client.connection_state import UNREADY
from kproto.client.diagnosis import advertised_hint
from kproto.client.effects import Close, ConnectionObserver, Effect, FetchToken, Open, Resolve
from kproto.client.errors import AuthenticationError, KafkaConnectionError, KafkaError
from kproto.client.frame_stream import Observe

__all__ = ["NodeConnection", "NodeConnections"]


class NodeConnection:
    """One node and the connection to it. listed: whether the cluster has the node still."""

    __slots__ = (
        "addresses",
        "connection",
        "connection_id",
        "ever_ready",
        "failed_attempts",
        "failed_setups",
        "last_attempt_ms",
        "last_error",
        "listed",
        "node",
        "resolving",
        "retry_at_ms",
        "token_asked",
        "was_ready",
    )

    def __init__(self, node: Node) -> None:
        self.node = node
        self.listed = True
        self.connection: Connection | None = None
        self.connection_id = -1
        self.addresses: list[str] = []
        self.resolving = False
        self.was_ready = False
        self.ever_ready = False
        self.token_asked = False
        self.failed_attempts = 0
        self.failed_setups = 0
        self.last_attempt_ms: int | None = None
        self.retry_at_ms = 0
        self.last_error: KafkaError | None = None

    @property
    def connecting(self) -> bool:
        """Whether an attempt is under way."""
        return self.resolving or (self.connection is not None and self.connection.state in UNREADY)

    def can_connect(self, now_ms: int) -> bool:
        """Whether an attempt may begin."""
        return self.connection is None and not self.resolving and now_ms >= self.retry_at_ms

    def can_send(self) -> bool:
        """Whether a request may be sent now."""
        return self.connection is not None and self.connection.can_send()


class NodeConnections:
    """See the module. observer: hears of every connection and frame. Not thread-safe."""

    def __init__(
        self, config: ClientConfig, settings: ConnectionSettings, rng: Random, observer: ConnectionObserver | None
    ) -> None:
        self.cluster_id: str | None = None
        """The cluster we believe to reach; None until it is known."""
        self.bootstrap_address = ", ".join(config.bootstrap_servers)
        self.wakes_ms: list[int] = []
        """When to look again, as far as this pass has found; cleared by whoever begins the next."""
        self._settings = settings
        self._rng = rng
        self._observer = observer
        self._reconnect = ExponentialBackoff(config.reconnect_backoff_ms, config.reconnect_backoff_max_ms)
        self._setup = ExponentialBackoff(
            config.socket_connection_setup_timeout_ms, config.socket_connection_setup_timeout_max_ms
        )
        self._nodes: dict[int, NodeConnection] = {}
        self._by_connection: dict[int, NodeConnection] = {}
        self._next_connection_id = 1
        self._effects: list[Effect] = []

    @property
    def open(self) -> list[NodeConnection]:
        """Those with a connection, also of nodes that the cluster no longer has."""
        return list(self._by_connection.values())

    def get(self, node_id: int) -> NodeConnection | None:
        """The node's, if the cluster has the node."""
        found = self._nodes.get(node_id)
        return found if found is not None and found.listed else None

    def by_connection(self, connection_id: int) -> NodeConnection | None:
        """The node's whose connection it is; None where it is closed."""
        return self._by_connection.get(connection_id)

    @property
    def listed(self) -> list[NodeConnection]:
        """Those of the nodes that the cluster has."""
        return [found for found in self._nodes.values() if found.listed]

    def set_nodes(self, nodes: Iterable[Node]) -> None:
        """The cluster has these nodes now. A node at another address begins anew; one that is gone keeps its
        connection until it is idle or lost."""
        wanted = {node.node_id: node for node in nodes}
        for node_id, found in list(self._nodes.items()):
            node = wanted.get(node_id)
            if node is None:
                found.listed = False
                self._forget_if_gone(found)
            elif (node.host, node.port) != (found.node.host, found.node.port):
                found.listed = False
                self.close(found, KafkaConnectionError(found.node.address, f"node {node_id} is at {node.address} now"))
                del self._nodes[node_id]
            else:
                found.node, found.listed = node, True
        for node_id, node in wanted.items():
            if node_id not in self._nodes:
                self._nodes[node_id] = NodeConnection(node)

    def connect(self, found: NodeConnection, now_ms: int) -> None:
        """Begin an attempt; only when `can_connect`."""
        found.last_attempt_ms = now_ms
        if found.addresses:
            self._open(found, now_ms)
            return
        asked = any(other.resolving and other.node.host == found.node.host for other in self._nodes.values())
        found.resolving = True
        if not asked:
            self._effects.append(Resolve(found.node.host, found.node.port))

    def resolved(self, host: str, addresses: Sequence[str] | KafkaError, now_ms: int) -> None:
        """See SansIO. Addresses are tried in their order."""
        for found in list(self._nodes.values()):
            if not found.resolving or found.node.host != host:
                continue
            found.resolving = False
            if isinstance(addresses, KafkaError):
                self._failed(found, addresses, now_ms)
            elif not addresses:
                self._failed(found, KafkaConnectionError(found.node.address, "the name has no address"), now_ms)
            elif found.listed:
                found.addresses = list(dict.fromkeys(addresses))
                self._open(found, now_ms)
            else:
                self._forget_if_gone(found)

    def ended(self, found: NodeConnection, *, told: bool, now_ms: int) -> KafkaError:
        """Take note that its connection is closed; why. told: whether the driver knows already."""
        connection = found.connection
        assert connection is not None
        assert connection.error is not None
        self._detach(found, told=told)
        error = connection.error
        was_ready, found.was_ready = found.was_ready, False
        unreached = not connection.stream.bytes_received and not isinstance(error, AuthenticationError)
        if unreached and not found.ever_ready and found.node.node_id >= 0 and isinstance(error, KafkaConnectionError):
            hint = advertised_hint(found.node.address, self.bootstrap_address)
            error = KafkaConnectionError(found.node.address, f"{error.reason}; {hint}")
        if found.addresses and found.listed and unreached:
            found.last_error = error
            self._open(found, now_ms)  # the next address, at once
        else:
            found.failed_setups += not was_ready
            self._failed(found, error, now_ms)
        return error

    def close(self, found: NodeConnection, error: KafkaError) -> None:
        """Close its connection; it does not count as failed."""
        if found.connection is not None:
            found.connection.close(error)

    def least_loaded(self, now_ms: int) -> NodeConnection | None:
        """The node to ask where any will do: ready with the fewest unanswered, else connecting, else the one that was
        tried longest ago; None where all are busy or in backoff (LLN-1). Among equals chance decides."""
        nodes = self.listed
        start = int(self._rng.random() * len(nodes))
        nodes = nodes[start:] + nodes[:start]
        ready = [found for found in nodes if found.can_send()]
        if ready:
            return min(ready, key=lambda found: len(found.connection.in_flight) if found.connection else 0)
        for found in nodes:
            if found.connecting:
                return found
        untried = [found for found in nodes if found.can_connect(now_ms)]
        return min(untried, key=lambda found: found.last_attempt_ms or 0, default=None)

    def usable(self, found: NodeConnection | None, now_ms: int) -> TypeGuard[NodeConnection]:
        """Whether a request may be sent to the node now; if not, an attempt is begun, or the time for it noted.

        found: None for any node, where `least_loaded` gave none.
        """
        if found is None:
            backoffs = [each.retry_at_ms for each in self.listed if each.connection is None]
            self.wakes_ms += [retry_at_ms for retry_at_ms in backoffs if retry_at_ms > now_ms]
            return False
        if found.can_connect(now_ms):
            self.connect(found, now_ms)
        elif found.connection is None and not found.resolving:
            self.wakes_ms.append(found.retry_at_ms)
        return found.can_send()

    def longest_unused(self) -> NodeConnection | None:
        """The ready connection without unanswered requests that was used least recently."""
        unused = [
            found for found in self.open if found.connection and found.was_ready and not found.connection.in_flight
        ]
        return min(unused, key=lambda found: found.connection.last_used_ms if found.connection else 0, default=None)

    def take_effects(self) -> list[Effect]:
        """Those since the last call, in order."""
        for found in self._by_connection.values():
            connection = found.connection
            if connection is not None and connection.wants_token and not found.token_asked:
                found.token_asked = True
                self._effects.append(FetchToken(found.connection_id))
        taken, self._effects = self._effects, []
        return taken

    def note_ready(self, found: NodeConnection) -> None:
        """Its connection is ready: the backoff begins anew with the next failure."""
        found.was_ready = found.ever_ready = True
        found.failed_attempts = found.failed_setups = 0
        found.last_error = None

    def _open(self, found: NodeConnection, now_ms: int) -> None:
        node = found.node
        connection_id = self._next_connection_id
        self._next_connection_id += 1
        found.last_attempt_ms = now_ms
        known = node.node_id >= 0
        found.connection = Connection(
            self._settings,
            node.host,
            node.address,
            rng=self._rng,
            now_ms=now_ms,
            setup_timeout_ms=self._setup.delay_ms(found.failed_setups, self._rng),
            cluster_id=self.cluster_id if known else None,
            node_id=node.node_id if known else -1,
            observe=self._observing(connection_id),
        )
        found.connection_id = connection_id
        found.token_asked = False
        self._by_connection[connection_id] = found
        self._effects.append(Open(connection_id, found.addresses.pop(0), node.port))

    def _observing(self, connection_id: int) -> Observe | None:
        observer = self._observer
        return None if observer is None else partial(observer.frame, connection_id)

    def _detach(self, found: NodeConnection, *, told: bool) -> None:
        del self._by_connection[found.connection_id]
        if not told:
            self._effects.append(Close(found.connection_id))
        found.connection = None
        found.connection_id = -1

    def _failed(self, found: NodeConnection, error: KafkaError, now_ms: int) -> None:
        found.addresses = []  # they may have changed by the next attempt
        found.retry_at_ms = now_ms + self._reconnect.delay_ms(found.failed_attempts, self._rng)
        found.failed_attempts += 1
        found.last_error = error
        self._forget_if_gone(found)

    def _forget_if_gone(self, found: NodeConnection) -> None:
        gone = not found.listed and found.connection is None and not found.resolving
        if gone and self._nodes.get(found.node.node_id) is found:
            del self._nodes[found.node.node_id]
