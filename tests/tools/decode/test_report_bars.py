"""Which requests are drawn, and how they ended."""

from __future__ import annotations

import pytest

from kproto.tools.decode import report_bars as module
from kproto.tools.decode.report_bars import Bar, BarBatch, Bars, End

BATCH = BarBatch("orders", "orders", 0, 7, 0, 0, 5, 100)


def bar(frame, conn=1, batches=1):
    return Bar(frame, conn, "c:1", "b:1", "app", "Produce", 9, frame * 10, 100, [BATCH] * batches)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(module, "ROWS_MAX", 40)
    monkeypatch.setattr(module, "NOTABLE_MAX", 10)
    monkeypatch.setattr(module, "OPEN_MAX", 8)


def test_how_requests_end():
    bars = Bars()
    first, second, third, fourth, fifth = (bar(frame, conn=frame % 2) for frame in range(1, 6))
    for each in (first, second, third, fourth):
        bars.ask(each)
    bars.unasked(fifth)
    bars.end(first, End.ANSWERED)
    bars.end(second, End.FAILED)
    bars.connection_ended(1, 500)
    assert [(each.frame, each.end) for each in bars.kept()] == [
        (1, End.ANSWERED),
        (2, End.FAILED),
        (3, End.UNANSWERED),
        (4, End.OPEN),
        (5, End.UNASKED),
    ]
    assert (third.until_ns, bars.total, bars.waiting(3), bars.waiting(4)) == (500, 5, None, fourth)


@pytest.mark.usefixtures("small")
def test_of_many_requests_every_nth_is_kept():
    bars = Bars()
    for frame in range(1000):
        each = bar(frame)
        bars.ask(each)
        bars.end(each, End.ANSWERED)
    kept = [each.frame for each in bars.kept()]
    assert bars.every == 64 and bars.total == 1000
    assert kept == list(range(0, 1000, 64)), "evenly, from the first to the last"


@pytest.mark.usefixtures("small")
def test_trouble_is_kept_before_all_else_while_there_is_room():
    bars = Bars()
    for frame in range(1000):
        each = bar(frame)
        bars.ask(each)
        each.found = frame == 100
        bars.end(each, End.FAILED if frame in (300, 500) else End.ANSWERED)
    assert {100, 300, 500} <= {each.frame for each in bars.kept()} and bars.notable_left_out == 0
    for frame in range(1000, 2000):
        each = bar(frame)
        bars.ask(each)
        bars.end(each, End.FAILED)
    assert bars.notable_left_out == 998
    assert sum(each.rows for each in bars.kept()) <= 50


@pytest.mark.usefixtures("small")
def test_requests_that_wait_are_bounded():
    bars = Bars()
    for frame in range(100):
        bars.ask(bar(frame, conn=frame))
    assert len(bars._open) == len(bars._conns) == 8
    assert [each.end for each in bars.kept()] == [End.OPEN] * len(bars.kept())


def test_a_connection_that_nobody_waits_on_may_end():
    bars = Bars()
    bars.connection_ended(5, 1)
    assert bars.kept() == []
