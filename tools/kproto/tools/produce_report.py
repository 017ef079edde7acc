"""What `kproto produce` shows: a progress bar while it runs, and how it went at the end.

Layer: tools. Numbers come from the tally; here they become text.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from kproto.tools.produce import Outcome
from kproto.tools.produce_input import RecordReader
from kproto.tools.produce_tally import ProduceTally
from kproto.tools.timeline import EventLog
from kproto.tools.timeline_facts import plural, size_text, summary
from kproto.tools.timeline_model import Timeline
from kproto.tools.undelivered import UndeliveredFile

__all__ = ["explanation", "last_batches", "produce_progress", "summary_lines", "trouble_lines"]

PERCENTILES: Final = (50, 95, 99)
BATCHES_DRAWN: Final = 24
REFRESHES_A_SECOND: Final = 10


class _Share(ProgressColumn):
    """How much of the work is done: of the input's bytes where its size is known, else of its records."""

    def __init__(self, tally: ProduceTally, reader: RecordReader | None, records: int | None) -> None:
        super().__init__()
        self._tally = tally
        self._reader = reader
        self._records = records

    def render(self, task: Task) -> ProgressBar | Text:
        tally = self._tally
        total = self._records if self._reader is None else self._reader.size
        if total is None:
            return Text("")
        done = tally.delivered if self._reader is None else self._reader.bytes_read
        return ProgressBar(total=max(total, 1), completed=done if total else 1, width=30)


class _Counts(ProgressColumn):
    """Records that were delivered, that wait, that failed, and how fast that was."""

    def __init__(self, tally: ProduceTally) -> None:
        super().__init__()
        self._tally = tally

    def render(self, task: Task) -> Text:
        tally = self._tally
        seconds = task.elapsed or 0
        waiting = max(0, tally.read - tally.delivered - tally.failed)
        speed = f", {tally.delivered / seconds:,.0f}/s" if seconds > 1 else ""
        text = Text(f"{tally.delivered:,} delivered, {waiting:,} under way{speed}")
        if tally.failed:
            text.append(f", {tally.failed:,} not delivered", "bold red")
        return text


def produce_progress(
    console: Console, tally: ProduceTally, reader: RecordReader | None = None, records: int | None = None
) -> Progress:
    """A bar that reads the tally ten times a second, in a thread of its own; nobody has to tell it anything.

    reader: what is read, or records: how many there will be. Use `with`; it leaves nothing on the terminal.
    """
    progress = Progress(
        SpinnerColumn(),
        _Share(tally, reader, records),
        _Counts(tally),
        TextColumn("[dim]{task.description}"),
        console=console,
        transient=True,
        refresh_per_second=REFRESHES_A_SECOND,
    )
    progress.add_task("", total=None)
    return progress


def summary_lines(tally: ProduceTally, seconds: float) -> Iterator[str]:
    """How much was delivered, how fast, in which batches, and how long it took."""
    speed = f", {tally.delivered / seconds:,.0f} records/s, {size_text(int(tally.size / seconds))}/s" if seconds else ""
    records = f"{tally.delivered:,} record{'s' * (tally.delivered != 1)} delivered"
    yield f"{records}: {size_text(tally.size)} in {seconds:.1f} s{speed}"
    if tally.batches:
        average = size_text(tally.sent_size // tally.batches)
        retries = "no retries" if not tally.retries else "1 retry" if tally.retries == 1 else f"{tally.retries} retries"
        yield f"{plural(tally.batches, 'batch')} of {average} on average as sent; {retries}"
    if tally.latency.count:
        parts = [f"{percent} % {tally.latency.percentile_us(percent) / 1000:.1f} ms" for percent in PERCENTILES]
        parts.append(f"longest {tally.latency.longest_us / 1000:.1f} ms")
        yield f"from send to acknowledgement: {', '.join(parts)}"


def trouble_lines(outcome: Outcome, undelivered: UndeliveredFile, place: str) -> Iterator[str]:
    """What went wrong, and what to do next; nothing where all is well. place: what was read last."""
    if outcome.bad_input is not None:
        yield f"{outcome.bad_input}; what follows was not read"
    if outcome.hopeless is not None:
        yield f"stopped behind {place}: {outcome.hopeless}"
    if outcome.interrupted is not None:
        yield f"interrupted behind {place}; what follows was not sent"
    if outcome.undelivered:
        path = undelivered.path
        again = f"kproto produce {undelivered.topic} {shlex.quote(str(path))} --format ndjson"
        one = outcome.undelivered == 1
        were = "1 record was" if one else f"{outcome.undelivered:,} records were"
        why = f"see {path} for the reason{'' if one else 's'}"
        yield f"{were} not delivered; {why}. To send {'it' if one else 'them'} again: {again}"
    if undelivered.spilled:
        yield f"{undelivered.spilled:,} of them could not be written there, and stand above"


def last_batches(timeline: Timeline, batches: int = BATCHES_DRAWN) -> Timeline:
    """The end of it, from where so many batches were opened."""
    opened = sorted(batch.opened_ms for each in timeline.batches.values() for batch in each)
    return timeline.window(opened[-batches] if len(opened) > batches else 0)


def explanation(log: EventLog) -> str:
    """Why batches left, and why they are no larger: one line."""
    timeline = log.timeline()
    dropped = f" (of the last events; {timeline.dropped:,} before are not kept)" if timeline.dropped else ""
    return f"{summary(timeline)}{dropped}"
