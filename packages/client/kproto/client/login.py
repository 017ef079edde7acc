"""Logging a connection in with SASL, and again before its session ends.

Layer: client.
Source: KIP-152, KIP-368; org.apache.kafka.common.security.authenticator.SaslClientAuthenticator.
"""

from __future__ import annotations

from random import Random
from typing import Final

from kproto.client.sasl import SaslAuthenticator
from kproto.client.security import Security
from kproto.client.versions import ApiVersions
from kproto.wire import Request, Response

__all__ = ["Login"]

REAUTHENTICATE_FROM: Final = 0.85  # of the session's lifetime, and
REAUTHENTICATE_TO: Final = 0.95  # as Kafka's own client does
REAUTHENTICATE_MS_MIN: Final = 100  # whatever the broker says: between two logins something else has its turn

Ask = tuple[Request, int]
"""A request to send, and its version."""


class Login:
    """The login of one connection, as often as it takes. Not thread-safe."""

    def __init__(self, security: Security, address: str, rng: Random) -> None:
        self.wants_token = False
        """Whether it waits for `use_token`."""
        self.reauthenticate_at_ms: int | None = None
        """When to begin again; None where the session does not end."""
        self._security = security
        self._address = address
        self._rng = rng
        self._versions: ApiVersions | None = None
        self._authenticator: SaslAuthenticator | None = None

    def begin(self, versions: ApiVersions | None) -> Ask | None:
        """What to send first; None where a token is wanted first. versions: the broker's, None where not yet known.

        Raises AuthenticationError.
        """
        self._versions = versions
        self.wants_token = self._security.needs_token
        return None if self.wants_token else self.use_token(None)

    def use_token(self, token: str | None) -> Ask:
        """What to send first, with the token that was wanted. Raises AuthenticationError."""
        self.wants_token = False
        exchange = self._security.exchange(self._address, token)
        self._authenticator = SaslAuthenticator(self._address, exchange, self._versions)
        return self._authenticator.next_request()

    def receive(self, response: Response, now_ms: int) -> Ask | None:
        """What to send next; None once logged in. Raises AuthenticationError, UnsupportedVersionError."""
        assert self._authenticator is not None
        if not self._authenticator.receive(response):
            return self._authenticator.next_request()
        lifetime_ms = self._authenticator.session_lifetime_ms
        self._authenticator = None
        share = REAUTHENTICATE_FROM + (REAUTHENTICATE_TO - REAUTHENTICATE_FROM) * self._rng.random()
        wait_ms = max(REAUTHENTICATE_MS_MIN, int(lifetime_ms * share))
        self.reauthenticate_at_ms = now_ms + wait_ms if lifetime_ms > 0 else None
        return None
