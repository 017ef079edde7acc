"""The requests that log a connection in, one at a time.

Layer: client. Knows no bytes, correlation ids or clocks: those are the connection's.
Source: KIP-43, KIP-152, KIP-368 (re-authentication); states of
org.apache.kafka.common.security.authenticator.SaslClientAuthenticator.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from kproto.client.errors import KafkaError, SaslAuthenticationError, UnsupportedSaslMechanismError
from kproto.client.sasl.exchange import SaslExchange, printable
from kproto.client.transitions import IllegalTransition, step
from kproto.client.versions import ApiVersions
from kproto.wire import (
    ApiVersionsRequest,
    ApiVersionsResponse,
    ErrorCode,
    Request,
    Response,
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
)

__all__ = ["ROUNDS_MAX", "TRANSITIONS", "SaslAuthenticator", "SaslEvent", "SaslState"]

ROUNDS_MAX: Final = 8
"""Tokens that the client sends at most: SCRAM, the longest here, needs two."""

FRAMED: Final = SaslHandshakeRequest.versions[1:]  # version 0 is followed by bare tokens
MECHANISMS_SHOWN: Final = 16


class SaslState(Enum):
    """What the login does next: send a request, or wait for its response."""

    SEND_APIVERSIONS_REQUEST = 0
    RECEIVE_APIVERSIONS_RESPONSE = 1
    SEND_HANDSHAKE_REQUEST = 2
    RECEIVE_HANDSHAKE_RESPONSE = 3
    SEND_TOKEN = 4
    RECEIVE_TOKEN = 5
    COMPLETE = 6
    FAILED = 7


class SaslEvent(Enum):
    """What happens to a login."""

    SEND = 0
    """The request is taken."""
    ANSWER = 1
    """Its response is fine, and asks for another request."""
    LOG_IN = 2
    """The response completes the exchange."""
    FAIL = 3
    """The response is an error, or wrong."""


TRANSITIONS: Final[Mapping[tuple[SaslState, SaslEvent], SaslState]] = {
    (SaslState.SEND_APIVERSIONS_REQUEST, SaslEvent.SEND): SaslState.RECEIVE_APIVERSIONS_RESPONSE,
    (SaslState.RECEIVE_APIVERSIONS_RESPONSE, SaslEvent.ANSWER): SaslState.SEND_HANDSHAKE_REQUEST,
    (SaslState.RECEIVE_APIVERSIONS_RESPONSE, SaslEvent.FAIL): SaslState.FAILED,
    (SaslState.SEND_HANDSHAKE_REQUEST, SaslEvent.SEND): SaslState.RECEIVE_HANDSHAKE_RESPONSE,
    (SaslState.RECEIVE_HANDSHAKE_RESPONSE, SaslEvent.ANSWER): SaslState.SEND_TOKEN,
    (SaslState.RECEIVE_HANDSHAKE_RESPONSE, SaslEvent.FAIL): SaslState.FAILED,
    (SaslState.SEND_TOKEN, SaslEvent.SEND): SaslState.RECEIVE_TOKEN,
    (SaslState.RECEIVE_TOKEN, SaslEvent.ANSWER): SaslState.SEND_TOKEN,
    (SaslState.RECEIVE_TOKEN, SaslEvent.LOG_IN): SaslState.COMPLETE,
    (SaslState.RECEIVE_TOKEN, SaslEvent.FAIL): SaslState.FAILED,
}


class SaslAuthenticator:
    """Logs one connection in, once: `next_request`, then `receive` its response, until that returns True.

    address: "host:port", for errors. exchange: unused yet. versions: what the broker announced on this connection, to
    re-authenticate it (KIP-368); None to ask first, as on a new connection. Raises UnsupportedVersionError for
    versions without SaslHandshake 1 or SaslAuthenticate. Not thread-safe.
    """

    __slots__ = (
        "_address",
        "_authenticate_version",
        "_exchange",
        "_handshake_version",
        "_rounds",
        "_state",
        "_token",
        "session_lifetime_ms",
    )

    def __init__(self, address: str, exchange: SaslExchange, versions: ApiVersions | None) -> None:
        self._address = address
        self._exchange = exchange
        self._state = SaslState.SEND_APIVERSIONS_REQUEST
        self._handshake_version = self._authenticate_version = 0
        self._token = b""
        self._rounds = 0
        self.session_lifetime_ms = 0
        """Of the last response: log in again within it; 0 for no limit. Known once logged in."""
        if versions is not None:
            self._negotiate(versions)
            self._state = SaslState.SEND_HANDSHAKE_REQUEST

    @property
    def state(self) -> SaslState:
        """Where the login stands."""
        return self._state

    def next_request(self) -> tuple[Request, int]:
        """The request to send now, and its version. Raises IllegalTransition while a response is awaited, or after."""
        asked, self._state = self._state, step(TRANSITIONS, self._state, SaslEvent.SEND)
        if asked is SaslState.SEND_APIVERSIONS_REQUEST:
            return ApiVersionsRequest(), 0
        if asked is SaslState.SEND_HANDSHAKE_REQUEST:
            return SaslHandshakeRequest(mechanism=self._exchange.mechanism), self._handshake_version
        return SaslAuthenticateRequest(auth_bytes=self._token), self._authenticate_version

    def receive(self, response: Response) -> bool:
        """Take the response to the last request; True when that logs the connection in, False to ask and send on.

        Raises UnsupportedVersionError, UnsupportedSaslMechanismError and SaslAuthenticationError: the login is over
        then, and the connection is of no use. IllegalTransition for a response that was not asked for.
        """
        try:
            event = self._judge(response)
        except IllegalTransition:
            raise
        except KafkaError:
            self._state = step(TRANSITIONS, self._state, SaslEvent.FAIL)
            raise
        self._state = step(TRANSITIONS, self._state, event)
        return self._state is SaslState.COMPLETE

    def __repr__(self) -> str:
        return f"<SaslAuthenticator {self._exchange.mechanism} with {self._address}: {self._state.name}>"

    def _judge(self, response: Response) -> SaslEvent:
        if self._state is SaslState.RECEIVE_APIVERSIONS_RESPONSE and isinstance(response, ApiVersionsResponse):
            self._check(response.error_code, "ApiVersions")
            self._negotiate(ApiVersions.of(response))
            return SaslEvent.ANSWER
        if self._state is SaslState.RECEIVE_HANDSHAKE_RESPONSE and isinstance(response, SaslHandshakeResponse):
            if response.error_code == ErrorCode.UNSUPPORTED_SASL_MECHANISM:
                offered = [printable(name) for name in response.mechanisms[:MECHANISMS_SHOWN]]
                raise UnsupportedSaslMechanismError(self._address, self._exchange.mechanism, offered)
            self._check(response.error_code, "SaslHandshake")
            return self._send(self._exchange.first())
        if self._state is SaslState.RECEIVE_TOKEN and isinstance(response, SaslAuthenticateResponse):
            if response.error_code == ErrorCode.SASL_AUTHENTICATION_FAILED:
                raise self._exchange.refused(response.error_message)
            self._check(response.error_code, "SaslAuthenticate")
            token = self._exchange.respond(response.auth_bytes)
            if token is not None:
                return self._send(token)
            self.session_lifetime_ms = max(0, response.session_lifetime_ms)
            return SaslEvent.LOG_IN
        raise IllegalTransition(self._state.name, type(response).__name__)

    def _negotiate(self, versions: ApiVersions) -> None:
        self._handshake_version = versions.negotiate(SaslHandshakeRequest, within=FRAMED)
        self._authenticate_version = versions.negotiate(SaslAuthenticateRequest)

    def _send(self, token: bytes) -> SaslEvent:
        self._rounds += 1
        if self._rounds > ROUNDS_MAX:
            reason = (
                f"{self._exchange.mechanism}: the broker wants more than {ROUNDS_MAX} tokens: is it a Kafka broker?"
            )
            raise SaslAuthenticationError(self._address, reason)
        self._token = token
        return SaslEvent.ANSWER

    def _check(self, number: int, api: str) -> None:
        code = ErrorCode.of(number)
        if code == ErrorCode.NONE:
            return
        if code == ErrorCode.ILLEGAL_SASL_STATE:
            reason = f"{api} is not expected here: this is probably no SASL listener; set security_protocol"
            raise SaslAuthenticationError(self._address, f"{reason} to what it speaks, or use another port")
        known = f"{code.name} ({number}), {code.description}" if isinstance(code, ErrorCode) else f"error {number}"
        raise SaslAuthenticationError(self._address, f"the broker answers {api} with {known}")
