"""One direction of a connection, cut into frames; back in step after a gap.

Layer: tools. In step, lengths alone decide. Out of step, bytes are dropped until something looks like Kafka's.
Source: https://kafka.apache.org/protocol#protocol_common
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kproto.tools.decode.model import Finding, Frame, StreamPiece
from kproto.tools.decode.plausible import find_request, find_response, is_chain, request_at
from kproto.tools.decode.tls_hello import hello_missing, is_tls, server_name
from kproto.wire import FRAME_SIZE_MAX

__all__ = ["FrameSide", "Shared", "Step", "shown"]

HELD_MAX: Final = 160 * 1024 * 1024  # bytes of unfinished frames, beyond which the one that grows is given up
KEPT_MAX: Final = 64 * 1024  # bytes that stay of a frame that is given up: its header, at least
SHORT_SIZE: Final = {True: 8, False: 4}  # bytes: SASL's tokens, which have no header, may be shorter than requests
SHORT_MAX: Final = 8  # of them in a row
BYTES_PER_VERIFICATION: Final = 16_384  # so that hostile bytes are not decoded over and over
VERIFICATIONS_MIN: Final = 16
SHOWN: Final = 16

Bytes = bytes | bytearray | memoryview


class Step(Enum):
    """How far a direction is understood."""

    FIRST = "first"
    """Its first bytes are to be seen: are they Kafka's?"""
    IN_STEP = "in step"
    LOST = "lost"
    """Where a frame begins is to be found."""
    FOREIGN = "foreign"
    """TLS, or something else that is not read."""


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


class FrameSide:
    """See module. opened: whether the opening of the connection was captured. findings: for the next frame."""

    __slots__ = (
        "_buffer",
        "_have",
        "_hole",
        "_position",
        "_shared",
        "_short",
        "_size",
        "_skipped",
        "_verified",
        "begin",
        "broker",
        "client",
        "client_id",
        "conn",
        "ended",
        "findings",
        "given",
        "request",
        "step",
        "time_ns",
    )

    def __init__(self, shared: Shared, conn: int, client: str, broker: str, request: bool, opened: bool) -> None:
        self._shared = shared
        self.conn = conn
        self.client = client
        self.broker = broker
        self.request = request
        self.step = Step.FIRST if opened else Step.LOST
        self.findings: list[Finding] = []
        self.given = 0
        self.begin = b""
        self.client_id: bytes | None = None
        self.ended = False
        self.time_ns = 0
        self._buffer = bytearray()
        self._size = -1
        self._have = 0
        self._hole: Finding | None = None
        self._position = 0
        self._short = 0
        self._skipped = 0
        self._verified = 0

    @property
    def name(self) -> str:
        return "the client" if self.request else "the broker"

    @property
    def skipped(self) -> int:
        """Bytes in which nothing was found since it was lost."""
        return self._skipped + (len(self._buffer) if self.step is Step.LOST else 0)

    def feed(self, piece: StreamPiece, out: list[Frame]) -> None:
        """Add a piece; the frames that it finishes go to `out`."""
        self.time_ns = piece.time_ns
        if piece.findings:
            self.findings += piece.findings
        if piece.gap:
            self._gap(piece.gap, piece.cut, out)
        data = piece.data
        if len(data):
            if self.step is Step.IN_STEP:
                self._take(data, out)
            elif self.step is Step.FIRST:
                self._first(data, out)
            elif self.step is Step.LOST:
                self._search(data, out)
            self._position += len(data)
        if piece.ended:
            self.ended = True

    def finish(self, out: list[Frame], *, complete: bool) -> None:
        """Nothing more comes. complete: the connection has ended, and not just the capture."""
        if self.step is Step.FIRST and len(self._buffer):
            self._judge(bytes(self._buffer), out, all_there=True)
        if self.step is Step.IN_STEP and (self._size >= 0 or self._buffer):
            have = self._have if self._size >= 0 else len(self._buffer)
            of = f" of {self._size:,}" if self._size >= 0 else ""
            what = "connection" if complete else "capture"
            text = f"the {what} ends {have:,} bytes into a frame{of} that {self.name} sent"
            self.findings.append(Finding("unfinished", text, notice=not complete, offset=self._position))
        self._forget()

    def _take(self, data: Bytes, out: list[Frame]) -> None:
        at, end = 0, len(data)
        while True:
            if self._size < 0:
                if self._buffer or end - at < 4:
                    if at == end:
                        return
                    more = min(4 - len(self._buffer), end - at)
                    self._buffer += data[at : at + more]
                    at += more
                    if len(self._buffer) < 4:
                        return
                    prefix = bytes(self._buffer)
                    self._buffer.clear()
                else:
                    prefix = bytes(data[at : at + 4])
                    at += 4
                size = int.from_bytes(prefix, "big")
                if not self._is_possible(size):
                    self._refuse(prefix, data[at:], at - 4, out)
                    return
                if end - at >= size:
                    self._give(bytes(data[at : at + size]), size, out)
                    at += size
                    continue
                self._size, self._have, self._hole = size, 0, None
            if at == end:
                return
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
        findings = ()
        if self.findings:
            findings = tuple(self.findings)
            self.findings.clear()
        if self.request and self.client_id is None and len(data) > 10:
            length = int.from_bytes(data[8:10], "big")
            self.client_id = data[10 : 10 + length] if 0 < length <= min(len(data) - 10, 255) else None
        out.append(
            Frame(shared.number, self.time_ns, self.conn, self.client, self.broker, self.request, data, size, findings)
        )

    def _is_possible(self, size: int) -> bool:
        if size >= SHORT_SIZE[self.request]:
            self._short = 0
            return size <= FRAME_SIZE_MAX
        self._short += 1
        return self._short <= SHORT_MAX

    def _refuse(self, prefix: bytes, rest: Bytes, at: int, out: list[Frame]) -> None:
        """In step, but there is a length that cannot be."""
        place = self._position + at
        size = int.from_bytes(prefix, "big", signed=True)
        text = f"a frame of {size:,} bytes at byte {place:,} of what {self.name} sent: {shown(prefix + rest[:SHOWN])}"
        self.findings.append(Finding("impossible-frame", text, offset=max(place, 0)))
        self._lose()
        self._search(prefix[1:] + bytes(rest), out)

    def _gap(self, gap: int, cut: bool, out: list[Frame]) -> None:
        place = self._position
        self._position += gap
        if cut:
            text = f"the capture cut {gap:,} bytes at byte {place:,} of what {self.name} sent: raise its snaplen"
        else:
            text = f"{gap:,} bytes are missing at byte {place:,} of what {self.name} sent"
        finding = Finding("cut" if cut else "gap", text, offset=place)
        if self.step is Step.IN_STEP and self._size >= 0:
            rest = self._size - self._have
            self._hole = self._hole or finding
            self._have += min(gap, rest)
            if gap >= rest:
                self._complete(out)
            if gap <= rest:
                return
        elif self.step is not Step.FOREIGN and all(each.code != finding.code for each in self.findings):
            self.findings.append(finding)
        if self.step is not Step.FOREIGN:
            self._lose()

    def _lose(self) -> None:
        if self.step is Step.LOST:
            self._skipped += len(self._buffer)
        else:
            self._skipped = 0
        self.step = Step.LOST
        self._forget()

    def _first(self, data: Bytes, out: list[Frame]) -> None:
        self._buffer += data
        begin = bytes(self._buffer)
        if hello_missing(begin) and self._shared.held < HELD_MAX // 2:
            return
        self._judge(begin, out)

    def _judge(self, begin: bytes, out: list[Frame], *, all_there: bool = False) -> None:
        """The first bytes of a connection whose opening was seen: are they Kafka's?"""
        content = is_tls(begin)
        if self.request:
            fine = request_at(begin, strict=False)
        else:
            fine = self._is_possible(int.from_bytes(begin[:4], "big")) if len(begin) >= 5 else None
        if content is not None and not fine:
            self.foreign_tls(begin, content)
        elif fine is False:
            text = f"{self.name} does not speak Kafka's protocol: its first bytes are {shown(begin)}"
            self.findings.append(Finding("not-kafka", text, offset=0))
            self.step = Step.FOREIGN
        elif fine or all_there:
            self.step = Step.IN_STEP
            self._buffer.clear()
            self._position -= len(begin)
            self._take(begin, out)
            self._position += len(begin)

    def foreign_tls(self, begin: bytes, content: str) -> None:
        """It is TLS: say so, and read no further."""
        name = server_name(begin)
        to = f", server name {name!r}" if name else ""
        text = f"TLS ({content}{to}): not decoded; capture behind its end, or on a listener without it"
        self.findings.append(Finding("tls", text, notice=True))
        self.step = Step.FOREIGN

    def _search(self, data: Bytes, out: list[Frame]) -> None:
        """Lost: find where a frame begins."""
        if not self.begin:
            self.begin = bytes(data[:SHOWN])
        piece_at = len(self._buffer)
        self._buffer += data
        found: int | None
        if self.request:
            found, keep = find_request(self._buffer, piece_at, self.client_id, self._may_verify)
        else:
            found = find_response(self._buffer, piece_at, self._shared.outstanding(self.conn))
            keep = max(0, len(self._buffer) - 7)
            if found is None and is_chain(data):
                found = piece_at
        if found is None:
            self._skipped += keep
            del self._buffer[:keep]
            return
        self._skipped += found
        rest = bytes(self._buffer[found:])
        if self._skipped:
            text = f"in step with {self.name} again, {self._skipped:,} bytes later"
            self.findings.append(Finding("in-step", text, notice=True))
        self._buffer.clear()
        self._skipped = 0
        self.step = Step.IN_STEP
        self._take(rest, out)

    def _may_verify(self) -> bool:
        self._verified += 1
        return self._verified <= VERIFICATIONS_MIN + self._position // BYTES_PER_VERIFICATION
