"""The line in front of connections: in order, and nobody waits for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.errors import KafkaConnectionError, KafkaTimeoutError
from kproto.client.waiting_line import Waiting, WaitingLine
from kproto.wire import MetadataRequest, MetadataResponse


def waiting(token="t", *, node_id=None, version=None, since_ms=0, deadline_ms=1000) -> Waiting:
    return Waiting(MetadataRequest(), MetadataResponse, node_id, version, token, since_ms, deadline_ms)


def line(*each: Waiting) -> WaitingLine:
    made = WaitingLine()
    for one in each:
        made.add(one)
    return made


def tokens(made: WaitingLine) -> list[str]:
    return [one.token for one in made.take_all()]


def test_first_come_first_served():
    made = line(waiting("a"), waiting("b"), waiting("c"))
    assert len(made) == 3
    assert tokens(made) == ["a", "b", "c"]
    assert len(made) == 0
    assert made.take_all() == []


def test_who_still_waits_stands_before_those_that_came_meanwhile():
    made = line(waiting("a"), waiting("b"))
    taken = made.take_all()
    made.add(waiting("late"))
    made.put_back(taken[1:])
    assert tokens(made) == ["b", "late"]


def test_the_earliest_deadline_is_the_next():
    assert line().next_deadline_ms() is None
    assert line(waiting(deadline_ms=30), waiting(deadline_ms=10), waiting(deadline_ms=20)).next_deadline_ms() == 10


def test_a_fixed_version_is_a_range_of_one():
    assert waiting().within is None
    assert waiting(version=0).within == range(1)
    assert waiting(version=9).within == range(9, 10)


@pytest.mark.parametrize(("node_id", "whom"), [(None, "any node"), (0, "node 0"), (7, "node 7"), (-1, "node -1")])
def test_the_timeout_says_what_was_to_be_sent_to_whom_and_why_it_was_not(node_id, whom):
    error = waiting(node_id=node_id, since_ms=200).timeout(1700, None)
    assert isinstance(error, KafkaTimeoutError)
    assert str(error) == f"a connection to send MetadataRequest to {whom}: nothing within 1500 ms"
    caused = waiting(node_id=node_id).timeout(1000, KafkaConnectionError("b:9092", "Connection refused"))
    assert str(caused).endswith("nothing within 1000 ms; last error: b:9092: Connection refused")


def test_two_in_line_are_never_equal():
    assert waiting() != waiting()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=12))
def test_the_order_outlives_any_number_of_passes(steps):
    made, expected, count = WaitingLine(), [], 0
    for comes, served in steps:
        if comes:
            made.add(waiting(count))
            expected.append(count)
            count += 1
        else:
            taken = made.take_all()
            made.put_back([one for one in taken if one.token % 10 != served])
            expected = [token for token in expected if token % 10 != served]
    assert tokens(made) == expected
