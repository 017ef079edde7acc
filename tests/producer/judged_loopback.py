"""A judge's broker behind a port, and programs that produce to it: for what takes a process of its own.

with JudgedLoopback({"orders": 3}) as broker, Program(script, broker.bootstrap_servers) as program:
    program.line(), program.tell(), program.end()
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from textwrap import dedent
from typing import NamedTuple

from client.loopback import Loopback

from kproto.tools.judge import Fault, FaultPoint, JudgeCluster, Node
from kproto.wire import ApiKey

__all__ = ["Ended", "JudgedLoopback", "Program"]

END_SECONDS = 60  # for a program on a busy machine; what has to be quicker measures itself
PRELUDE = """\
import sys
from kproto.producer import *
servers = sys.argv[1]

def report(*values):
    print(*values, flush=True)

"""


class JudgedLoopback:
    """One node with these topics and partitions, on a free port; until `stop`, or the end of the block."""

    def __init__(self, topics: Mapping[str, int]) -> None:
        self.cluster = JudgeCluster(1, topics)
        self._loopback = Loopback(self.cluster.brokers[0].connect)
        self._running = ExitStack()

    def __enter__(self) -> JudgedLoopback:
        loopback = self._running.enter_context(self._loopback)
        loopback.call(lambda: self.cluster.set_nodes({0: Node(loopback.host, loopback.port)}))
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        """Where it listens, or did."""
        return self._loopback.bootstrap_servers

    def stall(self) -> None:
        """Produce is answered no more, nor is any request behind one."""
        fault = Fault.silence(FaultPoint.BEFORE_PARSE)
        self._loopback.call(lambda: self.cluster.fail(ApiKey.PRODUCE, fault, times=None))

    def stop(self) -> None:
        """Nobody listens any more, and all connections are closed. May be called again."""
        self._running.close()

    def values(self, topic: str) -> list[bytes | None]:
        """What was written, partition by partition. It stops, and the judge's rules are checked, too."""
        self.stop()
        self.cluster.check()
        partitions = range(len(self.cluster.image.topics[topic].partitions))
        return [record.value for index in partitions for record in self.cluster.log(topic, index)]


class Ended(NamedTuple):
    """How a program ended. code: negative for a signal."""

    code: int
    out: str
    err: str


class Program:
    """A Python program in a process: PRELUDE and a script, which has the broker's address as `servers`."""

    def __init__(self, script: str, servers: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + dedent(script), servers, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._process:  # closes its pipes
            self._process.kill()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def line(self) -> str:
        """The next line that it reports."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def tell(self) -> None:
        """It may go on: what `input()` waits for."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> Ended:
        """Wait for its end. Raises TimeoutExpired."""
        out, err = self._process.communicate(timeout=END_SECONDS)
        return Ended(self._process.returncode, out, err)
