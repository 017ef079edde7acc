"""Retries, timeouts and backoff: which errors are tried again, how often, how soon, and what is known at the end.

B01 to B09 of the scenario list.
"""

from __future__ import annotations

import pytest
from producer.scenes import TOPIC, each, fail_produce, finish, one_batch, send_all, stamps, state, world_of

from kproto.client import KafkaTimeoutError
from kproto.client.errors import BrokerError, KafkaConnectionError
from kproto.producer.errors import DeliveryError, DeliveryTimeoutError
from kproto.producer.events import BatchRetried, BatchSplit
from kproto.producer.outcome import outcome_of
from kproto.producer.record import WriteStatus
from kproto.tools.judge import Fault, FaultPoint, JudgeCluster
from kproto.wire import ApiKey, ErrorCode

RETRIABLE = [code for code in ErrorCode if code.retriable]
AFTER_APPEND = [ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND, ErrorCode.KAFKA_STORAGE_ERROR]
WITHOUT_NUMBERS = {"enable_idempotence": False, "max_in_flight_requests_per_connection": 1}
CONSTANT = {"retry_backoff_ms": 50, "retry_backoff_max_ms": 50}


def retries(world):
    return [event for event in world.events if isinstance(event, BatchRetried)]


def answer_at(world, ms, fault):
    """The batch that has just been sent is refused once; its second attempt meets the fault, and has its answer so
    many milliseconds after the batch was opened."""
    world.cluster.faults.clear()
    fail_produce(world, Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS), fault)
    world.advance(30)
    assert len(retries(world)) == 1
    world.cluster.brokers[0].latency_ms = ms - 20 - CONSTANT["retry_backoff_ms"] - 20


# Which


@pytest.mark.parametrize("code", RETRIABLE, ids=lambda code: code.name)
def test_b01_a_retriable_error_is_tried_again(code):
    world = world_of()
    fail_produce(world, Fault.error(code))
    (sent,) = send_all(world, b"a")
    assert world.delivered(sent).offset == 0
    assert [event.attempt for event in world.produced(TOPIC, 0)] == [1, 2]
    (retried,) = retries(world)
    assert isinstance(retried.error, BrokerError)
    assert retried.error.code == code
    finish(world)


@pytest.mark.parametrize("settings", [{}, WITHOUT_NUMBERS], ids=["numbered", "not"])
@pytest.mark.parametrize("code", RETRIABLE, ids=lambda code: code.name)
def test_b01_trap_57_retries_counts_the_attempts_behind_the_first(code, settings):
    world = world_of(retries=2, **settings)
    fail_produce(world, Fault.error(code), times=None)
    (sent,) = send_all(world, b"a")
    error = world.failed(sent)
    assert type(error) is not DeliveryTimeoutError
    assert (error.code, error.retriable) == (code, True)
    assert error.written is (WriteStatus.POSSIBLY if outcome_of(code).open else WriteStatus.NO)
    assert len(world.produced(TOPIC, 0)) == 3
    world.cluster.faults.clear()
    assert world.delivered(*send_all(world, b"b")).offset == 0
    finish(world, bumped=1 if not settings else -1)


@pytest.mark.parametrize("code", AFTER_APPEND, ids=lambda code: code.name)
def test_b01_what_was_written_behind_the_error_is_found_there(code):
    world = world_of()
    fail_produce(world, Fault.error(code, FaultPoint.AFTER_APPEND), times=3)
    (sent,) = send_all(world, b"a")
    assert world.delivered(sent).offset == 0
    assert stamps(world) == [(0, 0)] * 4
    finish(world)


def test_b02_a_batch_that_came_damaged_is_sent_again():
    """Whatever changed a bit on its way, the bytes here are whole."""
    world = world_of()
    world.settle_in((TOPIC, 0))
    fail_produce(world, Fault.error(ErrorCode.CORRUPT_MESSAGE), times=2)
    sent = send_all(world, *each(b"ab"))
    assert [world.delivered(one).offset for one in sent] == [1, 2]
    finish(world)


@pytest.mark.parametrize("point", [FaultPoint.BEFORE_PARSE, FaultPoint.AFTER_APPEND])
@pytest.mark.parametrize("numbered", [False, True])
def test_b03_the_connection_ends_right_after_the_send(point, numbered):
    world = world_of(**({} if numbered else WITHOUT_NUMBERS))
    fail_produce(world, Fault.close(point))
    (sent,) = send_all(world, b"a")
    metadata = world.delivered(sent)
    if numbered or point is FaultPoint.BEFORE_PARSE:
        assert metadata.offset == 0
        world.check()
    else:
        assert metadata.offset == 1, "only numbers keep it from being doubled"
        assert world.values(TOPIC, 0) == [b"a", b"a"]


@pytest.mark.parametrize("point", [FaultPoint.BEFORE_PARSE, FaultPoint.AFTER_APPEND])
def test_b03_the_connection_ends_and_no_attempt_is_left(point):
    world = world_of(retries=0, **WITHOUT_NUMBERS)
    fail_produce(world, Fault.close(point))
    sent = send_all(world, *each(b"ab"))
    error = world.failed(sent[0])
    assert error.written is WriteStatus.POSSIBLY
    assert isinstance(error.cause, KafkaConnectionError)
    world.delivered(sent[1])
    finish(world, bumped=-1)


# How soon


@pytest.mark.parametrize("seed", range(5))
def test_b04_backoff_doubles_with_jitter_up_to_its_cap(seed):
    world = world_of(network={"latency_ms": 1}, retry_backoff_ms=100, retry_backoff_max_ms=1_000, seed=seed)
    fail_produce(world, Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS), times=8)
    (sent,) = send_all(world, b"a")
    world.delivered(sent)
    waits = [event.retry_at_ms - event.at_ms for event in retries(world)]
    for attempt, wait in enumerate(waits):
        middle = min(1_000, 100 * 2**attempt)
        assert 0.79 * middle <= wait <= min(1_000, 1.2 * middle)
    assert waits[:3] != [100, 200, 400], "without jitter all clients would come back together"
    sent_at = [event.at_ms for event in world.produced(TOPIC, 0)]
    assert sent_at[1:] == [event.retry_at_ms for event in retries(world)], "the draw holds for the attempt"
    finish(world)


def test_b04_a_backoff_without_growth_has_no_jitter():
    world = world_of(retry_backoff_ms=70, retry_backoff_max_ms=70)
    fail_produce(world, Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS), times=4)
    world.delivered(*send_all(world, b"a"))
    assert [event.retry_at_ms - event.at_ms for event in retries(world)] == [70] * 4


def three_nodes(versions=range(14)):
    cluster = JudgeCluster(3, {TOPIC: 1})
    for broker in cluster.brokers.values():
        broker.versions[ApiKey.PRODUCE] = versions
    world = world_of(nodes=3, cluster=cluster, retry_backoff_ms=5_000, retry_backoff_max_ms=5_000)
    world.settle_in((TOPIC, 0))
    world.advance(10_000)  # metadata is asked for again not before retry_backoff_ms, too
    old = world.leader(TOPIC, 0)
    return world, old, (old + 1) % 3


@pytest.mark.parametrize("versions", [range(14), range(10)], ids=["hinted", "looked up"])
def test_b05_a_new_leader_is_asked_at_once(versions):
    """Answers before version 10 do not name it (KIP-951), so that metadata has to be asked for."""
    world, old, new = three_nodes(versions)
    asked = len(world.requests(ApiKey.METADATA))
    world.cluster.move_leader(TOPIC, 0, new)
    began_ms = world.now_ms
    (sent,) = send_all(world, b"a")
    assert world.delivered(sent).offset == 1
    assert world.now_ms - began_ms < 500
    assert [event.node_id for event in world.produced(TOPIC, 0)][-2:] == [old, new]
    assert world.produced(TOPIC, 0)[-1].at_ms - began_ms < (80 if versions[-1] >= 10 else 500)
    assert versions[-1] >= 10 or len(world.requests(ApiKey.METADATA)) > asked
    finish(world)


def test_b05_the_same_leader_is_left_alone_for_the_whole_backoff():
    world, old, _ = three_nodes()
    fail_produce(world, Fault.error(ErrorCode.NOT_LEADER_OR_FOLLOWER))
    (sent,) = send_all(world, b"a")
    world.delivered(sent)
    first, second = world.produced(TOPIC, 0)[-2:]
    assert (first.node_id, second.node_id) == (old, old)
    assert second.at_ms - first.at_ms >= 5_000
    finish(world)


@pytest.mark.parametrize("code", [code for code in RETRIABLE if code.invalid_metadata], ids=lambda code: code.name)
def test_b05_trap_58_metadata_is_asked_for_also_where_the_batch_is_not_tried_again(code):
    world = world_of(retries=1)
    world.settle_in((TOPIC, 0))
    asked = len(world.requests(ApiKey.METADATA))
    fail_produce(world, Fault.error(code), times=2)
    world.failed(*send_all(world, b"a"))
    world.advance(1_000)
    assert len(world.requests(ApiKey.METADATA)) >= asked + 2
    finish(world)


# How long


def test_b06_time_runs_out_in_the_queue():
    world = world_of(delivery_timeout_ms=2_000, linger_ms=1_000, batch_size=1_000)
    world.settle_in((TOPIC, 0))
    world.cluster.fail(ApiKey.METADATA, Fault.error(ErrorCode.LEADER_NOT_AVAILABLE, topic=TOPIC), times=None)
    world.cluster.no_leader(TOPIC, 0)
    world.down(0)
    began_ms = world.now_ms
    (sent,) = send_all(world, b"a")
    error = world.failed(sent)
    assert world.now_ms - began_ms == 2_000
    assert isinstance(error, DeliveryTimeoutError)
    assert error.written is WriteStatus.NO
    assert error.cause is not None, "it says why it may have taken so long"


@pytest.mark.parametrize("point", [FaultPoint.BEFORE_APPEND, FaultPoint.AFTER_APPEND])
def test_b06_time_runs_out_in_flight(point):
    world = world_of(delivery_timeout_ms=1_000)
    world.settle_in((TOPIC, 0))
    fail_produce(world, Fault.silence(point))
    began_ms = world.now_ms
    (sent,) = send_all(world, b"a")
    error = world.failed(sent)
    assert world.now_ms - began_ms == 1_000
    assert isinstance(error, DeliveryTimeoutError)
    assert error.written is WriteStatus.POSSIBLY
    assert "sent once" in str(error)
    finish(world, bumped=0)


@pytest.mark.parametrize(
    ("code", "written"),
    [(ErrorCode.NOT_ENOUGH_REPLICAS, WriteStatus.NO), (ErrorCode.NOT_LEADER_OR_FOLLOWER, WriteStatus.POSSIBLY)],
)
def test_b06_time_runs_out_between_attempts(code, written):
    world = world_of(delivery_timeout_ms=1_500, retry_backoff_ms=600, retry_backoff_max_ms=600)
    world.settle_in((TOPIC, 0))
    fail_produce(world, Fault.error(code), times=None)
    began_ms = world.now_ms
    (sent,) = send_all(world, b"a")
    error = world.failed(sent)
    assert world.now_ms - began_ms == 1_500
    assert isinstance(error, DeliveryTimeoutError)
    assert error.written is written
    assert "sent 3 times" in str(error)
    world.cluster.faults.clear()
    finish(world)


def test_b06_exp_1_without_numbers_a_batch_that_waits_for_a_leader_that_is_gone_expires_in_time():
    """Found by the simulation: it waited for as long as the leader stayed away."""
    world = world_of(enable_idempotence=False, acks=1, delivery_timeout_ms=1_500)
    world.send(TOPIC, b"first", partition=0)
    world.advance(300)
    world.unplug(0)
    sent = []
    for value in (b"a", b"b"):
        sent += send_all(world, value)
        world.advance(300)
    began_ms = world.now_ms - 300
    world.down(0)
    world.advance(3_000)
    assert [one.ended_ms for one in sent] == [began_ms - 300 + 1_500, began_ms + 1_500]
    assert all(isinstance(one.error, DeliveryTimeoutError) for one in sent)


@pytest.mark.parametrize(
    "answer",
    [
        Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS),
        Fault.error(ErrorCode.MESSAGE_TOO_LARGE),
        Fault.error(ErrorCode.INVALID_RECORD),
        Fault.error(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER),
        Fault.error(ErrorCode.UNKNOWN_PRODUCER_ID),
        Fault.error(ErrorCode.CLUSTER_AUTHORIZATION_FAILED),
        Fault.error(ErrorCode.DUPLICATE_SEQUENCE_NUMBER, FaultPoint.AFTER_APPEND),
        Fault.delay(0),
    ],
    ids=lambda fault: f"{fault.error_code}",
)
def test_b07_trap_44_an_expired_batch_is_neither_sent_again_nor_split_nor_completed_twice(answer):
    world = world_of(delivery_timeout_ms=1_000, batch_size=1_000, **CONSTANT)
    world.settle_in((TOPIC, 0))
    before = len(world.produced(TOPIC, 0))
    sent = one_batch(world, b"a", b"b")
    answer_at(world, 1_005, answer)
    world.flush()
    assert all(isinstance(one.error, DeliveryTimeoutError) for one in sent)
    assert world.accumulator.memory.used > 0, "its request is not answered yet"
    world.advance(100)
    assert world.accumulator.memory.used == 0
    assert len(world.produced(TOPIC, 0)) == before + 2
    assert len(retries(world)) == 1
    assert not [event for event in world.events if isinstance(event, BatchSplit)]
    assert world.sender.error is None, "nothing that is over ends the producer"
    world.cluster.brokers[0].latency_ms = 0
    world.delivered(*send_all(world, b"c"))
    world.check()
    world.check_at_rest()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (ErrorCode.NOT_ENOUGH_REPLICAS, DeliveryTimeoutError),
        (ErrorCode.MESSAGE_TOO_LARGE, None),
        (ErrorCode.CLUSTER_AUTHORIZATION_FAILED, None),
        (ErrorCode.INVALID_RECORD, None),
        (ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, DeliveryTimeoutError),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_b07_an_answer_at_the_very_end_of_the_time_says_why(code, kind):
    """What would have failed in time, too, is told as what it is."""
    world = world_of(delivery_timeout_ms=1_000, **CONSTANT)
    world.settle_in((TOPIC, 0))
    began_ms = world.now_ms
    (sent,) = one_batch(world, b"a")
    answer_at(world, 1_000, Fault.error(code))
    error = world.failed(sent)
    assert world.now_ms - began_ms == 1_000
    assert error.written is WriteStatus.NO, "the answer was settled before the time was looked at"
    if kind is None:
        assert error.code == code
        assert not isinstance(error, DeliveryTimeoutError)
    else:
        assert isinstance(error, kind)


# Connections


def test_b08_a_request_that_was_written_in_part_takes_its_connection_with_it():
    """The rest of it would be read as the beginning of the next one."""
    world = world_of()
    world.settle_in((TOPIC, 0))
    world.network.window = 40
    world.unplug(0)
    (sent,) = send_all(world, b"a" * 500)
    world.advance(990)
    (old,) = [link for link in world.network.links.values() if link._under_way]
    assert old._under_way == 40
    assert old.alive
    world.run_until(lambda: not old.alive)
    world.network.window = None
    assert world.delivered(sent).offset == 1
    finish(world)


def test_b09_those_behind_a_request_that_timed_out_say_that_it_was_not_theirs():
    world = world_of()
    world.settle_in((TOPIC, 0))
    fail_produce(world, Fault.silence(FaultPoint.AFTER_APPEND))
    (first,) = send_all(world, b"a")
    world.advance(500)
    rest = send_all(world, *each(b"bc"))
    world.run_until(lambda: len(retries(world)) == 3)
    causes = [event.error for event in retries(world)]
    assert isinstance(causes[0], KafkaTimeoutError)
    assert "ProduceRequest" in str(causes[0])
    for cause in causes[1:]:
        assert not isinstance(cause, KafkaTimeoutError)
        assert str(cause) != str(causes[0])
    assert [world.delivered(one).offset for one in (first, *rest)] == [1, 2, 3]
    finish(world)


@pytest.mark.parametrize("only_unwritten", [False, True])
def test_b06_with_fail_only_unwritten_what_may_be_written_waits_until_that_is_known(only_unwritten):
    world = world_of(delivery_timeout_ms=1_500, fail_only_unwritten=only_unwritten)
    world.settle_in((TOPIC, 0))
    fail_produce(world, Fault.close(FaultPoint.AFTER_APPEND))
    (sent,) = send_all(world, b"a")
    world.advance(25)
    world.down(0)
    world.advance(10_000)
    (late,) = send_all(world, b"b")
    world.up(0)
    if only_unwritten:
        assert world.delivered(sent).offset == 1
    else:
        assert world.failed(sent).written is WriteStatus.POSSIBLY
    world.delivered(late)
    finish(world, bumped=0 if only_unwritten else 1)


def test_b06_with_fail_only_unwritten_what_is_certain_fails_in_time():
    world = world_of(delivery_timeout_ms=1_500, fail_only_unwritten=True)
    world.settle_in((TOPIC, 0))
    fail_produce(world, Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS), times=None)
    (sent,) = send_all(world, b"a")
    began_ms = world.now_ms
    assert world.failed(sent).written is WriteStatus.NO
    assert world.now_ms - began_ms == 1_500
    world.cluster.faults.clear()
    assert state(world).sequences.lost_before is not None
    world.delivered(*send_all(world, b"b"))
    finish(world, bumped=1)


def test_b06_one_time_holds_for_all_attempts_and_parts():
    world = world_of(delivery_timeout_ms=1_500, batch_size=1_000)
    world.settle_in((TOPIC, 0))
    world.cluster.configure(TOPIC, max_message_bytes=200)
    began_ms = world.now_ms
    sent = one_batch(world, b"a" * 150, b"b" * 150)
    world.cluster.fail(ApiKey.PRODUCE, Fault.delay(0))
    world.cluster.fail(ApiKey.PRODUCE, Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS), times=None)
    for one in sent:
        assert isinstance(world.failed(one), DeliveryError)
        assert one.ended_ms - began_ms == 1_500
    assert [event for event in world.events if isinstance(event, BatchSplit)]
