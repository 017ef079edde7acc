"""The demonstration: a broker, 200,000 records, and proof that each arrived once, in order, where it was said to be.

Layer: tools. Starts Tansu or the judge, or uses the cluster that it is given; the topic is gone afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Final
from uuid import uuid4

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from kproto.producer import Producer, ProducerRecord, RecordMetadata
from kproto.producer.events import BatchEvent
from kproto.tools.access_log import access_log
from kproto.tools.broker import Broker
from kproto.tools.frame_log import FrameLog
from kproto.tools.interrupts import Interrupts
from kproto.tools.produce import Outcome, ProduceRun
from kproto.tools.produce_report import (
    explanation,
    last_batches,
    produce_progress,
    summary_lines,
    trouble_lines,
)
from kproto.tools.produce_tally import ProduceTally
from kproto.tools.read_back import Check, Librdkafka, ReadBack, checks
from kproto.tools.recorder import PcapngRecorder
from kproto.tools.session import show_frame
from kproto.tools.tansu import Tansu, has_tansu
from kproto.tools.timeline import EventLog
from kproto.tools.timeline_facts import size_text
from kproto.tools.timeline_text import timeline_text
from kproto.tools.undelivered import UndeliveredFile
from kproto.wire import ApiKey

__all__ = ["BROKERS", "RECORDS", "Demo"]

RECORDS: Final = 200_000
BROKERS: Final = ("tansu", "judge")
PARTITIONS: Final = 3
EVENTS_MAX: Final = 20_000  # the last ones, which are drawn
BATCHES_DRAWN: Final = 12
FACTS_MAX: Final = 6
PICTURE_MAX: Final = 120  # columns
PURPOSES: Final = {
    ApiKey.INIT_PRODUCER_ID: "Who am I? The id that makes retries harmless.",
    ApiKey.PRODUCE: "The first batch.",
}


@dataclass(slots=True)
class Demo:
    """One demonstration. settings: of the producer; without `bootstrap_servers`, a broker is started.

    broker: which one, "tansu" or "judge"; None for Tansu where its wheel is, else the judge, which judges, too.

    records: how many; recording: where the frames go, None for a file that is gone afterwards; every: all elements of
    what is decoded. Raises KafkaError. Use once.
    """

    console: Console
    settings: Mapping[str, Any]
    records: int
    recording: Path | None = None
    every: bool = False
    broker: str | None = None
    tally: ProduceTally = field(default_factory=ProduceTally)
    log: EventLog = field(default_factory=lambda: EventLog(EVENTS_MAX))
    delivered: dict[int, tuple[int, int]] = field(default_factory=dict)

    def run(self) -> int:
        """The exit code: 0 if every check holds."""
        began = monotonic()
        with Interrupts(), ExitStack() as stack:
            code = self._run(stack, dict(self.settings))
        self.console.print(Text(f"\n{monotonic() - began:.1f} s in all", "bold"))
        return code

    def _run(self, stack: ExitStack, settings: dict[str, Any]) -> int:
        what = "the cluster"
        judge: Broker | None = None
        if "bootstrap_servers" not in settings and (self.broker or BROKERS[not has_tansu()]) == "judge":
            what = "the judge, a broker in this process,"
            judge = stack.enter_context(Broker(strict=False, log_bytes_max=None))
            settings["bootstrap_servers"] = judge.bootstrap_servers
        elif "bootstrap_servers" not in settings:
            what = "Tansu, a broker in memory,"
            settings["bootstrap_servers"] = stack.enter_context(Tansu()).bootstrap_servers
        consumer = Librdkafka(settings)
        topic = f"kproto-demo-{uuid4().hex[:8]}"
        consumer.create_topic(topic, PARTITIONS)
        stack.callback(consumer.delete_topic, topic)
        sent = list(access_log(self.records))
        self._title(
            f"{self.records:,} lines of an access log to {what} at {settings['bootstrap_servers']}, idempotently"
        )
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="kproto-demo-")))
        frames, outcome = self._produce(topic, sent, settings, folder)
        if outcome.exit_code:
            return outcome.exit_code
        self._show_frames(frames)
        self._show_timeline()
        self._title("Read back by librdkafka, which shares no line with kproto")
        results = checks(sent, self.delivered, self._read(consumer, topic))
        if judge is not None:
            found = judge.violations()
            results.append(Check("the judge agrees", not found, "; ".join(found) or "no violations"))
        return self._show_checks(results)

    def _title(self, text: str) -> None:
        self.console.print(Text(f"\n{text}", "bold"))

    def _observe(self, event: BatchEvent) -> None:
        self.tally(event)
        self.log(event)

    def _delivered_to(self, number: int, metadata: RecordMetadata) -> None:
        self.delivered[number - 1] = metadata.partition, metadata.offset

    def _produce(
        self, topic: str, sent: list[tuple[bytes, bytes]], settings: dict[str, Any], folder: Path
    ) -> tuple[FrameLog, Outcome]:
        recording = self.recording or folder / "session.pcapng"
        with PcapngRecorder(recording) as recorder, UndeliveredFile(folder / "undelivered.ndjson", topic) as spare:
            frames = FrameLog(recorder)
            producer = Producer(**settings, observer=frames, batch_observer=self._observe)
            run = ProduceRun(producer, spare, self.tally, delivered=self._delivered_to, notice=self.console.print)
            began = monotonic()
            with self._bar(produce_progress(self.console, self.tally, records=self.records)):
                outcome = run.run(ProducerRecord(topic, value, key) for key, value in sent)
            seconds = monotonic() - began
        for line in (*summary_lines(self.tally, seconds), *trouble_lines(outcome, spare, f"record {self.tally.read}")):
            self.console.print(line, markup=False)
        kept = (
            f"in {recording}, for Wireshark" if self.recording else "recorded; --record FILE keeps them for Wireshark"
        )
        self.console.print(f"{frames.frames:,} frames, {size_text(recording.stat().st_size)}, {kept}", markup=False)
        return frames, outcome

    def _bar(self, progress: Progress) -> Any:
        return progress if self.console.is_terminal else nullcontext()

    def _show_frames(self, frames: FrameLog) -> None:
        self._title("What went over the wire. Each line: offset, bytes, field, type, value.")
        for api_key, purpose in PURPOSES.items():
            for frame in frames.exchange(api_key, purpose):
                self.console.print()
                show_frame(frame, self.console, elements=None if self.every else 1)

    def _show_timeline(self) -> None:
        self._title("How the last batches filled, why they left, and when they were answered")
        timeline = last_batches(self.log.timeline(), BATCHES_DRAWN)
        ascii_only = not self.console.encoding.lower().startswith("utf")
        width = min(self.console.width, PICTURE_MAX)
        self.console.print(timeline_text(timeline, width, ascii_only=ascii_only, facts_max=FACTS_MAX))
        self.console.print(explanation(self.log), markup=False)

    def _read(self, consumer: Librdkafka, topic: str) -> list[ReadBack]:
        ends: dict[int, int] = {}
        for partition, offset in self.delivered.values():
            ends[partition] = max(ends.get(partition, 0), offset + 1)
        progress = Progress(
            TextColumn("reading"), BarColumn(30), MofNCompleteColumn(), console=self.console, transient=True
        )
        with self._bar(progress):
            task = progress.add_task("", total=len(self.delivered))
            return list(consumer.read(topic, ends, lambda records: progress.update(task, completed=records)))

    def _show_checks(self, results: list[Check]) -> int:
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        for check in results:
            verdict = Text("yes", "bold green") if check.holds else Text("NO", "bold red")
            table.add_row(check.name, verdict, check.found)
        self.console.print(table)
        return 0 if all(check.holds for check in results) else 1
