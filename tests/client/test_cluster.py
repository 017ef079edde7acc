"""The picture of a cluster: what it answers, and that nobody can change it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from uuid import UUID

import pytest

from kproto.client.cluster import NO_CLUSTER, Cluster, Node, Partition, Topic, TopicPartition
from kproto.wire import ErrorCode

ID = UUID(int=7)
ONE = Node(1, "b1", 9092)
ORDERS = Topic("orders", ID, partitions={2: Partition(2), 0: Partition(0, 1, 5), 1: Partition(1, 9)})
CLUSTER = Cluster(
    "abc",
    1,
    {1: ONE, -1: Node(-1, "bootstrap", 9092)},
    {"orders": ORDERS, "empty": Topic("empty")},
    {"secret": ErrorCode.TOPIC_AUTHORIZATION_FAILED, "a/b": ErrorCode.INVALID_TOPIC_EXCEPTION, "odd": 9999},
)


def test_meta_1_a_leader_is_the_node_that_leads_the_partition():
    assert CLUSTER.leader_for(TopicPartition("orders", 0)) == ONE
    assert CLUSTER.controller == ONE


@pytest.mark.parametrize(
    ("topic", "partition", "why"),
    [
        ("orders", 1, "its leader is not among the brokers"),
        ("orders", 2, "it has no leader: -1 is not the bootstrap server"),
        ("orders", 3, "no such partition"),
        ("unknown", 0, "no such topic"),
    ],
)
def test_h04_a_leader_that_is_unknown_is_none(topic, partition, why):
    assert CLUSTER.leader_for(TopicPartition(topic, partition)) is None, why


def test_meta_1_partitions_come_in_order_and_are_counted():
    assert [it.partition for it in CLUSTER.partitions_for("orders")] == [0, 1, 2]
    assert CLUSTER.partition(TopicPartition("orders", 0)) == Partition(0, 1, 5)
    assert CLUSTER.partition_count("orders") == 3
    assert CLUSTER.partitions_for("unknown") == ()
    assert CLUSTER.partition_count("unknown") is None


def test_c06_a_topic_without_partitions_has_no_count():
    assert CLUSTER.partition_count("empty") is None
    assert CLUSTER.partitions_for("empty") == ()


def test_meta_1_topics_are_found_by_id_and_by_name():
    assert CLUSTER.topic_id("orders") == ID
    assert CLUSTER.topic_name(ID) == "orders"
    assert CLUSTER.topic_id("empty") is None
    assert CLUSTER.topic_id("unknown") is None
    assert CLUSTER.topic_name(UUID(int=8)) is None
    assert CLUSTER.topic_name(UUID(int=0)) is None, "no topic has the id that means none"


def test_meta_3_topics_with_errors_are_told_apart():
    assert CLUSTER.unauthorized_topics == {"secret"}
    assert CLUSTER.invalid_topics == {"a/b"}
    assert CLUSTER.topic_errors["odd"] == 9999


@pytest.mark.parametrize(
    ("host", "port", "reachable"),
    [("h", 1, True), ("h", 65535, True), ("", 9092, False), ("h", 0, False), ("h", 65536, False), ("h", -1, False)],
)
def test_h04_a_node_without_host_or_port_cannot_be_reached(host, port, reachable):
    assert Node(1, host, port).reachable is reachable


def test_nothing_can_be_changed():
    nodes = {1: ONE}
    cluster = Cluster(nodes=nodes)
    nodes.clear()
    assert cluster.nodes == {1: ONE}
    for mapping in (cluster.nodes, cluster.topics, cluster.topic_errors, ORDERS.partitions):
        with pytest.raises(TypeError):
            mapping[1] = ONE  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        cluster.cluster_id = "x"  # type: ignore[misc]


def test_values_are_compared_and_hashed():
    again = Cluster(CLUSTER.cluster_id, 1, dict(CLUSTER.nodes), dict(CLUSTER.topics), dict(CLUSTER.topic_errors))
    assert again == CLUSTER and hash(again) == hash(CLUSTER)
    assert Cluster("abc", 1) != CLUSTER
    assert hash(Topic("orders", ID)) == hash(ORDERS) and Topic("orders", ID) != ORDERS


def test_each_reads_well():
    assert str(TopicPartition("orders", 3)) == "orders-3"
    assert ONE.address == "b1:9092"
    assert Node(2, "::1", 9092).address == "[::1]:9092"
    assert str(ONE) == "b1:9092 (id 1)"
    assert repr(ORDERS) == "<Topic orders: 3 partitions>"
    assert repr(CLUSTER) == "<Cluster abc: 2 brokers, 2 topics, 3 with errors>"
    assert repr(Cluster("x", nodes={1: ONE})) == "<Cluster x: 1 broker, 0 topics>"
    assert repr(NO_CLUSTER) == "<Cluster without id: 0 brokers, 0 topics>"
