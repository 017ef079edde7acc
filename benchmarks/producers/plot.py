"""A run as one picture: for each group, a bar for each contender, with the range of its rounds. SVG, light and dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.producers.figures import GroupResult, Spread
from benchmarks.producers.report import number
from kproto.tools.svg import document, path, rect, short, text, told
from kproto.tools.svg import number as pixels

__all__ = ["draw"]

WIDTH: Final = 900
LEFT: Final = 330  # where bars begin
RIGHT: Final = 130  # behind them, for the figures
LINE: Final = 20
HEAD: Final = 34  # of a group
BAR: Final = 12
TOP: Final = 40
OURS, THEIRS = "FULL", "request"  # of the style sheet


def draw(results: Sequence[GroupResult]) -> str:
    """Contenders that did not tell the figure of their group are left out."""
    y = TOP
    drawn = [text(16, 26, "Producers beside each other: medians, and the range of the rounds", "head")]
    for result in results:
        drawn += _group(result, y)
        y += HEAD + LINE * len(_bars(result)) + 10
    return document(WIDTH, y + 6, "Producers beside each other", drawn)


def _bars(result: GroupResult) -> list[tuple[str, bool, Spread]]:
    """Name, whether it is kproto, and its figure."""
    figure = result.group.figure
    found = [(one.name, one.ours, result.spread(one.name, figure)) for one in result.group.contenders]
    return [(name, ours, spread) for name, ours, spread in found if spread is not None]


def _group(result: GroupResult, top: float) -> Iterator[str]:
    group, bars = result.group, _bars(result)
    most = max((spread.high for _, _, spread in bars), default=1)
    scale = (WIDTH - LEFT - RIGHT) / most
    better = "more is better" if group.figure.more_is_better else "less is better"
    yield text(16, top + 18, short(f"{group.figure.unit}, {better}: {group.about}", WIDTH - 32), "dim")
    y = top + HEAD - 6
    for name, ours, spread in bars:
        middle = y + LINE / 2
        yield text(LEFT - 8, middle + 4, short(name, LEFT - 20), anchor="end")
        low, high = LEFT + spread.low * scale, LEFT + spread.high * scale
        whisker = f"M{pixels(low)} {pixels(middle)}H{pixels(high)}"
        whisker += "".join(f"M{pixels(x)} {pixels(middle - 4)}v8" for x in (low, high))
        facts = [name, f"{number(spread.median)} {group.figure.unit}", f"{number(spread.low)} to {number(spread.high)}"]
        bar = rect(LEFT, middle - BAR / 2, max(1, spread.median * scale), BAR, OURS if ours else THEIRS)
        yield told(facts, [bar, path(whisker, "ready")])
        yield text(high + 8, middle + 4, number(spread.median))
        y += LINE
