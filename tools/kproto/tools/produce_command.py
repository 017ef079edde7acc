"""`kproto produce`: records from stdin or files to a topic, with a bar, a summary, and nothing lost.

Layer: tools. Puts together what `produce`, `produce_input`, `undelivered` and `produce_report` do.
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, Final

import click
from rich.console import Console

from kproto.producer import Producer, ProducerRecord
from kproto.producer.events import BatchEvent
from kproto.tools import console as consoles
from kproto.tools.options import of_a_producer, settings_of_a_producer
from kproto.tools.produce import Outcome, ProduceRun
from kproto.tools.produce_input import InputForm, InputFormat, RecordReader, Source
from kproto.tools.produce_report import explanation, last_batches, produce_progress, summary_lines, trouble_lines
from kproto.tools.produce_tally import ProduceTally
from kproto.tools.timeline import EventLog
from kproto.tools.timeline_svg import timeline_svg
from kproto.tools.timeline_text import timeline_text
from kproto.tools.undelivered import UndeliveredFile
from kproto.wire import KafkaError

__all__ = ["produce"]

NOT_DELIVERED: Final = 1
STDIN: Final = Path("-")
PICTURE_MAX: Final = 160  # columns


@click.command()
@click.argument("topic")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@of_a_producer
@click.option(
    "--format",
    "form",
    type=click.Choice([one.value for one in InputFormat]),
    default=InputFormat.LINES.value,
    show_default=True,
    help="A value a line, a JSON object a line, or values behind 4-byte big-endian lengths.",
)
@click.option("-K", "--key-separator", metavar="TEXT", help=r"Between key and value of a line, such as : or \t.")
@click.option("-k", "--key", metavar="TEXT", help="The key of all records that name none.")
@click.option("-p", "--partition", type=click.IntRange(min=0), help="For all records that name none.")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header of all records.")
@click.option("--null", metavar="TEXT", help='A key or value of a line that means none: a tombstone; "" is possible.')
@click.option(
    "--undelivered",
    "spare",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where records go that are not delivered.  [default: TOPIC.undelivered.ndjson]",
)
@click.option("--timeout", "timeout_s", type=float, default=10.0, show_default=True, help="Seconds to connect.")
@click.option("--explain", is_flag=True, help="Draw when batches filled, left and were answered, and say why.")
@click.option("--explain-svg", "svg", type=click.Path(dir_okay=False, path_type=Path), help="The same as a picture.")
@click.option("-q", "--quiet", is_flag=True, help="No bar and no summary; only what goes wrong is told.")
def produce(topic: str, files: tuple[Path, ...], form: str, **given: Any) -> None:
    """Send records to TOPIC from FILES, or from stdin, as they come.

    A JSON record has any of key, value, headers, partition, timestamp and topic, as in {"key": "a", "value": "b",
    "headers": [["trace", "1"]]}; bytes that are no text stand as {"base64": "..."}. Records that are not delivered go
    to a file in that form, each with its reason; with --format ndjson it can be sent again.

    Ends with 0 if all was delivered, 1 if something was not, 2 for bad input, 130 for Ctrl-C.

    \b
    Examples:
      echo hello | kproto produce orders -b localhost:9092
      kproto produce orders access.log -b localhost:9092 -X linger_ms=20 -X compression_type=zstd
      kproto produce orders -b localhost:9092 -K : < pairs.txt
      kproto produce orders -b localhost:9092 --format ndjson --explain < records.ndjson
      kproto produce orders access.log -b localhost:9092 -F client.properties --explain-svg timeline.svg
    """
    default = ProducerRecord(
        topic,
        key=_bytes(given["key"]),
        partition=given["partition"],
        headers=tuple(map(_header, given["headers"])),
    )
    input_form = InputForm(InputFormat(form), default, _separator(given["key_separator"]), _bytes(given["null"]))
    settings = settings_of_a_producer(given["bootstrap"], given["settings"], given["files_of_settings"])
    view = _View(given["quiet"], given["explain"], given["svg"])
    with Producer(**settings, batch_observer=view.observe) as producer:
        limit = min(producer.config.max_request_size, producer.config.buffer_memory)
        reader = RecordReader(_sources(files), replace(input_form, size_max=limit))
        try:
            _meet(producer, default, given["timeout_s"])
        except KafkaError as error:
            view.complain(f"Error: {error}; nothing was read")
            click.get_current_context().exit(NOT_DELIVERED)
        with UndeliveredFile(given["spare"], topic) as undelivered:
            outcome = view.run(producer, reader, undelivered, is_typed=_is_typed(files))
    view.report(outcome, undelivered, reader.place)
    click.get_current_context().exit(outcome.exit_code)


def _sources(files: tuple[Path, ...]) -> list[Source]:
    stdin = Source("stdin", sys.stdin.buffer)
    return [stdin if path == STDIN else Source.of(path) for path in files or (STDIN,)]


def _is_typed(files: tuple[Path, ...]) -> bool:
    """Whether somebody types records on a terminal."""
    return STDIN in (files or (STDIN,)) and sys.stdin.isatty()


def _meet(producer: Producer, default: ProducerRecord, timeout_s: float) -> None:
    """Before anything is read: the cluster answers, and has the topic and the partition. Raises KafkaError."""
    producer.wait_ready(timeout_s)
    partitions = len(producer.partitions_for(default.topic))
    if default.partition is not None and default.partition >= partitions:
        last = partitions - 1
        raise click.BadParameter(f"topic {default.topic} has partitions 0 to {last}", param_hint="--partition")


class _View:
    """What the user sees of a run. svg: where a picture is to go."""

    def __init__(self, quiet: bool, explain: bool, svg: Path | None) -> None:
        self._quiet = quiet
        self._explain = explain
        self._svg = svg
        self._tally = ProduceTally()
        self._log = EventLog() if explain or svg else None
        self._notes = consoles.notes()
        self._seconds = 0.0

    def complain(self, text: str, style: str = "red") -> None:
        """On stderr; nobody need hear it, and the run goes on."""
        with suppress(consoles.ReaderLeft, OSError):
            self._notes.print(text, markup=False, style=style)

    def observe(self, event: BatchEvent) -> None:
        """The producer's batch observer."""
        self._tally(event)
        if self._log is not None:
            self._log(event)

    def run(self, producer: Producer, reader: RecordReader, undelivered: UndeliveredFile, *, is_typed: bool) -> Outcome:
        """Send all that there is, behind a bar where there is a terminal that nobody types on."""
        run = ProduceRun(producer, undelivered, self._tally, notice=lambda text: self.complain(text, ""))
        shown: AbstractContextManager[object] = nullcontext()
        if self._notes.is_terminal and not self._quiet:
            if is_typed:
                self.complain("records, one a line; end with Ctrl-D", "dim")
            else:
                shown = produce_progress(self._notes, self._tally, reader)
        began = monotonic()
        with shown:
            outcome = run.run(reader)
        self._seconds = monotonic() - began
        return outcome

    def report(self, outcome: Outcome, undelivered: UndeliveredFile, place: str) -> None:
        """The picture and the summary on stdout, which may have been closed; trouble on stderr."""
        for line in trouble_lines(outcome, undelivered, place):
            self.complain(f"Error: {line}")
        out = consoles.output()
        try:
            if self._log is not None:
                self._draw(out, self._log)
            if not self._quiet:
                for line in summary_lines(self._tally, self._seconds):
                    out.print(line, markup=False)
            sys.stdout.flush()
        except (consoles.ReaderLeft, BrokenPipeError):
            consoles.silence()

    def _draw(self, out: Console, log: EventLog) -> None:
        timeline = last_batches(log.timeline())
        if self._explain:
            out.print(timeline_text(timeline, min(out.width, PICTURE_MAX), ascii_only=not _has_boxes(out)))
            out.print(explanation(log), markup=False)
        if self._svg is not None:
            try:
                self._svg.write_text(timeline_svg(timeline), encoding="utf-8")
            except OSError as error:
                self.complain(f"Error: {self._svg} cannot be written: {error.strerror or error}")


def _has_boxes(out: Console) -> bool:
    return out.encoding.lower().startswith("utf")


def _header(text: str) -> tuple[str, bytes | None]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"a header is written name=value, not {text!r}", param_hint="-H")
    return name, _bytes(value)


def _separator(text: str | None) -> bytes | None:
    if text == "":
        raise click.BadParameter("at least one character", param_hint="--key-separator")
    return _bytes(None if text is None else text.replace("\\t", "\t"))


def _bytes(text: str | None) -> bytes | None:
    """As they were on the command line, whatever its encoding."""
    return None if text is None else os.fsencode(text)
