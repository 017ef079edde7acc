"""Byte ranges of a message with field path, type and value: the declaration, reporting what it reads.

Layer: wire. Knows messages, headers and, through `annotate_records.py`, record batches.

    for span in annotate(MetadataResponse, 12, body):
        print(span.start, span.path, span.value)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from kproto.wire import oracle
from kproto.wire.annotate_records import record_ranges
from kproto.wire.api_key import ApiKey
from kproto.wire.envelope import request_class
from kproto.wire.error_code import ErrorCode
from kproto.wire.errors import DecodeError, TrailingBytes
from kproto.wire.field import element_struct
from kproto.wire.header import RequestHeader, ResponseHeader, request_header_version, response_header_version
from kproto.wire.messages import REQUESTS
from kproto.wire.schema import Message, Request, Response, Struct
from kproto.wire.wire_type import Array

__all__ = ["SECRET", "Annotation", "Span", "annotate", "annotate_request", "annotate_response", "hexdump", "show_value"]

SECRET: Final = "<secret>"
BYTES_A_LINE: Final = 16
VALUE_SHOWN_MAX: Final = 60  # characters
PATH_WIDTH_MAX: Final = 80  # characters; a longer path moves what stands behind it


class Span(NamedTuple):
    """buffer[start:stop] is the value of the field at `path`. type: Kafka's name, or array, tags, tag, struct.

    value: as `decode` gives it; for an array its count, for tags theirs, for a tag (tag, name or None, size), for a
    nullable struct None or "present". An `error_code` is an ErrorCode where there is one; a secret is SECRET. Records
    that are whole batches of magic 2 are their size in bytes, and their batches follow; others stay one span.
    """

    start: int
    stop: int
    path: str
    type: str
    value: Any


class Annotation(list[Span]):
    """Spans in wire order, without gaps. error: what stopped the reading, None for a whole message."""

    error: DecodeError | None = None


def annotate(
    cls: type[Message], version: int, buffer: bytes | bytearray | memoryview, offset: int = 0, *, secrets: bool = False
) -> Annotation:
    """The spans of a message that begins at `offset` and ends with the buffer.

    secrets: whether tokens of SASL are shown. Damaged bytes raise nothing: the spans before the damage are there, and
    `error` says what follows. Raises WireError for a version that `cls` lacks.
    """
    cls.check_version(version)
    data = bytes(memoryview(buffer))
    spans = Annotation()
    hidden = frozenset() if secrets else frozenset(_secret_fields(cls))
    title = f"{cls.__name__} v{version} "

    def report(start: int, stop: int, path: str, type_: str, value: Any) -> None:
        path = path.removeprefix(title)
        field = re.sub(r"\[[0-9]+\]", "", path)
        if field in hidden and value and type_ != "array":
            value = SECRET
        elif type_ == "int16" and field.rpartition(".")[2] == "error_code":
            value = ErrorCode.of(value)
        batches = record_ranges(value, stop - len(value), path) if type_ == "records" and value else None
        spans.append(Span(start, stop, path, type_, value))
        if batches:
            spans[-1] = Span(start, stop - len(value), path, type_, len(value))
            spans.extend(map(Span._make, batches))

    try:
        _, behind = oracle.decode_prefix(cls, data, version, offset, report)
        if cls not in (RequestHeader, ResponseHeader) and behind != len(data):
            raise TrailingBytes(title.rstrip(), behind, "the end", f"{len(data) - behind} more bytes")
    except DecodeError as error:
        spans.error = error
    return spans


def _secret_fields(cls: type[Struct], prefix: str = "") -> Iterator[str]:
    """The paths, without indexes, of the fields whose values are not shown, in nested structs too."""
    for field in cls.fields:
        element = field.type.element if isinstance(field.type, Array) else field.type
        nested = element_struct(element)
        if nested is not None:
            yield from _secret_fields(nested, f"{prefix}{field.name}.")
        elif getattr(element, "secret", False):
            yield f"{prefix}{field.name}"


def annotate_request(
    payload: bytes, requests: Mapping[int, type[Request]] = REQUESTS, *, secrets: bool = False
) -> Annotation:
    """Header and body of a request frame without its length.

    requests: API key -> class. Raises DecodeError for less than 8 bytes, and for an API or version not known.
    """
    cls, version = request_class(payload, requests)
    return _annotate_frame(RequestHeader, request_header_version(cls, version), cls, version, payload, secrets)


def annotate_response(payload: bytes, cls: type[Response], version: int, *, secrets: bool = False) -> Annotation:
    """Header and body of a response frame without its length. Raises WireError for a version that `cls` lacks."""
    cls.check_version(version)
    return _annotate_frame(ResponseHeader, response_header_version(cls, version), cls, version, payload, secrets)


def _annotate_frame(
    header: type[Message], header_version: int, cls: type[Message], version: int, payload: bytes, secrets: bool
) -> Annotation:
    spans = annotate(header, header_version, payload)
    for index, span in enumerate(spans):
        name = ApiKey.of(span.value) if span.path == "request_api_key" else span.value
        spans[index] = span._replace(path=f"header.{span.path}", value=name)
    if spans.error is None:
        body = annotate(cls, version, payload, spans[-1].stop, secrets=secrets)
        spans += body
        spans.error = body.error
    return spans


def hexdump(buffer: bytes, spans: Sequence[Span]) -> Iterator[str]:
    """Lines of offset, bytes, path, type and value; long values are shortened, secret bytes are not shown."""
    width = min(max((len(span.path) for span in spans), default=0), PATH_WIDTH_MAX)
    for span in spans:
        data = buffer[span.start : span.stop]
        shown = "** " * min(len(data), BYTES_A_LINE) if span.value is SECRET else data[:BYTES_A_LINE].hex(" ")
        more = "..." if len(data) > BYTES_A_LINE else ""
        shown = shown.strip() + more
        yield f"{span.start:04x}  {shown:50}  {span.path:{width}}  {span.type:8}  {show_value(span.value)}"


def show_value(value: Any) -> str:
    """The value as one short phrase."""
    if isinstance(value, ErrorCode):
        return f"{int(value)} {value.name}"
    if isinstance(value, ApiKey):
        return f"{int(value)} {value.message_name}"
    if value is SECRET:
        return SECRET
    if isinstance(value, bytes) and len(value) > BYTES_A_LINE:
        return f"<{len(value)} bytes>"
    text = str(value) if isinstance(value, UUID) else repr(value)
    return text if len(text) <= VALUE_SHOWN_MAX else f"{text[:VALUE_SHOWN_MAX]}..."
