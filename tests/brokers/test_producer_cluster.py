"""The producer against three nodes of Apache Kafka, whose leaders move."""

from __future__ import annotations

import threading
from itertools import count

import pytest
from brokers.consumed import read_topic
from brokers.log_dump import check_batches, dumped
from brokers.produced import Asked, Rec, check_delivered, send_all
from chaos.cluster import KafkaCluster
from chaos.ports import steady_ports
from confluent_kafka import ElectionType
from confluent_kafka import TopicPartition as Named
from confluent_kafka.admin import AdminClient

from kproto.producer import Producer
from kproto.wire import ErrorCode

pytestmark = [pytest.mark.broker, pytest.mark.java]

SECONDS = 30
PARTITIONS = 6


@pytest.fixture(scope="module")
def cluster():
    with KafkaCluster(steady_ports(3)) as cluster:
        yield cluster


def test_leaders_that_move_cost_no_record(cluster):
    """A node is stopped in good order, comes back, and leads again; records are sent all the while."""
    cluster.create_topic("moving", PARTITIONS)
    asked = Asked()
    sent = []
    over = threading.Event()

    def send_on():
        for index in count():
            if over.wait(0.001):
                return
            record = Rec(b"%d" % index, b"%d" % (index % 11), (("i", None),), partition=index % PARTITIONS)
            sent.extend(send_all(producer, "moving", [record]))

    with Producer(cluster.bootstrap_servers, observer=asked, compression_type="zstd", linger_ms=2) as producer:
        sender = threading.Thread(target=send_on)
        sender.start()
        try:
            node = cluster.nodes[1]
            node.stop()
            node.wait_stopped()
            node.start()
            cluster.wait_whole(SECONDS * 2, "moving")
            lead_as_at_first(cluster, "moving", PARTITIONS)
        finally:
            over.set()
            sender.join()
        producer.flush(SECONDS)
    check_delivered(read_topic(cluster.bootstrap_servers, "moving", PARTITIONS), sent)
    for batches in dumped(cluster.nodes[0].folder / "data", "moving")["moving"].values():
        check_batches(batches)
    moved = [
        one
        for answer in asked.answers
        for asked_topic in answer.responses
        for one in asked_topic.partition_responses
        if one.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    ]
    assert moved, "no leader has moved"
    assert any(one.current_leader.leader_id >= 0 for one in moved)


def lead_as_at_first(cluster, topic, partitions):
    """Each partition is led by the first of its replicas again."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
    asked = [Named(topic, partition) for partition in range(partitions)]
    admin.elect_leaders(ElectionType.PREFERRED, asked).result(timeout=SECONDS)
