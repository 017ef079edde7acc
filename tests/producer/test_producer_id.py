"""How a producer comes to its id and epoch: each step, what is asked, and what ends it."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.backoff import ExponentialBackoff
from kproto.client.errors import BrokerError, KafkaConnectionError
from kproto.client.transitions import IllegalTransition, step
from kproto.producer.producer_id import (
    EPOCH_MAX,
    NO_IDENTITY,
    TRANSITIONS,
    ProducerIdAndEpoch,
    ProducerIdEvent,
    ProducerIdPhase,
    ProducerIdState,
)
from kproto.wire import ErrorCode, InitProducerIdRequest, InitProducerIdResponse, KafkaError

P, E = ProducerIdPhase, ProducerIdEvent
MOVES = {
    P.UNINITIALIZED: {E.ASKED: P.INITIALIZING},
    P.INITIALIZING: {E.ANSWERED: P.READY, E.REFUSED: P.UNINITIALIZED},
    P.READY: {E.EPOCHS_USED_UP: P.UNINITIALIZED},
    P.FATAL_ERROR: {},
}
LOST = KafkaConnectionError("10.0.0.1:9092", "connection refused")


def state_of(initial_ms=100, max_ms=100):
    return ProducerIdState(ExponentialBackoff(initial_ms, max_ms), Random(1))


def answer(producer_id=1000, epoch=0, error_code=0):
    return InitProducerIdResponse(error_code=error_code, producer_id=producer_id, producer_epoch=epoch)


def ready(producer_id=1000, epoch=0):
    state = state_of()
    state.request()
    state.answered(answer(producer_id, epoch), 0)
    return state


@pytest.mark.parametrize(("phase", "event"), list(product(P, E)), ids=lambda value: value.name)
def test_idem_4_each_pair_moves_or_is_illegal(phase, event):
    expected = MOVES[phase] | {E.FATAL: P.FATAL_ERROR}
    if event in expected:
        assert step(TRANSITIONS, phase, event) is expected[event]
    else:
        with pytest.raises(IllegalTransition):
            step(TRANSITIONS, phase, event)


def test_idem_2_the_request_asks_for_an_id_without_transactions():
    state = state_of()
    assert state.due_in_ms(5) == 0
    request = state.request()
    assert request == InitProducerIdRequest(transaction_timeout_ms=2**31 - 1)
    assert (request.transactional_id, request.producer_id, request.producer_epoch) == (None, -1, -1)
    assert state.due_in_ms(5) is None, "one request at a time (IDEM-5)"
    with pytest.raises(IllegalTransition):
        state.request()


def test_idem_4_the_answer_is_the_identity():
    state = state_of()
    state.request()
    assert state.identity == NO_IDENTITY
    assert state.answered(answer(1000, 3), 10) == ErrorCode.NONE
    assert state.identity == ProducerIdAndEpoch(1000, 3)
    assert state.phase is P.READY
    assert state.due_in_ms(1_000_000) is None
    assert repr(state) == "<ProducerIdState READY, id 1000, epoch 3>"


@pytest.mark.parametrize("identity", [(-1, -1), (-1, 0), (7, -1), (-(2**63), 5)])
def test_an_answer_without_an_id_is_no_answer(identity):
    state = state_of()
    state.request()
    assert state.answered(answer(*identity), 10) == ErrorCode.UNKNOWN_SERVER_ERROR
    assert state.identity == NO_IDENTITY
    assert state.phase is P.UNINITIALIZED


@given(st.integers(-(2**15), 2**15 - 1), st.integers(-1, 10), st.integers(-1, 10))
def test_no_answer_leaves_half_an_identity(code, producer_id, epoch):
    state = state_of()
    state.request()
    found = state.answered(answer(producer_id, epoch, code), 10)
    assert (found == ErrorCode.NONE) == (state.phase is P.READY) == (state.identity != NO_IDENTITY)
    assert (state.last_error is None) == (state.phase is P.READY)
    if code:
        assert found == code
    if state.phase is not P.READY:
        assert state.due_in_ms(10) == 100


def test_idem_4_a_refusal_is_asked_again_after_a_backoff_and_says_why():
    state = state_of(100, 1_000)
    now_ms, waits = 0, []
    for _ in range(6):
        state.request()
        assert state.answered(answer(error_code=ErrorCode.COORDINATOR_LOAD_IN_PROGRESS), now_ms) == 14
        waits.append(state.due_in_ms(now_ms))
        now_ms += waits[-1]
        assert state.due_in_ms(now_ms - 1) == 1
        assert state.due_in_ms(now_ms) == 0
    assert all(0.79 * 100 * 2**at <= wait <= min(1_000, 120 * 2**at) for at, wait in enumerate(waits[:4]))
    assert max(waits) <= 1_000
    error = state.last_error
    assert isinstance(error, BrokerError)
    assert error.code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    state.request()
    state.answered(answer(), now_ms)
    assert state.last_error is None
    state.identity = ProducerIdAndEpoch(1000, EPOCH_MAX)
    state.bump()
    state.request()
    state.failed(LOST, now_ms)
    assert state.due_in_ms(now_ms) <= 120, "an answer begins the count anew"


def test_idem_4_a_lost_connection_is_asked_again_after_a_backoff():
    state = state_of()
    state.request()
    state.failed(LOST, 50)
    assert state.last_error is LOST
    assert state.due_in_ms(50) == 100
    assert state.due_in_ms(200) == 0


def test_idem_14_a_new_epoch_is_a_local_decision():
    state = ready(1000, 7)
    assert state.bump()
    assert state.identity == (1000, 8)
    assert state.phase is P.READY


def test_trap_53_behind_the_last_epoch_another_id_is_asked_for_at_once():
    state = ready(1000, EPOCH_MAX - 1)
    assert state.bump()
    assert state.identity == (1000, 32_767)
    assert not state.bump()
    assert state.identity == NO_IDENTITY
    assert state.due_in_ms(3) == 0
    assert state.request().producer_id == -1, "the old one has no epoch left to go on with"
    state.answered(answer(1001, 0), 4)
    assert state.identity == (1001, 0)


@pytest.mark.parametrize("phase", P, ids=lambda phase: phase.name)
def test_idem_20_fatal_is_for_good_and_the_first_reason_stays(phase):
    state = state_of()
    if phase is not P.UNINITIALIZED:
        state.request()
    if phase is P.READY:
        state.answered(answer(), 0)
    first, second = KafkaError("first"), KafkaError("second")
    if phase is P.FATAL_ERROR:
        state.fatal(first)
    else:
        assert state.phase is phase
    state.fatal(first)
    state.fatal(second)
    assert state.error is first
    assert state.phase is P.FATAL_ERROR
    assert state.due_in_ms(10**9) is None
    assert state.identity == NO_IDENTITY, "so that nothing is numbered, or begins anew, under it"
