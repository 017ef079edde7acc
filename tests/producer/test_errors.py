"""Each error of a producer: picklable, hashable, caught by its builtin kin, and read as a sentence."""

from __future__ import annotations

import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kproto.producer.errors as errors_module
from kproto.client import KafkaTimeoutError, TopicPartition
from kproto.client.errors import BrokerError, KafkaConnectionError
from kproto.producer.bulk import RecordRange
from kproto.producer.errors import (
    ERROR_OF_CODE,
    BufferFullError,
    BulkDeliveryError,
    ClusterAuthorizationFailedError,
    DeliveryError,
    DeliveryTimeoutError,
    ForkedProducerError,
    InvalidRecordError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    OutOfOrderSequenceNumberError,
    PartitionerError,
    ProducerClosedError,
    ProducerFatalError,
    ProducerFencedError,
    SerializationError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    delivery_error,
    refused,
)
from kproto.producer.record import NO_PARTITION, WriteStatus
from kproto.wire import ErrorCode, KafkaError

AT = TopicPartition("orders", 3)
LOST = KafkaConnectionError("10.0.0.1:9092", "connection refused")
NO, POSSIBLY = WriteStatus.NO, WriteStatus.POSSIBLY
REFUSED = DeliveryError(AT, NO, "it was refused", ErrorCode.POLICY_VIOLATION)
LATE = DeliveryTimeoutError(AT, POSSIBLY, "3 records were not delivered", None, LOST, 1_000)

ERRORS = [
    (BufferFullError(70_000, 65_536, 60_000, 3), BufferError, "no room for 70000 bytes in buffer_memory=65536"),
    (SerializationError("orders", "value", "is no bytes"), ValueError, "topic orders: the value is no bytes"),
    (PartitionerError("orders", "chose 9 of 3"), ValueError, "topic orders: the partitioner chose 9 of 3"),
    (ProducerClosedError(), KafkaError, "the producer is closed"),
    (ProducerClosedError("closed before that"), KafkaError, "closed before that"),
    (ForkedProducerError(), KafkaError, "make one in each child"),
    (ForkedProducerError("not here"), KafkaError, "not here"),
    (ProducerFatalError(REFUSED), KafkaError, "the producer can send nothing any more: orders-3: it was refused"),
    (REFUSED, KafkaError, "orders-3: it was refused (not written)"),
    (DeliveryError(AT, NO, "because", None, LOST), KafkaError, "last error: 10.0.0.1:9092: connection refused"),
    (DeliveryError(TopicPartition("orders", -1), NO, "why"), KafkaError, "topic orders: why (not written)"),
    (LATE, TimeoutError, "orders-3: 3 records were not delivered (possibly written); last error: 10.0.0.1:9092"),
    (
        BulkDeliveryError((RecordRange("orders", 3, 17, 6, range(6)),), ((range(6, 10), REFUSED),)),
        KafkaError,
        "4 of 10 records were not delivered, the first because: orders-3: it was refused",
    ),
    (BulkDeliveryError((), ()), KafkaError, "0 of 0 records were not delivered, the first because: nothing failed"),
]


@pytest.mark.parametrize(("error", "kin", "text"), ERRORS, ids=lambda value: type(value).__name__)
def test_each_is_caught_by_its_kin_and_reads_as_a_sentence(error, kin, text):
    assert isinstance(error, KafkaError)
    assert isinstance(error, kin)
    assert text in str(error)


@pytest.mark.parametrize("error", [row[0] for row in ERRORS], ids=lambda error: type(error).__name__)
def test_each_is_hashable_and_survives_pickling(error):
    assert len({error, error}) == 1
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert {key: str(value) for key, value in vars(again).items()} == {
        key: str(value) for key, value in vars(error).items()
    }


def test_the_tree_in_the_docstring_is_the_tree_of_classes():
    """Each line names a class; those below and to the right of it are its subclasses."""
    path = []
    for line in (errors_module.__doc__ or "").splitlines():
        found = re.match(r"^([│├└─ ]*)(\w+Error)( \((\w+)\))?(\s|$)", line)
        if found is None:
            continue
        depth, name, builtin = len(found[1]) // 3, found[2], found[4]
        path = [*path[:depth], getattr(errors_module, name)]
        assert depth == 0 or issubclass(path[-1], path[-2])
        if builtin is not None:
            assert builtin in {base.__name__ for base in path[-1].__mro__}
    named = set(re.findall(r"\w+Error", errors_module.__doc__ or ""))
    assert {name for name in errors_module.__all__ if name.endswith("Error")} <= named


def test_a_delivery_error_says_all_that_is_known():
    error = delivery_error(AT, POSSIBLY, ErrorCode.NOT_LEADER_OR_FOLLOWER, "ask node 2", LOST)
    assert isinstance(error, NotLeaderForPartitionError)
    assert (error.partition, error.written, error.code, error.cause) == (AT, POSSIBLY, 6, LOST)
    assert str(error) == (
        "orders-3: NOT_LEADER_OR_FOLLOWER (6), ask node 2 (possibly written); "
        "last error: 10.0.0.1:9092: connection refused"
    )


@pytest.mark.parametrize("code", ErrorCode, ids=lambda code: code.name)
def test_sender_21_each_code_has_words_and_a_next_step(code):
    error = delivery_error(AT, NO, code)
    assert error.code is code
    assert error.retriable is code.retriable
    assert code.name in str(error)
    assert code.description in str(error), "the default text, where the broker says nothing"
    assert "as it happens" in str(delivery_error(AT, NO, code, "as it happens"))
    assert code.description in str(delivery_error(AT, NO, code, "")), "an empty message is none"


@given(st.integers(-(2**15), 2**15 - 1))
def test_a_code_that_nobody_knows_is_told_as_a_number(code):
    error = delivery_error(AT, NO, code, "as it happens")
    assert int(error.code) == code
    assert str(code) in str(error)
    assert "as it happens" in str(error)
    if not isinstance(ErrorCode.of(code), ErrorCode):
        assert type(error) is DeliveryError
        assert not error.retriable
        assert str(delivery_error(AT, NO, code)).endswith("does not have (not written)")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, UnknownTopicOrPartitionError),
        (ErrorCode.UNKNOWN_TOPIC_ID, UnknownTopicOrPartitionError),
        (ErrorCode.NOT_LEADER_OR_FOLLOWER, NotLeaderForPartitionError),
        (ErrorCode.MESSAGE_TOO_LARGE, MessageSizeTooLargeError),
        (ErrorCode.RECORD_LIST_TOO_LARGE, MessageSizeTooLargeError),
        (ErrorCode.INVALID_TOPIC_EXCEPTION, InvalidTopicError),
        (ErrorCode.TOPIC_AUTHORIZATION_FAILED, TopicAuthorizationFailedError),
        (ErrorCode.CLUSTER_AUTHORIZATION_FAILED, ClusterAuthorizationFailedError),
        (ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, OutOfOrderSequenceNumberError),
        (ErrorCode.INVALID_PRODUCER_EPOCH, ProducerFencedError),
        (ErrorCode.PRODUCER_FENCED, ProducerFencedError),
        (ErrorCode.INVALID_RECORD, InvalidRecordError),
        (ErrorCode.INVALID_TIMESTAMP, InvalidRecordError),
        (ErrorCode.POLICY_VIOLATION, DeliveryError),
    ],
)
def test_the_codes_that_callers_act_on_have_classes(code, kind):
    assert type(delivery_error(AT, NO, code)) is kind
    assert (kind is DeliveryError) != (code in ERROR_OF_CODE)


def test_err_1_a_send_to_a_topic_that_cannot_be_written_to_names_no_partition():
    error = refused("orders", ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    assert isinstance(error, TopicAuthorizationFailedError)
    assert error.partition == ("orders", NO_PARTITION)
    assert error.written is NO
    assert str(error).startswith("topic orders: TOPIC_AUTHORIZATION_FAILED (29)")


def test_a_delivery_timeout_is_a_timeout_with_its_own_words():
    assert isinstance(LATE, KafkaTimeoutError)
    assert LATE.retriable
    assert (LATE.timeout_ms, LATE.what) == (1_000, LATE.why)
    assert LATE.code is None


@pytest.mark.parametrize(
    ("failed", "retriable"),
    [((), True), ((LATE,), True), ((REFUSED,), False), ((LATE, REFUSED), False), ((LATE, LATE), True)],
)
def test_some_of_many_may_be_sent_again_if_each_of_them_may(failed, retriable):
    error = BulkDeliveryError((), [(range(2), one) for one in failed])
    assert error.retriable is retriable
    assert error.failed == tuple((range(2), one) for one in failed)


def test_the_cause_may_be_any_error():
    assert "boom" in str(DeliveryError(AT, NO, "why", None, ValueError("boom")))
    cause = BrokerError(ErrorCode.NOT_ENOUGH_REPLICAS, str(AT))
    assert not DeliveryError(AT, NO, "why", None, cause).retriable, "only what the broker said of this record counts"
