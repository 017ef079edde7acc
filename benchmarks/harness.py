"""Times contenders side by side, and says what the times come to.

Pure but for the clock that it is given. Seconds everywhere; a time is for one unit of a row, such as a record.

Contenders take turns, several in a round, and in reverse every other round: so a slow moment of the machine meets them
all. Within a round each is run many times and the least time counts; over the rounds, the median.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from timeit import Timer
from typing import Any, Final, NamedTuple

__all__ = ["Contender", "Disagreement", "Measured", "Plan", "Row", "RowResult", "check", "measure", "plan"]

Clock = Callable[[], float]

ROUND_SECONDS: Final = 0.15  # that one contender may take in a round
SAMPLE_SECONDS_MIN: Final = 0.0005  # shorter runs are timed many at once, so that the clock's own time is nothing
CALLS_MAX: Final = 16_384
TURNS: Final = 3  # of each contender in a round
SAMPLES_MIN: Final = 2  # in a turn
SAMPLES_MAX: Final = 1_000


class Disagreement(AssertionError):
    """Two contenders of a row do not do the same work."""


@dataclass(frozen=True)
class Contender:
    """One way to do the work of a row.

    run: what is timed. result: what that comes to, in terms that all contenders of the row share. times_itself: whether
    `run` returns its seconds, because they are another process's; it is then run once a round, and has no result.
    """

    name: str
    run: Callable[[], Any]
    result: Callable[[], object] = lambda: None
    times_itself: bool = False


@dataclass(frozen=True)
class Row:
    """A line of the table: some work, and who does it; the first contender is kproto, which ratios are about.

    unit, units: what a time is for ("record"), and how many of them one run handles. contenders: makes them, with all
    data that they need; called once, when the row is measured. rounds_min: for rows that need more than others. note:
    what else there is to say, once the row is measured.
    """

    name: str
    about: str
    unit: str
    units: int
    contenders: Callable[[], Sequence[Contender]]
    rounds_min: int = 1
    note: Callable[[], str] = lambda: ""


@dataclass(frozen=True)
class Measured:
    """A contender's times: seconds for one unit, the least of each round."""

    name: str
    times: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.times)

    @property
    def range(self) -> tuple[float, float]:
        """Seconds: of the fastest and of the slowest round."""
        return min(self.times), max(self.times)


@dataclass(frozen=True)
class RowResult:
    """What a row came to."""

    row: Row
    measured: tuple[Measured, ...]
    note: str = ""

    def ratios(self, peer: Measured) -> tuple[float, ...]:
        """kproto's time by the peer's in each round: below 1, kproto is faster."""
        return tuple(ours / theirs for ours, theirs in zip(self.measured[0].times, peer.times, strict=True))


class Plan(NamedTuple):
    """What a contender does in a round: `turns`, in each `samples`, in each `calls` runs in a row."""

    turns: int
    samples: int
    calls: int


def check(row: str, contenders: Sequence[Contender]) -> None:
    """Raises Disagreement unless all contenders come to the result of the first."""
    expected = contenders[0].result()
    for contender in contenders[1:]:
        if contender.result() != expected:
            raise Disagreement(f"{row}: {contender.name} and {contenders[0].name} come to different results")


def plan(contender: Contender, clock: Clock, round_seconds: float = ROUND_SECONDS) -> Plan:
    """Turns that fit into `round_seconds`, of runs that the clock can tell apart; the runs of finding out warm up."""
    if contender.times_itself:
        contender.run()
        return Plan(1, 1, 1)
    timer = Timer(contender.run, timer=clock)
    timer.timeit(1)
    calls = 1
    while (taken := timer.timeit(calls)) < SAMPLE_SECONDS_MIN and calls < CALLS_MAX:
        calls *= 2
    samples = int(round_seconds / TURNS / taken) if taken > 0 else SAMPLES_MAX
    return Plan(TURNS, min(max(samples, SAMPLES_MIN), SAMPLES_MAX), calls)


def measure(
    row: Row,
    rounds: int,
    *,
    clock: Clock = time.perf_counter,
    round_seconds: float = ROUND_SECONDS,
    progress: Callable[[], None] = lambda: None,
) -> RowResult:
    """The row, once its contenders agree. progress: called after each round. Raises Disagreement."""
    contenders = row.contenders()
    check(row.name, contenders)
    plans = [plan(contender, clock, round_seconds) for contender in contenders]
    times: list[list[float]] = [[] for _ in contenders]
    gc.collect()
    for number in range(max(rounds, row.rounds_min)):
        order = range(len(contenders))[:: -1 if number % 2 else 1]
        for index, seconds in _round(contenders, plans, order, clock).items():
            times[index].append(seconds / row.units)
        progress()
    measured = tuple(Measured(contender.name, tuple(its)) for contender, its in zip(contenders, times, strict=True))
    return RowResult(row, measured, row.note())


def _round(contenders: Sequence[Contender], plans: Sequence[Plan], order: range, clock: Clock) -> dict[int, float]:
    """Index of each contender -> seconds of its fastest run."""
    least: dict[int, float] = {}
    for turn in range(TURNS):
        for index in order:
            if turn < plans[index].turns:
                seconds = _turn(contenders[index], plans[index], clock)
                least[index] = min(seconds, least.get(index, seconds))
    return least


def _turn(contender: Contender, todo: Plan, clock: Clock) -> float:
    """Seconds of the fastest run in a turn; `Timer` keeps the garbage collector off meanwhile."""
    if contender.times_itself:
        return float(contender.run())
    return min(Timer(contender.run, timer=clock).repeat(todo.samples, todo.calls)) / todo.calls
