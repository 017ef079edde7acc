"""The command line of the simulation.

    python -m tests.sim --seeds 0:10000
    python -m tests.sim --seed 7 --trace seed-7.ndjson
    python -m tests.sim planted --seeds 0:500 wrap

A seed that fails is run again with less and less of its plan, until everything that is left is needed; what is left is
printed, with its trace and its timeline. Exit codes: 0 nothing found, 1 violations, or a planted bug that was not
found, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sim.drawing import draw_plan
from sim.page import page
from sim.plan import Plan
from sim.planted import PLANTED
from sim.simulate import MARKS, Outcome, first_found, run_plan, run_seeds, shrunk
from sim.trace import Trace

from kproto.tools.timeline import timeline_of
from kproto.tools.timeline_svg import timeline_svg

__all__ = ["main"]

FINDINGS: Final = 1
INTERRUPTED: Final = 130
SHOWN_MAX: Final = 3  # failures that are made smaller: each takes a while
REPEAT: Final = "python -m tests.sim --seed {}"


class SeedRange(click.ParamType):
    """FIRST:LAST, without the last; or how many from 0."""

    name = "first:last"

    def convert(self, value: Any, param: Any, ctx: Any) -> range:
        if isinstance(value, range):
            return value
        first, _, last = value.rpartition(":")
        try:
            seeds = range(int(first or 0), int(last))
        except ValueError:
            self.fail(f"{value!r} is no range such as 0:500", param, ctx)
        if not seeds or seeds.start < 0:
            self.fail(f"{value!r} has no seed in it", param, ctx)
        return seeds


@click.group(invoke_without_command=True, help=__doc__)
@click.option("--seeds", type=SeedRange(), help="Which to run; 0:300 by default.")
@click.option("--seed", type=click.IntRange(0), help="One alone, with its plan.")
@click.option("--trace", type=click.Path(dir_okay=False, path_type=Path), help="Write the trace of --seed, as NDJSON.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(tempfile.gettempdir()) / "kproto-simulation",
    help="Folder for the traces and timelines of failures.",
)
@click.pass_context
def command(
    context: click.Context, seeds: range | None, seed: int | None, trace: Path | None, jobs: int, out: Path
) -> None:
    if context.invoked_subcommand is not None:
        return
    console = Console(highlight=False)
    if seed is not None and seeds is not None:
        raise click.UsageError("--seed or --seeds, not both")
    if trace is not None and seed is None:
        raise click.UsageError("--trace needs --seed")
    if seed is not None:
        context.exit(_one(console, seed, trace, out))
    context.exit(_many(console, seeds or range(300), jobs, out))


@command.command()
@click.option("--seeds", type=SeedRange(), default="0:500", show_default=True)
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--markdown", is_flag=True, help="Print docs/simulation.md, with what was found.")
@click.argument("names", nargs=-1)
@click.pass_context
def planted(context: click.Context, seeds: range, jobs: int, names: tuple[str, ...], markdown: bool) -> None:
    """Plant each bug (or the named ones) in turn, and say which seed finds it first."""
    for name in names:
        if name not in PLANTED:
            raise click.UsageError(f"there is no bug {name!r}; there are: {', '.join(PLANTED)}")
    console = Console(highlight=False, stderr=markdown)
    found: dict[str, Outcome | None] = {}
    with ProcessPoolExecutor(jobs) as pool:
        wanted = [*(names or PLANTED)]
        for name, outcome in zip(wanted, pool.map(first_found, wanted, repeat(seeds)), strict=True):
            found[name] = outcome
            if outcome is None:
                why = ", as it should be: for thrift" if PLANTED[name].thrift else ""
                console.print(f"{name:20} not found in {len(seeds)} seeds{why}")
            else:
                console.print(f"{name:20} seed {outcome.seed:>4}  {outcome.violation}", markup=False, soft_wrap=True)
    if markdown:
        click.echo(page(found), nl=False)
    wrong = [name for name, outcome in found.items() if (outcome is None) is not PLANTED[name].thrift]
    context.exit(FINDINGS if wrong else 0)


def _many(console: Console, seeds: range, jobs: int, out: Path) -> int:
    failed: list[Outcome] = []
    marks: set[str] = set()
    records = ms = 0
    with _progress(console) as progress:
        task = progress.add_task("seeds", total=len(seeds))
        for outcome in run_seeds(seeds, jobs):
            progress.advance(task)
            records += outcome.records
            ms += outcome.ms
            marks.update(outcome.marks)
            if outcome.violation is not None:
                failed.append(outcome)
                progress.console.print(f"seed {outcome.seed}: {outcome.violation}", markup=False, soft_wrap=True)
    hours = ms / 3_600_000
    console.print(f"{len(seeds)} seeds, {records} records, {hours:.1f} hours of virtual time: {len(failed)} violations")
    never = [mark for mark in MARKS if mark not in marks]
    if never:
        console.print(f"never seen: {', '.join(never)}")
    for outcome in sorted(failed, key=lambda one: one.seed)[:SHOWN_MAX]:
        _explain(console, draw_plan(outcome.seed), out)
    return FINDINGS if failed else 0


def _one(console: Console, seed: int, path: Path | None, out: Path) -> int:
    plan, trace = draw_plan(seed), Trace()
    outcome = run_plan(plan, trace)
    if path is not None:
        path.write_text(trace.text())
    for line in plan.lines():
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"{outcome.records} records, {outcome.events} events, {outcome.ms} ms of virtual time")
    console.print(f"trace {trace.digest()}, {len(trace.lines)} lines{f' in {path}' if path else ''}")
    if outcome.violation is None:
        console.print(f"seed {seed}: nothing found")
        return 0
    _explain(console, plan, out)
    return FINDINGS


def _explain(console: Console, plan: Plan, out: Path) -> None:
    """The smallest plan that still fails, its trace, and the picture of it."""
    small, trace = shrunk(plan), Trace()
    outcome = run_plan(small, trace)
    out.mkdir(parents=True, exist_ok=True)
    ndjson, svg = out / f"seed-{plan.seed}.ndjson", out / f"seed-{plan.seed}.svg"
    ndjson.write_text(trace.text())
    svg.write_text(timeline_svg(timeline_of(trace.events)))
    console.print(f"\nseed {plan.seed}: {outcome.violation}", markup=False, soft_wrap=True)
    for line in small.lines():
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print(f"  repeat: {REPEAT.format(plan.seed)}\n  trace: {ndjson}\n  timeline: {svg}", markup=False)


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


def main() -> None:
    """Run the command line."""
    try:
        command.main(standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
