"""Runs of kproto and tshark over the same captures, in turns: time of the processor, time on the clock, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

__all__ = ["JOBS", "BenchError", "Job", "Measured", "Run", "child_environment", "measure", "run"]

KPROTO: Final = (sys.executable, "-m", "kproto.tools")
TSHARK: Final = ("tshark", "-d", "tcp.port==9092,kafka")
FIELDS: Final = ("-e", "frame.number", "-e", "kafka.api_key", "-e", "kafka.correlation_id")
FINE: Final = 0
KIB: Final = 1 if sys.platform == "darwin" else 1024  # what ru_maxrss counts


class BenchError(Exception):
    """A run did not end as it should."""


@dataclass(frozen=True)
class Run:
    """seconds: on the clock; cpu: of user and system; rss: bytes, at most."""

    seconds: float
    cpu: float
    rss: int


@dataclass(frozen=True)
class Job:
    """What both do: commands to which the capture is added. peer: what of tshark comes nearest."""

    name: str
    kproto: tuple[str, ...]
    peer: tuple[str, ...]


JOBS: Final = (
    Job("--stats", (*KPROTO, "decode", "--stats"), (*TSHARK, "-T", "fields", *FIELDS, "-r")),
    Job("--format ndjson", (*KPROTO, "decode", "--format", "ndjson"), (*TSHARK, "-T", "json", "-r")),
)


@dataclass(frozen=True)
class Measured:
    """Of a job on a capture of `size` bytes. theirs: empty where tshark is not installed."""

    job: str
    capture: str
    size: int
    ours: list[Run] = field(default_factory=list)
    theirs: list[Run] = field(default_factory=list)

    def rates(self, runs: Sequence[Run]) -> tuple[float, float, float]:
        """MB for each second of the processor: median, least, most."""
        return _spread([self.size / 1e6 / run.cpu for run in runs])

    def ratios(self) -> tuple[float, float, float]:
        """How many times tshark's speed, round by round."""
        return _spread([theirs.cpu / ours.cpu for ours, theirs in zip(self.ours, self.theirs, strict=True)])


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return median(values), min(values), max(values)


def child_environment(given: Mapping[str, str], cache: Path) -> dict[str, str]:
    """Of the runs: as users have it, with compiled modules, and output that is buffered. cache: for the former."""
    kept = {name: value for name, value in given.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPYCACHEPREFIX": str(cache)}


def run(command: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Run it, with its output thrown away. Raises BenchError where it does not end with 0."""
    start = time.perf_counter()
    with subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode != FINE:
        raise BenchError(f"{' '.join(command)} ended with {process.returncode}")
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * KIB)


def measure(
    captures: Mapping[str, Path],
    rounds: int,
    environment: Mapping[str, str],
    *,
    beside: bool,
    jobs: Sequence[Job] = JOBS,
    progress: Callable[[], None] = lambda: None,
) -> list[Measured]:
    """All jobs on all captures, both sides in turns, in the other order every other round. beside: whether tshark takes
    part. progress: called after each round. Raises BenchError."""
    found = []
    for job in jobs:
        for name, path in captures.items():
            measured = Measured(job.name, name, path.stat().st_size)
            run([*job.kproto, str(path)], environment)  # compiles the modules, and has the capture in memory
            for number in range(rounds):
                sides = [(job.kproto, measured.ours)] + ([(job.peer, measured.theirs)] if beside else [])
                for command, runs in sides[:: -1 if number % 2 else 1]:
                    runs.append(run([*command, str(path)], environment))
                progress()
            found.append(measured)
    return found
