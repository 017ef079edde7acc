"""Runs seeds: one, many at once, and the smallest plan that still fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from sim.drawing import draw_plan
from sim.faults import FAULTS
from sim.oracle import Violation
from sim.plan import Plan, Step
from sim.planted import PLANTED
from sim.trace import Trace
from sim.world import World

from kproto.producer.events import HeldReason, SendReason

__all__ = ["MARKS", "Outcome", "first_found", "run_plan", "run_seed", "run_seeds", "shrunk"]

CHUNK: Final = 20  # seeds that a process takes at a time
SHRINKS_MAX: Final = 400  # runs that it may take to find the smallest plan

MARKS: Final = (
    *(f"sent {reason.name}" for reason in SendReason),
    *(f"held {reason.name}" for reason in HeldReason if reason is not HeldReason.BACKOFF),  # which nobody tells
    *(f"fault {what}" for what in FAULTS),
    *("BatchRetried", "BatchSplit", "ProducerIdChanged", "delivered", "DeliveryTimeoutError", "InvalidRecordError"),
)
"""What a good number of seeds has to come to: a guard that nothing comes near is not tested."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. violation: the first; marks: what was seen to happen."""

    seed: int
    violation: Violation | None
    records: int
    events: int
    ms: int
    marks: tuple[str, ...]


@contextmanager
def _quiet() -> Iterator[None]:
    """The product warns of what it cannot deliver: here that is what happens all the time."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def run_plan(plan: Plan, trace: Trace | None = None, bug: str | None = None) -> Outcome:
    """Run a plan; bug: the name of one to plant."""
    with _quiet(), ExitStack() as stack:
        if bug is not None:
            stack.enter_context(PLANTED[bug].planted())
        world = World(plan, trace)
        try:
            world.run()
        except Exception as error:
            if bug is None:
                raise
            world.oracle.violated(5, f"it crashes: {error!r}")
        violations = world.oracle.violations
        first = violations[0] if violations else None
        marks = tuple(sorted(world.oracle.marks))
        return Outcome(plan.seed, first, len(world.records), world.events, world.now_ms, marks)


def run_seed(seed: int, trace: Trace | None = None, bug: str | None = None) -> Outcome:
    """Draw the plan of a seed, and run it."""
    return run_plan(draw_plan(seed), trace, bug)


def _run_chunk(seeds: Sequence[int], bug: str | None) -> list[Outcome]:
    return [run_seed(seed, bug=bug) for seed in seeds]


def run_seeds(seeds: range, jobs: int = 1, bug: str | None = None) -> Iterator[Outcome]:
    """Run them in so many processes; they come out as they end. Who stops asking stops the rest."""
    if jobs < 2 or len(seeds) < 2:
        for seed in seeds:
            yield run_seed(seed, bug=bug)
        return
    with ProcessPoolExecutor(jobs) as pool:
        waiting = [pool.submit(_run_chunk, seeds[at : at + CHUNK], bug) for at in range(0, len(seeds), CHUNK)]
        try:
            for future in as_completed(waiting):
                yield from future.result()
        finally:
            for future in waiting:
                future.cancel()


def first_found(bug: str, seeds: range) -> Outcome | None:
    """How the first of the seeds that finds a planted bug ends; None where none does."""
    return next((one for one in run_seeds(seeds, bug=bug) if one.violation is not None), None)


def shrunk(plan: Plan, bug: str | None = None) -> Plan:
    """The plan without what the failure does not need: faults first, then steps, then records. It fails in the same
    part of the oracle."""
    outcome = run_plan(plan, bug=bug)
    assert outcome.violation is not None, f"seed {plan.seed} does not fail"
    part, left = outcome.violation.part, [SHRINKS_MAX]

    def fails(candidate: Plan) -> bool:
        left[0] -= 1
        try:
            violation = run_plan(candidate, bug=bug).violation
        except Exception:
            return False
        return violation is not None and violation.part == part

    def without(found: Sequence[T], fails_with: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
        return _fewest(found, fails_with, left)

    plan = replace(plan, faults=without(plan.faults, lambda some: fails(replace(plan, faults=some))))
    plan = replace(plan, steps=without(plan.steps, lambda some: fails(replace(plan, steps=some))))
    return _plain_steps(
        replace(plan, faults=without(plan.faults, lambda some: fails(replace(plan, faults=some)))), fails
    )


def _fewest(found: Sequence[T], fails: Callable[[tuple[T, ...]], bool], left: list[int]) -> tuple[T, ...]:
    """Delta debugging: drop halves, quarters, ... single ones, for as long as it still fails."""
    kept = tuple(found)
    size = max(1, len(kept) // 2)
    while kept and left[0] > 0:
        at, dropped = 0, False
        while at < len(kept) and left[0] > 0:
            candidate = kept[:at] + kept[at + size :]
            if fails(candidate):
                kept, dropped = candidate, True
            else:
                at += size
        if size == 1 and not dropped:
            break
        size = max(1, size // 2)
    return kept


def _plain_steps(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """Each step that is left, as simple as it can be."""
    simpler: tuple[Callable[[Step], Step], ...] = (
        lambda step: step._replace(count=1),
        lambda step: step._replace(headers=False, stamped=False, resends=False),
        lambda step: step._replace(key=-1),
        lambda step: step._replace(size=0),
    )
    for at in range(min(len(plan.steps), 12)):
        for simplify in simpler:
            steps = list(plan.steps)
            steps[at] = simplify(steps[at])
            candidate = replace(plan, steps=tuple(steps))
            if candidate != plan and fails(candidate):
                plan = candidate
    return plan
