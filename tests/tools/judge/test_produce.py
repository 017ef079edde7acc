"""Produce at one broker: who leads, who may, and what is answered."""

from __future__ import annotations

from uuid import UUID

import pytest
from tools.judge.judging import AT_MS, METADATA, PRODUCE, JudgeTalk, batch, changed, produce_request

from kproto.tools.judge import Fault, FaultPoint, FirstSequence, JudgeCluster, JudgeViolation, TopicConfig
from kproto.wire import ErrorCode, ProduceRequest

NOT_LEADER = ErrorCode.NOT_LEADER_OR_FOLLOWER


@pytest.fixture
def cluster():
    return JudgeCluster(nodes=3, topics={"orders": 3})


@pytest.fixture
def talk(cluster):
    return JudgeTalk(cluster)


@pytest.mark.parametrize("version", range(3, 14))
def test_a_batch_gets_its_offset(cluster, talk, version):
    for offset in (0, 2):
        assert talk.produce(batch(records=2), version=version).base_offset == offset
    assert [one.value for one in cluster.log("orders", 0)] == [b"v"] * 4


def test_several_partitions_in_one_request(cluster, talk):
    cluster.create_topic("paid", 1)
    data = {"orders": {0: batch(0), 1: batch(0)}, "paid": {0: batch(0), 7: batch(0)}, "lost": {0: batch(0)}}
    response = talk.ask(produce_request(data), 12)
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert [[(one.index, one.error_code) for one in topic.partition_responses] for topic in response.responses] == [
        [(0, 0), (1, NOT_LEADER)],
        [(0, 0), (7, unknown)],
        [(0, unknown)],
    ]


@pytest.mark.parametrize("version", [9, 10, 13])
def test_another_leader_is_named_with_its_address(cluster, talk, version):
    cluster.move_leader("orders", 0, to=2)
    response = talk.ask(produce_request({"orders": {0: batch()}}, version, cluster=cluster), version)
    (found,) = response.responses[0].partition_responses
    assert (found.error_code, found.base_offset, found.log_start_offset) == (NOT_LEADER, -1, -1)
    hint = (found.current_leader.leader_id, found.current_leader.leader_epoch)
    nodes = [(one.node_id, one.host, one.port) for one in response.node_endpoints]
    assert (hint, nodes) == (((2, 1), [(2, "10.0.0.3", 9092)]) if version >= 10 else ((-1, -1), []))


def test_no_leader(cluster, talk):
    cluster.no_leader("orders", 0)
    response = talk.ask(produce_request({"orders": {0: batch()}}), 12)
    (found,) = response.responses[0].partition_responses
    assert (found.error_code, found.current_leader.leader_id) == (NOT_LEADER, -1)
    assert not response.node_endpoints


def test_a_new_leader_has_the_log_and_the_producers_of_the_old_one(cluster, talk):
    assert talk.code(batch(0)) == 0
    cluster.move_leader("orders", 0, to=1)
    other = JudgeTalk(cluster, 1)
    assert other.produce(batch(0)).base_offset == 0
    assert other.code(batch(2)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert other.produce(batch(1)).base_offset == 1
    assert [(one.node, one.leader_epoch) for one in cluster.batches("orders", 0)] == [(0, 0), (1, 1)]


def test_neither_leader_takes_records_until_the_new_one_has_heard(cluster, talk):
    cluster.brokers[0].metadata_delay_ms = cluster.brokers[1].metadata_delay_ms = None
    cluster.move_leader("orders", 0, to=1)
    old = talk.produce(batch())
    assert (old.error_code, old.current_leader.leader_id, old.current_leader.leader_epoch) == (NOT_LEADER, 0, 0)
    new = JudgeTalk(cluster, 1)
    assert new.code(batch()) == NOT_LEADER
    cluster.brokers[1].catch_up()
    assert new.code(batch()) == 0


def test_deleted_topics(cluster, talk):
    old = produce_request({"orders": {0: batch(0)}}, 13, cluster=cluster)
    cluster.recreate_topic("orders")
    assert talk.ask(old, 13).responses[0].partition_responses[0].error_code == ErrorCode.UNKNOWN_TOPIC_ID
    assert talk.produce(batch(0), version=13).base_offset == 0
    assert talk.produce(batch(1), version=12).base_offset == 1
    cluster.brokers[0].metadata_delay_ms = None
    cluster.delete_topic("orders")
    assert talk.code(batch(2)) == NOT_LEADER, "the log is gone, but the broker still shows the topic"
    cluster.brokers[0].catch_up()
    assert talk.code(batch(2)) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_an_unknown_topic_id(talk):
    topic = ProduceRequest.TopicProduceData(
        topic_id=UUID(int=9), partition_data=[ProduceRequest.PartitionProduceData(index=0, records=batch())]
    )
    response = talk.ask(ProduceRequest(acks=1, topic_data=[topic]), 13)
    assert response.responses[0].topic_id == UUID(int=9)
    assert response.responses[0].partition_responses[0].error_code == ErrorCode.UNKNOWN_TOPIC_ID


def test_acks(cluster, talk):
    assert talk.code(batch(), acks=2) == ErrorCode.INVALID_REQUIRED_ACKS
    assert talk.code(batch(), acks=1) == 0
    talk.tell(batch(), acks=0)
    assert talk.silent()
    assert not talk.end.closed
    assert len(cluster.log("orders", 0)) == 2
    talk.tell(batch(), index=1, acks=0)
    assert talk.silent()
    assert talk.end.closed, "an error without an answer ends the connection"


def test_too_few_replicas_in_sync(cluster, talk):
    cluster.configure("orders", min_insync_replicas=2)
    assert talk.code(batch(0)) == 0
    cluster.set_isr("orders", 0, 0)
    assert talk.code(batch(1)) == ErrorCode.NOT_ENOUGH_REPLICAS
    assert talk.code(batch(1), acks=1) == 0
    cluster.set_isr("orders", 0, 0, 1)
    assert talk.code(batch(2)) == 0


def test_a_topic_needs_no_more_replicas_than_it_has(cluster, talk):
    cluster.replication_factor = 1
    cluster.create_topic("single", 1, TopicConfig(min_insync_replicas=2))
    assert talk.code(batch(0), "single") == 0


def test_record_errors(cluster, talk):
    cluster.create_topic("compacted", 1, TopicConfig(compacted=True))
    found = talk.produce(batch(0, 2, key=None), "compacted")
    assert [(one.batch_index, one.batch_index_error_message) for one in found.record_errors] == [
        (0, "Compacted topic cannot accept message without key"),
        (1, "Compacted topic cannot accept message without key"),
    ]
    assert "2 records" in found.error_message
    assert talk.produce(changed(batch(), 0, ">q", 5)).error_message is None


@pytest.mark.parametrize("records", [None, b"", batch()[:-1], batch() + batch()])
def test_batch_w8_one_batch_for_a_partition(talk, records):
    """BATCH-W8"""
    found = talk.produce(records)
    assert (found.error_code, found.base_offset, found.log_start_offset) == (ErrorCode.INVALID_RECORD, -1, -1)


def test_transactions_are_refused(talk):
    transactional = changed(batch(0), 21, ">h", 0x10)
    assert talk.code(transactional) == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    request = produce_request({"orders": {0: transactional}}).replace(transactional_id="t")
    answered = talk.ask(request, 12).responses[0].partition_responses[0]
    assert answered.error_code == ErrorCode.INVALID_TXN_STATE


def test_log_append_time_counts_from_the_clusters_epoch(cluster, talk):
    cluster.configure("orders", log_append_time=True)
    talk.now_ms = 70
    assert talk.produce(batch(at_ms=5)).log_append_time_ms == cluster.epoch_ms + 70


def test_records_are_deleted_and_producers_forgotten():
    cluster = JudgeCluster(nodes=1, topics={"orders": 1}, first_sequence=FirstSequence.UNKNOWN_PRODUCER_ID)
    talk = JudgeTalk(cluster)
    assert talk.code(batch(0, 5)) == 0
    cluster.delete_records("orders", 0, 3)
    assert talk.code(batch(5)) == 0
    cluster.delete_records("orders", 0, 6, forget_producers=True)
    found = talk.produce(batch(6))
    assert (found.error_code, found.log_start_offset) == (ErrorCode.UNKNOWN_PRODUCER_ID, 6)


def test_an_error_before_the_append_writes_nothing(cluster, talk):
    cluster.fail(PRODUCE, Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS), times=2)
    found = talk.produce(batch(0))
    assert (found.error_code, found.base_offset, found.log_start_offset) == (ErrorCode.NOT_ENOUGH_REPLICAS, -1, 0)
    assert talk.code(batch(0)) == ErrorCode.NOT_ENOUGH_REPLICAS
    assert cluster.log("orders", 0) == []
    assert talk.code(batch(0)) == 0


@pytest.mark.parametrize("code", [ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND])
def test_an_error_after_the_append_tells_the_offset(cluster, talk, code):
    cluster.fail(PRODUCE, Fault.error(code, FaultPoint.AFTER_APPEND, topic="orders", partition=0))
    found = talk.produce(batch(0, 2))
    assert (found.error_code, found.base_offset) == (code, 0)
    again = talk.produce(batch(0, 2))
    assert (again.error_code, again.base_offset, again.log_append_time_ms) == (0, 0, AT_MS + 1)
    assert len(cluster.log("orders", 0)) == 2


def test_an_error_of_one_partition_leaves_the_others(cluster, talk):
    cluster.move_leader("orders", 1, to=0)
    cluster.fail(PRODUCE, Fault.error(NOT_LEADER, topic="orders", partition=1))
    response = talk.ask(produce_request({"orders": {0: batch(0), 1: batch(0)}}), 12)
    first, second = response.responses[0].partition_responses
    assert (first.error_code, second.error_code, second.current_leader.leader_id) == (0, NOT_LEADER, 0)


def test_refusals_say_why(cluster, talk):
    talk.now_ms = 8
    assert talk.code(batch(0)) == 0
    talk.code(batch(5))
    talk.code(batch(), "lost")
    (gap, lost) = cluster.refusals
    assert gap[:5] == (8, 0, "orders", 0, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    assert "first_sequence=5" in gap[5]
    assert lost[2] is None
    cluster.check()


def test_a_partition_twice_in_a_request_is_a_violation(cluster, talk):
    request = produce_request({"orders": {0: batch(0)}})
    (topic,) = request.topic_data
    talk.send(request.replace(topic_data=[topic.replace(partition_data=topic.partition_data * 2)]), 12)
    with pytest.raises(JudgeViolation, match="twice"):
        cluster.check()


def test_metadata_faults_are_not_produces(cluster, talk):
    cluster.fail(METADATA, Fault.error(ErrorCode.REQUEST_TIMED_OUT))
    assert talk.code(batch()) == 0
    assert cluster.faults.waiting == 1


SPOILT = {
    "magic 3": (changed(batch(0), 16, ">b", 3), ErrorCode.CORRUPT_MESSAGE),
    "a length that is none": (changed(batch(0), 8, ">i", 13), ErrorCode.CORRUPT_MESSAGE),
    "transactional": (changed(batch(0), 21, ">h", 0x10), ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
    "a cut one that was transactional": (changed(batch(0), 21, ">h", 0x10)[:-1], 0),
    "short": (b"short", 0),
    "magic 1": (changed(batch(0), 16, ">b", 1), 0),
}


@pytest.mark.parametrize("name", SPOILT)
def test_some_heads_spoil_the_whole_request(cluster, talk, name):
    """RequestUtils.hasTransactionalRecords; others are their partition's own matter."""
    spoilt, code = SPOILT[name]
    cluster.move_leader("orders", 1, to=0)
    answer = talk.ask(produce_request({"orders": {0: batch(0), 1: spoilt}}), 12)
    codes = [one.error_code for one in answer.responses[0].partition_responses]
    assert codes == ([code, code] if code else [0, ErrorCode.INVALID_RECORD])
    assert len(cluster.log("orders", 0)) == (0 if code else 1)
    assert len(cluster.refusals) == (2 if code else 1)
    if code:
        assert talk.code(batch(0, value=b"another")) == 0
        cluster.check()
