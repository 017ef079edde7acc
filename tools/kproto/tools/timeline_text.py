"""A timeline for a terminal: partitions as rows, batches as boxes that grow, requests in a lane for each node.

Layer: tools. Every character is one column wide; names that are wider are cut to fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from typing import Final, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from kproto.producer.events import SendReason
from kproto.tools.timeline_facts import clean, facts, no_room, plural, size_text, title
from kproto.tools.timeline_model import Request, Stay, Timeline, lanes, tick_ms

__all__ = ["REASON_STYLES", "timeline_text"]

REASON_STYLES: Final = {
    SendReason.FULL: "blue",
    SendReason.LINGER: "yellow",
    SendReason.PIGGYBACK: "green",
    SendReason.FLUSH: "magenta",
    SendReason.CLOSE: "bright_black",
    SendReason.MEMORY: "red",
    SendReason.RETRY: "cyan",
}
GUTTER_MAX: Final = 24  # columns of a partition's name
WIDTH_MIN: Final = 50
PARTITION_LANES_MAX: Final = 3
NODE_LANES_MAX: Final = 5
NODES_MAX: Final = 12
TICK_COLUMNS: Final = 10
SECONDS_FROM_MS: Final = 10_000  # between two marks: from there the axis counts in seconds


class _Glyphs(NamedTuple):
    """levels: of a box, from empty to the largest batch."""

    levels: str
    held: str
    opening: str
    closing: str
    line: str
    tick: str
    rule: str


BOX_DRAWING: Final = _Glyphs("▁▂▃▄▅▆▇█", "░", "├", "┤", "─", "┼", "─")
ASCII: Final = _Glyphs(".-=%", "~", "[", "]", "-", "+", "-")
READY, SENT, FAILED = "!", ">", "x"


class _Row:
    """A row of single columns, each with a style."""

    def __init__(self, columns: int) -> None:
        self.cells = [" "] * columns
        self.styles = [""] * columns

    def put(self, column: int, text: str, style: str) -> None:
        """Write over what is there; what lies outside is lost."""
        for at, letter in enumerate(text, column):
            if 0 <= at < len(self.cells):
                self.cells[at] = letter if cell_len(letter) == 1 else "?"
                self.styles[at] = style

    def is_free(self, start: int, stop: int) -> bool:
        """Whether nothing is written there."""
        return not "".join(self.cells[start:stop]).strip()

    def text(self) -> Text:
        line = Text()
        for letter, style in zip(self.cells, self.styles, strict=True):
            line.append(letter, style)
        line.rstrip()
        return line


class _Picture:
    """What all rows share: the window, its scale and the glyphs."""

    def __init__(self, timeline: Timeline, columns: int, glyphs: _Glyphs) -> None:
        self.timeline = timeline
        self.columns = columns
        self.glyphs = glyphs
        batches = [batch for each in timeline.batches.values() for batch in each]
        self.size_max = max((grown.size for batch in batches for grown in batch.growth), default=0)

    def column(self, at_ms: int) -> int:
        """Where that moment is; outside the window, at its edge."""
        at_ms = min(max(at_ms, self.timeline.from_ms), self.timeline.to_ms)
        return (at_ms - self.timeline.from_ms) * self.columns // (self.timeline.to_ms - self.timeline.from_ms)

    def extent(self, from_ms: int, to_ms: int | None) -> tuple[int, int]:
        """The columns of a box: one at least, within the row."""
        start = min(self.column(from_ms), self.columns - 1)
        return start, self.columns if to_ms is None else max(start + 1, self.column(to_ms))

    def is_visible(self, from_ms: int, to_ms: int | None) -> bool:
        return from_ms <= self.timeline.to_ms and (to_ms is None or to_ms >= self.timeline.from_ms)

    def axis(self) -> Iterator[tuple[str, Text]]:
        window = self.timeline
        step = tick_ms(window.to_ms - window.from_ms, max(1, self.columns // TICK_COLUMNS))
        in_seconds = step >= SECONDS_FROM_MS
        numbers, ruler = _Row(self.columns), _Row(self.columns)
        ruler.put(0, self.glyphs.rule * self.columns, "dim")
        first = -(-window.from_ms // step) * step
        for at_ms in range(first, window.to_ms, step):
            numbers.put(self.column(at_ms), str(at_ms // 1000 if in_seconds else at_ms), "dim")
            ruler.put(self.column(at_ms), self.glyphs.tick, "dim")
        yield "s" if in_seconds else "ms", numbers.text()
        yield "", ruler.text()

    def partition_rows(self, stays: Iterable[Stay]) -> tuple[list[Text], int]:
        """The rows of one partition, and how many stays of batches found no room in them."""
        visible = [stay for stay in stays if self.is_visible(stay.from_ms, stay.to_ms)]
        rows, left_out = lanes(visible, self._stay_extent, PARTITION_LANES_MAX)
        return [self._partition_row(row) for row in rows], len(left_out)

    def _stay_extent(self, stay: Stay) -> tuple[int, int]:
        return self.extent(stay.from_ms, stay.to_ms)

    def _partition_row(self, stays: Sequence[Stay]) -> Text:
        row = _Row(self.columns)
        for stay in stays:
            self._box(row, stay)
        for stay in stays:
            self._reason(row, stay)
        return row.text()

    def _box(self, row: _Row, stay: Stay) -> None:
        start, stop = self._stay_extent(stay)
        style = _style(stay)
        row.put(start, self.glyphs.levels[0] * (stop - start), style)
        for grown in stay.batch.growth:
            at = max(start, self.column(grown.at_ms))
            row.put(at, self._level(grown.size) * (stop - at), style)
        for hold in stay.batch.holds:
            if stay.from_ms <= hold.from_ms and (stay.to_ms is None or hold.from_ms < stay.to_ms):
                held_from, held_to = self.extent(hold.from_ms, hold.to_ms)
                row.put(held_from, self.glyphs.held * (min(held_to, stop) - held_from), style)
        label = f"#{stay.batch.number}"
        if len(label) < stop - start:
            row.put(start, label, f"bold {style}")
        ready = self._ready_column(stay)
        if start + len(label) <= ready < stop - 1:
            row.put(ready, READY, f"bold {style}")
        if stay.to_ms is not None and stay.to_ms <= self.timeline.to_ms:
            row.put(stop - 1, FAILED if stay.attempt is None else SENT, f"bold {style}")

    def _level(self, size: int) -> str:
        levels = self.glyphs.levels
        return levels[max(0, round(size * len(levels) / max(1, self.size_max)) - 1)]

    def _ready_column(self, stay: Stay) -> int:
        """Of the moment when it could have left; the row's end if that is not known."""
        times = [each.at_ms for each in stay.batch.readies if each.at_ms >= stay.from_ms]
        return self.column(times[0]) if times else self.columns

    def _reason(self, row: _Row, stay: Stay) -> None:
        """Behind the box if there is room, else in it, before the mark of the moment when it was ready."""
        if stay.attempt is None:
            return
        start, stop = self._stay_extent(stay)
        name = stay.attempt.reason.name
        inner = min(self._ready_column(stay), stop - 1) - len(name)
        if stop + len(name) <= self.columns and row.is_free(stop, stop + len(name) + 1):
            row.put(stop, name, _style(stay))
        elif inner > start + len(f"#{stay.batch.number}"):
            row.put(inner, name, _style(stay))

    def node_rows(self, requests: Iterable[Request]) -> tuple[list[Text], int]:
        """The lane of one node, and how many requests found no room in it."""
        rows, left_out = lanes(requests, lambda sent: self.extent(sent.at_ms, sent.answered_ms), NODE_LANES_MAX)
        return [self._node_row(row) for row in rows], len(left_out)

    def _node_row(self, requests: Sequence[Request]) -> Text:
        row = _Row(self.columns)
        for request in requests:
            start, stop = self.extent(request.at_ms, request.answered_ms)
            row.put(start, self.glyphs.line * (stop - start), "dim")
            if request.at_ms >= self.timeline.from_ms:
                row.put(start, self.glyphs.opening, "dim")
            if request.answered_ms is not None and request.answered_ms <= self.timeline.to_ms:
                failed = any(sent.error is not None for _, sent in request.batches)
                row.put(stop - 1, FAILED if failed else self.glyphs.closing, "bold red" if failed else "dim")
            self._names(row, request, start + 2, stop - 2)
        return row.text()

    def _names(self, row: _Row, request: Request, start: int, stop: int) -> None:
        """As many of its batches as there is room for, and how many more there are; or how many, if more than one."""
        for shown in range(len(request.batches), -1, -1):
            more = len(request.batches) - shown
            words = [(clean(batch.name), REASON_STYLES[sent.reason]) for batch, sent in request.batches[:shown]]
            if more and (shown or more > 1):
                words.append((f"+{more}" if shown else f"({more})", "dim"))
            if sum(len(word) + 1 for word, _ in words) <= stop - start:
                for word, style in words:
                    row.put(start, f"{word} ", style)
                    start += len(word) + 1
                return


def _style(stay: Stay) -> str:
    return "" if stay.attempt is None else REASON_STYLES[stay.attempt.reason]


def timeline_text(timeline: Timeline, width: int = 100, *, ascii_only: bool = False, facts_max: int = 60) -> Text:
    """The picture and, below it, at most facts_max sentences. width: columns, 50 at least; no line is longer.

    Show a `Timeline.window` of what is long. A rich Console prints it in the colours that it has; `.plain` has none.
    """
    width = max(width, WIDTH_MIN)
    names = [clean(str(partition)) for partition in timeline.batches]
    nodes = [f"node {node_id}" for node_id in timeline.requests]
    gutter = min(max(map(cell_len, [*names, *nodes, "ms"])), GUTTER_MAX) + 2
    picture = _Picture(timeline, width - gutter, ASCII if ascii_only else BOX_DRAWING)
    lines = [Text(title(timeline), "bold"), *(_beside(head, line, gutter) for head, line in picture.axis())]
    for name, batches in zip(names, timeline.batches.values(), strict=True):
        rows, left_out = picture.partition_rows(stay for batch in batches for stay in batch.stays)
        lines += _group(name, rows, wrap(no_room(left_out, "batch"), picture.columns), gutter)
    if timeline.partitions_left_out:
        lines.append(Text(f"and {plural(timeline.partitions_left_out, 'more partition')}", "dim"))
    lines.append(Text())
    for node_id, requests in list(timeline.requests.items())[:NODES_MAX]:
        rows, left_out = picture.node_rows(requests)
        lines += _group(f"node {node_id}", rows, wrap(no_room(left_out, "request"), picture.columns), gutter)
    if len(nodes) > NODES_MAX:
        lines.append(Text(f"and {plural(len(nodes) - NODES_MAX, 'more node')}", "dim"))
    lines += [Text(), *(Text(line, "dim") for line in wrap(_legend(picture), width)), Text()]
    told = facts(timeline)
    for fact in told[:facts_max]:
        lines += map(Text, wrap(fact, width, subsequent_indent="  "))
    if len(told) > facts_max:
        lines.append(Text(f"and {plural(len(told) - facts_max, 'more fact')}: choose a shorter window", "dim"))
    return Text("\n").join([*lines, Text()])


def _beside(head: str, line: Text, gutter: int) -> Text:
    text = Text(set_cell_size(head, gutter - 2) + "  ").append_text(line)
    text.rstrip()
    return text


def _group(name: str, rows: Sequence[Text], notes: Sequence[str], gutter: int) -> Iterator[Text]:
    """The rows of a partition or node, its name before the first."""
    for number, row in enumerate(rows or [Text()]):
        yield _beside("" if number else name, row, gutter)
    for note in notes:
        yield _beside("", Text(note, "dim"), gutter)


def _legend(picture: _Picture) -> str:
    glyphs = picture.glyphs
    request = f"{glyphs.opening}{glyphs.line}{glyphs.closing}"
    return (
        f"#n batch of a partition, as high as it is large (at most {size_text(picture.size_max)})  {READY} ready  "
        f"{glyphs.held} held  {SENT} sent  {FAILED} failed  {request} request, until answered"
    )
