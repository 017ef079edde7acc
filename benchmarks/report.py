"""What a run says: the table for people, and a dict for JSON."""

from __future__ import annotations

import os
import platform
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from benchmarks.harness import Measured, RowResult

__all__ = ["Environment", "environment", "show", "to_dict"]

PACKAGES: Final = ("kproto", "construct", "kafka-python", "aiokafka", "kio", "crc32c", "lz4", "zstandard", "cramjam")
WIDE: Final = 1.25  # the slowest round by the fastest: above, something else was running
LEGEND: Final = """\
Microseconds: medians and ranges of {rounds} rounds or more, of the least time in each.
ratio: kproto's time by the contender's in the same round, below 1 kproto is faster.
*: the rounds differ by more than a quarter, measure the row again."""
MICRO: Final = 1e6


@dataclass(frozen=True)
class Environment:
    """What the times depend on. compiler: and, where the interpreter says so, that it is optimized by profile."""

    python: str
    compiler: str
    machine: str
    cpus: int
    packages: dict[str, str]

    def lines(self) -> list[str]:
        """For the head of the table."""
        packages = ", ".join(f"{name} {number}" for name, number in self.packages.items())
        return [f"{self.python}, {self.compiler}; {self.cpus} CPUs, {self.machine}", packages]


def environment() -> Environment:
    """Of this process."""
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return Environment(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        compiler=platform.python_compiler() + " PGO" * ("--enable-optimizations" in arguments),
        machine=f"{platform.system()} {platform.machine()}",
        cpus=os.cpu_count() or 1,
        packages={name: version(name) for name in PACKAGES},
    )


def show(results: Sequence[RowResult], around: Environment, rounds: int, console: Console) -> None:
    """One table, and what there is to say about its rows."""
    right: dict[str, Any] = {"justify": "right", "no_wrap": True}
    table = Table(
        Column("row", no_wrap=True),
        Column("contender", min_width=13),
        *(Column(name, **right) for name in ("median", "range", "ratio", "its range")),
        box=box.SIMPLE,
        collapse_padding=True,
        pad_edge=False,
    )
    for result in results:
        labels = [result.row.name, f"us per {result.row.unit}"]
        if len(result.measured) == 1:
            labels = ["\n".join(labels)]
        labels += [""] * (len(result.measured) - len(labels))
        for label, contender in zip(labels, result.measured, strict=True):
            table.add_row(label, *_cells(result, contender), end_section=contender is result.measured[-1])
    console.print("\n".join(around.lines()), markup=False, highlight=False)
    console.print(table)
    for result in results:
        if result.note:
            console.print(f"{result.row.name}: {result.note}", markup=False, highlight=False)
    console.print(LEGEND.format(rounds=rounds), markup=False, highlight=False)


def _cells(result: RowResult, contender: Measured) -> list[Text]:
    low, high = contender.range
    wide = high > WIDE * low
    ours = contender is result.measured[0]
    ratios = result.ratios(contender)
    return [
        Text(contender.name, "bold" if ours else ""),
        Text(_microseconds(contender.median)),
        Text(f"{'*' * wide}{_microseconds(low)}-{_microseconds(high)}", "yellow" if wide else ""),
        Text("" if ours else f"{median(ratios):.2f}", "bold"),
        Text("" if ours else f"{min(ratios):.2f}-{max(ratios):.2f}"),
    ]


def _microseconds(seconds: float) -> str:
    """Three digits, and all that stand before the point."""
    value = seconds * MICRO
    digits = next((digits for digits, bound in enumerate((100, 10, 1)) if value >= bound), 3)
    return f"{value:,.{digits}f}"


def to_dict(results: Sequence[RowResult], around: Environment, rounds: int) -> dict[str, Any]:
    """For JSON; all times in microseconds for one unit of the row, `rounds_us` in the order of the rounds."""
    return {
        "environment": {
            "python": around.python,
            "compiler": around.compiler,
            "machine": around.machine,
            "cpus": around.cpus,
            "packages": around.packages,
        },
        "rounds": rounds,
        "rows": [
            {
                "row": result.row.name,
                "about": result.row.about,
                "unit": result.row.unit,
                "units": result.row.units,
                "note": result.note,
                "contenders": [_contender_dict(result, contender) for contender in result.measured],
            }
            for result in results
        ],
    }


def _contender_dict(result: RowResult, contender: Measured) -> dict[str, Any]:
    low, high = contender.range
    return {
        "contender": contender.name,
        "median_us": contender.median * MICRO,
        "min_us": low * MICRO,
        "max_us": high * MICRO,
        "kproto_by_peer": median(result.ratios(contender)),
        "rounds_us": [seconds * MICRO for seconds in contender.times],
    }
