"""What `decode` is given, and frames out of it: finds out by the first bytes what it is.

Layer: tools. Opens files; the readers beside it do not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from stat import S_ISREG
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final

from kproto.tools.decode.bad_input import BadInput
from kproto.tools.decode.byte_reader import GZIP_MAGIC, ByteReader, Read, gunzipped
from kproto.tools.decode.capture import is_capture, read_packets
from kproto.tools.decode.frames import Frames
from kproto.tools.decode.hex_input import HEX_SIZE_MAX, Dump, is_hex, read_dumps, to_packet
from kproto.tools.decode.log_lines import has_literals, read_log
from kproto.tools.decode.log_segments import RawBatch, is_segment, read_segment
from kproto.tools.decode.log_streams import LogStreams
from kproto.tools.decode.model import Finding, Frame, Packet
from kproto.tools.decode.raw_frames import RawFrames, is_raw, read_raw_frames
from kproto.tools.decode.tcp import TcpStreams

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Input", "InputKind", "open_input"]

SNIFFED: Final = 64 * 1024
LINE_SIZE_MAX: Final = HEX_SIZE_MAX // 2

Outstanding = Callable[[int], Collection[int]]


class InputKind(Enum):
    """What an input is."""

    CAPTURE = "capture"
    """pcap or pcapng."""
    HEX = "hex"
    """A dump of packets or frames."""
    LOG = "log"
    """Bytes as Python writes them, in the lines of a log."""
    FRAMES = "frames"
    """Frames behind their lengths."""
    SEGMENT = "segment"
    """Record batches of Kafka's log: see `batches`."""


class Input:
    """An open input; a context manager that closes what `open_input` opened.

    name: for people; kind; size: bytes of the file, None for a pipe; offset: how many of them have been read, for
    showing progress. findings: those of the input itself that `batches` met; `frames` gives them in bare frames.
    """

    def __init__(
        self, name: str, read: Read, size: int | None = None, close: Callable[[], None] = lambda: None
    ) -> None:
        """Raises BadInput for what is nothing of InputKind."""
        self.name = name
        self.size = size
        self.findings: list[Finding] = []
        self._close = close
        self._packed = ByteReader(read)
        self._reader = self._packed
        for _ in range(2):  # gzip in gzip has been seen
            if self._reader.rest(2) == GZIP_MAGIC:
                self._reader = ByteReader(gunzipped(self._reader, self._gzip_damaged))
        self.kind = self._sniff()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    @property
    def offset(self) -> int:
        """Bytes that have been read."""
        return self._packed.offset

    def frames(self, *, ports: Collection[int] = (), outstanding: Outstanding = lambda conn: ()) -> Iterator[Frame]:
        """The frames, as the input comes; none of a segment. ports, outstanding: see `Frames`.

        Raises BadInput where it cannot go on; OSError.
        """
        for frame in self._frames(ports, outstanding):
            if self.findings:
                yield self._told()
            yield frame
        if self.findings:
            yield self._told()

    def batches(self) -> Iterator[RawBatch]:
        """The record batches of a segment. Raises OSError."""
        return read_segment(self._reader, self.findings.append)

    def _frames(self, ports: Collection[int], outstanding: Outstanding) -> Iterator[Frame]:
        if self.kind is InputKind.CAPTURE:
            return self._of_packets(read_packets(self._reader, self.findings.append), ports, outstanding)
        if self.kind is InputKind.HEX:
            return self._of_dumps(read_dumps(self._lines()), ports, outstanding)
        if self.kind is InputKind.LOG:
            return LogStreams(outstanding).frames(read_log(self._lines(), self.findings.append))
        return read_raw_frames(self._reader, self.findings.append) if self.kind is InputKind.FRAMES else iter(())

    def _of_packets(
        self, packets: Iterator[Packet], ports: Collection[int], outstanding: Outstanding
    ) -> Iterator[Frame]:
        frames = Frames(ports=ports, outstanding=outstanding)
        streams = TcpStreams(self.findings.append, frames.grow_of)
        for packet in packets:
            for piece in streams.feed(packet):
                yield from frames.feed(piece)
        for piece in streams.end():
            yield from frames.feed(piece)
        yield from frames.end()

    def _of_dumps(self, dumps: Iterator[Dump], ports: Collection[int], outstanding: Outstanding) -> Iterator[Frame]:
        """Packets, a capture, or frames: what the first of them is, the others are, too."""
        first = next(dumps, None)
        if first is None:
            return
        if is_capture(first.data):
            inner = ByteReader(lambda size: b"", first.data)
            yield from self._of_packets(read_packets(inner, self.findings.append), ports, outstanding)
        elif to_packet(first, 1) is not None:
            yield from self._of_packets(self._dumped(first, dumps), ports, outstanding)
        else:
            raw = RawFrames()
            yield from raw.split(first.data, first.time_ns)
            for dump in dumps:
                yield from raw.split(dump.data, dump.time_ns)

    def _dumped(self, first: Dump, dumps: Iterator[Dump]) -> Iterator[Packet]:
        number = 0
        dump: Dump | None = first
        while dump is not None:
            number += 1
            packet = to_packet(dump, number)
            if packet is not None:
                yield packet
            dump = next(dumps, None)

    def _lines(self) -> Iterator[str]:
        reader = self._reader
        while reader.need(1):
            stop = reader.data.find(b"\n", reader.at) + 1
            seen = reader.left
            while not stop and reader.need(seen + 1):
                stop = reader.data.find(b"\n", reader.at + seen) + 1
                seen = reader.left
                if seen > LINE_SIZE_MAX:
                    raise BadInput(f"a line of more than {LINE_SIZE_MAX:,} bytes", reader.offset)
            stop = stop or len(reader.data)
            line = reader.data[reader.at : stop]
            reader.at = stop
            yield line.decode("utf-8", "replace")

    def _told(self) -> Frame:
        findings = tuple(self.findings)
        self.findings.clear()
        return Frame(0, 0, 0, "", "", False, b"", 0, findings, bare=True)

    def _gzip_damaged(self, why: str, offset: int) -> None:
        self.findings.append(Finding("gzip", f"{why}, at byte {offset:,}: the rest is not read", offset=offset))

    def _sniff(self) -> InputKind:
        begin = self._reader.rest(4)
        if is_capture(begin):
            return InputKind.CAPTURE
        begin = self._reader.rest(SNIFFED)
        if not begin:
            raise BadInput(f"{self.name} is empty")
        if is_segment(begin):
            return InputKind.SEGMENT
        if b"\0" not in begin:
            text = begin.decode("utf-8", "replace")
            if has_literals(text):
                return InputKind.LOG
            if is_hex(text):
                return InputKind.HEX
        if is_raw(begin):
            return InputKind.FRAMES
        known = (
            "a capture (pcap, pcapng), hex dump, log with bytes, Kafka's log segment, or frames behind their lengths"
        )
        raise BadInput(f"{self.name} is none of {known}: it begins with {begin[:16].hex(' ')}")


def open_input(path: str, stdin: BinaryIO | None = None) -> Input:
    """A file, or standard input for "-". Raises BadInput, also for a file that cannot be opened."""
    if path == "-":
        file = stdin or sys.stdin.buffer
        return Input("standard input", getattr(file, "read1", file.read))
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(Path(path).open("rb", buffering=0))
            found = Path(path).stat()
            inner = Input(path, opened.read, found.st_size if S_ISREG(found.st_mode) else None, opened.close)
        except OSError as error:
            raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
        stack.pop_all()
        return inner
