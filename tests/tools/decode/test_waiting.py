"""Requests that wait: found by id, overtaken, faded, forgotten."""

from __future__ import annotations

from tools.decode.decoded import Capture

from kproto.tools.decode import waiting
from kproto.tools.decode.waiting import ConversationState, slim
from kproto.wire import ProduceRequest


def asked(number):
    return Capture().request(ProduceRequest(), 9, correlation_id=number)


def numbered(*numbers):
    capture, state = Capture(), ConversationState()
    for number in numbers:
        assert state.ask(capture.request(ProduceRequest(), 9, correlation_id=number), certain=True) is None
    return state


def test_requests_are_found_by_id():
    state = numbered(5, 6)
    found, overtaken = state.answer(5)
    assert (found.correlation_id, overtaken) == (5, None)
    assert state.answer(5) == (None, None)
    assert list(state.outstanding()) == [6]


def test_who_is_overtaken_is_told_once():
    state = numbered(1, 2, 3, 4)
    assert state.answer(3)[1].correlation_id == 1
    assert state.answer(4)[1] is None
    assert state.answer(2)[1] is None
    assert [each.correlation_id for each in state.unanswered()] == [1]


def test_an_id_that_is_used_again_belongs_to_the_later_request():
    state = numbered(1)
    first = state.answer(1)[0]
    state.ask(first, certain=True)
    later = asked(1)
    assert state.ask(later, certain=True) is first
    assert state.answer(1)[0] is later


def test_after_a_loss_no_answer_is_due_but_one_may_come():
    state = numbered(1, 2)
    state.fade()
    state.ask(asked(3), certain=False)
    assert state.unanswered() == []
    assert state.answer(2)[0].correlation_id == 2


def test_the_oldest_are_forgotten(monkeypatch):
    monkeypatch.setattr(waiting, "WAITING_MAX", 3)
    state = numbered(*range(10))
    assert list(state.outstanding()) == [7, 8, 9]


def test_large_requests_leave_their_bytes():
    small, large = asked(1), Capture().request(ProduceRequest(transactional_id="x" * 2_000), 9)
    assert slim(small) is small
    kept = slim(large)
    assert (kept.frame.data, kept.message, kept.frame.size) == (b"", None, large.frame.size)
    assert (kept.api, kept.version, kept.correlation_id, kept.client_id, kept.frame.number) == (
        large.api,
        large.version,
        large.correlation_id,
        large.client_id,
        large.frame.number,
    )
