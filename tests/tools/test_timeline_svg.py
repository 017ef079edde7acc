"""The SVG picture: the classic example as it must be, and what holds for every picture."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from tools.timeline_events import A0, classic, invented, pictures, sent

from kproto.client import TopicPartition
from kproto.producer.events import BatchCompleted, BatchOpened, RecordAppended, SendReason
from kproto.tools.timeline import timeline_of
from kproto.tools.timeline_svg import timeline_svg
from kproto.wire import KafkaError

REASONS = ("FULL", "LINGER", "PIGGYBACK")
SVG = "{http://www.w3.org/2000/svg}"


def drawn(timeline, width=960):
    return ElementTree.fromstring(timeline_svg(timeline, width))


def of_class(root, name):
    return [element for element in root.iter() if element.get("class") == name]


def texts(root):
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def test_the_classic_example():
    golden = Path(__file__).with_name("timeline.svg").read_text(encoding="utf-8")
    assert pictures()["timeline.svg"] == golden, "python tests/tools/timeline_events.py"


def test_boxes_arrows_and_requests_of_the_classic_example():
    root = drawn(timeline_of(classic()))
    boxes = {name: len([each for each in of_class(root, name) if each.tag == f"{SVG}path"]) for name in REASONS}
    assert boxes == {"FULL": 2, "LINGER": 2, "PIGGYBACK": 2}
    arrows = [each.get("d") for name in REASONS for each in of_class(root, f"to-{name}")]
    assert len(arrows) == 6
    requests = [each for each in of_class(root, "request") if float(each.get("width")) > 12]
    starts = {(float(each.get("x")), float(each.get("y")) - 5) for each in requests}
    ends = [re.fullmatch(r"M([\d.]+) [\d.]+V([\d.]+)", arrow).groups() for arrow in arrows]
    assert {(float(x), float(y)) for x, y in ends} == starts, "an arrow ends on the request that took the batch"
    assert len([each for each in of_class(root, "held") if float(each.get("width")) > 12]) == 2


def test_the_legend_names_what_is_drawn_and_nothing_else():
    assert {"FULL", "LINGER", "PIGGYBACK", "held"} <= set(texts(drawn(timeline_of(classic()))))
    alone = texts(drawn(timeline_of([BatchOpened(0, A0, 1), RecordAppended(0, A0, 1, 1, 500)])))
    assert "not sent" in alone and not {"FULL", "held", "request, until answered"} & set(alone)
    assert alone[-1] == "height: bytes, at most 500 B"


def test_it_needs_nothing_from_elsewhere_and_runs_nothing():
    text = timeline_svg(timeline_of(invented(Random(1))))
    tags = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(text).iter()}
    assert tags == {"svg", "title", "style", "defs", "pattern", "path", "rect", "g", "text"}
    assert re.findall(r'(?:https?:|url\(|href|@import|font-face|\bon\w+=)[^")]*', text) == [
        "http://www.w3.org/2000/svg",
        "url(#kproto-held",
    ]
    assert "@media (prefers-color-scheme:dark)" in text


def test_tooltips_hold_the_facts():
    titles = [element.text for element in drawn(timeline_of(classic())).iter(f"{SVG}title")]
    assert titles[0] == "0-76 ms, 3 partitions, 6 batches"
    assert any(title.startswith("A-0#2\nA-0#2 was held 30-36 ms: IN_FLIGHT_LIMIT\nat 36 ms A-0#2") for title in titles)
    assert any(title.startswith("request to node 1 at 16 ms, answered at 36 ms: 2 batches") for title in titles)


def test_markup_in_names_and_errors_stays_text():
    evil = TopicPartition("<script>&\x00", 0)
    events = [sent(0, evil, 1, SendReason.FULL, 1, 1, 0), BatchCompleted(9, evil, 1, KafkaError("</title>\x1b"), -1)]
    root = drawn(timeline_of(events))
    assert not list(root.iter(f"{SVG}script"))
    assert any("failed: </title>?" in (title.text or "") for title in root.iter(f"{SVG}title"))
    assert any(text.startswith("<script>&?") for text in texts(root))


def test_failures_are_crossed():
    events = [BatchOpened(0, A0, 1), BatchCompleted(50, A0, 1, KafkaError("expired"), -1)]
    events += [sent(60, A0, 2, SendReason.FULL, 1, 1, 0), BatchCompleted(90, A0, 2, KafkaError("gone"), -1)]
    assert len(of_class(drawn(timeline_of(events)), "bad")) == 2
    assert not of_class(drawn(timeline_of(classic())), "bad")


def test_what_has_no_room_is_counted():
    events = [BatchOpened(n, A0, n) for n in range(1, 8)]
    events += [sent(n, TopicPartition("many", n), 1, SendReason.FULL, n, 1, 0) for n in range(46)]
    events += [sent(50, TopicPartition("one", n), 1, SendReason.FULL, 0, 1, 0) for n in range(2)]
    events += [sent(50 + n, A0, 90 + n, SendReason.FULL, 0, 1, 0) for n in range(6)]
    said = texts(drawn(timeline_of(events).window()))
    assert "and 37 more partitions" in said and "and 34 more nodes" in said
    assert "and 8 more batches for which there is no room: choose a shorter window" in said
    assert "and 1 more request for which there is no room: choose a shorter window" in said


def test_a_long_axis_is_in_seconds():
    events = [BatchOpened(0, A0, 1), sent(90_000, A0, 1, SendReason.FULL, 1, 1, 0)]
    assert texts(drawn(timeline_of(events)))[:2] != ["ms", "0"] and "s" in texts(drawn(timeline_of(events)))


NUMBERS = r"-?\d+(?:\.\d)?"


@given(st.integers(0, 2**32), st.integers(320, 1600), st.integers(0, 150), st.integers(0, 150))
def test_everything_is_inside_the_picture(seed, width, from_ms, length):
    timeline = timeline_of(invented(Random(seed), backlog=True, until=100, records=5))
    root = drawn(timeline.window(from_ms, from_ms + length), width)
    _, _, right, bottom = map(float, root.get("viewBox").split())
    assert right == width
    for each in root.iter(f"{SVG}rect"):
        x, y, wide, high = (float(each.get(name)) for name in ("x", "y", "width", "height"))
        assert x >= 0 and x + wide <= right + 5 and y >= -10 and y + high <= bottom
        assert wide > 0 and high > 0
    for each in root.iter(f"{SVG}path"):
        for x, y in re.findall(rf"M({NUMBERS}) ({NUMBERS})", each.get("d")):
            assert 0 <= float(x) <= right and float(y) <= bottom
        assert all(0 <= float(x) <= right + 5 for x in re.findall(rf"H({NUMBERS})", each.get("d")))


def test_a_narrow_page_gets_320_pixels():
    assert timeline_svg(timeline_of(classic()), 10) == timeline_svg(timeline_of(classic()), 320)
