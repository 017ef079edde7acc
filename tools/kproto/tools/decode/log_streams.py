"""Streams of connections out of a client's log, and the frames in them.

Layer: tools. What one line says was received may hold half a frame: the next goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final

from kproto.tools.decode.frames import Frames
from kproto.tools.decode.log_lines import LogBytes
from kproto.tools.decode.model import Frame, StreamPiece
from kproto.tools.decode.plausible import request_at
from kproto.tools.decode.raw_frames import BROKER, RawFrames

__all__ = ["LogStreams"]

BROKER_PORT: Final = 0
CONNECTIONS_MAX: Final = 4_096


class LogStreams:
    """Frames out of what the lines of a log hold; connections are told apart by what the lines call them."""

    def __init__(self, outstanding: Callable[[int], Collection[int]]) -> None:
        self._frames = Frames(ports=[BROKER_PORT], outstanding=outstanding)
        self._raw = RawFrames()
        self._conns: dict[str, tuple[int, str | None]] = {}
        self._count = 0

    def frames(self, log: Iterator[LogBytes]) -> Iterator[Frame]:
        """As `Frames` gives them; lines that name no direction hold whole frames."""
        for line in log:
            if line.sent is None:
                yield from self._raw.split(line.data, line.time_ns)
                continue
            conn, client = self._conn(line)
            ends = f"client:{conn}", BROKER
            sender, receiver = ends if line.sent else ends[::-1]
            piece = StreamPiece(conn, sender, receiver, line.time_ns, line.data, client=client)
            yield from self._frames.feed(piece)
        yield from self._frames.end()

    def _conn(self, line: LogBytes) -> tuple[int, str | None]:
        """Number of a connection, and its client if the log has its beginning: a request."""
        found = self._conns.get(line.connection)
        if found is None:
            if len(self._conns) == CONNECTIONS_MAX:
                self._conns.pop(next(iter(self._conns)))
            self._count += 1
            begins = line.sent and request_at(line.data, strict=False) is not False
            found = self._conns[line.connection] = self._count, f"client:{self._count}" if begins else None
        return found
