"""The server's end of a connection as networks drive it, and those of servers that are no brokers.

No I/O or clock: `receive` takes bytes, `output` gives them, `closed` says that no more will come. A network such as
`client.simulation` or `client.loopback` moves them.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Protocol


class End(Protocol):
    """The server's end of one connection, as a network drives it. Not thread-safe."""

    closed: bool
    """Whether the server ends the connection, once what `output` still holds is out."""

    def receive(self, data: bytes, now_ms: int = 0) -> None:
        """Bytes came. now_ms: monotonic milliseconds, for what has a lifetime."""

    def output(self) -> bytes:
        """What the server sends now; each byte is given once."""


class RawEnd:
    """Says the same to whoever comes, and closes: at once, or once anything came. b"" closes without a word."""

    def __init__(self, data: bytes, *, at_once: bool = False, close: bool = True) -> None:
        self.closed = False
        self.received = bytearray()
        self._data = data
        self._waiting = b""
        self._close = close
        if at_once:
            self._speak()

    def _speak(self) -> None:
        self._waiting, self._data = self._data, b""
        self.closed = self._close

    def receive(self, data: bytes, now_ms: int = 0) -> None:
        self.received += data
        if self._data or self._close:
            self._speak()

    def output(self) -> bytes:
        waiting, self._waiting = self._waiting, b""
        return waiting


class ClosingEnd(RawEnd):
    """Accepts and closes, as the port of a broker does whose limit of connections is reached."""

    def __init__(self) -> None:
        super().__init__(b"", at_once=True)


class SilentEnd(RawEnd):
    """Accepts, reads, and says nothing for ever."""

    def __init__(self) -> None:
        super().__init__(b"", close=False)


class TlsEnd:
    """Another end behind TLS. context: a server's. A handshake that fails closes, after the alert that says why.

    error: what went wrong, such as the client's alert. goodbye: whether the client's close_notify came.
    """

    def __init__(self, end: End, context: ssl.SSLContext) -> None:
        self.end = end
        self.closed = False
        self.error: ssl.SSLError | None = None
        self.goodbye = False
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._shaken = False

    def receive(self, data: bytes, now_ms: int = 0) -> None:
        self._in.write(data)
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
            while data := self._tls.read(1 << 16):
                self.end.receive(data, now_ms)
            self.closed = self.goodbye = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = error
            self.closed = True

    def output(self) -> bytes:
        if self._shaken and not self.closed:
            while data := self.end.output():
                self._tls.write(data)
            self.closed = self.end.closed
            if self.closed:
                with suppress(ssl.SSLError):  # the client need not answer the close_notify
                    self._tls.unwrap()
        return self._out.read()
