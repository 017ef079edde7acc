"""`kproto decode`: what really went over the wire.

Layer: tools. Options, terminals, exit codes; all else is in the modules beside it. What only some options need is
imported where they are given: a small capture is decoded in less time than rich takes to load.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click
from click.core import ParameterSource

from kproto.tools.decode.apis import Apis
from kproto.tools.decode.bad_input import BadInput
from kproto.tools.decode.conversation import Conversations
from kproto.tools.decode.decode_run import CheckRecords, DecodeRun, Sink
from kproto.tools.decode.filters import FrameFilter, parse_api, parse_duration_ms, parse_error, parse_time_ns
from kproto.tools.decode.inputs import Input, InputKind, open_input
from kproto.tools.decode.stats import Stats
from kproto.tools.decode.views import HEX, NDJSON, TREE, Views
from kproto.wire import KafkaError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from kproto.tools.decode.audit import Audit
    from kproto.tools.decode.report import Report

__all__ = ["decode"]

FINDINGS: Final = 1
INTERRUPTED: Final = 130  # as a shell says it: 128 and the signal


class _Parsed(click.ParamType[Any]):
    """A parameter that a function parses; its KafkaError is a usage error."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except KafkaError as error:
            self.fail(str(error), param, ctx)


def _filters(command: Any) -> Any:
    """The options that choose frames."""
    for decorate in (
        click.option("--slow", type=_Parsed("DURATION", parse_duration_ms), help="Responses that took so long: 50ms."),
        click.option("--until", type=_Parsed("TIME", parse_time_ns), help="Up to this time, itself excluded."),
        click.option("--since", type=_Parsed("TIME", parse_time_ns), help="ISO 8601, in UTC, or seconds (epoch)."),
        click.option("--corr", type=int, multiple=True, help="Correlation id."),
        click.option(
            "--error",
            "errors",
            type=_Parsed("ERROR", lambda text: (parse_error(text),)),
            multiple=True,
            help="Responses with an error: its name or code, or any.",
        ),
        click.option("--conn", type=int, multiple=True, help="Number of a connection, as it is printed in ndjson."),
        click.option("--client-id", multiple=True, help="Client id of requests, and of the answers to them."),
        click.option("--partition", type=click.IntRange(min=0), multiple=True, help="Messages about a partition."),
        click.option("--topic", multiple=True, help="Messages about a topic, by name or id."),
        click.option("--api", type=_Parsed("API", parse_api), multiple=True, help="Name or key of an API."),
    ):
        command = decorate(command)
    return command


@click.command()
@click.argument("file")
@click.option(
    "--format",
    "form",
    type=click.Choice([TREE, NDJSON, HEX]),
    default=TREE,
    show_default=True,
    help="Of frames, and of --stats and --audit.",
)
@_filters
@click.option("--stats", "wants_stats", is_flag=True, help="Counts, sizes, latencies and errors in place of frames.")
@click.option("--audit", "wants_audit", is_flag=True, help="Whether producers kept their promises, in place of frames.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="A page to look at: FILE.html.")
@click.option(
    "--redact/--show-values",
    default=True,
    show_default=True,
    help="Keys and values in tree and hex as their sizes, or as they are. In ndjson they always are.",
)
@click.option("--show-secrets", is_flag=True, help="Tokens of SASL and credentials, too.")
@click.option("--raw", is_flag=True, help="With ndjson: the bytes of each frame.")
@click.option("--all", "every", is_flag=True, help="With tree: all elements and records.")
@click.option("--plain", is_flag=True, help="No colour, also on a terminal.")
@click.option("--port", "ports", type=click.IntRange(1, 65_535), multiple=True, help="Only brokers at this port.")
@click.option(
    "--definitions",
    type=click.Path(exists=True, path_type=Path),
    help="A kafka-clients jar, or a folder of Kafka's message JSON: decodes all APIs that it has.",
)
def decode(file: str, **given: Any) -> None:
    """Decode a capture: pcap, pcapng, gzip of them; hex dumps, frames, logs with bytes, segments of Kafka's log.

    FILE may be - for standard input. Options that choose frames may be given several times; a frame is shown if each
    kind of them fits.

    Ends with 0 if all is well, 1 if there were findings, 2 for bad input, 130 for Ctrl-C.

    \b
    Examples:
      kproto decode capture.pcap
      kproto decode capture.pcap --format ndjson --api Produce --topic orders
      kproto decode capture.pcap --error any --slow 50ms --show-values
      kproto decode capture.pcap --format hex --corr 2
      kproto decode capture.pcap --stats
      kproto decode capture.pcap --audit
      kproto decode capture.pcap --report capture.html
      kproto decode - < capture.pcap
    """
    context = click.get_current_context()
    explicit = context.get_parameter_source("redact") is ParameterSource.COMMANDLINE
    if given["form"] == NDJSON and explicit and given["redact"]:
        raise click.UsageError("ndjson is always complete: --redact goes with tree and hex")
    if given["raw"] and given["form"] != NDJSON:
        raise click.UsageError("--raw goes with --format ndjson")
    with open_input(file) as opened:
        context.exit(_Decoding(opened, given).run())


class _Decoding:
    """The parts of one call."""

    def __init__(self, opened: Input, given: dict[str, Any]) -> None:
        self._input = opened
        self._given = given
        self._form = given["form"]
        self._stdout: BinaryIO = sys.stdout.buffer
        self._apis = _apis(given["definitions"])
        self._report = _report() if given["report"] else None
        self._audit = self._report.audit if self._report else _audit() if given["wants_audit"] else None
        check = CheckRecords().add if self._audit is None else None
        self._stats = (self._report.stats if self._report else Stats(check)) if given["wants_stats"] else None
        self._filter = _frame_filter(given)
        self._views = Views(self._write, self._print, self._apis, given)

    @cached_property
    def _console(self) -> Console:
        from kproto.tools.console import output

        return output(self._given["plain"])

    def run(self) -> int:
        """The exit code."""
        writers, watchers = self._sinks()
        only_stats = self._stats is not None and self._audit is None and self._filter.is_empty
        wants: Callable[[int | None, bool], bool] = Stats.wants_message if only_stats else _everything
        conversations = Conversations(self._apis, show_secrets=self._given["show_secrets"], wants=wants)
        interrupted = False
        with _progress(self._input, quiet=self._lists and sys.stdout.isatty()) as progress:
            run = DecodeRun(conversations, self._filter, writers, watchers, progress)
            try:
                self._read(run)
            except KeyboardInterrupt:
                interrupted = True
            run.end()
        self._conclude()
        if interrupted:
            click.secho("Interrupted: this is what was read until then.", fg="yellow", err=True)
            return INTERRUPTED
        violations = 0 if self._audit is None else self._audit.violations
        return FINDINGS if run.findings or violations else 0

    @property
    def _lists(self) -> bool:
        """Whether frames are shown: they are unless something else is asked for."""
        return not (self._given["wants_stats"] or self._given["wants_audit"] or self._report)

    def _sinks(self) -> tuple[list[Sink], list[Sink]]:
        """What passes the filter goes to the first; what needs all frames is in the second. Checksums come first."""
        if self._lists:
            return [self._views.writer()], []
        if self._report is not None:
            return [], [CheckRecords(), self._report]
        watchers: list[Sink] = [] if self._audit is None else [CheckRecords(), self._audit]
        return [] if self._stats is None else [self._stats], watchers

    def _read(self, run: DecodeRun) -> None:
        if self._input.kind is not InputKind.SEGMENT:
            run.run(self._input, self._given["ports"])
        elif not self._lists:
            raise BadInput("a segment of Kafka's log has no frames: --stats, --audit and --report need some")
        else:
            self._views.findings(run.run_segment(self._input, self._views.writer()))

    def _conclude(self) -> None:
        """Print what was gathered."""
        if self._report is not None:
            page = self._given["report"]
            page.write_text(self._report.html(self._input.name), encoding="utf-8")
            click.echo(f"The report is in {page}.", err=True)
        shown = {"stats": self._stats, "audit": self._audit if self._given["wants_audit"] else None}
        for name, gathered in shown.items():
            if gathered is None:
                continue
            if self._form == NDJSON:
                self._write(json.dumps({name: gathered.to_dict()}, ensure_ascii=False) + "\n")
            else:
                gathered.render(self._console)
        if not sys.stdout.isatty():
            self._stdout.flush()

    def _write(self, text: str) -> None:
        self._stdout.write(text.encode())
        if self._input.size is None:  # a pipe: whoever reads on waits for each line
            self._stdout.flush()

    def _print(self, line: Text) -> None:
        """A pipe gets plain text, at the speed of pipes."""
        if self._console.is_terminal:
            self._console.print(line)
        else:
            self._write(line.plain.encode("utf-8", "replace").decode() + "\n")


def _apis(definitions: Path | None) -> Apis:
    if definitions is None:
        return Apis()
    from kproto.wire.definitions import load

    return Apis(load(definitions))


def _report() -> Report:
    from kproto.tools.decode.report import Report

    return Report()


def _audit() -> Audit:
    from kproto.tools.decode.audit import Audit

    return Audit()


def _everything(api_key: int | None, request: bool) -> bool:
    return True


def _frame_filter(given: dict[str, Any]) -> FrameFilter:
    codes = [code for (code,) in given["errors"]]
    return FrameFilter(
        api=given["api"],
        topic=given["topic"],
        partition=given["partition"],
        client_id=given["client_id"],
        conn=given["conn"],
        correlation_id=given["corr"],
        failed=bool(codes),
        errors=None if not codes or None in codes else codes,
        since_ns=given["since"],
        until_ns=given["until"],
        slow_ms=given["slow"],
    )


def _somebody_sits_there() -> bool:
    return sys.stderr.isatty()


@contextmanager
def _progress(given: Input, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar on stderr while a file is read, where somebody sits; called, it moves."""
    if quiet or given.size is None or not _somebody_sits_there():
        yield lambda: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from kproto.tools.console import notes

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=notes(), transient=True) as bar:
        task = bar.add_task(Path(given.name).name, total=given.size)
        yield lambda: bar.update(task, completed=given.offset)
