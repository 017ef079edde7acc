"""One TCP connection of `client.simulation`: two streams of bytes that keep their order, until it breaks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

from client.other_ends import End

if TYPE_CHECKING:
    from client.simulation import SimulatedNetwork

Chunking = Literal["whole", "bytes", "random"]
Limits = tuple[int | None, int | None, str | None]


class Link:
    """From the core to a server. unplugged: bytes vanish, and neither side hears of the other again.

    sent, received: bytes that reached the other side, as the core sees it. end: the server's, once it has accepted.
    """

    def __init__(self, network: SimulatedNetwork, connection_id: int, remote: tuple[str, int]) -> None:
        self.network = network
        self.connection_id = connection_id
        self.remote = remote
        self.end: End | None = None
        self.unplugged = False
        self.sent = 0
        self.received = 0
        self._limits: Limits = (None, None, None)
        self._under_way = 0  # bytes that the core has sent and the server has not got
        self._there_ms = 0  # when the last bytes arrive, so that later ones do not overtake them
        self._here_ms = 0
        self._ending = False  # the server has closed, and the news is under way
        self._broken = False

    @property
    def alive(self) -> bool:
        """Whether the core still holds it."""
        return self.network.links.get(self.connection_id) is self

    def made(self, end: End, limits: Limits | None) -> None:
        """The server has accepted."""
        self.end = end
        self._limits = limits or self._limits
        self.network.note(f"#{self.connection_id} made")
        self.network.core.connection_made(self.connection_id, self.network.now_ms)
        self._limit()

    def pump(self) -> bool:
        """Take what the core and the server have to say; whether there was anything."""
        return self._from_server() | self._from_core()

    def close(self, goodbye: bytes) -> None:
        """The core has closed; what it has sent still arrives, and of its goodbye what the window has room for."""
        if self.end is not None:
            for piece in self._pieces(self._room_for(goodbye)):
                self._send(piece)
            arrives_ms = max(self._there_ms, self.network.now_ms + self.network.latency())
            self.network.at_time(arrives_ms, self._hang_up)

    def _hang_up(self) -> None:
        assert self.end is not None
        self.end.closed = True

    def break_now(self, reason: str | None) -> None:
        """Both sides lose the connection, and what is under way."""
        self._broken = True
        if self.end is not None:
            self.end.closed = True
        if self.alive:
            del self.network.links[self.connection_id]
            self.network.note(f"#{self.connection_id} lost: {reason or 'closed by the broker'}")
            self.network.core.connection_lost(self.connection_id, reason, self.network.now_ms)

    def _from_core(self) -> bool:
        if self.end is None or not self.alive:
            return False
        core, now_ms = self.network.core, self.network.now_ms
        data = self._room_for(b"".join(map(bytes, core.data_to_send(self.connection_id))))
        if not data:
            return False
        for piece in self._pieces(data):
            core.data_sent(self.connection_id, len(piece), now_ms)
            self._send(piece)
        self.network.note(f"#{self.connection_id} -> {len(data)} bytes")
        return True

    def _room_for(self, data: bytes) -> bytes:
        window = self.network.window
        return data if window is None else data[: max(0, window - self._under_way)]

    def _send(self, piece: bytes) -> None:
        self._under_way += len(piece)
        self._there_ms = max(self._there_ms, self.network.now_ms + self.network.latency())
        self.network.at_time(self._there_ms, partial(self._reach_server, piece))

    def _from_server(self) -> bool:
        if self.end is None or self._ending or self._broken:
            return False
        data = self.end.output()
        for piece in self._pieces(data):
            self._later(partial(self._reach_core, piece))
        if self.end.closed:
            self._ending = True
            self._later(self._reach_end)
        return bool(data) or self._ending

    def _reach_end(self) -> None:
        if not self.unplugged and self.alive:
            self.break_now(None)

    def _later(self, happen: Callable[[], None]) -> None:
        self._here_ms = max(self._here_ms, self.network.now_ms + self.network.latency())
        self.network.at_time(self._here_ms, happen)

    def _reach_server(self, piece: bytes) -> None:
        if self._broken or self.unplugged or self.end is None:
            return
        self._under_way -= len(piece)
        limit = self._limits[0]
        piece = piece if limit is None else piece[: limit - self.sent]
        self.sent += len(piece)
        if not self.end.closed:
            self.end.receive(piece, self.network.now_ms)
        self._limit()

    def _reach_core(self, piece: bytes) -> None:
        if self._broken or self.unplugged or not self.alive:
            return
        limit = self._limits[1]
        piece = piece if limit is None else piece[: limit - self.received]
        self.received += len(piece)
        self.network.note(f"#{self.connection_id} <- {len(piece)} bytes")
        if piece:
            self.network.core.data_received(self.connection_id, piece, self.network.now_ms)
        self._limit()

    def _limit(self) -> None:
        sent, received, how = self._limits
        if (sent is not None and self.sent >= sent) or (received is not None and self.received >= received):
            self.break_now(how)

    def _pieces(self, data: bytes) -> list[bytes]:
        chunking, rng = self.network.chunking, self.network.rng
        if chunking == "whole" or not data:
            return [data] if data else []
        pieces = []
        while data:
            size = 1 if chunking == "bytes" else 1 + int(rng.random() * len(data))
            pieces.append(data[:size])
            data = data[size:]
        return pieces
