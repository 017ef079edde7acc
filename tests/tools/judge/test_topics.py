"""Topics that clients make and delete."""

from __future__ import annotations

import pytest
from tools.judge.judging import JudgeTalk

from kproto.tools.judge import JudgeCluster, TopicConfig
from kproto.tools.judge.topic_messages import CreateTopicsRequest, DeleteTopicsRequest
from kproto.tools.judge.topics import TopicRefused, topic_config
from kproto.wire import NO_UUID, ErrorCode

Topic = CreateTopicsRequest.CreatableTopic


@pytest.fixture
def cluster():
    return JudgeCluster(topics={"orders": 2})


@pytest.fixture
def talk(cluster):
    return JudgeTalk(cluster)


def create(talk, *topics, version=7, **fields):
    return talk.ask(CreateTopicsRequest(topics=topics, **fields), version).topics


@pytest.mark.parametrize("version", range(2, 8))
def test_a_new_topic(cluster, talk, version):
    (one,) = create(talk, Topic(name="new", num_partitions=3, replication_factor=2), version=version)
    assert (one.error_code, one.error_message) == (0, None)
    made = cluster.image.topics["new"]
    assert [one.replicas for one in made.partitions] == [(0, 1), (1, 2), (2, 0)]
    if version >= 5:
        assert (one.num_partitions, one.replication_factor) == (3, 2)
    assert one.topic_id == (made.topic_id if version >= 7 else NO_UUID)


def test_what_the_cluster_thinks_right(cluster, talk):
    (one,) = create(talk, Topic(name="new", num_partitions=-1, replication_factor=-1))
    assert (one.num_partitions, one.replication_factor) == (1, 3)
    cluster.auto_create_partitions = 4
    assert create(talk, Topic(name="newer", num_partitions=-1, replication_factor=-1))[0].num_partitions == 4


def test_settings(cluster, talk):
    setting = CreateTopicsRequest.CreatableTopicConfig
    given = {"max.message.bytes": "9", "cleanup.policy": "compact,delete", "message.timestamp.type": "LogAppendTime"}
    given |= {"min.insync.replicas": "2", "message.timestamp.after.max.ms": "5", "retention.ms": "1"}
    configs = [setting(name=name, value=value) for name, value in given.items()]
    create(talk, Topic(name="new", num_partitions=1, replication_factor=1, configs=configs))
    assert cluster.image.topics["new"].config == TopicConfig(9, True, True, 2, 5)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": "a b"}, ErrorCode.INVALID_TOPIC_EXCEPTION),
        ({"name": "orders"}, ErrorCode.TOPIC_ALREADY_EXISTS),
        ({"num_partitions": 0}, ErrorCode.INVALID_PARTITIONS),
        ({"num_partitions": 10_001}, ErrorCode.INVALID_PARTITIONS),
        ({"replication_factor": 4}, ErrorCode.INVALID_REPLICATION_FACTOR),
        ({"replication_factor": 0}, ErrorCode.INVALID_REPLICATION_FACTOR),
        (
            {"assignments": [CreateTopicsRequest.CreatableReplicaAssignment(broker_ids=[0])]},
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        ),
        (
            {"configs": [CreateTopicsRequest.CreatableTopicConfig(name="max.message.bytes", value="x")]},
            ErrorCode.INVALID_CONFIG,
        ),
    ],
    ids=str,
)
def test_topics_that_are_not_made(cluster, talk, fields, code):
    asked = {"name": "new", "num_partitions": 1, "replication_factor": 1, **fields}
    (one,) = create(talk, Topic(**asked))
    assert one.error_code == code
    assert one.error_message
    assert set(cluster.image.topics) == {"orders"}


def test_one_that_is_refused_spoils_no_other(cluster, talk):
    good = Topic(name="good", num_partitions=1, replication_factor=1)
    twice = Topic(name="twice", num_partitions=1, replication_factor=1)
    found = {one.name: one.error_code for one in create(talk, twice, good, twice)}
    assert found == {"good": 0, "twice": ErrorCode.INVALID_REQUEST}


def test_validate_only(cluster, talk):
    (one,) = create(talk, Topic(name="new", num_partitions=1, replication_factor=1), validate_only=True)
    assert one.error_code == 0
    assert "new" not in cluster.image.topics


@pytest.mark.parametrize("name", ["message.timestamp.type", "min.insync.replicas"])
def test_a_setting_that_cannot_be(name):
    with pytest.raises(TopicRefused, match=name):
        topic_config([(name, None)])


@pytest.mark.parametrize("version", range(1, 6))
def test_deleted_topics(cluster, talk, version):
    answer = talk.ask(DeleteTopicsRequest(topic_names=["orders", "lost"]), version)
    assert [(one.name, one.error_code) for one in answer.responses] == [("orders", 0), ("lost", 3)]
    assert not cluster.image.topics
