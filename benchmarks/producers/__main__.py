"""The command line: which rows, how often, on which broker, and where the figures go.

Exit codes: 0 measured, 1 a turn failed or the log holds other records than were sent, 2 bad input.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Final

import click
from confluent_kafka import KafkaException
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks.producers.cluster import Cluster, apache_kafka
from benchmarks.producers.figures import GroupResult
from benchmarks.producers.plot import draw
from benchmarks.producers.report import environment, show, to_dict
from benchmarks.producers.rows import BROKER_WARM_UP, GROUPS, RATE, Contender, Group, external, row_name
from benchmarks.producers.runs import BenchError, Broker, Payloads, run_group

__all__ = ["beside", "chosen", "main", "measure"]

ROUNDS: Final = 5
WARM_UP_ROUNDS: Final = 3
TERMINATED: Final = 143
LINE_MAX: Final = 200  # characters of a line in a pipe


def chosen(words: str, groups: Sequence[Group] = GROUPS) -> list[Group]:
    """The rows that any of the words, split by commas, stands in, with the peers that they are held against.

    A word is a group's or a row's whole name, or else part of one. Raises click.BadParameter for a word that stands in
    none.
    """
    rows = {row_name(group, one): (group.name, one.name) for group in groups for one in group.contenders}
    found: dict[str, set[str]] = {group.name: set() for group in groups}
    for word in filter(None, (word.strip().lower() for word in words.split(","))):
        names = [name for name in rows if word in (name.lower(), name.lower().partition("/")[0])]
        names = names or [name for name in rows if word in name.lower()]
        if not names:
            near = get_close_matches(word, [*found, *rows], 1, 0.4)
            hint = f", did you mean {near[0]!r}?" if near else "."
            raise click.BadParameter(f"no row is called {word!r}{hint} --list shows them all.")
        for name in names:
            group, contender = rows[name]
            found[group].add(contender)
    picked = [group.only(found[group.name]) for group in groups if found[group.name]]
    if not picked:
        raise click.BadParameter("names no row. --list shows them all.")
    return picked


def beside(groups: Sequence[Group], programs: Sequence[tuple[str, str]]) -> list[Group]:
    """External programs take part in each group whose figure is the rate."""
    grown = []
    for group in groups:
        for name, command in programs:
            group = external(group, name, command) if group.figure is RATE else group
        grown.append(group)
    return grown


def measure(
    groups: Sequence[Group],
    rounds: int,
    broker: Broker,
    folder: Path,
    console: Console | None = None,
    warm_up: Group | None = None,
) -> list[GroupResult]:
    """All groups, under a progress bar where there is a terminal. folder: for the payloads. warm_up: what is sent
    before, and counts for nothing. Raises BenchError."""
    first = [] if warm_up is None else [warm_up]
    payloads = Payloads(folder, [*first, *groups])
    columns = (TextColumn("{task.description:40.40}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    hidden = console is None or not console.is_terminal
    with Progress(*columns, *times, console=console, transient=True, disable=hidden, refresh_per_second=2) as progress:
        task = progress.add_task("", total=rounds * sum(len(group.contenders) for group in groups))
        for group in first:
            run_group(group, WARM_UP_ROUNDS, broker, payloads)
        results = []
        for group in groups:

            def next_turn(contender: Contender, group: Group = group) -> None:
                progress.update(task, description=row_name(group, contender), advance=1)

            results.append(GroupResult(group, run_group(group, rounds, broker, payloads, next_turn)))
        return results


def _check_names(groups: Sequence[Group]) -> None:
    for group in groups:
        names = [one.name for one in group.contenders]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise click.BadParameter(f"{twice[0]!r} is a contender already", param_hint="'--beside'")


@contextmanager
def _cluster(bootstrap: str | None) -> Iterator[Cluster]:
    if bootstrap is not None:
        cluster = Cluster(bootstrap)
        try:
            cluster.check()
        except KafkaException as error:
            raise RuntimeError(f"no broker answers on {bootstrap}: {error.args[0].str()}") from None
        yield cluster
        return
    with apache_kafka() as address:
        yield Cluster(address)


def _choose(context: click.Context, parameter: click.Parameter, words: str | None) -> list[Group]:
    return list(GROUPS) if words is None else chosen(words)


def _programs(context: click.Context, parameter: click.Parameter, given: Sequence[str]) -> list[tuple[str, str]]:
    programs = []
    for one in given:
        name, equals, command = one.partition("=")
        if not (name and equals and command.strip()):
            raise click.BadParameter(f"NAME=COMMAND, not {one!r}")
        programs.append((name, command))
    return programs


def _console(file: IO[str]) -> Console:
    terminal = file.isatty()
    return Console(file=file, width=None if terminal else LINE_MAX, force_terminal=terminal)


def _list(groups: Sequence[Group]) -> None:
    table = Table("row", "records", "floor and aim", box=None, pad_edge=False)
    for group in groups:
        table.add_row(f"{group.name}: {group.about}", "", "", style="bold")
        for one in group.contenders:
            aims = [
                f"{target.floor:g}, {target.aim:g} / {target.peer or target.figure.unit}"
                for target in one.targets
                if target.floor is not None and target.aim is not None
            ]
            table.add_row(f"  {row_name(group, one)}", f"{one.records:,}", "; ".join(aims))
    _console(sys.stdout).print(table, highlight=False)


def _measure(groups: Sequence[Group], rounds: int, scale: float, bootstrap: str | None) -> list[GroupResult]:
    """On a broker of its own, warmed up, or on the one that runs."""
    warm_up = BROKER_WARM_UP.scaled(scale) if bootstrap is None else None
    try:
        with _cluster(bootstrap) as cluster, tempfile.TemporaryDirectory(prefix="kproto-bench-") as folder:
            return measure(groups, rounds, cluster, Path(folder), _console(sys.stderr), warm_up)
    except (BenchError, RuntimeError, KafkaException, TimeoutError) as error:
        raise click.ClickException(str(error)) from None


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rows", "groups", callback=_choose, metavar="WORDS", help="Only these groups or rows, and their peers.")
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True, help="5 or more for the record.")
@click.option("--scale", type=click.FloatRange(0.0001, 10), default=1.0, help="Times the records of each row.")
@click.option("--bootstrap", metavar="HOST:PORT", help="A broker that runs; else an Apache Kafka is started.")
@click.option(
    "--beside",
    "programs",
    multiple=True,
    callback=_programs,
    metavar="NAME=COMMAND",
    help="See above; may be given more than once.",
)
@click.option("--json", "json_file", type=click.File("w", "utf-8", lazy=False), help="Also write all turns; - prints.")
@click.option("--svg", "svg_file", type=click.File("w", "utf-8", lazy=False), help="Also draw them.")
@click.option("--list", "list_only", is_flag=True, help="Show the rows, and measure nothing.")
def main(
    groups: list[Group],
    rounds: int,
    scale: float,
    bootstrap: str | None,
    programs: list[tuple[str, str]],
    json_file: IO[str] | None,
    svg_file: IO[str] | None,
    list_only: bool,
) -> None:
    """Measure kproto's producers beside confluent-kafka, aiokafka and kafka-python, on a real Apache Kafka.

    All are idempotent with acks=all, linger 5 ms, and send the same distinct JSON values. Contenders of a group take
    turns, each turn in a fresh process and topic; every delivery is counted, and so are the records in the log. All
    rows take about nine minutes; needs Java and Maven, or --bootstrap.

    --beside lets a program of yours take part in the groups that are about records a second. In COMMAND, {bootstrap}
    {topic} {records} {size} {partitions} {keys} {compression} {linger_ms} {values_file} {keys_file} are filled in; keys
    is how many different ones there are, and the files hold the values and the keys (10 bytes each) one behind the
    other. The last line that it prints is a JSON object with "records" and "seconds", and, if it likes, "cpu_seconds",
    "warm_up" (records sent before the clock started; they are in the log, too), "settings" and "details" (objects).

    \b
    Examples:
      python -m benchmarks.producers --list
      python -m benchmarks.producers --rows 12p --scale 0.1 --rounds 2
      python -m benchmarks.producers --rows 'idle/kproto send().result()'
      python -m benchmarks.producers --json figures.json --svg figures.svg
      python -m benchmarks.producers --rows 12p --beside 'mine=./mine {bootstrap} {topic} {records} {values_file}'
    """
    groups = beside([group.scaled(scale) for group in groups], programs)
    _check_names(groups)
    if list_only:
        _list(groups)
        return
    results, around = _measure(groups, rounds, scale, bootstrap), environment()
    if json_file is not sys.stdout:
        show(results, around, rounds, _console(sys.stdout))
    if json_file is not None:
        json_file.write(json.dumps(to_dict(results, around, rounds), indent=2) + "\n")
    if svg_file is not None:
        svg_file.write(draw(results))


def _terminate(*_: object) -> None:
    sys.exit(TERMINATED)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminate)  # else the broker would outlive the bench
    main(prog_name="python -m benchmarks.producers")
