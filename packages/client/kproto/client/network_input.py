"""What the driver tells a network client, each to the connection that it is about.

Layer: client. A core, the lower half of NetworkClient.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from kproto.client.connection import Connection, ConnectionState
from kproto.client.effects import Buffer
from kproto.client.metadata import Metadata
from kproto.client.node_connection import NodeConnection
from kproto.client.node_connections import NodeConnections
from kproto.wire import KafkaError

__all__ = ["NetworkInput"]


class NetworkInput(ABC):
    """See the module. connections, metadata: made by the class derived."""

    connections: NodeConnections
    metadata: Metadata

    def __init__(self) -> None:
        self._closed = False
        self._touched = True  # whether anything was told or asked since the last full pass

    @abstractmethod
    def _settle_one(self, found: NodeConnection, now_ms: int, *, told: bool = False, idle: bool = False) -> bool:
        """See what has ended on its connection; whether that has."""

    def resolved(self, host: str, addresses: Sequence[str] | KafkaError, now_ms: int) -> None:
        self._touched = True
        if not self._closed and self.connections.resolved(host, addresses, now_ms):
            self.metadata.request_update()

    def connection_made(self, connection_id: int, now_ms: int) -> None:
        if connection := self._connection(connection_id):
            self._touched = True
            connection.connection_made(now_ms)

    def data_received(self, connection_id: int, data: bytes, now_ms: int) -> None:
        if connection := self._connection(connection_id):
            self._touched = True
            connection.data_received(data, now_ms)

    def connection_lost(self, connection_id: int, reason: str | None, now_ms: int) -> None:
        found = self.connections.by_connection(connection_id)
        if found is not None and found.connection is not None:
            self._touched = True
            found.connection.connection_lost(reason, now_ms)
            self._settle_one(found, now_ms, told=True)

    def token_fetched(self, connection_id: int, token: str | KafkaError, now_ms: int) -> None:
        if connection := self._connection(connection_id):
            self._touched = True
            connection.token_fetched(token, now_ms)

    def data_to_send(self, connection_id: int) -> Collection[Buffer]:
        connection = self._connection(connection_id)
        return () if connection is None else connection.outbound

    def data_sent(self, connection_id: int, size: int, now_ms: int) -> None:
        if connection := self._connection(connection_id):
            self._touched |= connection.data_sent(size, now_ms)

    def _connection(self, connection_id: int) -> Connection | None:
        """The connection, unless it is closed: what a driver tells before it hears of that is of no use any more."""
        found = self.connections.by_connection(connection_id)
        connection = None if found is None else found.connection
        return None if connection is None or connection.state is ConnectionState.CLOSED else connection
