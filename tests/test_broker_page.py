"""docs/broker.md can not lie: its programs run, its plan is one, its tables name what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kproto.tools.broker import Broker, parse_plan
from kproto.tools.broker.broker_command import broker as command
from kproto.tools.broker.commands import CHANGES, run_command
from kproto.tools.broker.fault_json import FAULTS, POINTS
from kproto.tools.broker.plan import FIRST_SEQUENCES
from kproto.tools.broker.questions import QUESTIONS
from kproto.tools.judge import JudgeCluster, TopicConfig
from kproto.tools.judge.apis import VERSIONS
from kproto.wire import ApiKey
from kproto.wire.versions import show_versions

PAGE = (Path(__file__).parents[1] / "docs" / "broker.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", PAGE, re.MULTILINE | re.DOTALL)
(PLAN,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def first_cells(title):
    """The names in the first column of the table whose head has this title."""
    table = PAGE.partition(f"\n| {title} |")[2].partition("\n\n")[0]
    return {name for line in table.splitlines()[2:] for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])}


@pytest.mark.parametrize(("program", "shown"), PROGRAMS, ids=["fixture", "block"])
def test_the_programs_run(program, shown, capsys):
    """A test in them is given a broker as its marker says."""
    assert len(program.strip().splitlines()) <= 10
    scope: dict[str, Any] = {"__name__": "page"}
    exec(compile(program, "broker.md", "exec"), scope)
    for name, value in list(scope.items()):
        if name.startswith("test_"):
            (marker,) = value.pytestmark
            with Broker(*marker.args, **marker.kwargs) as broker:
                value(broker)
    assert capsys.readouterr().out == shown


def test_a_program_that_is_wrong_would_be_found():
    program = PROGRAMS[0][0].replace('[b"paid"]', '[b"paid", b"paid"]')
    scope: dict[str, Any] = {"__name__": "page"}
    exec(compile(program, "broker.md", "exec"), scope)
    with Broker({"orders": 3}) as broker, pytest.raises(AssertionError):
        scope["test_a_lost_answer_doubles_nothing"](broker)


def test_the_plan_is_one():
    plan = parse_plan(json.loads(PLAN))
    cluster = JudgeCluster(3, **plan.settings)
    plan.give(cluster)
    for step in plan.steps:
        assert run_command(cluster, step.command) == {}


def test_the_tables_name_all_there_is():
    assert first_cells("`fault`") == set(FAULTS)
    assert first_cells("`at`") == set(POINTS)
    assert first_cells("`do`") == {*CHANGES, *QUESTIONS}
    for name in (*FIRST_SEQUENCES, *TopicConfig.__dataclass_fields__):
        assert f"`{name}`" in PAGE, name


def test_the_options_are_there():
    told = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert told == {option for one in command.params for option in one.opts}


def test_the_versions_are_those_that_are_served():
    for key, versions in VERSIONS.items():
        first = 3 if key == ApiKey.PRODUCE else versions.start
        assert f"{ApiKey(key).message_name} {show_versions(range(first, versions.stop))}" in PAGE
