"""A timeline as a self-contained SVG picture: no scripts, no fonts of its own, light or dark as the reader prefers.

Layer: tools. Pixels are SVG's user units. What the pointer rests on tells its facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from kproto.tools.svg import CHARACTER, REASON_COLOURS, cross, document, number, path, rect, short, text, told
from kproto.tools.timeline_facts import batch_facts, clean, no_room, plural, request_facts, size_text, title
from kproto.tools.timeline_model import Request, Stay, Timeline, lanes, tick_ms

__all__ = ["timeline_svg"]

WIDTH_MIN: Final = 320
GUTTER_MAX: Final = 180
MARGIN: Final = 16
HEAD: Final = 62
BOX_MAX: Final = 30
BOX_MIN: Final = 5
LABEL: Final = 14  # a box as high holds its label; on a lower one it stands
PARTITION_LANE: Final = 40
NODE_LANE: Final = 28
REQUEST: Final = 20
LEGEND_ROW: Final = 22
GAP: Final = 18  # between partitions and nodes
SLICE_MIN: Final = 3  # of the narrowest box
TICK: Final = 70
PARTITION_LANES_MAX: Final = 4
NODE_LANES_MAX: Final = 5
NODES_MAX: Final = 12
SECONDS_FROM_MS: Final = 10_000  # between two marks: from there the axis counts in seconds


class _Lane(NamedTuple):
    """A row of boxes. y: of its lower edge."""

    y: float
    stays: Sequence[Stay]


class _Picture:
    """What is drawn so far, from back to front. y: where the next row begins."""

    def __init__(self, timeline: Timeline, width: int, left: float) -> None:
        self.timeline = timeline
        self.width = width
        self.left = left
        self.y: float = HEAD
        self.bands: list[str] = []
        self.arrows: list[str] = []
        self.boxes: list[str] = []
        batches = [batch for each in timeline.batches.values() for batch in each]
        self._size_max = max((grown.size for batch in batches for grown in batch.growth), default=1)
        self._lanes: list[_Lane] = []
        self._request_tops: dict[tuple[int, int, str], float] = {}

    def x(self, at_ms: int) -> float:
        """Where that moment is; outside the window, at its edge."""
        window = self.timeline
        at_ms = min(max(at_ms, window.from_ms), window.to_ms)
        room = self.width - MARGIN - self.left
        return round(self.left + (at_ms - window.from_ms) / (window.to_ms - window.from_ms) * room, 1)

    def extent(self, from_ms: int, to_ms: int | None) -> tuple[int, int]:
        """Of a box, in tenths of a pixel: whole numbers that neighbours share."""
        window = self.timeline
        start = self.x(from_ms)
        stop = max(self.x(window.to_ms if to_ms is None else to_ms), start + SLICE_MIN)
        return round(start * 10), round(stop * 10)

    def is_visible(self, from_ms: int, to_ms: int | None) -> bool:
        return from_ms <= self.timeline.to_ms and (to_ms is None or to_ms >= self.timeline.from_ms)

    def note(self, words: str) -> None:
        if words:
            self.boxes.append(text(self.left, self.y + 14, words, "dim"))
            self.y += 20

    def name(self, words: str, y: float) -> None:
        self.boxes.append(text(MARGIN, y, short(words, self.left - MARGIN - 6)))

    def partition(self, name: str, stays: Iterable[Stay], is_odd: bool) -> None:
        """A band with a row for each stay at the same time."""
        visible = [stay for stay in stays if self.is_visible(stay.from_ms, stay.to_ms)]
        rows, left_out = lanes(visible, lambda stay: self.extent(stay.from_ms, stay.to_ms), PARTITION_LANES_MAX)
        top = self.y
        self.name(name, top + PARTITION_LANE - 12)
        for row in rows or [[]]:
            self._lanes.append(_Lane(self.y + PARTITION_LANE - 4, row))
            self.boxes += (self._stay(stay, self.y + PARTITION_LANE - 4) for stay in row)
            self.y += PARTITION_LANE
        self.note(no_room(len(left_out), "batch"))
        if is_odd:
            self.bands.append(rect(0, top, self.width, self.y - top, "band"))

    def _stay(self, stay: Stay, y: float) -> str:
        start, stop = (tenths / 10 for tenths in self.extent(stay.from_ms, stay.to_ms))
        heights = self._heights(stay, start, stop)
        steps = "".join(f"H{number(x)}V{number(y - height)}" for x, height in heights.items())
        style = "open" if stay.attempt is None else stay.attempt.reason.name
        drawn = [path(f"M{number(start)} {number(y)}{steps}H{number(stop)}V{number(y)}Z", style)]
        top = y - max(heights.values())
        for hold in stay.batch.holds:
            if stay.from_ms <= hold.from_ms and (stay.to_ms is None or hold.from_ms < stay.to_ms):
                left = self.x(hold.from_ms)
                right = self.x(self.timeline.to_ms if hold.to_ms is None else hold.to_ms)
                drawn.append(rect(left, top, max(right - left, 1), y - top, "held"))
        ready = [self.x(each.at_ms) for each in stay.batch.readies if each.at_ms >= stay.from_ms][:1]
        drawn += (path(f"M{number(x)} {number(top - 4)}V{number(y)}", "ready") for x in ready if x < stop)
        if stay.attempt is None and stay.to_ms is not None and self.is_visible(stay.to_ms, stay.to_ms):
            drawn.append(cross(stop, y - 8))
        drawn += _label(stay, start, min([stop, *ready]), y, heights)
        return told([clean(stay.batch.name), *batch_facts(stay.batch)], drawn)

    def _heights(self, stay: Stay, start: float, stop: float) -> dict[float, float]:
        """A step up for each record that came, from where it is drawn: its share of the largest batch."""
        heights: dict[float, float] = {start: BOX_MIN}
        for grown in stay.batch.growth:
            x = min(max(start, self.x(grown.at_ms)), stop)
            heights[x] = max(BOX_MIN, BOX_MAX * grown.size / self._size_max)
        return heights

    def node(self, node_id: int, requests: Iterable[Request]) -> None:
        """A row for each request that is unanswered at the same time."""
        rows, left_out = lanes(requests, lambda sent: self.extent(sent.at_ms, sent.answered_ms), NODE_LANES_MAX)
        self.name(f"node {node_id}", self.y + 15)
        for row in rows:
            self.boxes += (self._request(request) for request in row)
            self.y += NODE_LANE
        self.note(no_room(len(left_out), "request"))

    def _request(self, request: Request) -> str:
        start, stop = (tenths / 10 for tenths in self.extent(request.at_ms, request.answered_ms))
        drawn = [rect(start, self.y, stop - start, REQUEST, "request")]
        names = [clean(batch.name) for batch, _ in request.batches]
        label = short(" ".join(names), stop - start - 8)
        if label:
            drawn.append(text(start + 5, self.y + 14, label))
        failed = any(sent.error is not None for _, sent in request.batches)
        if failed and request.answered_ms is not None and request.answered_ms <= self.timeline.to_ms:
            drawn.append(cross(stop, self.y + REQUEST / 2))
        for batch, _ in request.batches:
            self._request_tops[request.node_id, request.at_ms, batch.name] = self.y
        return told(request_facts(request), drawn)

    def join(self) -> None:
        """An arrow from each batch to the request that took it, where both are drawn."""
        for lane in self._lanes:
            for stay in lane.stays:
                if (sent := stay.attempt) is None:
                    continue
                top = self._request_tops.get((sent.node_id, sent.at_ms, stay.batch.name))
                if top is not None and self.is_visible(sent.at_ms, sent.at_ms):
                    x, name = self.x(sent.at_ms), sent.reason.name
                    self.arrows.append(path(f"M{number(x)} {number(lane.y)}V{number(top - 5)}", f"to-{name}"))
                    tip = f"M{number(x)} {number(top)}l-3.5 -7h7Z"
                    self.arrows.append(path(tip, f"tip-{name}"))

    def axis(self) -> Iterator[str]:
        window = self.timeline
        step = tick_ms(window.to_ms - window.from_ms, max(1, int((self.width - self.left) / TICK)))
        unit, unit_ms = ("s", 1000) if step >= SECONDS_FROM_MS else ("ms", 1)
        yield text(MARGIN, HEAD - 12, unit, "dim")
        for at_ms in range(-(-window.from_ms // step) * step, window.to_ms + 1, step):
            x = self.x(at_ms)
            yield path(f"M{number(x)} {HEAD - 6}V{number(self.y)}", "grid")
            yield text(x, HEAD - 12, str(at_ms // unit_ms), "dim", "middle")

    def legend(self) -> Iterator[str]:
        """A sample of each thing that is drawn, in as many rows as it takes."""
        x, y = float(MARGIN), self.y + 24
        for sample, words in self._samples():
            room = 32 + len(words) * CHARACTER
            if x + room > self.width - MARGIN:
                x, y = float(MARGIN), y + LEGEND_ROW
            yield f'<g transform="translate({number(x)} {number(y)})">{sample}{text(18, 0, words, "dim")}</g>'
            x += room
        self.y = y + MARGIN

    def _samples(self) -> Iterator[tuple[str, str]]:
        stays = [stay for lane in self._lanes for stay in lane.stays]
        used = {stay.attempt.reason for stay in stays if stay.attempt is not None}
        for reason in REASON_COLOURS:
            if reason in used:
                yield rect(0, -10, 12, 12, reason.name), reason.name
        if any(stay.attempt is None for stay in stays):
            yield rect(0, -10, 12, 12, "open"), "not sent"
        if any(stay.batch.holds for stay in stays):
            yield path("M6 -13V3", "ready"), "ready"
            yield rect(0, -10, 12, 12, "held"), "held"
        if self._request_tops:
            yield rect(0, -10, 12, 12, "request"), "request, until answered"
        yield path("M0 2V-4H6V-10H12V2Z", "open"), f"height: bytes, at most {size_text(self._size_max)}"


def _label(stay: Stay, start: float, stop: float, y: float, heights: Mapping[float, float]) -> Iterator[str]:
    """Number and reason as far as there is room: in the box if it is high enough there, else on it."""
    words = [f"#{stay.batch.number}"]
    if stay.attempt is not None:
        words.insert(0, f"{words[0]} {stay.attempt.reason.name}")
    for each in words:
        right = start + 6 + len(each) * CHARACTER
        if right <= stop:
            below = [height for x, height in heights.items() if x <= right]
            yield text(start + 4, y - 4 if min(below) >= LABEL else y - max(below) - 3, each)
            return


def timeline_svg(timeline: Timeline, width: int = 960) -> str:
    """The picture as an SVG document. width: pixels, 320 at least. Show a `Timeline.window` of what is long."""
    width = max(width, WIDTH_MIN)
    names = [clean(str(partition)) for partition in timeline.batches]
    longest = max(len(name) for name in [*names, *(f"node {node_id}" for node_id in timeline.requests), "ms"])
    picture = _Picture(timeline, width, min(MARGIN + longest * CHARACTER + 10, width / 4, GUTTER_MAX))
    for row, (name, batches) in enumerate(zip(names, timeline.batches.values(), strict=True)):
        picture.partition(name, (stay for batch in batches for stay in batch.stays), is_odd=row % 2 == 0)
    if timeline.partitions_left_out:
        picture.note(f"and {plural(timeline.partitions_left_out, 'more partition')}")
    picture.y += GAP
    for node_id, requests in list(timeline.requests.items())[:NODES_MAX]:
        picture.node(node_id, requests)
    if len(timeline.requests) > NODES_MAX:
        picture.note(f"and {plural(len(timeline.requests) - NODES_MAX, 'more node')}")
    picture.join()
    heading = title(timeline)
    axis = [*picture.axis(), text(MARGIN, 26, short(heading, width), "head")]
    legend = list(picture.legend())
    return document(width, picture.y, heading, [*picture.bands, *axis, *picture.arrows, *picture.boxes, *legend])
