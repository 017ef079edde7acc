"""One direction of a connection, cut into frames; back in step after a gap.

Layer: tools. In step, lengths alone decide. Out of step, bytes are dropped until something looks like Kafka's.
Source: https://kafka.apache.org/protocol#protocol_common
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from kproto.tools.decode.frame_cutter import HELD_MAX, Bytes, FrameCutter, Shared, shown
from kproto.tools.decode.model import Finding, Frame, StreamPiece
from kproto.tools.decode.plausible import find_request, find_response, is_chain, request_at
from kproto.tools.decode.tls_hello import hello_missing, is_tls, server_name

__all__ = ["FrameSide", "Step"]

BYTES_PER_VERIFICATION: Final = 16_384  # so that hostile bytes are not decoded over and over
VERIFICATIONS_MIN: Final = 16


class Step(Enum):
    """How far a direction is understood."""

    FIRST = "first"
    """Its first bytes are to be seen: are they Kafka's?"""
    IN_STEP = "in step"
    LOST = "lost"
    """Where a frame begins is to be found."""
    FOREIGN = "foreign"
    """TLS, or something else that is not read."""


class FrameSide(FrameCutter):
    """See module. opened: whether the opening of the connection was captured. findings: for the next frame."""

    __slots__ = ("_skipped", "_verified", "begin", "ended", "step")

    def __init__(self, shared: Shared, conn: int, client: str, broker: str, request: bool, opened: bool) -> None:
        super().__init__(shared, conn, client, broker, request)
        self.step = Step.FIRST if opened else Step.LOST
        self.begin = b""
        self.ended = False
        self._skipped = 0
        self._verified = 0

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
        if len(piece.data):
            if self.step is Step.FIRST:
                self._first(piece.data, out)
            else:
                self._go_on(piece.data, out)
            self._position += len(piece.data)
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

    def _go_on(self, data: Bytes, out: list[Frame]) -> None:
        rest: Bytes | None = data
        while rest is not None:
            if self.step is Step.IN_STEP:
                rest = self._take(rest, out)
                if rest is not None:
                    self._refuse(rest, self._position + len(data) - len(rest))
            elif self.step is Step.LOST:
                rest = self._search(rest)
            else:
                return

    def _refuse(self, rest: Bytes, place: int) -> None:
        """In step, but there is a length that cannot be."""
        if all(each.code != "impossible-frame" for each in self.findings):
            size = int.from_bytes(rest[:4], "big", signed=True)
            text = f"a frame of {size:,} bytes at byte {place:,} of what {self.name} sent: {shown(rest)}"
            self.findings.append(Finding("impossible-frame", text, offset=place))
        self._lose()

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
            position, self._position = self._position, 0
            self._go_on(begin, out)
            self._position = position

    def foreign_tls(self, begin: bytes, content: str) -> None:
        """It is TLS: say so, and read no further."""
        name = server_name(begin)
        to = f", server name {name!r}" if name else ""
        text = f"TLS ({content}{to}): not decoded; capture behind its end, or on a listener without it"
        self.findings.append(Finding("tls", text, notice=True))
        self.step = Step.FOREIGN

    def _search(self, data: Bytes) -> Bytes | None:
        """Lost: where a frame begins, and from there on; None where none was found."""
        if not self.begin:
            self.begin = bytes(data[:16])
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
            return None
        self._skipped += found
        if self._skipped:
            text = f"in step with {self.name} again, {self._skipped:,} bytes later"
            self.findings.append(Finding("in-step", text, notice=True))
        rest = bytes(self._buffer[found:])
        self._buffer.clear()
        self._skipped = 0
        self.step = Step.IN_STEP
        return rest

    def _may_verify(self) -> bool:
        self._verified += 1
        return self._verified <= VERIFICATIONS_MIN + self._position // BYTES_PER_VERIFICATION
