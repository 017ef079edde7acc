"""Requests in flight: first in, first out, each with its own deadline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.in_flight import Completion, InFlightRequest, InFlightRequests, Internal
from kproto.wire import MetadataResponse

DEADLINES = st.lists(st.integers(0, 100), max_size=8)


def requests(*deadlines_ms: int) -> InFlightRequests:
    made = InFlightRequests()
    for number, deadline_ms in enumerate(deadlines_ms):
        made.add(InFlightRequest(number, "Metadata v9", 9, MetadataResponse, f"token {number}", 0, deadline_ms))
    return made


def test_conn_10_the_oldest_is_answered_first():
    made = requests(5, 5, 5)
    assert [len(made), made.oldest.correlation_id] == [3, 0]
    assert [made.complete_oldest().correlation_id for _ in range(3)] == [0, 1, 2]
    assert made.oldest is None
    assert len(made) == 0


def test_there_must_be_one_to_complete():
    with pytest.raises(IndexError):
        requests().complete_oldest()


def test_conn_12_the_earliest_deadline_counts_though_it_is_not_the_oldest_requests():
    made = requests(30, 10, 20)
    assert made.next_deadline_ms() == 10
    assert made.overdue(9) is None
    assert made.overdue(10).correlation_id == 1
    assert made.overdue(30).correlation_id == 0, "the oldest of those that are overdue"


def test_nothing_in_flight_has_no_deadline():
    assert requests().next_deadline_ms() is None
    assert requests().overdue(10**9) is None


def test_conn_14_a_throttle_extends_every_deadline():
    made = requests(30, 10)
    made.extend(5)
    assert [request.deadline_ms for request in made.clear()] == [35, 15]


def test_clear_gives_all_oldest_first_and_leaves_none():
    made = requests(3, 2, 1)
    assert [request.token for request in made.clear()] == ["token 0", "token 1", "token 2"]
    assert len(made) == 0
    assert made.clear() == []


@given(DEADLINES, st.integers(-1, 101))
def test_overdue_is_the_first_whose_deadline_has_passed(deadlines_ms, now_ms):
    found = requests(*deadlines_ms).overdue(now_ms)
    passed = [number for number, deadline_ms in enumerate(deadlines_ms) if deadline_ms <= now_ms]
    assert (None if found is None else found.correlation_id) == next(iter(passed), None)
    assert requests(*deadlines_ms).next_deadline_ms() == min(deadlines_ms, default=None)


def test_a_request_says_what_it_waits_for():
    answered, unanswered = (InFlightRequest(0, "Produce v9", 9, cls, None, 0, 9) for cls in (MetadataResponse, None))
    assert answered.waits_for == "an answer to Produce v9"
    assert unanswered.waits_for == "room to send Produce v9"


def test_two_requests_are_never_equal_and_a_completion_is_a_value():
    one, other = (InFlightRequest(0, "Produce v9", 9, None, None, 0, 9) for _ in range(2))
    assert one != other
    assert Completion("t", None, None, 9) == Completion("t", None, None, 9)
    assert {Internal.API_VERSIONS, Internal.SASL} == set(Internal)
