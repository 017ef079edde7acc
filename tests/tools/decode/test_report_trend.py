"""Steps that grow with the capture, beside all the answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode.report_trend import STEP_NS, STEPS_MAX, Trend

ANSWERS = st.lists(st.tuples(st.integers(0, 1 << 62) | st.integers(0, 10**9), st.integers(0, 10**6), st.booleans()))


@given(ANSWERS)
def test_each_answer_is_in_its_step(answers):
    trend = Trend()
    for answer in answers:
        trend.add(*answer)
    assert trend.count == len(answers)
    assert len(trend.steps) == len(trend.failed) <= STEPS_MAX
    for index, (step, failed) in enumerate(zip(trend.steps, trend.failed, strict=True)):
        mine = [each for each in answers if max(0, each[0] - trend.origin_ns) // trend.step_ns == index]
        assert (step.count, step.total, failed) == (
            len(mine),
            sum(each[1] for each in mine),
            sum(each[2] for each in mine),
        )


@given(ANSWERS.filter(len), st.integers(1, 50))
def test_fewer_steps_hold_the_same_answers(answers, steps):
    trend = Trend()
    for answer in answers:
        trend.add(*answer)
    before = (trend.count, len(trend.steps), trend.step_ns)
    coarse = trend.coarse(steps)
    assert len(coarse.steps) <= steps
    assert (coarse.count, sum(coarse.failed)) == (len(answers), sum(each[2] for each in answers))
    assert (trend.count, len(trend.steps), trend.step_ns) == before, "it is a copy"


def test_a_step_lasts_no_longer_than_it_must():
    trend = Trend()
    trend.add(0, 1, False)
    trend.add(STEP_NS * STEPS_MAX - 1, 1, False)
    assert trend.step_ns == STEP_NS
    trend.add(STEP_NS * STEPS_MAX, 1, False)
    assert trend.step_ns == 2 * STEP_NS


def test_nothing():
    assert (Trend().count, Trend().origin_ns) == (0, None)
