"""Decoded frames for people: a line for each, and what it says below it. `kproto decode --format tree`.

Layer: tools. Values are shown as their sizes unless asked for; names, numbers and errors always.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import UUID

from rich.text import Text

from kproto.tools.decode.conversation import SASL_TOKEN
from kproto.tools.decode.log_segments import RawBatch
from kproto.tools.decode.message_errors import error_name
from kproto.tools.decode.model import DecodedFrame, Finding
from kproto.tools.decode.ndjson import CUT_ANSWERS
from kproto.tools.decode.records_view import Allowance, BatchView, RecordsField, RecordsReader, records_fields
from kproto.tools.decode.texts import clock_text, counted, ms_text, printable, size_text
from kproto.wire import NO_UUID, Struct
from kproto.wire.field import Field, element_struct
from kproto.wire.records import NO_SEQUENCE, LegacyBatch, Record, TimestampType
from kproto.wire.wire_type import Array, LengthPrefixedType

__all__ = ["TreeWriter", "batch_lines", "finding_line", "place_line", "shown_bytes", "title_line"]

ELEMENTS_SHOWN: Final = 20
RECORDS_SHOWN: Final = 5
TEXT_SHOWN_MAX: Final = 100  # characters of a value
STYLES: Final = {True: "cyan", False: "green"}
ARROWS: Final = {True: "->", False: "<-"}


class TreeWriter:
    """Add decoded frames; they are shown at once. show: takes a line; show_values: keys, values and headers, too.

    every: also the elements of long arrays, and all records. Findings about records are appended to the frame's.
    """

    def __init__(self, show: Callable[[Text], object], *, show_values: bool = False, every: bool = False) -> None:
        self._show = show
        self._show_values = show_values
        self._elements = None if every else ELEMENTS_SHOWN
        self._records = None if every else RECORDS_SHOWN
        self._fields: Iterator[RecordsField] = iter(())
        self._allowance = Allowance()
        self._reader = RecordsReader(0)
        self._may_be_cut = False
        self._redacted = False
        self._found: list[Finding] = []

    def add(self, decoded: DecodedFrame) -> None:
        """Print a frame; of a bare one its findings."""
        lines: list[Text] = []
        if not decoded.frame.bare:
            lines.append(title_line(decoded))
            if decoded.message is not None:
                self._fields = records_fields(decoded.message)
                self._reader = RecordsReader(decoded.frame.size, self._allowance)
                self._may_be_cut = not decoded.frame.request and decoded.api_key in CUT_ANSWERS
                self._redacted = decoded.redacted
                self._found = decoded.findings
                lines += self._struct(decoded.message, decoded, 1)
        elif decoded.findings:
            lines.append(place_line(decoded))
        lines += map(finding_line, decoded.findings)
        for line in lines:
            self._show(line)

    def add_batch(self, number: int, raw: RawBatch, findings: list[Finding]) -> None:
        """Show a batch of a log segment; findings: gets those of its records."""
        self._show(Text(f"{number:>6}  at byte {raw.position:,}", "dim"))
        field = RecordsField(f"batch {number}", raw.data)
        for view in RecordsReader(len(raw.data), self._allowance).read(field, findings):
            for line in batch_lines(view, 1, records=self._records, show_values=self._show_values):
                self._show(line)
        for finding in findings:
            self._show(finding_line(finding))

    def end(self) -> None:
        """No frame comes any more."""

    def _struct(self, value: Struct, decoded: DecodedFrame, depth: int) -> Iterator[Text]:
        """Plain fields in one line, each field with more to it in lines of its own."""
        plain: list[Text] = []
        below: list[Text] = []
        for field in value.fields:
            inner = getattr(value, field.name)
            if field.type.name == "records":
                below += self._records_lines(field.name, depth)
            elif self._is_idle(field, inner):
                continue
            elif element_struct(field.type) is not None and inner is not None:
                below += self._structs(field, inner, decoded, depth)
            else:
                plain.append(Text.assemble((f"{field.name}=", "dim"), self._leaf(field, inner, decoded)))
        if value.unknown_tags:
            plain.append(Text(f"unknown_tags={', '.join(map(str, value.unknown_tags))}", "dim"))
        if plain:
            yield Text("  " * depth) + Text("  ").join(plain)
        yield from below

    def _is_idle(self, field: Field, value: Any) -> bool:
        """Whether the field says nothing: it has its default, which is no zero that may be the index of something."""
        if value == () or value is None or (isinstance(value, UUID) and value == NO_UUID):
            return True
        if value != field.default or isinstance(value, bool) or field.name == "error_code":
            return False
        return value != 0 or field.ignorable

    def _structs(self, field: Field, inner: Any, decoded: DecodedFrame, depth: int) -> Iterator[Text]:
        if not isinstance(field.type, Array):
            yield Text("  " * depth + field.name, "dim")
            yield from self._struct(inner, decoded, depth + 1)
            return
        for index, element in enumerate(inner[: self._elements]):
            yield Text("  " * depth + f"{field.name}[{index}]", "dim")
            yield from self._struct(element, decoded, depth + 1)
        if self._elements is not None and len(inner) > self._elements:
            more = len(inner) - self._elements
            yield Text("  " * depth + f"{field.name}: {more:,} more; --all shows them", "dim")
            for element in inner[self._elements :]:  # their records are read all the same: what is wrong is told
                list(self._struct(element, decoded, depth + 1))

    def _leaf(self, field: Field, value: Any, decoded: DecodedFrame) -> Text:
        if field.name == "error_code":
            return Text(error_name(value), "bold red" if value else "")
        if isinstance(field.type, LengthPrefixedType) and field.type.secret and self._redacted:
            return Text(f"<secret, {counted(len(value), 'byte')}>", "magenta")
        if isinstance(value, UUID):
            name = decoded.topics.get(value)
            return printable(str(value) if name is None else f"{value} ({name})")
        if isinstance(value, bytes):
            return shown_bytes(value, show=self._show_values)
        if isinstance(value, tuple):
            shown = ", ".join(map(str, value[: self._elements]))
            more = "" if self._elements is None or len(value) <= self._elements else ", ..."
            return printable(f"[{shown}{more}]")
        return printable(str(value))

    def _records_lines(self, name: str, depth: int) -> list[Text]:
        """Batches and their records; findings are told behind the frame."""
        field = next(self._fields)
        if field.data is None:
            return []
        lines: list[Text] = []
        for view in self._reader.read(field, self._found, may_be_cut=self._may_be_cut):
            lines += batch_lines(view, depth, records=self._records, show_values=self._show_values)
        return lines or [Text("  " * depth + f"{name}: no batch", "dim")]


def batch_lines(
    view: BatchView | bytes, depth: int, *, records: int | None = RECORDS_SHOWN, show_values: bool = False
) -> Iterator[Text]:
    """A batch, or what no batch is made of. records: how many are shown, None for all."""
    pad = "  " * depth
    if isinstance(view, bytes):
        yield Text(f"{pad}{counted(len(view), 'byte')} that are no batch", "yellow")
        return
    batch = view.batch
    line = Text(pad)
    line.append(f"batch of {_count(view)}, {size_text(batch.size)}", "bold")
    line.append(f", {batch.compression}" if batch.attributes & 7 else "")
    line.append("  crc ok" if view.crc_valid else "  CRC WRONG", "dim" if view.crc_valid else "bold red")
    if isinstance(batch, LegacyBatch):
        line.append(f"  magic {batch.magic}  offset {batch.wrapper_offset}")
    else:
        line.append(f"  offsets {batch.base_offset} to {batch.last_offset}  ")
        line.append(clock_text(batch.max_timestamp * 1_000_000) if batch.max_timestamp >= 0 else "no time")
        if batch.base_sequence != NO_SEQUENCE:
            line.append(f"  producer {batch.producer_id} epoch {batch.producer_epoch} sequence {batch.base_sequence}")
        line.append("  transactional" if batch.transactional else "").append("  control" if batch.control else "")
        line.append("  log append time" if batch.timestamp_type is TimestampType.LOG_APPEND_TIME else "")
    yield line
    found = view.records or []
    for record in found[:records]:
        yield _record_line(record, pad, show=show_values)
    if records is not None and len(found) > records:
        yield Text(f"{pad}  {len(found) - records:,} more", "dim")


def _count(view: BatchView) -> str:
    count = view.batch.count if not isinstance(view.batch, LegacyBatch) else len(view.records or ())
    return counted(count, "record")


def _record_line(record: Record, pad: str, *, show: bool) -> Text:
    line = Text(f"{pad}  {record.offset:>6}  ")
    line.append("key ", "dim").append(shown_bytes(record.key, show=show))
    line.append("  value ", "dim").append(shown_bytes(record.value, show=show))
    for name, value in record.headers:
        line.append("  ").append(printable(name)).append("=", "dim").append(shown_bytes(value, show=show))
    return line


def shown_bytes(data: bytes | None, *, show: bool) -> Text:
    """Their number; with `show` they themselves, as text where they are, shortened."""
    if data is None:
        return Text("null", "dim")
    if not show:
        return Text(f"<{counted(len(data), 'byte')}>", "dim")
    begin = data[: TEXT_SHOWN_MAX * 4]
    try:
        text = getincrementaldecoder("utf-8")().decode(begin, final=len(begin) == len(data))
    except UnicodeDecodeError:
        text = "0x" + begin.hex()
    more = "..." if len(text) > TEXT_SHOWN_MAX or len(begin) < len(data) else ""
    return printable(text[:TEXT_SHOWN_MAX] + more)


def finding_line(finding: Finding) -> Text:
    """A finding, below its frame."""
    word, style = ("notice", "yellow") if finding.notice else ("FINDING", "bold red")
    return Text.assemble("  ", (f"{word} {finding.code}: ", style), printable(finding.text))


def title_line(decoded: DecodedFrame) -> Text:
    """The line of a frame: when, who, what, how large."""
    frame = decoded.frame
    name = "token of SASL" if decoded.api == SASL_TOKEN else decoded.api or "?"
    version = "" if decoded.version is None else f" {decoded.version}"
    kind = "" if decoded.api == SASL_TOKEN else " request" if frame.request else " response"
    line = Text(f"{frame.number:>6}  {clock_text(frame.time_ns)}  ", "dim")
    line.append(f"{frame.client} {ARROWS[frame.request]} {frame.broker}  ", "dim")
    line.append(f"{name}{version}{kind}", f"bold {STYLES[frame.request]}")
    if decoded.correlation_id is not None:
        line.append(f" #{decoded.correlation_id}")
    line.append(f"  {size_text(frame.size)}")
    if decoded.client_id and frame.request:
        line.append("  client ", "dim").append(printable(decoded.client_id))
    if decoded.request is not None and decoded.latency_ms is not None:
        line.append(f"  {ms_text(decoded.latency_ms * 1000)} ms after frame {decoded.request.frame.number}", "dim")
    if decoded.message is None and decoded.api != SASL_TOKEN and not decoded.findings:
        line.append("  (not decoded)", "dim")
    return line


def place_line(decoded: DecodedFrame) -> Text:
    """What the findings of a bare frame belong to."""
    frame = decoded.frame
    if not frame.conn:
        return Text("        the capture", "dim")
    ends = f"{frame.client} {ARROWS[True]} {frame.broker}"
    return Text(f"        {clock_text(frame.time_ns)}  {ends}  connection {frame.conn}", "dim")
