"""TLS by its first bytes, and whom a client greets with them.

Layer: tools. Decrypts nothing.
Source: RFC 8446, 4.1.2 and 5.1 (records, ClientHello); RFC 6066, 3 (server names).
"""

from __future__ import annotations

from typing import Final

__all__ = ["hello_missing", "is_tls", "server_name"]

RECORD_HEADER_SIZE: Final = 5
RECORD_SIZE_MAX: Final = 16_384 + 256
CONTENT_TYPES: Final = {20: "change of cipher", 21: "alert", 22: "handshake", 23: "data"}
HANDSHAKE: Final = 22
CLIENT_HELLO: Final = b"\x01"
SERVER_NAME: Final = 0

Bytes = bytes | bytearray | memoryview


def is_tls(data: Bytes) -> str | None:
    """What a record of TLS holds that begins here: "handshake", "alert" ...; None where none does.

    As the length of a frame of Kafka's the same bytes would stand for more than 300 MB.
    """
    if len(data) < RECORD_HEADER_SIZE or data[1] != 3 or data[2] > 4:
        return None
    return CONTENT_TYPES.get(data[0]) if int.from_bytes(data[3:5], "big") <= RECORD_SIZE_MAX else None


def hello_missing(data: Bytes) -> int:
    """How many bytes are not here of a ClientHello that begins here; 0 for all other records."""
    if is_tls(data) != "handshake" or bytes(data[5:6]) not in (b"", CLIENT_HELLO):
        return 0
    return max(0, RECORD_HEADER_SIZE + int.from_bytes(data[3:5], "big") - len(data))


def server_name(data: Bytes) -> str | None:
    """The name of the server in a ClientHello; None where it has none, or is none."""
    hello = _Cursor(bytes(data))
    try:
        if hello.take(1)[0] != HANDSHAKE:
            return None
        hello.take(4)
        if hello.take(1) != CLIENT_HELLO:
            return None
        hello.take(3 + 2 + 32)  # length, version, random
        hello.sized(1)  # session
        hello.sized(2)  # cipher suites
        hello.sized(1)  # compression
        extensions = _Cursor(hello.sized(2))
        while extensions.left:
            kind = int.from_bytes(extensions.take(2), "big")
            extension = extensions.sized(2)
            if kind == SERVER_NAME:
                return _Cursor(extension[3:]).sized(2).decode("ascii")
    except (IndexError, UnicodeDecodeError):
        return None
    return None


class _Cursor:
    """Bytes that are taken one behind the other. Raises IndexError where they end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise IndexError(size)
        self._at += size
        return self._data[self._at - size : self._at]

    def sized(self, width: int) -> bytes:
        return self.take(int.from_bytes(self.take(width), "big"))
