"""Bytes of a file or pipe, as many as are asked for, without going back.

Layer: tools. Reads no further than what the input gives at once, so that a pipe is followed as it is written.
Source: RFC 1952 (gzip).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

__all__ = ["GZIP_MAGIC", "ByteReader", "gunzipped"]

GZIP_MAGIC: Final = b"\x1f\x8b"
CHUNK_SIZE: Final = 256 * 1024
GZIP_AND_HEADER: Final = 31  # zlib's word for "32 KiB of window, in gzip's wrapping"

Read = Callable[[int], bytes]
"""At least one of the next bytes, at most so many; none at the end. `read` of a raw file, `read1` of a buffered one."""


class ByteReader:
    """data[at:] is what was read and not yet taken; offset(at) of its first byte in the input.

    Its users move `at` themselves, for speed. Raises what `read` raises. Not thread-safe.
    """

    __slots__ = ("_base", "_read", "at", "data")

    def __init__(self, read: Read, data: bytes = b"", base: int = 0) -> None:
        self._read = read
        self._base = base
        self.data = data
        self.at = 0

    @property
    def offset(self) -> int:
        """Of the next byte in the input."""
        return self._base + self.at

    @property
    def left(self) -> int:
        """Bytes that are here and not yet taken."""
        return len(self.data) - self.at

    def need(self, size: int) -> bool:
        """Whether `size` bytes are there to be taken; those that are not here yet are waited for."""
        have = len(self.data) - self.at
        if have >= size:
            return True
        chunks = [self.data[self.at :]]
        while have < size:
            chunk = self._read(CHUNK_SIZE)
            if not chunk:
                break
            chunks.append(chunk)
            have += len(chunk)
        self._base += self.at
        self.data = b"".join(chunks)
        self.at = 0
        return have >= size

    def skip(self, size: int) -> bool:
        """Take `size` bytes and forget them; False where the input ends before."""
        while size > len(self.data) - self.at:
            size -= len(self.data) - self.at
            self.at = len(self.data)
            if not self.need(1):
                return False
        self.at += size
        return True

    def rest(self, size: int) -> bytes:
        """What is left of the input, up to `size` bytes, without taking it."""
        self.need(size)
        return self.data[self.at : self.at + size]


def gunzipped(reader: ByteReader, damaged: Callable[[str, int], None]) -> Read:
    """What `reader` gives, unpacked, also of several gzip members one behind the other.

    damaged: told why and at which packed byte, where it ends too early or is no gzip; what was unpacked is given.
    """
    unpack = zlib.decompressobj(GZIP_AND_HEADER)
    begun = False

    def read(size: int) -> bytes:
        nonlocal unpack, begun
        while unpack.unconsumed_tail or reader.need(1):
            packed = unpack.unconsumed_tail or reader.data[reader.at : reader.at + CHUNK_SIZE]
            if not unpack.unconsumed_tail:
                reader.at += len(packed)
            try:
                data = unpack.decompress(packed, size)
            except zlib.error as error:
                damaged(f"gzip is damaged: {error}", reader.offset)
                reader.skip(reader.left)
                unpack, begun = zlib.decompressobj(GZIP_AND_HEADER), False
                return b""
            begun = True
            if unpack.eof:
                reader.at -= len(unpack.unused_data)
                unpack, begun = zlib.decompressobj(GZIP_AND_HEADER), False
            if data:
                return data
        if begun:
            damaged("gzip ends too early", reader.offset)
            begun = False
        return b""

    return read
