"""A plan: the topics of a judge's cluster, its settings, what goes wrong, and what happens when.

Layer: tools. JSON in, a cluster out; docs/broker.md says what may stand in a plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kproto.tools.broker.commands import CHANGES
from kproto.tools.broker.fault_json import FaultOrder, fault_of
from kproto.tools.broker.fields import Fields, PlanError
from kproto.tools.broker.topic_json import TopicOrder, topic_of
from kproto.tools.judge import FirstSequence, JudgeCluster

__all__ = ["EMPTY", "Plan", "Step", "parse_plan", "read_plan"]

PLAN_BYTES_MAX: Final = 16 << 20
FIRST_SEQUENCES: Final = {one.name.lower(): one for one in FirstSequence}


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the control channel, that the plan gives. at_ms: since the start."""

    at_ms: int
    command: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a plan says. settings: of JudgeCluster."""

    topics: tuple[TopicOrder, ...] = ()
    faults: tuple[FaultOrder, ...] = ()
    steps: tuple[Step, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def give(self, cluster: JudgeCluster) -> None:
        """Topics and faults; the steps are for who has a clock."""
        for topic in self.topics:
            topic.make(cluster)
        for fault in self.faults:
            fault.give(cluster)


EMPTY: Final = Plan()


def parse_plan(value: object) -> Plan:
    """The plan that JSON says. Raises PlanError, which names the place."""
    fields = Fields(value, "")
    topics = tuple(topic_of(name, inner, path) for name, inner, path in fields.entries("topics"))
    faults = tuple(fault_of(Fields(one, path)) for one, path in fields.elements("faults"))
    steps = tuple(_steps(fields))
    settings = dict(_settings(fields))
    fields.done()
    return Plan(topics, faults, steps, settings)


def _settings(fields: Fields) -> Iterator[tuple[str, Any]]:
    if fields.has("first_sequence"):
        yield "first_sequence", fields.choice("first_sequence", FIRST_SEQUENCES)
    for name in ("auto_create_partitions", "producer_expiration_ms"):
        if fields.has(name):
            yield name, fields.number_or_null(name)


def _steps(fields: Fields) -> Iterator[Step]:
    for value, path in fields.elements("steps"):
        step = Fields(value, path)
        at_ms = step.number("at_ms")
        step.choice("do", CHANGES)
        yield Step(at_ms, {key: one for key, one in value.items() if key != "at_ms"})


def read_plan(path: Path) -> Plan:
    """The plan in a file. Raises PlanError, which names the file."""
    try:
        if path.stat().st_size > PLAN_BYTES_MAX:
            raise PlanError(f"{path}: at most {PLAN_BYTES_MAX} bytes can be read")
        return parse_plan(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        raise PlanError(f"{path} cannot be read: {error}") from None
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from None
