"""Delays that double, vary, and never pass their maximum."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.backoff import ExponentialBackoff

LONG = st.integers(0, 2**63 - 1)
ATTEMPTS = st.integers(0, 10**9)


class Fixed(Random):
    """Draws the same every time."""

    def __init__(self, drawn: float) -> None:
        super().__init__(0)
        self.drawn = drawn

    def random(self) -> float:
        return self.drawn


def delays(backoff: ExponentialBackoff, drawn: float, count: int = 8) -> list[int]:
    return [backoff.delay_ms(attempts, Fixed(drawn)) for attempts in range(count)]


def test_conn_4_the_delay_doubles_up_to_the_maximum():
    assert delays(ExponentialBackoff(50, 1000), 0.5) == [50, 100, 200, 400, 800, 1000, 1000, 1000]


def test_conn_4_the_jitter_is_a_fifth_either_way():
    assert delays(ExponentialBackoff(50, 1000), 0.0) == [40, 80, 160, 320, 640, 800, 800, 800]
    assert delays(ExponentialBackoff(50, 1000), 1 - 1e-12)[:4] == [59, 119, 239, 479]


def test_conn_4_the_maximum_holds_after_the_jitter():
    assert delays(ExponentialBackoff(50, 1000), 1 - 1e-12)[4:] == [959, 1000, 1000, 1000]


@pytest.mark.parametrize("initial_ms", [1000, 1001, 5000])
def test_conn_4_without_room_to_grow_the_delay_is_constant(initial_ms):
    rng = Random(7)
    before = rng.getstate()
    assert {ExponentialBackoff(initial_ms, 1000).delay_ms(attempts, rng) for attempts in range(20)} == {1000}
    assert rng.getstate() == before, "nothing is drawn"


def test_a_backoff_of_nothing_is_nothing():
    assert delays(ExponentialBackoff(0, 0), 0.9) == delays(ExponentialBackoff(0, 1000), 0.9) == [0] * 8


@given(LONG, LONG, ATTEMPTS, st.integers())
def test_conn_4_a_delay_is_an_int_within_its_bounds(initial_ms, max_ms, attempts, seed):
    delay_ms = ExponentialBackoff(initial_ms, max_ms).delay_ms(attempts, Random(seed))
    assert type(delay_ms) is int
    assert 0 <= delay_ms <= max_ms
    if initial_ms < max_ms:
        assert delay_ms >= int(initial_ms * 0.79)


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.integers())
def test_after_enough_failures_the_delay_is_near_the_maximum(initial_ms, growth, seed):
    max_ms = initial_ms + growth
    assert ExponentialBackoff(initial_ms, max_ms).delay_ms(100, Random(seed)) >= int(max_ms * 0.79)


def test_it_is_a_value():
    assert ExponentialBackoff(50, 1000) == ExponentialBackoff(50, 1000) != ExponentialBackoff(50, 999)
    with pytest.raises(AttributeError):
        ExponentialBackoff(50, 1000).initial_ms = 7
