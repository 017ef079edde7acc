"""How soon the next request may go: two backoffs, each with its jitter drawn once."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from kproto.client.backoff import ExponentialBackoff
from kproto.client.metadata_pace import RefreshPace


def pace(initial_ms: int = 100, max_ms: int = 1000) -> RefreshPace:
    return RefreshPace(ExponentialBackoff(initial_ms, max_ms), Random(1))


def test_meta_10_the_first_request_goes_at_once():
    assert pace().allowed_at_ms(False) < -(2**62)


def test_meta_10_failures_slow_down_to_the_maximum():
    it = pace()
    delays = []
    for _ in range(6):
        it.failed(1000)
        delays.append(it.allowed_at_ms(False) - 1000)
    nominal = [100, 200, 400, 800, 1000, 1000]
    assert all(0.8 * want <= got <= min(1000, 1.2 * want) for want, got in zip(nominal, delays, strict=True)), delays


def test_trap_73_answers_without_news_slow_down_and_news_end_that():
    it = pace()
    for want in (100, 200, 400, 800, 1000):
        it.answered(False, 0)
        assert it.allowed_at_ms(False) >= 0.8 * want
    it.answered(True, 0)
    assert it.equivalents == 0
    assert 80 <= it.allowed_at_ms(False) <= 120


def test_meta_10_a_periodic_refresh_does_not_mind_answers_without_news():
    it = pace()
    for _ in range(5):
        it.answered(False, 0)
    assert it.allowed_at_ms(True) <= 120 < it.allowed_at_ms(False)


def test_meta_12_a_failure_forgets_answers_without_news_and_an_answer_forgets_failures():
    it = pace()
    it.answered(False, 0)
    it.failed(0)
    assert (it.failures, it.equivalents) == (1, 0)
    it.failed(0)
    it.answered(True, 0)
    assert (it.failures, it.equivalents) == (0, 0)


def test_meta_11_a_release_lets_the_next_request_go_but_remembers_failures():
    it = pace()
    it.failed(0)
    it.release()
    assert it.allowed_at_ms(False) < 0
    it.failed(0)
    assert it.allowed_at_ms(False) >= 160


def test_meta_10_a_deadline_does_not_wander():
    it = pace()
    it.failed(0)
    assert len({it.allowed_at_ms(False) for _ in range(10)}) == 1


@given(st.lists(st.sampled_from(["failed", "news", "none"]), min_size=1), st.integers(1, 500), st.integers(1, 2000))
def test_meta_10_the_wait_is_never_above_the_maximum(events, initial_ms, max_ms):
    it = pace(initial_ms, max_ms)
    for event in events:
        if event == "failed":
            it.failed(0)
        else:
            it.answered(event == "news", 0)
        assert 0 <= it.allowed_at_ms(False) <= max_ms
