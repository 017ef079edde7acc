"""Decoded frames as lines of JSON: `kproto decode --format ndjson`.

Layer: tools. What a line holds, and what may be relied on, is in docs/decode.md. Secrets aside, a line is complete: see
line_frame.py, which makes frames of lines again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from kproto.tools.decode.conversation import SASL_TOKEN
from kproto.tools.decode.json_text import batch_head, bytes_text, message_writer, quoted
from kproto.tools.decode.log_segments import RawBatch
from kproto.tools.decode.model import DecodedFrame, Finding
from kproto.tools.decode.record_text import records_text
from kproto.tools.decode.records_view import (
    Allowance,
    BatchView,
    RecordsField,
    RecordsReader,
    has_records,
    records_fields,
)
from kproto.wire import ApiKey, DecodeError, RequestHeader, ResponseHeader
from kproto.wire.records import Record

__all__ = ["FORMAT_VERSION", "NdjsonWriter", "finding_text"]

FORMAT_VERSION: Final = 1
"""Of the contract: goes up when a name or meaning changes; names that are new do not count."""
WRITTEN_SIZE: Final = 1 << 20  # bytes of keys and values that are written at a time
COMPRESSED: Final = 7  # of a batch's attributes: the codec
RECORD_TEXT_SIZE: Final = 80  # characters of a record beside key and value
CLIENT_ID_AT: Final = 10  # in a request, behind its length
CORRELATION_ID_SIZE: Final = 4
CUT_ANSWERS: Final = frozenset({ApiKey.FETCH, ApiKey.SHARE_FETCH})
"""Brokers may cut the last batch in answers of these APIs."""


class NdjsonWriter:
    """Add decoded frames: each is written as a line, in pieces of about a MiB where it is long.

    write: takes text; what it raises passes through. raw: whether the frame's bytes are added. Findings about records
    are made here, since here they are read: they are appended to the frame's. Not thread-safe.
    """

    def __init__(self, write: Callable[[str], object], *, raw: bool = False) -> None:
        self._write = write
        self._raw = raw
        self._findings: list[Finding] = []
        self._fields: Iterator[RecordsField] = iter(())
        self._allowance = Allowance()
        self._reader = RecordsReader(0)
        self._may_be_cut = False
        self.redacted = False

    def add(self, decoded: DecodedFrame) -> None:
        """Write its line; none for a bare frame without findings."""
        if decoded.frame.bare and not decoded.findings:
            return
        out = [_head(decoded), '"body": ']
        self._findings = decoded.findings
        self.redacted = decoded.redacted
        self._body(decoded, out)
        if decoded.topics:
            names = (f'"{topic}": {quoted(name)}' for topic, name in decoded.topics.items())
            out.append(', "topics": {' + ", ".join(names) + "}")
        if self._raw and not decoded.frame.bare:
            out.append(', "raw": ' + bytes_text(decoded.frame.data))
        found = ", ".join(map(finding_text, decoded.findings)) if decoded.findings else ""
        out.append(f', "findings": [{found}]}}\n')
        self._write("".join(out))

    def end(self) -> None:
        """No frame comes any more."""

    def add_batch(self, number: int, raw: RawBatch, findings: list[Finding]) -> None:
        """Write the line of a batch of a log segment. number: from 1; findings: gets those of its records."""
        self._findings = findings
        self._reader = RecordsReader(len(raw.data), self._allowance)
        self._may_be_cut = False
        out = [f'{{"batch": {number}, "position": {raw.position}, "size": {len(raw.data)}, "body": ']
        self.batches(RecordsField(f"batch {number}", raw.data), out)
        if self._raw:
            out.append(', "raw": ' + bytes_text(raw.data))
        out.append(', "findings": [' + ", ".join(map(finding_text, findings)) + "]}\n")
        self._write("".join(out))

    def _body(self, decoded: DecodedFrame, out: list[str]) -> None:
        message = decoded.message
        if message is not None:
            if has_records(type(message)):
                self._fields = records_fields(message)
                self._reader = RecordsReader(decoded.frame.size, self._allowance)
                self._may_be_cut = not decoded.frame.request and decoded.api_key in CUT_ANSWERS
            message_writer(type(message))(message, out, self)
        elif decoded.api == SASL_TOKEN:
            token = decoded.frame.data
            shown = f'{{"redacted": {len(token)}}}' if decoded.redacted else bytes_text(token)
            out.append(f'{{"token": {shown}}}')
        else:
            out.append("null")

    def records(self, data: bytes | None, out: list[str]) -> None:
        """See MessageContext."""
        field = next(self._fields)
        if data is None:
            out.append("null")
            return
        self.batches(field, out)

    def batches(self, field: RecordsField, out: list[str]) -> None:
        """Write the batches of a field."""
        between = '{"batches": ['
        empty = True
        for view in self._reader.read(field, self._findings, may_be_cut=self._may_be_cut):
            if isinstance(view, bytes):
                out.append('{"batches": []' if empty else "]")
                out.append(f', "rest": {bytes_text(view)}}}')
                return
            out.append(between)
            self._batch(view, out)
            between = ", "
            empty = False
        out.append('{"batches": []}' if empty else "]}")

    def _batch(self, view: BatchView, out: list[str]) -> None:
        out.append(batch_head(view))
        if view.records is None:
            out.append(f'"records": null, "body": {bytes_text(view.body)}}}')
            return
        out.append('"records": [')
        base = view.records[0].offset if view.records and view.batch.magic < 2 else view.batch.base_offset
        for start, stop in _portions(view, view.records):
            text = records_text(view.records[start:stop], base)
            out.append(text if start else text[2:])  # without the comma
            if stop < len(view.records):
                self._write("".join(out))
                out.clear()
        out.append("]}")


def _portions(view: BatchView, records: list[Record]) -> Iterator[tuple[int, int]]:
    """Ranges of the records, each of about WRITTEN_SIZE: mostly one."""
    if not view.batch.attributes & COMPRESSED and view.batch.size <= WRITTEN_SIZE:
        yield 0, len(records)
        return
    start = size = 0
    for index, record in enumerate(records):
        size += RECORD_TEXT_SIZE + len(record.key or b"") + len(record.value or b"")
        if size > WRITTEN_SIZE:
            yield start, index + 1
            start, size = index + 1, 0
    if start < len(records):
        yield start, len(records)


def finding_text(finding: Finding) -> str:
    """A finding as JSON."""
    offset = "null" if finding.offset is None else str(finding.offset)
    path = "null" if finding.path is None else quoted(finding.path)
    notice = "true" if finding.notice else "false"
    return (
        f'{{"code": {quoted(finding.code)}, "text": {_clean(finding.text)}, "notice": {notice}, '
        f'"offset": {offset}, "path": {path}}}'
    )


def _clean(text: str) -> str:
    """Lone surrogates, which UTF-8 has no bytes for, as question marks."""
    return quoted(text.encode("utf-8", "replace").decode())


def _head(decoded: DecodedFrame) -> str:
    frame = decoded.frame
    time = f"{frame.time_ns // 1_000_000_000}.{frame.time_ns % 1_000_000_000:09}"
    ends = _ends(frame.conn, frame.client, frame.broker)
    if frame.bare:
        if not frame.conn:
            time, ends = "null", '"conn": null, "client": null, "broker": null'
        return (
            f'{{"frame": null, "time": {time}, {ends}, "direction": null, "api": null, "api_key": null, '
            '"version": null, "correlation_id": null, "size": null, '
        )
    api = _api(decoded.api, decoded.api_key, decoded.version)
    return (
        f'{{"frame": {frame.number}, "time": {time}, {ends}, '
        f'"direction": {REQUEST if frame.request else RESPONSE}, {api}, '
        f'"correlation_id": {_number(decoded.correlation_id)}, {_of_direction(decoded)}'
    )


@lru_cache(maxsize=1024)
def _ends(conn: int, client: str, broker: str) -> str:
    return f'"conn": {conn}, "client": {quoted(client)}, "broker": {quoted(broker)}'


@lru_cache(maxsize=1024)
def _api(name: str | None, key: int | None, version: int | None) -> str:
    return f'"api": {_string(name)}, "api_key": {_number(key)}, "version": {_number(version)}'


REQUEST: Final = '"request"'
RESPONSE: Final = '"response"'


def _of_direction(decoded: DecodedFrame) -> str:
    if not decoded.frame.request:
        latency = "null" if decoded.latency_ms is None else f"{decoded.latency_ms:.6f}"
        return f'"size": {decoded.frame.size}, "latency_ms": {latency}, {_tags(decoded)}'
    return f'"client_id": {_string(decoded.client_id)}, "size": {decoded.frame.size}, {_tags(decoded)}'


def _tags(decoded: DecodedFrame) -> str:
    """The unknown tags of the header, which hardly anybody sends."""
    message, version = decoded.message, decoded.version
    if message is None or version not in type(message).flexible_versions:
        return ""
    if not decoded.frame.request and decoded.api_key == ApiKey.API_VERSIONS:
        return ""
    data = decoded.frame.data
    at = CLIENT_ID_AT + len((decoded.client_id or "").encode()) if decoded.frame.request else CORRELATION_ID_SIZE
    if data[at : at + 1] == b"\0":  # no tags
        return ""
    header: RequestHeader | ResponseHeader
    try:
        if decoded.frame.request:
            header, _ = RequestHeader.decode_prefix(data, 2)
        else:
            header, _ = ResponseHeader.decode_prefix(data, 1)
    except DecodeError:
        return ""
    if not header.unknown_tags:
        return ""
    tags = ", ".join(f'"{tag}": {bytes_text(value)}' for tag, value in header.unknown_tags.items())
    return f'"header_tags": {{{tags}}}, '


def _string(value: str | None) -> str:
    return "null" if value is None else quoted(value)


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)
