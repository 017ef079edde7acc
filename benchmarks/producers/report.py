"""What a run says: the table for people, and a dict for JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from benchmarks.producers.figures import Comparison, GroupResult, Spread
from benchmarks.producers.rows import CPU, P50, P99, RATE, Contender

__all__ = ["environment", "number", "show", "to_dict"]

PACKAGES: Final = ("kproto", "confluent-kafka", "aiokafka", "kafka-python", "crc32c", "lz4", "zstandard", "cramjam")
LEGEND: Final = """\
Medians and [ranges] of {rounds} rounds; every future or callback was counted, and every record found in the log.
ratio: by the figure of the contender behind the stroke, in the same round; of p50 and CPU, less is better."""
FIGURES: Final = (RATE, CPU, P50, P99)


def environment() -> dict[str, Any]:
    """What the figures depend on. librdkafka: confluent-kafka's C library."""
    import confluent_kafka

    packages = {name: version(name) for name in PACKAGES}
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count() or 1,
        "packages": {**packages, "librdkafka": confluent_kafka.libversion()[0]},
    }


def number(value: float) -> str:
    """Three digits, and all that stand before the point."""
    digits = next((digits for digits, bound in enumerate((100, 10)) if value >= bound), 2)
    return f"{value:,.{digits}f}"


def _spread(spread: Spread | None) -> str:
    return "" if spread is None else f"{number(spread.median)} [{number(spread.low)}-{number(spread.high)}]"


def show(results: Sequence[GroupResult], around: dict[str, Any], rounds: int, console: Console) -> None:
    """One table, and the settings behind it."""
    right: dict[str, Any] = {"justify": "right", "no_wrap": True}
    table = Table(
        Column("row", no_wrap=True),
        Column("contender", min_width=20, overflow="fold"),
        *(Column(name, **right) for name in ("k records/s", "CPU us", "p50 ms", "p99 ms", "ratio")),
        Column("by", min_width=18, overflow="fold"),
        *(Column(name, **right) for name in ("floor", "aim")),
        box=box.SIMPLE,
        collapse_padding=True,
        pad_edge=False,
    )
    for result in results:
        group = result.group
        for contender in group.contenders:
            last = contender is group.contenders[-1]
            label = group.name if contender is group.contenders[0] else ""
            _add(table, result, contender, label, last=last)
    packages = ", ".join(f"{name} {number}" for name, number in around["packages"].items())
    head = f"{around['python']}; {around['cpus']} CPUs, {around['machine']}\n{packages}"
    console.print(head, markup=False, highlight=False)
    console.print(table)
    for line in (LEGEND.format(rounds=rounds), *_about(results)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _add(table: Table, result: GroupResult, contender: Contender, label: str, *, last: bool) -> None:
    """The row of a contender, and one more for each further comparison."""
    figures = [_spread(result.spread(contender.name, figure)) for figure in FIGURES]
    cells: list[Any] = [label, Text(contender.name, "bold" if contender.ours else ""), *figures]
    comparisons = [_comparison_cells(one) for one in result.comparisons(contender)] or [[""] * 4]
    for place, compared in enumerate(comparisons):
        table.add_row(
            *(cells if not place else [""] * len(cells)), *compared, end_section=last and place == len(comparisons) - 1
        )


def _comparison_cells(one: Comparison) -> list[Any]:
    target, verdict = one.target, one.verdict
    by = f"/ {target.peer}" if target.peer is not None else target.figure.unit
    if target.peer is not None and target.figure is not RATE:
        by += f" ({target.figure.unit.split()[-1] if target.figure is not CPU else 'CPU'})"
    return [_spread(one.spread), by, _bound(target.floor, verdict.floor), _bound(target.aim, verdict.aim)]


def _bound(bound: float | None, met: bool | None) -> Text:
    if bound is None:
        return Text("")
    return Text(f"{bound:g} {'✓' if met else '✗'}", "green" if met else "red")


def _about(results: Sequence[GroupResult]) -> Iterator[str]:
    """What each group sends, and what each client was told: all values of a setting, where rows differ in it."""
    settings: dict[str, dict[str, dict[str, None]]] = {}
    for result in results:
        group = result.group
        yield f"{group.name}: {group.about}"
        if group.figure is CPU:
            sizes = [(one.name, result.turns[one.name][0].details.get("batch_bytes")) for one in group.contenders]
            yield f"{group.name}: bytes of a batch: " + ", ".join(f"{name} {size:,}" for name, size in sizes if size)
        for contender in group.contenders:
            told = settings.setdefault(contender.client if contender.command is None else contender.name, {})
            for name, value in result.turns[contender.name][0].settings.items():
                told.setdefault(name, {})[str(value)] = None
    for client, told in settings.items():
        if told:
            yield f"{client}: " + ", ".join(f"{name}={'|'.join(values)}" for name, values in told.items())


def to_dict(results: Sequence[GroupResult], around: dict[str, Any], rounds: int) -> dict[str, Any]:
    """For JSON: all of it. turns: in the order of the rounds."""
    return {"environment": around, "rounds": rounds, "groups": [_group_dict(result) for result in results]}


def _group_dict(result: GroupResult) -> dict[str, Any]:
    group = result.group
    return {
        "group": group.name,
        "about": group.about,
        "value_bytes": group.size,
        "partitions": group.partitions,
        "compression": group.compression,
        "keys": group.cardinality,
        "linger_ms": group.linger_ms,
        "figure": group.figure.name,
        "contenders": [_contender_dict(result, contender) for contender in group.contenders],
    }


def _contender_dict(result: GroupResult, contender: Contender) -> dict[str, Any]:
    turns = result.turns[contender.name]
    spreads = {figure.name: result.spread(contender.name, figure) for figure in FIGURES}
    return {
        "contender": contender.name,
        "client": contender.client,
        "way": contender.way,
        "command": contender.command,
        "partitions": contender.partitions or result.group.partitions,
        "threads": contender.threads,
        "records": contender.records,
        "settings": dict(turns[0].settings),
        "figures": {name: spread._asdict() for name, spread in spreads.items() if spread is not None},
        "comparisons": [_comparison_dict(one) for one in result.comparisons(contender)],
        "turns": [
            {
                "seconds": turn.seconds,
                "cpu_seconds": turn.cpu_seconds,
                "p50_ms": turn.p50_ms,
                "p99_ms": turn.p99_ms,
                "details": dict(turn.details),
            }
            for turn in turns
        ],
    }


def _comparison_dict(one: Comparison) -> dict[str, Any]:
    target = one.target
    return {
        "figure": target.figure.name,
        "peer": target.peer,
        **one.spread._asdict(),
        "floor": target.floor,
        "floor_met": one.verdict.floor,
        "aim": target.aim,
        "aim_met": one.verdict.aim,
    }
