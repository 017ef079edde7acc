"""Where each nanosecond of a record goes: `python -m benchmarks.producers.profile`, which also writes docs/profile.md.

`profile_record.py` leaves out one part of `send` at a time (`profile_parts.py`), `profile_batch.py` measures what comes
once a batch (`profile_turn.py` and `profile_meter.py`, in a process of its own), and `profile_report.py` says what came
of it.
Exit codes: 0 measured, 1 a turn failed or the code has changed beneath the profile, 2 bad input.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import click
from confluent_kafka import KafkaException
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.producers.cluster import Cluster, apache_kafka
from benchmarks.producers.profile_batch import GROWTHS, KINDS, RECORDS, BatchCosts, measure_batches
from benchmarks.producers.profile_parts import ProfileError
from benchmarks.producers.profile_record import WARM_UP_ROUNDS, RecordCosts, measure_record
from benchmarks.producers.profile_report import around, page, show, to_dict
from benchmarks.producers.runs import BenchError, Broker

__all__ = ["main", "measure"]

ROUNDS: Final = 61
TURNS: Final = 5
TERMINATED: Final = 143
LINE_MAX: Final = 160  # characters of a line in a pipe


@contextmanager
def _broker(bootstrap: str | None) -> Iterator[Broker]:
    if bootstrap is None:
        with apache_kafka() as address:
            yield Cluster(address)
        return
    cluster = Cluster(bootstrap)
    try:
        cluster.check()
    except KafkaException as error:
        raise RuntimeError(f"no broker answers on {bootstrap}: {error.args[0].str()}") from None
    yield cluster


def measure(
    rounds: int, turns: int, records: int, bootstrap: str | None, console: Console
) -> tuple[RecordCosts, list[BatchCosts]]:
    """Both halves, under a progress bar where there is a terminal. Raises ProfileError, BenchError, RuntimeError."""
    columns = (TextColumn("{task.description:20}"), BarColumn(), TimeElapsedColumn())
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden, refresh_per_second=1) as progress:
        task = progress.add_task("records", total=rounds + WARM_UP_ROUNDS)
        costs = measure_record(rounds, lambda: progress.advance(task))
        task = progress.add_task("batches", total=(turns + 1) * len(GROWTHS) * len(KINDS))
        with _broker(bootstrap) as broker, tempfile.TemporaryDirectory(prefix="kproto-profile-") as folder:
            found = measure_batches(turns, broker, Path(folder), records, lambda: progress.advance(task))
    return costs, found


def _console(file: IO[str]) -> Console:
    return Console(file=file, width=None if file.isatty() else LINE_MAX)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--bootstrap", metavar="HOST:PORT", help="A broker that runs; else an Apache Kafka is started.")
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True, help="Of the parts of a record.")
@click.option("--turns", type=click.IntRange(1), default=TURNS, show_default=True, help="With each growth of batches.")
@click.option("--records", type=click.IntRange(100), default=RECORDS, show_default=True, help="Of a turn.")
@click.option(
    "--json", "json_file", type=click.File("w", "utf-8", lazy=False), help="Also write all figures; - prints."
)
@click.option("--markdown", type=click.File("w", "utf-8"), help="Also write the page.")
def main(
    bootstrap: str | None, rounds: int, turns: int, records: int, json_file: IO[str] | None, markdown: IO[str] | None
) -> None:
    """Measure what each part of a record costs: of accepting it, and of what comes once a batch.

    Takes a minute or two on a machine that does nothing else; only then do the figures mean much. Needs Java and
    Maven, or --bootstrap.

    \b
    Examples:
      python -m benchmarks.producers.profile --markdown docs/profile.md
      python -m benchmarks.producers.profile --bootstrap localhost:9092 --rounds 21 --turns 3 --json figures.json
    """
    told = around()
    try:
        costs, found = measure(rounds, turns, records, bootstrap, _console(sys.stderr))
    except (ProfileError, BenchError, RuntimeError, KafkaException, TimeoutError) as error:
        raise click.ClickException(str(error)) from None
    if json_file is not sys.stdout:
        show(costs, found, told, _console(sys.stdout))
    if json_file is not None:
        json_file.write(json.dumps(to_dict(costs, found, told, records), indent=2) + "\n")
    if markdown is not None:
        markdown.write(page(costs, found, told, records))


def _terminate(*_: object) -> None:
    sys.exit(TERMINATED)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminate)  # else the broker would outlive the profile
    main(prog_name="python -m benchmarks.producers.profile")
