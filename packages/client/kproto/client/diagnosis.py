"""What a broker's odd behaviour most likely means, in words that name the next step.

Layer: client. Knows phrases; decides nothing.
"""

from __future__ import annotations

from typing import Final

from kproto.client.connection_state import ConnectionState
from kproto.client.errors import KafkaConnectionError, NotKafkaError
from kproto.wire import KafkaError

__all__ = ["advertised_hint", "lost", "not_kafka", "surplus"]

GREETINGS: Final = (
    (b"\x15\x03", "the listener speaks TLS: set security_protocol to SSL or SASL_SSL"),
    (b"\x16\x03", "the listener speaks TLS: set security_protocol to SSL or SASL_SSL"),
    (b"HTTP", "an HTTP server answers: this is not the port of a Kafka listener"),
    (b"<", "a web server answers: this is not the port of a Kafka listener"),
    (b"SSH-", "an SSH server answers: this is not the port of a Kafka listener"),
    (b"220", "a mail or FTP server answers: this is not the port of a Kafka listener"),
)
MAYBE_TLS: Final = "; the listener may expect TLS (security_protocol=SSL), or is none of Kafka's"
MAYBE_NO_SASL: Final = "; the listener may not be one for SASL, or expect TLS: see security_protocol"
MAYBE_REFUSED: Final = "; it may not be able to read the credentials: check them, and the broker's log"
MAYBE_SASL: Final = (
    "; the listener may expect a login: set security_protocol to SASL_PLAINTEXT or SASL_SSL, and sasl_mechanism"
)


def not_kafka(address: str, first_bytes: bytes, error: KafkaError) -> KafkaConnectionError:
    """The error for bytes that are no answer. first_bytes: the first that came on the connection."""
    for greeting, meaning in GREETINGS:
        if first_bytes.startswith(greeting):
            return NotKafkaError(address, meaning)
    return NotKafkaError(address, f"what came is no answer of Kafka's: {error}")


def lost(
    address: str,
    state: ConnectionState,
    reason: str | None,
    unanswered: int,
    *,
    encrypted: bool,
    at_first_request: bool,
    agreed: bool = False,
) -> KafkaConnectionError:
    """The error for a connection that ended in a state.

    reason: what the system says, None where the broker closed it; unanswered: requests; at_first_request: whether the
    broker told its versions, and then closed at the first request of a client that does not log in; agreed: whether it
    took the mechanism.
    """
    how = "the broker closed the connection" if reason is None else reason
    match state:
        case ConnectionState.CONNECTING:
            return KafkaConnectionError(address, reason or "the broker closed the connection at once")
        case ConnectionState.TLS_HANDSHAKE:
            return KafkaConnectionError(address, f"{how} during the TLS handshake")
        case ConnectionState.AUTHENTICATING:
            return KafkaConnectionError(address, f"{how} during the login{MAYBE_REFUSED if agreed else MAYBE_NO_SASL}")
        case ConnectionState.CHECKING_API_VERSIONS:
            hint = "" if encrypted else MAYBE_TLS
            return KafkaConnectionError(address, f"{how} instead of an answer to ApiVersions{hint}")
    hint = MAYBE_SASL if at_first_request else ""
    waiting = f"with {unanswered} unanswered request{'s' * (unanswered != 1)}" if unanswered else "while it was idle"
    return KafkaConnectionError(address, f"{how} {waiting}{hint}")


def advertised_hint(address: str, bootstrap: str) -> str:
    """What to look at where a node cannot be reached though the cluster could be asked about it."""
    return (
        f"{address} is what the cluster, asked at {bootstrap}, advertises for this node: "
        "if it is wrong from here, set advertised.listeners on the broker"
    )


def surplus(address: str) -> str:
    """A warning about a broker that writes more than its answers."""
    return (
        f"{address}: bytes follow its answers that their versions do not have, and are ignored. Apache Kafka writes "
        "none: the broker, or a proxy before it, may not keep to the versions that it offers; if answers look wrong, "
        "tell its makers"
    )
