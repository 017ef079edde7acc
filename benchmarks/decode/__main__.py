"""The command line: how large the captures are, how often, and where the figures go.

Exit codes: 0 measured, 1 a run failed, 2 bad input.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.decode.captures import CAPTURES, write_capture
from benchmarks.decode.runs import JOBS, BenchError, Measured, child_environment, measure

__all__ = ["main", "show"]

ROUNDS: Final = 5
SIZE_MB: Final = 170
LINE_MAX: Final = 200  # characters of a line in a pipe
MIB: Final = 1 << 20
NOTE: Final = """\
MB/s: MB of the capture for each second of the processor, medians and ranges. tshark: -T fields beside --stats, -T json
beside ndjson. Produce is of version 8, the last whose records tshark 4.0 reads: of version 9 it shows the header."""


def show(found: Sequence[Measured], peer: str | None, console: Console) -> None:
    """The table. peer: tshark's version, None where it did not take part."""
    table = Table("decode", "capture", "kproto MB/s", "MiB", "tshark MB/s", "MiB", "times tshark", box=box.SIMPLE)
    for each in found:
        table.add_row(each.job, each.capture, *_side(each, each.ours), *_side(each, each.theirs), _ratio(each))
    console.print(table)
    console.print(f"{NOTE}\n{peer or 'tshark is not installed'}", markup=False, highlight=False)


def _side(measured: Measured, runs: Sequence[Any]) -> tuple[str, str]:
    if not runs:
        return "", ""
    middle, least, most = measured.rates(runs)
    return f"{middle:.0f} [{least:.0f}-{most:.0f}]", f"{max(run.rss for run in runs) / MIB:.0f}"


def _ratio(measured: Measured) -> str:
    return "{:.2f} [{:.2f}-{:.2f}]".format(*measured.ratios()) if measured.theirs else ""


def _tshark() -> str | None:
    if shutil.which("tshark") is None:
        return None
    done = subprocess.run(["tshark", "--version"], capture_output=True, check=False, encoding="utf-8")
    return (done.stdout.splitlines() or ["tshark"])[0]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True, help="5 or more for the record.")
@click.option("--size", type=click.IntRange(1), default=SIZE_MB, show_default=True, help="MB of each capture.")
@click.option("--json", "json_file", type=click.File("w", "utf-8", lazy=False), help="Also write all runs; - prints.")
def main(rounds: int, size: int, json_file: IO[str] | None) -> None:
    """Measure `kproto decode` beside tshark, where that is installed, on captures made here.

    Takes about ten minutes, most of which are tshark's -T json.

    \b
    Examples:
      python -m benchmarks.decode
      python -m benchmarks.decode --size 20 --rounds 3
      python -m benchmarks.decode --json figures.json
    """
    peer = _tshark()
    console, notes = Console(width=None if sys.stdout.isatty() else LINE_MAX), Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with tempfile.TemporaryDirectory(prefix="kproto-bench-") as name:
        folder = Path(name)
        with Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal) as progress:
            task = progress.add_task("captures", total=rounds * len(JOBS) * len(CAPTURES))
            captures = {}
            for number, kind in enumerate(CAPTURES):
                captures[kind.name] = folder / f"{number}.pcap"
                write_capture(captures[kind.name], kind, size * 1_000_000)
            progress.update(task, description="runs")
            environment = child_environment(os.environ, folder / "compiled")
            try:
                found = measure(
                    captures, rounds, environment, beside=peer is not None, progress=lambda: progress.advance(task)
                )
            except BenchError as error:
                raise click.ClickException(str(error)) from None
    if json_file is not sys.stdout:
        show(found, peer, console)
    if json_file is not None:
        figures = {"tshark": peer, "measured": [asdict(each) for each in found]}
        json_file.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.decode")
