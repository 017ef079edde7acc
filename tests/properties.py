"""Every property of every layer, as often as you like, in one table.

`make properties EXAMPLES=10000` runs it; `make properties EXAMPLES=10000 SEED=7 JOBS=8` repeats the run of a seed.

A property is a hypothesis test: a function below tests/, whatever its layer. Those that need Java or a broker are left
out unless `--with-java` asks for them. A property that is parametrized, by message and version for example, has many
cases: its examples are divided equally over them, but each case runs at least 25 (or all, where fewer are asked), so
that the whole may run more than was asked. It may run fewer, too, where there are no more values to try.

The cases run in as many processes as `--jobs` says: properties_plugin.py is what runs there. One seed stands for the
whole run: it gives each case a seed of its own, so that a property alone finds what it found among the others.

Exit codes: 0 every property holds, 1 some does not, 2 bad input or nothing to run, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any, Final

import click
from properties_case import OPTION, Case, Task
from properties_table import TESTS, Options, Row, show
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

ROOT: Final = TESTS.parent
BAD_INPUT: Final = 2
INTERRUPTED: Final = 130  # as a shell says it: 128 and the signal
NOTHING_COLLECTED: Final = 5  # pytest's exit code
ENDED_WELL: Final = (0, 1, NOTHING_COLLECTED)
POLL_SECONDS: Final = 0.1
STOP_SECONDS: Final = 10  # that a worker has to close its fixtures
BAR_WIDTH: Final = 75  # characters that the bar and the numbers may take
LINE_MAX: Final = 250  # characters of a line in a pipe
LOG_LINES: Final = 30  # of a worker that broke down


class Worker:
    """One pytest process, and the file that it writes its events to."""

    def __init__(self, options: Options, folder: Path, number: int) -> None:
        task = Task(str(folder), str(options.tests), number, options.seed, options.examples, os.getpid())
        task.events.touch()
        self.running = ""  # the property
        self._log = folder / f"log-{number}"
        self._reader = task.events.open(encoding="utf-8")
        self._rest = ""  # of a line that is not written to its end yet
        command = [sys.executable, "-m", "pytest", str(options.tests), "-c", str(ROOT / "pyproject.toml")]
        command += ["-p", "properties_plugin", "-p", "no:cacheprovider", "-q", OPTION, json.dumps(asdict(task))]
        command += ["-k", options.expression] if options.expression else []
        command += [] if options.with_java else ["-m", "not broker and not java"]
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C reaches the parent alone, and killing the group leaves nothing behind.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=environment(options),
                start_new_session=True,
            )

    def events(self) -> Iterator[dict[str, Any]]:
        """Those since the last call."""
        *lines, self._rest = (self._rest + self._reader.read()).split("\n")
        for line in lines:
            event = json.loads(line)
            self.running = event["property"] if event["event"] == "start" else ""
            yield event

    def complaint(self) -> str:
        """What pytest said last: its errors, or the end of its output."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        return "\n".join(errors or lines[-LOG_LINES:])

    def kill(self) -> None:
        """End the process, and whatever it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def environment(options: Options) -> dict[str, str]:
    """For a worker: it finds the plugin, the seed orders its sets, and where Java is asked for its lack is an error."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TESTS), kept.get("PYTHONPATH")]))
    kept["PYTHONHASHSEED"] = str(options.seed % 2**32)
    return kept | ({"KPROTO_REQUIRE_KAFKA": "1"} if options.with_java else {})


class Run:
    """The workers, and what they have told so far."""

    def __init__(self, options: Options, folder: Path) -> None:
        self.options = options
        self.known: list[str] = []  # properties, those included that -k or a marker left out
        self.rows: dict[str, Row] = {}
        self.complaint = ""  # of a worker that ended otherwise than by running its cases
        self._asked = 0  # examples, of all cases
        self._workers = [Worker(options, folder, number) for number in range(options.jobs)]

    def follow(self, console: Console) -> None:
        """Until all workers have ended; the bar is for a terminal alone."""
        columns = (
            BarColumn(30),
            TextColumn("{task.fields[cases]}"),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            bar = progress.add_task("collecting", total=None, cases="")
            alive = True
            while alive:
                alive = any(worker.process.poll() is None for worker in self._workers)
                self._read()
                if self.rows:
                    progress.update(bar, total=self._asked, **self._progress(console.width - BAR_WIDTH))
                time.sleep(POLL_SECONDS * alive)
        for worker in self._workers:
            self._check(worker)

    def stop(self) -> None:
        """Ask the workers to end, as Ctrl-C does; kill those that do not, and all that they leave behind."""
        left = [worker for worker in self._workers if worker.process.poll() is None]
        for worker in left:
            worker.process.send_signal(signal.SIGINT)
        end = time.monotonic() + STOP_SECONDS
        with suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
            for worker in left:
                worker.process.wait(max(0, end - time.monotonic()))
        for worker in left:
            worker.kill()
        self._read()

    def _read(self) -> None:
        for event in (event for worker in self._workers for event in worker.events()):
            kind = event.pop("event")
            if kind == "plan" and not self.known:
                self.known = event["known"]
                rows = [Row(name, cases) for name, (cases, _) in event["plan"].items()]
                self.rows = {row.name: row for row in sorted(rows, key=lambda row: (row.folder, row.name))}
                self._asked = sum(cases * examples for cases, examples in event["plan"].values())
            elif kind == "case":
                self.rows[event["property"]].cases.append(Case(**event))

    def _progress(self, width: int) -> dict[str, Any]:
        """For the bar; the names of what runs take so many characters at most."""
        done = [case for row in self.rows.values() for case in row.cases]
        failed = sum(case.outcome == "failed" for case in done)
        cases = f"{len(done)} of {sum(row.planned for row in self.rows.values())} cases"
        return {
            "completed": sum(case.asked for case in done),
            "cases": cases + f", {failed} failed" * bool(failed),
            "description": " ".join(worker.running.rpartition("::")[2] for worker in self._workers)[: max(0, width)],
        }

    def _check(self, worker: Worker) -> None:
        """A process that died takes the case that it ran with it: that case has failed."""
        code = worker.process.returncode
        if worker.running:
            error = f"the process ended in the middle of it, with exit code {code}"
            self.rows[worker.running].cases.append(Case(worker.running, "", outcome="failed", error=error))
        elif code not in ENDED_WELL:
            self.complaint = worker.complaint()


def nothing_found(run: Run) -> str:
    """Why there is nothing to run, and what may help."""
    options = run.options
    if not run.known:
        return f"there is no property below {options.tests}"
    hidden = [name for name in run.known if options.expression in name]
    if hidden and not options.with_java:
        return f"{hidden[0]} needs Java: add --with-java"
    words = {word for name in run.known for word in name.replace("::", "_").replace("/", "_").split("_")}
    near = get_close_matches(options.expression, words, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {len(run.known)}, such as {run.known[0]}"
    return f"no property matches -k {options.expression!r}; {hint}"


def summary(run: Run, seconds: float) -> str:
    """One line with the sums; what did not run to its end is none of the cases, but its examples count."""
    states = Counter(row.state for row in run.rows.values())
    verdict = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    cases = [case for row in run.rows.values() for case in row.cases]
    examples = sum(case.examples for case in cases)
    done = sum(row.done for row in run.rows.values())
    return f"{verdict}; cases: {done}, examples: {examples}, time: {seconds:.1f} s, seed: {run.options.seed}"


def finish(run: Run, seconds: float, interrupted: bool, console: Console, file: IO[str] | None) -> int:
    """Print the table, write the JSON; the exit code."""
    rows = [row for row in run.rows.values() if row.cases or not interrupted]
    if any(row.cases for row in rows):
        show(rows, run.options, console)
        console.print(summary(run, seconds), highlight=False, soft_wrap=True)
    if file is not None:
        properties = [row.to_dict(run.options) for row in rows]
        told = {"seed": run.options.seed, "examples": run.options.examples, "seconds": round(seconds, 3)}
        json.dump(told | {"interrupted": interrupted, "properties": properties}, file, indent=2)
        file.write("\n")
    if interrupted:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    problem = run.complaint or ("" if run.rows else nothing_found(run))
    if problem.startswith("Wrong expression"):
        problem += "\n-k takes parts of names, and joins them: 'varint and not unsigned'"
    if problem:
        click.echo(f"error: {problem}", err=True)
    return int(any(row.failures for row in rows)) or BAD_INPUT * bool(problem)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--examples", type=click.IntRange(1), default=1000, show_default=True, help="Examples of each property.")
@click.option("--seed", type=click.IntRange(0), help="Repeat the run that had this seed (default: a new one).")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count(), help="Processes (default: one for each CPU).")
@click.option("-k", "expression", default="", metavar="EXPR", help="Only properties that match; as pytest's -k.")
@click.option("--with-java", is_flag=True, help="Those that need Java, Maven or a real Kafka, too.")
@click.option(
    "--json", "file", type=click.File("w", lazy=False), help="Write the table to this file, with every failure."
)
@click.option(
    "--tests",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=TESTS,
    help="The folder of tests (default: that of this program).",
)
def main(
    examples: int, seed: int | None, jobs: int, expression: str, with_java: bool, file: IO[str] | None, tests: Path
) -> None:
    """Run every property, that is every hypothesis test, as often as asked, and print a table.

    The examples of a property are divided equally over its parametrized cases, by message and version for example; each
    case runs at least 25, if as many are asked for. So the table may show more than was asked for, and fewer where
    there are no more values to try. Examples that a failure needed to find the smallest counterexample count, too.

    \b
    Examples:
      python tests/properties.py --examples 10000
      python tests/properties.py -k varint --seed 7
      python tests/properties.py --with-java --json report.json
    """
    options = Options(
        examples=examples,
        seed=random.SystemRandom().randrange(2**32) if seed is None else seed,
        jobs=jobs,
        expression=expression,
        with_java=with_java,
        tests=tests.resolve(),
    )
    console = Console()
    if not console.is_terminal:
        console.width = LINE_MAX
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # a shell may have turned off the first one
    sys.exit(run_all(options, console, file))


def run_all(options: Options, console: Console, file: IO[str] | None) -> int:
    """Run and report; the exit code."""
    console.print(f"seed: {options.seed}, examples: {options.examples}, processes: {options.jobs}", highlight=False)
    start = time.monotonic()
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="properties-") as folder:
        run = Run(options, Path(folder))
        try:
            run.follow(console)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            run.stop()
        return finish(run, time.monotonic() - start, interrupted, console, file)


if __name__ == "__main__":
    main()
