"""The requests of a capture as bars from question to answer: as many as a page can hold, those that failed first.

Layer: tools. Memory: ROWS_MAX rows of ordinary requests, of which every 2nd, 4th ... stays when there are more, and
NOTABLE_MAX of others; OPEN_MAX requests that wait.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from kproto.tools.decode.model import DecodedFrame
from kproto.tools.decode.produced import TopicKey

__all__ = ["Bar", "BarBatch", "Bars", "End"]

ROWS_MAX: Final = 30_000
NOTABLE_MAX: Final = 10_000
OPEN_MAX: Final = 20_000
BATCHES_MAX: Final = 16  # of one request that are shown


class End(IntEnum):
    """How a request ended. The numbers stand in the page."""

    ANSWERED = 0
    FAILED = 1
    UNANSWERED = 2
    OPEN = 3
    UNASKED = 4


class BarBatch(NamedTuple):
    """A batch of a request: its key in the answer, its name, and what its header says."""

    topic: TopicKey
    name: str
    partition: int
    producer_id: int
    epoch: int
    base_sequence: int
    records: int
    size: int


@dataclass(slots=True)
class Bar:
    """A request. until_ns, answer, answer_size: of the answer, None and 0 where there is none.

    error: the first error code in it; errors: of each batch, where they are known.
    found: whether something was found about it.
    """

    frame: int
    conn: int
    client: str
    broker: str
    client_id: str
    api: str
    version: int
    from_ns: int
    size: int
    batches: list[BarBatch]
    more_batches: int = 0
    end: End = End.OPEN
    until_ns: int | None = None
    answer: int | None = None
    answer_size: int = 0
    error: int = 0
    errors: dict[tuple[TopicKey, int], int] = field(default_factory=dict)
    found: bool = False

    @classmethod
    def of(cls, decoded: DecodedFrame, batches: list[BarBatch]) -> Bar:
        """The request as it is sent."""
        frame = decoded.frame
        return cls(
            frame.number,
            frame.conn,
            frame.client,
            frame.broker,
            decoded.client_id or "",
            decoded.api or f"API {decoded.api_key}",
            -1 if decoded.version is None else decoded.version,
            frame.time_ns,
            frame.size,
            batches[:BATCHES_MAX],
            max(0, len(batches) - BATCHES_MAX),
        )

    @property
    def rows(self) -> int:
        """What it costs on the page."""
        return 1 + len(self.batches)


class Bars:
    """Add each request, and end it once.

    total: requests so far; every: of the ordinary ones, one in so many is kept; notable_left_out: those of the others
    that are treated as ordinary, for want of room.
    """

    def __init__(self) -> None:
        self.total = 0
        self.every = 1
        self.notable_left_out = 0
        self._open: dict[int, Bar] = {}
        self._conns: dict[int, dict[int, Bar]] = {}
        self._kept: list[tuple[int, Bar]] = []
        self._rows = 0
        self._notable: list[Bar] = []
        self._notable_rows = 0
        self._ordinary = 0

    def ask(self, bar: Bar) -> None:
        """A request whose answer is due."""
        self.total += 1
        if len(self._open) >= OPEN_MAX:
            oldest = next(iter(self._open.values()))
            self._forget(oldest)
            self._finish(oldest)
        self._open[bar.frame] = bar
        self._conns.setdefault(bar.conn, {})[bar.frame] = bar

    def waiting(self, frame: int) -> Bar | None:
        """The request of that frame, where it is not answered yet."""
        return self._open.get(frame)

    def unasked(self, bar: Bar) -> None:
        """A request that nobody answers."""
        self.total += 1
        bar.end = End.UNASKED
        self._finish(bar)

    def end(self, bar: Bar, end: End) -> None:
        """It ended so; what else is known of its end stands in it already."""
        self._forget(bar)
        bar.end = end
        self._finish(bar)

    def connection_ended(self, conn: int, time_ns: int) -> None:
        """What waits there is not answered any more."""
        for bar in list(self._conns.get(conn, {}).values()):
            bar.until_ns = time_ns
            self.end(bar, End.UNANSWERED)

    def kept(self) -> list[Bar]:
        """Those that are to be drawn, in the order of requests; those that are open, too."""
        bars = [bar for _, bar in self._kept] + self._notable + list(self._open.values())[:NOTABLE_MAX]
        return sorted(bars, key=lambda bar: bar.frame)

    def _forget(self, bar: Bar) -> None:
        self._open.pop(bar.frame, None)
        waiting = self._conns.get(bar.conn, {})
        waiting.pop(bar.frame, None)
        if not waiting:
            self._conns.pop(bar.conn, None)

    def _finish(self, bar: Bar) -> None:
        if bar.found or bar.end in (End.FAILED, End.UNANSWERED):
            if self._notable_rows + bar.rows <= NOTABLE_MAX:
                self._notable.append(bar)
                self._notable_rows += bar.rows
                return
            self.notable_left_out += 1
        ordinal = self._ordinary
        self._ordinary += 1
        if ordinal % self.every:
            return
        self._kept.append((ordinal, bar))
        self._rows += bar.rows
        while self._rows > ROWS_MAX and len(self._kept) > 1:
            self.every *= 2
            self._kept = [each for each in self._kept if each[0] % self.every == 0]
            self._rows = sum(each.rows for _, each in self._kept)
