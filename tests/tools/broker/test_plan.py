"""Plans: what they say happens, and what they may not say is told with its place."""

from __future__ import annotations

import json

import pytest

from kproto.tools.broker.fields import PlanError
from kproto.tools.broker.plan import Plan, Step, parse_plan, read_plan
from kproto.tools.broker.topic_json import TopicOrder
from kproto.tools.judge import FirstSequence, JudgeCluster

WHOLE = {
    "topics": {"orders": 3, "small": {"max_message_bytes": 200}},
    "faults": [{"fault": "close", "times": 2}, {"fault": "error", "error": "NOT_LEADER_OR_FOLLOWER"}],
    "steps": [{"at_ms": 500, "do": "move_leader", "topic": "orders", "to": 0}],
    "first_sequence": "zero_where_empty",
    "auto_create_partitions": None,
    "producer_expiration_ms": 1000,
}


def test_a_whole_plan():
    plan = parse_plan(WHOLE)
    assert plan.topics[0] == TopicOrder("orders", 3)
    assert plan.steps == (Step(500, {"do": "move_leader", "topic": "orders", "to": 0}),)
    assert plan.settings == {
        "first_sequence": FirstSequence.ZERO_WHERE_EMPTY,
        "auto_create_partitions": None,
        "producer_expiration_ms": 1000,
    }
    cluster = JudgeCluster(1, **plan.settings)
    plan.give(cluster)
    assert set(cluster.image.topics) == {"orders", "small"}
    assert cluster.faults.waiting == 2


def test_an_empty_plan():
    assert parse_plan({}) == Plan()


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        ([], "an object has to stand here"),
        ({"fault": []}, "fault: no such field: did you mean 'faults'?"),
        ({"faults": {}}, "faults: an array has to stand here"),
        ({"faults": [{"fault": "close"}, {"fault": "x"}]}, "faults[1].fault: not 'x'"),
        ({"topics": {"a": {"partitions": 0}}}, "topics.a.partitions"),
        ({"steps": [{"do": "clear_faults"}]}, "steps[0].at_ms is missing"),
        ({"steps": [{"at_ms": 5, "do": "violations"}]}, "steps[0].do: not 'violations'"),
        ({"first_sequence": "one"}, "first_sequence: not 'one'"),
        ({"producer_expiration_ms": -5}, "producer_expiration_ms: an integer from 0 on"),
    ],
    ids=str,
)
def test_what_is_no_plan(plan, text):
    with pytest.raises(PlanError) as raised:
        parse_plan(plan)
    assert text in str(raised.value)


def test_a_file(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(WHOLE))
    assert read_plan(path) == parse_plan(WHOLE)


@pytest.mark.parametrize("text", ["{", '{"faults": 5}', "[" * 100_000, "\xff"])
def test_a_file_that_is_no_plan(tmp_path, text):
    path = tmp_path / "plan.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(PlanError) as raised:
        read_plan(path)
    assert str(path) in str(raised.value)


def test_no_file(tmp_path):
    with pytest.raises(PlanError, match="cannot be read"):
        read_plan(tmp_path / "none.json")
