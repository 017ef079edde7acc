"""Size-delimited framing: an int32 length, then that many bytes.

Layer: wire. Knows bytes; knows no requests, sockets or clocks.
Source: https://kafka.apache.org/protocol#protocol_common
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from kproto.wire.errors import BadCount, EncodeError, Underrun

__all__ = ["FRAME_SIZE_MAX", "FrameReader", "frame", "frame_length"]

FRAME_SIZE_MAX: Final = 100 * 1024 * 1024  # bytes; Kafka's default for socket.request.max.bytes
PREFIX: Final = Struct(">i")


def frame(payload: bytes, size_max: int = FRAME_SIZE_MAX) -> bytes:
    """The payload behind its length. Raises EncodeError above `size_max` bytes.

    >>> frame(b"abc").hex()
    '00000003616263'
    """
    return frame_length(len(payload), size_max) + payload


def frame_length(size: int, size_max: int = FRAME_SIZE_MAX) -> bytes:
    """What stands before a payload of this size. Raises EncodeError above `size_max` bytes."""
    if size > size_max:
        raise EncodeError("frame", size, f"a frame holds at most {size_max} bytes")
    return PREFIX.pack(size)


class FrameReader:
    """Cuts a byte stream into frames, however it arrives.

    Holds at most one unfinished frame and what came with it. size_max: bytes of one frame, without its length; a
    greater or negative length raises BadCount before anything is kept for it, and from then on all input is refused:
    the stream has no next frame to find. Not thread-safe: one reader for one direction of one connection.
    """

    def __init__(self, size_max: int = FRAME_SIZE_MAX) -> None:
        self.size_max = size_max
        self.offset = 0
        """Bytes of the stream before the unfinished frame."""
        self._buffer = bytearray()
        self._error: BadCount | None = None

    @property
    def missing(self) -> int:
        """Bytes that the unfinished frame still needs, as far as is known: 4 before its length is there."""
        size = PREFIX.unpack_from(self._buffer)[0] if len(self._buffer) >= PREFIX.size else 0
        return int(PREFIX.size + size - len(self._buffer))

    def feed(self, data: bytes | bytearray | memoryview) -> list[bytes]:
        """Add the next bytes of the stream; the frames that they finish, without lengths.

        Raises BadCount for an impossible length, once all frames before it were given: where frames precede it, they
        are returned, and the next call (or `close`) raises.
        """
        if self._error is not None:
            raise self._error
        self._buffer += data
        frames = []
        start = 0
        available = len(self._buffer)
        while available - start >= PREFIX.size:
            (size,) = PREFIX.unpack_from(self._buffer, start)
            if not 0 <= size <= self.size_max:
                expected = f"a length of 0 to {self.size_max}"
                self._error = BadCount("frame", self.offset + start, expected, str(size))
                break
            stop = start + PREFIX.size + size
            if stop > available:
                break
            frames.append(bytes(memoryview(self._buffer)[start + PREFIX.size : stop]))
            start = stop
        self.offset += start
        if self._error is None:
            del self._buffer[:start]
        else:
            self._buffer.clear()
            if not frames:
                raise self._error
        return frames

    def close(self) -> None:
        """The stream ended. Raises Underrun if that cuts a frame, and an error that `feed` still owes."""
        if self._error is not None:
            raise self._error
        if self._buffer:
            held = len(self._buffer)
            raise Underrun("frame", self.offset, f"{held + self.missing} bytes", str(held))
