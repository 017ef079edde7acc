"""Passes for full batches come at once while nothing is due, and with gaps that follow what they take."""

from __future__ import annotations

import pytest

from kproto.producer.pace import CALLS_MANY, GAP_MAX_NS, GAP_NS, LONG_NS, PassPace


def test_the_first_pass_is_made_at_once_and_so_is_every_one_while_no_answer_is_due():
    pace = PassPace()
    assert pace.allows(1, 0)
    pace.passed(0, 10)
    assert pace.allows(0, 10) and not pace.allows(1, 10)


@pytest.mark.parametrize(
    ("took_ns", "gap_ns"),
    [
        (0, GAP_NS),
        (GAP_NS // 3, GAP_NS),
        (GAP_NS, GAP_NS * 3 // 2),
        (LONG_NS, LONG_NS * 3),
        (10 * GAP_MAX_NS, GAP_MAX_NS),
    ],
)
def test_the_gap_grows_with_what_the_pass_took_within_bounds(took_ns, gap_ns):
    pace = PassPace()
    began_ns = 7_000_000
    ended_ns = began_ns + took_ns
    pace.passed(began_ns, ended_ns)
    assert not pace.allows(1, ended_ns + gap_ns - 1) and pace.allows(1, ended_ns + gap_ns)


def test_with_many_calls_answers_are_read_soon():
    pace = PassPace()
    pace.passed(0, 10 * GAP_MAX_NS)
    at_ns = 10 * GAP_MAX_NS + GAP_NS
    assert pace.allows(CALLS_MANY, at_ns) and not pace.allows(CALLS_MANY, at_ns - 1)
    assert not pace.allows(CALLS_MANY - 1, at_ns)
