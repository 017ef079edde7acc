"""From packets to the bytes of TCP connections, in order.

Layer: tools. Nothing is verified and nothing answered: segments are believed as far as they fit to each other.
Source: RFC 9293.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kproto.tools.decode.link_layers import ACK, FIN, FRAGMENT, RST, SYN, TOO_SHORT, endpoint, segment_of
from kproto.tools.decode.model import Finding, Packet, StreamPiece
from kproto.tools.decode.tcp_direction import HALF, SEGMENT_OVERHEAD, SEQUENCES, WINDOW_MAX, Connection, Direction, Grow

__all__ = ["TcpStreams"]

CONNECTIONS_MAX: Final = 65_536  # open ones; beyond it, those that were silent longest are let go
CLOSED_MAX: Final = 4_096  # kept, so that what comes late or twice is no new connection
HELD_MAX: Final = 96 * 1024 * 1024  # bytes that all directions together may hold
WAITING_MAX: Final = 32  # packets of a connection, after which acknowledged bytes count as lost
WAITING_NS: Final = 1_000_000_000
WAITING_SIZE_MAX: Final = 4 * 1024 * 1024
NOTHING: Final[list[StreamPiece]] = []

_new: Final = tuple.__new__  # half the time of calling the class


class TcpStreams:
    """Connections out of packets.

    A hole in what one side sent is waited for, since captures reorder. It is a gap once the other side acknowledged
    what is missing and 32 packets or a second of the connection went by; once more than 16 MiB came behind it; or at
    the end. What the other side sends after such an acknowledgement waits as long: so an answer never comes before
    what it answers. A direction of which nothing at all was captured has no gaps.

    report: told of packets that are left out, each kind once. grow_of: asked with the number of a connection and the
    sender for what takes bytes that need no piece, because they are the next ones and finish nothing; None for not yet.
    It is asked until there is one. Memory: what is held, at most about 100 MiB, and 1 KiB
    for each of at most 65,536 connections. Not thread-safe.
    """

    def __init__(
        self,
        report: Callable[[Finding], None] = lambda finding: None,
        grow_of: Callable[[int, str], Grow | None] = lambda conn, sender: None,
    ) -> None:
        self._report = report
        self._grow_of = grow_of
        self._directions: dict[bytes, Direction] = {}
        self._closed: dict[Connection, None] = {}
        self._holding: dict[Direction, int] = {}
        self._held = 0
        self._number = 0
        self._left_out: set[str] = set()
        self._time_ns = 0

    def feed(self, packet: Packet) -> list[StreamPiece]:
        """What can be given in order now. Raises BadInput for an unknown link type."""
        segment = segment_of(packet)
        if isinstance(segment, str):
            self._leave_out(segment, packet)
            return NOTHING
        key, sequence, acknowledged, flags, data, missing = segment
        direction = self._directions.get(key)
        if (
            direction is not None
            and sequence == direction.next
            and not missing
            and flags & (ACK | SYN | FIN | RST) == ACK
            and not direction.later
            and direction.fin is None
            and not direction.ended
            and not direction.connection.waiting
        ):
            expected = direction.peer.next
            if acknowledged == expected or (acknowledged - expected) & SEQUENCES >= HALF:
                connection = direction.connection
                connection.touched = packet.number
                self._time_ns = packet.time_ns
                direction.seen = True
                size = len(data)
                if not size:
                    return NOTHING
                direction.next = (sequence + size) & SEQUENCES
                direction.total += size
                grow = direction.grow
                if grow is None:
                    grow = direction.grow = self._grow_of(connection.number, direction.sender)
                if grow is not None and grow(data):
                    return NOTHING
                ends = connection.number, direction.sender, direction.receiver
                return [_new(StreamPiece, (*ends, packet.time_ns, data, 0, False, (), connection.client, False))]
        return self._take(direction, key, sequence, acknowledged, flags, data, missing, packet)

    def end(self) -> list[StreamPiece]:
        """The capture ended: what was held, with gaps before it. Connections that are open stay without an end."""
        pieces: list[StreamPiece] = []
        for direction in list(self._directions.values()):
            if direction is direction.connection.directions[0] and not direction.connection.closed:
                pieces += self._let_go(direction.connection)
        self._directions.clear()
        self._closed.clear()
        return pieces

    def _leave_out(self, why: str, packet: Packet) -> None:
        if why not in (FRAGMENT, TOO_SHORT) or why in self._left_out:
            return
        self._left_out.add(why)
        text = f"packet {packet.number} is {why}, and left out, as are others like it"
        code = "fragment" if why == FRAGMENT else "cut"
        self._report(Finding(code, text, notice=why == FRAGMENT, offset=packet.offset))

    def _take(
        self,
        direction: Direction | None,
        key: bytes,
        sequence: int,
        acknowledged: int,
        flags: int,
        data: memoryview,
        missing: int,
        packet: Packet,
    ) -> list[StreamPiece]:
        """Any segment, also one that is the next and nothing else."""
        self._time_ns = packet.time_ns
        pieces: list[StreamPiece] = []
        if direction is None or self._begins_anew(direction, sequence, flags):
            if direction is not None:
                pieces += self._forget(direction.connection)
            direction = self._open(key, pieces)
        connection = direction.connection
        connection.touched = packet.number
        if connection.closed:
            return pieces
        if flags & SYN:
            self._synchronise(direction, sequence, acknowledged, flags)
            sequence = (sequence + 1) & SEQUENCES
        if flags & RST:
            return pieces + self._close(connection)
        segment = direction, sequence, acknowledged if flags & ACK else -1, flags, data, missing, packet.time_ns
        if self._is_early(direction, segment[2]):
            connection.waiting.append(segment)
            connection.waiting_size += len(data) + SEGMENT_OVERHEAD
        else:
            pieces += self._accept(segment)
        if connection.waiting:
            pieces += self._release(connection)
        if connection.directions[0].ended and connection.directions[1].ended and not connection.waiting:
            pieces += self._close(connection)
        return pieces

    def _begins_anew(self, direction: Direction, sequence: int, flags: int) -> bool:
        """Whether the ports are used again: a SYN that is no repeated one, or numbers from elsewhere."""
        connection = direction.connection
        if flags & (SYN | ACK) == SYN:
            late = direction.distance((sequence + 1) & SEQUENCES) == -direction.total  # its own, behind its first data
            return connection.closed or (connection.opening != sequence and direction.seen and not late)
        return (
            direction.next >= 0
            and direction.seen
            and not connection.closed
            and not flags & RST
            and abs(direction.distance(sequence)) > WINDOW_MAX
        )

    def _open(self, key: bytes, pieces: list[StreamPiece]) -> Direction:
        if len(self._directions) >= 2 * CONNECTIONS_MAX:
            pieces += self._make_room()
        self._number += 1
        middle = (len(key) - 4) // 2
        back = key[middle : 2 * middle] + key[:middle] + key[-2:] + key[-4:-2]
        connection = Connection(self._number, key, back, endpoint(key))
        self._directions[back] = connection.directions[1]
        self._directions[key] = connection.directions[0]
        return connection.directions[0]

    def _make_room(self) -> list[StreamPiece]:
        """Let go of a quarter of the connections: those that were silent longest."""
        connections = {direction.connection for direction in self._directions.values()}
        pieces: list[StreamPiece] = []
        for connection in sorted(connections, key=lambda each: each.touched)[: CONNECTIONS_MAX // 4]:
            pieces += self._forget(connection)
        return pieces

    def _synchronise(self, direction: Direction, sequence: int, acknowledged: int, flags: int) -> None:
        connection = direction.connection
        if flags & ACK:
            connection.client = direction.receiver
        else:
            connection.client = direction.sender
            connection.opening = sequence
        if not direction.seen:
            direction.next = (sequence + 1) & SEQUENCES
            direction.seen = True

    def _is_early(self, direction: Direction, acknowledged: int) -> bool:
        """Whether it acknowledges what the other side has sent, but has not been seen yet."""
        peer = direction.peer
        if acknowledged < 0 or peer.ended:
            return False
        if peer.next < 0:
            peer.next = acknowledged
            return False
        ahead = peer.distance(acknowledged)
        if not 0 < ahead <= WINDOW_MAX:
            return False
        if not peer.seen:
            peer.next = acknowledged
            return False
        return True

    def _accept(self, segment: tuple[Direction, int, int, int, memoryview, int, int]) -> list[StreamPiece]:
        direction, sequence, _, flags, data, missing, time_ns = segment
        pieces = direction.accept(sequence, data, missing, bool(flags & FIN), time_ns)
        self._account(direction)
        while self._held > HELD_MAX:
            oldest = next(iter(self._holding))
            pieces += oldest.flush(time_ns)
            self._account(oldest)
        return pieces

    def _account(self, direction: Direction) -> None:
        before = self._holding.get(direction, 0)
        if direction.later_size != before:
            self._held += direction.later_size - before
            if direction.later_size:
                self._holding[direction] = direction.later_size
            else:
                del self._holding[direction]

    def _release(self, connection: Connection, *, everything: bool = False) -> list[StreamPiece]:
        """Take those that wait for nothing any more, and those that waited too long: gaps for what did not come."""
        pieces: list[StreamPiece] = []
        waiting = connection.waiting
        while waiting:
            ready = next((index for index, each in enumerate(waiting) if not self._is_early(each[0], each[2])), None)
            if ready is not None:
                segment = waiting.pop(ready)
                connection.waiting_size -= len(segment[4]) + SEGMENT_OVERHEAD
                pieces += self._accept(segment)
                continue
            too_long = self._time_ns - waiting[0][6] > WAITING_NS or connection.waiting_size > WAITING_SIZE_MAX
            if not everything and not too_long and len(waiting) <= WAITING_MAX:
                break
            peer = waiting[0][0].peer
            pieces += peer.skip_to(peer.total + peer.distance(waiting[0][2]), self._time_ns)
            self._account(peer)
        return pieces

    def _let_go(self, connection: Connection) -> list[StreamPiece]:
        pieces = self._release(connection, everything=True)
        for direction in connection.directions:
            pieces += direction.flush(self._time_ns)
            self._account(direction)
        return pieces

    def _close(self, connection: Connection) -> list[StreamPiece]:
        """A reset, or both have ended. What comes now is a repetition, until a SYN."""
        pieces = self._let_go(connection)
        for direction in connection.directions:
            if not direction.ended:
                direction.ended = True
                pieces.append(direction.piece(self._time_ns, ended=True))
        connection.closed = True
        self._closed[connection] = None
        if len(self._closed) > CLOSED_MAX:
            pieces += self._forget(next(iter(self._closed)))
        return pieces

    def _forget(self, connection: Connection) -> list[StreamPiece]:
        pieces = [] if connection.closed else self._close(connection)
        self._closed.pop(connection, None)
        for key in connection.keys:
            found = self._directions.get(key)
            if found is not None and found.connection is connection:
                del self._directions[key]
        return pieces
