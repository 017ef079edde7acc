"""The codecs of record batches: one call to compress, one to decompress under a limit.

Layer: wire. Knows the framing that Kafka expects of each codec. The libraries are imported on first use.
Source: KIP-110 (zstd), KIP-390 (levels), org.apache.kafka.common.compress; the xerial framing of snappy-java.

Thread-safe. Decompression never holds more than about twice its limit, whatever sizes the data claims.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from kproto.wire.errors import DecodeError, DecompressionError, EncodeError
from kproto.wire.records.model import Compression
from kproto.wire.varint import read_unsigned_varint

__all__ = ["LEVELS", "check_level", "compress", "decompress", "repair_lz4_header"]

GZIP_WINDOW: Final = 31  # zlib's 15 bits of window, and 16 for the gzip container
LEVELS: Final = {
    Compression.GZIP: (-1, 9),
    Compression.LZ4: (1, 17),
    Compression.ZSTD: (-131_072, 22),
}
"""codec -> least and greatest level (KIP-390). gzip: -1 is zlib's own choice, 6; lz4: 9 is the fast compressor."""

GZIP_LEVEL: Final = -1
ZSTD_LEVEL: Final = 3
LZ4_FAST: Final = 9  # Kafka's number for the fast compressor; every other one is a level of the slow one
LZ4_HC_LEVEL_MAX: Final = 12  # liblz4 treats higher ones as this
KEPT_CONTEXTS_MAX: Final = 8
KEPT_LEVELS_MAX: Final = 4

XERIAL_MAGIC: Final = b"\x82SNAPPY\0"
XERIAL_HEADER: Final = XERIAL_MAGIC + b"\0\0\0\1" * 2  # version 1, readable since version 1
XERIAL_BLOCK: Final = 32 * 1024  # bytes of input in a block
BLOCK_SIZE: Final = Struct(">i")

LZ4_MAGIC: Final = b"\x04\x22\x4d\x18"
LZ4_INDEPENDENT: Final = 0x20  # a bit of the frame's FLG byte
LZ4_CONTENT_SIZE: Final = 0x08

ZSTD_EXPANSION_MAX: Final = 32 * 1024  # a block of 4 bytes repeats one byte 128 KiB times
ZSTD_INPUT_MIN: Final = 64


def check_level(codec: Compression, level: int | None) -> None:
    """Raises EncodeError for a level that the codec lacks; None is the codec's default."""
    if level is None:
        return
    bounds = LEVELS.get(codec)
    if bounds is None:
        raise EncodeError("compression_level", level, f"{codec} has no levels")
    if not bounds[0] <= level <= bounds[1] or (codec is Compression.GZIP and level == 0):
        raise EncodeError("compression_level", level, f"{codec} has levels {bounds[0]} to {bounds[1]}")


def compress(codec: Compression, data: bytes, level: int | None = None) -> bytes:
    """The body of a batch, compressed in the framing that brokers and other clients read.

    Raises EncodeError for a level out of bounds, and for snappy where cramjam is not installed.
    """
    check_level(codec, level)
    return data if codec is Compression.NONE else COMPRESSORS[codec](data, level)


def _compress_gzip(data: bytes, level: int | None) -> bytes:
    stream = zlib.compressobj(GZIP_LEVEL if level is None else level, zlib.DEFLATED, GZIP_WINDOW)
    return stream.compress(data) + stream.flush()


def _compress_snappy(data: bytes, level: int | None) -> bytes:
    snappy = _snappy()
    parts = [XERIAL_HEADER]
    for start in range(0, len(data), XERIAL_BLOCK):
        block = bytes(snappy.compress_raw(data[start : start + XERIAL_BLOCK]))
        parts += (BLOCK_SIZE.pack(len(block)), block)
    return b"".join(parts)


def _compress_lz4(data: bytes, level: int | None) -> bytes:
    from lz4 import frame

    # Brokers refuse linked blocks, the library's default.
    compressed: bytes = frame.compress(
        data,
        compression_level=0 if level in (None, LZ4_FAST) else min(level or 0, LZ4_HC_LEVEL_MAX),
        block_size=frame.BLOCKSIZE_MAX64KB,
        block_linked=False,
        store_size=False,
    )
    return compressed


# A context is a third of the work of a small batch, and serves one thread at a time: those not in use wait here.
_zstd_contexts: Final[dict[int, list[Any]]] = {}


def _compress_zstd(data: bytes, level: int | None) -> bytes:
    from zstandard import ZstdCompressor

    level = ZSTD_LEVEL if level is None else level
    try:
        context = _zstd_contexts[level].pop()
    except (KeyError, IndexError):
        context = ZstdCompressor(level=level, write_content_size=False)
    compressed = bytes(
        memoryview(context.compress(data))
    )  # a copy: the library's own keeps the room for the worst case
    if level in _zstd_contexts or len(_zstd_contexts) < KEPT_LEVELS_MAX:
        idle = _zstd_contexts.setdefault(level, [])
        if len(idle) < KEPT_CONTEXTS_MAX:
            idle.append(context)
    return compressed


COMPRESSORS: Final[dict[Compression, Callable[[bytes, int | None], bytes]]] = {
    Compression.GZIP: _compress_gzip,
    Compression.SNAPPY: _compress_snappy,
    Compression.LZ4: _compress_lz4,
    Compression.ZSTD: _compress_zstd,
}


def _snappy() -> Any:
    try:
        from cramjam import snappy
    except ImportError:
        raise EncodeError("compression", "snappy", "needs the package cramjam: pip install 'kproto[snappy]'") from None
    return snappy


def decompress(codec: Compression, data: bytes, max_size: int, path: str = "records", offset: int = 0) -> bytes:
    """What `compress` was given; also of frames that other clients write, such as bare snappy or checked lz4.

    max_size: bytes that the result may have. path, offset: where the data stands, for errors. Raises DecompressionError
    for damaged, cut or trailing bytes, and past the limit; EncodeError for snappy where cramjam is not installed.
    """
    if codec is Compression.NONE:
        return data
    try:
        return DECOMPRESSORS[codec](data, max_size)
    except _Refused as refusal:
        raise DecompressionError(path, offset, *refusal.args) from None


class _Refused(Exception):
    """expected, found: the facts of a DecompressionError whose place is not known here."""


def _too_large(max_size: int) -> _Refused:
    return _Refused(f"at most {max_size} bytes decompressed", "more")


def _decompress_gzip(data: bytes, max_size: int) -> bytes:
    parts = []
    left = max_size
    while True:  # one round for each member
        stream = zlib.decompressobj(GZIP_WINDOW)
        try:
            part = stream.decompress(data, left + 1)
        except zlib.error as error:
            raise _Refused("a gzip member", str(error)) from None
        left -= len(part)
        if left < 0:
            raise _too_large(max_size)
        if not stream.eof:
            raise _Refused("a whole gzip member", f"the end of {len(data)} bytes")
        parts.append(part)
        data = stream.unused_data
        if not data:
            return b"".join(parts)


def _decompress_snappy(data: bytes, max_size: int) -> bytes:
    if not data.startswith(XERIAL_MAGIC):
        return _snappy_block(data, max_size, max_size)  # librdkafka and the Go clients write one bare block
    parts = []
    left = max_size
    start = len(XERIAL_HEADER)
    if len(data) < start:
        raise _Refused(f"a xerial header of {start} bytes", str(len(data)))
    while start < len(data):
        if start + BLOCK_SIZE.size > len(data):
            raise _Refused("the size of a snappy block", f"{len(data) - start} bytes")
        (size,) = BLOCK_SIZE.unpack_from(data, start)
        start += BLOCK_SIZE.size
        if not 0 < size <= len(data) - start:
            raise _Refused(f"a snappy block of 1 to {len(data) - start} bytes", str(size))
        part = _snappy_block(data[start : start + size], left, max_size)
        parts.append(part)
        left -= len(part)
        start += size
    return b"".join(parts)


def _snappy_block(block: bytes, left: int, max_size: int) -> bytes:
    snappy = _snappy()
    from cramjam import DecompressionError as SnappyError

    try:
        size, _ = read_unsigned_varint(block, 0)
        if size > left:  # the library believes the size that the block claims
            raise _too_large(max_size)
        return bytes(snappy.decompress_raw(block))
    except (SnappyError, DecodeError) as error:
        raise _Refused("a snappy block", str(error)) from None


def _decompress_lz4(data: bytes, max_size: int) -> bytes:
    from lz4.frame import LZ4FrameDecompressor

    if len(data) < 7 or not data.startswith(LZ4_MAGIC):
        raise _Refused("an lz4 frame", f"{len(data)} bytes that begin {data[:4].hex()}")
    if not data[4] & LZ4_INDEPENDENT:
        raise _Refused("independent lz4 blocks, as Kafka asks for", "linked ones")
    stream = LZ4FrameDecompressor()
    try:
        result: bytes = stream.decompress(data, max_length=max_size + 1)
    except (RuntimeError, EOFError) as error:
        raise _Refused("an lz4 frame", str(error)) from None
    if len(result) > max_size:
        raise _too_large(max_size)
    if not stream.eof:
        raise _Refused("a whole lz4 frame", f"the end of {len(data)} bytes")
    if stream.unused_data:
        raise _Refused("the end of the lz4 frame", f"{len(stream.unused_data)} more bytes")
    return result


def _decompress_zstd(data: bytes, max_size: int) -> bytes:
    from zstandard import ZstdDecompressor, ZstdError

    parts = []
    left = max_size
    start = 0
    stream = ZstdDecompressor().decompressobj()
    while start < len(data):
        # The library has no limit for its output; so much input cannot give much more than what is left.
        stop = start + max(ZSTD_INPUT_MIN, left // ZSTD_EXPANSION_MAX)
        try:
            part = stream.decompress(data[start:stop])
        except ZstdError as error:
            raise _Refused("a zstd frame", str(error)) from None
        left -= len(part)
        if left < 0:
            raise _too_large(max_size)
        parts.append(part)
        start = min(stop, len(data)) - len(stream.unused_data)
        if stream.eof and start < len(data):
            stream = ZstdDecompressor().decompressobj()
    if not stream.eof:
        raise _Refused("a whole zstd frame", f"the end of {len(data)} bytes")
    return b"".join(parts)


DECOMPRESSORS: Final[dict[Compression, Callable[[bytes, int], bytes]]] = {
    Compression.GZIP: _decompress_gzip,
    Compression.SNAPPY: _decompress_snappy,
    Compression.LZ4: _decompress_lz4,
    Compression.ZSTD: _decompress_zstd,
}


def repair_lz4_header(data: bytes) -> bytes:
    """A frame of a magic 0 message set with the header checksum that the lz4 format asks for.

    Old clients hashed the frame's magic number along with its header. Source: KAFKA-3160.
    """
    from lz4 import frame

    if len(data) < 7 or not data.startswith(LZ4_MAGIC):
        return data
    checksum_at = 14 if data[4] & LZ4_CONTENT_SIZE else 6
    for checksum in range(256):
        repaired = data[:checksum_at] + bytes([checksum]) + data[checksum_at + 1 :]
        try:
            frame.get_frame_info(repaired)
        except RuntimeError:
            continue
        return repaired
    return data
