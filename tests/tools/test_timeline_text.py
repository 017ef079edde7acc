"""The picture for a terminal: the classic example as it must look, and what holds for every picture."""

from __future__ import annotations

import io
import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from tools.timeline_events import A0, classic, invented, pictures, sent

from kproto.client import TopicPartition
from kproto.producer.events import BatchOpened, RecordAppended, SendReason
from kproto.tools.timeline import timeline_of
from kproto.tools.timeline_text import REASON_STYLES, timeline_text


@pytest.mark.parametrize("name", ["timeline.txt", "timeline_ascii.txt"])
def test_the_classic_example(name):
    golden = Path(__file__).with_name(name).read_text(encoding="utf-8")
    assert pictures()[name] == golden, "python tests/tools/timeline_events.py"


def rows(timeline, **options):
    """The part of the picture with the partitions, by name, and that with the nodes."""
    head, nodes, *_ = timeline_text(timeline, **options).plain.split("\n\n")
    return head.splitlines()[3:], nodes.splitlines()


def test_a_send_stands_where_its_request_begins():
    partitions, nodes = rows(timeline_of(classic()))
    starts = [found.start() for row in nodes for found in re.finditer("├", row)]
    sends = [found.end() for row in partitions for found in re.finditer(">", row)]
    assert set(sends) == set(starts) and len(starts) == 4 and len(sends) == 6


def test_a_held_stretch_begins_where_the_batch_is_ready():
    partitions, _ = rows(timeline_of(classic()))
    assert [row.count("!") for row in partitions] == [1, 1, 0, 0]
    assert all(re.search("!░+>", row) for row in partitions[:2])


def test_a_box_grows_by_its_share_of_the_largest():
    events = [BatchOpened(0, A0, 1)]
    events += [RecordAppended(10 * n, A0, 1, n + 1, 1000 * (n + 1)) for n in range(8)]
    (row,), _ = rows(timeline_of([*events, sent(80, A0, 1, SendReason.FULL, 1, 8, 0)]))
    levels = re.sub("[^▁▂▃▄▅▆▇█]", "", row)
    assert list(dict.fromkeys(levels)) == list("▁▂▃▄▅▆▇█") and levels == "".join(sorted(levels))


def test_batches_at_the_same_time_have_rows_of_their_own_up_to_a_limit():
    events = [BatchOpened(n, A0, n) for n in range(1, 6)] + [BatchOpened(50, TopicPartition("B", 0), 1)]
    partitions, _ = rows(timeline_of(events))
    assert [row[:5].strip() for row in partitions] == ["A-0", "", "", "", "B-0"]
    assert partitions[3].strip() == "and 2 more batches for which there is no room: choose a shorter window"


def test_a_reason_stands_behind_the_box_or_in_it_or_nowhere():
    events = []
    for number, (start, stop) in enumerate([(0, 40), (40, 43), (43, 44), (44, 100)], 1):
        events += [BatchOpened(start, A0, number), sent(stop, A0, number, SendReason.PIGGYBACK, 1, 1, 0)]
    (row,), _ = rows(timeline_of(events))
    assert row.count("PIGGYBACK") == 2 and row.endswith("PIGGYBACK>")


def test_what_is_not_over_runs_to_the_edge():
    (row,), _ = rows(timeline_of([BatchOpened(0, A0, 1), RecordAppended(100, A0, 1, 1, 50)]), width=60)
    assert len(row) == 60 and ">" not in row
    _, (node,) = rows(timeline_of([sent(0, A0, 1, SendReason.FULL, 3, 1, 0), BatchOpened(100, A0, 2)]), width=60)
    assert node.startswith("node 3  ├─A-0#1 ─") and len(node) == 60 and "┤" not in node


def test_names_that_do_not_fit_are_counted():
    partitions = [TopicPartition("orders", n) for n in range(5)]
    events = [sent(0, each, 1, SendReason.FULL, 1, 1, 0) for each in partitions] + [BatchOpened(100, A0, 9)]
    _, (node,) = rows(timeline_of(events), width=55)
    assert "├─orders-0#1 orders-1#1 orders-2#1 +2 ─" in node


def test_many_partitions_nodes_and_facts_are_counted():
    events = [sent(n, TopicPartition("many", n), 1, SendReason.FULL, n, 1, 0) for n in range(46)]
    text = timeline_text(timeline_of(events).window(), facts_max=5).plain
    assert "\nand 34 more partitions\n" in text and "\nand 34 more nodes\n" in text
    assert text.endswith("\nand 7 more facts: choose a shorter window\n")


def test_a_long_axis_is_in_seconds():
    events = [BatchOpened(0, A0, 1), sent(90_000, A0, 1, SendReason.FULL, 1, 1, 0)]
    assert timeline_text(timeline_of(events)).plain.splitlines()[1].split() == ["s", *map(str, range(0, 90, 10))]
    assert timeline_text(timeline_of(classic())).plain.splitlines()[1].split()[:3] == ["ms", "0", "10"]


def test_a_name_is_cut_to_its_columns():
    wide = TopicPartition("注文" * 20, 0)
    timeline = timeline_of([BatchOpened(0, wide, 1), sent(100, wide, 1, SendReason.FULL, 1, 1, 0)])
    (row,), _ = rows(timeline)
    assert cell_len(row) <= 100 and row.startswith("注文注文")
    assert cell_len(row[: row.index("#")]) == 26


def test_colours_are_the_consoles():
    text = timeline_text(timeline_of(classic()))
    assert set(REASON_STYLES) == set(SendReason)
    assert {"blue", "yellow", "green"} <= {str(span.style) for span in text.spans}
    plain, colour = io.StringIO(), io.StringIO()
    Console(file=plain, width=100).print(text)
    Console(file=colour, width=100, force_terminal=True, color_system="standard").print(text)
    assert plain.getvalue() == text.plain + "\n" and "\x1b[34m" in colour.getvalue()


@given(st.integers(0, 2**32), st.integers(50, 200), st.booleans(), st.integers(0, 150), st.integers(0, 150))
def test_no_line_is_too_wide_and_ascii_is_ascii(seed, width, ascii_only, from_ms, length):
    timeline = timeline_of(invented(Random(seed), backlog=True, until=100, records=5))
    text = timeline_text(timeline.window(from_ms, from_ms + length), width, ascii_only=ascii_only).plain
    assert max(map(cell_len, text.splitlines())) <= width
    assert text.isascii() or not ascii_only
    assert text == "\n".join(line.rstrip() for line in text.split("\n"))


def test_a_narrow_terminal_gets_fifty_columns():
    assert timeline_text(timeline_of(classic()), 10).plain == timeline_text(timeline_of(classic()), 50).plain


@pytest.mark.parametrize(("opened", "shows"), [(46, "LINGER>      #2"), (47, ">LINGER #2")])
def test_a_reason_does_not_touch_the_next_box(opened, shows):
    events = [BatchOpened(0, A0, 1), sent(40, A0, 1, SendReason.LINGER, 1, 1, 0), BatchOpened(opened, A0, 2)]
    (row,), _ = rows(timeline_of([*events, BatchOpened(100, A0, 2)]), width=108)
    assert shows in row
