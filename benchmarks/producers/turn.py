"""One turn of one contender, in a process of its own: `python -m benchmarks.producers.turn JOB`, JOB being JSON.

It reads its records before the clock starts, warms up, sends, waits for every delivery, and prints one line of JSON.
Nothing is imported but the client that is measured; the garbage collector is on, as users have it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

from benchmarks.producers.payload import KEY_SIZE, read

__all__ = ["CLIENTS", "Tally", "Turn", "Way", "main", "spin_loops", "take"]

CLIENTS: Final = {
    "kproto": "kproto_turns",
    "confluent-kafka": "confluent_turns",
    "aiokafka": "aiokafka_turns",
    "kafka-python": "kafka_python_turns",
}
WARM_UP: Final = 300  # records that are sent and delivered before: metadata, connections, producer id
LINGER_MS: Final = 5
WORK_SECONDS: Final = 3e-6  # of a sender that is busy, for each record


@dataclass
class Turn:
    """What a contender sends, and what it finds out.

    settings: what the row sets on the client, in the client's own names; the contender puts all that it used there.
    """

    bootstrap: str
    topic: str
    partitions: int
    compression: str
    values: list[bytes]
    keys: list[bytes]
    settings: dict[str, Any]
    linger_ms: int = LINGER_MS
    threads: int = 1
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)  # seconds
    details: dict[str, Any] = field(default_factory=dict)

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """Value and key of each record."""
        return zip(self.values, self.keys, strict=True)

    def warm_up(self) -> list[tuple[bytes, bytes]]:
        """Value and key of what is sent before; more than the clock sees, if need be."""
        first = list(zip(self.values[:WARM_UP], self.keys, strict=False))
        return (first * WARM_UP)[:WARM_UP]

    @contextmanager
    def timed(self) -> Iterator[None]:
        """The wall clock, and the time that all threads of the process were on a CPU, in user and system mode."""
        cpu, began = time.process_time(), time.perf_counter()
        yield
        self.seconds, self.cpu_seconds = time.perf_counter() - began, time.process_time() - cpu


Way = Callable[[Turn], None]
"""Sends all records of the turn under its clock; returns when each is known to be delivered, else raises."""


class Tally:
    """Counts callbacks; one thread at a time calls it."""

    __slots__ = ("delivered", "error", "failed")

    def __init__(self) -> None:
        self.delivered = 0
        self.failed = 0
        self.error: object = None

    def ended(self, _metadata: object, error: object) -> None:
        """on_delivery of kproto."""
        if error is None:
            self.delivered += 1
        else:
            self.failed += 1
            self.error = error

    def reported(self, error: object, _message: object) -> None:
        """on_delivery of confluent-kafka."""
        if error is None:
            self.delivered += 1
        else:
            self.failed += 1
            self.error = error

    def check(self, expected: int) -> None:
        """Raises RuntimeError unless so many were delivered and none failed."""
        if self.failed or self.delivered != expected:
            told = f"{self.delivered} of {expected} callbacks told of a delivery, {self.failed} of a failure"
            raise RuntimeError(f"{told} ({self.error})")


def spin_loops(seconds: float = WORK_SECONDS) -> int:
    """Turns of an empty loop that take so long when nothing disturbs them."""
    probe, times = range(10_000), []
    for _ in range(20):
        began = time.perf_counter()
        for _ in probe:
            pass
        times.append(time.perf_counter() - began)
    return max(1, round(seconds / min(times) * len(probe)))


def take(job: Mapping[str, Any]) -> dict[str, Any]:
    """Run the turn that `runs.run_turn` asks for; what its line of JSON holds."""
    module = import_module(f"benchmarks.producers.{CLIENTS[job['client']]}")
    count = job["records"]
    turn = Turn(
        bootstrap=job["bootstrap"],
        topic=job["topic"],
        partitions=job["partitions"],
        compression=job["compression"],
        values=read(Path(job["values_file"]), job["size"], count),
        keys=read(Path(job["keys_file"]), KEY_SIZE, count),
        settings=dict(job["settings"]),
        linger_ms=job["linger_ms"],
        threads=job["threads"],
    )
    module.WAYS[job["way"]](turn)
    return {
        "seconds": turn.seconds,
        "cpu_seconds": turn.cpu_seconds,
        "records": count,
        "warm_up": WARM_UP,
        "settings": turn.settings,
        **_percentiles(turn.latencies),
        **({"details": turn.details} if turn.details else {}),
    }


def _percentiles(latencies: list[float]) -> dict[str, Any]:
    if not latencies:
        return {}
    hundredths = quantiles(latencies, n=100, method="inclusive")
    return {"p50_ms": hundredths[49] * 1e3, "p99_ms": hundredths[98] * 1e3, "samples": len(latencies)}


def main() -> None:
    """The job is the one argument."""
    print(json.dumps(take(json.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
