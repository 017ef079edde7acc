"""The demonstration: a session that was recorded with Apache Kafka, decoded byte range by byte range.

Layer: tools. The frames are in `session.txt`: a line each, `>` for requests and `<` for responses, hex without the
length prefix.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from kproto.wire import ApiKey, DecodeError, RequestHeader
from kproto.wire.annotate import Annotation, annotate_request, annotate_response, hexdump
from kproto.wire.envelope import request_class
from kproto.wire.messages import RESPONSES

__all__ = ["Frame", "read_session", "show_demo"]

PURPOSE: Final = {
    (ApiKey.API_VERSIONS, ">"): "which versions of which APIs do you speak?",
    (ApiKey.API_VERSIONS, "<"): "each API with its first and last version",
    (ApiKey.METADATA, ">"): "who leads the partitions of this topic?",
    (ApiKey.METADATA, "<"): "the brokers, and the leader of each partition",
    (ApiKey.INIT_PRODUCER_ID, ">"): "an id, please, so that you can tell a repeated batch from a new one",
    (ApiKey.INIT_PRODUCER_ID, "<"): "the producer id and its epoch",
    (ApiKey.PRODUCE, ">"): "a batch of records, stamped with id, epoch and sequence",
    (ApiKey.PRODUCE, "<"): "the offset that the first record got",
}
COLOURS: Final = {">": "cyan", "<": "green"}


class Frame(NamedTuple):
    """One frame of the session: direction, payload, what it is, and its annotated bytes."""

    direction: str
    payload: bytes
    title: str
    spans: Annotation


def read_session(text: str) -> Iterator[Frame]:
    """The frames of a recording. Responses are paired with requests by correlation id. Raises DecodeError."""
    asked = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        direction, _, digits = line.partition(" ")
        payload = bytes.fromhex(digits)
        if direction == ">":
            cls, version = request_class(payload)
            header, _ = RequestHeader.decode_prefix(payload, 0)
            asked[header.correlation_id] = (cls, version)
            spans = annotate_request(payload)
        else:
            cls, version = asked.pop(int.from_bytes(payload[:4], "big", signed=True))
            spans = annotate_response(payload, RESPONSES[cls.api_key or 0], version)
        key = ApiKey(cls.api_key or 0)
        kind = "request" if direction == ">" else "response"
        title = f"{key.message_name} {version} {kind}: {PURPOSE.get((key, direction), '')}"
        yield Frame(direction, payload, title, spans)


def show_demo(console: Console) -> None:
    """Print the shipped session."""
    text = files("kproto.tools").joinpath("session.txt").read_text()
    console.print(Text("An idempotent producer meets a broker: offset, bytes, field, type, value.", style="bold"))
    for frame in read_session(text):
        if frame.spans.error is not None:
            raise DecodeError(*frame.spans.error.args)
        console.print()
        arrow = "client -> broker" if frame.direction == ">" else "broker -> client"
        console.print(
            Text(f"{arrow}  {frame.title} ({len(frame.payload)} bytes)", style=f"bold {COLOURS[frame.direction]}")
        )
        for line in hexdump(frame.payload, frame.spans):
            console.print(Text.assemble((line[:4], "dim"), line[4:56], (line[56:], COLOURS[frame.direction])))
