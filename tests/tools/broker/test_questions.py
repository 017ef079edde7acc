"""What the control channel tells."""

from __future__ import annotations

import json

import pytest
from tools.judge.judging import AT_MS, JudgeTalk, batch

from kproto.tools.broker.commands import run_command
from kproto.tools.broker.fields import PlanError
from kproto.tools.broker.questions import QUESTIONS
from kproto.tools.judge import JudgeCluster, Node


@pytest.fixture
def cluster():
    made = JudgeCluster({0: Node("localhost", 9092)}, {"orders": 2})
    talk = JudgeTalk(made)
    talk.produce(batch(0, 2))
    talk.produce(batch(2))
    talk.metadata("orders")
    talk.code(batch(9))
    return made


def ask(cluster, what, **fields):
    answer = run_command(cluster, {"do": what, **fields})
    json.dumps(answer)
    return answer


def test_violations(cluster):
    assert ask(cluster, "violations") == {"violations": []}
    JudgeTalk(cluster).code(batch(5, producer_id=8), index=1)
    (only,) = ask(cluster, "violations")["violations"]
    assert "orders-1 offset 0" in only
    assert ask(cluster, "violations", from_zero=False) == {"violations": []}


def test_requests(cluster):
    rows = ask(cluster, "requests")["requests"]
    assert [one["api"] for one in rows] == ["Produce", "Produce", "Metadata", "Produce"]
    (last,) = ask(cluster, "requests", api="Produce", last=1)["requests"]
    expected = {"version": 12, "client_id": "me", "partitions": [["orders", 0]], "node": 0, "at_ms": 0}
    assert last.items() >= expected.items()
    assert last == rows[-1]


def test_batches(cluster):
    rows = ask(cluster, "batches", topic="orders")["batches"]
    assert [(one["base_offset"], one["records"], one["base_sequence"]) for one in rows] == [(0, 2, 0), (2, 1, 2)]
    assert rows[0]["compression"] == "none"
    assert ask(cluster, "batches", topic="orders", last=1)["batches"] == rows[1:]


def test_records(cluster):
    rows = ask(cluster, "records", topic="orders", last=2)["records"]
    assert rows[0] == {
        "offset": 1,
        "topic": "orders",
        "partition": 0,
        "timestamp": AT_MS + 1,
        "key": "k",
        "value": "v",
        "headers": [],
    }
    assert len(rows) == 2


def test_refusals(cluster):
    (only,) = ask(cluster, "refusals")["refusals"]
    assert only["error"] == "OUT_OF_ORDER_SEQUENCE_NUMBER"
    assert (only["topic"], only["partition"]) == ("orders", 0)


def test_an_error_without_a_name(cluster):
    ask(cluster, "clear_faults")
    cluster.refusals.append((0, 0, None, 0, 9999, "odd"))
    assert ask(cluster, "refusals", last=1)["refusals"][0]["error"] == 9999


def test_state(cluster):
    state = ask(cluster, "state")
    assert state["topics"]["orders"][0] == {"leader": 0, "leader_epoch": 0, "start_offset": 0, "end_offset": 3}
    assert (state["nodes"], state["connections"], state["faults_waiting"]) == ({"0": "localhost:9092"}, 1, 0)
    assert state["log_bytes"] > 900


@pytest.mark.parametrize("name", QUESTIONS)
def test_fields_that_are_none(cluster, name):
    with pytest.raises(PlanError, match="no such field"):
        run_command(cluster, {"do": name, "topic": "orders", "strange": 1, "partition": 0})
