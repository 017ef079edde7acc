"""A judge's cluster for tests, in this process: a thread with an event loop of its own, faults by name, and a verdict.

    with Broker({"orders": 3}) as broker, Producer(broker.bootstrap_servers) as producer:
        broker.faults.close("Produce", at="after_append")
        producer.send("orders", b"value").result(10)
        assert [one.value for one in broker.records("orders")] == [b"value"]

Layer: tools.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kproto.tools.broker.commands import run_command
from kproto.tools.broker.control import Control
from kproto.tools.broker.faults import BrokerFaults
from kproto.tools.broker.plan import Plan, parse_plan
from kproto.tools.broker.questions import found_violations
from kproto.tools.broker.server import JudgeServer
from kproto.tools.judge import JudgeCluster, JudgeViolation, StoredRecord

if TYPE_CHECKING:
    from typing import Self

__all__ = ["LOG_BYTES_MAX", "Broker"]

T = TypeVar("T")
LOG_BYTES_MAX: Final = 1 << 30
REQUESTS_KEPT: Final = 10_000


class Broker:
    """`with Broker({"orders": 3}) as broker:` listens until the end of the block, then raises what the judge found.

    topics: name -> partitions. plan: more of it, as in docs/broker.md: a Plan, or what its JSON says. nodes: how many
    brokers. host, port, advertised: see JudgeServer. control: the port of a control channel; None for none.
    strict: whether JudgeViolation is raised at the end of a block that ends well. auto_create: partitions of topics
    that are made when a client asks for them; None for not at all. log_bytes_max: about how much memory records may
    take; what is beyond is refused with POLICY_VIOLATION.

    Raises PlanError, ServerError. All methods may be called from any thread, within the block.
    """

    def __init__(
        self,
        topics: Mapping[str, int] | None = None,
        *,
        plan: Plan | Mapping[str, Any] | None = None,
        nodes: int = 1,
        host: str = "127.0.0.1",
        port: int = 0,
        advertised: str = "",
        control: int | None = None,
        strict: bool = True,
        auto_create: int | None = 1,
        log_bytes_max: int | None = LOG_BYTES_MAX,
    ) -> None:
        self._plan = plan if isinstance(plan, Plan) else parse_plan(plan or {})
        settings = {"auto_create_partitions": auto_create, **self._plan.settings}
        self.cluster = JudgeCluster(nodes, requests_kept=REQUESTS_KEPT, **settings)
        self.cluster.bodies_kept = False
        self.cluster.log_bytes_max = log_bytes_max
        self._topics = dict(topics or {})
        self._strict = strict
        self._server = JudgeServer(self.cluster, host, port, advertised)
        self._control = None if control is None else Control(self._server, control)
        self._thread: threading.Thread | None = None
        self._ready: Future[None] = Future()
        self.faults = BrokerFaults(self.do)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="kproto-broker", daemon=True)
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
        if self._strict and kind is None:
            self.check()

    def close(self) -> None:
        """Nobody listens any more, and all connections are closed. May be called again; the log stays readable."""
        thread, self._thread = self._thread, None
        if thread is not None:
            if self._ready.exception() is None:
                self._loop.call_soon_threadsafe(self._stopping.set)
            thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            for name, partitions in self._topics.items():
                self.cluster.create_topic(name, partitions)
            await self._server.start(self._plan)
            if self._control is not None:
                await self._control.start()
        except BaseException as error:
            await self._server.stop()
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        await self._stopping.wait()
        if self._control is not None:
            await self._control.stop()
        await self._server.stop()

    def call(self, function: Callable[[], T]) -> T:
        """What a function returns that runs between two events of the cluster: it may change all that it has."""
        if self._thread in (None, threading.current_thread()):
            return function()
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)
            self._server.settle()

        self._loop.call_soon_threadsafe(run)
        return future.result()

    # What it is

    @property
    def bootstrap_servers(self) -> str:
        """As clients want it: all nodes."""
        return self._server.bootstrap_servers

    @property
    def control_address(self) -> str:
        """Of the control channel; empty without one."""
        return "" if self._control is None else self._control.address

    def do(self, what: str, **fields: Any) -> Mapping[str, Any]:
        """A command of the control channel, such as `do("move_leader", topic="orders", partition=0, to=1)`.

        Returns what it finds. Raises PlanError.
        """
        return self.call(lambda: run_command(self.cluster, {"do": what, **fields}))

    # What came

    def records(self, topic: str, partition: int | None = None) -> Sequence[StoredRecord]:
        """What is written, by partition and in order. Raises KeyError or IndexError for what is not there."""

        def read() -> list[StoredRecord]:
            count = len(self.cluster.image.topics[topic].partitions)
            chosen = range(count) if partition is None else (partition,)
            return [one for index in chosen for one in self.cluster.log(topic, index)]

        return self.call(read)

    def violations(self) -> list[str]:
        """What clients did wrong so far, each a sentence."""
        return self.call(lambda: found_violations(self.cluster))

    def check(self) -> None:
        """Raises JudgeViolation if clients did wrong."""
        found = self.violations()
        if found:
            raise JudgeViolation(tuple(found))
