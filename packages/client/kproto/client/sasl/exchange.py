"""What every SASL mechanism is to its connection, and what the mechanisms share: states, and words without secrets.

Layer: client.
Source: RFC 4422; states of org.apache.kafka.common.security.scram.internals.ScramSaslClient and
org.apache.kafka.common.security.oauthbearer.internals.OAuthBearerSaslClient.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import ClassVar, Final, Protocol

from kproto.client.errors import ConfigError, SaslAuthenticationError
from kproto.client.transitions import step

__all__ = ["Exchange", "ExchangeEvent", "ExchangeState", "SaslExchange", "credential", "printable"]

WORDS_MAX = 300  # characters of a broker's text that an error shows
MASK: Final = "***"


class ExchangeState(Enum):
    """Where an exchange stands. Each mechanism's TRANSITIONS uses those that it needs."""

    SEND_CLIENT_FIRST_MESSAGE = 0
    RECEIVE_SERVER_FIRST_MESSAGE = 1
    RECEIVE_SERVER_FINAL_MESSAGE = 2
    RECEIVE_SERVER_MESSAGE_AFTER_FAILURE = 3
    COMPLETE = 4
    FAILED = 5


class ExchangeEvent(Enum):
    """What happens to an exchange."""

    FIRST = 0
    """The client's first token is taken."""
    CONTINUE = 1
    """The broker's token was right, and the client has another."""
    REJECT = 2
    """The broker says no, and waits for the client to acknowledge it."""
    ACCEPT = 3
    """The broker's last token was right."""
    FAIL = 4
    """A token of the broker's was wrong, or its last word is no."""


class SaslExchange(Protocol):
    """One login with one mechanism: tokens in, tokens out; used once. No I/O. Not thread-safe.

    `repr` and errors never show a password or a token.
    """

    @property
    def mechanism(self) -> str:
        """As SaslHandshake names it, such as SCRAM-SHA-256."""

    @property
    def complete(self) -> bool:
        """Whether the broker's last token came, and proves what it has to prove."""

    def first(self) -> bytes:
        """The client's first token. To be asked once; IllegalTransition after that."""

    def respond(self, challenge: bytes) -> bytes | None:
        """The next token for the broker's, or None when that completes the exchange.

        Raises SaslAuthenticationError where the broker's token is wrong, or says no; the exchange is over then.
        IllegalTransition before `first`, or once the exchange is over.
        """

    def refused(self, message: str | None) -> SaslAuthenticationError:
        """The error for a refusal that came outside the tokens; message: the broker's words. In any state."""


class Exchange:
    """The base of the mechanisms here. secret: what no text may show."""

    __slots__ = ("_address", "_mechanism", "_secret", "_state")
    TRANSITIONS: ClassVar[Mapping[tuple[ExchangeState, ExchangeEvent], ExchangeState]]
    REMEDY: ClassVar[str]
    """What to check when the broker refuses."""

    def __init__(self, mechanism: str, address: str, secret: str) -> None:
        self._mechanism = mechanism
        self._address = address
        self._secret = secret
        self._state = ExchangeState.SEND_CLIENT_FIRST_MESSAGE

    @property
    def mechanism(self) -> str:
        """As SaslHandshake names it."""
        return self._mechanism

    @property
    def complete(self) -> bool:
        """Whether the broker's last token came and is right."""
        return self._state is ExchangeState.COMPLETE

    def refused(self, message: str | None) -> SaslAuthenticationError:
        """The error for a refusal in the broker's words, from which our secrets are taken out."""
        said = f" ({self._shown(message)})" if message else ""
        reason = f"the broker refuses the {self._mechanism} credentials{said}: {self.REMEDY}"
        return SaslAuthenticationError(self._address, reason)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._mechanism} with {self._address}: {self._state.name}>"

    def _step(self, event: ExchangeEvent) -> None:
        self._state = step(self.TRANSITIONS, self._state, event)

    def _failed(self, reason: str) -> SaslAuthenticationError:
        self._step(ExchangeEvent.FAIL)
        return SaslAuthenticationError(self._address, f"{self._mechanism}: {reason}")

    def _shown(self, text: str) -> str:
        return printable(text.replace(self._secret, MASK))


def credential(setting: str, value: str) -> str:
    """The value, if a token can carry it: not empty, no NUL, UTF-8. Raises ConfigError, which does not show it."""
    if not value:
        raise ConfigError(f"{setting} is empty: set it, or use a security_protocol without SASL")
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise ConfigError(f"{setting} has a NUL or a lone surrogate, which no SASL token can carry: set another")
    return value


def printable(text: str) -> str:
    """A peer's text, fit for a log line: no control characters, and not too long."""
    shown = "".join(char if char.isprintable() else "?" for char in text[:WORDS_MAX])
    return shown if len(text) <= WORDS_MAX else f"{shown}..."
