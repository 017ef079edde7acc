"""What `tests/properties.py` shows and writes: a table of properties, and below it what does not hold."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from properties_case import Case
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

TESTS: Final = Path(__file__).resolve().parent
PROGRAM: Final = TESTS / "properties.py"
CELL_LINES: Final = 4  # of a counterexample in the table
SHOWN_FAILURES: Final = 3  # of the cases of one property


@dataclass(frozen=True)
class Options:
    """What the command line says. `examples` is for each property, `tests` is absolute."""

    examples: int
    seed: int
    jobs: int
    expression: str
    with_java: bool
    tests: Path

    def reproduce(self, row: Row) -> str:
        """The command that runs one property as this run did."""
        here, name = Path.cwd(), " and ".join(row.function.split("::")[1:])
        program = [Path(sys.executable), PROGRAM]
        words = [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in program]
        words += ["-k", f"({self.expression}) and {name}" if self.expression else name]
        words += ["--seed", str(self.seed), "--examples", str(self.examples)]
        words += ["--with-java"] * self.with_java
        words += ["--tests", str(self.tests)] * (self.tests != TESTS)
        return shlex.join(words)


@dataclass
class Row:
    """A property, and what is known of its cases so far."""

    name: str
    planned: int = 0  # cases
    cases: list[Case] = field(default_factory=list)

    @property
    def folder(self) -> str:
        return self.name.partition("::")[0].rpartition("/")[0]

    @property
    def function(self) -> str:
        """`test_varint::test_round_trip`: without the folder."""
        return self.name[len(self.folder) :].removeprefix("/")

    @property
    def done(self) -> int:
        """Cases that ran to their end."""
        return sum(case.outcome != "unfinished" for case in self.cases)

    @property
    def failures(self) -> list[Case]:
        """The smallest counterexample first."""
        failed = [case for case in self.cases if case.outcome == "failed"]
        return sorted(failed, key=lambda case: (not case.counterexample, len(case.counterexample), case.case))

    @property
    def state(self) -> str:
        """In one word: failed, unfinished, skipped, stopped (by a health check) or held."""
        outcomes = {case.outcome for case in self.cases}
        if "failed" in outcomes:
            return "failed"
        if self.done < self.planned:
            return "unfinished"
        if outcomes == {"skipped"}:
            return "skipped"
        return "stopped" if "stopped" in outcomes else "held"

    def finding(self) -> str:
        """The smallest counterexample; or what else there is to say; or nothing."""
        for case in [*self.failures, *self.cases]:
            if case.counterexample or case.error:
                return one_line(case.counterexample) or case.error
        return ""

    def to_dict(self, options: Options) -> dict[str, Any]:
        """For JSON; times in seconds."""
        return {
            "property": self.name,
            "planned": self.planned,
            "cases": self.done,
            "examples": sum(case.examples for case in self.cases),
            "seconds": round(sum(case.seconds for case in self.cases), 3),
            "seed": options.seed,
            "state": self.state,
            "finding": self.finding(),
            "failures": [asdict(case) for case in self.failures],
            "reproduce": options.reproduce(self),
        }


def one_line(text: str) -> str:
    """A call that hypothesis wrote one argument a line, on one line; any other text as it is."""
    first, *rest = text.splitlines() or [""]
    if first.endswith("(") and rest and rest[-1] == ")" and "#" not in text:
        return first + " ".join(line.strip() for line in rest[:-1]).removesuffix(",") + ")"
    return text


def show(rows: list[Row], options: Options, console: Console) -> None:
    """The table, layer by layer; then each property that fails, with the command that runs it alone."""
    table = Table(
        Column("property", overflow="fold", min_width=24),
        Column("cases", justify="right"),
        Column("examples", justify="right"),
        Column("seconds", justify="right"),
        Column("seed", justify="right"),
        Column("smallest counterexample", overflow="fold"),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for folder, group in groupby(rows, key=lambda row: row.folder):
        if folder:
            table.add_row(Text(folder, "bold"))
        for row in group:
            table.add_row(*cells(row, options))
        table.add_section()
    console.print(table)
    for row in rows:
        if row.failures:
            show_failures(row, options, console)


def cells(row: Row, options: Options) -> list[Text]:
    """Red where the property fails, yellow where it was not run as asked."""
    style = {"failed": "red", "held": ""}.get(row.state, "yellow")
    lines = row.finding().splitlines()
    texts = [
        row.function,
        str(row.planned) if row.done == row.planned else f"{row.done} of {row.planned}",
        str(sum(case.examples for case in row.cases)),
        f"{sum(case.seconds for case in row.cases):.1f}",
        str(options.seed),
        "\n".join(lines[:CELL_LINES] + ["..."] * (len(lines) > CELL_LINES)),
    ]
    return [Text(text, style) for text in texts]


def show_failures(row: Row, options: Options, console: Console) -> None:
    """Every line of the smallest counterexamples, and the errors that they lead to."""

    def say(text: str, style: str = "") -> None:
        console.print(Text(text, style), soft_wrap=True)

    for case in row.failures[:SHOWN_FAILURES]:
        say(f"{row.name}{f'[{case.case}]' * bool(case.case)} fails", "bold red")
        for text in filter(None, (one_line(case.counterexample), case.error)):
            say("\n".join(f"  {line}" for line in text.splitlines()))
    if (more := len(row.failures) - SHOWN_FAILURES) > 0:
        say(f"{more} other cases of it fail, too")
    say(f"  reproduce: {options.reproduce(row)}\n")
