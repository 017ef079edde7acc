"""PLAIN: the password itself, in one token.

Layer: client. The token is a secret: use it over TLS.
Source: RFC 4616; KIP-43; org.apache.kafka.common.security.plain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from kproto.client.sasl.exchange import Exchange, ExchangeEvent, ExchangeState, credential

__all__ = ["TRANSITIONS", "PlainExchange"]

TRANSITIONS: Final[Mapping[tuple[ExchangeState, ExchangeEvent], ExchangeState]] = {
    (ExchangeState.SEND_CLIENT_FIRST_MESSAGE, ExchangeEvent.FIRST): ExchangeState.RECEIVE_SERVER_FINAL_MESSAGE,
    (ExchangeState.RECEIVE_SERVER_FINAL_MESSAGE, ExchangeEvent.ACCEPT): ExchangeState.COMPLETE,
    (ExchangeState.RECEIVE_SERVER_FINAL_MESSAGE, ExchangeEvent.FAIL): ExchangeState.FAILED,
}


class PlainExchange(Exchange):
    """A `SaslExchange` that sends user name and password. address: "host:port", for errors.

    Raises ConfigError for a name or password that is empty or has a NUL. Not thread-safe.
    """

    __slots__ = ("_username",)
    TRANSITIONS = TRANSITIONS
    REMEDY: ClassVar[str] = "check sasl_username and sasl_password"

    def __init__(self, username: str, password: str, address: str) -> None:
        self._username = credential("sasl_username", username)
        super().__init__("PLAIN", address, credential("sasl_password", password))

    def first(self) -> bytes:
        """The only token. Raises IllegalTransition when it was taken already."""
        self._step(ExchangeEvent.FIRST)
        return f"\0{self._username}\0{self._secret}".encode()

    def respond(self, challenge: bytes) -> None:
        """None for the empty token of a success. Raises SaslAuthenticationError for any other."""
        if challenge:
            raise self._failed("the broker answers with a token, where PLAIN has none: is it a Kafka broker?")
        self._step(ExchangeEvent.ACCEPT)
