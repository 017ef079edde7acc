"""The sender: what a pass does in which order, when the next one is due, and how everything ends."""

from __future__ import annotations

from itertools import pairwise

import pytest
from producer.scenes import TOPIC, each, fail_produce, finish, send_all, state, world_of
from producer.simulated_producer import ProducerWorld

from kproto.client import KafkaTimeoutError
from kproto.client.effects import Close
from kproto.producer.errors import (
    DeliveryError,
    DeliveryTimeoutError,
    ProducerClosedError,
    ProducerFatalError,
)
from kproto.producer.events import BatchSent, HeldReason, ProducerIdChanged
from kproto.producer.producer_id import ProducerIdPhase
from kproto.producer.record import WriteStatus
from kproto.tools.judge import Fault, FaultPoint
from kproto.wire import ApiKey, ErrorCode, KafkaError

EXPIRING = {"request_timeout_ms": 500, "delivery_timeout_ms": 1_000, "linger_ms": 0}


# One pass


def test_simple_one_record_one_request_and_nothing_is_left():
    """testSimple."""
    world = world_of()
    sent = world.send(TOPIC, b"value", partition=0)
    assert world.delivered(sent).offset == 0
    assert len(world.requests()) == 1 and not state(world).sequences.in_flight
    finish(world)
    world.check_at_rest()


def test_sender_8_a_batch_that_expires_in_a_pass_is_not_sent_by_it():
    """A deviation from Java, which sends it and takes no notice of the answer."""
    world = world_of(linger_ms=500, request_timeout_ms=500, delivery_timeout_ms=1_000, batch_size=16_384)
    world.settle_in((TOPIC, 0))
    sent = world.append(TOPIC, bytes(20_000), partition=0)
    world.sender.poll(1_000 + sent.batch.created_ms)  # so long nobody had the time for a pass
    assert isinstance(sent.error, DeliveryTimeoutError) and sent.error.written is WriteStatus.NO
    assert len(world.produced(TOPIC, 0)) == 1


def test_trap_29_a_batch_expires_to_the_millisecond_wherever_it_is():
    world = world_of(partitions=2, nodes=2, batch_size=0, **EXPIRING)
    world.settle_in((TOPIC, 0), (TOPIC, 1))
    world.cluster.fail(ApiKey.PRODUCE, Fault.silence(FaultPoint.BEFORE_APPEND), node=world.leader(TOPIC, 0), times=None)
    world.down(world.leader(TOPIC, 1))
    began_ms = world.now_ms
    sent = [world.send(TOPIC, b"%d" % number, partition=number) for number in (0, 1)]
    world.run_until(lambda: all(one.done for one in sent))
    assert [one.ended_ms - began_ms for one in sent] == [1_000, 1_000]
    assert [one.error.written for one in sent] == [WriteStatus.POSSIBLY, WriteStatus.NO]
    world.check()


def test_trap_60_a_callback_of_an_expired_batch_may_append():
    """testAppendInExpiryCallback: ten records expire, and each callback appends another."""
    world = world_of(batch_size=16_384, **EXPIRING)
    world.down(0)
    first = [world.append(TOPIC, b"first %d" % number, partition=0) for number in range(10)]
    more = []
    for one in first:
        one.batch.call_back(0, lambda metadata, error: more.append(world.append(TOPIC, b"%d" % len(more))))
    batch = first[0].batch
    for index, on_delivery in [*batch.callbacks][10:]:
        assert index == 0 and on_delivery
    world.run_until(lambda: all(one.done for one in first))
    assert len(more) == 10 and all(isinstance(one.error, DeliveryTimeoutError) for one in first)
    assert not any(one.done for one in more)
    world.up(0)
    world.flush()
    assert all(one.error is None for one in more)
    world.check()
    world.check_at_rest()


def test_sender_11_batches_of_several_partitions_expire_in_one_pass():
    world = world_of(partitions=3, batch_size=0, **EXPIRING)
    world.down(0)
    sent = [world.append(TOPIC, b"%d" % number, partition=number % 3) for number in range(12)]
    world.run_until(lambda: all(one.done for one in sent))
    assert {one.ended_ms for one in sent} == {1_000 + sent[0].batch.created_ms}
    for partition in range(3):
        values = [one.value for one in world.ended if one.partition == partition]
        assert values == [one.value for one in sent if one.partition == partition]
    world.check()
    world.check_at_rest()


def test_exp_1_the_error_names_what_kept_it():
    world = world_of(**EXPIRING)
    world.down(0)
    error = world.failed(world.send(TOPIC, b"value", partition=0))
    assert isinstance(error, DeliveryTimeoutError)
    assert "10.0.0.1" in str(error.cause), error.cause
    world = ProducerWorld(1, {TOPIC: 1}, learns=False, **EXPIRING)
    world.cluster.fail(ApiKey.INIT_PRODUCER_ID, Fault.error(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS), times=None)
    error = world.failed(world.send(TOPIC, b"value", partition=0))
    assert "COORDINATOR_LOAD_IN_PROGRESS" in str(error.cause)


# When the next pass is due


def test_d05_trap_61_no_pass_is_made_for_nothing():
    """testDoNotPollWhenNoRequestSent: polls are counted while a batch lingers, backs off, and waits for a broker."""
    world = world_of(batch_size=16_384, linger_ms=300, retry_backoff_ms=400, retry_backoff_max_ms=400)
    fail_produce(world, Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS))
    world.send(TOPIC, b"value", partition=0)
    polls = sum(world.sender.polls_at.values())
    world.advance(299)
    assert sum(world.sender.polls_at.values()) - polls <= 2
    world.advance(120)
    polls = sum(world.sender.polls_at.values())
    world.advance(220)
    assert sum(world.sender.polls_at.values()) - polls <= 2, "it backs off"
    world.flush()
    world.down(0)
    world.advance(100)
    world.send(TOPIC, b"more", partition=0)
    polls = sum(world.sender.polls_at.values())
    world.advance(10_000)
    assert sum(world.sender.polls_at.values()) - polls < 400, "about one for each attempt to connect and to ask"
    world.up(0)
    finish(world)
    world.check_at_rest()


@pytest.mark.parametrize("linger_ms", [0, 1, 50, 300, 2_000])
def test_d06_a_batch_leaves_when_its_linger_is_over_and_not_later(linger_ms):
    world = world_of(linger_ms=linger_ms, batch_size=16_384)
    world.settle_in((TOPIC, 0))
    world.advance(5_000)
    began_ms = world.now_ms
    world.delivered(world.send(TOPIC, b"value", partition=0))
    assert world.produced(TOPIC, 0)[-1].at_ms - began_ms == linger_ms
    finish(world)


def test_the_producer_id_is_asked_for_when_it_is_due_again():
    world = ProducerWorld(1, {TOPIC: 1}, learns=False, linger_ms=0, retry_backoff_ms=200, retry_backoff_max_ms=200)
    world.cluster.fail(ApiKey.INIT_PRODUCER_ID, Fault.error(ErrorCode.COORDINATOR_NOT_AVAILABLE), times=3)
    sent = world.send(TOPIC, b"value", partition=0)
    world.delivered(sent)
    asked = [seen.at_ms for seen in world.requests(ApiKey.INIT_PRODUCER_ID)]
    assert len(asked) == 4 and all(150 <= later - earlier <= 260 for earlier, later in pairwise(asked))
    assert HeldReason.NO_PRODUCER_ID in [held.reason for held in world.held(TOPIC, 0)]
    world.check()
    world.check_at_rest()


def test_a_lost_connection_is_no_answer_and_the_id_is_asked_for_again():
    world = ProducerWorld(1, {TOPIC: 1}, learns=False, linger_ms=0)
    world.cluster.fail(ApiKey.INIT_PRODUCER_ID, Fault.close(FaultPoint.AFTER_APPEND))
    world.delivered(world.send(TOPIC, b"value", partition=0))
    assert len(world.requests(ApiKey.INIT_PRODUCER_ID)) == 2
    world.check()
    world.check_at_rest()


def test_without_idempotence_no_id_is_asked_for():
    world = world_of(enable_idempotence=False)
    world.delivered(world.send(TOPIC, b"value", partition=0))
    assert world.requests(ApiKey.INIT_PRODUCER_ID) == [] and not world.sender._wants_producer_id()
    assert [event for event in world.events if isinstance(event, ProducerIdChanged)] == []


@pytest.mark.parametrize("observed", [True, False])
def test_an_id_is_told_to_who_listens(observed):
    world = ProducerWorld(1, {TOPIC: 1}, learns=False)
    if not observed:
        world.sender._observer = None
    world.learn(TOPIC)
    world.advance(100)
    told = [event for event in world.events if isinstance(event, ProducerIdChanged)]
    assert [(event.producer_epoch, event.why) for event in told] == ([(0, "given by the broker")] if observed else [])


# What cannot be cured


def test_trap_56_who_may_not_have_an_id_fails_what_waits_and_asks_again():
    """testClusterAuthorizationExceptionInInitProducerIdRequest: a grant cures it."""
    world = ProducerWorld(1, {TOPIC: 1}, learns=False, linger_ms=0, retry_backoff_ms=50)
    world.cluster.fail(ApiKey.INIT_PRODUCER_ID, Fault.error(ErrorCode.CLUSTER_AUTHORIZATION_FAILED), times=2)
    error = world.failed(world.send(TOPIC, b"refused", partition=0))
    assert error.code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED and error.written is WriteStatus.NO
    assert world.sender.error is None
    world.run_until(lambda: world.sender.producer_id.phase is ProducerIdPhase.READY)
    world.delivered(world.send(TOPIC, b"taken", partition=0))
    world.check()
    world.check_at_rest()


@pytest.mark.parametrize("code", [ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, ErrorCode.INVALID_REQUEST, 999])
def test_an_id_that_is_refused_for_good_ends_the_producer(code):
    world = ProducerWorld(1, {TOPIC: 1}, learns=False, linger_ms=0)
    world.cluster.fail(ApiKey.INIT_PRODUCER_ID, Fault.error(code), times=None)
    error = world.failed(world.send(TOPIC, b"refused", partition=0))
    assert isinstance(error, DeliveryError) and isinstance(world.sender.error, ProducerFatalError)
    with pytest.raises(ProducerFatalError):
        world.send(TOPIC, b"later", partition=0)
    asked = len(world.requests(ApiKey.INIT_PRODUCER_ID))
    world.advance(60_000)
    assert len(world.requests(ApiKey.INIT_PRODUCER_ID)) == asked
    world.check_at_rest()


def test_a_broker_that_gives_no_ids_ends_an_idempotent_producer():
    world = ProducerWorld(1, {TOPIC: 1}, learns=False, linger_ms=0)
    del world.cluster.brokers[0].versions[ApiKey.INIT_PRODUCER_ID]
    with pytest.raises(ProducerFatalError, match="InitProducerId"):
        world.send(TOPIC, b"refused", partition=0)
    world.check_at_rest()


def test_what_is_fatal_to_one_batch_fails_all_also_those_that_are_in_flight_and_frees_their_memory():
    """testClusterAuthorizationExceptionInProduceRequest, testCancelInFlightRequestAfterFatalError."""
    world = world_of(partitions=2)
    world.settle_in((TOPIC, 0), (TOPIC, 1))
    fail_produce(
        world,
        Fault.error(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, topic=TOPIC, partition=0),
        Fault.delay(500, topic=TOPIC, partition=1),
    )
    first, *rest = send_all(world, *each(b"abc"))
    other = world.send(TOPIC, b"other", partition=1)
    world.run_until(lambda: first.done)
    assert all(one.done for one in (*rest, other))
    assert {one.error.code for one in (first, *rest)} == {ErrorCode.CLUSTER_AUTHORIZATION_FAILED}
    assert other.error.written is WriteStatus.NO or other.batch.in_flight
    world.advance(2_000)
    world.check(strict=False)
    world.check_at_rest()


def test_an_answer_about_the_id_that_comes_after_the_end_changes_nothing():
    world = ProducerWorld(1, {TOPIC: 1}, learns=False, linger_ms=0)
    world.cluster.fail(ApiKey.INIT_PRODUCER_ID, Fault.delay(300), times=None)
    world.advance(50)
    assert world.sender.producer_id.phase is ProducerIdPhase.INITIALIZING
    world.sender._make_fatal(KafkaError("of something else"))
    world.sender._make_fatal(KafkaError("of no interest"))
    world.advance(1_000)
    assert world.sender.producer_id.phase is ProducerIdPhase.FATAL_ERROR
    assert "of something else" in str(world.sender.error)
    assert world.sender.crash is None


# The end


def test_abort_2_giving_up_fails_all_and_tells_how_many():
    """testAbortIncompleteBatches: queued, in flight, and waiting for another attempt."""
    world = world_of(partitions=3, batch_size=100, linger_ms=1_000)
    world.settle_in((TOPIC, 0), (TOPIC, 1), (TOPIC, 2))
    world.cluster.fail(ApiKey.PRODUCE, Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS, topic=TOPIC, partition=1))
    world.cluster.fail(ApiKey.PRODUCE, Fault.delay(200, topic=TOPIC, partition=0))
    sent = [world.send(TOPIC, bytes(90) + b"%d" % number, partition=number % 2) for number in range(6)]
    sent.append(world.send(TOPIC, b"open", partition=2))
    world.advance(25)
    left = [one for one in sent if not one.done]
    world.accumulator.close()
    assert world.sender.abort(world.now_ms) == len(left) > 2
    world.advance(0)
    for one in left:
        assert one.done and isinstance(one.error.cause, ProducerClosedError)
        assert one.error.written is (WriteStatus.POSSIBLY if one.batch.in_flight else one.error.written)
    world.advance(1_000)
    world.check()
    world.check_at_rest()


def test_abort_gives_up_what_was_accepted_after_the_pass_of_now_had_begun():
    """Another thread's clock is ahead of that of the pass."""
    world = world_of(linger_ms=1_000, batch_size=16_384)
    queues = world.accumulator.topic(TOPIC)
    world.accumulator.append(queues, 0, (1, None, b"late", ()), now_ms=world.now_ms + 5)
    world.accumulator.close()
    assert world.sender.abort(world.now_ms) == 1 and world.accumulator.memory.used == 0


def test_trap_62_closing_while_no_id_ever_comes_ends_with_delivery_timeout():
    world = ProducerWorld(1, {TOPIC: 1}, learns=False, **EXPIRING)
    world.cluster.fail(ApiKey.INIT_PRODUCER_ID, Fault.silence(FaultPoint.BEFORE_APPEND), times=None)
    sent = world.send(TOPIC, b"value", partition=0)
    world.accumulator.close()
    error = world.failed(sent, limit_ms=1_100)
    assert isinstance(error, DeliveryTimeoutError) and error.written is WriteStatus.NO
    world.check_at_rest()


def test_closing_ends_the_connections_and_what_is_in_flight():
    world = world_of()
    world.cluster.fail(ApiKey.PRODUCE, Fault.delay(10_000))
    sent = world.send(TOPIC, b"value", partition=0)
    world.run_until(lambda: world.produced(TOPIC, 0))
    world.accumulator.close()
    world.sender.abort(world.now_ms)
    world.sender.close(world.now_ms)
    world.advance(10)
    assert sent.error.written is WriteStatus.POSSIBLY and not world.network.links
    world.check_at_rest()


def test_a_batch_that_cannot_be_made_ready_fails_alone_and_once():
    """As where the codec has no memory: it is told, and those behind go on."""
    world = world_of()
    world.settle_in((TOPIC, 0))
    first, second = (world.append(TOPIC, value, partition=0) for value in each(b"ab"))
    why = MemoryError("of the codec")
    for _ in range(2):
        world.sender.give_up(first.batch, "it cannot be compressed", why, world.now_ms)
    world.delivered(second)
    assert first.times == 1 and first.error.cause is why and first.error.written is WriteStatus.NO
    finish(world)
    world.check()
    world.check_at_rest()


# A bug of ours


def crash(world, where, error=None):
    def crashing(*arguments):
        raise error or ZeroDivisionError("of ours")

    setattr(where[0], where[1], crashing)


def poll_all(world):
    """As a driver does, which knows no assertion."""
    effects = super(type(world.sender), world.sender).poll(world.now_ms)
    world.sender.collect()
    return effects


def test_a_bug_ends_the_producer_with_an_error_not_the_thread_and_all_futures_end():
    world = world_of()
    world.settle_in((TOPIC, 0))
    world.network.latency_ms = 10
    sent = send_all(world, *each(b"abcdefg"))
    crash(world, (world.sender._dispatch, "run"))
    world.append(TOPIC, b"queued", partition=0)
    poll_all(world)
    assert isinstance(world.sender.crash, ZeroDivisionError) and isinstance(world.sender.error, ProducerFatalError)
    assert all(one.done and isinstance(one.error, DeliveryError) for one in (*sent, world.sent[-1]))
    assert "of ours" in str(sent[0].error.cause)
    with pytest.raises(ProducerFatalError):
        world.append(TOPIC, b"later", partition=0)


def test_a_bug_that_comes_again_and_again_does_not_keep_the_driver_busy():
    world = world_of()
    world.send(TOPIC, b"value", partition=0)
    crash(world, (world.sender.network, "poll"))
    assert world.sender.next_deadline_ms() is not None
    for _ in range(3):
        poll_all(world)
    assert world.sender.next_deadline_ms() is None
    assert str(world.sender.crash) == "of ours"


def test_what_the_network_wants_before_the_bug_is_done_all_the_same():
    """A connection that is to be closed is closed, though the pass breaks behind that."""
    world = world_of()
    world.settle_in((TOPIC, 0))
    world.sender.close(world.now_ms)
    crash(world, (world.sender._dispatch, "run"))
    assert [type(effect) for effect in poll_all(world)] == [Close] * len(world.network.links)
    assert world.sender.crash is not None


@pytest.mark.parametrize("step", ["request", "sent"])
def test_a_batch_that_was_under_the_hands_of_the_bug_ends_too(step):
    """It is in no queue any more, and not in flight yet."""
    world = world_of()
    world.settle_in((TOPIC, 0))
    sent = world.append(TOPIC, b"value", partition=0)
    where = (world.sender._dispatch, "_send" if step == "request" else "_sent")
    crash(world, where)
    poll_all(world)
    assert sent.done and isinstance(sent.error.cause, ProducerFatalError)
    assert world.accumulator.memory.used == (0 if step == "request" else sent.batch.reserved)


def test_what_is_asked_of_the_sender_goes_to_the_network():
    world = world_of()
    seen = []

    class Network:
        def __getattr__(self, name):
            return lambda *arguments: seen.append((name, *arguments))

    world.sender.network = Network()
    world.sender.resolved("a", ["b"], 1)
    world.sender.connection_made(2, 3)
    world.sender.data_received(4, b"c", 5)
    world.sender.connection_lost(6, "why", 7)
    world.sender.token_fetched(8, "token", 9)
    world.sender.data_to_send(10)
    world.sender.data_sent(11, 12, 13)
    world.sender.close(14)
    assert seen == [
        ("resolved", "a", ["b"], 1),
        ("connection_made", 2, 3),
        ("data_received", 4, b"c", 5),
        ("connection_lost", 6, "why", 7),
        ("token_fetched", 8, "token", 9),
        ("data_to_send", 10),
        ("data_sent", 11, 12, 13),
        ("close", 14),
    ]


def test_whoever_compresses_elsewhere_is_asked_to():
    world = world_of()
    asked = []
    sender = type(world.sender)(
        world.config,
        world.accumulator,
        world.client,
        world.metrics,
        rng=world.network.rng,
        compress=lambda batch: bool(asked.append(batch)),
    )
    assert sender._dispatch._compress(7) is False and asked == [7]


def test_what_ended_is_given_once():
    world = world_of()
    world.sender.collect = lambda: None
    world.append(TOPIC, b"value", partition=0)
    world.run_until(lambda: world.sender._fates.ended)
    assert [batch.number for batch in world.sender.take_ended()] == [1] and world.sender.take_ended() == []


def test_no_attempt_is_made_after_the_end():
    world = world_of()
    world.settle_in((TOPIC, 0))
    world.sender._make_fatal(KafkaTimeoutError("a test", 1))
    world.advance(1_000)
    sent = [event for event in world.events if isinstance(event, BatchSent)]
    assert len(sent) == 1
