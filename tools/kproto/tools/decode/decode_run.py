"""One run of `kproto decode`: frames from an input to whatever looks at them, and how many findings there were.

Layer: tools. Knows neither options nor terminals; `decode_command.py` puts it together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from kproto.tools.decode.conversation import Conversations
from kproto.tools.decode.filters import FrameFilter
from kproto.tools.decode.inputs import Input
from kproto.tools.decode.log_segments import RawBatch
from kproto.tools.decode.model import DecodedFrame, Finding
from kproto.tools.decode.records_view import has_records, records_fields
from kproto.wire import BadCrc, DecodeError
from kproto.wire.records import read_record_batches

__all__ = ["BatchSink", "CheckRecords", "DecodeRun", "Sink"]

FRAMES_A_STEP: Final = 64  # between two looks at the progress


class Sink(Protocol):
    """Whatever looks at decoded frames: a writer, the statistics, the audit, the report."""

    def add(self, decoded: DecodedFrame) -> Any:
        """The next frame, in capture order."""

    def end(self) -> Any:
        """No frame comes any more."""


class BatchSink(Protocol):
    """Whatever looks at the batches of a log segment."""

    def add_batch(self, number: int, raw: RawBatch, findings: list[Finding]) -> None:
        """The next batch; findings about it are appended."""


class DecodeRun:
    """findings, notices: how many there were in what passed the filter; frames: how many frames passed.

    watchers: get everything; writers, behind them: what passes the filter. progress: called now and then.
    """

    def __init__(
        self,
        conversations: Conversations,
        frame_filter: FrameFilter,
        writers: Sequence[Sink],
        watchers: Sequence[Sink] = (),
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.frames = self.findings = self.notices = 0
        self._conversations = conversations
        self._filter = frame_filter
        self._writers = writers
        self._watchers = watchers
        self._progress = progress

    def run(self, given: Input, ports: Sequence[int] = ()) -> None:
        """All frames. Raises BadInput; what writers raise passes through, KeyboardInterrupt, too."""
        feed = self._conversations.feed
        everything = self._filter.is_empty
        for number, frame in enumerate(given.frames(ports=ports, outstanding=self._conversations.outstanding)):
            for decoded in feed(frame):
                for watcher in self._watchers:
                    watcher.add(decoded)
                if everything or self._filter.passes(decoded):
                    for writer in self._writers:
                        writer.add(decoded)
                    if decoded.findings:
                        self._count(decoded.findings)
                    self.frames += not frame.bare
            if not number % FRAMES_A_STEP:
                self._progress()

    def run_segment(self, given: Input, writer: BatchSink) -> list[Finding]:
        """All batches of a log segment; the findings of the segment itself."""
        for number, raw in enumerate(given.batches(), 1):
            findings: list[Finding] = []
            writer.add_batch(number, raw, findings)
            self._count(findings)
            self.frames += 1
            if not number % FRAMES_A_STEP:
                self._progress()
        self._count(given.findings)
        return given.findings

    def end(self) -> None:
        """Whatever has looked may conclude; also after an interruption."""
        for sink in (*self._watchers, *self._writers):
            sink.end()

    def _count(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            if finding.notice:
                self.notices += 1
            else:
                self.findings += 1


class CheckRecords:
    """Verifies the checksums of all batches, where nothing else does: findings are appended to the frame's."""

    def add(self, decoded: DecodedFrame) -> None:
        """The next frame."""
        message = decoded.message
        if message is None or not has_records(type(message)):
            return
        for field in records_fields(message):
            try:
                for batch in read_record_batches(field.data or b"", allow_truncated=not decoded.frame.request):
                    del batch
            except BadCrc as error:
                decoded.findings.append(Finding("crc", f"{field.path}: {error}", offset=error.offset, path=field.path))
            except DecodeError as error:
                text = f"{field.path}: {error}"
                decoded.findings.append(Finding("bad-records", text, offset=error.offset, path=field.path))

    def end(self) -> None:
        """No frame comes any more."""
