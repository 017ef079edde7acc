"""What the parent and the workers of `tests/properties.py` tell each other.

Workers have nothing in common but a folder. Each gets a Task, collects everything, claims one case after the other by
creating a file there, and appends its events to a file of its own, one JSON object a line:

    {"event": "plan", "known": [property, ...], "plan": {property: [cases, examples of each case]}}
    {"event": "start", "property": property}
    {"event": "case", ...}  the fields of Case

A property is named `wire/test_varint::test_round_trip`: its file below the folder of tests, and its function.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

OPTION: Final = "--property-task"  # of properties_plugin.py: a Task as JSON
CASE_EXAMPLES_MIN: Final = 25  # of a parametrized case, unless fewer are asked for the whole property


@dataclass(frozen=True)
class Task:
    """What a worker is told. `examples` is for each property; `tests` and `folder` are absolute paths."""

    folder: str
    tests: str
    worker: int
    seed: int
    examples: int
    parent: int  # process id

    @property
    def events(self) -> Path:
        """The file with this worker's events."""
        return Path(self.folder) / f"events-{self.worker}.jsonl"


@dataclass
class Case:
    """What became of a case; `case` is the parameters' id, or empty.

    `outcome` is held, failed, skipped, stopped (by a health check) or unfinished (by Ctrl-C).
    """

    property: str
    case: str
    asked: int = 0  # examples
    examples: int = 0  # that really ran, those of the search for the smallest counterexample included
    seconds: float = 0.0
    outcome: str = "held"
    counterexample: str = ""
    error: str = ""  # with its place; or why the case was skipped, or which health check stopped it


def case_examples(examples: int, cases: int) -> int:
    """Examples of each case, so that all cases together run at least as many as asked."""
    return min(examples, max(CASE_EXAMPLES_MIN, -(-examples // cases)))
