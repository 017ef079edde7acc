"""The login of one connection, in the phases that Kafka 4.4.0 has: versions once, a handshake, then tokens.

No I/O or clock. Source: org.apache.kafka.common.security.authenticator.SaslServerAuthenticator, and what it was seen to
answer; KIP-43, KIP-152, KIP-368.
"""

from __future__ import annotations

from typing import NamedTuple

from client.scripted_cluster import error_response
from client.scripted_sasl import Exchange, Refused, SaslServer

from kproto.wire import (
    ApiVersionsRequest,
    ErrorCode,
    Request,
    RequestHeader,
    Response,
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
)


class Reply(NamedTuple):
    """What is answered, if anything, and whether the connection ends."""

    response: Response | None
    close: bool = False


CLOSE = Reply(None, close=True)


class Login:
    """Who is on the other side. user: None until the first login succeeds. logins: how many did."""

    def __init__(self, server: SaslServer) -> None:
        self.server = server
        self.user: str | None = None
        self.logins = 0
        self.bare = False
        """Whether tokens come without headers, as after SaslHandshake 0."""
        self._versions_told = False
        self._mechanism: str | None = None
        self._other_mechanism = False
        self._exchange: Exchange | None = None
        self._expires_ms: int | None = None

    def handle(self, header: RequestHeader, request: Request, now_ms: int) -> Reply | None:
        """What becomes of a request; None for one to be served as on any connection."""
        if self._exchange is not None:
            if not isinstance(request, SaslAuthenticateRequest):
                return Reply(error_response(request, ErrorCode.ILLEGAL_SASL_STATE), close=True)
            return CLOSE if self._other_mechanism else self._token(request.auth_bytes, now_ms)
        if isinstance(request, SaslHandshakeRequest) and (self.user is None or self.server.session_lifetime_ms):
            return self._handshake(request.mechanism, header.request_api_version)
        if self.user is None:
            if not isinstance(request, ApiVersionsRequest) or self._versions_told:
                return CLOSE
            self._versions_told = True
            return None
        return CLOSE if self._expires_ms is not None and now_ms >= self._expires_ms else None

    def bare_token(self, token: bytes, now_ms: int) -> bytes | None:
        """The token that answers one without a header; None where the connection ends."""
        reply = self._token(token, now_ms)
        response = reply.response
        return response.auth_bytes if isinstance(response, SaslAuthenticateResponse) and not reply.close else None

    def _handshake(self, mechanism: str, version: int) -> Reply:
        if mechanism not in self.server.mechanisms:
            if self.user is not None:
                return CLOSE
            refusal = ErrorCode.UNSUPPORTED_SASL_MECHANISM
            return Reply(SaslHandshakeResponse(error_code=refusal, mechanisms=self.server.mechanisms), close=True)
        self._other_mechanism = self.user is not None and mechanism != self._mechanism
        self._mechanism = mechanism
        self._exchange = self.server.exchange(mechanism)
        self.bare = version == 0
        return Reply(SaslHandshakeResponse(mechanisms=self.server.mechanisms))

    def _token(self, token: bytes, now_ms: int) -> Reply:
        assert self._exchange is not None
        try:
            answer = self._exchange.step(token)
            if self._exchange.user is not None and self.user not in (None, self._exchange.user):
                change = f"from User.{self.user}: User.{self._exchange.user}"
                raise Refused(f"Cannot change principals during re-authentication {change}")
        except Refused as refused:
            code = ErrorCode.SASL_AUTHENTICATION_FAILED
            return Reply(SaslAuthenticateResponse(error_code=code, error_message=str(refused)), close=True)
        lifetime_ms = 0
        if self._exchange.user is not None:
            self.user = self._exchange.user
            self.logins += 1
            self._exchange = None
            self.bare = False
            lifetime_ms = self.server.session_lifetime_ms
            self._expires_ms = now_ms + lifetime_ms if lifetime_ms else None
        return Reply(SaslAuthenticateResponse(error_message="", auth_bytes=answer, session_lifetime_ms=lifetime_ms))
