"""How batches end, or go on: memory, numbers, order, and who is told."""

from __future__ import annotations

import pytest
from producer.scenes import TOPIC, each
from producer.settling import Desk

from kproto.client.errors import BrokerError, KafkaConnectionError
from kproto.producer.batch_state import BatchState
from kproto.producer.errors import DeliveryError, DeliveryTimeoutError
from kproto.producer.events import BatchCompleted, BatchOpened, BatchRetried, BatchSplit
from kproto.producer.record import NO_OFFSET, WriteStatus
from kproto.wire import ErrorCode

LOST = KafkaConnectionError("10.0.0.1:9092", "connection reset")
REFUSED = BrokerError(ErrorCode.NOT_ENOUGH_REPLICAS, "orders-0")


def batch_of(call):
    (batch,) = call.batches.values()
    return batch


def sent_once(desk, *values):
    """A batch whose only attempt so far has just ended: what settlement hands over."""
    batch = batch_of(desk.send(*values or (b"a",)))
    desk.state().sequences.answered(batch)
    return batch


def events(desk, *kinds):
    return [event for event in desk.world.events if isinstance(event, kinds)]


def test_sender_18_a_retry_counts_and_waits():
    desk = Desk(retries=2, retry_backoff_ms=50, retry_backoff_max_ms=50)
    batch = sent_once(desk)
    assert desk.fates.retry(desk.state(), batch, REFUSED, desk.now_ms)
    assert (batch.attempts, batch.state, batch.retry_at_ms) == (1, BatchState.WAITING, desk.now_ms + 50)
    assert desk.queued() == [1]
    (retried,) = events(desk, BatchRetried)
    assert (retried.batch, retried.error, retried.retry_at_ms) == (1, REFUSED, batch.retry_at_ms)
    assert desk.world.accumulator.memory.used > 0
    assert not desk.fates.ended


def test_trap_57_without_an_attempt_left_it_is_for_the_caller_to_fail():
    desk = Desk(retries=1)
    batch = sent_once(desk)
    assert desk.fates.retry(desk.state(), batch, REFUSED, desk.now_ms)
    desk.send_head()
    desk.state().sequences.answered(batch)
    assert not desk.fates.retry(desk.state(), batch, REFUSED, desk.now_ms)
    assert batch.state is BatchState.IN_FLIGHT
    assert not desk.queued()


@pytest.mark.parametrize(
    ("only_unwritten", "open_outcome", "ends"),
    [(False, False, True), (False, True, True), (True, False, True), (True, True, False)],
)
def test_sender_17_out_of_time_it_ends_unless_it_may_be_written_and_that_is_to_be_known(
    only_unwritten, open_outcome, ends
):
    desk = Desk(delivery_timeout_ms=2_000, fail_only_unwritten=only_unwritten)
    batch = sent_once(desk, b"a", b"b")
    batch.open_outcome = open_outcome
    assert desk.fates.retry(desk.state(), batch, LOST, batch.created_ms + 2_000)
    assert batch.done == ends
    if ends:
        error = batch.error
        assert isinstance(error, DeliveryTimeoutError)
        assert (error.timeout_ms, error.cause) == (2_000, LOST)
        assert error.written is (WriteStatus.POSSIBLY if open_outcome else WriteStatus.NO)
        assert "2 records were not delivered within delivery_timeout_ms=2000, sent once" in str(error)
        assert not desk.queued()


def test_sender_17_a_millisecond_before_the_end_there_is_time():
    desk = Desk(delivery_timeout_ms=2_000)
    batch = sent_once(desk)
    assert desk.fates.retry(desk.state(), batch, LOST, batch.created_ms + 1_999)
    assert not batch.done


@pytest.mark.parametrize(("attempts", "words"), [(0, "never sent"), (1, "sent once"), (3, "sent 3 times")])
def test_exp_1_an_expired_batch_says_how_often_it_was_tried(attempts, words):
    desk = Desk()
    batch = desk.append(b"a")
    for _ in range(attempts):
        desk.answer(desk.send_head(), ErrorCode.NOT_ENOUGH_REPLICAS)
    desk.fates.expire(desk.state(), batch, None, desk.now_ms)
    assert words in str(batch.error)
    assert batch.error.written is WriteStatus.NO


def test_exp_1_in_flight_counts_as_sent():
    desk = Desk()
    desk.answer(desk.send(b"a"), ErrorCode.NOT_ENOUGH_REPLICAS)
    batch = batch_of(desk.send_head())
    desk.fates.expire(desk.state(), batch, None, desk.now_ms)
    assert "sent 2 times" in str(batch.error)
    assert batch.error.written is WriteStatus.POSSIBLY


def test_a_success_frees_its_memory_and_is_told_once():
    desk = Desk()
    batch = sent_once(desk)
    desk.fates.deliver(desk.state(), batch, 7, -1, desk.now_ms)
    assert desk.fates.ended == [batch]
    assert desk.world.accumulator.memory.used == 0
    assert batch.data is None, "a future that is kept does not keep the records"
    (told,) = events(desk, BatchCompleted)
    assert (told.batch, told.error, told.offset) == (1, None, 7)


def test_dealloc_2_in_flight_its_memory_is_free_only_with_the_answer():
    desk = Desk()
    batch = batch_of(desk.send(b"a"))
    used = desk.world.accumulator.memory.used
    desk.fates.fail(desk.state(), batch, DeliveryError(batch.partition, WriteStatus.NO, "why"), desk.now_ms)
    assert desk.world.accumulator.memory.used == used
    assert batch.data is not None, "it may still be on its way to the socket"
    assert batch in desk.state().sequences.in_flight
    desk.state().sequences.answered(batch)
    desk.fates.answered_late(batch)
    assert desk.world.accumulator.memory.used == 0
    assert batch.data is None


def test_a_queued_batch_that_fails_leaves_the_queue():
    desk = Desk()
    first, second = desk.append(b"a"), desk.append(b"b")
    error = DeliveryError(first.partition, WriteStatus.NO, "why")
    desk.fates.fail(desk.state(), first, error, desk.now_ms, {0: error})
    assert desk.queued() == [second.number]
    assert first.error_of(0) is error
    (told,) = events(desk, BatchCompleted)
    assert (told.error, told.offset) == (error, NO_OFFSET)


def test_split_3_the_parts_take_place_numbers_age_and_memory():
    desk = Desk()
    batch = sent_once(desk, *each(b"abcd"))
    desk.append(b"behind")
    batch.created_ms = 11
    parts = desk.fates.split(desk.state(), batch, desk.now_ms)
    assert desk.queued() == [one.number for one in parts] + [2]
    assert [one.number for one in parts] == [3, 4]
    assert [one.sequence for one in parts] == [0, parts[0].count]
    assert desk.state().sequences.sent == parts
    assert [(one.created_ms, one.attempts) for one in parts] == [(11, 0)] * 2
    (told,) = events(desk, BatchSplit)
    assert (told.batch, told.into) == (1, (3, 4))
    assert len(events(desk, BatchOpened)) == 2, "numbers of parts are taken, too"
    assert desk.state().queue.opened == 4
    assert (batch.reserved, batch.data) == (0, None)
    assert all(one.reserved for one in parts)
    assert desk.world.accumulator.topic(TOPIC).ratio >= 1.0


def test_split_2_callbacks_are_called_once_where_their_records_went():
    desk = Desk(batch_size=1_000)
    batch = sent_once(desk, *each(b"abcd"))
    desk.fates.split(desk.state(), batch, desk.now_ms)
    for offset in (30, 10):
        call = desk.send_head()
        size = batch_of(call).count
        desk.answer(call, base_offset=offset)
        assert size == 2
    assert [(one.times, one.metadata.offset) for one in desk.world.sent] == [(1, 30), (1, 31), (1, 10), (1, 11)]
    assert desk.world.accumulator.memory.used == 0


def test_split_4_a_part_that_is_split_again_keeps_the_root():
    desk = Desk()
    root = sent_once(desk, *each(b"abcdefgh"))
    first, second = desk.fates.split(desk.state(), root, desk.now_ms)
    desk.send_head()
    desk.state().sequences.answered(first)
    parts = desk.fates.split(desk.state(), first, desk.now_ms)
    assert root.parts == [*parts, second]
    assert {part.root for part in root.parts} == {root}
    assert desk.queued() == [part.number for part in (*parts, second)]
    assert [part.sequence for part in (*parts, second)] == [part.first for part in (*parts, second)]


def test_acc_11_the_next_batches_are_not_to_be_as_large_again():
    desk = Desk()
    topic = desk.world.accumulator.topic(TOPIC)
    topic.ratio = 0.2
    desk.fates.split(desk.state(), sent_once(desk, b"a", b"b"), desk.now_ms)
    assert topic.ratio == 1.0
    topic.ratio = 1.3
    desk.state().queue.batches.clear()
    desk.fates.split(desk.state(), sent_once(desk, b"a", b"b"), desk.now_ms)
    assert topic.ratio == 1.3


def test_nobody_listening_costs_nothing():
    desk = Desk()
    desk.fates._observer = None
    batch = sent_once(desk, b"a", b"b")
    assert desk.fates.retry(desk.state(), batch, REFUSED, desk.now_ms)
    desk.send_head()
    desk.state().sequences.answered(batch)
    for part in desk.fates.split(desk.state(), batch, desk.now_ms):
        desk.fates.expire(desk.state(), part, None, desk.now_ms)
    assert desk.world.accumulator.memory.used == 0
