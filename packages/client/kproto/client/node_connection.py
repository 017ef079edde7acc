"""One node of a cluster, and the connection to it.

Layer: client.
Source: org.apache.kafka.clients.ClusterConnectionStates.NodeConnectionState.
"""

from __future__ import annotations

from kproto.client.cluster import Node
from kproto.client.connection import Connection
from kproto.client.connection_state import UNREADY
from kproto.client.errors import KafkaError

__all__ = ["NodeConnection"]


class NodeConnection:
    """One node and the connection to it. listed: whether the cluster has the node still."""

    __slots__ = (
        "addresses",
        "connection",
        "connection_id",
        "ever_ready",
        "failed_attempts",
        "failed_setups",
        "last_address",
        "last_attempt_ms",
        "last_error",
        "listed",
        "node",
        "resolving",
        "retry_at_ms",
        "surplus_told",
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
        self.surplus_told = False
        self.token_asked = False
        self.failed_attempts = 0
        self.failed_setups = 0
        self.last_address = ""
        self.last_attempt_ms = 0
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
