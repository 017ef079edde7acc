"""How long nothing is sent: only where the broker leaves the waiting to us, and never for more than an hour."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.throttle import THROTTLE_MS_MAX, Throttle, throttle_ms_of
from kproto.wire import RESPONSES, ApiVersionsResponse, InitProducerIdResponse, MetadataResponse, ProduceResponse
from kproto.wire.field import field
from kproto.wire.schema import Response
from kproto.wire.strategies import messages, versions
from kproto.wire.wire_type import Int32

FLAGGED = {ProduceResponse: 6, MetadataResponse: 6, ApiVersionsResponse: 2, InitProducerIdResponse: 1}
INT32 = st.integers(-(2**31), 2**31 - 1)


class FindCoordinatorResponse(Response, api_key=10, versions="0-6", flexible="3+"):
    """Not declared by kproto: a stand-in with its key."""

    throttle_time_ms: int = field(Int32, since=1, ignorable=True)


class FutureResponse(Response, api_key=12_345, versions="0-6", flexible="3+"):
    """Of an API that nobody has heard of."""

    throttle_time_ms: int = field(Int32)


@pytest.mark.parametrize(
    ("cls", "since"), [*FLAGGED.items(), (FindCoordinatorResponse, 2)], ids=lambda value: getattr(value, "__name__", "")
)
def test_conn_14_we_wait_only_from_the_version_in_which_the_broker_does_not(cls, since):
    waits = {version: throttle_ms_of(cls(throttle_time_ms=250), version) for version in cls.versions}
    assert waits == {version: 250 if version >= since else 0 for version in cls.versions}


def test_conn_14_an_api_without_a_flag_is_waited_for_in_every_version():
    assert throttle_ms_of(FutureResponse(throttle_time_ms=250), 0) == 250


@pytest.mark.parametrize("hostile", [-1, -(2**31), 0])
def test_conn_14_no_throttle_is_below_zero(hostile):
    assert throttle_ms_of(MetadataResponse(throttle_time_ms=hostile), 9) == 0


def test_conn_14_a_throttle_is_an_hour_at_most():
    assert THROTTLE_MS_MAX == 60 * 60 * 1000
    assert throttle_ms_of(MetadataResponse(throttle_time_ms=2**31 - 1), 9) == THROTTLE_MS_MAX


@given(st.data())
def test_of_any_answer_it_is_within_its_bounds(data):
    cls = data.draw(st.sampled_from(list(RESPONSES.values())))
    version = data.draw(versions(cls))
    throttle_ms = throttle_ms_of(data.draw(messages(cls, version)), version)
    assert 0 <= throttle_ms <= THROTTLE_MS_MAX


def test_conn_14_a_later_smaller_value_does_not_shorten_it():
    throttle = Throttle()
    assert throttle.apply(100, now_ms=1000) == 100
    assert throttle.apply(30, now_ms=1010) == 0
    assert throttle.until_ms == 1100
    assert throttle.apply(100, now_ms=1050) == 50, "only what goes beyond is added"
    assert throttle.until_ms == 1150
    assert throttle.holds(1149)
    assert not throttle.holds(1150)


def test_a_throttle_that_is_over_counts_no_more():
    throttle = Throttle()
    throttle.apply(100, now_ms=0)
    assert throttle.apply(10, now_ms=5000) == 10
    assert throttle.until_ms == 5010


def test_in_the_beginning_nothing_holds():
    assert not Throttle().holds(0)


@given(st.lists(st.tuples(st.integers(0, THROTTLE_MS_MAX), st.integers(0, 10_000))))
def test_conn_14_what_is_added_is_never_more_than_the_time_that_is_throttled(asked):
    throttle, now_ms, added_ms = Throttle(), 0, 0
    for throttle_ms, passed_ms in asked:
        now_ms += passed_ms
        before_ms = throttle.until_ms
        added_ms += throttle.apply(throttle_ms, now_ms)
        assert throttle.until_ms >= before_ms
        assert max(throttle.until_ms, now_ms) >= now_ms + throttle_ms
        assert added_ms <= throttle.until_ms <= max(before_ms, now_ms + THROTTLE_MS_MAX)
