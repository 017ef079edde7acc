"""Plans: each seed has one, that a producer can be made of; together they come to everything."""

from __future__ import annotations

from collections import Counter

from sim.drawing import draw_plan
from sim.faults import FAULTS
from sim.plan import Draw

from kproto.producer.config import ProducerConfig

SEEDS = range(400)
PLANS = [draw_plan(seed) for seed in SEEDS]


def test_the_same_seed_draws_the_same_plan():
    assert [draw_plan(seed) for seed in range(20)] == PLANS[:20]
    assert len({str(plan.lines()) for plan in PLANS}) == len(PLANS)


def test_each_plan_is_one_that_a_producer_takes():
    for plan in PLANS:
        config = ProducerConfig.of(**plan.settings)
        assert config.enable_idempotence is plan.idempotent
        assert not config.adjustments


def test_everything_happens_before_it_gets_quiet_and_in_order():
    for plan in PLANS:
        for found in (plan.faults, plan.steps):
            assert [one.at_ms for one in found] == sorted(one.at_ms for one in found)
            assert all(0 <= one.at_ms < plan.quiet_ms for one in found)


def test_every_fault_and_every_feature_is_drawn_and_none_always():
    faults = Counter(what for plan in PLANS for what in {fault.what for fault in plan.faults})
    assert set(faults) == set(FAULTS)
    assert max(faults.values()) < len(PLANS) * 0.6
    for name in ("enable_idempotence", "acks", "linger_ms", "batch_size"):
        assert len({plan.settings[name] for plan in PLANS}) > 1
    for feature in ("fast", "splits", "window", "compress_ms", "first_number"):
        assert len({bool(getattr(plan.around, feature)) for plan in PLANS}) == 2
    assert {step.what for plan in PLANS for step in plan.steps} == {"send", "send_many", "flush", "wait", "close"}


def test_a_plan_tells_itself():
    plan = next(plan for plan in PLANS if plan.faults)
    text = "\n".join(plan.lines())
    assert plan.faults[0].what in text and f"{len(plan.steps)} steps" in text


def test_draws_stay_within_their_bounds():
    draw = Draw(7)
    assert {draw.between(3, 5) for _ in range(100)} == {3, 4, 5}
    assert {draw.below(2) for _ in range(50)} == {0, 1}
    assert {draw.pick("a", "b") for _ in range(50)} == {"a", "b"}
    assert not draw.chance(0.0) and draw.chance(1.0)
    assert [Draw(7, 1).below(1000) for _ in range(3)] != [Draw(7, 2).below(1000) for _ in range(3)]
