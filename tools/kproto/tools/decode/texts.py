"""Sizes, durations and times as people say them.

Layer: tools.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from rich.text import Text

__all__ = ["clock_text", "counted", "date_text", "ms_text", "printable", "size_text"]

SIZES: Final = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"))
SECOND_NS: Final = 1_000_000_000
YEAR_MAX_S: Final = 253_402_300_799  # the end of 9999


def size_text(size: float) -> str:
    """Bytes, by powers of 1000: `12.1 kB`."""
    for unit, name in SIZES:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size:.0f} B"


def ms_text(us: float) -> str:
    """Microseconds as milliseconds, in three digits or so: `0.12`, `3.4`, `12,345`."""
    ms = us / 1000
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.1f}" if ms >= 1 else f"{ms:.2f}"


def counted(number: int, noun: str) -> str:
    """As in `1 batch`, `2 batches`, `1,000 frames`."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("ch"):
        return f"{number:,} {noun}es"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("ry") else f"{number:,} {noun}s"


def clock_text(time_ns: int) -> str:
    """The time of day in UTC, to the microsecond; what is beyond the calendar as seconds since the epoch."""
    return f"{_moment(time_ns):%H:%M:%S}.{time_ns % SECOND_NS // 1000:06}" if _is_date(time_ns) else _seconds(time_ns)


def date_text(time_ns: int) -> str:
    """Date and time in UTC, to the second; what is beyond the calendar as seconds since the epoch."""
    return f"{_moment(time_ns):%Y-%m-%d %H:%M:%S} UTC" if _is_date(time_ns) else _seconds(time_ns)


def _is_date(time_ns: int) -> bool:
    return 0 <= time_ns // SECOND_NS <= YEAR_MAX_S


def _moment(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC)


def _seconds(time_ns: int) -> str:
    return f"{time_ns / SECOND_NS:.6f} s"


def printable(words: str) -> Text:
    """Words that came over the wire: what could move a terminal's cursor, or change its colour, is spelt out."""
    return Text("".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in words))
