"""Commands: each does what it says, or changes nothing and says why."""

from __future__ import annotations

import pytest
from tools.judge.judging import JudgeTalk, batch

from kproto.tools.broker.commands import CHANGES, run_command
from kproto.tools.broker.fields import PlanError
from kproto.tools.judge import JudgeCluster
from kproto.wire import ApiKey, ErrorCode


@pytest.fixture
def cluster():
    return JudgeCluster(3, {"orders": 2})


def partition(cluster, index=0):
    return cluster.image.topics["orders"].partitions[index]


def do(cluster, what, **fields):
    assert run_command(cluster, {"do": what, **fields}) == {}


def test_faults(cluster):
    do(cluster, "fail", fault="error", error="REQUEST_TIMED_OUT", times=None)
    talk = JudgeTalk(cluster)
    assert talk.code(batch()) == ErrorCode.REQUEST_TIMED_OUT
    do(cluster, "clear_faults")
    assert talk.code(batch()) == 0


def test_topics(cluster):
    do(cluster, "create_topic", topic="new", partitions=3, compacted=True)
    assert len(cluster.image.topics["new"].partitions) == 3
    do(cluster, "configure", topic="new", max_message_bytes=200)
    config = cluster.image.topics["new"].config
    assert (config.compacted, config.max_message_bytes) == (True, 200)
    do(cluster, "add_partitions", topic="new", total=4)
    assert len(cluster.image.topics["new"].partitions) == 4
    old = cluster.image.topics["new"].topic_id
    do(cluster, "recreate_topic", topic="new")
    assert cluster.image.topics["new"].topic_id != old
    do(cluster, "delete_topic", topic="new")
    assert "new" not in cluster.image.topics


def test_leaders(cluster):
    do(cluster, "move_leader", topic="orders", partition=1, to=0)
    assert (partition(cluster, 1).leader, partition(cluster, 1).leader_epoch) == (0, 1)
    do(cluster, "move_leader", topic="orders", to=-1)
    assert partition(cluster).leader == -1
    do(cluster, "set_isr", topic="orders", isr=[0])
    assert partition(cluster).isr == (0,)


def test_logs(cluster):
    talk = JudgeTalk(cluster)
    talk.code(batch(0, 3))
    do(cluster, "delete_records", topic="orders", before=2)
    assert len(cluster.log("orders", 0)) == 1
    assert talk.code(batch(9)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    do(cluster, "forget_producers", topic="orders", producer_id=5)
    assert talk.code(batch(9)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    do(cluster, "delete_records", topic="orders", forget_producers=True)
    assert cluster.log("orders", 0) == []
    assert talk.code(batch(9)) == 0


def test_connections(cluster):
    talks = [JudgeTalk(cluster, node) for node in (0, 1)]
    do(cluster, "close_connections", node=1)
    assert [one.end.closed for one in talks] == [False, True]
    do(cluster, "close_connections")
    assert talks[0].end.closed


def test_settings_of_brokers(cluster):
    do(cluster, "broker", node=1, latency_ms=5, throttle_time_ms=6, metadata_delay_ms=None)
    one = cluster.brokers[1]
    assert (one.latency_ms, one.throttle_time_ms, one.metadata_delay_ms) == (5, 6, None)
    assert cluster.brokers[0].latency_ms == 0
    do(cluster, "broker", versions={"Produce": [3, 7], "Fetch": None})
    assert [one.versions[ApiKey.PRODUCE] for one in cluster.brokers.values()] == [range(3, 8)] * 3
    assert ApiKey.FETCH not in one.versions


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ([], "an object"),
        ({}, "do is missing"),
        ({"do": "move"}, "do: not 'move'"),
        ({"do": "clear_faults", "now": 1}, "now: no such field"),
        ({"do": "delete_topic", "topic": "lost"}, "topic: not 'lost'"),
        ({"do": "create_topic", "topic": "a", "partitions": 0}, "topic.partitions"),
        ({"do": "add_partitions", "topic": "orders", "total": 1}, "total: an integer from 2 to 10000"),
        ({"do": "move_leader", "topic": "orders", "partition": 2, "to": 0}, "partition: an integer from 0 to 1"),
        ({"do": "move_leader", "topic": "orders", "to": 3}, "to: an integer from -1 to 2"),
        ({"do": "set_isr", "topic": "orders", "isr": ["x"]}, "isr[0]"),
        ({"do": "delete_records", "topic": "orders", "before": 1}, "before: an integer from 0 to 0"),
        ({"do": "close_connections", "node": 7}, "node: there are the nodes [0, 1, 2], not 7"),
        ({"do": "broker", "versions": {"Produce": [3, 99]}}, "versions.Produce: 3 to 99 is not within 0 to 13"),
        ({"do": "broker", "versions": {"Produce": 3}}, "versions.Produce: [first, last]"),
        ({"do": "broker", "versions": {"Produze": [1, 2]}}, "did you mean 'Produce'?"),
        ({"do": "broker", "latency_ms": -1, "throttle_time_ms": 4}, "latency_ms"),
    ],
    ids=str,
)
def test_what_is_no_command(cluster, command, text):
    before = cluster.image
    with pytest.raises(PlanError) as raised:
        run_command(cluster, command)
    assert text in str(raised.value)
    assert cluster.image is before
    assert cluster.brokers[0].throttle_time_ms == 0


@pytest.mark.parametrize("name", sorted(set(CHANGES) - {"clear_faults", "close_connections", "broker"}))
def test_no_command_guesses(cluster, name):
    with pytest.raises(PlanError, match="missing"):
        run_command(cluster, {"do": name})
