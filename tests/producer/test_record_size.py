"""The bound of a record's size: never too small, and hardly too large."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kproto.producer.record_size import RECORD_OVERHEAD_MAX, record_size_bound
from kproto.wire.records import RECORD_BATCH_OVERHEAD, RecordBatchBuilder

DATA = st.none() | st.binary(max_size=300)
HEADERS = st.lists(st.tuples(st.text(max_size=20), DATA), max_size=3)
TIMESTAMPS = st.integers(0, 2**63 - 2)
LEAST = 4  # bytes of length, attributes and both deltas


@given(DATA, DATA, HEADERS, TIMESTAMPS, st.lists(TIMESTAMPS, max_size=3))
def test_size_1_a_record_takes_at_most_the_bound_and_at_least_what_the_bound_has_beside_its_overhead(
    key, value, headers, timestamp_ms, before
):
    builder = RecordBatchBuilder()
    for earlier_ms in before:
        builder.append(earlier_ms, None, b"")
    size = builder.size
    builder.append(timestamp_ms, key, value, headers)
    bound = record_size_bound(key, value, headers)
    assert bound - RECORD_OVERHEAD_MAX + LEAST <= builder.size - size <= bound


def test_size_1_the_bound_is_reached_up_to_the_offset_of_a_huge_batch():
    """The longest length, and the longest timestamp delta; a delta of offsets as long would need 2**27 records."""
    builder = RecordBatchBuilder()
    builder.append(0, None, None)
    size = builder.size
    value = bytes(2**27)
    builder.append(2**63 - 2, b"", value)
    assert record_size_bound(b"", value) - (builder.size - size) == 5 - 1


def test_what_is_null_takes_one_byte_and_what_is_empty_too():
    assert record_size_bound(None, None) == record_size_bound(b"", b"") == RECORD_OVERHEAD_MAX + 3
    assert record_size_bound(None, bytes(63)) == RECORD_OVERHEAD_MAX + 3 + 63
    assert record_size_bound(None, bytes(64)) == RECORD_OVERHEAD_MAX + 4 + 64


def test_a_header_s_name_counts_in_bytes_also_one_that_cannot_be_encoded():
    """Who cannot be encoded is refused by the append, not by the look at its size."""
    assert record_size_bound(None, None, [("ü", None)]) == RECORD_OVERHEAD_MAX + 3 + 3 + 1
    assert record_size_bound(None, None, [("\ud800", b"x")]) == RECORD_OVERHEAD_MAX + 3 + 4 + 2


def test_size_2_a_batch_of_one_record_is_bounded_too():
    builder = RecordBatchBuilder()
    builder.append(0, b"key", bytes(10_000), [("a", b"b")])
    assert len(builder.build()) <= RECORD_BATCH_OVERHEAD + record_size_bound(b"key", bytes(10_000), [("a", b"b")])
