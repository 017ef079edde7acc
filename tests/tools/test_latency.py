"""Percentiles from buckets, beside those of all durations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.latency import LatencyHistogram

DURATIONS = st.integers(0, 1 << 40) | st.integers(0, 200)


def histogram(durations):
    made = LatencyHistogram()
    for duration in durations:
        made.add(duration)
    return made


@given(st.lists(DURATIONS, min_size=1), st.floats(0.1, 100))
def test_a_percentile_is_at_most_a_32nd_too_long_and_never_too_short(durations, percent):
    told = histogram(durations).percentile_us(percent)
    exact = sorted(durations)[max(0, -int(-len(durations) * percent // 100) - 1)]
    assert exact <= told <= exact + exact // 32 + 1
    assert told <= max(durations)


@given(st.lists(DURATIONS, min_size=1))
def test_count_and_longest_are_exact(durations):
    made = histogram(durations)
    assert (made.count, made.longest_us, made.percentile_us(100)) == (len(durations), max(durations), max(durations))


def test_none_at_all():
    assert LatencyHistogram().percentile_us(50) == 0


def test_memory_does_not_grow_with_the_number():
    made = histogram(range(100_000))
    assert len(made._buckets) < 500
