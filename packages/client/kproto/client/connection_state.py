"""The states of a connection, and every step between them.

Layer: client.
Source: org.apache.kafka.clients.ConnectionState, ClusterConnectionStates (CONN-1), KIP-219, KIP-368.
"""

from __future__ import annotations

from enum import auto
from typing import Final

from kproto.client.transitions import State

__all__ = ["TRANSITIONS", "UNREADY", "ConnectionEvent", "ConnectionState", "Readiness"]


class ConnectionState(State):
    """Where a connection is on its way."""

    CONNECTING = auto()
    TLS_HANDSHAKE = auto()
    AUTHENTICATING = auto()
    CHECKING_API_VERSIONS = auto()
    READY = auto()
    THROTTLED = auto()
    REAUTHENTICATING = auto()
    CLOSED = auto()


class Readiness(State):
    """Whether a request may be sent to a node now, or why not."""

    READY = auto()
    METADATA_DUE = auto()
    NOT_CONNECTED = auto()
    THROTTLED = auto()
    WRITING = auto()
    IN_FLIGHT_LIMIT = auto()


class ConnectionEvent(State):
    """What moves it on."""

    TLS_STARTED = auto()
    SASL_STARTED = auto()
    API_VERSIONS_ASKED = auto()
    API_VERSIONS_LEARNED = auto()
    THROTTLE_STARTED = auto()
    THROTTLE_ENDED = auto()
    REAUTHENTICATION_STARTED = auto()
    REAUTHENTICATED = auto()
    ENDED = auto()


_S, _E = ConnectionState, ConnectionEvent

TRANSITIONS: Final = {
    (_S.CONNECTING, _E.TLS_STARTED): _S.TLS_HANDSHAKE,
    (_S.CONNECTING, _E.SASL_STARTED): _S.AUTHENTICATING,
    (_S.CONNECTING, _E.API_VERSIONS_ASKED): _S.CHECKING_API_VERSIONS,
    (_S.TLS_HANDSHAKE, _E.SASL_STARTED): _S.AUTHENTICATING,
    (_S.TLS_HANDSHAKE, _E.API_VERSIONS_ASKED): _S.CHECKING_API_VERSIONS,
    (_S.AUTHENTICATING, _E.API_VERSIONS_ASKED): _S.CHECKING_API_VERSIONS,
    (_S.CHECKING_API_VERSIONS, _E.API_VERSIONS_ASKED): _S.CHECKING_API_VERSIONS,  # again, in a lower version
    (_S.CHECKING_API_VERSIONS, _E.API_VERSIONS_LEARNED): _S.READY,
    (_S.READY, _E.THROTTLE_STARTED): _S.THROTTLED,
    (_S.THROTTLED, _E.THROTTLE_STARTED): _S.THROTTLED,  # an earlier request's answer asks for longer
    (_S.THROTTLED, _E.THROTTLE_ENDED): _S.READY,
    (_S.READY, _E.REAUTHENTICATION_STARTED): _S.REAUTHENTICATING,
    (_S.REAUTHENTICATING, _E.REAUTHENTICATED): _S.READY,
} | {(state, _E.ENDED): _S.CLOSED for state in ConnectionState if state is not _S.CLOSED}

UNREADY: Final = frozenset(_S) - {_S.READY, _S.THROTTLED, _S.CLOSED}
"""The states that may last only so long as the setup timeout says."""
