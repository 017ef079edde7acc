"""The seam between a core and its driver: what the core asks the world to do, and what the world tells it.

Layer: client. A core does nothing by itself: inputs store, `poll` decides, effects and completions come out as values.
The live driver (`driver.py`) and the tests' simulation drive the same cores through this.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from kproto.wire import KafkaError

__all__ = ["Buffer", "Close", "ConnectionObserver", "Effect", "FetchToken", "Open", "Resolve", "SansIO"]

Buffer = bytes | bytearray | memoryview


class Resolve(NamedTuple):
    """Look a name up; the answer is `resolved(host, ...)`. A name is asked once until it is answered."""

    host: str
    port: int


class Open(NamedTuple):
    """Open a TCP connection to a numeric address; the answer is `connection_made` or `connection_lost`."""

    connection_id: int
    address: str
    port: int


class Close(NamedTuple):
    """Close the connection, or give up opening it, at once. Nothing more is told about it.

    goodbye: written before that, as far as the system takes it without waiting.
    """

    connection_id: int
    goodbye: bytes = b""


class FetchToken(NamedTuple):
    """Ask the user's OAUTHBEARER token provider; the answer is `token_fetched`."""

    connection_id: int


Effect = Resolve | Open | Close | FetchToken


class SansIO(Protocol):
    """A core as its driver sees it. now_ms: monotonic milliseconds. Not thread-safe: the driver holds its guard."""

    def resolved(self, host: str, addresses: Sequence[str] | KafkaError, now_ms: int) -> None:
        """The numeric addresses of a name, in the order to try them, or why there are none."""

    def connection_made(self, connection_id: int, now_ms: int) -> None:
        """TCP is connected."""

    def data_received(self, connection_id: int, data: bytes, now_ms: int) -> None:
        """Bytes came."""

    def connection_lost(self, connection_id: int, reason: str | None, now_ms: int) -> None:
        """The connection failed, with what the system says, or the broker closed it: None."""

    def token_fetched(self, connection_id: int, token: str | KafkaError, now_ms: int) -> None:
        """The token that was asked for, or why there is none."""

    def data_to_send(self, connection_id: int) -> Collection[Buffer]:
        """What waits to be written, in order; empty when all is out. Not to be changed, nor kept."""

    def data_sent(self, connection_id: int, size: int, now_ms: int) -> None:
        """So many bytes of `data_to_send` were written."""

    def wants_poll_after_write(self, now_ms: int) -> bool:
        """Whether `poll` has anything to do now that all was written: another request, or one that needs no answer."""

    def poll(self, now_ms: int) -> list[Effect]:
        """Decide: time out, connect, ask, send. To be called after each input, and at the next deadline."""

    def next_deadline_ms(self) -> int | None:
        """When to poll even if nothing comes in; None for never."""


class ConnectionObserver(Protocol):
    """Hears what goes over the wire, such as a recorder. Called inside the pass: be quick, and do not call back."""

    def opened(self, connection_id: int, local: tuple[str, int], remote: tuple[str, int]) -> None:
        """A connection is made between two addresses: host and port."""

    def frame(self, connection_id: int, sent: bool, frame: bytes) -> None:
        """A whole frame with its length, before encryption or after decryption; SASL secrets are overwritten."""

    def closed(self, connection_id: int) -> None:
        """It is no more."""
