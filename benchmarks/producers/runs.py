"""Lets the contenders of a group take turns, each in a fresh process, and checks after each what is in the log.

Contenders go in reverse every other round, so that a slow moment of the machine meets them all.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.producers import payload
from benchmarks.producers.rows import Contender, Group, row_name

__all__ = ["BenchError", "Broker", "Payloads", "TurnResult", "order", "parse_turn", "run_group", "run_turn"]

ROOT: Final = Path(__file__).parents[2]
TURN_SECONDS: Final = 120  # a turn that takes longer hangs
ERROR_TAIL: Final = 2_000  # characters of what a failing turn has printed
NUMBERS: Final = ("seconds", "cpu_seconds", "p50_ms", "p99_ms")
KEPT_FROM: Final = 100  # partitions: such a topic takes its time to make, so the turns of a group share it


class BenchError(Exception):
    """A turn that counts for nothing, and so the run; names the row."""


class Broker(Protocol):
    """What a run needs of `cluster.Cluster`."""

    bootstrap: str

    def create(self, topic: str, partitions: int) -> None: ...
    def end(self, topic: str, partitions: int) -> int: ...
    def delete(self, topic: str) -> None: ...


@dataclass(frozen=True, slots=True)
class TurnResult:
    """What a turn has told. cpu_seconds and the percentiles: None where it does not say."""

    records: int
    seconds: float
    cpu_seconds: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    warm_up: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def figure(self, name: str) -> float | None:
        """rate in thousands a second, cpu_us for a record, p50_ms or p99_ms."""
        if name == "rate":
            return self.records / self.seconds / 1e3
        if name == "cpu_us":
            return None if self.cpu_seconds is None else self.cpu_seconds / self.records * 1e6
        found: float | None = getattr(self, name)
        return found


class Payloads:
    """The files that the values and keys of these groups lie in, one for each size of value and kind of keys.

    Made at once, so that no turn runs beside it. folder: exists.
    """

    def __init__(self, folder: Path, groups: Iterable[Group]) -> None:
        values: dict[int, int] = {}
        keys: dict[tuple[int, int], int] = {}
        for group in groups:
            records = max(one.records for one in group.contenders)
            values[group.size] = max(records, values.get(group.size, 0))
            kind = group.cardinality, group.run
            keys[kind] = max(records, keys.get(kind, 0))
        self._values = {
            size: payload.write(folder / f"values-{size}", payload.values(size, count))
            for size, count in values.items()
        }
        self._keys = {
            (number, run): payload.write(folder / f"keys-{number}-{run}", payload.keys(number, count, run))
            for (number, run), count in keys.items()
        }

    def values(self, group: Group) -> Path:
        """One value of `group.size` bytes behind the other."""
        return self._values[group.size]

    def keys(self, group: Group) -> Path:
        """One key of ten bytes behind the other."""
        return self._keys[group.cardinality, group.run]


def order(count: int, number: int) -> list[int]:
    """Who goes when in this round, from 0 on: forward in the even ones, in reverse in the odd ones."""
    return list(range(count))[:: -1 if number % 2 else 1]


def run_group(
    group: Group,
    rounds: int,
    broker: Broker,
    payloads: Payloads,
    progress: Callable[[Contender], None] = lambda contender: None,
) -> dict[str, list[TurnResult]]:
    """Contender -> what its turn in each round has told. progress: called before each turn. Raises BenchError."""
    results: dict[str, list[TurnResult]] = {one.name: [] for one in group.contenders}
    kept: dict[int, str] = {}
    try:
        for number in range(rounds):
            for index in order(len(group.contenders), number):
                contender = group.contenders[index]
                progress(contender)
                topic = f"bench-{group.name}-{number}-{index}".replace(" ", "-")
                results[contender.name].append(_checked_turn(group, contender, topic, broker, payloads, kept))
    finally:
        for topic in kept.values():
            broker.delete(topic)
    return results


def _checked_turn(
    group: Group, contender: Contender, topic: str, broker: Broker, payloads: Payloads, kept: dict[int, str]
) -> TurnResult:
    """In a topic of its own, or in one of many partitions that stays. Raises BenchError."""
    partitions = contender.partitions or group.partitions
    before = 0
    if partitions in kept:
        topic = kept[partitions]
        before = broker.end(topic, partitions)
    else:
        broker.create(topic, partitions)
        if partitions >= KEPT_FROM:
            kept[partitions] = topic
    try:
        result = run_turn(group, contender, broker.bootstrap, topic, payloads)
        found = broker.end(topic, partitions) - before
    finally:
        if partitions not in kept:
            broker.delete(topic)
    expected = contender.records + result.warm_up
    if found != expected:
        told = f"{contender.records} and {result.warm_up} to warm up" if result.warm_up else f"{contender.records}"
        raise BenchError(f"{row_name(group, contender)}: sent {told}, and {found} are in the log: nothing counts")
    return result


def run_turn(group: Group, contender: Contender, bootstrap: str, topic: str, payloads: Payloads) -> TurnResult:
    """One process. Raises BenchError where it fails, hangs, or does not tell what it should."""
    name = row_name(group, contender)
    command = _command(group, contender, bootstrap, topic, payloads)
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TURN_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{name}: a turn has not ended within {TURN_SECONDS} s") from None
    except OSError as error:
        raise BenchError(f"{name}: {shlex.join(command)} cannot be run: {error}") from None
    if done.returncode:
        raise BenchError(f"{name}: a turn has failed with exit code {done.returncode}:\n{done.stderr[-ERROR_TAIL:]}")
    result = parse_turn(name, done.stdout)
    if result.records != contender.records:
        raise BenchError(f"{name}: a turn has sent {result.records} records, not {contender.records}")
    return result


def _command(group: Group, contender: Contender, bootstrap: str, topic: str, payloads: Payloads) -> Sequence[str]:
    places = {
        "bootstrap": bootstrap,
        "topic": topic,
        "records": contender.records,
        "size": group.size,
        "partitions": contender.partitions or group.partitions,
        "keys": group.cardinality,
        "values_file": str(payloads.values(group)),
        "keys_file": str(payloads.keys(group)),
        "compression": group.compression,
        "linger_ms": group.linger_ms,
    }
    if contender.command is not None:
        try:
            return [part.format_map(places) for part in shlex.split(contender.command)]
        except KeyError as missing:
            known = " ".join(f"{{{place}}}" for place in places)
            told = f"{missing} is not filled in: there are {known}"
        except (ValueError, IndexError, AttributeError) as error:
            told = f"{contender.command!r} is not filled in: {error}"
        raise BenchError(f"{row_name(group, contender)}: {told}")
    job = {
        "client": contender.client,
        "way": contender.way,
        "settings": dict(contender.settings),
        "threads": contender.threads,
        **places,
    }
    return [sys.executable, "-m", "benchmarks.producers.turn", json.dumps(job)]


def parse_turn(name: str, output: str) -> TurnResult:
    """The last line that a turn has printed: a JSON object with `records` and `seconds` at least. Raises BenchError."""
    line = (output.strip().splitlines() or [""])[-1]
    try:
        told = json.loads(line)
        result = TurnResult(**{key: told[key] for key in TurnResult.__slots__ if key in told})
        numbers = [value for key in NUMBERS if (value := getattr(result, key)) is not None]
        if not all(type(value) in (int, float) and value >= 0 for value in numbers):
            raise ValueError(f"{', '.join(NUMBERS)}: numbers from 0")
        if not (type(result.records) is int and type(result.warm_up) is int and result.records > 0 < result.seconds):
            raise ValueError("records and warm_up: whole numbers; records and seconds: more than 0")
        if not (isinstance(result.settings, dict) and isinstance(result.details, dict)):
            raise ValueError("settings and details: objects")
    except (ValueError, TypeError) as error:
        wanted = 'the last line of a turn is JSON such as {"records": 1000, "seconds": 0.5}'
        raise BenchError(f"{name}: {wanted}, not {line[:200]!r} ({error})") from None
    return result
