"""What passes over the loopback at some ports, captured by dumpcap."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from uuid import uuid4

import pytest

MISSING = "a capture needs dumpcap and tshark, and rights to capture: apt-get install tshark"
START_SECONDS = 20
END_SECONDS = 20
DROPPED = re.compile(rb"received/dropped on interface .*?: (\d+)/(\d+)")


class Captured:
    """`with Captured(path, port) as captured:` writes all packets from and to the ports into a pcapng file.

    It has begun when the block begins; when it has ended, all packets of the block are in the file: a datagram is sent
    behind them, and waited for. Skips the test where it cannot be, but with KPROTO_REQUIRE_KAFKA=1 fails. Raises
    RuntimeError where packets were lost. Not thread-safe.
    """

    def __init__(self, path: Path, *ports: int) -> None:
        self.path = path
        self.ports = ports
        self.packets = 0
        """How many were captured, the marker with them."""
        self._marker = uuid4().bytes
        self._log = b""

    def __enter__(self) -> Captured:
        if shutil.which("dumpcap") is None or shutil.which("tshark") is None:
            _give_up(MISSING)
        # A socket of its own: nobody else sends to its port, and nothing answers that the port is closed.
        self._marked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._marked.bind(("127.0.0.1", 0))
        wanted = [f"tcp port {port}" for port in self.ports] + [f"udp port {self._marked.getsockname()[1]}"]
        command = ["dumpcap", "-i", "lo", "-f", " or ".join(wanted), "-w", str(self.path)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"})
        # It says the name of its file when its filter is set and packets are kept for it.
        if not self._told(b"File: "):
            self._stop()
            _give_up(f"{MISSING}\n{self._log.decode(errors='replace')}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._wait_for_marker()
        finally:
            self._stop()
        counted = DROPPED.search(self._log)
        if kind is None and (counted is None or int(counted[2])):
            raise RuntimeError(f"packets were lost, or it is not known whether:\n{self._log.decode(errors='replace')}")
        self.packets = int(counted[1]) if counted else 0

    def _told(self, words: bytes) -> bool:
        """Read what it says until the words are there; false where it ends, or time runs out."""
        assert self._process.stderr is not None
        deadline = time.monotonic() + START_SECONDS
        while words not in self._log:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stderr], [], [], left)[0]:
                return False
            read = os.read(self._process.stderr.fileno(), 4096)
            if not read:
                return False
            self._log += read
        return True

    def _wait_for_marker(self) -> None:
        """Packets are written in their order, so that those before the marker stand before it."""
        self._marked.sendto(self._marker, self._marked.getsockname())
        deadline = time.monotonic() + END_SECONDS
        pause = threading.Event()
        with self.path.open("rb") as file:
            tail = b""
            while self._marker not in tail:
                if time.monotonic() >= deadline:
                    raise RuntimeError(f"the last packet was not captured within {END_SECONDS} s")
                pause.wait(0.01)
                tail = tail[-len(self._marker) :] + file.read()

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        _, said = self._process.communicate(timeout=END_SECONDS)
        self._log += said or b""
        self._marked.close()


def _give_up(reason: str) -> None:
    if os.environ.get("KPROTO_REQUIRE_KAFKA"):
        pytest.fail(reason)
    pytest.skip(reason)
