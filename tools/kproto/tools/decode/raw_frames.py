"""Frames without the connections that they came by: in a file, one behind the other, or single ones.

Layer: tools. Who sent a frame is told by what it looks like: what can be a request is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from kproto.tools.decode.byte_reader import ByteReader
from kproto.tools.decode.model import Finding, Frame
from kproto.tools.decode.plausible import PREFIX_SIZE, begins_request
from kproto.wire import FRAME_SIZE_MAX

__all__ = ["BROKER", "CLIENT", "RawFrames", "is_raw", "read_raw_frames"]

CLIENT: Final = "client:0"
BROKER: Final = "broker:0"
RESPONSE_SIZE_MIN: Final = 4


class RawFrames:
    """Makes frames of payloads, numbered, all of connection 1."""

    def __init__(self) -> None:
        self._number = 0

    def frame(self, payload: bytes, time_ns: int = 0, sent: bool | None = None, size: int | None = None) -> Frame:
        """The frame of a payload without its length. sent: by the client; None to look. size: where it was cut."""
        self._number += 1
        size = len(payload) if size is None else size
        request = looks_like_request(payload) if sent is None else sent
        findings: tuple[Finding, ...] = ()
        if size > len(payload):
            findings = (Finding("cut", f"{len(payload):,} bytes of a frame of {size:,} are here"),)
        return Frame(self._number, time_ns, 1, CLIENT, BROKER, request, payload, size, findings)

    def split(self, data: bytes, time_ns: int = 0, sent: bool | None = None) -> Iterator[Frame]:
        """The frames in a piece, behind their lengths; or it is one without a length. The last may be cut."""
        cuts = list(_cuts(data))
        comes_out = bool(cuts) and cuts[-1][1] == len(data)
        if data and not comes_out and (looks_like_request(data) or not is_raw(data)):
            cuts = [(0, len(data))]
        for start, stop in cuts:
            yield self.frame(data[start:stop], time_ns, sent, stop - start)


def _cuts(data: bytes) -> Iterator[tuple[int, int]]:
    """Where frames begin and end in it, if they stand behind their lengths; the last may end behind the data."""
    at = 0
    while len(data) - at >= PREFIX_SIZE:
        size = int.from_bytes(data[at : at + PREFIX_SIZE], "big")
        at += PREFIX_SIZE + size
        yield at - size, at


def looks_like_request(payload: bytes) -> bool:
    """Whether it can be a request; it is decoded to see that, where its API is declared."""
    return begins_request(len(payload).to_bytes(PREFIX_SIZE, "big") + payload)


def is_raw(begin: bytes) -> bool:
    """Whether input that begins so can be frames behind their lengths."""
    size = int.from_bytes(begin[:PREFIX_SIZE], "big")
    return len(begin) >= PREFIX_SIZE + RESPONSE_SIZE_MIN and RESPONSE_SIZE_MIN <= size <= FRAME_SIZE_MAX


def read_raw_frames(reader: ByteReader, report: Callable[[Finding], None]) -> Iterator[Frame]:
    """The frames of a file. report: told of a length that cannot be, where reading ends."""
    frames = RawFrames()
    while reader.need(PREFIX_SIZE):
        size = int.from_bytes(reader.data[reader.at : reader.at + PREFIX_SIZE], "big", signed=True)
        if not 0 <= size <= FRAME_SIZE_MAX:
            text = f"a frame of {size:,} bytes at byte {reader.offset:,}: the rest is not read"
            report(Finding("impossible-frame", text, offset=reader.offset))
            return
        whole = reader.need(PREFIX_SIZE + size)
        start = reader.at + PREFIX_SIZE
        payload = reader.data[start : start + size]
        reader.at = start + len(payload)
        yield frames.frame(payload, size=size)
        if not whole:
            return
    if reader.left:
        text = f"{reader.left} bytes behind the last frame, at byte {reader.offset:,}"
        report(Finding("cut", text, offset=reader.offset))
