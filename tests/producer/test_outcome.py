"""The table of what a producer does about each error code, against Kafka's own words on retrying."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.producer.outcome import CERTAIN, OPEN, OUTCOMES, Action, Outcome, outcome_of
from kproto.wire import ErrorCode

SPECIAL = {Action.OUT_OF_ORDER, Action.UNKNOWN_PRODUCER, Action.COMPLETE_DUPLICATE, Action.SPLIT}
AFTER_APPEND = [
    ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.REQUEST_TIMED_OUT,
    ErrorCode.NETWORK_EXCEPTION,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode.KAFKA_STORAGE_ERROR,
]
"""What DelayedProduce and Partition.checkEnoughReplicasReachOffset answer, though the leader has appended."""


@pytest.mark.parametrize("code", ErrorCode, ids=lambda code: code.name)
def test_sender_17_every_code_has_a_decision_and_every_retriable_one_is_tried_again(code):
    outcome = outcome_of(code)
    assert isinstance(outcome, Outcome)
    if code.retriable:
        assert outcome.action is Action.RETRY
    else:
        assert outcome.action is not Action.RETRY


@pytest.mark.parametrize("code", AFTER_APPEND, ids=lambda code: code.name)
def test_idem_18_what_is_answered_after_the_append_leaves_the_outcome_open(code):
    assert outcome_of(code).open is OPEN


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (ErrorCode.NONE, Outcome(Action.COMPLETE, CERTAIN)),
        (ErrorCode.DUPLICATE_SEQUENCE_NUMBER, Outcome(Action.COMPLETE_DUPLICATE, CERTAIN)),
        (ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, Outcome(Action.OUT_OF_ORDER, CERTAIN)),
        (ErrorCode.UNKNOWN_PRODUCER_ID, Outcome(Action.UNKNOWN_PRODUCER, CERTAIN)),
        (ErrorCode.MESSAGE_TOO_LARGE, Outcome(Action.SPLIT, CERTAIN)),
        (ErrorCode.RECORD_LIST_TOO_LARGE, Outcome(Action.FAIL, CERTAIN)),
        (ErrorCode.NOT_ENOUGH_REPLICAS, Outcome(Action.RETRY, CERTAIN)),
        (ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND, Outcome(Action.RETRY, OPEN)),
        (ErrorCode.CORRUPT_MESSAGE, Outcome(Action.RETRY, CERTAIN)),
        (ErrorCode.TOPIC_AUTHORIZATION_FAILED, Outcome(Action.FAIL, CERTAIN)),
        (ErrorCode.INVALID_PRODUCER_EPOCH, Outcome(Action.FAIL, CERTAIN)),
        (ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT, Outcome(Action.FAIL, CERTAIN)),
        (ErrorCode.UNKNOWN_SERVER_ERROR, Outcome(Action.FAIL, OPEN)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_sender_16_the_rows_that_matter(code, outcome):
    assert outcome_of(code) == outcome


def test_idem_20_what_ends_the_producer():
    fatal = {code for code in ErrorCode if outcome_of(code).action is Action.FATAL}
    assert fatal == {
        ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
        ErrorCode.UNSUPPORTED_VERSION,
        ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ErrorCode.PRODUCER_FENCED,
    }


def test_the_special_actions_have_one_code_each():
    for action in SPECIAL:
        assert len([code for code in ErrorCode if outcome_of(code).action is action]) == 1


def test_no_row_is_retriable_where_kafka_does_not_say_so():
    assert {code for code, outcome in OUTCOMES.items() if outcome.action is Action.RETRY} == {
        code for code in OUTCOMES if ErrorCode(code).retriable
    }


@given(st.integers(-(2**15), 2**15 - 1))
def test_a_code_that_no_table_knows_fails_and_leaves_it_open(code):
    if code not in ErrorCode.__members__.values():
        assert outcome_of(code) == Outcome(Action.FAIL, OPEN)
    else:
        assert outcome_of(code) == outcome_of(ErrorCode(code))


@pytest.mark.parametrize("code", [code for code in ErrorCode if code not in OUTCOMES], ids=lambda code: code.name)
def test_a_code_without_a_row_is_not_taken_as_proof_of_anything(code):
    assert outcome_of(code) == Outcome(Action.RETRY if code.retriable else Action.FAIL, OPEN)
