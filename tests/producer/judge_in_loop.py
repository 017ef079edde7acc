"""The judge's brokers on real sockets in the running event loop, and tests that are coroutines.

    @on_loop
    async def test_a_record_is_delivered():
        async with JudgeInLoop({"orders": 3}) as judge, AsyncProducer(judge.bootstrap_servers) as producer:
            await producer.send("orders", b"value")
        assert judge.values("orders") == [b"value"]

Delays of faults are real ones: keep them short.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Awaitable, Callable, Mapping
from functools import partial, wraps
from typing import Any

import pytest
from client.loops import LOOPS, loop_factory

from kproto.client.driver import monotonic_ms
from kproto.tools.judge import Fault, FaultPoint, JudgeBroker, JudgeCluster, Node
from kproto.wire import ApiKey

__all__ = ["JudgeInLoop", "at_rest", "await_bytes", "on_each_loop", "on_loop", "pass_by", "run_on", "turns", "until"]

SECONDS = 20  # that a test waits for what has to happen
HOST = "127.0.0.1"


def run_on(name: str, main: Callable[[], Awaitable[None]]) -> None:
    """Run it on a loop of that kind, within SECONDS; what the loop would only log is an error."""
    complaints: list[dict[str, Any]] = []

    async def limited() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        task = asyncio.ensure_future(main())
        await asyncio.wait([task], timeout=SECONDS)
        late = not task.done()
        while not task.done():  # also what waits at the ends of blocks
            task.cancel()
            await asyncio.wait([task], timeout=1)
        assert not late, f"it was not over within {SECONDS} s"
        await task

    with asyncio.Runner(loop_factory=loop_factory(name)) as runner:
        runner.run(limited())
    assert complaints == []


def on_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that is a coroutine."""

    @wraps(test)
    def run(*arguments: Any, **options: Any) -> None:
        run_on("asyncio", partial(test, *arguments, **options))

    return run


def on_each_loop(test: Callable[[], Awaitable[None]]) -> Callable[..., None]:
    """The same, once for each kind of loop."""

    @pytest.mark.parametrize("loop", LOOPS)
    def run(loop: str) -> None:
        run_on(loop, test)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


async def turns(times: int = 10) -> None:
    """The loop goes round so often."""
    for _ in range(times):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop go round until it holds."""
    while not condition():
        await asyncio.sleep(0)


def await_bytes(producer: Any, seconds: float) -> None:
    """Until an answer can be read, or so long, without the loop."""
    select.select([link.socket for link in producer._running.driver._links.values()], [], [], seconds)


async def pass_by(producer: Any, times: int = 5) -> None:
    """So many passes: what may leave has left, and what the judge answers at once is there."""
    for _ in range(times):
        producer._running.driver.run_pass()
        await turns()


def at_rest(producer: Any) -> None:
    """Nothing is left: batches, memory, and those who wait."""
    engine = producer._running
    assert not engine.accumulator.incomplete
    assert engine.accumulator.memory.used == 0, f"{engine.accumulator.memory.used} bytes are still charged"
    assert engine.accumulator.memory.waiting == 0
    assert engine.accumulator.flushes == 0
    assert not engine._waiting


class JudgeInLoop:
    """A judge's cluster with these topics and partitions; its brokers listen until `stop`, or the end of the block.

    options: JudgeCluster's.
    """

    def __init__(self, topics: Mapping[str, int], nodes: int = 1, **options: Any) -> None:
        self.cluster = JudgeCluster(nodes, topics, **options)
        self.cluster.clock = monotonic_ms
        self.cluster.schedule = self._schedule
        self._servers: list[asyncio.Server] = []
        self._ends: set[_End] = set()

    async def __aenter__(self) -> JudgeInLoop:
        loop = self._loop = asyncio.get_running_loop()
        addresses = {}
        for node_id, broker in self.cluster.brokers.items():
            server = await loop.create_server(partial(_End, self, broker), HOST, 0)
            self._servers.append(server)
            addresses[node_id] = Node(HOST, server.sockets[0].getsockname()[1])
        self.cluster.set_nodes(addresses)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    @property
    def bootstrap_servers(self) -> list[str]:
        """All nodes."""
        return [f"{node.host}:{node.port}" for node in self.cluster.image.nodes.values()]

    async def stop(self) -> None:
        """Nobody listens any more, and all connections are closed. May be called again."""
        for server in self._servers:
            server.close()
        self.cut()
        while self._ends:
            await asyncio.sleep(0)

    def cut(self) -> None:
        """All connections are reset."""
        for end in self._ends:
            end.transport.abort()

    def stall(self, api: ApiKey = ApiKey.PRODUCE) -> None:
        """Requests of that kind are answered no more, nor is any behind one."""
        self.cluster.fail(api, Fault.silence(FaultPoint.BEFORE_PARSE), times=None)

    def resume(self) -> None:
        """What was stalled goes on, on new connections."""
        self.cluster.faults.clear()
        self.cut()

    def requests(self, api: ApiKey) -> int:
        """How many of a kind came."""
        return sum(seen.api_key == api for seen in self.cluster.requests)

    def values(self, topic: str) -> list[bytes | None]:
        """What was written, partition by partition; the judge's rules are checked, too."""
        self.cluster.check()
        partitions = range(len(self.cluster.image.topics[topic].partitions))
        return [record.value for index in partitions for record in self.cluster.log(topic, index)]

    def _schedule(self, delay_ms: int, call: Callable[[], None]) -> None:
        def later() -> None:
            call()
            self._flush()

        self._loop.call_later(delay_ms / 1000 + 0.001, later)  # never before the judge's own clock

    def _flush(self) -> None:
        for end in self._ends:
            end.flush()


class _End(asyncio.Protocol):
    """A broker's end of one connection."""

    def __init__(self, judge: JudgeInLoop, broker: JudgeBroker) -> None:
        self._judge = judge
        self._connection = broker.connect()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._judge._ends.add(self)

    def data_received(self, data: bytes) -> None:
        self._connection.receive(data, monotonic_ms())
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._connection.closed = True
        self._judge._ends.discard(self)

    def flush(self) -> None:
        """What waits goes out."""
        data = self._connection.output()
        if data:
            self.transport.write(data)
        if self._connection.closed:
            self.transport.close()
