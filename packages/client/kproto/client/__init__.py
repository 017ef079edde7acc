"""Messages <-> brokers: connections, metadata, TLS and SASL.

The layer above `kproto.wire`. `Client` is its face for asyncio; below it lie cores that do no I/O (`NetworkClient`,
`Connection`, `Metadata`) and one driver (`driver.py`), for whoever builds on them.
"""

from kproto.client.client import Client
from kproto.client.cluster import Cluster, Node, Partition, Topic, TopicPartition
from kproto.client.config import ClientConfig, TokenProvider
from kproto.client.effects import ConnectionObserver
from kproto.client.errors import (
    AuthenticationError,
    BrokerError,
    ClientClosedError,
    ConfigError,
    CorrelationMismatch,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NoBrokersAvailable,
    NotKafkaError,
    SaslAuthenticationError,
    SslAuthenticationError,
    UnsupportedSaslMechanismError,
    UnsupportedVersionError,
)
from kproto.client.network import NetworkClient
from kproto.client.versions import ApiVersions

__all__ = [
    "ApiVersions",
    "AuthenticationError",
    "BrokerError",
    "Client",
    "ClientClosedError",
    "ClientConfig",
    "Cluster",
    "ConfigError",
    "ConnectionObserver",
    "CorrelationMismatch",
    "KafkaConnectionError",
    "KafkaError",
    "KafkaTimeoutError",
    "NetworkClient",
    "NoBrokersAvailable",
    "Node",
    "NotKafkaError",
    "Partition",
    "SaslAuthenticationError",
    "SslAuthenticationError",
    "TokenProvider",
    "Topic",
    "TopicPartition",
    "UnsupportedSaslMechanismError",
    "UnsupportedVersionError",
]
