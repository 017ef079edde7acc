"""Records as JSON, all at once and one by one: the same characters, and what `json` reads from them is what went in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode import record_text as module
from kproto.tools.decode.json_text import TEXT_SIZE_MAX, text_or_bytes
from kproto.tools.decode.record_text import _all_at_once, _one, records_text
from kproto.wire.records import Record

PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12).map(str.encode)
TRICKY = st.text(st.sampled_from('ab \\"\n\1\0\x7f'), max_size=6).map(str.encode)
ANY = st.one_of(
    st.none(), PLAIN, TRICKY, st.binary(max_size=12), st.text(max_size=12).map(lambda t: t.encode("utf-8", "replace"))
)
HEADERS = st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=5), ANY), max_size=2).map(tuple)


def one_by_one(records, base_offset):
    return "".join([_one(record, base_offset) for record in records])


def expected(record, base_offset):
    return {
        "offset_delta": record.offset - base_offset,
        "timestamp": record.timestamp,
        "key": json.loads(text_or_bytes(record.key)),
        "value": json.loads(text_or_bytes(record.value)),
        "headers": [[name, json.loads(text_or_bytes(value))] for name, value in record.headers],
    }


@given(st.lists(st.builds(Record, st.integers(0, 2**40), st.integers(-1, 2**40), ANY, ANY, HEADERS), max_size=5))
def test_any_records(records):
    text = records_text(records, 7)
    assert text == one_by_one(records, 7)
    assert json.loads(f"[{text[2:]}]") == [expected(record, 7) for record in records]


@given(
    st.integers(-5, 5),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 3), PLAIN | TRICKY, PLAIN | TRICKY), min_size=1),
)
def test_plain_records_in_one_go_are_those_one_by_one(base_offset, null, rows):
    records = [
        Record(offset, 1_700_000_000_000 + time, None if null else key, value, ())
        for offset, (time, key, value) in enumerate(rows)
    ]
    at_once = _all_at_once(records, base_offset)
    data = b"".join(value if null else key + value for _, key, value in rows)
    assert (at_once is not None) == (data.isascii() and data.decode().isprintable())
    assert at_once in (None, one_by_one(records, base_offset))


@pytest.mark.parametrize("count", [1, 1_024, 1_025])
def test_long_batches(count):
    records = [Record(5 + number, 9, b"k", b"v", ()) for number in range(count)]
    assert _all_at_once(records, 5) == one_by_one(records, 5)


def test_no_records_and_huge_ones():
    assert records_text([], 0) == ""
    huge = [Record(0, 0, None, b"x" * (TEXT_SIZE_MAX + 1), ())]
    assert _all_at_once(huge, 0) is None and "base64" in records_text(huge, 0)


def test_a_record_that_holds_the_mark_of_a_quote_takes_the_other_way():
    assert module.QUOTE not in bytes(range(32, 127))
    assert _all_at_once([Record(0, 0, None, b"a\1b", ())], 0) is None


def test_one_record_with_headers_is_enough_for_the_other_way():
    records = [Record(0, 0, b"k", b"v", ()), Record(1, 0, b"k", b"v", (("trace", b"1"),))]
    assert _all_at_once(records, 0) is None
    assert '"headers": [["trace", "1"]]' in records_text(records, 0)
