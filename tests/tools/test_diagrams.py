"""Diagrams: they say what the tables say, and the committed page is theirs."""

from __future__ import annotations

import re
import runpy
from enum import Enum, auto
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools import diagrams
from kproto.tools.diagrams import MACHINES, Machine, mermaid, page

PAGE = Path(__file__).parents[2] / "docs" / "states.md"


class Door(Enum):
    """Of a house."""

    OPEN = auto()
    SHUT = auto()
    LOCKED = auto()
    BROKEN = auto()


class Act(Enum):
    """What is done to it."""

    PUSH = auto()
    PULL = auto()
    TURN = auto()
    KICK = auto()


DOOR = {
    (Door.OPEN, Act.PUSH): Door.SHUT,
    (Door.OPEN, Act.PULL): Door.SHUT,
    (Door.SHUT, Act.PULL): Door.OPEN,
    (Door.SHUT, Act.TURN): Door.LOCKED,
    (Door.LOCKED, Act.TURN): Door.SHUT,
    (Door.LOCKED, Act.PUSH): Door.LOCKED,
    (Door.OPEN, Act.KICK): Door.BROKEN,
    (Door.SHUT, Act.KICK): Door.BROKEN,
    (Door.LOCKED, Act.KICK): Door.BROKEN,
}


def steps_of(diagram, transitions):
    """The steps that a diagram shows, "any other state" spelled out; and the states that begin and end it."""
    names = {state.name for state in (*(before for before, _ in transitions), *transitions.values())}
    steps, begin, end = set(), set(), set()
    for line in diagram.splitlines():
        match = re.fullmatch(r"    (\S+) --> (\S+?)(?:: (.+))?", line)
        if match is None:
            continue
        before, after, events = match.groups()
        if before == "[*]":
            begin.add(after)
        elif after == "[*]":
            end.add(before)
        else:
            sources = names - {after} if before == "any_other_state" else {before}
            steps |= {(source, event, after) for source in sources for event in events.split(", ")}
    return steps, begin, end


def test_a_diagram_joins_events_and_draws_the_common_step_once():
    assert mermaid('A "door"', DOOR, Door.OPEN).splitlines() == [
        "---",
        'title: "A \\"door\\""',
        "---",
        "stateDiagram-v2",
        "    [*] --> OPEN",
        "    OPEN --> SHUT: PUSH, PULL",
        "    SHUT --> OPEN: PULL",
        "    SHUT --> LOCKED: TURN",
        "    LOCKED --> SHUT: TURN",
        "    LOCKED --> LOCKED: PUSH",
        '    state "any other state" as any_other_state',
        "    any_other_state --> BROKEN: KICK",
        "    BROKEN --> [*]",
    ]


def test_a_common_end_may_step_to_itself():
    lines = mermaid("door", DOOR | {(Door.BROKEN, Act.KICK): Door.BROKEN}).splitlines()
    assert lines[-4:] == [
        "    BROKEN --> BROKEN: KICK",
        '    state "any other state" as any_other_state',
        "    any_other_state --> BROKEN: KICK",
        "    BROKEN --> [*]",
    ]


def test_a_step_that_one_state_lacks_is_drawn_for_each():
    some = {pair: after for pair, after in DOOR.items() if pair != (Door.OPEN, Act.KICK)}
    diagram = mermaid("door", some)
    assert "any other state" not in diagram
    assert "    SHUT --> BROKEN: KICK\n    LOCKED --> BROKEN: KICK\n" in diagram
    assert "[*] -->" not in diagram


def test_few_states_have_arrows_of_their_own():
    few = {(Door.OPEN, Act.KICK): Door.BROKEN, (Door.SHUT, Act.KICK): Door.BROKEN}
    assert "any other state" not in mermaid("door", few)


@given(st.dictionaries(st.tuples(st.sampled_from(Door), st.sampled_from(Act)), st.sampled_from(Door), min_size=1))
def test_a_diagram_shows_the_steps_of_the_table_and_no_others(table):
    diagram = mermaid("door", table, Door.OPEN)
    assert diagram == mermaid("door", dict(table), Door.OPEN)
    steps, begin, end = steps_of(diagram, table)
    assert steps == {(before.name, event.name, after.name) for (before, event), after in table.items()}
    assert begin == {"OPEN"}
    states = {before for before, _ in table} | set(table.values())
    left = {before for (before, _), after in table.items() if before is not after}
    assert end == {state.name for state in states - left}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.title)
def test_each_machine_is_drawn_whole(machine):
    diagram = mermaid(machine.title, machine.transitions, machine.initial)
    steps, begin, _ = steps_of(diagram, machine.transitions)
    assert steps == {(before.name, event.name, after.name) for (before, event), after in machine.transitions.items()}
    assert begin == {machine.initial.name}
    assert machine.sentence.endswith(".")


def test_a_page_has_a_section_for_each_machine():
    one = {(Door.OPEN, Act.PUSH): Door.SHUT}
    made = page([Machine("Door", "It opens.", one, None), Machine("Gate", "As well.", one, Door.OPEN)])
    assert '\n## Gate\n\nAs well.\n\n```mermaid\n---\ntitle: "Gate"\n' in made
    assert made.endswith("\n```\n\n| state | event | next state |\n| --- | --- | --- |\n| `OPEN` | `PUSH` | `SHUT` |\n")
    assert made.count("```mermaid\n") == 2


def test_the_committed_page_is_what_the_tables_give():
    assert PAGE.read_text(encoding="utf-8") == page(), "run make docs"


def test_the_command_writes_the_page(capsys):
    assert diagrams.main() == 0
    assert capsys.readouterr().out == page()
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(diagrams.__file__, run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out == page()
