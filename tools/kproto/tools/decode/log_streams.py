"""Streams of connections out of a client's log, and the frames in them.

Layer: tools. What one line says was received may hold half a frame: the next goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final

from kproto.tools.decode.frames import Frames
from kproto.tools.decode.log_lines import LogBytes
from kproto.tools.decode.model import Frame, StreamPiece
from kproto.tools.decode.raw_frames import BROKER, RawFrames

__all__ = ["LogStreams"]

BROKER_PORT: Final = 0
CONNECTIONS_MAX: Final = 4_096


class LogStreams:
    """Frames out of what the lines of a log hold; connections are told apart by what the lines call them."""

    def __init__(self, outstanding: Callable[[int], Collection[int]]) -> None:
        self._frames = Frames(ports=[BROKER_PORT], outstanding=outstanding)
        self._raw = RawFrames()
        self._conns: dict[str, int] = {}
        self._count = 0

    def frames(self, log: Iterator[LogBytes]) -> Iterator[Frame]:
        """As `Frames` gives them; lines that name no direction hold whole frames."""
        for line in log:
            if line.sent is None:
                yield from self._raw.split(line.data, line.time_ns)
                continue
            conn = self._conn(line.connection)
            ends = f"client:{conn}", BROKER
            sender, receiver = ends if line.sent else ends[::-1]
            yield from self._frames.feed(StreamPiece(conn, sender, receiver, line.time_ns, line.data))
        yield from self._frames.end()

    def _conn(self, name: str) -> int:
        found = self._conns.get(name)
        if found is None:
            if len(self._conns) == CONNECTIONS_MAX:
                self._conns.pop(next(iter(self._conns)))
            self._count += 1
            found = self._conns[name] = self._count
        return found
