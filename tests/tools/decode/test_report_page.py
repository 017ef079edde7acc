"""The page: what stands in it, what can never, and how large it may grow."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools.decode.decoded import Capture, batch

from kproto.tools.decode import report_page as module
from kproto.tools.decode.report import Report

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'\x1b[2J\u202e"


class Tags(HTMLParser):
    """The elements of a page, and whether each that must be closed is."""

    VOID = frozenset({"meta", "img", "link", "br", "input"})

    def __init__(self, page):
        super().__init__()
        self.seen = []
        self.open = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page_of(capture, title="capture"):
    report = Report()
    for each in capture.frames:
        report.add(each)
    report.end()
    return report.html(title)


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_what_the_script_draws():
    capture = Capture()
    first = capture.produce(batch(0, 5), version=9)
    second = capture.produce(batch(5, 3), version=9)
    capture.ack(first)
    capture.ack(second, 6)
    capture.produce(batch(5, 3), conn=2)
    data = data_of(page_of(capture))
    assert data["conns"] == ["1: 10.0.0.9:50001 → 10.0.0.1:9092 · app", "2: 10.0.0.9:50002 → 10.0.0.1:9092 · app"]
    assert (data["apis"], data["partitions"], data["errors"]) == (
        ["Produce 9"],
        ["orders-0"],
        ["", "NOT_LEADER_OR_FOLLOWER"],
    )
    sizes = [each.frame.size for each in capture.frames]
    assert data["requests"] == [
        [0, 0, 2000, 0, 0, 1, 3, sizes[0], sizes[2], 0, 0, 0],
        [0, 1000, 2000, 0, 1, 2, 4, sizes[1], sizes[3], 1, 0, 0],
        [1, 4000, -1, 0, 3, 5, 0, sizes[4], 0, 0, 0, 0],
    ]
    size = len(batch(5, 3))
    assert data["batches"] == [
        [0, 0, 7, 0, 0, 5, len(batch(0, 5)), 0],
        [1, 0, 7, 0, 5, 3, size, 1],
        [2, 0, 7, 0, 5, 3, size, 0],
    ]
    assert data["span"] == 4000


def test_findings_lead_to_their_frames():
    capture = Capture()
    capture.ack(capture.produce(batch(0, 5)))
    capture.ack(capture.produce(batch(0, 5)))
    page = page_of(capture)
    assert '<a href="#frame-3">3</a>' in page and "is sent again, though 0-4 (frame 1) was acknowledged" in page
    assert data_of(page)["requests"][1][11] == 1


def test_nothing_hostile_gets_through():
    capture = Capture(client_id=HOSTILE)
    for _ in range(2):
        capture.ack(capture.produce(batch(0, 5), topic=HOSTILE))
    page = page_of(capture, title=HOSTILE)
    tags = Tags(page)
    assert [tag for tag, _ in tags.seen].count("script") == 2 and not tags.open
    assert not set(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1]) & set("<>&")
    assert "img" not in [tag for tag, _ in tags.seen]
    assert not [name for _, attributes in tags.seen for name in attributes if name.startswith("on")]


def test_nothing_is_fetched_and_no_value_is_told():
    capture = Capture()
    capture.ack(capture.produce(batch(0, 5, value=b"my secret value")))
    page = page_of(capture)
    tags = Tags(page)
    assert not [tag for tag, attributes in tags.seen if {"src", "srcset", "action"} & set(attributes) or tag == "link"]
    assert all(attributes["href"].startswith("#") for tag, attributes in tags.seen if tag == "a")
    assert "default-src 'none'" in page and "http" not in re.sub(r"http-equiv", "", page)
    assert "secret" not in page


def test_nothing_at_all():
    page = page_of(Capture())
    assert not Tags(page).open and "no frames" in page and data_of(page)["requests"] == []


@settings(max_examples=20)
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_names_are_shown_as_they_are(client_id, topic):
    capture = Capture(client_id=client_id)
    capture.ack(capture.produce(batch(0, 5), topic=topic))
    page = page_of(capture)
    assert not Tags(page).open
    assert data_of(page)["partitions"] == [f"{topic}-0"]


def test_rows_of_their_own_are_for_so_many_names(monkeypatch):
    monkeypatch.setattr(module, "NAMES_MAX", 3)
    capture = Capture()
    for number in range(6):
        capture.ack(capture.produce(batch(0), partition=number, conn=number + 1))
    data = data_of(page_of(capture))
    assert data["partitions"] == ["orders-0", "orders-1", "orders-2", "(others)"]
    assert [row[1] for row in data["batches"]] == [0, 1, 2, 3, 3, 3]
    assert len(data["conns"]) == 4


@pytest.mark.parametrize("rows", [module.ROWS_MAX, module.ROWS_MAX + 1])
def test_tables_are_bounded(rows):
    capture = Capture()
    for number in range(rows):
        capture.produce(batch(0), topic=f"topic-{number}", acks=0)
    page = page_of(capture)
    assert page.count("<td>topic-") == module.ROWS_MAX * 2  # topics, and sequences
    assert page.count("1 more are not shown.") == 2 * (rows - module.ROWS_MAX)
