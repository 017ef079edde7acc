"""What one seed stands for: settings, topics, the network, what users do, and what goes wrong when; all of it drawn.

    plan = draw_plan(7)
    plan.faults[0].what

A plan is the whole input of a run: it can be cut down (`simulate.shrunk`), printed and run again. Seeds differ in kind,
not only in number (swarm testing): each kind of fault is on or off for a seed, and so is each feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple, TypeVar

__all__ = ["Draw", "Fault", "Plan", "Step", "Surroundings", "TopicPlan"]

T = TypeVar("T")


class Draw:
    """Chance, from `random()` alone, which gives the same on every Python."""

    def __init__(self, *seeds: int) -> None:
        seed = 0
        for one in seeds:
            seed = seed * 1_000_003 + one
        self.random = Random(seed).random

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def below(self, bound: int) -> int:
        return int(self.random() * bound)

    def between(self, least: int, most: int) -> int:
        """Both included."""
        return least + int(self.random() * (most - least + 1))

    def pick(self, *choices: T) -> T:
        return choices[int(self.random() * len(choices))]

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[int(self.random() * len(choices))]


class Fault(NamedTuple):
    """Something that goes wrong at a time. what: a key of `faults.FAULTS`; the rest as that says."""

    at_ms: int
    what: str
    node: int = -1
    topic: str = ""
    partition: int = -1
    ms: int = 0
    count: int = 1
    code: int = 0

    def facts(self) -> dict[str, Any]:
        """What differs from the default, beside what happens and when."""
        defaults = Fault._field_defaults
        return {name: value for name, value in self._asdict().items() if value != defaults.get(name, value)}


class Step(NamedTuple):
    """Something that a user does, not before a time. what: "send", "send_many", "flush", "wait" or "close".

    count: of records; partition: -1 where the partitioner chooses; key: its number, -1 for none; size: bytes of each
    value; ms: the timeout of flush and close, -1 for none; stamped: whether the record brings its timestamp; resends:
    whether its callback sends another record.
    """

    at_ms: int
    user: int
    what: str
    topic: str = ""
    count: int = 1
    partition: int = -1
    key: int = -1
    size: int = 0
    ms: int = -1
    stamped: bool = False
    headers: bool = False
    listens: bool = True
    resends: bool = False


class TopicPlan(NamedTuple):
    """A topic; born_ms: when it is created. config: fields of the judge's TopicConfig."""

    name: str
    partitions: int
    born_ms: int = 0
    config: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What does not change during a run.

    latency_ms: one way, least and most; splits: how often bytes are cut into pieces; window: bytes that may be on their
    way to a broker, 0 for no bound; gathers: how often what happens in one millisecond is told in one pass.
    produce_version: the highest that brokers speak; first_sequence, late_duplicate: see JudgeCluster. first_number:
    where sequences begin in each epoch, 0 in real life (and so they never wrap in a test). epoch_max: the last epoch of
    a producer id. compress_ms: how long another thread compresses a batch, 0 where the sender does it itself. fast:
    whether records go the fast way first.
    """

    nodes: int = 3
    latency_ms: tuple[int, int] = (0, 1)
    splits: float = 0.0
    window: int = 0
    gathers: float = 0.0
    produce_version: int = 13
    first_sequence: str = "ANY"
    late_duplicate: int = 45
    first_number: int = 0
    epoch_max: int = 32767
    compress_ms: int = 0
    fast: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """See the module. settings: of ProducerConfig; quiet_ms: when nothing goes wrong any more. steps: by time."""

    seed: int
    settings: dict[str, Any]
    around: Surroundings
    topics: tuple[TopicPlan, ...]
    steps: tuple[Step, ...]
    faults: tuple[Fault, ...]
    quiet_ms: int

    @property
    def idempotent(self) -> bool:
        return bool(self.settings["enable_idempotence"])

    def lines(self) -> list[str]:
        """The plan in words, for who reads a failure."""
        settings = ", ".join(f"{name}={value}" for name, value in self.settings.items() if name != "bootstrap_servers")
        topics = ", ".join(f"{one.name} x{one.partitions} {dict(one.config) or ''}".strip() for one in self.topics)
        around = self.around
        told = ", ".join(f"{name}={getattr(around, name)}" for name in around.__slots__)
        faults = [f"  {fault.at_ms:>6} ms  {fault.what} {fault.facts()}" for fault in self.faults]
        steps = [f"  {step.at_ms:>6} ms  user {step.user}: {_step(step)}" for step in self.steps]
        return [
            f"settings: {settings}",
            f"around: {told}",
            f"topics: {topics}; quiet from {self.quiet_ms} ms",
            f"{len(faults)} faults:",
            *faults,
            f"{len(steps)} steps:",
            *steps,
        ]


def _step(step: Step) -> str:
    defaults = Step._field_defaults
    left_out = ("at_ms", "user", "what")
    facts = {n: v for n, v in step._asdict().items() if v != defaults.get(n) and n not in left_out}
    return f"{step.what} {facts}"
