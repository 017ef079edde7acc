"""The page of the session: test_pages.py holds the committed one to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kproto.tools import wire_session_page as module
from kproto.tools.wire_session import read_events, shipped_capture
from kproto.tools.wire_session_page import STEPS, facts_of, wire_session_page

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def page():
    return wire_session_page("Generated.")


def test_it_goes_from_syn_to_the_last_ack(page):
    titles = re.findall(r"^## \d+\. (.*)$", page, re.MULTILINE)
    assert (
        len(titles) == len(STEPS) and titles[0].startswith("SYN") and titles[-2:] == ["The last ack: offset 3", "FIN"]
    )


def test_the_facts_are_those_of_the_bytes():
    facts = facts_of(event.frame.message for event in read_events(shipped_capture()) if event.frame is not None)
    assert facts["second_sequence"] == facts["first_sequence"] + facts["first_count"]
    assert facts["second_offset"] == facts["first_offset"] + facts["first_count"]
    assert facts["records"] == facts["first_count"] + facts["second_count"] == 5
    assert facts["produce_version"] == 13


def test_its_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page):
        name, _, anchor = target.partition("#")
        path = DOCS / name
        assert path.is_file()
        if anchor:
            headings = re.findall(r"^## (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_states_that_it_names_are_those_of_the_machines(page):
    states = (DOCS / "states.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"`([A-Z][A-Z_]+)`", page)):
        assert f"`{name}`" in states


def test_a_session_that_goes_otherwise_is_refused(monkeypatch):
    monkeypatch.setattr(module, "STEPS", STEPS[1:])
    with pytest.raises(ValueError, match="but the steps are"):
        wire_session_page("")
