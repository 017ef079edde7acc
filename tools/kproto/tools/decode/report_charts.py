"""The charts of a report that need no script: latency along the time, and how often each latency came.

Layer: tools. SVG that scales with the page; colours are the page's. All text is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from math import log10
from typing import Final

from kproto.tools.decode.histogram import Histogram
from kproto.tools.decode.report_trend import Trend
from kproto.tools.decode.texts import clock_text, ms_text

__all__ = ["histogram_chart", "trend_chart"]

WIDTH: Final = 720
HEIGHT: Final = 190
LEFT: Final = 52  # for the scale
FOOT: Final = 24
TOP: Final = 12
STEPS_MIN: Final = 12
ANSWERS_A_STEP: Final = 4  # on average, or the lines have more holes than points
LINES: Final = (("max", 100), ("p99", 99), ("p50", 50))


def trend_chart(name: str, trend: Trend) -> str:
    """Median, 99th percentile and maximum of each step, on a logarithmic scale; steps with failures are marked."""
    trend = trend.coarse(max(STEPS_MIN, trend.count // ANSWERS_A_STEP))
    counts = [step for step in trend.steps if step.count]
    if not counts or trend.origin_ns is None:
        return ""
    low = max(1, min(step.percentile(50) for step in counts))
    high = max(low + 1, max(step.most for step in counts))
    scale = _Scale(low, high)
    width = (WIDTH - LEFT) / len(trend.steps)
    drawn = list(_grid(scale))
    for label, percent in LINES:
        points: list[str] = []
        before = False
        for index, step in enumerate(trend.steps):
            if step.count:
                x, y = LEFT + (index + 0.5) * width, scale.y(step.percentile(percent))
                points.append(f"{'L' if before else 'M'}{x:.1f} {y:.1f}" + ("" if before else "h.1"))
            before = bool(step.count)
        drawn.append(f'<path class="{label}" d="{"".join(points)}"/>')
    drawn += _steps(trend, width)
    ends = (trend.origin_ns, trend.origin_ns + trend.step_ns * len(trend.steps))
    for x, anchor, time_ns in ((LEFT, "start", ends[0]), (WIDTH, "end", ends[1])):
        drawn.append(f'<text x="{x}" y="{HEIGHT - 6}" text-anchor="{anchor}">{clock_text(time_ns)}</text>')
    return _svg(f"{name}: milliseconds to the answer, along the time", drawn)


def _steps(trend: Trend, width: float) -> Iterator[str]:
    """What a pointer finds: the numbers of each step."""
    assert trend.origin_ns is not None
    for index, (step, failed) in enumerate(zip(trend.steps, trend.failed, strict=True)):
        if not step.count:
            continue
        x = LEFT + index * width
        words = [clock_text(trend.origin_ns + index * trend.step_ns), f"{step.count:,} answers, {failed:,} with errors"]
        words += [f"{label} {ms_text(step.percentile(percent))} ms" for label, percent in reversed(LINES)]
        yield f'<g class="step"><title>{escape(chr(10).join(words))}</title>'
        yield f'<rect x="{x:.1f}" y="{TOP}" width="{width:.2f}" height="{HEIGHT - FOOT - TOP}"/>'
        if failed:
            yield f'<rect class="failed" x="{x:.1f}" y="{HEIGHT - FOOT}" width="{max(width, 2):.2f}" height="4"/>'
        yield "</g>"


def histogram_chart(name: str, latency: Histogram) -> str:
    """A column for each power of two of microseconds."""
    bars = latency.bars()
    if not bars:
        return ""
    most = max(bar.many for bar in bars)
    width = (WIDTH - LEFT) / max(len(bars), 6)
    room = HEIGHT - FOOT - TOP
    drawn = [f'<text x="{LEFT - 6}" y="{TOP + 10}" text-anchor="end">{most:,}</text>']
    drawn.append(f'<path class="grid" d="M{LEFT} {TOP}H{WIDTH}M{LEFT} {HEIGHT - FOOT}H{WIDTH}"/>')
    every = -(-len(bars) // 9)
    for index, bar in enumerate(bars):
        x = LEFT + index * width
        height = max(1.0, bar.many * room / most) if bar.many else 0
        words = f"{ms_text(bar.low)} to {ms_text(bar.high)} ms: {bar.many:,}"
        place = f'x="{x + 1:.1f}" y="{HEIGHT - FOOT - height:.1f}" width="{width - 2:.1f}" height="{height:.1f}"'
        drawn.append(f'<g><title>{words}</title><rect class="column" {place}/></g>')
        if index % every == 0:
            drawn.append(f'<text x="{x:.1f}" y="{HEIGHT - 6}">{ms_text(bar.low)}</text>')
    return _svg(f"{name}: answers by milliseconds", drawn)


class _Scale:
    """Microseconds to pixels, by their logarithm."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = log10(low) - 0.05, log10(high) + 0.05

    def y(self, us: int) -> float:
        share = (log10(max(us, 1)) - self.low) / (self.high - self.low)
        return HEIGHT - FOOT - max(0.0, min(1.0, share)) * (HEIGHT - FOOT - TOP)


def _grid(scale: _Scale) -> Iterator[str]:
    """A line for each power of ten, or, where there are fewer than two of them, for 1, 2 and 5 times each."""
    tens = range(20)
    marks = [10**ten for ten in tens if scale.low <= ten <= scale.high]
    if len(marks) < 2:
        marks = [step * 10**ten for ten in tens for step in (1, 2, 5) if scale.low <= log10(step) + ten <= scale.high]
    for mark in marks:
        y = scale.y(mark)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{mark / 1000:g}</text>'


def _svg(title: str, drawn: list[str]) -> str:
    words = escape(title)
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{words}">'
    return f"<figure><figcaption>{words}</figcaption>{head}{''.join(drawn)}</svg></figure>"
