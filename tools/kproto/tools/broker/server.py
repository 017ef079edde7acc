"""The judge's cluster behind real ports: one listener for each node, on the asyncio loop that starts it.

Layer: tools. Moves bytes and time; what is answered is the judge's. Not thread-safe.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from kproto.tools.broker.commands import run_command
from kproto.tools.broker.plan import EMPTY, Plan
from kproto.tools.judge import JudgeBroker, JudgeCluster, JudgeConnection, Node
from kproto.wire import KafkaError

__all__ = ["ANYWHERE", "JudgeServer", "ServerError", "address"]

ANYWHERE: Final = ("", "0.0.0.0", "::")
"""Hosts to listen at, which are none to connect to."""
BEHIND_MAX: Final = 8  # requests that a connection may have waiting before it is read no more
UNSENT_MAX: Final = 8 << 20  # bytes


class ServerError(KafkaError):
    """It cannot listen there. The text says where, and why."""


def address(host: str, port: int) -> str:
    """As clients want it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class JudgeServer:
    """Serves a cluster, whose clock it sets. port: of the first node, the others have the next ones; 0 for free ones.

    advertised: the host that Metadata tells, as clients reach it; else `host`.
    """

    def __init__(self, cluster: JudgeCluster, host: str = "127.0.0.1", port: int = 0, advertised: str = "") -> None:
        self.cluster = cluster
        self.host = host
        self.advertised = advertised or ("localhost" if host in ANYWHERE else host)
        self._port = port
        self._open: set[_Wire] = set()
        self._listeners: list[asyncio.Server] = []
        self._timers: list[asyncio.TimerHandle] = []
        self._wake: asyncio.TimerHandle | None = None
        self._began = 0

    async def start(self, plan: Plan = EMPTY) -> None:
        """Listen, and do what the plan says. Raises ServerError; nothing is left open then."""
        self._loop = asyncio.get_running_loop()
        self._began = time.monotonic_ns()
        self.cluster.epoch_ms = time.time_ns() // 1_000_000
        self.cluster.clock = self._now_ms
        try:
            nodes = {node_id: await self._listen(one, at) for at, (node_id, one) in enumerate(self._brokers())}
        except OSError as error:
            await self.stop()
            raise ServerError(f"nobody can listen at {address(self.host, self._port)}: {error.strerror}") from error
        self.cluster.set_nodes(nodes)
        plan.give(self.cluster)
        for step in plan.steps:
            self._timers.append(self._loop.call_later(step.at_ms / 1000, self._step, step.command))

    def _brokers(self) -> list[tuple[int, JudgeBroker]]:
        return sorted(self.cluster.brokers.items())

    async def _listen(self, broker: JudgeBroker, at: int) -> Node:
        port = self._port + at if self._port else 0
        listener = await self._loop.create_server(lambda: _Wire(self, broker), self.host or None, port)
        self._listeners.append(listener)
        return Node(self.advertised, listener.sockets[0].getsockname()[1])

    @property
    def bootstrap_servers(self) -> str:
        """All nodes."""
        return ",".join(address(one.host, one.port) for one in self.cluster.image.nodes.values())

    def _now_ms(self) -> int:
        return (time.monotonic_ns() - self._began) // 1_000_000

    def _step(self, command: Mapping[str, Any]) -> None:
        try:
            run_command(self.cluster, command)
        except KafkaError as error:
            self.cluster.violated(f"a step of the plan failed: {dict(command)}: {error}")
        self.settle()

    def settle(self) -> None:
        """What is to be said goes out, and the next event has its timer. To be called when the cluster has changed."""
        for wire in list(self._open):
            wire.settle()
        if self._wake is not None:
            self._wake.cancel()
        due_ms = self.cluster.next_event_ms()
        if due_ms is not None:
            # A little late: a timer that fires early finds nothing to do, and fires again.
            wait_s = max(0, due_ms - self._now_ms()) / 1000
            self._wake = self._loop.call_later(wait_s, self._advance)

    def _advance(self) -> None:
        self.cluster.advance(self._now_ms())
        self.settle()

    async def stop(self) -> None:
        """All ports and connections are closed. May be called again."""
        for timer in (*self._timers, *filter(None, (self._wake,))):
            timer.cancel()
        for listener in self._listeners:
            listener.close()
        for wire in list(self._open):
            wire.transport.abort()
        while self._open:
            await asyncio.sleep(0)
        for listener in self._listeners:
            await listener.wait_closed()
        self._listeners.clear()


class _Wire(asyncio.Protocol):
    """One connection of the loop, and the judge's end of it."""

    transport: asyncio.Transport
    end: JudgeConnection

    def __init__(self, server: JudgeServer, broker: JudgeBroker) -> None:
        self._server = server
        self._broker = broker
        self._full = False
        self._reading = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(UNSENT_MAX)
        self.end = self._broker.connect()
        self._server._open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.end.closed = True
        self._server._open.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            self.end.receive(data, self._server._now_ms())
        except Exception as error:
            # A defect of the judge: it ends the connection, and whoever asks for violations hears of it.
            self._server.cluster.violated(f"the judge itself failed: {error!r}")
            self.end.closed = True
        self._server.settle()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self.settle()

    def settle(self) -> None:
        """Send what there is, read on or not, and end where the judge has."""
        data = self.end.output()
        if data:
            self.transport.write(data)
        if self.end.closed:
            self.transport.close()
            return
        reads = not self._full and self.end.behind <= BEHIND_MAX
        if reads != self._reading and not self.transport.is_closing():
            self._reading = reads
            if reads:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()
