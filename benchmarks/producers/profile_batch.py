"""What comes once a batch, on a real Apache Kafka: the time of both threads by part, held against the process's.

Each turn is a process of its own; turns with and without the meter take turns, so that what measuring does is seen.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.producers.profile_record import Middle
from benchmarks.producers.profile_turn import ARGUMENTS, JOINING, PARTS
from benchmarks.producers.rows import Contender, Group
from benchmarks.producers.runs import Broker, Payloads, TurnResult, run_group

__all__ = ["GROWTHS", "BatchCosts", "BatchPart", "batch_costs", "group_of", "measure_batches"]

GROWTHS: Final = (0, 262_144)  # bytes: batch_growth_max_bytes
RECORDS: Final = 300_000
KINDS: Final = ("measured", "plain")
MODULE: Final = "benchmarks.producers.profile_turn"


@dataclass(frozen=True, slots=True)
class BatchPart:
    """ns a record, us a batch, calls a batch, and how much of it the producer's own thread did, from 0 to 1."""

    record_ns: Middle
    batch_us: Middle
    calls: float
    own: float


@dataclass(frozen=True, slots=True)
class BatchCosts:
    """growth: batch_growth_max_bytes; records: of a batch; the rest in ns a record.

    known: all parts together; measuring: what the meter took; process: all threads, as the system counts them; unknown:
    what of that is neither known nor measuring; plain: the process without a meter.
    """

    growth: int
    rounds: int
    records: float
    parts: Mapping[str, BatchPart]
    known: Middle
    measuring: Middle
    process: Middle
    unknown: Middle
    plain: Middle


def group_of(records: int) -> Group:
    """Who takes turns: each growth, with and without the meter."""
    return Group("profile", "12 partitions, 100 B", tuple(_contenders(records)))


def _contenders(records: int) -> Iterator[Contender]:
    places = [f"{{{name}}}" for name in ARGUMENTS[:-2]]
    for growth in GROWTHS:
        for kind in KINDS:
            command = [shlex.quote(sys.executable), "-m", MODULE, *places, str(growth), kind]
            yield Contender(_name(growth, kind), "external", "external", records, command=" ".join(command))


def _name(growth: int, kind: str) -> str:
    return f"growth {growth} {kind}"


def measure_batches(
    rounds: int, broker: Broker, folder: Path, records: int = RECORDS, progress: Callable[[], None] = lambda: None
) -> list[BatchCosts]:
    """Of each growth, after a round that counts for nothing. folder: for the payloads. Raises BenchError."""
    group = group_of(records)
    payloads = Payloads(folder, [group])
    run_group(replace(group, name="profile-warm-up"), 1, broker, payloads, lambda _: progress())
    turns = run_group(group, rounds, broker, payloads, lambda _: progress())
    return [batch_costs(growth, *(turns[_name(growth, kind)] for kind in KINDS)) for growth in GROWTHS]


def batch_costs(growth: int, measured: Sequence[TurnResult], plain: Sequence[TurnResult]) -> BatchCosts:
    """Of turns with and without a meter, a round each."""
    details = [turn.details for turn in measured]
    counts = [turn.records for turn in measured]
    known = [sum(ns["sender"] + ns["own"] for ns in each["parts"].values()) for each in details]
    measuring = [each["measuring"] for each in details]
    process = [_cpu_ns(turn) for turn in measured]
    unknown = [whole - one - other for whole, one, other in zip(process, known, measuring, strict=True)]

    def a_record(figures: Sequence[float]) -> Middle:
        return Middle.of([figure / count for figure, count in zip(figures, counts, strict=True)])

    return BatchCosts(
        growth=growth,
        rounds=len(measured),
        records=sum(counts) / sum(map(_batches, details)),
        parts={name: _part(name, details, counts) for name in PARTS},
        known=a_record(known),
        measuring=a_record(measuring),
        process=a_record(process),
        unknown=a_record(unknown),
        plain=Middle.of([_cpu_ns(turn) / turn.records for turn in plain]),
    )


def _cpu_ns(turn: TurnResult) -> float:
    assert turn.cpu_seconds is not None
    return turn.cpu_seconds * 1e9


def _batches(details: Mapping[str, Any]) -> int:
    count: int = details["parts"][JOINING]["calls"]
    return count


def _part(name: str, details: Sequence[Mapping[str, Any]], counts: Sequence[int]) -> BatchPart:
    found = [each["parts"][name] for each in details]
    batches = [_batches(each) for each in details]
    taken = [one["sender"] + one["own"] for one in found]
    whole = sum(taken)
    return BatchPart(
        Middle.of([ns / count for ns, count in zip(taken, counts, strict=True)]),
        Middle.of([ns / count / 1e3 for ns, count in zip(taken, batches, strict=True)]),
        sum(one["calls"] for one in found) / sum(batches),
        sum(one["own"] for one in found) / whole if whole > 0 else 0.0,
    )
