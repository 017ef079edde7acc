"""The histogram beside all the numbers that it counted."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode.histogram import Histogram

NUMBERS = st.lists(st.integers(0, 1 << 62) | st.integers(0, 200))


def histogram(numbers):
    made = Histogram()
    for number in numbers:
        made.add(number)
    return made


@given(NUMBERS)
def test_sum_mean_and_greatest_are_exact(numbers):
    made = histogram(numbers)
    assert (made.count, made.total, made.most) == (len(numbers), sum(numbers), max(numbers, default=0))
    assert made.mean == (sum(numbers) / len(numbers) if numbers else 0)


@given(NUMBERS.filter(len), st.floats(0.1, 100))
def test_a_percentile_is_at_most_a_32nd_too_great_and_never_too_small(numbers, percent):
    told = histogram(numbers).percentile(percent)
    exact = sorted(numbers)[max(0, -int(-len(numbers) * percent // 100) - 1)]
    assert exact <= told <= exact + exact // 32 + 1


@given(NUMBERS, NUMBERS)
def test_two_make_one(some, others):
    made = histogram(some)
    made.merge(histogram(others))
    assert vars(made) == vars(histogram([*some, *others]))


@given(NUMBERS)
def test_each_number_is_in_one_bar(numbers):
    bars = histogram(numbers).bars()
    assert [bar.many for bar in bars] == [sum(bar.low <= each <= bar.high for each in numbers) for bar in bars]
    assert sum(bar.many for bar in bars) == len(numbers)
    assert all(one.high + 1 == other.low for one, other in pairwise(bars))
    assert len(bars) <= 64


def test_less_than_nothing_is_nothing():
    made = histogram([-5])
    assert (made.count, made.total, made.most) == (1, 0, 0)
