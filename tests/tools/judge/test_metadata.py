"""Metadata from an image; tests/brokers/test_judge_differential.py asks Kafka the same."""

from __future__ import annotations

from uuid import UUID

import pytest

from kproto.tools.judge import ClusterImage, Node, PartitionImage, TopicImage
from kproto.tools.judge.metadata import metadata_answer, metadata_error, missing_topics, with_topic_errors
from kproto.wire import NO_UUID, ErrorCode, MetadataRequest

Asked = MetadataRequest.MetadataRequestTopic
ID = UUID(int=1)
PARTITIONS = (PartitionImage(0, 3, (0, 1), (0,)), PartitionImage(-1, 4, (0, 9), ()), PartitionImage(9, 0, (9,), (9,)))
IMAGE = ClusterImage({0: Node("a", 1), 1: Node("b", 2, "rack")}, {"orders": TopicImage("orders", ID, PARTITIONS)})


def answer(*topics, version=13):
    return metadata_answer(IMAGE, "judge", MetadataRequest(topics=topics), version)


def named(*names):
    return [Asked(name=name) for name in names]


def test_nodes_leaders_and_replicas():
    response = metadata_answer(IMAGE, "judge", MetadataRequest(topics=None), 13)
    assert [(one.node_id, one.host, one.port, one.rack) for one in response.brokers] == [
        (0, "a", 1, None),
        (1, "b", 2, "rack"),
    ]
    assert (response.cluster_id, response.controller_id) == ("judge", 0)
    (topic,) = response.topics
    assert (topic.name, topic.topic_id, topic.error_code) == ("orders", ID, 0)
    found = [(p.partition_index, p.error_code, p.leader_id, p.leader_epoch) for p in topic.partitions]
    missing = ErrorCode.LEADER_NOT_AVAILABLE
    assert found == [(0, 0, 0, 3), (1, missing, -1, 4), (2, missing, -1, 0)]
    assert [list(p.offline_replicas) for p in topic.partitions] == [[], [9], [9]]


def test_what_is_asked_for():
    assert [one.name for one in answer(version=0).topics] == ["orders"]
    assert answer(version=1).topics == ()
    codes = [one.error_code for one in answer(*named("orders", "lost", "a b", "..", "")).topics]
    assert codes == [0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION] + [ErrorCode.INVALID_TOPIC_EXCEPTION] * 3


def test_topics_are_asked_for_by_id_from_version_12_on():
    ids = [Asked(topic_id=ID, name=None), Asked(topic_id=UUID(int=5), name=None)]
    found = answer(*ids, version=12)
    assert [(one.name, one.error_code) for one in found.topics] == [
        ("orders", 0),
        (None, ErrorCode.UNKNOWN_TOPIC_ID),
    ]
    early = answer(Asked(topic_id=ID, name="orders"), version=11)
    assert (early.topics[0].error_code, early.brokers) == (ErrorCode.INVALID_REQUEST, ())


def test_errors():
    failed = metadata_error(MetadataRequest(topics=named("orders")), ErrorCode.REBOOTSTRAP_REQUIRED)
    assert (failed.error_code, failed.topics[0].error_code) == (ErrorCode.REBOOTSTRAP_REQUIRED,) * 2
    one = with_topic_errors(answer(*named("orders", "lost")), lambda name: 29 if name == "orders" else 0)
    assert [(topic.name, topic.error_code, len(topic.partitions)) for topic in one.topics] == [
        ("orders", 29, 0),
        ("lost", 3, 0),
    ]


@pytest.mark.parametrize("unnamed", [Asked(topic_id=ID, name=None), Asked(topic_id=NO_UUID, name="a b")])
def test_what_may_be_created(unnamed):
    assert missing_topics(IMAGE, MetadataRequest(topics=[*named("orders", "new"), unnamed])) == ["new"]
    assert missing_topics(IMAGE, MetadataRequest(topics=None)) == []
