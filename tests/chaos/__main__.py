"""`make chaos`: producers on a real cluster of three nodes under faults, and the log read back. Needs Java and Maven.

Exit codes: 0 all rounds clean, 1 findings, 2 bad input, 3 the cluster or a contender did not come up, 130 interrupted.
"""

from __future__ import annotations

import json
import random
import signal
import statistics
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
from chaos.cluster import KafkaCluster
from chaos.contenders import CONTENDERS, DEFAULT, SHORT
from chaos.proxy import Proxy
from chaos.rounds import RATE, Round, run_round
from chaos.schedule import LOAD_MS, schedule_of
from rich.console import Console
from rich.status import Status
from rich.table import Table

FINDINGS = 1
NOT_UP = 3
INTERRUPTED = 130
PIPE_WIDTH = 140
TIMEOUTS = {"default": DEFAULT, "short": SHORT}
COLUMNS = ("acked", "failed", "refused", "maybe", "failed_written", "unknown_offset")


@click.command(help=__doc__)
@click.option("--rounds", default=3, show_default=True, help="Rounds; each has a seed of its own.")
@click.option("--seed", type=int, help="Of the first round; the next ones count up. Drawn and printed by default.")
@click.option(
    "--contender",
    "contenders",
    multiple=True,
    type=click.Choice(list(CONTENDERS)),
    default=["kproto"],
    show_default=True,
    help="May be given more than once: each meets the same seeds.",
)
@click.option("--timeouts", type=click.Choice(list(TIMEOUTS)), default="default", show_default=True)
@click.option("--load-ms", type=click.IntRange(1000), default=LOAD_MS, show_default=True, help="Load in a round.")
@click.option("--rate", default=RATE, show_default=True, help="Records a second.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Each round as a line of this file.")
def chaos(
    rounds: int,
    seed: int | None,
    contenders: Sequence[str],
    timeouts: str,
    load_ms: int,
    rate: int,
    json_file: Path | None,
) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
    first = random.SystemRandom().randrange(10**6) if seed is None else seed
    console.print(f"seeds {first} to {first + rounds - 1}, {timeouts} timeouts: {', '.join(contenders)}")
    done: list[Round] = []
    try:
        with Proxy() as proxy, KafkaCluster(proxy.ports) as cluster, console.status("the cluster is up") as status:
            proxy.forward([node.client_port for node in cluster.nodes])
            for number in range(rounds):
                schedule = schedule_of(first + number, load_ms)
                for name in contenders:
                    title = f"round {number + 1} of {rounds}, seed {schedule.seed}, {name}"
                    tell = partial(tell_status, status, title)
                    made = run_round(cluster, proxy, name, TIMEOUTS[timeouts], schedule, rate=rate, tell=tell)
                    done.append(made)
                    show_round(console, made)
                    write(json_file, made)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (RuntimeError, TimeoutError, pytest.fail.Exception, pytest.skip.Exception) as error:
        console.print(f"[red]{error}[/]", highlight=False)
        sys.exit(NOT_UP)
    finally:
        if done:
            console.print(summary(done))
    sys.exit(FINDINGS if any(made.findings for made in done) else 0)


def tell_status(status: Status, title: str, phase: str) -> None:
    """The line that shows what is under way."""
    status.update(f"{title}: {phase}")


def show_round(console: Console, made: Round) -> None:
    """A line; with findings also the schedule."""
    counts = made.verdict.as_dict()
    said = ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in COLUMNS if counts[name])
    state = "[red]BROKEN[/]" if made.findings else "[green]clean[/] "
    fault = made.schedule.disaster.fault.value
    console.print(
        f"{state} seed {made.schedule.seed} {made.contender} ({fault}): {said}; "
        f"recovered in {made.recovery_ms} ms, {made.seconds:.0f} s",
        highlight=False,
    )
    if made.errors:
        errors = ", ".join(f"{count} {error[:120]}" for error, count in list(made.errors.items())[:4])
        console.print(f"       {errors}", highlight=False, markup=False)
    if made.findings:
        found = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in made.findings.items())
        console.print(f"       found: {found}", style="red", highlight=False)
        console.print(f"  {made.schedule}", highlight=False, markup=False)


def write(json_file: Path | None, made: Round) -> None:
    """One more line of JSON."""
    if json_file is not None:
        with json_file.open("a") as file:
            file.write(json.dumps(made.as_dict()) + "\n")


def summary(done: Sequence[Round]) -> Table:
    """A row for each contender."""
    table = Table(title="failed: in all rounds, and the median of a round; recovery: the median")
    for heading in ("contender", "rounds", "clean", "acked", "failed", "median", "refused", "recovery"):
        table.add_column(heading, justify="left" if heading == "contender" else "right")
    table.add_column("found")
    for name in dict.fromkeys(made.contender for made in done):
        rounds = [made for made in done if made.contender == name]
        found: dict[str, int] = {}
        for made in rounds:
            for finding, count in made.findings.items():
                found[finding] = found.get(finding, 0) + count
        failed = [made.verdict.failed for made in rounds]
        cells: list[Any] = [
            len(rounds),
            sum(not made.findings for made in rounds),
            sum(made.verdict.acked for made in rounds),
            sum(failed),
            round(statistics.median(failed)),
            sum(made.verdict.refused for made in rounds),
            f"{statistics.median(made.recovery_ms for made in rounds):.0f} ms",
            ", ".join(f"{count} {finding.replace('_', ' ')}" for finding, count in found.items()) or "nothing",
        ]
        table.add_row(name, *map(str, cells))
    return table


def _interrupt(number: int, frame: object) -> None:
    """SIGTERM cleans up as Ctrl-C does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    chaos()
