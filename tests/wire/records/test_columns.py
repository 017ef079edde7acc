"""Columns of records: the bytes are those of as many single appends, and as many are taken as fit."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kproto.wire import EncodeError
from kproto.wire.records import RecordBatchBuilder, RecordColumns, read_record_batches

AT_MS = 1_700_000_000_000
LENGTHS = st.sampled_from([0, 1, 10, 63, 64, 100, 127, 128, 300, 8170, 8190, 8191, 8192, 70_000])
DATA = st.one_of(st.none(), LENGTHS.map(bytes), st.binary(max_size=80))


@st.composite
def columns_of_some_kind(draw):
    """Alike or not, null or not: each kind has its own way through the code."""
    count = draw(st.integers(0, 90))
    values = draw(_column(count))
    keys = draw(st.one_of(st.none(), _column(count)))
    headers = draw(st.sampled_from([(), (("h", b"1"),), [("h", None), ("trace", bytes(200))]]))
    return keys, values, headers


def _column(count):
    alike = LENGTHS.map(lambda size: [bytes(size)] * count)
    mixed = st.lists(DATA, min_size=count, max_size=count)
    short = st.lists(st.binary(max_size=200), min_size=count, max_size=count)
    return st.one_of(alike, st.just([None] * count), short, mixed)


def one_by_one(builder, at_ms, keys, values, headers, start, size_limit):
    taken = 0
    for place in range(start, len(values)):
        record = at_ms, None if keys is None else keys[place], values[place], headers
        if builder.size_after(*record) > size_limit:
            break
        builder.append(*record)
        taken += 1
    return taken


@given(
    columns_of_some_kind(),
    st.integers(0, 3),
    st.integers(AT_MS - 5, AT_MS + 9000),
    st.integers(0, 20),
    st.one_of(st.integers(61, 3000), st.integers(61, 400_000), st.just(1 << 31)),
)
def test_it_is_as_if_they_were_appended_one_by_one(records, before, at_ms, start, size_limit):
    keys, values, headers = records
    start = min(start, len(values))
    one, other = RecordBatchBuilder(), RecordBatchBuilder()
    for builder in (one, other):
        for number in range(before):
            builder.append(AT_MS + number, b"%d" % number, b"before")
    columns = RecordColumns(keys, values, headers)
    taken = one.extend(at_ms, columns, start, size_limit=size_limit)
    assert taken == one_by_one(other, at_ms, keys, values, headers, start, size_limit)
    assert (one.count, one.size, one.max_timestamp, one.base_timestamp) == (
        other.count,
        other.size,
        other.max_timestamp,
        other.base_timestamp,
    )
    if one.count:
        assert one.build() == other.build()
        one.append(at_ms, b"k", b"behind")
        other.append(at_ms, b"k", b"behind")
        assert one.build() == other.build()


@pytest.mark.parametrize("before", [0, 62, 63, 64, 8_189, 8_200])
@pytest.mark.parametrize("values", [[b"same"] * 200, [bytes(size % 7) for size in range(200)]], ids=["alike", "mixed"])
def test_offsets_of_any_length(before, values):
    one, other = RecordBatchBuilder(), RecordBatchBuilder()
    for builder in (one, other):
        for _ in range(before):
            builder.append(AT_MS, None, b"")
    assert one.extend(AT_MS, RecordColumns(None, values)) == len(values)
    for value in values:
        other.append(AT_MS, None, value)
    assert one.build() == other.build() and one.size == other.size


@given(columns_of_some_kind(), st.integers(61, 2000))
@example(([b"k"] * 5, [b"v"] * 5, ()), 61)
def test_batch_after_batch_all_of_them_are_taken_in_order(records, size_limit):
    keys, values, headers = records
    columns, start, found = RecordColumns(keys, values, headers), 0, []
    assert len(columns) == len(values)
    while start < len(values):
        builder = RecordBatchBuilder()
        taken = builder.extend(AT_MS, columns, start, size_limit=size_limit)
        if not taken:  # a record that no batch of this size holds
            taken = builder.extend(AT_MS, columns, start, start + 1)
            assert builder.size <= 61 + columns.size_max(start)
        assert taken
        largest = columns.largest_of(start, start + taken)
        (whole,) = read_record_batches(builder.build())
        found += [(record.key, record.value, tuple(record.headers)) for record in whole]
        assert largest <= builder.size
        start += taken
    expected = [None] * len(values) if keys is None else keys
    assert found == [(key, value, tuple(headers)) for key, value in zip(expected, values, strict=True)]


@pytest.mark.parametrize("limit", [*range(3000, 3040), 61, 0])
def test_short_records_take_the_room_that_long_ones_would_have_needed(limit):
    values = [b"%d" % number for number in range(900)] + [bytes(9000)]
    one, other = RecordBatchBuilder(), RecordBatchBuilder()
    taken = one.extend(AT_MS, RecordColumns(None, values), size_limit=limit)
    assert taken == one_by_one(other, AT_MS, None, values, (), 0, limit)
    assert b"".join(one.parts) == b"".join(other.parts)


@given(columns_of_some_kind(), st.integers(0, 70), st.sampled_from([0, 70, 1 << 20, 1 << 61, -1]))
def test_no_record_takes_more_than_is_said(records, before, delta):
    columns, values = RecordColumns(*records), records[1]
    sizes = []
    for place in range(len(values)):
        taken, data = columns.take(place, place + 1, 1 << 20, before, delta)
        assert taken == 1 and len(data) <= columns.size_max(place) <= columns.largest_max
        sizes.append(len(data))
    for place in range(len(values)):
        assert sum(sizes[place:]) <= columns.size_from(place)


@pytest.mark.parametrize("longest", [*range(8170, 8195)])
@pytest.mark.parametrize("headers", [(), (("h", b"1"),)], ids=["bare", "headers"])
def test_where_the_tables_end(longest, headers):
    values = [bytes(longest), b"", None, bytes(longest - 1)]
    one, other = RecordBatchBuilder(), RecordBatchBuilder()
    assert one.extend(AT_MS, RecordColumns(None, values, headers)) == 4
    assert one_by_one(other, AT_MS, None, values, headers, 0, 1 << 20) == 4
    assert one.build() == other.build()


@pytest.mark.parametrize("values", [[b"same"] * 70, [bytes(size % 7) for size in range(70)]], ids=["alike", "mixed"])
@pytest.mark.parametrize("count", [1, 63, 64, 65, 70])
def test_a_byte_more_or_less(values, count):
    columns = RecordColumns(None, values)
    whole = RecordBatchBuilder()
    whole.extend(AT_MS, columns, 0, count)
    for more, taken in ((-1, count - 1), (0, count)):
        builder = RecordBatchBuilder()
        assert builder.extend(AT_MS, columns, 0, count, size_limit=whole.size + more) == taken
        assert builder.size <= whole.size + more
    assert columns.largest_of(0, 1) == len(columns.take(0, 1, 1000, 63, 0)[1])


@pytest.mark.parametrize("delta", [-1, 63, -2, 62, 64, 0])
def test_either_way_in_time(delta):
    one, other = RecordBatchBuilder(), RecordBatchBuilder()
    for builder in (one, other):
        builder.append(AT_MS, None, b"first")
    one.extend(AT_MS + delta, RecordColumns(None, [b"a", b"bc"]))
    other.append(AT_MS + delta, None, b"a")
    other.append(AT_MS + delta, None, b"bc")
    assert one.build() == other.build()


def test_no_batch_has_so_many_records():
    assert RecordColumns(None, [b"a"]).take(0, None, 1000, 1 << 34, 0) == (0, b"")


class WatchedList(list):
    """Counts what is copied out of it."""

    copied = 0

    def __getitem__(self, place):
        found = super().__getitem__(place)
        self.copied += len(found) if type(place) is slice else 1
        return found


@pytest.mark.parametrize(
    "values", [[b"same"] * 5000, [bytes(size % 7) for size in range(5000)]], ids=["alike", "mixed"]
)
def test_what_a_batch_costs_does_not_depend_on_how_many_records_wait(values):
    values, keys = WatchedList(values), WatchedList(values)
    columns = RecordColumns(keys, values)
    for start in (0, 2500, 4990):
        values.copied = keys.copied = 0
        taken = RecordBatchBuilder().extend(AT_MS, columns, start, size_limit=1000)
        assert values.copied == keys.copied == taken > 9


@pytest.mark.parametrize(
    ("start", "stop", "taken"), [(0, 3, 3), (2, 3, 1), (3, 99, 7), (4, 4, 0), (5, 2, 0), (10, None, 0), (11, None, 0)]
)
def test_from_start_up_to_stop(start, stop, taken):
    values = [b"%d" % number for number in range(10)]
    builder = RecordBatchBuilder()
    assert builder.extend(AT_MS, RecordColumns(None, values), start, stop) == builder.count == taken
    found = [record.value for batch in read_record_batches(builder.build()) for record in batch] if taken else []
    assert found == values[start : start + taken]


@pytest.mark.parametrize(
    ("keys", "values", "said"),
    [
        ([b"a"], [b"a", b"b"], "keys, for 2 values"),
        (None, [b"a", "text"], "value.*text"),
        ([b"a", 5], [b"a", b"b"], "key.*5"),
        ([None, "k", 5], [b"a", b"b", None], "key.*'k'"),
        (None, [bytearray(b"a")], "value"),
    ],
)
def test_anything_else_is_refused_at_once(keys, values, said):
    with pytest.raises(EncodeError, match=said):
        RecordColumns(keys, values)


def test_a_sealed_batch_and_a_wrong_timestamp_are_refused_and_nothing_is_added():
    builder = RecordBatchBuilder()
    columns = RecordColumns(None, [b"a"])
    with pytest.raises(EncodeError, match="timestamp_ms"):
        builder.extend(-2, columns)
    assert builder.count == 0 and builder.size == 61
    builder.extend(AT_MS, columns)
    builder.seal()
    with pytest.raises(EncodeError, match="sealed"):
        builder.extend(AT_MS, columns)
    assert builder.count == 1
