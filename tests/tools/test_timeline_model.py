"""Windows, rows without overlaps, and axis marks."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from tools.timeline_events import A0, B0, classic, invented

from kproto.client import TopicPartition
from kproto.producer.events import BatchOpened, ProducerIdChanged
from kproto.tools.timeline import timeline_of
from kproto.tools.timeline_model import lanes, tick_ms


def names(timeline):
    return [batch.name for batches in timeline.batches.values() for batch in batches]


def test_a_window_holds_what_overlaps_it():
    timeline = timeline_of(classic())
    window = timeline.window(37, 43)
    assert names(window) == ["A-0#2", "A-0#3", "A-1#1", "B-0#2"]
    assert {node: [each.at_ms for each in sent] for node, sent in window.requests.items()} == {1: [36], 2: [24]}
    assert (window.from_ms, window.to_ms, window.end_ms, window.partitions_left_out) == (37, 43, 76, 0)
    assert names(timeline.window()) == names(timeline)


def test_a_window_ends_with_the_events():
    timeline = timeline_of(classic())
    assert timeline.window(10, 10_000).to_ms == 76
    beyond = timeline.window(500, 600)
    assert (beyond.from_ms, beyond.to_ms, names(beyond), beyond.requests) == (500, 501, [], {})


def test_partitions_beyond_the_limit_are_counted():
    window = timeline_of(classic()).window(partitions_max=1)
    assert (list(window.batches), window.partitions_left_out) == ([A0], 2)
    assert [each.at_ms for each in window.requests[2]] == [24], "requests are kept whosever batches they carry"


def test_partitions_are_in_the_order_of_their_numbers():
    events = [BatchOpened(0, TopicPartition("A", number), 1) for number in (10, 9, 0)] + [BatchOpened(0, B0, 1)]
    assert [str(each) for each in timeline_of(events).batches] == ["A-0", "A-9", "A-10", "B-0"]


def test_a_window_without_an_end_stops_where_it_gets_crowded():
    events = [BatchOpened(10 * number, A0, number) for number in range(100)]
    timeline = timeline_of(events)
    assert timeline.window(batches_max=20).to_ms == 200
    assert timeline.window(0, 990, batches_max=20).to_ms == 990
    at_once = timeline_of([BatchOpened(0, A0, number) for number in range(100)] + [BatchOpened(500, A0, 100)])
    assert at_once.window(batches_max=20).to_ms == 1


def test_changes_outside_the_window_are_not_in_it():
    timeline = timeline_of([*classic(), ProducerIdChanged(50, 1, 0, "it was given")])
    assert [len(timeline.window(*window).changes) for window in ((0, 49), (50, 50), (51, 76))] == [0, 1, 0]


@given(st.integers(0, 2**32), st.integers(0, 200), st.integers(0, 200))
def test_a_window_loses_nothing_that_overlaps_it(seed, from_ms, length):
    timeline = timeline_of(invented(Random(seed), partitions=3, until=150, records=5))
    window = timeline.window(from_ms, from_ms + length)
    within = [
        batch.name
        for batches in timeline.batches.values()
        for batch in batches
        if batch.opened_ms <= min(from_ms + length, timeline.end_ms)
        and (batch.ended_ms is None or batch.ended_ms >= from_ms)
    ]
    assert names(window) == within
    assert window.to_ms > window.from_ms


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9))), st.integers(1, 4))
def test_no_two_of_a_row_overlap_and_none_is_lost(spans, lanes_max):
    extents = [(start, start + length) for start, length in spans]
    rows, left_out = lanes(extents, lambda extent: extent, lanes_max)
    assert len(rows) <= lanes_max
    assert all(before[1] <= after[0] for row in rows for before, after in pairwise(row))
    assert sorted([each for row in rows for each in row] + left_out) == sorted(extents)
    for start, _ in left_out:
        assert all(any(first <= start < stop for first, stop in row) for row in rows), "a row was free"


@given(st.integers(1, 10**9), st.integers(1, 50))
def test_marks_are_as_close_as_there_is_room(span_ms, ticks_max):
    step = tick_ms(span_ms, ticks_max)
    assert str(step).rstrip("0") in {"1", "2", "5"}
    assert span_ms <= step * ticks_max
    assert step == 1 or span_ms > step * 0.4 * ticks_max
