"""One log: what is appended, what is answered, what is still there."""

from __future__ import annotations

import pytest
from tools.judge.judging import AT_MS, batch

from kproto.tools.judge import TopicConfig
from kproto.tools.judge.partition_log import Leadership, PartitionLog
from kproto.tools.judge.validator import only_batch
from kproto.wire import ErrorCode
from kproto.wire.records import read_record_batches

LEADERSHIP = Leadership(node=2, leader_epoch=5, now_ms=40, wall_ms=AT_MS + 999)


@pytest.fixture
def log():
    return PartitionLog()


def append(log, data, **config):
    return log.append(only_batch(data, 12), TopicConfig(**config), LEADERSHIP)


def test_offsets_count_up(log):
    assert [append(log, batch(records=count)).base_offset for count in (2, 1, 3)] == [0, 2, 3]
    assert [one.offset for one in log.records()] == list(range(6))
    assert log.end_offset == 6


def test_a_record_keeps_all_that_was_sent(log):
    append(log, batch(5, 2, producer_id=9, epoch=3, key=None, value=b"paid"))
    _, record = log.records()
    assert (record.offset, record.timestamp, record.key, record.value, record.headers) == (
        1,
        AT_MS + 1,
        None,
        b"paid",
        (),
    )
    assert (record.producer_id, record.producer_epoch, record.sequence) == (9, 3, 6)
    (stored,) = log.batches
    assert (stored.at_ms, stored.node, stored.leader_epoch, stored.last_sequence) == (40, 2, 5, 6)


def test_without_a_producer_there_is_no_sequence(log):
    append(log, batch())
    assert (log.records()[0].sequence, log.batches[0].last_sequence) == (-1, -1)
    assert len(log.producers) == 0


def test_sequences_wrap_inside_a_batch(log):
    append(log, batch(2**31 - 1, 3))
    assert [one.sequence for one in log.records()] == [2**31 - 1, 0, 1]
    assert log.batches[0].last_sequence == 1


def test_idem_10_a_duplicate_is_answered_with_its_old_offset_and_timestamp(log):
    """IDEM-10"""
    append(log, batch())
    first = append(log, batch(0, 3))
    again = append(log, batch(0, 3))
    assert (first.error_code, first.base_offset, first.log_append_time_ms) == (0, 1, -1)
    assert (again.error_code, again.base_offset, again.log_append_time_ms) == (0, 1, AT_MS + 2)
    assert log.end_offset == 4


def test_a_refused_batch_changes_nothing(log):
    append(log, batch(0))
    refused = append(log, batch(2))
    assert (refused.error_code, refused.base_offset) == (ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, -1)
    assert append(log, batch(1)).error_code == 0


def test_log_append_time_is_the_brokers(log):
    verdict = append(log, batch(0, 2), log_append_time=True)
    assert verdict.log_append_time_ms == LEADERSHIP.wall_ms
    assert [one.timestamp for one in log.records()] == [LEADERSHIP.wall_ms] * 2
    assert append(log, batch(0, 2), log_append_time=True).log_append_time_ms == LEADERSHIP.wall_ms


def test_the_logs_start_is_told_with_some_errors_only(log):
    append(log, batch(0, 3))
    log.delete_before(2)
    assert append(log, batch(9)).log_start_offset == 2
    assert append(log, batch(3, key=None), compacted=True).log_start_offset == 2
    assert append(log, batch(3), max_message_bytes=10).log_start_offset == -1
    assert append(log, batch(3)).log_start_offset == 2


def test_deleted_records_stay_in_the_history(log):
    for sequence in range(0, 9, 3):
        append(log, batch(sequence, 3))
    log.delete_before(4)
    assert [one.offset for one in log.records()] == [4, 5, 6, 7, 8]
    assert [one.base_offset for one in log.batches] == [3, 6]
    assert [one.base_offset for one in log.history] == [0, 3, 6]
    for offset in (3, 10):
        with pytest.raises(ValueError, match="4 to 9"):
            log.delete_before(offset)


def kept(log, data, **config):
    return log.append(only_batch(data, 12), TopicConfig(**config), LEADERSHIP, data)


def test_what_readers_get(log):
    sizes = [len(batch(records=count)) for count in (2, 1, 3)]
    for count in (2, 1, 3):
        kept(log, batch(records=count))
    assert [len(log.read(offset, 10_000)) for offset in (0, 1, 2, 3, 5, 6)] == [
        sum(sizes),
        sum(sizes),
        sizes[1] + sizes[2],
        sizes[2],
        sizes[2],
        0,
    ]
    assert log.read(0, 1) == b""
    assert log.read(0, sizes[0] + 7) == log.read(0, 10_000)[: sizes[0] + 7], "the last one may be cut"
    assert len(log.read(0, 1, one_at_least=True)) == sizes[0]
    assert len(log.read(0, sizes[0] + sizes[1])) == sizes[0] + sizes[1]


def test_readers_get_the_brokers_time(log):
    kept(log, batch(), log_append_time=True)
    (one,) = read_record_batches(log.read(0, 10_000))
    assert [record.timestamp for record in one] == [LEADERSHIP.wall_ms]
    assert (one.base_offset, one.partition_leader_epoch) == (0, 5)


def test_a_full_log_takes_nothing_new_but_knows_what_it_has(log):
    kept(log, batch(0))
    full = {"config": TopicConfig(), "leadership": LEADERSHIP, "full": True}
    assert log.append(only_batch(batch(1), 12), **full).error_code == ErrorCode.POLICY_VIOLATION
    assert log.append(only_batch(batch(0), 12), **full).base_offset == 0
    assert append(log, batch(1)).error_code == 0
