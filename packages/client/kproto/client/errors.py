"""What can be wrong between us and a broker: the client's branches of the tree in `kproto.wire.errors`.

Layer: client.

KafkaError
├─ ConfigError (ValueError)                     a setting that is unknown, out of bounds, or conflicts with another
├─ KafkaConnectionError (ConnectionError)       a connection that was not made, or was lost; retriable
│  ├─ NoBrokersAvailable                           every bootstrap server was tried: who, and why not
│  ├─ NotKafkaError                                what answers does not speak Kafka: TLS, HTTP, SSH, noise
│  └─ CorrelationMismatch                          the answer is not to the oldest request
├─ KafkaTimeoutError (TimeoutError)             what was waited for, and how long; retriable
├─ AuthenticationError                          the broker does not know us, or we do not trust it
│  ├─ SslAuthenticationError                       a TLS handshake failed
│  ├─ SaslAuthenticationError                      credentials were refused, or the broker's proof is wrong
│  └─ UnsupportedSaslMechanismError                the broker offers others: which
├─ UnsupportedVersionError                      no version of an API that both sides speak
├─ BrokerError                                  an answer that carries an error code
└─ ClientClosedError                            the client is closed, or was closed meanwhile
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kproto.wire import ErrorCode, KafkaError

__all__ = [
    "AuthenticationError",
    "BrokerError",
    "ClientClosedError",
    "ConfigError",
    "CorrelationMismatch",
    "KafkaConnectionError",
    "KafkaError",
    "KafkaTimeoutError",
    "NoBrokersAvailable",
    "NotKafkaError",
    "SaslAuthenticationError",
    "SslAuthenticationError",
    "UnsupportedSaslMechanismError",
    "UnsupportedVersionError",
]


class ConfigError(KafkaError, ValueError):
    """A setting that cannot be. The text names it, its bound or the setting it conflicts with, and what to do."""


class KafkaConnectionError(KafkaError, ConnectionError):
    """A connection that could not be made, or was lost.

    address: "host:port" of the broker; reason: a phrase that says why, and what to do where that is known.
    """

    retriable = True

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.address}: {self.reason}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args  # OSError would rebuild it from what it takes for errno and file names


class NoBrokersAvailable(KafkaConnectionError):
    """No bootstrap server could be reached. attempts: the last error of each address that was tried."""

    def __init__(self, attempts: Sequence[KafkaError]) -> None:
        KafkaError.__init__(self, tuple(attempts))
        self.attempts = tuple(attempts)
        self.address = ", ".join(str(getattr(error, "address", "")) for error in self.attempts)
        self.reason = "; ".join(map(str, self.attempts)) or "no bootstrap server was tried"

    def __str__(self) -> str:
        return f"no broker could be reached: {self.reason}"


class NotKafkaError(KafkaConnectionError):
    """Whoever answers speaks another protocol. `reason` names it where its first bytes tell, and the next step."""


class CorrelationMismatch(KafkaConnectionError):
    """An answer that is not to the oldest request: the connection cannot be trusted, and is closed."""

    def __init__(self, address: str, expected: int | None, received: int) -> None:
        KafkaError.__init__(self, address, expected, received)
        self.address = address
        self.expected = expected
        self.received = received
        asked = "no request is unanswered" if expected is None else f"the oldest request has {expected}"
        self.reason = f"an answer with correlation id {received}, where {asked}"


class KafkaTimeoutError(KafkaError, TimeoutError):
    """Time ran out. what: a phrase for what was waited for; timeout_ms: how long; cause: the last error, or None."""

    retriable = True

    def __init__(self, what: str, timeout_ms: float, cause: KafkaError | None = None) -> None:
        Exception.__init__(self, what, timeout_ms, cause)  # OSError would take the third for a file name
        self.what = what
        self.timeout_ms = timeout_ms
        self.cause = cause

    def __str__(self) -> str:
        because = f"; last error: {self.cause}" if self.cause is not None else ""
        return f"{self.what}: nothing within {self.timeout_ms:g} ms{because}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args


class AuthenticationError(KafkaError):
    """The connection was refused for who we are, or who they are. address: "host:port"; reason: a phrase."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.address}: {self.reason}"


class SslAuthenticationError(AuthenticationError):
    """A TLS handshake failed: an unknown authority, another host's certificate, a missing client certificate."""


class SaslAuthenticationError(AuthenticationError):
    """The broker refused the credentials, or could not prove that it knows them. The secrets are never in the text."""


class UnsupportedSaslMechanismError(AuthenticationError):
    """The broker does not offer `mechanism`; offered: those that it does."""

    def __init__(self, address: str, mechanism: str, offered: Sequence[str]) -> None:
        KafkaError.__init__(self, address, mechanism, tuple(offered))
        self.address = address
        self.mechanism = mechanism
        self.offered = tuple(offered)
        names = ", ".join(self.offered) or "none"
        self.reason = f"the broker does not offer the SASL mechanism {mechanism}; it offers {names}: set sasl_mechanism"


class UnsupportedVersionError(KafkaError):
    """No version of an API that both sides speak. ours, theirs: ranges; theirs is empty where the broker lacks it."""

    def __init__(self, api: str, ours: range, theirs: range) -> None:
        super().__init__(api, ours, theirs)
        self.api = api
        self.ours = ours
        self.theirs = theirs

    def __str__(self) -> str:
        ours, theirs = _shown(self.ours), _shown(self.theirs)
        if not self.theirs:
            return f"the broker does not speak {self.api} (we speak {ours}): is it too old, or another kind of server?"
        return f"{self.api}: we speak {ours}, the broker {theirs}; use a broker or a kproto whose versions overlap"


def _shown(versions: range) -> str:
    return f"{versions.start}-{versions.stop - 1}" if versions else "none"


class BrokerError(KafkaError):
    """An answer with an error code. code: an ErrorCode, or a number that is not known.

    about: what the code is about, such as "topic orders"; message: what the broker says beside it, or None.
    """

    def __init__(self, code: ErrorCode | int, about: str, message: str | None = None) -> None:
        super().__init__(code, about, message)
        self.code = code
        self.about = about
        self.message = message

    @property
    def retriable(self) -> bool:  # type: ignore[override]  # of the code, not of the class
        """Whether the same request may succeed later."""
        return isinstance(self.code, ErrorCode) and self.code.retriable

    def __str__(self) -> str:
        said = f" ({self.message})" if self.message else ""
        if isinstance(self.code, ErrorCode):
            return f"{self.about}: {self.code.name} ({int(self.code)}), {self.code.description}{said}"
        return f"{self.about}: error {self.code}, which Kafka 4.4.0 does not have{said}"


class ClientClosedError(KafkaError):
    """The client is closed, or was closed before the answer came."""

    def __init__(self, what: str = "the client is closed") -> None:
        super().__init__(what)
