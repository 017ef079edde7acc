"""The bytes of one connection as frames: TLS and lengths taken off, and put on.

Layer: client. A core: what goes out waits in `outbound` until a driver has written it. Knows no request but to hide
secrets from the observer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from kproto.client import diagnosis
from kproto.client.effects import Buffer
from kproto.client.tls import TlsStream
from kproto.wire import BadCount, FrameReader

__all__ = ["FrameStream", "Observe"]

FIRST_BYTES_KEPT: Final = 16

Observe = Callable[[bool, bytes], None]
"""Hears of each whole frame with its length: whether it was sent, and its bytes with secrets overwritten."""


class FrameStream:
    """Both directions of one connection. tls: None for plain text; size_max: bytes of a frame that comes in.

    Not thread-safe.
    """

    def __init__(self, address: str, tls: TlsStream | None, size_max: int) -> None:
        self.address = address
        self.tls = tls
        self.outbound: deque[Buffer] = deque()
        """What waits to be written, in order."""
        self.goodbye = b""
        """What may still be written once it is closed: TLS's close_notify, or the alert that says what is wrong."""
        self.frames_received = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self._reader = FrameReader(size_max)
        self._first_bytes = b""

    @property
    def established(self) -> bool:
        """Whether frames may be written: always without TLS, after its handshake with it."""
        return self.tls is None or self.tls.established

    def start(self) -> None:
        """Begin the TLS handshake. Raises SslAuthenticationError."""
        if self.tls is not None:
            self.tls.start()
            self._flush(self.tls)

    def receive(self, data: bytes) -> list[bytes]:
        """The frames, without their lengths, that these bytes complete.

        Raises NotKafkaError, in words, for a length that cannot be; SslAuthenticationError; KafkaConnectionError.
        Where frames come before what is wrong, they are given, and `check` raises.
        """
        self.bytes_received += len(data)
        if self.tls is not None:
            data = self.tls.receive(data)
            if self.tls.error is None:  # else there is an alert, for `close`
                self._flush(self.tls)
        if len(self._first_bytes) < FIRST_BYTES_KEPT and not self.frames_received:
            self._first_bytes += data[: FIRST_BYTES_KEPT - len(self._first_bytes)]
        frames = self._cut(data)
        self.frames_received += len(frames)
        return frames

    def check(self) -> None:
        """Raises what came behind the frames that `receive` gave last, if that is wrong."""
        if self.tls is not None and self.tls.error is not None:
            raise self.tls.error
        self._cut(b"")

    def write(self, buffers: Iterable[Buffer]) -> None:
        """Put a frame, with its length, into `outbound`."""
        if self.tls is None:
            self.outbound.extend(buffers)
        else:
            self.tls.send(buffers)
            self._flush(self.tls)

    def sent(self, size: int) -> None:
        """So many bytes of `outbound` were written."""
        self.bytes_sent += size
        outbound = self.outbound
        while size:
            head = outbound[0]
            if size < len(head):
                outbound[0] = memoryview(head)[size:]
                return
            size -= len(head)
            outbound.popleft()

    def end(self) -> None:
        """The broker closed its side. Raises what that means in a TLS handshake, or straight after it."""
        if self.tls is not None and not self.frames_received:
            self.tls.receive_eof()

    def close(self) -> None:
        """Nothing waits any more. No `goodbye` where something did: behind half a request it could not be read, and to
        write the rest of one that has failed would have the broker do what nobody counts on."""
        if self.tls is not None:
            self.tls.close()
            last = self.tls.data_to_send()
            self.goodbye += b"" if self.outbound else last
        self.outbound.clear()

    def _cut(self, data: bytes) -> list[bytes]:
        try:
            return self._reader.feed(data)
        except BadCount as error:
            first_bytes = b"" if self.frames_received else self._first_bytes
            raise diagnosis.not_kafka(self.address, first_bytes, error) from error

    def _flush(self, tls: TlsStream) -> None:
        encrypted = tls.data_to_send()
        if encrypted:
            self.outbound.append(encrypted)
