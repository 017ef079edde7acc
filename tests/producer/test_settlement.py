"""What each answer, and each way of not getting one, means for a batch: the rows of the table, carried out."""

from __future__ import annotations

import pytest
from producer.scenes import TOPIC, each, fail_produce, send_all, stamps, world_of
from producer.settling import Desk

from kproto.client import TopicPartition
from kproto.client.errors import (
    AuthenticationError,
    BrokerError,
    ClientClosedError,
    KafkaConnectionError,
    KafkaTimeoutError,
    UnsupportedVersionError,
)
from kproto.client.metadata_state import WANTED
from kproto.producer.batch_state import BatchState
from kproto.producer.errors import (
    ClusterAuthorizationFailedError,
    DeliveryError,
    InvalidRecordError,
    MessageSizeTooLargeError,
    ProducerFatalError,
    TopicAuthorizationFailedError,
)
from kproto.producer.events import BatchCompleted, BatchRetried, BatchSplit
from kproto.producer.outcome import Action, outcome_of
from kproto.producer.produce_call import PartitionAnswer
from kproto.producer.record import WriteStatus
from kproto.tools.judge import Fault, JudgeCluster
from kproto.wire import ApiKey, EncodeError, ErrorCode, ProduceResponse

PLAIN = {"enable_idempotence": False, "max_in_flight_requests_per_connection": 1}
LOST = KafkaConnectionError("10.0.0.1:9092", "connection reset")
AT = TopicPartition(TOPIC, 0)


def errors_of(batch):
    return [batch.error_of(index) for index in range(batch.count)]


def retries(desk):
    return [event for event in desk.world.events if isinstance(event, BatchRetried)]


# Well


def test_a_success_has_the_offsets_and_the_brokers_time():
    desk = Desk()
    call = desk.send(b"a", b"b")
    (batch,) = call.batches.values()
    desk.answer(call, base_offset=40, log_append_time_ms=1_234)
    assert batch.state is BatchState.SUCCEEDED
    assert [tuple(batch.metadata_of(index)) for index in range(2)] == [(TOPIC, 0, 40, 1_234), (TOPIC, 0, 41, 1_234)]
    assert desk.state().sequences.acknowledged
    assert [one.metadata.offset for one in desk.world.ended] == [40, 41]
    assert desk.world.accumulator.memory.used == 0


def test_trap_59_without_an_answer_that_is_due_there_is_no_offset():
    desk = Desk(acks=0, retries=0, **PLAIN)
    call = desk.send(b"a")
    desk.end(call, None)
    (sent,) = desk.world.sent
    assert sent.error is None
    assert sent.metadata.offset == -1


def test_trap_45_a_duplicate_is_a_success():
    desk = Desk()
    first, second = desk.send(b"a"), desk.send(b"b")
    desk.answer(second, base_offset=1_000)
    desk.answer(first, ErrorCode.DUPLICATE_SEQUENCE_NUMBER, log_append_time_ms=99)
    assert [(one.error, one.metadata.offset) for one in desk.world.sent] == [(None, -1), (None, 1_000)]


# Every code


@pytest.mark.parametrize("settings", [{}, PLAIN], ids=["numbered", "not"])
@pytest.mark.parametrize("code", [code for code in ErrorCode if code], ids=lambda code: code.name)
def test_sender_16_every_code_is_carried_out(code, settings):
    desk = Desk(**settings)
    call = desk.send(b"a", b"b")
    (batch,) = call.batches.values()
    desk.answer(call, code, log_start_offset=0)
    outcome = outcome_of(code)
    numbered = not settings
    if outcome.action is Action.COMPLETE_DUPLICATE:
        assert batch.state is BatchState.SUCCEEDED
    elif outcome.action is Action.SPLIT:
        assert batch.state is BatchState.SPLIT
        assert desk.queued() == [2, 3]
    elif outcome.action is Action.RETRY or (
        numbered and outcome.action in (Action.OUT_OF_ORDER, Action.UNKNOWN_PRODUCER)
    ):
        assert desk.queued() == [1]
        assert retries(desk)[0].error.code == code
    else:
        assert batch.state is BatchState.FAILED
        assert batch.error.code == code
        assert batch.error.written is (WriteStatus.POSSIBLY if outcome.open else WriteStatus.NO)
    assert (desk.sender.error is not None) == (numbered and outcome.action is Action.FATAL)
    assert (desk.world.client.metadata.state in WANTED) == code.invalid_metadata
    assert not desk.state().sequences.in_flight


@pytest.mark.parametrize("code", [-2, 999, 32_767])
def test_a_code_that_nobody_knows_fails_and_leaves_it_open(code):
    desk = Desk()
    call = desk.send(b"a")
    desk.answer(call, code)
    (error,) = errors_of(*call.batches.values())
    assert (error.code, error.written) == (code, WriteStatus.POSSIBLY)


@pytest.mark.parametrize(
    ("error", "code", "open_outcome"),
    [
        (LOST, ErrorCode.NETWORK_EXCEPTION, True),
        (AuthenticationError("10.0.0.1:9092", "the session is over"), ErrorCode.NETWORK_EXCEPTION, True),
        (ClientClosedError("closed"), ErrorCode.NETWORK_EXCEPTION, True),
        (KafkaTimeoutError("an answer", 1_000), ErrorCode.REQUEST_TIMED_OUT, True),
        (BrokerError(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, "node 0"), 76, False),
        (EncodeError("ProduceRequest", 1, "is too large"), ErrorCode.INVALID_REQUEST, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_sender_12_what_the_end_of_a_request_means(error, code, open_outcome):
    desk = Desk(retries=1, request_timeout_ms=1_000)
    call = desk.send(b"a")
    (batch,) = call.batches.values()
    desk.world.network.now_ms += 1_000
    desk.end(call, error)
    if outcome_of(code).action is Action.RETRY:
        assert retries(desk)[0].error is error
        call = desk.send_head()
        desk.world.network.now_ms += 1_000
        desk.end(call, error)
    assert batch.error.code == code
    assert batch.error.cause is error
    assert (batch.error.written is WriteStatus.POSSIBLY) == open_outcome


def test_b09_those_behind_a_timeout_are_told_that_it_was_not_theirs():
    desk = Desk()
    call = desk.send(b"a")
    desk.world.network.now_ms += 999
    desk.end(call, KafkaTimeoutError("an answer", 1_000))
    (retried,) = retries(desk)
    assert isinstance(retried.error, KafkaConnectionError)
    assert "as an earlier request timed out: an answer" in str(retried.error)


def test_idem_20_no_common_version_ends_an_idempotent_producer():
    error = UnsupportedVersionError(ApiKey.PRODUCE, range(3, 14), range(3))
    desk = Desk()
    call = desk.send(b"a")
    desk.end(call, error)
    assert isinstance(desk.sender.error, ProducerFatalError)
    assert desk.sender.error.cause.code == ErrorCode.UNSUPPORTED_VERSION
    plain = Desk(**PLAIN)
    call = plain.send(b"a")
    plain.end(call, error)
    assert plain.sender.error is None
    assert plain.world.sent[0].error.cause is error


# Whole answers


def test_trap_63_a_batch_that_an_answer_leaves_out_is_tried_again():
    desk = Desk()
    desk.append(b"a")
    desk.append(b"x", partition=1)
    call = desk.send_head(0, 1)
    only = PartitionAnswer(index=1, base_offset=5)
    stranger = PartitionAnswer(index=7, base_offset=9)
    topic = ProduceResponse.TopicProduceResponse(name=TOPIC, partition_responses=[only, stranger])
    desk.respond(call, ProduceResponse(responses=[topic]))
    assert [one.done for one in desk.world.sent] == [False, True]
    assert "without a word about orders-0" in str(retries(desk)[0].error)
    assert desk.state().queue.batches[0].open_outcome


def test_sender_14_a_named_leader_is_known_at_once():
    desk = Desk()
    hint = PartitionAnswer.LeaderIdAndEpoch(leader_id=0, leader_epoch=9)
    desk.answer(desk.send(b"a"), ErrorCode.NOT_LEADER_OR_FOLLOWER, current_leader=hint)
    assert desk.world.client.cluster.partition(AT).leader_epoch == 9


def test_sender_25_the_throttle_time_is_counted():
    desk = Desk()
    heard = []
    desk.settlement._metrics = type("Metrics", (), {"response_received": lambda _, *told: heard.append(told)})()
    call = desk.send(b"a")
    desk.world.network.now_ms += 30
    desk.answer(call, base_offset=1)
    assert heard == [(0, 30, 7, desk.now_ms)]


# Words


def test_sender_21_the_brokers_words_come_first():
    """SenderTest.testCustomErrorMessage, testDefaultErrorMessage."""
    desk = Desk()
    desk.answer(desk.send(b"a"), ErrorCode.POLICY_VIOLATION, error_message="no tombstones here")
    assert "no tombstones here" in str(desk.world.sent[0].error)
    desk.answer(desk.send(b"b"), ErrorCode.POLICY_VIOLATION)
    assert ErrorCode.POLICY_VIOLATION.description in str(desk.world.sent[1].error)
    desk.answer(desk.send(b"c"), ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    assert isinstance(desk.world.sent[2].error, TopicAuthorizationFailedError)
    assert "orders" in str(desk.world.sent[2].error)


def test_too_large_says_how_large():
    desk = Desk()
    call = desk.send(b"a" * 1_000)
    (batch,) = call.batches.values()
    desk.answer(call, ErrorCode.MESSAGE_TOO_LARGE, error_message="ignored: ours says more")
    (error,) = errors_of(batch)
    assert isinstance(error, MessageSizeTooLargeError)
    assert f"1 records, {batch.size} bytes" in str(error)


def record_errors(*named):
    return [
        ProduceResponse.BatchIndexAndErrorMessage(batch_index=index, batch_index_error_message=why)
        for index, why in named
    ]


def test_sender_22_errors_of_single_records():
    """SenderTest.testRecordErrorPropagatedToApplication: several are named, the others are told that they are not."""
    desk = Desk()
    call = desk.send(*each(b"abcde"))
    (batch,) = call.batches.values()
    named = record_errors((0, "bad key"), (3, None))
    desk.answer(call, ErrorCode.INVALID_TIMESTAMP, record_errors=named, error_message="see below")
    first, second, third, fourth, fifth = errors_of(batch)
    assert type(first) is type(fourth) is InvalidRecordError
    assert "bad key" in str(first)
    assert "see below" in str(fourth)
    assert second is third is fifth
    assert type(second) is DeliveryError
    assert "refused for 2 other records" in str(second)
    assert {error.written for error in errors_of(batch)} == {WriteStatus.NO}


def test_sender_22_one_alone_has_the_class_of_the_code():
    desk = Desk()
    call = desk.send(b"a", b"b")
    (batch,) = call.batches.values()
    desk.answer(call, ErrorCode.POLICY_VIOLATION, record_errors=record_errors((1, "not this")))
    first, second = errors_of(batch)
    assert "refused for 1 other records" in str(first)
    assert type(second) is DeliveryError
    assert "POLICY_VIOLATION (44), not this" in str(second)


def test_sender_22_where_all_are_named_the_batch_has_the_code_itself():
    desk = Desk()
    call = desk.send(b"a", b"b")
    (batch,) = call.batches.values()
    desk.answer(call, ErrorCode.INVALID_RECORD, record_errors=record_errors((0, "x"), (1, "y")))
    assert [type(error) for error in errors_of(batch)] == [InvalidRecordError] * 2
    assert "INVALID_RECORD" in str(batch.error)


@pytest.mark.parametrize("indices", [(-1,), (2,), (2**31 - 1, -(2**31)), (0, 0), (1, 5, 1)])
def test_sender_22_a_hostile_broker_names_records_that_are_not_there(indices):
    desk = Desk()
    call = desk.send(b"a", b"b")
    (batch,) = call.batches.values()
    desk.answer(call, ErrorCode.INVALID_RECORD, record_errors=record_errors(*((index, "?") for index in indices)))
    assert all(isinstance(error, DeliveryError) for error in errors_of(batch))
    assert [one.error for one in desk.world.sent] == errors_of(batch)
    if not {0, 1} & set(indices):
        assert {type(error) for error in errors_of(batch)} == {InvalidRecordError}, "none of ours is named"


# The producer's numbers


def test_idem_11_a_forgotten_producer_without_an_answer_of_its_own_is_asked_again():
    desk = Desk()
    call = desk.send(b"a")
    desk.end(call, BrokerError(ErrorCode.UNKNOWN_PRODUCER_ID, "orders-0"))
    assert desk.queued() == [1]
    assert desk.state().sequences.lost_before is None


@pytest.mark.parametrize("code", [45, 59])
def test_sequence_errors_of_a_batch_without_numbers_fail_it(code):
    desk = Desk(**PLAIN)
    call = desk.send(b"a")
    desk.answer(call, code, log_start_offset=3)
    assert desk.world.sent[0].error.code == code
    assert desk.state().sequences.lost_before is None


def given_up_in_flight(desk):
    call = desk.send(b"a")
    (batch,) = call.batches.values()
    desk.fates.expire(desk.state(), batch, None, desk.now_ms)
    desk.sender.collect()
    assert desk.world.sent[0].times == 1
    assert desk.world.accumulator.memory.used > 0
    return call


@pytest.mark.parametrize("code", [0, 46, 45, 59, 10, 19, 7, 31, 87, 999])
def test_trap_44_a_late_answer_only_tells_what_became_of_the_numbers(code):
    desk = Desk()
    call = given_up_in_flight(desk)
    desk.answer(call, code, base_offset=3, log_start_offset=0)
    (sent,) = desk.world.sent
    assert sent.times == 1
    assert sent.error.written is WriteStatus.POSSIBLY
    assert desk.world.accumulator.memory.used == 0
    assert (desk.state().sequences.lost_before is None) == (code in (0, 46))
    assert not desk.queued()
    assert len([event for event in desk.world.events if isinstance(event, BatchCompleted)]) == 1
    assert desk.sender.error is None


def test_idem_11_a_batch_that_was_forgotten_after_it_may_have_been_written_fails():
    desk = Desk()
    desk.end(desk.send(b"a"), LOST)
    desk.answer(desk.send_head(), ErrorCode.UNKNOWN_PRODUCER_ID, log_start_offset=9)
    error = desk.world.sent[0].error
    assert (error.code, error.written) == (ErrorCode.UNKNOWN_PRODUCER_ID, WriteStatus.POSSIBLY)


def test_split_1_a_batch_that_may_be_written_is_not_split():
    desk = Desk()
    desk.end(desk.send(b"a", b"b"), LOST)
    desk.answer(desk.send_head(), ErrorCode.MESSAGE_TOO_LARGE)
    assert not [event for event in desk.world.events if isinstance(event, BatchSplit)]
    assert {one.error.written for one in desk.world.sent} == {WriteStatus.POSSIBLY}


def test_trap_47_answers_out_of_order_leave_the_queue_in_order():
    """SenderTest.testCorrectHandlingOfOutOfOrderResponses: the second's answer is there first."""
    desk = Desk()
    first, second, third = desk.send(b"a"), desk.send(b"b"), desk.send(b"c")
    desk.append(b"d")
    desk.answer(second, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    assert desk.queued() == [2, 4]
    desk.answer(third, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    assert desk.queued() == [2, 3, 4]
    desk.answer(first, ErrorCode.NOT_LEADER_OR_FOLLOWER)
    assert desk.queued() == [1, 2, 3, 4]
    assert desk.state().sequences.lost_before is None, "the first was under way when the second was refused"


def test_trap_47_the_second_has_succeeded_before_the_first_failed():
    """SenderTest.testCorrectHandlingOfOutOfOrderResponsesWhenSecondSucceeds."""
    desk = Desk()
    first, second = desk.send(b"a"), desk.send(b"b")
    desk.answer(second, base_offset=1)
    assert [one.done for one in desk.world.sent] == [False, True]
    desk.answer(first, ErrorCode.REQUEST_TIMED_OUT)
    assert desk.queued() == [1]
    call = desk.send_head()
    assert [batch.sequence for batch in call.batches.values()] == [0]
    desk.answer(call, base_offset=0)
    assert [one.metadata.offset for one in desk.world.sent] == [0, 1]


# The end of everything, in a world of its own


@pytest.mark.parametrize("settings", [{}, PLAIN], ids=["numbered", "not"])
@pytest.mark.parametrize(
    ("code", "fatal"),
    [
        (ErrorCode.CLUSTER_AUTHORIZATION_FAILED, True),
        (ErrorCode.UNSUPPORTED_VERSION, True),
        (ErrorCode.PRODUCER_FENCED, True),
        (ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, True),
        (ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT, False),
        (ErrorCode.TOPIC_AUTHORIZATION_FAILED, False),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_trap_56_what_is_fatal_fails_all_that_is_there_and_all_that_comes(code, fatal, settings):
    """SenderTest.testClusterAuthorizationExceptionInProduceRequest, testCancelInFlightRequestAfterFatalError,
    testUnsupportedForMessageFormatInProduceRequest, testUnsupportedVersionInProduceRequest."""
    world = world_of(partitions=2, **settings)
    world.settle_in((TOPIC, 0), (TOPIC, 1))
    fail_produce(world, Fault.error(code, topic=TOPIC, partition=0))
    sent = [*send_all(world, *each(b"ab")), *send_all(world, b"x", partition=1)]
    assert world.failed(sent[0]).code == code
    if fatal and not settings:
        for one in sent[1:]:
            error = world.failed(one, limit_ms=100)
            assert isinstance(error.cause, ProducerFatalError)
            assert error.code == code
        with pytest.raises(ProducerFatalError):
            world.append(TOPIC, b"later", partition=0)
    else:
        for one in sent[1:]:
            world.delivered(one)
        assert world.sender.error is None
    world.advance(2_000)
    world.check()
    world.check_at_rest()


def test_trap_56_without_the_right_to_a_producer_id_records_fail_and_a_grant_cures_it():
    """SenderTest.testClusterAuthorizationExceptionInInitProducerIdRequest."""
    world = world_of(learns=False)
    world.cluster.fail(ApiKey.INIT_PRODUCER_ID, Fault.error(ErrorCode.CLUSTER_AUTHORIZATION_FAILED), times=2)
    (sent,) = send_all(world, b"a")
    assert isinstance(world.failed(sent), ClusterAuthorizationFailedError)
    world.run_until(lambda: world.sender.producer_id.identity.epoch == 0)
    assert world.sender.error is None
    assert world.delivered(*send_all(world, b"b")).offset == 0
    assert stamps(world) == [(0, 0)]


def test_idem_20_a_broker_that_speaks_no_version_ends_it_for_all_partitions_at_once():
    cluster = JudgeCluster(2, {TOPIC: 2})
    world = world_of(nodes=2, cluster=cluster, batch_size=200, linger_ms=20_000)
    world.run_until(lambda: world.sender.producer_id.identity.epoch == 0)
    cluster.brokers[0].versions[ApiKey.PRODUCE] = range(3)
    world.cut(0)
    (lingering,) = send_all(world, b"x", partition=1)
    (full,) = send_all(world, b"a" * 200)
    assert world.failed(full).code == ErrorCode.UNSUPPORTED_VERSION
    assert world.failed(lingering).code == ErrorCode.UNSUPPORTED_VERSION
    assert lingering.ended_ms == full.ended_ms
    world.check_at_rest()
