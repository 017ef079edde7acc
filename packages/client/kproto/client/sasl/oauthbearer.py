"""OAUTHBEARER: a token that somebody else has signed.

Layer: client. Whoever reads the token may use it: send it over TLS. Fetching tokens is the driver's part.
Source: RFC 7628, RFC 6750 (the token's characters); KIP-255, KIP-342 (extensions);
org.apache.kafka.common.security.oauthbearer.internals.OAuthBearerSaslClient.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from kproto.client.errors import SaslAuthenticationError
from kproto.client.sasl.exchange import Exchange, ExchangeEvent, ExchangeState

__all__ = ["TRANSITIONS", "OAuthBearerExchange"]

TRANSITIONS: Final[Mapping[tuple[ExchangeState, ExchangeEvent], ExchangeState]] = {
    (ExchangeState.SEND_CLIENT_FIRST_MESSAGE, ExchangeEvent.FIRST): ExchangeState.RECEIVE_SERVER_FIRST_MESSAGE,
    (ExchangeState.RECEIVE_SERVER_FIRST_MESSAGE, ExchangeEvent.ACCEPT): ExchangeState.COMPLETE,
    (
        ExchangeState.RECEIVE_SERVER_FIRST_MESSAGE,
        ExchangeEvent.REJECT,
    ): ExchangeState.RECEIVE_SERVER_MESSAGE_AFTER_FAILURE,
    (ExchangeState.RECEIVE_SERVER_MESSAGE_AFTER_FAILURE, ExchangeEvent.FAIL): ExchangeState.FAILED,
}

SEPARATOR: Final = "\x01"
ACKNOWLEDGED: Final = b"\x01"  # RFC 7628, section 3.2.3: the client's only answer to a failure
TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
EXTENSION_NAME: Final = re.compile(r"[A-Za-z]+")
EXTENSION_VALUE: Final = re.compile(r"[\x20-\x7e\t\r\n]+")
RESERVED: Final = "auth"
FAILURE_SIZE_MAX: Final = 65_536  # bytes of JSON that are read
NO_EXTENSIONS: Final[Mapping[str, str]] = MappingProxyType({})


class OAuthBearerExchange(Exchange):
    """A `SaslExchange` that sends a bearer token, with the extensions of KIP-342 (name -> value).

    address: "host:port", for errors. Raises SaslAuthenticationError for a token or an extension that the message
    cannot carry; the text shows neither the token nor a value. Not thread-safe.
    """

    __slots__ = ("_extensions", "_status")
    TRANSITIONS = TRANSITIONS
    REMEDY: ClassVar[str] = "check the token's issuer, audience, scope and expiry"

    def __init__(self, token: str, address: str, extensions: Mapping[str, str] = NO_EXTENSIONS) -> None:
        super().__init__("OAUTHBEARER", address, token)
        self._extensions = dict(extensions)
        self._status: str | None = None
        if not TOKEN.fullmatch(token):
            raise self._unfit("the token is empty, or has characters that no bearer token has (RFC 6750)")
        for name, value in self._extensions.items():
            if not EXTENSION_NAME.fullmatch(name) or name == RESERVED:
                raise self._unfit(f"the extension {name[:40]!r} needs a name of letters, other than {RESERVED!r}")
            if not EXTENSION_VALUE.fullmatch(value):
                raise self._unfit(f"the extension {name!r} needs a value of printable ASCII")

    def first(self) -> bytes:
        """The client's initial response. Raises IllegalTransition when it was taken already."""
        self._step(ExchangeEvent.FIRST)
        pairs = "".join(f"{SEPARATOR}{name}={value}" for name, value in self._extensions.items())
        return f"n,,{SEPARATOR}auth=Bearer {self._secret}{pairs}{SEPARATOR}{SEPARATOR}".encode()

    def respond(self, challenge: bytes) -> bytes | None:
        """None for the empty token of a success; 0x01 for a failure, after which the broker's error is awaited.

        Raises SaslAuthenticationError where the broker goes on after that.
        """
        if self._state is ExchangeState.RECEIVE_SERVER_MESSAGE_AFTER_FAILURE:
            self._step(ExchangeEvent.FAIL)
            raise self.refused(None)
        if not challenge:
            self._step(ExchangeEvent.ACCEPT)
            return None
        self._step(ExchangeEvent.REJECT)
        self._status = status_of(challenge)
        return ACKNOWLEDGED

    def refused(self, message: str | None) -> SaslAuthenticationError:
        """The error for a refusal: the broker's words, and the status of its failure token where one came."""
        if self._status is not None:
            message = f"{message}; status {self._status}" if message else f"status {self._status}"
        return super().refused(message)

    def _unfit(self, reason: str) -> SaslAuthenticationError:
        return SaslAuthenticationError(self._address, f"{self._mechanism}: {reason}: check the token provider")


def status_of(failure: bytes) -> str:
    """The `status` of a failure token (RFC 7628, section 3.2.2), or what is wrong with the token."""
    if len(failure) > FAILURE_SIZE_MAX:
        return "unknown: the broker's failure token is too long"
    try:
        status = json.loads(failure).get("status")
    except (ValueError, AttributeError, RecursionError):
        return "unknown: the broker's failure token is not a JSON object"
    return status if isinstance(status, str) else "unknown: the broker's failure token has none"
