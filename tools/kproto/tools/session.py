"""Frames of a session, decoded byte range by byte range: of one that comes with kproto, or of one that was just had.

Layer: tools. The shipped one was recorded with Apache Kafka and is in `session.txt`: a line each, `>` for requests and
`<` for responses, hex without the length prefix, and what the frame is for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from itertools import groupby
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from kproto.wire import RESPONSES, ApiKey, RequestHeader, Response
from kproto.wire.annotate import Annotation, Span, annotate_request, annotate_response, hexdump
from kproto.wire.envelope import request_class

__all__ = ["Frame", "read_session", "shipped_session", "show_frame", "show_session"]

COLOURS: Final = {">": "cyan", "<": "green"}
ARROWS: Final = {">": "client -> broker", "<": "broker -> client"}
ELEMENTS_SHOWN: Final = 3
"""Of an array, at any depth."""


class Frame(NamedTuple):
    """One frame of a session. direction: `>` or `<`; payload: without its length; purpose: a sentence, or ""."""

    direction: str
    payload: bytes
    title: str
    purpose: str
    spans: Annotation


def read_session(text: str) -> Iterator[Frame]:
    """The frames of a recording, each response paired with its request by correlation id; `#` begins a comment.

    Raises DecodeError for a damaged frame, ValueError for a line that is no frame or that answers nothing.
    """
    asked: dict[int, tuple[type[Response], int]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"([<>]) ((?:[0-9a-f]{2})+)(?: (.*))?", line)
        if match is None:
            raise ValueError(f"line {number} is no frame: > or <, then hex digits")
        direction, digits, purpose = match.groups("")
        payload = bytes.fromhex(digits)
        if direction == ">":
            request, version = request_class(payload)
            key = ApiKey(request.api_key or 0)
            header, _ = RequestHeader.decode_prefix(payload, 0)
            asked[header.correlation_id] = RESPONSES[key], version
            spans = annotate_request(payload)
        else:
            correlation_id = int.from_bytes(payload[:4], "big", signed=True)
            if correlation_id not in asked:
                raise ValueError(f"line {number} answers no request: correlation id {correlation_id}")
            response, version = asked.pop(correlation_id)
            key = ApiKey(response.api_key or 0)
            spans = annotate_response(payload, response, version)
        if spans.error is not None:
            raise spans.error
        kind = "request" if direction == ">" else "response"
        yield Frame(direction, payload, f"{key.message_name} {version} {kind}", purpose, spans)


def shipped_session() -> str:
    """The text of the recording that comes with kproto."""
    return files("kproto.tools").joinpath("session.txt").read_text(encoding="utf-8")


def show_session(text: str, console: Console, *, every: bool = False) -> None:
    """Print a recording. every: also the elements of long arrays. Raises as `read_session`."""
    console.print(Text("A producer meets a broker. Each line: offset, bytes, field, type, value.", style="bold"))
    for frame in read_session(text):
        console.print()
        show_frame(frame, console, elements=None if every else ELEMENTS_SHOWN)


def show_frame(frame: Frame, console: Console, *, elements: int | None = ELEMENTS_SHOWN) -> None:
    """Print a heading and a line for each byte range. elements: how many of each array, None for all."""
    colour = COLOURS[frame.direction]
    title = f"{ARROWS[frame.direction]}  {frame.title}, {len(frame.payload)} bytes. {frame.purpose}"
    console.print(Text(title.rstrip(), style=f"bold {colour}"))
    lines = hexdump(frame.payload, frame.spans)
    shown = zip(frame.spans, lines, strict=True)
    for far, group in groupby(shown, key=lambda pair: _far(pair[0], elements) is not None):
        if far:
            console.print(Text(_summary([span for span, _ in group], elements), style="dim"))
            continue
        for _, line in group:
            console.print(Text.assemble((line[:4], "dim"), line[4:56], (line[56:], colour)))


def _far(span: Span, elements: int | None) -> str | None:
    """The element that is left out, and that it belongs to; None where it is shown."""
    if elements is not None:
        for match in re.finditer(r"\[([0-9]+)\]", span.path):
            if int(match[1]) >= elements:
                return span.path[: match.end()]
    return None


def _summary(spans: list[Span], elements: int | None) -> str:
    """One line for ranges that are left out."""
    ends = [_far(span, elements) or span.path for span in (spans[0], spans[-1])]
    size = spans[-1].stop - spans[0].start
    return f"{spans[0].start:04x}  ... {size} bytes: {' to '.join(dict.fromkeys(ends))}; --all shows them"
