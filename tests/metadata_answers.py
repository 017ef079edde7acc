"""Metadata answers in few words, for the tests of the client."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from kproto.wire import NO_UUID, ErrorCode, MetadataResponse

Topic = MetadataResponse.MetadataResponseTopic
Partition = Topic.MetadataResponsePartition
Broker = MetadataResponse.MetadataResponseBroker

BROKERS = tuple(Broker(node_id=number, host=f"b{number}", port=9092) for number in (1, 2, 3))


def partition(number: int, leader: int = 1, epoch: int = 5, error: int = ErrorCode.NONE) -> Partition:
    return Partition(
        error_code=error,
        partition_index=number,
        leader_id=leader,
        leader_epoch=epoch,
        replica_nodes=(1, 2, 3),
        isr_nodes=(1, 2),
        offline_replicas=(3,),
    )


def topic(
    name: str | None, *partitions: Partition, uuid: int = 0, error: int = ErrorCode.NONE, internal: bool = False
) -> Topic:
    topic_id = UUID(int=uuid) if uuid else NO_UUID
    return Topic(error_code=error, name=name, topic_id=topic_id, is_internal=internal, partitions=partitions)


def answer(
    *topics: Topic,
    brokers: Iterable[Broker] = BROKERS,
    cluster_id: str | None = "c",
    controller: int = 1,
    error: int = ErrorCode.NONE,
) -> MetadataResponse:
    return MetadataResponse(
        brokers=tuple(brokers), cluster_id=cluster_id, controller_id=controller, topics=topics, error_code=error
    )
