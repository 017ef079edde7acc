"""The judge's cluster of one node behind a real port: a broker for producers that own their sockets.

    with JudgeServer({"orders": 3}) as server, Producer(server.bootstrap_servers) as producer:
        producer.send("orders", b"value", partition=0).result(WAIT_S)
        assert server.values("orders", 0) == [b"value"]

One thread has the cluster: change it before the block, or with `call`. `stall` has it answer nothing until `go_on`;
`wait_for` waits, without sleeping, for what comes in. At the end of the block the judge is asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from client.loopback import Loopback

from kproto.tools.judge import Fault, FaultPoint, JudgeCluster, JudgeConnection, Node, StoredRecord
from kproto.wire import ApiKey

__all__ = ["WAIT_S", "JudgeServer"]

T = TypeVar("T")
WAIT_S = 30  # on a busy machine, for what takes milliseconds


class StallingEnd:
    """A connection whose bytes may have to wait."""

    def __init__(self, server: JudgeServer, connection: JudgeConnection) -> None:
        self._server = server
        self._connection = connection
        self._waiting: list[tuple[bytes, int]] = []

    @property
    def closed(self) -> bool:
        return self._connection.closed

    @closed.setter
    def closed(self, value: bool) -> None:
        self._connection.closed = value

    def receive(self, data: bytes, now_ms: int = 0) -> None:
        self._waiting.append((data, now_ms))
        self.go_on()

    def go_on(self) -> None:
        while self._waiting and not self._server.stalled:
            self._connection.receive(*self._waiting.pop(0))
        self._server.tell()

    def output(self) -> bytes:
        return self._connection.output()


class JudgeServer:
    """See the module. topics: name -> partitions; strict: whether the judge is asked at the end; settings: of
    JudgeCluster."""

    def __init__(self, topics: Mapping[str, int], *, strict: bool = True, **settings: Any) -> None:
        self.cluster = JudgeCluster(1, topics, **settings)
        self.stalled = False
        self.received = 0
        """How often bytes came."""
        self._strict = strict
        self._ends: list[StallingEnd] = []
        self._news = threading.Condition()
        self._loopback = Loopback(self._connect)

    def _connect(self) -> StallingEnd:
        end = StallingEnd(self, self.cluster.brokers[0].connect())
        self._ends.append(end)
        return end

    def __enter__(self) -> JudgeServer:
        self._loopback.__enter__()
        self.call(lambda: self.cluster.set_nodes({0: Node(self._loopback.host, self._loopback.port)}))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loopback is not None:
            self.stop()
        if self._strict and kind is None:
            self.cluster.check()

    def stop(self) -> None:
        """Nobody listens any more, and all connections are closed."""
        loopback, self._loopback = self._loopback, None
        loopback.__exit__(None, None, None)

    @property
    def bootstrap_servers(self) -> str:
        return self._loopback.bootstrap_servers

    @property
    def accepted(self) -> int:
        """Connections so far."""
        return self._loopback.accepted

    def call(self, function: Callable[[], T]) -> T:
        """Its result; it runs in the thread that has the cluster."""
        return self._loopback.call(function)

    def reset(self) -> None:
        """All connections are reset."""
        self._loopback.reset()

    # Faults

    def fail(self, api: ApiKey, fault: Fault, **scope: Any) -> None:
        self.call(lambda: self.cluster.fail(api, fault, **scope))

    def silence(self) -> None:
        """Produce is answered no more, nor is any request behind one."""
        self.fail(ApiKey.PRODUCE, Fault.silence(FaultPoint.BEFORE_PARSE), times=None)

    def stall(self) -> None:
        """From now on nothing is read, so nothing is answered."""

        def stop() -> None:
            self.stalled = True

        self.call(stop)

    def go_on(self) -> None:
        """What has waited is read now."""

        def start() -> None:
            self.stalled = False
            for end in self._ends:
                end.go_on()

        self.call(start)

    # What came

    def tell(self) -> None:
        with self._news:
            self.received += 1
            self._news.notify_all()

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Until it holds after something came in."""
        with self._news:
            assert self._news.wait_for(condition, WAIT_S), "it did not come in time"

    def requests(self, api: ApiKey) -> int:
        """How many of them were read."""
        return sum(seen.api_key == api for seen in [*self.cluster.requests])

    def records(self, topic: str, partition: int = 0) -> list[StoredRecord]:
        read = lambda: self.cluster.log(topic, partition)  # noqa: E731
        return read() if self._loopback is None else self.call(read)

    def values(self, topic: str, partition: int = 0) -> list[bytes | None]:
        return [record.value for record in self.records(topic, partition)]
