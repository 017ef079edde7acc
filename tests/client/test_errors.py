"""Each error: picklable, hashable, caught by its builtin kin, and read as a sentence."""

from __future__ import annotations

import pickle

import pytest

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
from kproto.client.transitions import IllegalTransition
from kproto.wire import ErrorCode

REFUSED = KafkaConnectionError("localhost:9092", "connection refused")

ERRORS = [
    (ConfigError("linger_ms: at least 0, not -1"), ValueError, "linger_ms: at least 0, not -1"),
    (REFUSED, ConnectionError, "localhost:9092: connection refused"),
    (NotKafkaError("h:1", "an HTTP server answers"), KafkaConnectionError, "h:1: an HTTP server answers"),
    (
        NoBrokersAvailable([REFUSED, SaslAuthenticationError("h:1", "refused")]),
        KafkaConnectionError,
        "no broker could be reached: localhost:9092: connection refused; h:1: refused",
    ),
    (NoBrokersAvailable([]), KafkaConnectionError, "no broker could be reached: no bootstrap server was tried"),
    (
        CorrelationMismatch("h:1", 5, 7),
        KafkaConnectionError,
        "h:1: an answer with correlation id 7, where the oldest request has 5",
    ),
    (CorrelationMismatch("h:1", None, 7), ConnectionError, "where no request is unanswered"),
    (
        KafkaTimeoutError("metadata of orders", 60_000, REFUSED),
        TimeoutError,
        "metadata of orders: nothing within 60000 ms; last error: localhost:9092: connection refused",
    ),
    (KafkaTimeoutError("an answer", 0.5), TimeoutError, "an answer: nothing within 0.5 ms"),
    (SslAuthenticationError("h:1", "unknown authority"), AuthenticationError, "h:1: unknown authority"),
    (SaslAuthenticationError("h:1", "refused"), AuthenticationError, "h:1: refused"),
    (
        UnsupportedSaslMechanismError("h:1", "PLAIN", ["SCRAM-SHA-256"]),
        AuthenticationError,
        "the SASL mechanism PLAIN; it offers SCRAM-SHA-256: set sasl_mechanism",
    ),
    (UnsupportedSaslMechanismError("h:1", "PLAIN", []), AuthenticationError, "it offers none"),
    (
        UnsupportedVersionError("Metadata", range(14), range(20, 23)),
        KafkaError,
        "Metadata: we speak 0-13, the broker 20-22",
    ),
    (UnsupportedVersionError("Metadata", range(14), range(0)), KafkaError, "the broker does not speak Metadata"),
    (
        BrokerError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "topic orders", "gone"),
        KafkaError,
        "topic orders: UNKNOWN_TOPIC_OR_PARTITION (3), ",
    ),
    (BrokerError(9999, "topic orders"), KafkaError, "topic orders: error 9999, which Kafka 4.4.0 does not have"),
    (ClientClosedError(), KafkaError, "the client is closed"),
    (IllegalTransition("READY", "START"), KafkaError, "in state READY there is no step for START"),
]


@pytest.mark.parametrize(("error", "kin", "text"), ERRORS, ids=lambda value: type(value).__name__)
def test_each_error(error, kin, text):
    assert isinstance(error, KafkaError)
    assert isinstance(error, kin)
    assert text in str(error)
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is type(error)
    assert str(copied) == str(error)
    assert {key: str(value) for key, value in vars(copied).items()} == {k: str(v) for k, v in vars(error).items()}
    assert hash(error) == hash(error)


def test_what_is_worth_trying_again():
    assert REFUSED.retriable
    assert KafkaTimeoutError("x", 1).retriable
    assert not SaslAuthenticationError("h:1", "no").retriable
    assert BrokerError(ErrorCode.NOT_LEADER_OR_FOLLOWER, "x").retriable
    assert not BrokerError(ErrorCode.TOPIC_AUTHORIZATION_FAILED, "x").retriable
    assert not BrokerError(9999, "x").retriable
