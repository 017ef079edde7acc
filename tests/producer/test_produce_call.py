"""From batches to a request, and from whatever is answered back to the batches."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer.some_batches import batch_of

from kproto.client import Cluster, Node, TopicPartition
from kproto.client.cluster import Partition, Topic
from kproto.producer.produce_call import BATCHES_SINCE, PartitionAnswer, ProduceCall, leaders_named, produce_versions
from kproto.wire import NO_UUID, ErrorCode, ProduceRequest, ProduceResponse

IDS = {"orders": UUID(int=1), "users": UUID(int=2)}
TopicAnswer = ProduceResponse.TopicProduceResponse


def cluster_of(ids=IDS):
    return Cluster(topics={name: Topic(name, topic_id, {0: Partition(0)}) for name, topic_id in ids.items()})


def call_of(*partitions, version=13):
    call = ProduceCall(1, [batch_of(partition=TopicPartition(*at), number=7) for at in partitions], 50)
    call.version = version
    return call


def answer_of(*partitions, version=13, ids=IDS):
    """An answer of a broker, a topic for each partition, as a version carries it; offset 100 and up."""
    by_id = version >= 13
    responses = [
        TopicAnswer(
            name="" if by_id else topic,
            topic_id=ids.get(topic, UUID(int=99)) if by_id else NO_UUID,
            partition_responses=[PartitionAnswer(index=index, base_offset=100 + at)],
        )
        for at, (topic, index) in enumerate(partitions)
    ]
    return ProduceResponse(responses=responses)


def offsets(call, response):
    found = [*call.answers(response)]
    assert [batch for batch, _ in found] == [*call.batches.values()], "each once, in order"
    return [None if answer is None else answer.base_offset for _, answer in found]


@pytest.mark.parametrize(
    ("topics", "highest"),
    [((), 13), (("orders",), 13), (("orders", "users"), 13), (("orders", "nobody"), 12), (("without",), 12)],
)
def test_sender_15_only_topics_with_an_id_go_by_version_13(topics, highest):
    versions = produce_versions(topics, cluster_of({**IDS, "without": NO_UUID}))
    assert versions == range(BATCHES_SINCE, highest + 1)
    assert ProduceRequest.versions[-1] == 13, "else the text of produce_versions is to be looked at"


@pytest.mark.parametrize("version", range(BATCHES_SINCE, 14))
def test_sender_9_the_request_has_each_topic_once_and_each_batch_where_it_belongs(version):
    call = call_of(("orders", 0), ("users", 0), ("orders", 2), version=version)
    request = call.request(-1, 30_000, cluster_of())
    assert (request.acks, request.timeout_ms, request.transactional_id) == (-1, 30_000, None)
    found = [
        (topic.name, topic.topic_id, [(one.index, one.records) for one in topic.partition_data])
        for topic in request.topic_data
    ]
    data = [batch.bytes() for batch in call.batches.values()]
    ids = IDS if version >= 13 else dict.fromkeys(IDS, NO_UUID)
    assert found == [
        ("orders", ids["orders"], [(0, data[0]), (2, data[2])]),
        ("users", ids["users"], [(0, data[1])]),
    ]
    again = ProduceRequest.decode(request.encode(version), version)
    assert [len(topic.partition_data) for topic in again.topic_data] == [2, 1]


@pytest.mark.parametrize("version", [3, 12, 13])
def test_sender_15_answers_find_their_batches_by_name_or_by_the_ids_of_the_request(version):
    call = call_of(("orders", 0), ("users", 0), ("orders", 2), version=version)
    call.request(-1, 30_000, cluster_of())
    assert offsets(call, answer_of(("orders", 2), ("users", 0), ("orders", 0), version=version)) == [102, 101, 100]


def test_sender_15_a_topic_that_was_made_again_meanwhile_is_still_the_one_that_was_asked():
    call = call_of(("orders", 0))
    call.request(-1, 30_000, cluster_of())
    assert offsets(call, answer_of(("orders", 0), ids={"orders": UUID(int=5)})) == [None]
    assert offsets(call, answer_of(("orders", 0))) == [100]


@pytest.mark.parametrize("version", [12, 13])
def test_trap_63_what_an_answer_leaves_out_is_told_and_what_nobody_asked_is_passed_over(version):
    call = call_of(("orders", 0), ("users", 0), version=version)
    call.request(-1, 30_000, cluster_of())
    answer = answer_of(("orders", 1), ("strangers", 0), ("users", 0), ("users", 0), ("users", -1), version=version)
    assert offsets(call, answer) == [None, 102], "and of two answers the first counts"
    assert offsets(call, ProduceResponse()) == [None, None]


@given(
    st.lists(st.tuples(st.sampled_from(["orders", "users", "strangers"]), st.integers(-1, 3)), max_size=8),
    st.sampled_from([3, 9, 12, 13]),
)
def test_sender_13_any_answer_settles_each_batch_once(answered, version):
    call = call_of(("orders", 0), ("users", 1), ("orders", 2), version=version)
    call.request(-1, 30_000, cluster_of())
    expected = [100 + answered.index(at) if at in answered else None for at in call.batches]
    assert offsets(call, answer_of(*answered, version=version)) == expected


def hint(code, leader=-1, epoch=-1):
    leader_of = PartitionAnswer.LeaderIdAndEpoch(leader_id=leader, leader_epoch=epoch)
    return PartitionAnswer(error_code=code, current_leader=leader_of)


@pytest.mark.parametrize(
    ("answer", "leader"),
    [
        (hint(ErrorCode.NOT_LEADER_OR_FOLLOWER, 2, 5), (2, 5)),
        (hint(ErrorCode.FENCED_LEADER_EPOCH, 2, 5), (2, 5)),
        (hint(ErrorCode.NOT_LEADER_OR_FOLLOWER), None),
        (hint(ErrorCode.NOT_LEADER_OR_FOLLOWER, 2, -1), None),
        (hint(ErrorCode.NOT_LEADER_OR_FOLLOWER, -1, 5), None),
        (hint(ErrorCode.NONE, 2, 5), None),
        (hint(ErrorCode.REQUEST_TIMED_OUT, 2, 5), None),
    ],
)
def test_sender_14_only_who_is_not_the_leader_says_who_is(answer, leader):
    at = TopicPartition("orders", 0)
    endpoints = [ProduceResponse.NodeEndpoint(node_id=2, host="10.0.0.3", port=9092, rack="r1")]
    leaders, nodes = leaders_named([(at, answer)], ProduceResponse(node_endpoints=endpoints))
    assert leaders == ({} if leader is None else {at: leader})
    assert nodes == [Node(2, "10.0.0.3", 9092, "r1")]
