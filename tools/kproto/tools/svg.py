"""The elements that a timeline's SVG is made of, and its style sheet, light and dark.

Layer: tools. Pixels are SVG's user units; all text is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from xml.sax.saxutils import escape

from kproto.producer.events import SendReason

__all__ = [
    "CHARACTER",
    "REASON_COLOURS",
    "cross",
    "document",
    "number",
    "path",
    "rect",
    "short",
    "style",
    "text",
    "told",
]

REASON_COLOURS: Final = {
    SendReason.FULL: "2f7fc1",
    SendReason.LINGER: "d97f1e",
    SendReason.PIGGYBACK: "2a9a63",
    SendReason.FLUSH: "9a5ac0",
    SendReason.CLOSE: "78848c",
    SendReason.MEMORY: "d0453f",
    SendReason.RETRY: "12999b",
}
CHARACTER: Final = 7.4  # the width that a letter of any sans-serif at 12 px takes at most, on average
LETTERS_MIN: Final = 4  # what is cut shorter says nothing


def _mixed(colour: str, other: int, share: float) -> str:
    """The colour with a share of a grey, 0 to 255, in it."""
    parts = (int(colour[at : at + 2], 16) for at in (0, 2, 4))
    return "#" + "".join(f"{round(part * (1 - share) + other * share):02x}" for part in parts)


def style() -> str:
    """The rules; all are for what is inside a `.kproto`, so that a page may hold many pictures."""
    fonts = "font:12px system-ui,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
    rules = [
        f".kproto text{{fill:#1c2733;{fonts}}}.kproto .dim{{fill:#5d6b78}}",
        ".kproto .head{font-weight:600;font-size:14px}",
        ".kproto .back{fill:#ffffff}.kproto .grid{stroke:#e3e8ed}.kproto .band{fill:#f5f7f9}",
        ".kproto .open{fill:#eef1f4;stroke:#8894a0;stroke-dasharray:3 2}.kproto .request{fill:#e8edf2;stroke:#7d8b98}",
        ".kproto .bad{stroke:#d0453f;stroke-width:2;fill:none}.kproto .ready{stroke:#1c2733;stroke-width:1.5}",
        ".kproto .held{fill:url(#kproto-held);stroke:#1c2733;stroke-dasharray:2 2}.kproto .hatch{stroke:#1c2733}",
    ]
    dark = [
        ".kproto text{fill:#dde4ea}.kproto .dim{fill:#93a1ae}.kproto .back{fill:#12181e}.kproto .grid{stroke:#26303a}",
        ".kproto .band{fill:#182028}.kproto .open{fill:#1f2831;stroke:#76838f}",
        ".kproto .request{fill:#232e38;stroke:#76838f}",
        ".kproto .ready,.kproto .held,.kproto .hatch{stroke:#dde4ea}",
    ]
    for reason, colour in REASON_COLOURS.items():
        name = reason.name
        rules.append(f".kproto .{name}{{fill:{_mixed(colour, 255, 0.62)};stroke:#{colour}}}.kproto .to-{name}")
        rules[-1] += f"{{stroke:#{colour};stroke-opacity:.6;fill:none}}.kproto .tip-{name}{{fill:#{colour}}}"
        dark.append(f".kproto .{name}{{fill:{_mixed(colour, 0, 0.52)}}}")
    return "\n".join([*rules, "@media (prefers-color-scheme:dark){", *dark, "}"])


def number(pixels: float) -> str:
    """In tenths, as short as it goes."""
    return f"{pixels:.1f}".removesuffix(".0")


def text(x: float, y: float, words: str, style: str = "", anchor: str = "") -> str:
    """A line of words. y: of its foot; anchor: start, middle or end."""
    style = f' class="{style}"' if style else ""
    anchor = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{number(x)}" y="{number(y)}"{style}{anchor}>{escape(words)}</text>'


def rect(x: float, y: float, width: float, height: float, style: str) -> str:
    """A box. y: of its upper edge."""
    place = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
    return f'<rect {place} class="{style}"/>'


def path(points: str, style: str) -> str:
    """A line or an area, in SVG's path commands."""
    return f'<path d="{points}" class="{style}"/>'


def told(facts: Sequence[str], drawn: Iterable[str]) -> str:
    """What is drawn, with the facts as its tooltip."""
    return f"<g><title>{escape(chr(10).join(facts))}</title>{''.join(drawn)}</g>"


def short(words: str, room: float) -> str:
    """As much of it as so many pixels have room for."""
    letters = int(room / CHARACTER)
    if len(words) <= letters:
        return words
    return words[: letters - 1] + "…" if letters >= LETTERS_MIN else ""


def cross(x: float, y: float) -> str:
    """The mark of a failure."""
    return path(f"M{number(x - 4)} {number(y - 4)}l8 8m0 -8l-8 8", "bad")


def document(width: int, height: float, heading: str, drawn: Iterable[str]) -> str:
    """A whole picture, from back to front."""
    size = f'viewBox="0 0 {width} {number(height)}" width="{width}" height="{number(height)}"'
    hatch = (
        '<defs><pattern id="kproto-held" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><path d="M0 0V6" class="hatch"/></pattern></defs>'
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="kproto" role="img" {size}>'
    lines = [head, f"<title>{escape(heading)}</title>", f"<style>\n{style()}\n</style>", hatch]
    return "\n".join([*lines, rect(0, 0, width, height, "back"), *drawn, "</svg>"]) + "\n"
