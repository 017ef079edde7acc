"""From the bytes of connections to Kafka's frames: which side is the client, and where each frame begins.

Layer: tools. Knows of a frame its length, and of a request what its header must look like.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from kproto.tools.decode.frame_cutter import HELD_MAX, Bytes, Shared, shown
from kproto.tools.decode.frame_side import FrameSide, Step
from kproto.tools.decode.model import Finding, Frame, StreamPiece
from kproto.tools.decode.plausible import begins_request, find_request
from kproto.tools.decode.tls_hello import is_tls

__all__ = ["Frames"]

UNDECIDED_SIZE_MAX: Final = 64 * 1024  # bytes of a connection after which the side of the client is guessed
UNDECIDED_PIECES_MAX: Final = 64
VERIFICATIONS_MAX: Final = 16
NOT_FOUND_MAX: Final = 8 * 1024 * 1024  # bytes without a frame after which a connection counts as not Kafka's


@dataclass(slots=True)
class _Link:
    """A connection. ignored: not Kafka's, or not asked for; ends: how many of its directions have ended.

    undecided: what came before it was known who is the client; sides: by sender, once it is.
    """

    ignored: bool = False
    ends: int = 0
    undecided: list[StreamPiece] = field(default_factory=list)
    size: int = 0
    sides: dict[str, FrameSide] | None = None


class Frames:
    """Frames out of pieces of streams, in the order of their last bytes.

    The client is who opened the connection; else who is not at one of `ports`; else who sends what can be a request.
    ports: brokers' ports; where given, connections with neither end there are left out. outstanding: correlation ids
    that wait for an answer on a connection (its number): with them, responses are found again after a gap.

    A frame of which bytes are missing is given with size > len(data), up to the first that is missing. What cannot be
    said with a frame comes with a bare one: see Frame. Memory: unfinished frames, at most about 160 MiB. Not
    thread-safe.
    """

    def __init__(
        self, *, ports: Collection[int] = (), outstanding: Callable[[int], Collection[int]] = lambda conn: ()
    ) -> None:
        self._ports = {str(port) for port in ports}
        self._shared = Shared(outstanding)
        self._links: dict[int, _Link] = {}

    def grow_of(self, conn: int, sender: str) -> Callable[[Bytes], bool] | None:
        """What takes bytes of this side that neither finish a frame nor have a gap before them; None before it is
        known who is the client. It stays, and refuses where they do more than that."""
        link = self._links.get(conn)
        return None if link is None or link.sides is None else link.sides[sender].grow

    def feed(self, piece: StreamPiece) -> list[Frame]:
        """The frames that the piece finishes."""
        link = self._links.get(piece.conn)
        if link is None:
            link = self._links[piece.conn] = self._meet(piece)
        out: list[Frame] = []
        if link.sides is not None and not piece.gap and not piece.ended and not piece.findings:
            side = link.sides[piece.sender]
            if side.grow(piece.data):  # as most pieces of large frames do
                return out
            if side.step is Step.IN_STEP:
                side.feed(piece, out)
                return out
        if not link.ignored:
            if link.sides is None:
                self._wait(link, piece, out)
            else:
                self._feed(link, link.sides, piece, out)
        if piece.ended:
            link.ends += 1
            if link.ends == 2:
                self._conclude(link, out, complete=True)
                del self._links[piece.conn]
        return out

    def end(self) -> list[Frame]:
        """The capture ended: what is left to say of each connection."""
        out: list[Frame] = []
        for link in list(self._links.values()):
            if link.undecided and not link.ignored:
                self._decide(link, out, final=True)
            self._conclude(link, out, complete=False)
        self._links.clear()
        return out

    def _meet(self, piece: StreamPiece) -> _Link:
        ends = piece.sender, piece.receiver
        at_broker = [end for end in ends if end.rpartition(":")[2] in self._ports]
        link = _Link(ignored=bool(self._ports) and not at_broker)
        client = piece.client
        if client is None and len(at_broker) == 1:
            client = ends[1 - ends.index(at_broker[0])]
        if client is not None:
            link.sides = self._sides(piece, client)
        return link

    def _sides(self, piece: StreamPiece, client: str) -> dict[str, FrameSide]:
        broker = piece.receiver if client == piece.sender else piece.sender
        opened = piece.client is not None
        return {
            end: FrameSide(self._shared, piece.conn, client, broker, end == client, opened) for end in (broker, client)
        }

    def _feed(self, link: _Link, sides: dict[str, FrameSide], piece: StreamPiece, out: list[Frame]) -> None:
        side = sides[piece.sender]
        side.feed(piece, out)
        if side.step is Step.FOREIGN:
            self._ignore(link, side, out)
        elif side.skipped > NOT_FOUND_MAX and not any(each.given for each in sides.values()):
            self._not_kafka(link, side, out)

    def _wait(self, link: _Link, piece: StreamPiece, out: list[Frame]) -> None:
        """Keep the piece until it is known who is the client."""
        link.undecided.append(piece)
        link.size += len(piece.data)
        self._shared.held += len(piece.data)
        final = (
            link.size > UNDECIDED_SIZE_MAX
            or len(link.undecided) > UNDECIDED_PIECES_MAX
            or piece.ended
            or self._shared.held > HELD_MAX // 2
        )
        if len(piece.data) or final:
            self._decide(link, out, final=final)

    def _decide(self, link: _Link, out: list[Frame], *, final: bool) -> None:
        pieces = link.undecided
        client = _guess(pieces, final=final)
        if client is None and not final:
            return
        if client is None:  # brokers mostly listen at lower ports than those that clients are given
            client = max(pieces[0].sender, pieces[0].receiver, key=lambda end: int(end.rpartition(":")[2]))
        link.sides = sides = self._sides(pieces[0], client)
        link.undecided = []
        self._shared.held -= link.size
        for piece in pieces:
            if not link.ignored:
                self._begin_in_mid_stream(link, sides, piece, out)

    def _begin_in_mid_stream(
        self, link: _Link, sides: dict[str, FrameSide], piece: StreamPiece, out: list[Frame]
    ) -> None:
        side = sides[piece.sender]
        content = is_tls(piece.data) if not side.given else None
        if content is not None and side.step is Step.LOST:
            side.foreign_tls(bytes(piece.data), content)
            self._ignore(link, side, out)
        else:
            self._feed(link, sides, piece, out)

    def _ignore(self, link: _Link, side: FrameSide, out: list[Frame]) -> None:
        link.ignored = True
        out.append(_bare(side, side.findings))
        for each in (link.sides or {}).values():
            each.finish([], complete=False)
        link.sides = None

    def _not_kafka(self, link: _Link, side: FrameSide, out: list[Frame]) -> None:
        text = f"{side.skipped:,} bytes of {side.name} without a frame of Kafka's; the first are {shown(side.begin)}"
        side.findings.append(Finding("not-kafka", text, offset=0))
        self._ignore(link, side, out)

    def _conclude(self, link: _Link, out: list[Frame], *, complete: bool) -> None:
        """Say what is left to say of a connection."""
        if link.sides is None:
            return
        sides = list(link.sides.values())
        if complete and not any(side.given for side in sides) and all(side.skipped for side in sides):
            self._not_kafka(link, max(sides, key=lambda side: side.skipped), out)
            return
        for side in sides:
            side.finish(out, complete=complete)
            if side.step is Step.LOST and side.skipped and not side.findings:
                text = f"{side.skipped:,} bytes of {side.name} belong to no frame that begins in the capture"
                side.findings.append(Finding("mid-stream", text, notice=True))
            if side.findings:
                out.append(_bare(side, side.findings))
        if complete:
            out.append(_bare(sides[0], [], ended=True))


def _bare(side: FrameSide, findings: list[Finding], *, ended: bool = False) -> Frame:
    found = tuple(findings)
    findings.clear()
    return Frame(
        0, side.time_ns, side.conn, side.client, side.broker, side.request, b"", 0, found, bare=True, ended=ended
    )


def _guess(pieces: list[StreamPiece], *, final: bool) -> str | None:
    """Who sends what can be a request, or TLS; None for who knows. final: look anywhere, not only at the beginnings."""
    begins: dict[str, bytearray] = {}
    for piece in pieces:
        begin = begins.setdefault(piece.sender, bytearray())
        if len(begin) < UNDECIDED_SIZE_MAX:
            begin += piece.data
    at_begin = [sender for sender, data in begins.items() if begins_request(data) or is_tls(data)]
    if len(at_begin) == 1 or not final:
        return at_begin[0] if len(at_begin) == 1 else None
    budget = iter(range(VERIFICATIONS_MAX))
    found = {
        sender: find_request(data, 0, None, lambda: next(budget, None) is not None)[0]
        for sender, data in begins.items()
    }
    anywhere = [sender for sender, at in found.items() if at is not None]
    return anywhere[0] if len(anywhere) == 1 else None
