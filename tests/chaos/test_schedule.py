"""Schedules: from the seed alone, within their round, and of every kind."""

from __future__ import annotations

from chaos.schedule import CUT_AFTER_BYTES, NODES, QUIET_MS, LinkFault, NodeFault, schedule_of
from hypothesis import given
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32)


@given(SEEDS, st.integers(1000, 60_000))
def test_a_seed_is_the_whole_schedule(seed, load_ms):
    assert schedule_of(seed, load_ms) == schedule_of(seed, load_ms)


def test_a_seed_is_the_same_schedule_on_every_machine():
    """Else a seed from CI would say nothing."""
    schedule = schedule_of(7)
    assert str(schedule.disaster) == "1977 ms: pause node 2, back after 2943 ms"
    assert len(schedule.troubles) == 25


@given(SEEDS, st.integers(1000, 60_000))
def test_all_faults_end_within_the_load(seed, load_ms):
    schedule = schedule_of(seed, load_ms)
    disaster = schedule.disaster
    assert 0 < disaster.at_ms < disaster.at_ms + disaster.span_ms <= load_ms and disaster.node in range(NODES)
    times = [trouble.at_ms for trouble in schedule.troubles]
    assert times == sorted(times) and times[0] == QUIET_MS
    for trouble in schedule.troubles:
        assert trouble.at_ms + trouble.span_ms <= load_ms and trouble.node in range(NODES)
        assert CUT_AFTER_BYTES[0] <= trouble.amount <= CUT_AFTER_BYTES[1]


@given(SEEDS)
def test_three_seeds_in_a_row_have_every_fault_of_a_node(seed):
    assert {schedule_of(seed + more).disaster.fault for more in range(3)} == set(NodeFault)


def test_a_few_seeds_have_every_fault_of_a_link_at_every_node():
    met = {(trouble.fault, trouble.node) for seed in range(10) for trouble in schedule_of(seed).troubles}
    assert met == {(fault, node) for fault in LinkFault for node in range(NODES)}


def test_a_schedule_tells_all_of_itself():
    schedule = schedule_of(3)
    text = str(schedule)
    assert text.startswith("seed 3, load 12000 ms") and len(text.splitlines()) == 2 + len(schedule.troubles)
