"""Sends the requests that wait in line, each as soon as its node can take it.

Layer: client. A core, part of the network client.
"""

from __future__ import annotations

from kproto.client.errors import KafkaConnectionError
from kproto.client.in_flight import Completion
from kproto.client.metadata_updater import MetadataUpdater
from kproto.client.node_connection import NodeConnection
from kproto.client.node_connections import NodeConnections
from kproto.client.waiting_line import Waiting, WaitingLine
from kproto.wire import KafkaError

__all__ = ["RequestLine"]


class RequestLine:
    """See the module. Not thread-safe."""

    def __init__(self, connections: NodeConnections, updater: MetadataUpdater) -> None:
        self._connections = connections
        self._updater = updater
        self._line = WaitingLine()

    def add(self, waiting: Waiting) -> None:
        """At the end."""
        self._line.add(waiting)

    def next_deadline_ms(self) -> int | None:
        """When the first of them has waited too long; None where nobody waits."""
        return self._line.next_deadline_ms()

    def serve(self, now_ms: int) -> list[Completion]:
        """Send what can be sent; those that ended without being sent."""
        ended: list[Completion] = []
        waiting = self._line.take_all()
        self._line.put_back([each for each in waiting if not self._serve(each, now_ms, ended)])
        return ended

    def fail(self, error: KafkaError, node_id: int) -> list[Completion]:
        """No waiting cures refused credentials: who waits for this node, any, or one not yet known is told at once."""
        known = self._updater.bootstrapped
        failed = self._line.take(lambda each: not known or each.node_id in (None, node_id))
        return _ended(failed, error)

    def fail_all(self, error: KafkaError) -> list[Completion]:
        """Nobody waits any more."""
        return _ended(self._line.take_all(), error)

    def _serve(self, waiting: Waiting, now_ms: int, ended: list[Completion]) -> bool:
        """Whether it need not wait any longer: it was sent, or failed."""
        try:
            found = self._node_for(waiting, now_ms)
            if not self._connections.usable(found, now_ms):
                return False
            connection = found.connection
            assert connection is not None and connection.versions is not None
            version = connection.versions.negotiate(type(waiting.request), waiting.within)
            connection.send(waiting.request, version, waiting.token, now_ms, response=waiting.response)
        except KafkaError as error:
            ended.append(Completion(waiting.token, None, error, -1))
        return True

    def _node_for(self, waiting: Waiting, now_ms: int) -> NodeConnection | None:
        """The node that is to be asked; None where it is not known yet, or none can be tried now."""
        found = None if waiting.node_id is None else self._connections.get(waiting.node_id)
        if now_ms >= waiting.deadline_ms:
            raise waiting.timeout(now_ms, self._connections.error() if found is None else found.last_error)
        if waiting.node_id is None:
            return self._connections.least_loaded(now_ms)
        if found is None and self._updater.bootstrapped:
            self._updater.metadata.request_update()  # it may be new: who asks again may find it
            self._connections.wakes_ms.append(now_ms)
            known = ", ".join(map(str, sorted(self._updater.metadata.cluster.nodes)))
            raise KafkaConnectionError(f"node {waiting.node_id}", f"is not in the cluster; its nodes are {known}")
        return found


def _ended(failed: list[Waiting], error: KafkaError) -> list[Completion]:
    return [Completion(each.token, None, error, -1) for each in failed]
