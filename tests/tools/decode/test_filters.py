"""Filters: each by itself, together, and what is no filter."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.decoded import START_NS, Capture

from kproto.tools.decode.filters import (
    FilterError,
    FrameFilter,
    parse_api,
    parse_duration_ms,
    parse_error,
    parse_time_ns,
)
from kproto.tools.decode.model import Finding
from kproto.wire import ApiKey

ID = UUID(int=7)


@pytest.fixture(scope="module")
def frames():
    """1: Produce to orders-0; 2: its answer, in 1 ms; 3: to payments-3 on 2; 4: its answer, 61 ms later, an error."""
    capture = Capture()
    capture.ack(capture.produce(topic="orders"))
    late = capture.produce(topic=ID, partition=3, version=13, conn=2, client_id="other", topics={ID: "payments"})
    capture.wait(60)
    answer = capture.ack(late, error=6)
    answer.topics.update({ID: "payments"})
    capture.undeclared(1, "Fetch")
    return capture.frames


@pytest.mark.parametrize(
    ("chosen", "numbers"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"api": [0]}, [1, 2, 3, 4]),
        ({"api": [1, 3]}, [5, 6]),
        ({"topic": ["orders"]}, [1, 2]),
        ({"topic": ["payments"]}, [3, 4]),
        ({"topic": [str(ID), "orders"]}, [1, 2, 3, 4]),
        ({"topic": ["nothing"]}, []),
        ({"partition": [3]}, [3, 4]),
        ({"topic": ["orders"], "partition": [3]}, []),
        ({"topic": ["orders"], "partition": [0, 3]}, [1, 2]),
        ({"client_id": ["other"]}, [3, 4]),
        ({"conn": [2]}, [3, 4]),
        ({"correlation_id": [1]}, [1, 2]),
        ({"failed": True}, [4]),
        ({"failed": True, "errors": [6]}, [4]),
        ({"failed": True, "errors": [7]}, []),
        ({"since_ns": START_NS + 3_000_000}, [3, 4, 5, 6]),
        ({"until_ns": START_NS + 3_000_000}, [1, 2]),
        ({"slow_ms": 50.0}, [4]),
        ({"slow_ms": 1.0}, [2, 4, 6]),
        ({"slow_ms": 1.0, "conn": [1]}, [2, 6]),
    ],
    ids=str,
)
def test_what_passes(frames, chosen, numbers):
    wanted = FrameFilter(**chosen)
    assert [each.frame.number for each in frames if wanted.passes(each)] == numbers
    assert wanted.is_empty == (not chosen)


def test_what_is_told_of_connections_passes_where_only_they_are_chosen():
    capture = Capture()
    of_capture = capture.bare(0, "", Finding("gzip", "damaged"))
    of_connection = capture.bare(2, "", Finding("gap", "10 bytes"))
    for chosen, told in (({}, True), ({"conn": [2]}, True), ({"conn": [1]}, False), ({"api": [0]}, False)):
        assert FrameFilter(**chosen).passes(of_capture)
        assert FrameFilter(**chosen).passes(of_connection) == told


@pytest.mark.parametrize("key", ApiKey)
def test_apis_are_named_in_any_case_or_by_key(key):
    for text in (key.message_name, key.name, key.name.lower().replace("_", "-"), str(int(key))):
        assert parse_api(text) == key


@pytest.mark.parametrize(
    ("text", "code"),
    [("any", None), ("6", 6), ("-1", -1), ("not_leader_or_follower", 6), ("OUT_OF_ORDER_SEQUENCE_NUMBER", 45)],
)
def test_errors(text, code):
    assert parse_error(text) == code


@pytest.mark.parametrize(("text", "ms"), [("50ms", 50), ("1.5s", 1500), ("200us", 0.2), ("7", 7), ("1 s", 1000)])
def test_durations(text, ms):
    assert parse_duration_ms(text) == pytest.approx(ms)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1700000000", 1_700_000_000 * 10**9),
        ("1700000000.000000001", 1_700_000_000 * 10**9 + 1),
        ("2023-11-14T22:13:20", 1_700_000_000 * 10**9),
        ("2023-11-14 23:13:20.5+01:00", 1_700_000_000 * 10**9 + 500_000_000),
        ("1970-01-01", 0),
    ],
)
def test_times(text, ns):
    assert parse_time_ns(text) == ns


@given(st.integers(0, 2**62))
def test_a_time_as_ndjson_writes_it_is_exact(ns):
    assert parse_time_ns(f"{ns // 10**9}.{ns % 10**9:09}") == ns


@pytest.mark.parametrize(
    ("parse", "text", "why"),
    [
        (parse_api, "Produc", "did you mean 'Produce'"),
        (parse_error, "NOT_LEADER", "there is no error 'NOT_LEADER'"),
        (parse_duration_ms, "5 minutes", "such as 50ms"),
        (parse_time_ns, "yesterday", "such as 2026-01-31T12:00:00"),
    ],
)
def test_what_is_none_says_what_would_be_one(parse, text, why):
    with pytest.raises(FilterError, match=why):
        parse(text)
