"""Images are replaced, never changed."""

from __future__ import annotations

from uuid import UUID

import pytest

from kproto.tools.judge import ClusterImage, Node, PartitionImage, TopicImage

ID = UUID(int=1)
PARTITION = PartitionImage(leader=0, leader_epoch=3, replicas=(0, 1), isr=(0, 1))
TOPIC = TopicImage("orders", ID, (PARTITION, PARTITION))
IMAGE = ClusterImage({0: Node("a")}, {"orders": TOPIC})


def test_a_changed_partition_makes_another_topic():
    moved = TOPIC.with_partition(1, leader=1, leader_epoch=4)
    assert [one.leader for one in moved.partitions] == [0, 1]
    assert moved.topic_id == ID
    assert TOPIC.partitions == (PARTITION, PARTITION)
    with pytest.raises(IndexError):
        TOPIC.with_partition(2, leader=1)


def test_topics_are_found_by_id():
    assert IMAGE.topic_by_id(ID) is TOPIC
    assert IMAGE.topic_by_id(UUID(int=2)) is None


def test_topics_come_and_go():
    other = TopicImage("other", UUID(int=2), ())
    both = IMAGE.with_topic(other)
    assert list(both.topics) == ["orders", "other"]
    assert list(both.without_topic("orders").topics) == ["other"]
    assert list(IMAGE.topics) == ["orders"]
    with pytest.raises(KeyError):
        IMAGE.without_topic("other")
