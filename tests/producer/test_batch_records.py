"""The records of an open batch: what each append adds, who is called when it ends, and when the fast way is open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer.queueing import AT_MS

from kproto.producer.batch_records import BatchRecords
from kproto.wire import EncodeError
from kproto.wire.records import RECORD_BATCH_OVERHEAD, RecordBatchBuilder, RecordColumns, record_heads

VALUES = st.lists(st.one_of(st.none(), st.binary(max_size=30), st.integers(0, 300).map(bytes)), max_size=30)
STEPS_MS = st.lists(st.sampled_from([0, 0, 1, -1, 70]), min_size=30, max_size=30)


def records(limit=16_384, compression="none"):
    return BatchRecords(RecordBatchBuilder(compression), limit)


def nobody(metadata, error):
    raise AssertionError("nobody is called from within")


def test_an_empty_one():
    batch = records()
    assert (batch.count, batch.size, batch.plain_size) == (0, RECORD_BATCH_OVERHEAD, RECORD_BATCH_OVERHEAD)
    assert batch.room == -1, "nothing may be added but by `append`"
    assert batch.callbacks == batch.timestamps == [] and batch.largest_record == 0


@given(VALUES, STEPS_MS)
def test_each_append_counts_what_the_builder_grows_by(values, steps_ms):
    batch, expected = records(), RecordBatchBuilder()
    at_ms, runs, largest = AT_MS, [], 0
    for index, (value, step_ms) in enumerate(zip(values, steps_ms, strict=False)):
        at_ms += step_ms
        before = expected.size
        assert batch.size_after(at_ms, b"k", value, ()) == expected.size_after(at_ms, b"k", value)
        expected.append(at_ms, b"k", value)
        assert batch.append(at_ms, b"k", value, (), None) == index
        largest = max(largest, expected.size - before)
        if not runs or runs[-1][1] != at_ms:
            runs.append((index, at_ms))
        assert (batch.count, batch.size, batch.plain_size) == (index + 1, expected.size, expected.size)
        assert (batch.largest_record, batch.timestamps) == (largest, runs)
    if values:
        assert batch.builder.build() == expected.build()


def test_a_refused_record_changes_nothing_but_closes_the_fast_way():
    batch = records()
    batch.append(AT_MS, None, b"a", (), nobody)
    batch.begin_tick(AT_MS)
    before = (batch.count, batch.size, batch.callbacks, [*batch.timestamps], batch.largest_record)
    with pytest.raises(EncodeError):
        batch.append(AT_MS + 1, None, b"longer than others", (("\ud800", b""),), nobody)
    assert (batch.count, batch.size, batch.callbacks, batch.timestamps, batch.largest_record) == before
    assert batch.room == -1


# Callbacks


def test_cb_3_callbacks_wait_in_the_order_in_which_they_came():
    batch = records()
    calls = [lambda metadata, error, number=number: number for number in range(4)]
    batch.append(AT_MS, None, b"", (), calls[0])
    batch.append(AT_MS, None, b"", (), None)
    batch.append(AT_MS, None, b"", (), calls[1])
    batch.call_back(1, calls[2])
    batch.call_back(1, calls[3])
    assert batch.callbacks == [(0, calls[0]), (2, calls[1]), (1, calls[2]), (1, calls[3])]
    batch.called = 4
    assert batch.callbacks == [(1, calls[2]), (1, calls[3])]
    batch.called = len(batch.calls)
    assert batch.callbacks == []
    batch.call_back(2, nobody)
    assert batch.callbacks == [(2, nobody)]


# The fast way


@pytest.mark.parametrize("delta_ms", [0, 1, 63, 64, 5_000])
def test_a_tick_opens_the_fast_way_until_its_millisecond_is_over(delta_ms):
    batch = records(limit=500)
    batch.append(AT_MS, None, b"first", (), None)
    at_ms = AT_MS + delta_ms
    batch.append(at_ms, None, b"now", (), None)
    batch.begin_tick(at_ms)
    assert batch.room == 500
    assert int(batch.tick_end_s * 1000) == at_ms + 1
    assert batch.heads[batch.count] == record_heads(delta_ms, batch.count)[batch.count]


def test_a_record_older_than_the_first_does_not_open_it():
    batch = records()
    batch.append(AT_MS, None, b"", (), None)
    batch.append(AT_MS - 1, None, b"", (), None)
    batch.begin_tick(AT_MS - 1)
    assert batch.room == -1 and not batch.heads


def test_while_a_record_is_newer_than_the_time_it_stays_shut():
    """Found by the simulation: the header's greatest timestamp was that of the last record."""
    batch = records()
    for at_ms in (AT_MS, AT_MS + 50, AT_MS + 1):
        batch.append(at_ms, None, b"", (), None)
    batch.begin_tick(AT_MS + 1)
    assert batch.room == -1 and not batch.heads
    batch.append(AT_MS + 50, None, b"", (), None)
    batch.begin_tick(AT_MS + 50)
    assert batch.room > 0


@pytest.mark.parametrize(
    "add",
    [
        lambda batch: batch.append(AT_MS, None, b"", (), None),
        lambda batch: batch.extend(AT_MS, RecordColumns(None, [b""]), 0),
    ],
    ids=["append", "extend"],
)
def test_whoever_adds_otherwise_closes_it(add):
    batch = records()
    batch.append(AT_MS, None, b"", (), None)
    batch.begin_tick(AT_MS)
    add(batch)
    assert batch.room == -1 and batch.count == 2


# Columns


@given(VALUES, st.integers(62, 900), st.integers(0, 3), st.sampled_from([AT_MS - 1, AT_MS, AT_MS + 70]))
def test_extend_is_as_many_appends_as_there_is_room_for(values, limit, before, at_ms):
    batch, expected = records(limit), records(limit)
    for one in (batch, expected):
        for _ in range(before):
            one.append(AT_MS, b"k", b"before", (), None)
    columns = RecordColumns(None, values)
    count = batch.extend(at_ms, columns, 0)
    for index, value in enumerate(values):
        if expected.count and expected.size_after(at_ms, None, value, ()) > limit:
            break
        expected.append(at_ms, None, value, (), None)
        assert index < count, "there was room for more"
    assert (batch.count, batch.size, batch.timestamps) == (expected.count, expected.size, expected.timestamps)
    assert count == batch.count - before
    assert abs(batch.largest_record - expected.largest_record) <= 2, "give or take the bytes of an offset"
    if batch.count:
        assert batch.builder.build() == expected.builder.build()


def test_extend_takes_one_that_is_too_large_only_into_an_empty_batch():
    columns = RecordColumns(None, [bytes(500), bytes(500)])
    batch = records(limit=100)
    assert batch.extend(AT_MS, columns, 0) == 1
    assert batch.extend(AT_MS, columns, 1) == 0
    assert batch.count == 1 and batch.timestamps == [(0, AT_MS)]


def test_extend_goes_on_where_it_is_told_to():
    columns = RecordColumns([b"k"] * 4, [b"a", b"b", b"c", b"d" * 90])
    batch = records()
    assert batch.extend(AT_MS, columns, 2) == 2
    expected = RecordBatchBuilder()
    expected.append(AT_MS, b"k", b"c")
    expected.append(AT_MS, b"k", b"d" * 90)
    assert batch.builder.build() == expected.build()
    assert batch.extend(AT_MS, columns, 4) == 0 and batch.count == 2
