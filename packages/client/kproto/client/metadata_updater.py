"""Asks for metadata when it is due, and begins again from the bootstrap servers when nothing else helps.

Layer: client.
Source: org.apache.kafka.clients.NetworkClient.DefaultMetadataUpdater (META-13 to META-15), KIP-899, KIP-1102, KIP-1242.
"""

from __future__ import annotations

from random import Random
from typing import Final

from kproto.client.backoff import ExponentialBackoff
from kproto.client.cluster import Node
from kproto.client.config import ClientConfig
from kproto.client.errors import KafkaConnectionError, UnsupportedVersionError
from kproto.client.in_flight import Completion
from kproto.client.metadata import NEVER_MS, Metadata, RequestGeneration
from kproto.client.node_connection import NodeConnection
from kproto.client.node_connections import NodeConnections
from kproto.wire import ApiVersionsRequest, EncodeError, KafkaError, MetadataRequest, MetadataResponse

__all__ = ["MetadataUpdater"]

NAMES_CLUSTER_SINCE: Final = 5  # version of ApiVersions (KIP-1242); Tansu closes the connection that sends it


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
        self._trigger_ms = config.metadata_recovery_rebootstrap_trigger_ms
        self._due_since_ms: int | None = None
        self._asked_by_name = False  # whether the broker that was asked takes an ApiVersions that names its cluster
        self._bootstrap = tuple(Node(-1 - index, host, port) for index, (host, port) in enumerate(config.servers))
        self.begin_from_bootstrap(now_ms)

    def begin_from_bootstrap(self, now_ms: int) -> None:
        """Close, forget the nodes that were learned, and begin again (KIP-899, KIP-1102, KIP-1242)."""
        for found in self._connections.open:
            reason = "closed by us, to begin again from bootstrap_servers"
            self._connections.close(found, KafkaConnectionError(found.node.address, reason))
        self.bootstrapped = False
        self._due_since_ms = None
        self._connections.cluster_id = None
        self.metadata.rebootstrap(self._bootstrap, now_ms)
        self._connections.set_nodes(self._bootstrap)

    def update(self, now_ms: int) -> bool:
        """Ask if it is time and a node can be asked.

        Whether it closed all connections instead, to begin from bootstrap: then settle them, and call again.
        """
        connections = self._connections
        rebootstrap_in_ms = self._time_to_rebootstrap_ms(now_ms)
        if rebootstrap_in_ms == 0:
            self.begin_from_bootstrap(now_ms)
            return True
        update_in_ms = self.metadata.time_to_next_update_ms(now_ms)
        waits_ms = [wait_ms for wait_ms in (rebootstrap_in_ms, update_in_ms) if 0 < wait_ms < NEVER_MS]
        connections.wakes_ms += [now_ms + wait_ms for wait_ms in waits_ms]
        if update_in_ms > 0:
            return False
        if self._due_since_ms is None:
            self._due_since_ms = now_ms
        found = connections.least_loaded(now_ms)
        if found is None and self.bootstrapped and all(each.failed_setups for each in connections.listed):
            # All were tried in vain. One that was only lost is tried again first: it may be no more than a restart.
            if self._recovers and not connections.open:
                self.begin_from_bootstrap(now_ms)
                return True
            found = next((each for each in connections.open if each.can_send()), None)  # to a node that is not listed
        if connections.usable(found, now_ms):
            self._ask_for_metadata(found, now_ms)
        return False

    def _time_to_rebootstrap_ms(self, now_ms: int) -> int:
        """0 where it is time; counted also from when an update was due and no node could be asked."""
        if not self._recovers:
            return NEVER_MS
        due_since_ms, asked_ms = self._due_since_ms, self.metadata.time_to_rebootstrap_ms(now_ms)
        return asked_ms if due_since_ms is None else min(asked_ms, max(0, due_since_ms + self._trigger_ms - now_ms))

    def _ask_for_metadata(self, found: NodeConnection, now_ms: int) -> None:
        connection = found.connection
        assert connection is not None
        assert connection.versions is not None
        self._asked_by_name = connection.versions.speaks(ApiVersionsRequest, NAMES_CLUSTER_SINCE)
        try:
            version = connection.versions.negotiate(MetadataRequest)
            request, generation = self.metadata.begin_request(now_ms, version)
            connection.send(request, version, generation, now_ms, response=MetadataResponse)
        except UnsupportedVersionError as error:
            connection.close(error)
            self._cannot_ask(error, now_ms)
        except EncodeError as error:  # a topic with a name that cannot be sent
            self._cannot_ask(error, now_ms)

    def _cannot_ask(self, error: KafkaError, now_ms: int) -> None:
        self.metadata.failed_update(now_ms, error)
        self.metadata.fatal_error(error)

    def answered(self, generation: RequestGeneration, completion: Completion, now_ms: int) -> None:
        """The request that `update` sent has ended."""
        response = completion.response
        if not isinstance(response, MetadataResponse):
            self.metadata.failed_update(now_ms, completion.error)
            return
        self.metadata.handle_response(generation, response, completion.version, now_ms)
        if self.metadata.last_error is None:
            self.bootstrapped = True
            self._due_since_ms = None
            self._connections.cluster_id = self.metadata.cluster.cluster_id if self._asked_by_name else None
            self._connections.set_nodes(self.metadata.cluster.nodes.values())
