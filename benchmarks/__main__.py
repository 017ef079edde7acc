"""The command line: which rows, how often, and where the figures go.

Exit codes: 0 measured, 1 contenders of a row disagree, 2 bad input.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import IO, Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks import wire
from benchmarks.harness import Disagreement, Row, RowResult, measure
from benchmarks.report import environment, show, to_dict

__all__ = ["ROWS", "chosen_rows", "main"]

ROWS: Final[tuple[Row, ...]] = wire.ROWS  # each layer adds its own
ROUNDS: Final = 9
ROUNDS_MIN: Final = 5
LINE_MAX: Final = 250  # characters of a line in a pipe


def chosen_rows(words: str, rows: Sequence[Row] = ROWS) -> list[Row]:
    """The rows that any of the words, split by commas, stands in; a row's whole name means it alone.

    Raises click.BadParameter for a word that stands in none.
    """
    chosen: list[str] = []
    for word in filter(None, (word.strip().lower() for word in words.split(","))):
        names = [row.name for row in rows]
        found = [name for name in names if name.lower() == word] or [name for name in names if word in name.lower()]
        if not found:
            near = get_close_matches(word, names, 1, 0.4)
            hint = f", did you mean {near[0]!r}?" if near else "."
            raise click.BadParameter(f"no row is called {word!r}{hint} --list shows them all.")
        chosen += found
    return [row for row in rows if row.name in chosen]


def _choose(context: click.Context, parameter: click.Parameter, words: str | None) -> list[Row]:
    rows = list(ROWS) if words is None else chosen_rows(words)
    if not rows:
        raise click.BadParameter("names no row. --list shows them all.")
    return rows


def _console(file: IO[str], *, wide: bool = False) -> Console:
    terminal = file.isatty()
    return Console(file=file, width=None if terminal or not wide else LINE_MAX, force_terminal=terminal)


def _measure_all(rows: Sequence[Row], rounds: int) -> list[RowResult]:
    """Under a progress bar, which is for a terminal alone."""
    console = _console(sys.stderr)
    columns = (TextColumn("{task.description:18}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=sum(max(rounds, row.rounds_min) for row in rows))
        results = []
        for row in rows:
            progress.update(task, description=row.name)
            results.append(measure(row, rounds, progress=lambda: progress.advance(task)))
        return results


def _show_rows(rows: Sequence[Row]) -> None:
    table = Table("row", "what is timed", "us per", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.name, row.about, row.unit)
    _console(sys.stdout, wide=True).print(table)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rows", callback=_choose, metavar="WORDS", help="Only rows with one of these words in their name.")
@click.option(
    "--rounds", type=click.IntRange(ROUNDS_MIN), default=ROUNDS, show_default=True, help="Rounds of taking turns."
)
@click.option(
    "--json", "json_file", type=click.File("w", "utf-8", lazy=False), help="Also write the figures; - prints."
)
@click.option("--list", "list_only", is_flag=True, help="Show the rows, and measure nothing.")
def main(rows: list[Row], rounds: int, json_file: IO[str] | None, list_only: bool) -> None:
    """Measure kproto beside kafka-python, aiokafka and kio, in one run.

    Contenders do the same work, which is checked before, and take turns. Each figure is the median over the rounds of
    the least time in a round. Compare the ratios: the times are the machine's as much as the code's. All rows take
    about two minutes.

    \b
    Examples:
      python -m benchmarks
      python -m benchmarks --list
      python -m benchmarks --rows decode-W1
      python -m benchmarks --rows W1,metadata --rounds 25
      python -m benchmarks --json figures.json
    """
    if list_only:
        _show_rows(rows)
        return
    around = environment()
    try:
        results = _measure_all(rows, rounds)
    except Disagreement as disagreement:
        raise click.ClickException(str(disagreement)) from None
    if json_file is not sys.stdout:
        show(results, around, rounds, _console(sys.stdout, wide=True))
    if json_file is not None:
        figures: dict[str, Any] = to_dict(results, around, rounds)
        json_file.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
