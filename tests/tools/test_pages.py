"""The committed pages are what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from kproto.producer.outcome import OUTCOMES, Action
from kproto.tools.pages import ACTIONS, PAGES, main, outcomes_page

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_current(name, capsys):
    main(name)
    assert capsys.readouterr().out == (DOCS / f"{name}.md").read_text(encoding="utf-8")


def test_sender_16_each_code_has_one_row():
    rows = [line for line in outcomes_page().splitlines() if line.startswith("| ") and line[2] in "-0123456789"]
    assert len(rows) == len(OUTCOMES) + 1  # and the line under the heads
    assert set(ACTIONS) == set(Action)
    assert "| 6 | NOT_LEADER_OR_FOLLOWER | sent again, unchanged, after a backoff | possibly | refreshed |" in rows
    assert "| 10 | MESSAGE_TOO_LARGE | sent again in smaller batches; a single record fails | no |  |" in rows
