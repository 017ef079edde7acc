"""TCP as the producer sees it: streams that are cut in pieces, held up and broken, but never reordered.

A stream keeps its bytes in order and delivers them by events of the world; a connection has one in each direction. What
the core wants done (look a name up, open, close) is done here, with delays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kproto.client.effects import Close, Effect, Open, Resolve
from kproto.client.errors import KafkaConnectionError
from kproto.tools.judge import JudgeConnection

if TYPE_CHECKING:
    from sim.world import World

__all__ = ["Connection", "Network", "Stream", "address_of", "node_of"]

PORT: Final = 9092
RESET: Final = "Connection reset by peer"
REFUSED: Final = "Connection refused"
END: Final = b""
"""A piece that says that no more come."""


def address_of(node: int) -> str:
    return f"10.0.0.{node + 1}"


def node_of(address: str) -> int:
    return int(address.rpartition(".")[2]) - 1


class Stream:
    """One direction. arrived: takes each piece when it is there; waits_for: how long what arrives has to wait yet."""

    def __init__(self, network: Network, arrived: Callable[[bytes], None], waits_for: Callable[[], int]) -> None:
        self.network = network
        self.under_way = 0  # bytes
        self.carried = 0  # bytes that have arrived
        self.limit: int | None = None  # bytes after which the connection breaks
        self.dead = False  # bytes vanish, and nobody is told
        self.stalled_ms = 0  # nothing arrives before
        self._arrived = arrived
        self._waits_for = waits_for
        self._pieces: deque[bytes] = deque()
        self._last_ms = 0

    def send(self, data: bytes) -> None:
        """Put bytes, or the END, under way."""
        if self.dead:
            return
        for piece in self.network.pieces(data):
            world = self.network.world
            self._last_ms = max(self._last_ms, world.now_ms + self.network.latency(), self.stalled_ms)
            self._pieces.append(piece)
            self.under_way += len(piece)
            world.at_time(self._last_ms, self._arrive)

    def _arrive(self) -> None:
        """The next piece is there; which, its place in the queue says, whatever order the events of one time have."""
        if self.dead or not self._pieces:
            return
        world = self.network.world
        wait_ms = max(self.stalled_ms - world.now_ms, self._waits_for())
        if wait_ms > 0:
            world.at(wait_ms, self._arrive)
            return
        piece = self._pieces.popleft()
        self.under_way -= len(piece)
        if self.limit is not None:
            piece = piece[: max(0, self.limit - self.carried)] or b""
        self.carried += len(piece)
        self._arrived(piece)

    def drop(self) -> None:
        """What is under way is lost, and all that comes."""
        self.dead = True
        self._pieces.clear()


class Connection:
    """From the core to a broker. end: the broker's side, once it has accepted. held: whether the core still has it."""

    def __init__(self, network: Network, number: int, node: int) -> None:
        self.network = network
        self.number = number
        self.node = node
        self.end: JudgeConnection | None = None
        self.held = True
        self.closed_ms: int | None = None  # when the core closed it, or lost it
        self.ended = False  # the broker's side has said that it closes
        self.to_broker = Stream(network, self._at_broker, lambda: 0)
        self.to_core = Stream(network, self._at_core, network.world.frozen_for)

    def break_now(self, reason: str | None) -> None:
        """Both sides lose it, and what is under way."""
        self.to_broker.drop()
        self.to_core.drop()
        if self.end is not None:
            self.end.closed = True
        self._lost(reason)

    def _lost(self, reason: str | None) -> None:
        if not self.held:
            return
        world = self.network.world
        if world.frozen_for():  # the process does not run: it hears of it later
            world.at(world.frozen_for(), lambda: self._lost(reason))
            return
        self.held, self.closed_ms = False, world.now_ms
        self.network.connections.pop(self.number, None)
        world.note("lost", connection=self.number, why=reason)
        world.oracle.connection_over(self.number)
        world.core.connection_lost(self.number, reason, world.now_ms)
        world.touched = True

    def pump(self) -> None:
        """Take what the broker has to say."""
        end = self.end
        if end is None or self.ended:
            return
        data = end.output()
        if data:
            self.to_core.send(data)
        if end.closed:
            self.ended = True
            self.to_core.send(END)

    def _at_core(self, piece: bytes) -> None:
        world = self.network.world
        if not self.held:
            return
        if piece:
            world.note("read", connection=self.number, size=len(piece))
            world.core.data_received(self.number, piece, world.now_ms)
            world.touched = True
            self._limited(self.to_core)
        elif self.to_core.limit is None:
            self._lost(None)

    def _at_broker(self, piece: bytes) -> None:
        assert self.end is not None
        if piece:
            world = self.network.world
            self.end.receive(piece, world.now_ms)
            world.touched |= self.held and bool(world.plan.around.window)  # there is room to write again
            self._limited(self.to_broker)
        elif self.to_broker.limit is None:
            self.end.closed = True

    def _limited(self, stream: Stream) -> None:
        if stream.limit is not None and stream.carried >= stream.limit:
            self.break_now(RESET)


class Network:
    """See the module. connections: those that the core holds; limits: by node, of the connections to come."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.connections: dict[int, Connection] = {}
        self.all: list[Connection] = []
        self.names_fail = False
        self._down: dict[int, str] = {}
        self._limits: list[tuple[int, bool, int]] = []
        self._opened: set[int] = set()
        self._draw = world.draw(1)

    # What goes wrong

    def cut(self, node: int, reason: str | None = RESET) -> None:
        """End all connections to a broker."""
        for connection in [one for one in self.connections.values() if one.node == node]:
            connection.break_now(reason)

    def cut_after(self, node: int, *, to_broker: bool, size: int) -> None:
        """End the next connection to a broker after so many bytes."""
        self._limits.append((node, to_broker, size))

    def stall(self, node: int, *, to_broker: bool, ms: int) -> None:
        """Nothing arrives for so long; nothing is lost."""
        for connection in self._with(node):
            stream = connection.to_broker if to_broker else connection.to_core
            stream.stalled_ms = max(stream.stalled_ms, self.world.now_ms + ms)

    def half_close(self, node: int) -> None:
        """The broker says that it closes, and reads on what was under way."""
        for connection in self._with(node):
            if connection.end is not None and not connection.ended:
                connection.pump()
                connection.ended = True
                connection.to_core.send(END)

    def unplug(self, node: int, *, both: bool) -> None:
        """Bytes vanish in both directions, or those of the broker alone, and nobody is told."""
        for connection in self._with(node):
            connection.to_core.drop()
            if both:
                connection.to_broker.drop()

    def down(self, node: int) -> None:
        """The broker dies: connections are reset, new ones refused."""
        self._down[node] = "refuse"
        self.cut(node)

    def hang(self, node: int) -> None:
        """The broker's machine is gone: nobody answers, old connections or new ones."""
        self._down[node] = "hang"
        self.unplug(node, both=True)

    def up(self, node: int) -> None:
        self._down.pop(node, None)

    def heal(self) -> None:
        """Nothing goes wrong any more; what is broken for good is known to be."""
        self._down.clear()
        self._limits.clear()
        self.names_fail = False
        for connection in [*self.connections.values()]:
            connection.to_broker.limit = connection.to_core.limit = None
            mute = connection.end is not None and (connection.end.silent or connection.ended)
            streams = (connection.to_broker, connection.to_core)
            stuck = any(one.dead or one.stalled_ms > self.world.now_ms for one in streams)
            if stuck or mute or connection.end is None:
                connection.break_now(RESET)

    def _with(self, node: int) -> list[Connection]:
        return [one for one in self.connections.values() if one.node == node and one.end is not None]

    # Bytes

    def latency(self) -> int:
        least, most = self.world.plan.around.latency_ms
        return least if least == most else self._draw.between(least, most)

    def pieces(self, data: bytes) -> list[bytes]:
        """The data, cut anywhere."""
        if not data or not self._draw.chance(self.world.plan.around.splits):
            return [data]
        found = []
        while len(data) > 1 and len(found) < 3:
            at = self._draw.pick(1, 3, self._draw.between(1, len(data)))
            found.append(data[:at])
            data = data[at:]
        return [*found, data] if data else found

    def pump(self) -> None:
        """Take what brokers have to say, on all connections."""
        for connection in [*self.connections.values()]:
            connection.pump()

    def write(self, connection: Connection) -> bool:
        """Write what the core has to say, as much as there is room for; whether anything."""
        core, told = self.world.core, False
        while connection.held and (buffers := core.data_to_send(connection.number)):
            data = b"".join(map(bytes, buffers))
            window = self.world.plan.around.window
            if window and not connection.to_broker.dead:
                data = data[: max(0, window - connection.to_broker.under_way)]
            if not data:
                return told
            self.world.note("write", connection=connection.number, size=len(data))
            core.data_sent(connection.number, len(data), self.world.now_ms)
            connection.to_broker.send(data)
            told = True
        return told

    # Effects

    def perform(self, effect: Effect) -> None:
        """What the core asks for."""
        if isinstance(effect, Open):
            self._open(effect.connection_id, node_of(effect.address))
        elif isinstance(effect, Close):
            self._close(effect)
        elif isinstance(effect, Resolve):
            self._resolve(effect.host, effect.port)
        else:
            raise AssertionError(f"nobody expects {effect}")

    def _resolve(self, host: str, port: int) -> None:
        number = int(host[1:].partition(".")[0]) % self.world.plan.around.nodes if host.startswith("b") else -1
        found: Any = [host] if number < 0 else [address_of(number)]
        if self.names_fail and number >= 0:
            found = KafkaConnectionError(f"{host}:{port}", "the name is not known")
        self.world.note("resolve", host=host, found=not isinstance(found, Exception))
        self._tell_core(lambda now_ms: self.world.core.resolved(host, found, now_ms))

    def _open(self, number: int, node: int) -> None:
        assert number not in self._opened, f"connection {number} is opened a second time"
        self._opened.add(number)
        connection = self.connections[number] = Connection(self, number, node)
        self.world.note("open", connection=number, node=node)
        if self._down.get(node) != "hang":
            self.world.at(self.latency(), lambda: self._reach(connection))

    def _reach(self, connection: Connection) -> None:
        if not connection.held:
            return
        if self.world.frozen_for():
            self.world.at(self.world.frozen_for(), lambda: self._reach(connection))
            return
        if connection.node in self._down:
            connection.break_now(REFUSED)
            return
        connection.end = self.world.cluster.brokers[connection.node].connect()
        self.all.append(connection)
        for limit in self._limits:
            node, to_broker, size = limit
            if node == connection.node:
                self._limits.remove(limit)
                (connection.to_broker if to_broker else connection.to_core).limit = size
                break
        self.world.note("made", connection=connection.number)
        self.world.core.connection_made(connection.number, self.world.now_ms)
        self.world.touched = True

    def _close(self, effect: Close) -> None:
        connection = self.connections.pop(effect.connection_id, None)
        self.world.note("close", connection=effect.connection_id)
        self.world.oracle.connection_over(effect.connection_id)
        if connection is None:
            return
        connection.held, connection.closed_ms = False, self.world.now_ms
        connection.to_core.drop()
        if connection.end is not None:
            if effect.goodbye:
                connection.to_broker.send(effect.goodbye)
            connection.to_broker.send(END)

    def _tell_core(self, tell: Callable[[int], None]) -> None:
        def told() -> None:
            world = self.world
            if world.frozen_for():
                world.at(world.frozen_for(), told)
                return
            tell(world.now_ms)
            world.touched = True

        self.world.at(self.latency(), told)
