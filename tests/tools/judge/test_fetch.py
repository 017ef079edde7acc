"""What consumers are answered; tests/brokers asks with consumers of other hands."""

from __future__ import annotations

import pytest
from tools.judge.judging import AT_MS, JudgeTalk, batch, fetch_request

from kproto.tools.judge import Fault, FaultPoint, JudgeCluster
from kproto.wire import ApiKey, ErrorCode
from kproto.wire.records import read_record_batches

SIZE = len(batch(records=2))
OUT_OF_RANGE, NOT_LEADER = ErrorCode.OFFSET_OUT_OF_RANGE, ErrorCode.NOT_LEADER_OR_FOLLOWER


@pytest.fixture
def cluster():
    return JudgeCluster(topics={"orders": 2}, replication_factor=2)


@pytest.fixture
def talk(cluster):
    """With six records in three batches of orders-0."""
    opened = JudgeTalk(cluster)
    for index in range(3):
        assert opened.code(batch(records=2, at_ms=AT_MS + 10 * index)) == 0
    return opened


def offsets(one):
    return [record.offset for held in read_record_batches(one.records) for record in held]


@pytest.mark.parametrize("version", range(4, 13))
def test_fetch_in_all_versions(talk, version):
    (one,) = talk.fetch(("orders", 0, 0), version=version)
    assert (one.error_code, one.high_watermark, one.last_stable_offset) == (0, 6, 6)
    assert offsets(one) == list(range(6))


def test_whole_batches_from_the_one_with_the_offset_on(talk):
    assert offsets(talk.fetch(("orders", 0, 3))[0]) == [2, 3, 4, 5]
    (end,) = talk.fetch(("orders", 0, 6))
    assert (end.error_code, end.records) == (0, b"")


def test_sizes_are_kept_but_for_the_first_batch_of_all(talk):
    assert offsets(talk.fetch(("orders", 0, 0), partition_max_bytes=1)[0]) == [0, 1]
    assert offsets(talk.fetch(("orders", 0, 0), max_bytes=2 * SIZE)[0]) == [0, 1, 2, 3]
    first, second = talk.fetch(("orders", 0, 0), ("orders", 0, 2), max_bytes=SIZE)
    assert (offsets(first), offsets(second)) == ([0, 1], [])


@pytest.mark.parametrize("offset", [-1, 7, 1])
def test_offsets_that_are_not_there(cluster, talk, offset):
    cluster.delete_records("orders", 0, 2)
    (one,) = talk.fetch(("orders", 0, offset))
    assert (one.error_code, one.high_watermark) == (OUT_OF_RANGE, -1)


def test_what_is_deleted_is_gone(cluster, talk):
    cluster.delete_records("orders", 0, 3)
    (one,) = talk.fetch(("orders", 0, 3))
    assert one.log_start_offset == 3
    assert offsets(one) == [2, 3, 4, 5], "batches are whole, and the consumer skips"


def test_places(cluster, talk):
    """KIP-392: from version 11 on, replicas serve too."""
    replica, stranger = JudgeTalk(cluster, 1), JudgeTalk(cluster, 2)
    assert [replica.fetch(("orders", 0, 0), version=version)[0].error_code for version in (10, 11)] == [NOT_LEADER, 0]
    assert stranger.fetch(("orders", 0, 0))[0].error_code == NOT_LEADER
    assert replica.offset(-1).error_code == NOT_LEADER
    for name, index in (("lost", 0), ("orders", 2), ("orders", -1)):
        assert talk.fetch((name, index, 0))[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert talk.offset(-1, name, index).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_leader_epochs(cluster, talk):
    """KIP-320"""
    cluster.move_leader("orders", 0, to=1)
    cluster.move_leader("orders", 0, to=0)
    codes = [talk.fetch(("orders", 0, 0), epoch=epoch)[0].error_code for epoch in (-1, 1, 2, 3)]
    assert codes == [0, ErrorCode.FENCED_LEADER_EPOCH, 0, ErrorCode.UNKNOWN_LEADER_EPOCH]
    assert talk.offset(-1, epoch=1).error_code == ErrorCode.FENCED_LEADER_EPOCH


@pytest.mark.parametrize("version", range(1, 8))
@pytest.mark.parametrize(
    ("timestamp", "offset", "found_ms"),
    [(-1, 6, -1), (-2, 0, -1), (-3, 5, AT_MS + 21), (AT_MS + 1, 1, AT_MS + 1), (AT_MS + 2, 2, AT_MS + 10)],
)
def test_list_offsets(talk, version, timestamp, offset, found_ms):
    one = talk.offset(timestamp, version=version)
    assert (one.error_code, one.offset, one.timestamp) == (0, offset, found_ms)
    assert one.leader_epoch == (0 if version >= 4 else -1)


def test_list_offsets_knows_what_is_deleted_and_what_is_not_there(cluster, talk):
    cluster.delete_records("orders", 0, 3)
    assert talk.offset(-2).offset == 3
    assert talk.offset(0).offset == 3
    late = talk.offset(AT_MS + 22)
    assert (late.error_code, late.offset, late.timestamp) == (0, -1, -1)


def test_faults_of_partitions(cluster, talk):
    cluster.fail(ApiKey.FETCH, Fault.error(NOT_LEADER, topic="orders", partition=0))
    found = talk.fetch(("orders", 0, 0), ("orders", 1, 0))
    assert [one.error_code for one in found] == [NOT_LEADER, NOT_LEADER], "node 0 has no replica of the second"
    assert talk.fetch(("orders", 0, 0))[0].error_code == 0
    cluster.fail(ApiKey.LIST_OFFSETS, Fault.error(ErrorCode.REQUEST_TIMED_OUT, topic="orders", partition=0))
    assert [talk.offset(-1).error_code for _ in range(2)] == [ErrorCode.REQUEST_TIMED_OUT, 0]


class TestWaiting:
    """DelayedFetch: a fetch waits for min_bytes, and max_wait_ms at most."""

    @pytest.fixture
    def waiting(self, talk):
        talk.send(fetch_request(("orders", 0, 6), max_wait_ms=500), 12)
        assert talk.silent()
        assert talk.end.next_event_ms() == 500
        return talk

    def test_until_something_comes(self, cluster, waiting):
        other = JudgeTalk(cluster)
        other.now_ms = 100
        assert other.code(batch()) == 0
        assert cluster.next_event_ms() == 100
        cluster.advance(100)
        assert not waiting.silent()

    def test_not_for_other_partitions(self, cluster, waiting):
        leader = JudgeTalk(cluster, 1)
        leader.now_ms = 100
        assert leader.code(batch(), index=1) == 0
        cluster.advance(100)
        assert waiting.silent()
        assert waiting.end.next_event_ms() == 500

    def test_no_longer_than_told(self, waiting):
        waiting.end.advance(499)
        assert waiting.silent()
        waiting.end.advance(500)
        assert len(waiting.payloads()) == 1

    def test_a_closed_connection_waits_no_more(self, cluster, waiting):
        waiting.end.closed = True
        assert JudgeTalk(cluster).code(batch()) == 0
        cluster.advance(1)
        assert waiting.end.done

    def test_on_a_schedule(self, cluster, talk):
        calls = []
        cluster.schedule = lambda delay_ms, call: calls.append((delay_ms, call))
        talk.send(fetch_request(("orders", 0, 6), max_wait_ms=500), 12)
        JudgeTalk(cluster).code(batch())
        assert [delay_ms for delay_ms, _ in calls] == [500, 0]
        calls[1][1]()
        assert len(talk.payloads()) == 1
        calls[0][1]()
        assert talk.silent()

    @pytest.mark.parametrize("asked", [("orders", 0, 9), ("lost", 0, 0)])
    def test_errors_are_told_at_once(self, talk, asked):
        assert talk.fetch(asked, max_wait_ms=500)[0].error_code

    def test_enough_is_told_at_once(self, talk):
        assert talk.fetch(("orders", 0, 0), max_wait_ms=500, min_bytes=3 * SIZE)[0].records
        talk.send(fetch_request(("orders", 0, 0), max_wait_ms=500, min_bytes=3 * SIZE + 1), 12)
        assert talk.silent()

    def test_a_fetch_of_nothing_does_not_wait(self, talk):
        assert talk.fetch(max_wait_ms=500) == []


def test_a_lost_answer(cluster, talk):
    cluster.fail(ApiKey.FETCH, Fault.close(FaultPoint.AFTER_APPEND))
    with pytest.raises(ConnectionError):
        talk.fetch(("orders", 0, 0))
