"""New epochs and producer ids, batches that are given up or split: what becomes of the numbers.

A12 to A20 of the scenario list.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from producer.scenes import TOPIC, each, fail_produce, finish, one_batch, send_all, stamps, state, world_of

from kproto.producer.errors import (
    DeliveryError,
    DeliveryTimeoutError,
    MessageSizeTooLargeError,
)
from kproto.producer.events import BatchRetried, HeldReason
from kproto.producer.producer_id import EPOCH_MAX, ProducerIdAndEpoch
from kproto.producer.record import WriteStatus
from kproto.tools.judge import Fault, FaultPoint, FirstSequence, JudgeCluster
from kproto.wire import ApiKey, ErrorCode


def at_the_last_epoch(partitions=1, **settings):
    world = world_of(partitions, **settings)
    world.sender.poll(0)
    world.run_until(lambda: world.sender.producer_id.identity.epoch == 0)
    producer_id = world.sender.producer_id
    producer_id.identity = ProducerIdAndEpoch(producer_id.identity.producer_id, EPOCH_MAX)
    world.settle_in(*((TOPIC, index) for index in range(partitions)))
    return world


def test_a12_behind_the_last_epoch_comes_another_producer_id():
    world = at_the_last_epoch()
    old = world.sender.producer_id.identity
    fail_produce(world, Fault.error(ErrorCode.INVALID_RECORD))
    first, *rest = send_all(world, *each(b"abc"))
    world.failed(first)
    assert [world.delivered(one).offset for one in rest] == [1, 2]
    new = world.sender.producer_id.identity
    assert new.epoch == 0
    assert new.producer_id != old.producer_id
    assert {event.producer_id for event in world.produced(TOPIC, 0)} == {old.producer_id, new.producer_id}
    assert all(event.producer_id >= 0 for event in world.produced(TOPIC, 0)), "never without one meanwhile"
    finish(world, bumped=1)


@pytest.mark.parametrize(
    "trouble",
    [
        Fault.error(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS),
        Fault.close(FaultPoint.BEFORE_PARSE),
        Fault.silence(FaultPoint.AFTER_APPEND),
        Fault.close(FaultPoint.MID_REPLY, reply_bytes=7),
    ],
)
def test_a12_the_other_producer_id_is_long_in_coming(trouble):
    world = at_the_last_epoch(2)
    old = world.sender.producer_id.identity
    world.cluster.fail(ApiKey.INIT_PRODUCER_ID, trouble, times=3)
    fail_produce(world, Fault.error(ErrorCode.INVALID_RECORD, topic=TOPIC, partition=0))
    fail_produce(world, Fault.error(ErrorCode.NOT_LEADER_OR_FOLLOWER, topic=TOPIC, partition=1))
    first, *rest = send_all(world, *each(b"abc"))
    (other,) = send_all(world, b"x", partition=1)
    world.failed(first)
    assert [world.delivered(one).offset for one in (*rest, other)] == [1, 2, 1]
    assert world.produced(TOPIC, 1)[-1].producer_id == old.producer_id, "a retry keeps the old one (IDEM-16)"
    finish(world, bumped=1)


# Other partitions


def test_a13_partitions_with_nothing_in_flight_begin_anew_as_well():
    world = world_of(partitions=3)
    world.settle_in((TOPIC, 0), (TOPIC, 1), (TOPIC, 2))
    fail_produce(world, Fault.error(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, topic=TOPIC, partition=0))
    world.delivered(*send_all(world, b"a"))
    for partition in (1, 2):
        for value in (b"x", b"y"):
            world.delivered(*send_all(world, value, partition=partition))
        assert stamps(world, partition) == [(0, 0), (1, 0), (1, 1)]
    finish(world, bumped=1)


@pytest.mark.parametrize("point", [FaultPoint.BEFORE_APPEND, FaultPoint.AFTER_APPEND])
def test_a14_a_new_epoch_of_one_partition_does_not_double_another_whose_leader_moves(point):
    """Trap 51: what may be written there keeps the old epoch."""
    cluster = JudgeCluster(3, {TOPIC: 2})
    world = world_of(nodes=3, cluster=cluster)
    world.settle_in((TOPIC, 0), (TOPIC, 1))
    other = cluster.image.topics[TOPIC].partitions[1].leader
    cluster.fail(ApiKey.PRODUCE, Fault.close(point), node=other)
    moved = send_all(world, *each(b"xyz"), partition=1)
    fail_produce(world, Fault.error(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, topic=TOPIC, partition=0))
    here = send_all(world, *each(b"ab"))
    world.advance(15)
    cluster.move_leader(TOPIC, 1, (other + 1) % 3)
    moved += send_all(world, b"w", partition=1)
    assert [world.delivered(one).offset for one in here] == [1, 2]
    assert [world.delivered(one).offset for one in moved] == [1, 2, 3, 4]
    open_ones = [one for one in world.produced(TOPIC, 1) if one.attempt > 1]
    assert open_ones
    assert {one.producer_epoch for one in open_ones} == {0}
    finish(world, bumped=1)


@pytest.mark.parametrize("policy", [FirstSequence.ANY, FirstSequence.ZERO])
def test_a15_the_first_two_of_a_new_partition_cannot_change_places(policy):
    """A broker that has never heard of the producer takes any first number, so the first goes alone (KAFKA-15591)."""
    cluster = JudgeCluster(1, {TOPIC: 1}, first_sequence=policy)
    world = world_of(cluster=cluster)
    fail_produce(world, Fault.error(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
    first, second = send_all(world, *each(b"ab"))
    world.flush()
    assert [world.delivered(one).offset for one in (first, second)] == [0, 1]
    assert stamps(world) == [(0, 0), (0, 0), (0, 1)]
    assert HeldReason.FIRST_ACKNOWLEDGEMENT in {one.reason for one in world.held(TOPIC, 0)}
    finish(world)


def test_a15_after_a_restart_the_first_goes_alone_again():
    world = world_of()
    world.settle_in((TOPIC, 0))
    fail_produce(world, Fault.error(ErrorCode.INVALID_RECORD), *[Fault.delay(0)] * 3)
    fail_produce(world, Fault.error(ErrorCode.NOT_LEADER_OR_FOLLOWER))
    first, *rest = send_all(world, *each(b"abcd"))
    world.failed(first)
    assert [world.delivered(one).offset for one in rest] == [1, 2, 3]
    assert stamps(world)[-4:] == [(1, 0), (1, 0), (1, 1), (1, 2)]
    finish(world, bumped=1)


def test_a15_a_topic_that_was_made_again_takes_any_first_number():
    world = world_of()
    world.settle_in((TOPIC, 0))
    world.cluster.recreate_topic(TOPIC)
    sent = send_all(world, *each(b"abc"))
    world.flush()
    assert [world.delivered(one).offset for one in sent] == [0, 1, 2]
    assert world.values(TOPIC, 0) == each(b"abc")


def test_a16_the_producer_id_changes_while_a_batch_waits_for_its_retry():
    world = at_the_last_epoch(2)
    old = world.sender.producer_id.identity
    fail_produce(world, Fault.error(ErrorCode.REQUEST_TIMED_OUT, FaultPoint.AFTER_APPEND, topic=TOPIC, partition=1))
    (waiting,) = send_all(world, b"x", partition=1)
    fail_produce(world, Fault.error(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, topic=TOPIC, partition=0))
    (anew,) = send_all(world, b"a")
    (behind,) = send_all(world, b"y", partition=1)
    assert [world.delivered(one).offset for one in (anew, waiting, behind)] == [1, 1, 2]
    retried = [one for one in world.produced(TOPIC, 1) if one.attempt == 2]
    assert [(one.producer_id, one.producer_epoch, one.sequence) for one in retried] == [(*old, 1)]
    finish(world, bumped=1)


# What is given up


def given_up_first(world, fault):
    """Trap 50. The first of three runs out of time with its outcome open; the two behind it were sent later."""
    fail_produce(world, fault)
    first = world.send(TOPIC, b"a", partition=0)
    world.advance(600)
    rest = send_all(world, *each(b"bc"))
    error = world.failed(first)
    assert isinstance(error, DeliveryTimeoutError)
    assert error.written is WriteStatus.POSSIBLY
    return rest


def test_a17_the_first_expires_and_those_behind_it_are_written():
    world = world_of(delivery_timeout_ms=1_000)
    world.settle_in((TOPIC, 0))
    rest = given_up_first(world, Fault.silence(FaultPoint.AFTER_APPEND))
    assert [world.delivered(one).offset for one in rest] == [2, 3]
    assert {epoch for epoch, _ in stamps(world)} == {0}
    finish(world)


def test_a17_the_first_expires_unwritten_and_those_behind_it_begin_anew():
    world = world_of(delivery_timeout_ms=1_000)
    world.settle_in((TOPIC, 0))
    rest = given_up_first(world, Fault.silence(FaultPoint.BEFORE_APPEND))
    assert [world.delivered(one).offset for one in rest] == [1, 2]
    assert stamps(world) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 2), (1, 0), (1, 1)], "one of them asks for all"
    finish(world, bumped=1)


@pytest.mark.parametrize("point", [FaultPoint.BEFORE_APPEND, FaultPoint.AFTER_APPEND])
def test_a17_all_that_were_sent_expire(point):
    world = world_of(delivery_timeout_ms=1_000)
    world.settle_in((TOPIC, 0))
    fail_produce(world, Fault.silence(point))
    sent = send_all(world, *each(b"abc"))
    for one in sent:
        assert world.failed(one).written is WriteStatus.POSSIBLY
    after = send_all(world, *each(b"de"))
    for one in after:
        world.delivered(one)
    assert stamps(world)[-2:] == [(1, 0), (1, 1)], "no number is taken that may be missing"
    finish(world, bumped=1)


def test_a17_nothing_new_goes_out_until_it_is_known():
    world = world_of(delivery_timeout_ms=1_500)
    world.settle_in((TOPIC, 0))
    fail_produce(world, Fault.silence(FaultPoint.AFTER_APPEND), times=None)
    first = world.send(TOPIC, b"a", partition=0)
    world.run_until(lambda: first.done)
    (second,) = send_all(world, b"b")
    world.advance(100)
    assert {one.reason for one in world.held(TOPIC, 0)} >= {HeldReason.UNRESOLVED}
    assert [sequence for _, sequence in stamps(world)] == [0, 1, 1]
    world.cluster.faults.clear()
    assert world.delivered(second).offset == 2
    assert stamps(world)[-1] == (1, 0), "the attempt was lost with its connection, so that numbers begin anew"
    finish(world, bumped=1)


def test_a18_what_was_never_sent_leaves_no_gap():
    world = world_of(delivery_timeout_ms=1_500)
    world.settle_in((TOPIC, 0))
    world.down(0)
    sent = send_all(world, *each(b"abc"))
    for one in sent:
        error = world.failed(one)
        assert error.written is WriteStatus.NO
        assert "never sent" in str(error)
    assert state(world).sequences.lost_before is None
    world.up(0)
    assert world.delivered(*send_all(world, b"d")).offset == 1
    assert stamps(world) == [(0, 0), (0, 1)]
    finish(world)


@pytest.mark.parametrize("point", [FaultPoint.BEFORE_APPEND, FaultPoint.AFTER_APPEND])
def test_a19_time_runs_out_while_the_broker_is_gone_and_the_log_is_in_order_after_it(point):
    world = world_of(delivery_timeout_ms=1_500)
    world.settle_in((TOPIC, 0))
    fail_produce(world, Fault.close(point))
    sent = send_all(world, *each(b"abc"))
    world.advance(25)
    world.down(0)
    sent += send_all(world, *each(b"de"))
    world.advance(1_000)
    late = send_all(world, *each(b"fg"))
    for one in sent:
        world.failed(one)
    assert [one.error.written for one in sent[3:]] == [WriteStatus.NO] * 2
    world.up(0)
    for one in late:
        world.delivered(one)
    log = world.values(TOPIC, 0)
    assert log[-2:] == [b"f", b"g"] and all(one < other for one, other in pairwise(log[1:]))
    finish(world, bumped=1)


# Too large


def test_a20_a_batch_that_is_too_large_is_split_and_keeps_its_numbers():
    world = world_of(batch_size=16_384, linger_ms=5)
    world.settle_in((TOPIC, 0))
    world.cluster.configure(TOPIC, max_message_bytes=400)
    sent = one_batch(world, *(b"%d" % index * 90 for index in range(6)))
    world.advance(5)
    sent += one_batch(world, b"z")
    world.flush()
    assert [world.delivered(one).offset for one in sent] == list(range(1, 8))
    assert [one.producer_epoch for one in world.produced(TOPIC, 0)] == [0] * len(world.produced(TOPIC, 0))
    finish(world)


@pytest.mark.parametrize("limit", [200, 300, 500])
def test_a20_it_is_split_as_often_as_it_takes(limit):
    world = world_of(batch_size=16_384, linger_ms=5)
    world.settle_in((TOPIC, 0))
    world.cluster.configure(TOPIC, max_message_bytes=limit)
    sent = one_batch(world, *(b"%d" % index * 90 for index in range(10)))
    world.flush()
    assert [world.delivered(one).offset for one in sent] == list(range(1, 11))
    assert not [one for one in world.events if isinstance(one, BatchRetried)], "no attempt is used up by it"
    finish(world)


def test_a20_one_record_is_too_large_and_the_others_of_its_batch_are_not():
    world = world_of(batch_size=16_384, linger_ms=5)
    world.settle_in((TOPIC, 0))
    world.cluster.configure(TOPIC, max_message_bytes=300)
    sent = one_batch(world, b"a", b"b", b"C" * 400, b"d", b"e")
    world.flush()
    for index, one in enumerate(sent):
        if index == 2:
            error = world.failed(one)
            assert isinstance(error, MessageSizeTooLargeError)
            assert error.written is WriteStatus.NO
        else:
            assert world.delivered(one).offset == index + 1 - (index > 2)
    finish(world, bumped=1)


def test_a20_a_split_batch_goes_behind_an_earlier_one_that_is_to_be_sent_again():
    """Its parts take its place in the order, not the first place: or neither could ever leave."""
    world = world_of(batch_size=16_384, linger_ms=5, delivery_timeout_ms=20_000)
    world.settle_in((TOPIC, 0))
    world.cluster.configure(TOPIC, max_message_bytes=300)
    fail_produce(world, Fault.error(ErrorCode.CORRUPT_MESSAGE))
    first = one_batch(world, b"a")
    world.advance(5)
    second = one_batch(world, b"b" * 150, b"c" * 150, b"d" * 150)
    world.advance(5)
    world.flush()
    assert [world.delivered(one).offset for one in (*first, *second)] == [1, 2, 3, 4]
    finish(world)


def test_a20_too_large_after_a_lost_answer_is_not_split_for_it_may_be_written():
    world = world_of(batch_size=16_384, linger_ms=5)
    world.settle_in((TOPIC, 0))
    fail_produce(world, Fault.close(FaultPoint.AFTER_APPEND))
    sent = one_batch(world, b"a" * 150, b"b" * 150)
    world.run_until(lambda: len(world.values(TOPIC, 0)) == 3)
    world.cluster.configure(TOPIC, max_message_bytes=200)
    for one in sent:
        error = world.failed(one)
        assert isinstance(error, DeliveryError)
        assert error.written is WriteStatus.POSSIBLY
    world.cluster.configure(TOPIC, max_message_bytes=1_000)
    assert world.delivered(*one_batch(world, b"c")).offset == 3
    finish(world, bumped=1)
