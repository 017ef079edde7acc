"""What the stages of `decode` hand on: packets, pieces of streams, frames, and frames decoded.

Layer: tools. Values only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kproto.wire import Message

__all__ = ["DecodedFrame", "Finding", "Frame", "Packet", "StreamPiece"]


class Packet(NamedTuple):
    """One captured packet. time_ns: since the epoch; data: from the link's header on; size: as it was on the wire,
    more than len(data) where the capture cut it; offset: of the packet in the capture, for diagnostics."""

    number: int
    time_ns: int
    link_type: int
    data: bytes | memoryview
    size: int
    offset: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that should not be (or, as a notice, that one may want to know).

    code: a word for programs, such as "gap"; text: for people, with cause and place; notice: no reason to fail.
    offset: in the capture or frame, path: of the field, where there are such.
    """

    code: str
    text: str
    notice: bool = False
    offset: int | None = None
    path: str | None = None


class StreamPiece(NamedTuple):
    """Bytes of one direction of a connection, in order.

    conn: numbered from 1 in the order of appearance; endpoints: "host:port" of the sender and of the receiver;
    time_ns: when the segment that completed it came; gap: bytes that are missing before it; ended: the direction, or
    with a reset the connection, has ended behind it; findings: of the stream, for the next frame. client: which of the
    endpoints opened the connection, None where that was not captured. cut: the gap was sent, but the capture cut it.
    """

    conn: int
    sender: str
    receiver: str
    time_ns: int
    data: bytes | memoryview
    gap: int = 0
    ended: bool = False
    findings: tuple[Finding, ...] = ()
    client: str | None = None
    cut: bool = False


class Frame(NamedTuple):
    """One frame of Kafka's protocol, without its length.

    number: in capture order of the last byte, from 1; request: whether the client sent it; size: as its length says,
    more than len(data) where it was cut.

    bare: it is no frame (number 0, no data), but carries findings that no frame would, of its connection, or of the
    capture where conn is 0. ended: a bare one that tells that the connection has ended.
    """

    number: int
    time_ns: int
    conn: int
    client: str
    broker: str
    request: bool
    data: bytes | memoryview
    size: int
    findings: tuple[Finding, ...] = ()
    bare: bool = False
    ended: bool = False


@dataclass(slots=True)
class DecodedFrame:
    """A frame, and what it says.

    api_key, version, correlation_id, client_id: None where the frame does not say; api: the name, also of an API that
    is not declared. message: None where it is not declared, or lies; request: the request that a response answers.
    latency_ms: of a response. topics: of Produce 13 and others that name topics by id, id -> name, as learned.
    """

    frame: Frame
    api_key: int | None = None
    api: str | None = None
    version: int | None = None
    correlation_id: int | None = None
    client_id: str | None = None
    message: Message | None = None
    request: DecodedFrame | None = None
    latency_ms: float | None = None
    redacted: bool = False
    """Whether secrets of SASL were overwritten in it."""
    topics: dict[Any, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
