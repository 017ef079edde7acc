"""Asks for metadata when it is due, and begins again from the bootstrap servers when nothing else helps.

Layer: client.
Source: org.apache.kafka.clients.NetworkClient.DefaultMetadataUpdater (META-13 to META-15), KIP-899, KIP-1102, KIP-1242.
"""

from __future__ import annotations

from random import Random

from kproto.client.backoff import ExponentialBackoff
from kproto.client.cluster import Node
from kproto.client.config import ClientConfig
from kproto.client.errors import KafkaConnectionError, UnsupportedVersionError
from kproto.client.in_flight import Completion
from kproto.client.metadata import NEVER_MS, Metadata, RequestGeneration
from kproto.client.node_connections import NodeConnection, NodeConnections
from kproto.wire import MetadataRequest, MetadataResponse

__all__ = ["MetadataUpdater"]


class MetadataUpdater:
    """Keeps `metadata` fresh over `connections`. bootstrapped: whether the nodes known are the cluster's own.

    Not thread-safe.
    """

    def __init__(self, config: ClientConfig, connections: NodeConnections, rng: Random, now_ms: int) -> None:
        self.metadata = Metadata(
            refresh_backoff=ExponentialBackoff(config.retry_backoff_ms, config.retry_backoff_max_ms),
            max_age_ms=config.metadata_max_age_ms,
            max_idle_ms=config.metadata_max_idle_ms,
            rng=rng,
            rebootstrap_trigger_ms=config.metadata_recovery_rebootstrap_trigger_ms,
            allow_auto_topic_creation=config.allow_auto_create_topics,
        )
        self.bootstrapped = False
        self._connections = connections
        self._recovers = config.metadata_recovery_strategy == "rebootstrap"
        self._bootstrap = tuple(Node(-1 - index, host, port) for index, (host, port) in enumerate(config.servers))
        self.begin_from_bootstrap(now_ms)

    def begin_from_bootstrap(self, now_ms: int) -> None:
        """Close, forget the nodes that were learned, and begin again (KIP-899, KIP-1102, KIP-1242)."""
        for found in self._connections.open:
            reason = "closed by us, to begin again from bootstrap_servers"
            self._connections.close(found, KafkaConnectionError(found.node.address, reason))
        self.bootstrapped = False
        self._connections.cluster_id = None
        self.metadata.rebootstrap(self._bootstrap, now_ms)
        self._connections.set_nodes(self._bootstrap)

    def update(self, now_ms: int) -> bool:
        """Ask if it is time and a node can be asked.

        Whether it closed all connections instead, to begin from bootstrap: then settle them, and call again.
        """
        connections = self._connections
        rebootstrap_in_ms = self.metadata.time_to_rebootstrap_ms(now_ms) if self._recovers else NEVER_MS
        if rebootstrap_in_ms == 0:
            self.begin_from_bootstrap(now_ms)
            return True
        update_in_ms = self.metadata.time_to_next_update_ms(now_ms)
        waits_ms = [wait_ms for wait_ms in (rebootstrap_in_ms, update_in_ms) if 0 < wait_ms < NEVER_MS]
        connections.wakes_ms += [now_ms + wait_ms for wait_ms in waits_ms]
        if update_in_ms > 0:
            return False
        found = connections.least_loaded(now_ms)
        if found is None and self._recovers and self.bootstrapped and not connections.open:
            self.begin_from_bootstrap(now_ms)
            return True
        if connections.usable(found, now_ms):
            self._ask_for_metadata(found, now_ms)
        return False

    def _ask_for_metadata(self, found: NodeConnection, now_ms: int) -> None:
        connection = found.connection
        assert connection is not None
        assert connection.versions is not None
        try:
            version = connection.versions.negotiate(MetadataRequest)
        except UnsupportedVersionError as error:
            connection.close(error)
            self.metadata.fatal_error(error)
            return
        request, generation = self.metadata.begin_request(now_ms, version)
        connection.send(request, version, generation, now_ms, response=MetadataResponse)

    def answered(self, generation: RequestGeneration, completion: Completion, now_ms: int) -> None:
        """The request that `update` sent has ended."""
        response = completion.response
        if not isinstance(response, MetadataResponse):
            self.metadata.failed_update(now_ms, completion.error)
            return
        self.metadata.handle_response(generation, response, completion.version, now_ms)
        if self.metadata.last_error is None:
            self.bootstrapped = True
            self._connections.cluster_id = self.metadata.cluster.cluster_id
            self._connections.set_nodes(self.metadata.cluster.nodes.values())
