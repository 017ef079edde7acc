"""What the headers of a connection said before: they differ in the correlation id alone, so most need no decoding.

Layer: tools. A header whose other bytes are those of one that was decoded says the same.
Source: https://kafka.apache.org/protocol#protocol_messages
"""

from __future__ import annotations

from typing import Final

from kproto.wire import (
    Request,
    RequestHeader,
    Response,
    ResponseHeader,
    request_header_version,
    response_header_version,
)

__all__ = ["KnownHeads", "answer_body_at"]

FIXED_SIZE: Final = 4  # API key and version; and of the correlation id, which stands behind them
HEADS_MAX: Final = 64  # of a connection
TAILS: Final = {
    version: ResponseHeader(correlation_id=0).encode(version)[FIXED_SIZE:] for version in ResponseHeader.versions
}
"""What is behind the correlation id of a response, nearly always: no tags."""


class KnownHeads:
    """Of the requests of a connection: the last one of each API and version. Not thread-safe."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[bytes, tuple[bytes, str | None, int]] = {}

    def read(self, data: bytes, cls: type[Request], version: int) -> tuple[str | None, int]:
        """The client id, and where the body begins. cls, version: as the first bytes say. Raises DecodeError."""
        fixed = data[:FIXED_SIZE]
        known = self._heads.get(fixed)
        if known is not None and data.startswith(known[0], 2 * FIXED_SIZE):
            return known[1], known[2]
        header, behind = RequestHeader.decode_prefix(data, request_header_version(cls, version))
        if known is not None or len(self._heads) < HEADS_MAX:
            self._heads[fixed] = data[2 * FIXED_SIZE : behind], header.client_id, behind
        return header.client_id, behind


def answer_body_at(data: bytes, cls: type[Response], version: int) -> int:
    """Where the body of a response begins. Raises DecodeError."""
    header_version = response_header_version(cls, version)
    tail = TAILS[header_version]
    if data.startswith(tail, FIXED_SIZE) and len(data) >= FIXED_SIZE:
        return FIXED_SIZE + len(tail)
    return ResponseHeader.decode_prefix(data, header_version)[1]
