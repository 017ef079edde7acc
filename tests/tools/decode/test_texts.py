"""Numbers as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode.texts import clock_text, counted, date_text, ms_text, printable, size_text

SECOND_NS = 1_000_000_000


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (5e9, "5.0 GB")]
)
def test_sizes(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(("us", "text"), [(0, "0.00"), (120, "0.12"), (3_400, "3.4"), (12_345_678, "12,346")])
def test_milliseconds(us, text):
    assert ms_text(us) == text


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(1, "batch", "1 batch"), (2, "batch", "2 batches"), (1000, "frame", "1,000 frames"), (0, "entry", "0 entries")],
)
def test_counts(number, noun, text):
    assert counted(number, noun) == text


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)), st.integers(0, 999))
def test_times(moment, nanoseconds):
    time_ns = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000 + nanoseconds
    assert date_text(time_ns)[:10] == moment.date().isoformat()
    assert clock_text(time_ns) == f"{moment:%H:%M:%S}.{moment.microsecond:06}"


@given(st.integers())
def test_any_time_is_told(time_ns):
    assert clock_text(time_ns) and date_text(time_ns)


@given(st.text())
def test_nothing_printed_can_move_the_cursor(words):
    assert printable(words).plain.isprintable()


def test_what_cannot_be_printed_is_spelt_out():
    assert printable("a\x1b[31m\n\u202eb").plain == "a\\x1b[31m\\n\\u202eb"
