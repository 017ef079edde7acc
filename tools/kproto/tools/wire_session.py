"""One session of an idempotent producer, packet by packet: what passes, in the order of a capture.

Layer: tools. The capture that comes with kproto, `wire_session.pcap`, is of kproto's producer with Apache Kafka, on the
loopback; `wire_session_page` explains it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from io import BytesIO, StringIO
from typing import Final, NamedTuple

from rich.console import Console

from kproto.tools.decode.byte_reader import ByteReader
from kproto.tools.decode.capture import read_packets
from kproto.tools.decode.conversation import Conversations
from kproto.tools.decode.inputs import Input
from kproto.tools.decode.link_layers import ACK, FIN, SYN, Segment, endpoint, segment_of
from kproto.tools.decode.model import DecodedFrame, Packet
from kproto.tools.decode.texts import clock_text
from kproto.tools.session import Frame, show_frame
from kproto.wire import RESPONSES, ApiKey
from kproto.wire.annotate import annotate_request, annotate_response

__all__ = ["CAPTURE", "Event", "annotated", "read_events", "shipped_capture"]

CAPTURE: Final = "wire_session.pcap"
WIDTH: Final = 1_000  # characters: lines are not broken


class Event(NamedTuple):
    """A step of the session. kind: "open" or "close" of a connection, or the API and `request` or `response`.

    packets: lines for those of TCP; frame: of Kafka, for the others.
    """

    kind: str
    packets: tuple[str, ...] = ()
    frame: DecodedFrame | None = None


def shipped_capture() -> bytes:
    """The capture that comes with kproto."""
    return files("kproto.tools").joinpath(CAPTURE).read_bytes()


def read_events(capture: bytes) -> Iterator[Event]:
    """The steps of a session. Each frame is in a packet of its own; packets without data that neither open nor close a
    connection are left out. Raises BadInput, ValueError for a capture that is otherwise."""
    frames = iter(_frames(capture))
    opening: list[str] = []
    closing: list[str] = []
    for packet, segment in _segments(capture):
        _, _, _, flags, data, _ = segment
        if flags & SYN or (opening and not len(data)):
            opening.append(_line(packet, segment))
            if len(opening) == 3:
                yield Event("open", tuple(opening))
                opening.clear()
        elif flags & FIN or (closing and not len(data)):
            closing.append(_line(packet, segment))
        elif len(data):
            found = next(frames, None)
            if found is None or found.frame.time_ns != packet.time_ns:
                raise ValueError(f"packet {packet.number} does not hold one frame")
            yield Event(f"{found.api} {'request' if found.frame.request else 'response'}", frame=found)
    yield Event("close", tuple(closing))


def annotated(decoded: DecodedFrame, elements: int) -> str:
    """A title, and a line for each byte range. elements: how many of each array are shown."""
    key, version, frame = decoded.api_key, decoded.version, decoded.frame
    assert key is not None and version is not None
    data = bytes(frame.data)
    spans = annotate_request(data) if frame.request else annotate_response(data, RESPONSES[ApiKey(key)], version)
    kind = "request" if frame.request else "response"
    out = StringIO()
    shown = Frame(">" if frame.request else "<", data, f"{decoded.api} {version} {kind}", "", spans)
    show_frame(shown, Console(file=out, width=WIDTH, color_system=None, soft_wrap=True), elements=elements)
    return out.getvalue().replace("; --all shows them", "")


def _frames(capture: bytes) -> list[DecodedFrame]:
    """Raises ValueError where there is a finding."""
    conversations = Conversations()
    frames = Input(CAPTURE, BytesIO(capture).read).frames(outstanding=conversations.outstanding)
    found = [decoded for frame in frames for decoded in conversations.feed(frame)]
    for decoded in found:
        for finding in decoded.findings:
            raise ValueError(f"frame {decoded.frame.number}: {finding.text}")
    return [decoded for decoded in found if not decoded.frame.bare]


def _segments(capture: bytes) -> Iterator[tuple[Packet, Segment]]:
    for packet in read_packets(ByteReader(BytesIO(capture).read), lambda finding: None):
        segment = segment_of(packet)
        if isinstance(segment, str):
            raise ValueError(f"packet {packet.number} is {segment}")
        yield packet, segment


def _line(packet: Packet, segment: Segment) -> str:
    key, sequence, acknowledged, flags, _, _ = segment
    source, target = endpoint(key)
    names = " ".join(name for name, bit in (("SYN", SYN), ("FIN", FIN), ("ACK", ACK)) if flags & bit)
    behind = f", acknowledged {acknowledged}" if flags & ACK else ""
    return f"{clock_text(packet.time_ns)}  {source} -> {target}  {names:7}  sequence {sequence}{behind}"
