"""A proxy between clients and brokers, with a port for each node, that does to connections what a schedule says.

    with Proxy() as proxy:
        proxy.forward([9092, 9093, 9094])   # the brokers' ports, once they are known
        proxy.play(schedule.troubles)       # from now on, until clear()
        proxy.clear()

One thread with a loop of its own; its methods may be called from any other thread.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from chaos.ports import steady_ports
from chaos.schedule import NODES, LinkFault, Trouble

T = TypeVar("T")
HOST = "127.0.0.1"
RECV_SIZE = 1 << 16
DRIBBLE_BYTES = 40
DRIBBLE_SECONDS = 0.002
CALL_SECONDS = 10
RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST, and what waits is lost


@dataclass(eq=False, slots=True)
class Connection:
    """A client's connection, and the proxy's own to the broker."""

    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    loses_acks: bool = False
    cut_after: int | None = None  # bytes of the next answer that still pass

    def reset(self) -> None:
        """RST to both ends."""
        _reset(self.client)
        _reset(self.broker)


def _reset(writer: asyncio.StreamWriter) -> None:
    if writer.is_closing():
        return
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    writer.transport.abort()


class Link:
    """The way to one broker: its listener, its connections, and what is wrong with it now. Lives in the loop."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.broker_port = 0
        self.accepted = 0
        self.connections: set[Connection] = set()
        self._passes = asyncio.Event()  # not set while it stalls
        self._passes.set()
        self._dribbles = False
        self._listener: socket.socket | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._ends: dict[LinkFault, asyncio.TimerHandle] = {}  # of the faults that last

    def listen(self) -> None:
        """Take connections, if it does not yet."""
        if self._listener is None:
            self._listener = socket.create_server((HOST, self.port))
            self._listener.setblocking(False)
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def refuse(self) -> None:
        """Take no connections, and reset those that are there."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        self.reset_all(self.connections)

    def reset_all(self, connections: set[Connection]) -> None:
        """RST to all that are still there."""
        for connection in connections & self.connections:
            connection.reset()

    def begin(self, trouble: Trouble) -> None:
        """The fault, now; its end is under way. One that lasts is prolonged by another of its kind."""
        affected = set(self.connections)
        match trouble.fault:
            case LinkFault.LOSE_ACKS:
                for connection in affected:
                    connection.loses_acks = True
                self._after(trouble, lambda: self.reset_all(affected))
            case LinkFault.CUT_ANSWER:
                for connection in affected:
                    connection.cut_after = trouble.amount
            case LinkFault.RESET:
                self.reset_all(affected)
            case LinkFault.STALL:
                self._passes.clear()
                self._after(trouble, self._passes.set)
            case LinkFault.REFUSE:
                self.refuse()
                self._after(trouble, self.listen)
            case LinkFault.DRIBBLE:
                self._dribbles = True
                self._after(trouble, self._flow)

    def _after(self, trouble: Trouble, end: Callable[[], object]) -> None:
        handle = asyncio.get_running_loop().call_later(trouble.span_ms / 1000, end)
        if trouble.fault is LinkFault.LOSE_ACKS:
            return  # it ends for its own connections only
        if (running := self._ends.pop(trouble.fault, None)) is not None:
            running.cancel()
        self._ends[trouble.fault] = handle

    def _flow(self) -> None:
        self._dribbles = False

    def clear(self) -> None:
        """End all faults; a connection that has lost acks is reset, as it would wait for them for ever."""
        self._end_lasting()
        self.reset_all({one for one in self.connections if one.loses_acks})
        for connection in self.connections:
            connection.cut_after = None
        self.listen()

    async def close(self) -> None:
        """Take no connections any more, and end those that are there."""
        self._end_lasting()
        self.refuse()
        await asyncio.gather(*self._serving)

    def _end_lasting(self) -> None:
        for handle in self._ends.values():
            handle.cancel()
        self._ends.clear()
        self._passes.set()
        self._dribbles = False

    # asyncio's own server forgets the sockets of connections that it accepts while it is being closed.
    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # the client may be gone again
            accepted, _ = listener.accept()
            self.accepted += 1
            task = asyncio.create_task(self._serve(accepted))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _serve(self, accepted: socket.socket) -> None:
        from_client, to_client = await asyncio.open_connection(sock=accepted)
        try:
            from_broker, to_broker = await asyncio.open_connection(HOST, self.broker_port)
        except OSError:  # there is no broker: the client sees a connection that ends at once
            _reset(to_client)
            return
        connection = Connection(to_client, to_broker)
        if self._listener is None:  # accepted just before it began to refuse
            connection.reset()
            return
        self.connections.add(connection)
        ways = [
            asyncio.create_task(self._requests(from_client, to_broker)),
            asyncio.create_task(self._answers(connection, from_broker)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.connections.discard(connection)
            for way in ways:
                way.cancel()
            connection.reset()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(RECV_SIZE):
                await self._pass_on(data, writer)

    async def _answers(self, connection: Connection, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while data := await reader.read(RECV_SIZE):
                if connection.loses_acks:
                    continue
                if connection.cut_after is not None:
                    await self._pass_on(data[: min(connection.cut_after, len(data) - 1)], connection.client)
                    connection.client.close()  # in order, as a reset would take with it what the client has not read
                    return
                await self._pass_on(data, connection.client)

    async def _pass_on(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        await self._passes.wait()
        while self._dribbles and data:
            writer.write(data[:DRIBBLE_BYTES])
            data = data[DRIBBLE_BYTES:]
            await writer.drain()
            await asyncio.sleep(DRIBBLE_SECONDS)
            await self._passes.wait()
        writer.write(data)
        await writer.drain()


class Proxy:
    """A port for each node, known at once; it takes connections inside its block. Ends with its thread."""

    def __init__(self) -> None:
        self.ports = steady_ports(NODES)
        self.bootstrap_servers = ",".join(f"{HOST}:{port}" for port in self.ports)
        self._links: list[Link] = []
        self._playing: list[asyncio.TimerHandle] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-proxy", daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        try:
            self._call(self._open())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._call(self._close())
        finally:
            self._end()

    def forward(self, broker_ports: Sequence[int]) -> None:
        """Where the connections to each node are led; a port may be one of nobody yet."""

        async def forward() -> None:
            for link, port in zip(self._links, broker_ports, strict=True):
                link.broker_port = port

        self._call(forward())

    def play(self, troubles: Sequence[Trouble]) -> None:
        """Begin each fault at its time from now."""

        async def play() -> None:
            for trouble in troubles:
                begin = self._links[trouble.node].begin
                self._playing.append(self._loop.call_later(trouble.at_ms / 1000, begin, trouble))

        self._call(play())

    def clear(self) -> None:
        """End all faults, those that have not begun too."""

        async def clear() -> None:
            self._stop_playing()
            for link in self._links:
                link.clear()

        self._call(clear())

    def reset_all(self) -> None:
        """RST to every connection: nothing that waits in the proxy reaches a broker any more."""

        async def reset_all() -> None:
            for link in self._links:
                link.reset_all(link.connections)

        self._call(reset_all())

    def accepted(self) -> list[int]:
        """How many connections each node's port has taken."""

        async def accepted() -> list[int]:
            return [link.accepted for link in self._links]

        return self._call(accepted())

    async def _open(self) -> None:
        self._links = [Link(port) for port in self.ports]
        for link in self._links:
            link.listen()

    async def _close(self) -> None:
        self._stop_playing()
        for link in self._links:
            await link.close()
        await asyncio.sleep(0)  # an aborted transport closes its socket in the next pass of the loop

    def _stop_playing(self) -> None:
        for handle in self._playing:
            handle.cancel()
        self._playing.clear()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_SECONDS)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_SECONDS)
        self._loop.close()
