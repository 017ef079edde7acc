"""The connections to the nodes of a cluster: which there are, which may be tried, and when.

Layer: client. A core: name look-ups and sockets are effects. Each node has at most one connection. All addresses of its
name are tried, one after the other, before an attempt counts as failed; attempts are spaced by an exponential backoff
that ends only when a connection is ready, so a broker that accepts and drops is not hammered.
Source: org.apache.kafka.clients.ClusterConnectionStates (CONN-1 to CONN-7), KIP-144, KIP-302, KIP-601, KIP-602.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from random import Random
from typing import Final, TypeGuard

from kproto.client.backoff import ExponentialBackoff
from kproto.client.cluster import Node
from kproto.client.config import ClientConfig
from kproto.client.connection import Connection, ConnectionSettings
from kproto.client.diagnosis import advertised_hint, surplus
from kproto.client.effects import Close, ConnectionObserver, Effect, FetchToken, Open, Resolve
from kproto.client.errors import (
    AuthenticationError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NoBrokersAvailable,
)
from kproto.client.node_connection import NodeConnection

__all__ = ["NodeConnections"]

WARNINGS_MAX: Final = 8  # kept: more are of no use to anybody


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
        self.warnings: deque[str] = deque(maxlen=WARNINGS_MAX)
        """What somebody should look at, oldest first."""
        self._settings = settings
        self._rng = rng
        self._observer = observer
        self._lookup_ms = config.socket_connection_setup_timeout_ms
        self._reconnect = ExponentialBackoff(config.reconnect_backoff_ms, config.reconnect_backoff_max_ms)
        self._setup = ExponentialBackoff(
            config.socket_connection_setup_timeout_ms, config.socket_connection_setup_timeout_max_ms
        )
        self._nodes: dict[int, NodeConnection] = {}
        self._by_connection: dict[int, NodeConnection] = {}
        self._looked_up: set[str] = set()  # names that are asked for and not answered
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
        found.resolving = True
        self.wakes_ms.append(now_ms + self._lookup_ms)
        if found.node.host not in self._looked_up:
            self._looked_up.add(found.node.host)
            self._effects.append(Resolve(found.node.host, found.node.port))

    def resolved(self, host: str, addresses: Sequence[str] | KafkaError, now_ms: int) -> bool:
        """See SansIO; whether an attempt failed by it. Addresses are tried in order, the last tried one not first."""
        failed = isinstance(addresses, KafkaError) or not addresses
        self._looked_up.discard(host)
        for found in list(self._nodes.values()):
            if not found.resolving or found.node.host != host:
                continue
            found.resolving = False
            if not addresses:
                addresses = KafkaConnectionError(found.node.address, "the name has no address")
            if isinstance(addresses, KafkaError):
                self._failed(found, addresses, now_ms)
            elif found.listed:
                found.addresses = list(dict.fromkeys(addresses))
                if found.addresses[0] == found.last_address:
                    found.addresses.append(found.addresses.pop(0))
                self._open(found, now_ms)
            else:
                self._forget_if_gone(found)
        return failed

    def end_lookups(self, now_ms: int) -> bool:
        """Give up names that take too long; whether an attempt failed by it. A late answer serves the next attempt."""
        waiting = [found for found in self._nodes.values() if found.resolving]
        overdue = [found for found in waiting if now_ms >= found.last_attempt_ms + self._lookup_ms]
        self.wakes_ms += [found.last_attempt_ms + self._lookup_ms for found in waiting if found not in overdue]
        for found in overdue:
            found.resolving = False
            self._failed(found, KafkaTimeoutError(f"{found.node.address}: the name's address", self._lookup_ms), now_ms)
        return bool(overdue)

    def ended(self, found: NodeConnection, *, told: bool, now_ms: int) -> KafkaError:
        """Take note that its connection is closed; why. told: whether the driver knows already."""
        connection = found.connection
        assert connection is not None and connection.error is not None
        error, found.connection = connection.error, None
        del self._by_connection[found.connection_id]
        if not told:
            self._effects.append(Close(found.connection_id, connection.stream.goodbye))
        unreached = not connection.stream.bytes_received and not isinstance(error, AuthenticationError)
        if found.addresses and found.listed and unreached:
            found.last_error = error
            self._open(found, now_ms)  # the next address, at once
        else:
            self._failed(found, error, now_ms, hint=unreached)
        return error

    def close(self, found: NodeConnection, error: KafkaError) -> None:
        """Close its connection, or end its attempt to connect: what other addresses the name has is not tried."""
        found.addresses = []
        found.last_address = ""
        if found.connection is not None:
            found.connection.close(error)

    def least_loaded(self, now_ms: int) -> NodeConnection | None:
        """The node to ask where any will do: ready with the fewest unanswered, else connecting, else the one that was
        tried longest ago; None where all are busy or in backoff (LLN-1). Among equals chance decides."""
        nodes = self.listed
        start = int(self._rng.random() * len(nodes))
        nodes = nodes[start:] + nodes[:start]
        if ready := [found for found in nodes if found.can_send()]:
            return min(ready, key=lambda found: len(found.connection.in_flight) if found.connection else 0)
        if connecting := [found for found in nodes if found.connecting]:
            return connecting[0]
        untried = [found for found in nodes if found.can_connect(now_ms)]
        return min(untried, key=lambda found: found.last_attempt_ms, default=None)

    def usable(self, found: NodeConnection | None, now_ms: int) -> TypeGuard[NodeConnection]:
        """Whether a request may be sent to the node now; if not, an attempt is begun, or the time for it noted.
        found: None for any node, where `least_loaded` gave none."""
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
        unused = [each for each in self.open if each.connection and each.was_ready and not each.connection.in_flight]
        return min(unused, key=lambda each: each.connection.last_used_ms if each.connection else 0, default=None)

    def error(self) -> KafkaError | None:
        """Why no broker can be asked, with the error of each; None while one can, or nothing failed yet.

        An open connection to a node that is not listed, such as a bootstrap server, does not count: it is of no use.
        """
        nodes = self.listed
        if any(found.was_ready for found in nodes):
            return None
        errors = [found.last_error for found in nodes if found.last_error is not None]
        return NoBrokersAvailable(errors) if errors else None

    def take_effects(self) -> list[Effect]:
        """Those since the last call, in order."""
        for found in self._by_connection.values():
            connection = found.connection
            wants_token = connection is not None and connection.wants_token
            if wants_token and not found.token_asked:
                self._effects.append(FetchToken(found.connection_id))
            found.token_asked = wants_token  # once for each login: the session may end and begin again
        taken, self._effects = self._effects, []
        return taken

    def note_ready(self, found: NodeConnection) -> None:
        """Its connection is ready: the backoff begins anew with the next failure."""
        found.was_ready = found.ever_ready = True
        found.failed_attempts = found.failed_setups = 0
        found.last_error = None

    def note_surplus(self, found: NodeConnection) -> None:
        """Bytes came behind an answer on its connection: a warning, once for each connection."""
        if not found.surplus_told:
            found.surplus_told = True
            self.warnings.append(surplus(found.node.address))

    def _open(self, found: NodeConnection, now_ms: int) -> None:
        node = found.node
        connection_id = self._next_connection_id
        self._next_connection_id += 1
        found.last_attempt_ms = now_ms
        known = node.node_id >= 0 and self.cluster_id is not None  # a broker takes both or none
        found.last_address = found.addresses.pop(0)
        found.connection = Connection(
            self._settings,
            node.host,
            node.address,
            rng=self._rng,
            now_ms=now_ms,
            setup_timeout_ms=self._setup.delay_ms(found.failed_setups, self._rng),
            cluster_id=self.cluster_id if known else None,
            node_id=node.node_id if known else -1,
            observe=None if self._observer is None else partial(self._observer.frame, connection_id),
        )
        found.connection_id = connection_id
        found.surplus_told = False
        self._by_connection[connection_id] = found
        self._effects.append(Open(connection_id, found.last_address, node.port))

    def _failed(self, found: NodeConnection, error: KafkaError, now_ms: int, *, hint: bool = True) -> None:
        """hint: whether the address that the cluster gave may be at fault."""
        if hint and found.node.node_id >= 0 and not found.ever_ready:
            error = _with_hint(error, found.node.address, self.bootstrap_address)
        found.failed_setups += not found.was_ready
        found.was_ready = False
        found.addresses = []  # they may have changed by the next attempt
        found.retry_at_ms = now_ms + self._reconnect.delay_ms(found.failed_attempts, self._rng)
        found.failed_attempts += 1
        found.last_error = error
        self._forget_if_gone(found)

    def _forget_if_gone(self, found: NodeConnection) -> None:
        gone = not found.listed and found.connection is None and not found.resolving
        if gone and self._nodes.get(found.node.node_id) is found:
            del self._nodes[found.node.node_id]


def _with_hint(error: KafkaError, address: str, bootstrap: str) -> KafkaError:
    if isinstance(error, KafkaTimeoutError):
        return KafkaTimeoutError(f"{error.what} ({advertised_hint(address, bootstrap)})", error.timeout_ms, error.cause)
    if isinstance(error, KafkaConnectionError):
        return KafkaConnectionError(address, f"{error.reason}; {advertised_hint(address, bootstrap)}")
    return error
