"""What a broker speaks and knows, and when it hears of changes."""

from __future__ import annotations

from random import Random

import pytest
from tools.judge.judging import METADATA, PRODUCE, JudgeTalk, batch, metadata_request, produce_request

from kproto.tools.judge import Fault, FaultPoint, JudgeCluster, Node
from kproto.wire import ApiKey, ErrorCode


@pytest.fixture
def cluster():
    return JudgeCluster(topics={"orders": 2})


@pytest.fixture
def talk(cluster):
    return JudgeTalk(cluster)


@pytest.mark.parametrize("version", range(14))
def test_metadata_in_all_versions(talk, version):
    answer = talk.ask(metadata_request("orders", auto_create=True), version)
    assert [one.node_id for one in answer.brokers] == [0, 1, 2]
    assert [one.leader_id for one in answer.topics[0].partitions] == [0, 1]


def test_old_news_last_for_a_while(cluster, talk):
    cluster.brokers[0].metadata_delay_ms = 100
    cluster.move_leader("orders", 0, to=2)
    assert JudgeTalk(cluster, 1).metadata("orders") == {"orders": (0, [2, 1])}
    for now_ms, leader in ((99, 0), (100, 2)):
        talk.now_ms = now_ms
        assert talk.metadata("orders") == {"orders": (0, [leader, 1])}


def test_news_do_not_overtake_each_other(cluster, talk):
    broker = cluster.brokers[0]
    broker.metadata_delay_ms = 100
    cluster.move_leader("orders", 0, to=2)
    broker.metadata_delay_ms = 0
    cluster.move_leader("orders", 0, to=1)
    assert talk.metadata("orders") == {"orders": (0, [0, 1])}
    talk.now_ms = 100
    assert talk.metadata("orders") == {"orders": (0, [1, 1])}


def test_news_may_wait_until_they_are_told(cluster, talk):
    broker = cluster.brokers[0]
    broker.metadata_delay_ms = None
    cluster.create_topic("new")
    talk.now_ms = 10**9
    assert talk.metadata("new") == {"new": (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, [])}
    broker.catch_up()
    broker.catch_up()
    assert talk.metadata("new") == {"new": (0, [0])}


def test_a_topic_is_made_when_it_is_asked_for_and_shown_the_next_time(cluster, talk):
    missing = (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, [])
    assert talk.metadata("new", auto_create=True) == {"new": missing}
    assert talk.metadata("new", auto_create=True) == {"new": missing}, "the cluster does not do that"
    cluster.auto_create_partitions = 3
    assert talk.metadata("new") == talk.metadata("new") == {"new": missing}
    assert talk.metadata("new", auto_create=True) == {"new": missing}
    assert talk.metadata("new") == {"new": (0, [0, 1, 2])}


def test_hidden_and_moved_nodes(cluster, talk):
    cluster.set_nodes({0: Node("10.0.0.1"), 3: Node("new.test", 19092)})
    answer = talk.ask(metadata_request("orders"), 12)
    assert [(one.node_id, one.host, one.port) for one in answer.brokers] == [
        (0, "10.0.0.1", 9092),
        (3, "new.test", 19092),
    ]
    assert answer.topics[0].partitions[1].error_code == ErrorCode.LEADER_NOT_AVAILABLE
    cluster.move_leader("orders", 1, to=3)
    assert JudgeTalk(cluster, 3).code(batch(), index=1) == 0


@pytest.mark.parametrize("version", [0, 1, 2, 10])
def test_versions_that_are_not_served_end_the_connection(cluster, talk, version):
    cluster.brokers[0].versions[ApiKey.PRODUCE] = range(10)
    with pytest.raises(ConnectionError):
        talk.produce(batch(), version=version)
    (only,) = cluster.violations
    assert f"version {version}" in only
    assert cluster.requests[-1].request is None


def test_apis_that_it_lacks_end_the_connection(cluster, talk):
    del cluster.brokers[0].versions[ApiKey.INIT_PRODUCER_ID]
    with pytest.raises(ConnectionError):
        talk.new_producer_id()


def test_requests_are_seen(cluster, talk):
    talk.now_ms = 30
    talk.metadata("orders", "lost")
    talk.ask(produce_request({"orders": {1: batch(0)}, "lost": {0: batch(0)}}), 12)
    asked, produced = cluster.requests
    assert (asked.api_key, asked.version, asked.partitions) == (METADATA, 12, (("orders", -1), ("lost", -1)))
    assert (produced.at_ms, produced.node_id, produced.connection_id) == (30, 0, talk.end.connection_id)
    assert (produced.correlation_id, produced.client_id, produced.partitions) == (2, "me", (("orders", 1),))
    assert produced.request.topic_data[0].partition_data[0].records == batch(0)


def test_metadata_errors_of_a_topic_and_of_all(cluster, talk):
    cluster.fail(METADATA, Fault.error(29, topic="orders"))
    assert talk.metadata("orders", "lost") == {"orders": (29, []), "lost": (3, [])}
    for point in (FaultPoint.BEFORE_APPEND, FaultPoint.AFTER_APPEND):
        cluster.fail(METADATA, Fault.error(ErrorCode.REQUEST_TIMED_OUT, point))
        answer = talk.ask(metadata_request("orders"), 13)
        assert (answer.error_code, answer.topics[0].error_code, answer.brokers) == (7, 7, ())
    assert talk.metadata("orders") == {"orders": (0, [0, 1])}


def test_latencies_are_drawn_from_the_clusters_generator(cluster):
    cluster.brokers[0].latency_ms = lambda rng: int(rng.random() * 1000)
    cluster.rng = Random(4)
    drawn = [cluster.brokers[0].latency() for _ in range(3)]
    cluster.rng = Random(4)
    assert drawn == [cluster.brokers[0].latency() for _ in range(3)]
    assert len(set(drawn)) == 3


def test_all_connections_end(cluster, talk):
    other = JudgeTalk(cluster)
    broker = cluster.brokers[0]
    assert broker.connections == [talk.end, other.end]
    broker.close_connections()
    assert talk.end.closed
    assert other.end.closed
    third = broker.connect()
    assert broker.connections == [third], "ended ones are forgotten"


def test_faults_of_a_node(cluster, talk):
    cluster.fail(PRODUCE, Fault.error(19), node=1)
    assert talk.code(batch()) == 0
    assert JudgeTalk(cluster, 1).code(batch(), index=1) == 19
