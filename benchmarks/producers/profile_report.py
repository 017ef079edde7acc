"""What the profile says: tables for the terminal and for the page, and a dict for JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import fill
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Column, Table

from benchmarks.producers.profile_batch import BatchCosts
from benchmarks.producers.profile_record import KEYS, PARTITIONS, RECORDS, VALUE_SIZE, Middle, RecordCosts
from benchmarks.producers.profile_turn import EACH_RECORD
from benchmarks.producers.report import environment, number

__all__ = ["around", "page", "show", "to_dict"]

CPU_INFO: Final = Path("/proc/cpuinfo")
BUSY: Final = 0.5  # processes a CPU that want it: from there on the profile is disturbed
WIDTH: Final = 118  # characters of a line of the page
LARGEST: Final = 4  # parts that the page names
TOTAL: Final = "**"  # around the cells of a row that sums up

PAGE: Final = """\
# Profile

Where the time of a record goes, found by experiment. `make profile` measures again and writes this page anew;
`python -m benchmarks.producers.profile --help` names the options. It needs Java and Maven for a Kafka of its own, or
`--bootstrap` and one that runs. Compare figures of one run only.

{machine}

## Accepting a record

`send` of {value_size} B with one of {keys:,} keys, into a batch that is open: no broker, no lock, no other thread. Each
part is left out of the text of the real function, and what remains is timed right beside the whole, {records:,} records
at a time, {rounds} rounds, in reverse every other one. A figure is the median of what was saved, in ns of the thread a
record; beside it stands the middle half of the rounds. Where a text that is to be cut is not there any more the run
fails, so the table cannot describe a function that is gone.

{record}

{record_words}

## What comes once a batch

{turns} turns of {batch_records:,} records on a real Apache Kafka: twelve partitions, 100 B, no compression, a callback
for each record; batches of 16 KiB (growth 0), and such as grow to 256 KiB while they wait. Methods are wrapped from
outside and timed with the clock of their thread. A wrapped method that another one calls counts for itself alone; what
the wrapping takes was measured before, and is left out. All are medians of the turns; own is how much of it the
producer's own thread has done, and the rest is the sender's.

{batch}

{batch_words}
"""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: the first column is text, the others are figures. A row that sums up begins with TOTAL."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def around() -> dict[str, Any]:
    """What the figures depend on. load: processes that wanted a CPU, over the last minute, before the run."""
    return {**environment(), "processor": _processor(), "load": round(os.getloadavg()[0], 1)}


def _processor() -> str:
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def _machine(told: dict[str, Any]) -> str:
    head = f"{told['python']}, {told['cpus']} CPUs ({told['processor']}), {told['machine']}"
    return f"{head}; when the run began, {told['load']} processes wanted a CPU.{_warning(told)}"


def _warning(told: dict[str, Any]) -> str:
    if told["load"] <= told["cpus"] * BUSY:
        return ""
    return (
        " That is a busy machine: its caches and CPUs were shared, so all figures are larger than they need be, and "
        "only their proportions say anything. Run it again on a quiet one."
    )


def _ns(value: float) -> str:
    return f"{round(value):,}"  # an int: there is no -0


def _half(found: Middle) -> str:
    return f"{_ns(found.first_quarter)} to {_ns(found.last_quarter)}"


def _record_sheet(costs: RecordCosts) -> Sheet:
    def row(name: str, found: Middle) -> tuple[str, str, str]:
        return name, _ns(found.median), _half(found)

    return Sheet(
        ("part", "ns a record", "middle half"),
        (
            (f"{TOTAL}the whole", _ns(costs.whole.median), _half(costs.whole)),
            row("the caller's loop", costs.loop),
            row("the call: a function with these arguments that does nothing", costs.call),
            *(row(f"without {name}", found) for name, found in costs.parts.items()),
            ("what no part accounts for", _ns(costs.rest), ""),
            row("more with on_delivery", costs.on_delivery),
            row(f"more with {PARTITIONS} partitions: as many batches in turn", costs.partitions),
        ),
    )


def _batch_sheet(found: Sequence[BatchCosts]) -> Sheet:
    columns = [f"growth {_size(one.growth)}: {name}" for one in found for name in ("us a batch", "ns a record", "own")]

    def total(name: str, field: str) -> tuple[str, ...]:
        cells = []
        for one in found:
            ns = getattr(one, field).median
            cells += [number(ns * one.records / 1e3), _ns(ns), ""]
        return f"{TOTAL}{name}", *cells

    parts = []
    for name in found[0].parts:
        cells = []
        for one in found:
            part = one.parts[name]
            cells += [number(part.batch_us.median), _ns(part.record_ns.median), f"{part.own:.0%}"]
        parts.append((name, *cells))
    rows = (
        *parts,
        total("all parts", "known"),
        total("measuring them", "measuring"),
        total("the process, as the system counts it", "process"),
        total("of that not accounted for", "unknown"),
        total("the process when nothing is measured", "plain"),
    )
    return Sheet(("part", *columns), rows)


def _size(growth: int) -> str:
    return f"{growth // 1024}K" if growth else "0"


def _record_words(costs: RecordCosts) -> str:
    largest = sorted(costs.parts.items(), key=lambda item: -item[1].median)[:LARGEST]
    share = sum(found.median for _, found in largest) / costs.whole.median
    names = "; ".join(f"{name.partition(':')[0]} ({_ns(found.median)})" for name, found in largest)
    return (
        f"The largest parts are: {names}. Together they take {share:.0%} of the whole. Parts do not add up exactly: "
        "the processor works on several at a time, so that what is left out may have cost nothing, or may have hidden "
        "what comes behind it. A figure whose middle half reaches below 0 cannot be told from 0."
    )


def _batch_words(costs: RecordCosts, found: Sequence[BatchCosts]) -> Iterator[str]:
    for one in found:
        each = one.parts[EACH_RECORD].record_ns.median
        others = sorted(
            (item for item in one.parts.items() if item[0] != EACH_RECORD), key=lambda i: -i[1].record_ns.median
        )
        names = "; ".join(f"{name} ({_ns(part.record_ns.median)})" for name, part in others[:LARGEST])
        known = one.known.median
        yield (
            f"Growth {_size(one.growth)}: a batch holds {one.records:,.0f} records. Of {_ns(known)} ns a record, "
            f"{_ns(each)} are {EACH_RECORD}. The largest of the rest: {names}. The parts come to "
            f"{known / one.plain.median:.0%} of what the process takes when nothing is measured: the further from "
            "100 %, the less can be said."
        )
    above = costs.whole.median + costs.on_delivery.median + costs.partitions.median
    yield (
        f"In the first table `send` with a callback and {PARTITIONS} partitions comes to {_ns(above)} ns. "
        "Here each value is touched for the first time, batches come and go, and another thread comes in between."
    )
    yield (
        "Every record pays for `send` and its callback, and every byte for being joined and for the CRC-32C. A batch "
        "that grows finds no room once for each step of 16 KiB all the same, and the event loop goes by time. Only the "
        "rest is shared by the records of a batch, or of a request."
    )


def _wrapped(text: str) -> str:
    return fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def page(costs: RecordCosts, found: Sequence[BatchCosts], told: dict[str, Any], records: int) -> str:
    """In markdown. records: of a turn."""
    return PAGE.format(
        machine=_wrapped(_machine(told)),
        value_size=VALUE_SIZE,
        keys=KEYS,
        records=RECORDS,
        rounds=costs.rounds,
        record=_markdown(_record_sheet(costs)),
        record_words=_wrapped(_record_words(costs)),
        turns=found[0].rounds,
        batch_records=records,
        batch=_markdown(_batch_sheet(found)),
        batch_words="\n\n".join(map(_wrapped, _batch_words(costs, found))),
    )


def _markdown(sheet: Sheet) -> str:
    rules = ("---", *("---:" for _ in sheet.columns[1:]))
    lines = [sheet.columns, rules, *(_bold(row) for row in sheet.rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _bold(row: tuple[str, ...]) -> tuple[str, ...]:
    if not row[0].startswith(TOTAL):
        return row
    return tuple(f"**{cell.removeprefix(TOTAL)}**" if cell else "" for cell in row)


def show(costs: RecordCosts, found: Sequence[BatchCosts], told: dict[str, Any], console: Console) -> None:
    """A table for records, and one for batches."""
    console.print(_machine(told), markup=False, highlight=False, soft_wrap=True)
    for sheet in (_record_sheet(costs), _batch_sheet(found)):
        figures = (Column(name.replace(": ", "\n"), justify="right", no_wrap=True) for name in sheet.columns[1:])
        table = Table(Column(sheet.columns[0], min_width=40), *figures, box=box.SIMPLE, pad_edge=False)
        for row in sheet.rows:
            total = row[0].startswith(TOTAL)
            table.add_row(row[0].removeprefix(TOTAL), *row[1:], style="bold" if total else "")
        console.print(table)


def to_dict(costs: RecordCosts, found: Sequence[BatchCosts], told: dict[str, Any], records: int) -> dict[str, Any]:
    """For JSON: all of it. records: of a turn."""
    return {
        "environment": told,
        "record": {**asdict(costs), "rest": costs.rest},
        "records_a_turn": records,
        "batches": [asdict(one) for one in found],
    }
