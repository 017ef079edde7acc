"""A capture as a page to look at: `kproto decode --report out.html`.

Layer: tools. Gathers what `report_page` shows; memory is bounded by what a page can hold, whatever the capture holds.
"""

from __future__ import annotations

from typing import Final

from kproto.tools.decode.audit import Audit
from kproto.tools.decode.audit_view import AuditFinding
from kproto.tools.decode.message_errors import error_codes
from kproto.tools.decode.model import DecodedFrame, Frame
from kproto.tools.decode.produced import produced, topic_key, topic_name
from kproto.tools.decode.report_bars import Bar, BarBatch, Bars, End
from kproto.tools.decode.report_page import ReportFacts, report_page
from kproto.tools.decode.report_trend import Trend
from kproto.tools.decode.stats import Stats
from kproto.wire import ApiKey, DecodeError, ProduceRequest, ProduceResponse
from kproto.wire.records import RecordBatch

__all__ = ["Report"]

FINDINGS_MAX: Final = 1_000


class Report:
    """Add frames in capture order, then `end`, then ask for the `html`. Not thread-safe; raises nothing.

    stats, audit: of the same frames. They are fed here, and must not be fed by anyone else.
    """

    def __init__(self) -> None:
        self.stats = Stats()
        self.audit = Audit()
        self._bars = Bars()
        self._findings: list[AuditFinding] = []
        self._findings_total = 0
        self._produce = Trend()
        self._others = Trend()

    def add(self, decoded: DecodedFrame) -> list[AuditFinding]:
        """The next frame; returns what the audit found."""
        self.stats.add(decoded)
        found = self.audit.add(decoded)
        frame = decoded.frame
        place = (frame.number or None, frame.time_ns, frame.conn)
        own = [AuditFinding(each, *place) for each in dict.fromkeys((*frame.findings, *decoded.findings))]
        self._tell([*own, *found])
        if frame.bare:
            if frame.ended:
                self._bars.connection_ended(frame.conn, frame.time_ns)
        elif frame.request:
            self._request(decoded, bool(own or found))
        else:
            self._response(decoded, frame, bool(own or found))
        return found

    def end(self) -> list[AuditFinding]:
        """No frame comes any more."""
        self.stats.end()
        found = self.audit.end()
        self._tell(found)
        return found

    def html(self, title: str) -> str:
        """The page, as far as the capture went. title: such as the capture's name."""
        stats = self.stats.facts()
        facts = ReportFacts(
            title=title,
            stats=stats,
            audit=self.audit.facts(),
            findings=self._findings,
            findings_total=self._findings_total,
            bars=self._bars.kept(),
            requests=self._bars.total,
            every=self._bars.every,
            notable_left_out=self._bars.notable_left_out,
            trends={"Produce": self._produce, "other APIs": self._others},
        )
        return report_page(facts)

    def _tell(self, found: list[AuditFinding]) -> None:
        self._findings_total += len(found)
        self._findings += found[: max(0, FINDINGS_MAX - len(self._findings))]

    def _request(self, decoded: DecodedFrame, noted: bool) -> None:
        message = decoded.message
        batches = []
        if isinstance(message, ProduceRequest):
            for each in produced(message):
                batch = each.batch
                if isinstance(batch, DecodeError):
                    continue
                name = topic_name(each.topic, decoded)
                count = batch.count if isinstance(batch, RecordBatch) else 1
                identity = (batch.producer_id, batch.producer_epoch, batch.base_sequence)
                batches.append(BarBatch(each.topic, name, each.partition, *identity, count, batch.size))
        bar = Bar.of(decoded, batches)
        bar.found = noted
        if isinstance(message, ProduceRequest) and message.acks == 0:
            self._bars.unasked(bar)
        else:
            self._bars.ask(bar)

    def _response(self, decoded: DecodedFrame, frame: Frame, noted: bool) -> None:
        message = decoded.message
        error = 0 if message is None else next(iter(error_codes(message)), 0)
        if decoded.latency_ms is not None:
            trend = self._produce if decoded.api_key == ApiKey.PRODUCE else self._others
            trend.add(frame.time_ns, max(0, round(decoded.latency_ms * 1000)), bool(error))
        bar = None if decoded.request is None else self._bars.waiting(decoded.request.frame.number)
        if bar is None:
            return
        bar.found = bar.found or noted
        bar.until_ns, bar.answer, bar.answer_size, bar.error = frame.time_ns, frame.number, frame.size, error
        if error and isinstance(message, ProduceResponse):
            bar.errors = {
                (topic_key(topic), each.index): each.error_code
                for topic in message.responses
                for each in topic.partition_responses
            }
        self._bars.end(bar, End.FAILED if error else End.ANSWERED)
