"""Cuts what one side sends into frames, by their lengths, and gives them.

Layer: tools. In step only: `frame_side` finds out where frames begin.
Source: https://kafka.apache.org/protocol#protocol_common
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from struct import Struct
from typing import Final

from kproto.tools.decode.model import Finding, Frame
from kproto.wire import FRAME_SIZE_MAX

__all__ = ["HELD_MAX", "Bytes", "FrameCutter", "Shared", "shown"]

PREFIX: Final = Struct(">I")
PREFIX_SIZE: Final = PREFIX.size
HELD_MAX: Final = 160 * 1024 * 1024  # bytes of unfinished frames, beyond which the one that grows is given up
KEPT_MAX: Final = 64 * 1024  # bytes that stay of a frame that is given up: its header, at least
SHORT_SIZE: Final = {True: 8, False: 4}  # bytes: SASL's tokens, which have no header, may be shorter than requests
SHORT_MAX: Final = 8  # of them in a row
SHOWN: Final = 16

_new: Final = tuple.__new__  # half the time of calling the class

Bytes = bytes | bytearray | memoryview


@dataclass(slots=True)
class Shared:
    """Of all directions. number: of the last frame; held: bytes of unfinished ones; outstanding: correlation ids of a
    connection that wait for an answer."""

    outstanding: Callable[[int], Collection[int]]
    number: int = 0
    held: int = 0


def shown(data: Bytes) -> str:
    """The first bytes, for people."""
    begin = bytes(data[:SHOWN])
    return f"{begin.hex(' ')} {begin.decode('ascii', 'replace')!r}"


class FrameCutter:
    """request: whether this is the client's side. findings: for the next frame; given: frames so far."""

    __slots__ = (
        "_buffer",
        "_have",
        "_hole",
        "_position",
        "_shared",
        "_short",
        "_size",
        "broker",
        "client",
        "client_id",
        "conn",
        "findings",
        "given",
        "request",
        "time_ns",
    )

    def __init__(self, shared: Shared, conn: int, client: str, broker: str, request: bool) -> None:
        self.conn = conn
        self.client = client
        self.broker = broker
        self.request = request
        self.findings: list[Finding] = []
        self.given = 0
        self.client_id: bytes | None = None
        self.time_ns = 0
        self._shared = shared
        self._buffer = bytearray()
        self._size = -1
        self._have = 0
        self._hole: Finding | None = None
        self._position = 0
        self._short = 0

    @property
    def name(self) -> str:
        """Of this side, for people."""
        return "the client" if self.request else "the broker"

    def grow(self, data: Bytes) -> bool:
        """Add bytes to the frame that is begun, if they do not finish it; False where there is more to do."""
        have = self._have + len(data)
        if have >= self._size or self._hole is not None or self._shared.held > HELD_MAX:
            return False
        self._have = have
        self._buffer += data
        self._shared.held += len(data)
        self._position += len(data)
        return True

    def _take(self, data: Bytes, out: list[Frame]) -> Bytes | None:
        """Add bytes; the frames that they finish go to `out`. From a length on that cannot be, what is left of them."""
        at, end = 0, len(data)
        while True:
            if self._size < 0:
                if self._buffer or end - at < PREFIX_SIZE:
                    if at == end:
                        return None
                    more = min(PREFIX_SIZE - len(self._buffer), end - at)
                    self._buffer += data[at : at + more]
                    at += more
                    if len(self._buffer) < PREFIX_SIZE:
                        return None
                    (size,) = PREFIX.unpack(self._buffer)
                    self._buffer.clear()
                else:
                    (size,) = PREFIX.unpack_from(data, at)
                    at += PREFIX_SIZE
                if not self._is_possible(size):
                    return PREFIX.pack(size) + bytes(data[at:])
                if end - at >= size:
                    self._give(bytes(data[at : at + size]), size, out)
                    at += size
                    continue
                self._size, self._have, self._hole = size, 0, None
            if at == end:
                return None
            at += self._fill(data[at : at + self._size - self._have], out)

    def _fill(self, data: Bytes, out: list[Frame]) -> int:
        """Add to the frame that is begun; how many bytes that were."""
        more = len(data)
        self._have += more
        if self._hole is None:
            self._buffer += data
            self._shared.held += more
            if self._shared.held > HELD_MAX and len(self._buffer) > KEPT_MAX:
                self._shared.held -= len(self._buffer) - KEPT_MAX
                del self._buffer[KEPT_MAX:]
                text = f"more than {HELD_MAX:,} bytes of unfinished frames: {KEPT_MAX:,} were kept of this one"
                self._hole = Finding("too-much", text, offset=self._position)
        if self._have == self._size:
            self._complete(out)
        return more

    def _complete(self, out: list[Frame]) -> None:
        size, data, hole = self._size, bytes(self._buffer), self._hole
        self._forget()
        if hole is not None:
            self.findings.append(hole)
        self._give(data, size, out)

    def _forget(self) -> None:
        if self._size >= 0:
            self._shared.held -= len(self._buffer)
        self._buffer.clear()
        self._size, self._have, self._hole = -1, 0, None

    def _give(self, data: bytes, size: int, out: list[Frame]) -> None:
        shared = self._shared
        shared.number += 1
        self.given += 1
        findings: tuple[Finding, ...] = ()
        if self.findings:
            findings = tuple(self.findings)
            self.findings.clear()
        if self.request and self.client_id is None and len(data) > 10:
            length = int.from_bytes(data[8:10], "big")
            self.client_id = data[10 : 10 + length] if 0 < length <= min(len(data) - 10, 255) else None
        of = shared.number, self.time_ns, self.conn, self.client, self.broker, self.request
        out.append(_new(Frame, (*of, data, size, findings, False, False)))

    def _is_possible(self, size: int) -> bool:
        if size >= SHORT_SIZE[self.request]:
            self._short = 0
            return size <= FRAME_SIZE_MAX
        self._short += 1
        return self._short <= SHORT_MAX
