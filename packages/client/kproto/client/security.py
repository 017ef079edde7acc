"""What a configuration's security settings come to, for each connection: a TLS stream, a SASL exchange.

Layer: client. Certificates are read once, when the first connection needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from kproto.client.config import ClientConfig
from kproto.client.errors import SaslAuthenticationError
from kproto.client.sasl import OAuthBearerExchange, PlainExchange, SaslExchange, ScramExchange
from kproto.client.tls import TlsStream, make_ssl_context

if TYPE_CHECKING:
    import ssl

__all__ = ["Security"]


class Security:
    """Makes what a connection needs. make_nonce: unpredictable text, from `secrets`; never the jitter's rng."""

    def __init__(self, config: ClientConfig, make_nonce: Callable[[], str]) -> None:
        self._config = config
        self._make_nonce = make_nonce
        self.uses_sasl = config.uses_sasl
        self.needs_token = config.sasl_mechanism == "OAUTHBEARER"

    @cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        config = self._config
        return config.ssl_context or make_ssl_context(
            cafile=config.ssl_cafile,
            certfile=config.ssl_certfile,
            keyfile=config.ssl_keyfile,
            password=config.ssl_password,
            check_hostname=config.ssl_check_hostname,
        )

    def check(self) -> None:
        """Read the certificates now. Raises ConfigError where that fails."""
        if self._config.uses_tls:
            _ = self._ssl_context

    def tls_stream(self, host: str, address: str) -> TlsStream | None:
        """A stream of its own for a connection to `host`; None without TLS. Raises ConfigError."""
        return TlsStream(self._ssl_context, host, address) if self._config.uses_tls else None

    def exchange(self, address: str, token: str | None) -> SaslExchange:
        """A fresh exchange; token: that of the provider, for OAUTHBEARER. Raises SaslAuthenticationError."""
        config = self._config
        mechanism = config.sasl_mechanism or ""
        username, password = config.sasl_username or "", config.sasl_password or ""
        if mechanism == "PLAIN":
            return PlainExchange(username, password, address)
        if mechanism == "OAUTHBEARER":
            if token is None:
                raise SaslAuthenticationError(address, "the token provider gave no token")
            return OAuthBearerExchange(token, address)
        return ScramExchange(mechanism, username, password, self._make_nonce(), address)
