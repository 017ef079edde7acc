"""Decoded frames byte range by byte range, each with field path, type and value: `kproto decode --format hex`.

Layer: tools. The declarations say what each byte is; `kproto.wire.annotate` asks them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from rich.text import Text

from kproto.tools.decode.apis import Apis
from kproto.tools.decode.log_segments import RawBatch
from kproto.tools.decode.model import DecodedFrame, Finding
from kproto.tools.decode.ndjson import CUT_ANSWERS
from kproto.tools.decode.records_view import Allowance, RecordsField, RecordsReader, records_fields
from kproto.tools.decode.texts import counted
from kproto.tools.decode.tree import STYLES, finding_line, place_line, title_line
from kproto.wire import WireError
from kproto.wire.annotate import SECRET, Annotation, Span, annotate_request, annotate_response, hexdump
from kproto.wire.annotate_records import record_ranges

__all__ = ["HexWriter", "without_values"]

ANNOTATED_SIZE_MAX: Final = 4 << 20  # bytes: the declaration is slow
PLAIN_WIDTH: Final = 16  # bytes of a line without fields
HIDDEN_TYPES: Final = frozenset({"bytes", "records"})
SECRET_FIELDS: Final = frozenset({"auth_bytes"})
SPANS_MAX: Final = 5_000  # of a frame that are printed


class HexWriter:
    """Add decoded frames; they are shown at once. show: takes a line; show_values: keys, values and headers, too.

    Findings about records are appended to the frame's.
    """

    def __init__(self, show: Callable[[Text], object], apis: Apis | None = None, *, show_values: bool = False) -> None:
        self._show = show
        self._apis = apis or Apis()
        self._show_values = show_values
        self._allowance = Allowance()

    def add(self, decoded: DecodedFrame) -> None:
        """Print a frame; of a bare one its findings."""
        if decoded.frame.bare:
            if decoded.findings:
                self._show(place_line(decoded))
        else:
            self._show(title_line(decoded))
            for line in self._lines(decoded):
                self._show(line)
            _read_records(decoded, self._allowance)
        for finding in decoded.findings:
            self._show(finding_line(finding))

    def add_batch(self, number: int, raw: RawBatch, findings: list[Finding]) -> None:
        """Show a batch of a log segment; findings: gets those of its records."""
        self._show(Text(f"{number:>6}  at byte {raw.position:,}", "dim"))
        ranges = record_ranges(raw.data, 0, "batch") if len(raw.data) <= ANNOTATED_SIZE_MAX else None
        spans = Annotation(map(Span._make, ranges or ()))
        for line in self._span_lines(raw.data, spans, "cyan", secrets=False) if ranges else _plain_lines(raw.data, 0):
            self._show(line)
        for _ in RecordsReader(len(raw.data), self._allowance).read(
            RecordsField(f"batch {number}", raw.data), findings
        ):
            pass
        for finding in findings:
            self._show(finding_line(finding))

    def end(self) -> None:
        """No frame comes any more."""

    def _lines(self, decoded: DecodedFrame) -> Iterator[Text]:
        data = bytes(decoded.frame.data)
        spans = self._annotate(decoded, data)
        if spans is None:
            yield from _plain_lines(data, 0)
            return
        yield from self._span_lines(data, spans, STYLES[decoded.frame.request], secrets=decoded.redacted)

    def _span_lines(self, data: bytes, known: Annotation, style: str, *, secrets: bool) -> Iterator[Text]:
        """A line for each range, the first SPANS_MAX of them; then bytes that could not be read as fields."""
        spans = list(without_values(known[:SPANS_MAX], values=not self._show_values, secrets=secrets))
        for before, after, line in zip(known, spans, hexdump(data, spans), strict=False):
            if after is not before and before.path.rpartition(".")[2] not in SECRET_FIELDS:
                line = line.removesuffix(SECRET) + f"<{counted(len(before.value), 'byte')}>"
            yield Text.assemble(("  " + line[:4], "dim"), line[4:56], (line[56:], style))
        if len(known) > SPANS_MAX:
            yield Text(f"  {len(known) - SPANS_MAX:,} more ranges", "dim")
        elif known.error is not None:
            yield from _plain_lines(data, known[-1].stop if known else 0)

    def _annotate(self, decoded: DecodedFrame, data: bytes) -> Annotation | None:
        """None where nothing is known of the bytes: an API that is not declared, a token, a huge frame."""
        key, version = decoded.api_key, decoded.version
        if key is None or version is None or len(data) > ANNOTATED_SIZE_MAX:
            return None
        try:
            if decoded.frame.request:
                return annotate_request(data, self._apis.requests, secrets=True)
            cls = self._apis.responses.get(key)
            return None if cls is None else annotate_response(data, cls, version, secrets=True)
        except WireError:
            return None


def without_values(spans: Iterable[Span], *, values: bool, secrets: bool) -> Iterator[Span]:
    """The spans, with what stands for a value in place of it, so that its bytes are not shown either.

    values: keys, values and headers of records, and other bytes; secrets: tokens of SASL.
    """
    for span in spans:
        field = span.path.rpartition(".")[2]
        in_record = ".records[" in span.path and field in ("key", "value")
        is_header_name = ".headers[" in span.path and field == "key"
        hide = (
            values
            and (span.type in HIDDEN_TYPES or (in_record and not is_header_name))
            and isinstance(span.value, bytes)
        )
        hide = hide or (secrets and field in SECRET_FIELDS)
        yield span._replace(value=SECRET) if hide and span.value else span


def _plain_lines(data: bytes, start: int) -> Iterator[Text]:
    """Bytes of which no field is known."""
    for at in range(start, min(len(data), start + PLAIN_WIDTH * SPANS_MAX), PLAIN_WIDTH):
        yield Text.assemble((f"  {at:04x}  ", "dim"), data[at : at + PLAIN_WIDTH].hex(" "))


def _read_records(decoded: DecodedFrame, allowance: Allowance) -> None:
    """For the findings."""
    if decoded.message is None:
        return
    reader = RecordsReader(decoded.frame.size, allowance)
    may_be_cut = not decoded.frame.request and decoded.api_key in CUT_ANSWERS
    for field in records_fields(decoded.message):
        for _ in reader.read(field, decoded.findings, may_be_cut=may_be_cut):
            pass
