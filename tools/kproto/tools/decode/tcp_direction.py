"""One direction of a TCP connection: what came too early waits, what came twice is dropped, what is missing is told.

Layer: tools. Counts positions from the first byte seen, without wrapping; the sequence numbers of TCP wrap at 2**32.
Source: RFC 9293, 3.4 and 3.10.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

from kproto.tools.decode.model import StreamPiece

__all__ = ["HALF", "LATER_MAX", "SEQUENCES", "WINDOW_MAX", "Connection", "Direction", "Grow"]

SEQUENCES: Final = 0xFFFFFFFF  # to be and-ed with
HALF: Final = 1 << 31  # a distance beyond it is one backwards
WINDOW_MAX: Final = 1 << 30  # RFC 7323: nothing that belongs to a connection is further away
LATER_MAX: Final = 16 * 1024 * 1024  # bytes that one direction may hold that came too early
SEGMENT_OVERHEAD: Final = 512  # bytes of memory beside the data

Grow = Callable[[memoryview], bool]
"""Takes bytes, or tells that there is more to do with them than to take them."""


class Connection:
    """Two directions between the same endpoints. number: from 1; client: who opened it, None where nobody saw."""

    __slots__ = ("client", "closed", "directions", "keys", "number", "opening", "touched", "waiting", "waiting_size")

    def __init__(self, number: int, key: bytes, back: bytes, endpoints: tuple[str, str]) -> None:
        self.number = number
        self.keys = key, back
        self.client: str | None = None
        self.opening: int | None = None
        """Sequence number of the client's SYN."""
        self.closed = False
        self.touched = 0
        self.waiting: list[tuple[Direction, int, int, int, memoryview, int, int]] = []
        """Segments that acknowledge what has not been seen yet, see `TcpStreams`."""
        self.waiting_size = 0
        there = Direction(self, *endpoints)
        back_again = Direction(self, *reversed(endpoints))
        there.peer, back_again.peer = back_again, there
        self.directions = there, back_again


class Direction:
    """What one side sends. next: sequence number of the next byte, -1 where none is known; seen: whether any segment
    of it was; total: position of the next byte; later: a heap of what came too early."""

    __slots__ = (
        "connection",
        "ended",
        "fin",
        "grow",
        "later",
        "later_count",
        "later_size",
        "next",
        "peer",
        "receiver",
        "seen",
        "sender",
        "total",
    )

    peer: Direction

    def __init__(self, connection: Connection, sender: str, receiver: str) -> None:
        self.connection = connection
        self.sender = sender
        self.grow: Grow | None = None
        """See `TcpStreams`."""
        self.receiver = receiver
        self.next = -1
        self.seen = False
        self.total = 0
        self.later: list[tuple[int, int, memoryview, int]] = []
        self.later_count = 0
        self.later_size = 0
        self.fin: int | None = None
        self.ended = False

    def piece(
        self, time_ns: int, data: bytes | memoryview = b"", *, gap: int = 0, ended: bool = False, cut: bool = False
    ) -> StreamPiece:
        """A piece of this direction."""
        connection = self.connection
        return StreamPiece(
            connection.number, self.sender, self.receiver, time_ns, data, gap, ended, (), connection.client, cut
        )

    def distance(self, sequence: int) -> int:
        """From the next byte to this one, negative where it was there before."""
        ahead = (sequence - self.next) & SEQUENCES
        return ahead if ahead < HALF else ahead - SEQUENCES - 1

    def accept(self, sequence: int, data: memoryview, missing: int, fin: bool, time_ns: int) -> list[StreamPiece]:
        """Take a segment; what can be given in order now. missing: bytes behind `data` that the capture has cut."""
        ahead = self.distance(sequence)
        if self.next < 0 or (not self.seen and self.connection.client is None and ahead > 0):
            self.next, ahead = sequence, 0
        self.seen = True
        position = self.total + ahead
        size = len(data) + missing
        if fin and position + size >= self.total:
            self.fin = position + size
        pieces: list[StreamPiece] = []
        if ahead > 0 and size:
            self.later_count += 1  # no two are equal: memory has no order
            heappush(self.later, (position, self.later_count, data, missing))
            self.later_size += len(data) + SEGMENT_OVERHEAD
            while self.later_size > LATER_MAX:
                pieces += self.skip_to(self.later[0][0], time_ns)
        elif size:
            self._deliver(position, data, missing, time_ns, pieces)
        self._drain(time_ns, pieces)
        return pieces

    def skip_to(self, position: int, time_ns: int) -> list[StreamPiece]:
        """What is missing up to there will not come: give gaps, and what came between and behind them."""
        pieces: list[StreamPiece] = []
        while self.total < position:
            stop = min(position, self.later[0][0]) if self.later else position
            if self.fin is not None and self.total < self.fin:
                stop = min(stop, self.fin)
            if stop > self.total and not self.ended:
                pieces.append(self.piece(time_ns, gap=stop - self.total))
            self._advance(max(stop - self.total, 0))
            self._drain(time_ns, pieces)
            if self.ended:
                break
        self._drain(time_ns, pieces)
        return pieces

    def flush(self, time_ns: int) -> list[StreamPiece]:
        """Nothing more comes: what was held, with gaps before it."""
        pieces = []
        while self.later:
            pieces += self.skip_to(self.later[0][0], time_ns)
        return pieces

    def _advance(self, size: int) -> None:
        self.total += size
        self.next = (self.next + size) & SEQUENCES

    def _drain(self, time_ns: int, pieces: list[StreamPiece]) -> None:
        while self.later and self.later[0][0] <= self.total:
            position, _, data, missing = heappop(self.later)
            self.later_size -= len(data) + SEGMENT_OVERHEAD
            self._deliver(position, data, missing, time_ns, pieces)
        if self.fin is not None and self.total >= self.fin and not self.ended:
            self.ended = True
            self.next = (self.next + 1) & SEQUENCES
            pieces.append(self.piece(time_ns, ended=True))

    def _deliver(self, position: int, data: memoryview, missing: int, time_ns: int, pieces: list[StreamPiece]) -> None:
        behind = self.total - position
        size = len(data) + missing
        if behind >= size or self.ended:
            return
        if behind < len(data):
            pieces.append(self.piece(time_ns, data[behind:] if behind else data))
        if missing:
            pieces.append(self.piece(time_ns, gap=min(missing, size - behind), cut=True))
        self._advance(size - behind)
