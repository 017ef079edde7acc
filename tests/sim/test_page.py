"""docs/simulation.md is what `make planted` writes: its text, and a row for each planted bug."""

from __future__ import annotations

from pathlib import Path

from sim.oracle import Violation
from sim.page import page
from sim.planted import PLANTED
from sim.simulate import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "simulation.md"


def prose(text):
    return [line for line in text.splitlines() if line and not line.startswith("| ")]


def test_the_page_in_docs_is_the_current_one():
    text = PAGE.read_text(encoding="utf-8")
    assert prose(text) == prose(page({})), "make planted"
    for bug in PLANTED.values():
        assert bug.guard in text and (bug.thrift or f"| {bug.name} | {bug.guard} | " in text), "make planted"
    assert "not found |" not in text


def test_a_row_says_the_seed_and_what_the_oracle_said():
    outcome = Outcome(7, Violation(5, "a|b", 3), 1, 1, 1, ())
    text = page({"wrap": outcome, "no limit": None, "unresolved": None})
    assert f"| wrap | {PLANTED['wrap'].guard} | 7 | part 5: a\\|b |" in text
    assert f"| no limit | {PLANTED['no limit'].guard} | not found |  |" in text
    assert "| unresolved |" not in text
