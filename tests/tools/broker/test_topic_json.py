"""Topics in JSON, and in a few characters."""

from __future__ import annotations

import pytest

from kproto.tools.broker.fields import Fields, PlanError
from kproto.tools.broker.topic_json import TopicOrder, parse_topics, taken_partition, topic_of
from kproto.tools.judge import JudgeCluster, TopicConfig


def test_a_number_is_that_of_partitions():
    assert topic_of("orders", 3, "topics.orders") == TopicOrder("orders", 3)


def test_settings():
    given = {"partitions": 2, "max_message_bytes": 9, "log_append_time": True, "timestamp_after_max_ms": None}
    config = TopicConfig(max_message_bytes=9, log_append_time=True, timestamp_after_max_ms=None)
    assert topic_of("orders", given, "") == TopicOrder("orders", 2, config)


def test_a_topic_that_is_there_stays():
    cluster = JudgeCluster(1)
    TopicOrder("orders", 2).make(cluster)
    TopicOrder("orders", 5).make(cluster)
    assert len(cluster.image.topics["orders"].partitions) == 2


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("a b", 1, "topics.a b: 'a b' is no name for a topic"),
        ("a", 0, "topics.a.partitions: an integer from 1 to 10000"),
        ("a", "x", "topics.a: an object has to stand here"),
        ("a", {"compacted": 1}, "topics.a.compacted: true or false"),
        ("a", {"max_bytes": 1}, "topics.a.max_bytes: no such field"),
        ("a", {"min_insync_replicas": -1}, "topics.a.min_insync_replicas: an integer from 0 on"),
    ],
)
def test_what_is_no_topic(name, value, text):
    with pytest.raises(PlanError) as raised:
        topic_of(name, value, f"topics.{name}")
    assert text in str(raised.value)


def test_in_a_few_characters():
    assert [*parse_topics("orders:3,payments")] == [TopicOrder("orders", 3), TopicOrder("payments", 1)]
    assert [*parse_topics("")] == []


@pytest.mark.parametrize("text", ["orders:x", "orders:-1", "a b", "orders:0", ":3"])
def test_what_is_no_list_of_topics(text):
    with pytest.raises(PlanError, match="--topics"):
        list(parse_topics(text))


def test_which_partition():
    cluster = JudgeCluster(1, {"orders": 2})
    assert taken_partition(cluster, Fields({"topic": "orders", "partition": 1}, "")) == ("orders", 1)
    assert taken_partition(cluster, Fields({"topic": "orders"}, "")) == ("orders", 0)
    for given in ({"topic": "order"}, {"topic": "orders", "partition": 2}, {}):
        with pytest.raises(PlanError):
            taken_partition(cluster, Fields(given, ""))
