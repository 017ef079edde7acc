"""Topics and partitions of any message, by its declaration."""

from __future__ import annotations

from uuid import UUID

import pytest

from kproto.tools.decode import topics
from kproto.tools.decode.topics import TopicNames, topic_partitions
from kproto.wire import (
    ApiVersionsResponse,
    MetadataRequest,
    MetadataResponse,
    ProduceRequest,
    ProduceResponse,
    Request,
    Struct,
)
from kproto.wire.field import field
from kproto.wire.wire_type import Array, Int32, String, Uuid

ID = UUID(int=7)
Data, Partition = ProduceRequest.TopicProduceData, ProduceRequest.PartitionProduceData
Answer, Given = ProduceResponse.TopicProduceResponse, ProduceResponse.PartitionProduceResponse
Topic = MetadataResponse.MetadataResponseTopic


class Offsets(Request, versions="0"):
    """As others of Kafka's have them: numbers alone, or topics without partitions."""

    class Of(Struct):
        """Of a topic."""

        topic: str = field(String)
        partitions: tuple[int, ...] = field(Array(Int32))

    class Only(Struct):
        """An id."""

        topic_id: UUID = field(Uuid)

    topics: tuple[Of, ...] = field(Array(Of))
    forgotten: tuple[Only, ...] = field(Array(Only))


class Groups(Request, versions="0"):
    """Names that are no topics'."""

    class Group(Struct):
        """One."""

        name: str = field(String)

    groups: tuple[Group, ...] = field(Array(Group))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            ProduceRequest(topic_data=[Data(name="a", partition_data=[Partition(index=1), Partition(index=2)])]),
            [("a", 1), ("a", 2)],
        ),
        (ProduceRequest(topic_data=[Data(topic_id=ID, partition_data=[Partition(index=1)])]), [(ID, 1)]),
        (ProduceRequest(topic_data=[Data(name="a"), Data()]), [("a", None)]),
        (ProduceResponse(responses=[Answer(name="a", partition_responses=[Given(index=3)])]), [("a", 3)]),
        (MetadataRequest(topics=[MetadataRequest.MetadataRequestTopic(name="a")]), [("a", None)]),
        (MetadataRequest(topics=None), []),
        (
            MetadataResponse(
                topics=[
                    Topic(
                        name="a",
                        topic_id=ID,
                        partitions=[MetadataResponse.MetadataResponsePartition(partition_index=4)],
                    )
                ],
                brokers=[MetadataResponse.MetadataResponseBroker(host="b")],
            ),
            [("a", 4)],
        ),
        (ApiVersionsResponse(api_keys=[ApiVersionsResponse.ApiVersion(api_key=1)]), []),
        (
            Offsets(
                topics=[Offsets.Of(topic="a", partitions=[1, 2]), Offsets.Of(topic="b")],
                forgotten=[Offsets.Only(topic_id=ID)],
            ),
            [("a", 1), ("a", 2), ("b", None), (ID, None)],
        ),
        (Groups(groups=[Groups.Group(name="a")]), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_topics_and_partitions(message, expected):
    assert list(topic_partitions(message)) == expected


def test_names_are_learned_from_metadata_alone():
    names = TopicNames()
    asking = ProduceRequest(topic_data=[Data(topic_id=ID), Data(topic_id=UUID(int=8))])
    names.learn(asking)
    assert names.of(asking) == {}
    names.learn(MetadataResponse(topics=[Topic(name="orders", topic_id=ID), Topic(name=None, topic_id=UUID(int=8))]))
    assert names.of(asking) == {ID: "orders"}
    assert names.of(ApiVersionsResponse()) == {}


def test_names_are_bounded_and_the_oldest_go(monkeypatch):
    monkeypatch.setattr(topics, "NAMES_MAX", 3)
    names = TopicNames()
    for number in range(1, 6):
        names.learn(MetadataResponse(topics=[Topic(name=f"t{number}", topic_id=UUID(int=number))]))
    asking = ProduceRequest(topic_data=[Data(topic_id=UUID(int=number)) for number in range(1, 6)])
    assert list(names.of(asking).values()) == ["t3", "t4", "t5"]
    names.learn(MetadataResponse(topics=[Topic(name="renamed", topic_id=UUID(int=5))]))
    assert list(names.of(asking).values()) == ["t3", "t4", "renamed"]
