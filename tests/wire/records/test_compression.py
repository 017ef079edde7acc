"""Codecs: their framing, their levels, and the limit that no claim of the data moves."""

from __future__ import annotations

import gzip
import sys
import tracemalloc

import cramjam
import lz4.block
import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import DecompressionError, EncodeError
from kproto.wire.records import Compression
from kproto.wire.records import compression as module
from kproto.wire.records.compression import LEVELS, compress, decompress

CODECS = [codec for codec in Compression if codec]
TEXT = b"the same words, again and again; " * 3_000  # three blocks of snappy, two of lz4
EACH_CODEC = pytest.mark.parametrize("codec", CODECS, ids=str)


@EACH_CODEC
@given(st.binary(max_size=2_000) | st.integers(0, 200_000).map(bytes))
def test_round_trip(codec, data):
    assert decompress(codec, compress(codec, data), len(data)) == data


def test_comp_1_no_codec_is_no_change():
    assert compress(Compression.NONE, TEXT) is TEXT
    assert decompress(Compression.NONE, TEXT, 0) is TEXT


def test_comp_2_gzip_is_one_member_and_readers_take_several():
    assert gzip.decompress(compress(Compression.GZIP, TEXT)) == TEXT
    two = gzip.compress(b"first, ") + gzip.compress(b"second")
    assert decompress(Compression.GZIP, two, 100) == b"first, second"


def test_comp_3_snappy_is_a_xerial_stream_and_readers_take_a_bare_block():
    golden = "82534e4150505900000000010000000100000006040c61616161"
    assert compress(Compression.SNAPPY, b"aaaa").hex() == golden
    assert decompress(Compression.SNAPPY, bytes.fromhex(golden), 4) == b"aaaa"
    assert decompress(Compression.SNAPPY, bytes(cramjam.snappy.compress_raw(TEXT)), len(TEXT)) == TEXT
    assert compress(Compression.SNAPPY, b"") == bytes.fromhex(golden)[:16]


def test_comp_4_lz4_blocks_are_independent():
    compressed = compress(Compression.LZ4, TEXT)
    assert compressed.startswith(bytes.fromhex("04224d18604082"))
    assert lz4.frame.decompress(compressed) == TEXT
    linked = lz4.frame.compress(TEXT, block_linked=True)
    with pytest.raises(DecompressionError, match="independent lz4 blocks, as Kafka asks for, found linked ones"):
        decompress(Compression.LZ4, linked, len(TEXT))
    checked = lz4.frame.compress(TEXT, block_linked=False, content_checksum=True, block_checksum=True, store_size=True)
    assert decompress(Compression.LZ4, checked, len(TEXT)) == TEXT
    with pytest.raises(DecompressionError, match="lz4"):
        decompress(Compression.LZ4, checked[:-1] + b"\0", len(TEXT))


def test_comp_5_zstd_has_no_content_size_and_readers_take_several_frames():
    compressed = compress(Compression.ZSTD, TEXT)
    assert zstandard.get_frame_parameters(compressed).content_size == zstandard.CONTENTSIZE_UNKNOWN
    two = compress(Compression.ZSTD, b"first, ") + zstandard.ZstdCompressor(write_checksum=True).compress(b"second")
    assert decompress(Compression.ZSTD, two, 100) == b"first, second"


@pytest.mark.parametrize(
    ("codec", "level"), [(codec, level) for codec, bounds in LEVELS.items() for level in (*bounds, 3)]
)
def test_comp_6_levels(codec, level):
    assert decompress(codec, compress(codec, TEXT, level), len(TEXT)) == TEXT


def test_comp_6_level_9_of_lz4_is_the_fast_compressor():
    assert compress(Compression.LZ4, TEXT, 9) == compress(Compression.LZ4, TEXT)
    assert compress(Compression.LZ4, TEXT, 17) == compress(Compression.LZ4, TEXT, 12)
    with pytest.raises(EncodeError, match="lz4 has levels"):
        compress(Compression.LZ4, TEXT, 18)


@EACH_CODEC
def test_comp_7_the_limit_and_one_below_it(codec):
    compressed = compress(codec, TEXT)
    assert decompress(codec, compressed, len(TEXT)) == TEXT
    for limit in (len(TEXT) - 1, 70_000, 1, 0):
        with pytest.raises(DecompressionError, match=f"at most {limit} bytes decompressed, found more"):
            decompress(codec, compressed, limit)


def bombs():
    zeros = bytes(1 << 20)
    yield "zstd", Compression.ZSTD, zstandard.ZstdCompressor(level=19).compress(bytes(256 << 20))
    yield "zstd frames", Compression.ZSTD, zstandard.ZstdCompressor().compress(zeros) * 256
    yield "gzip", Compression.GZIP, gzip.compress(bytes(256 << 20), 9)
    yield "gzip members", Compression.GZIP, gzip.compress(zeros, 9) * 256
    yield "lz4", Compression.LZ4, lz4.frame.compress(bytes(256 << 20), block_linked=False)
    yield "snappy", Compression.SNAPPY, bytes(cramjam.snappy.compress_raw(bytes(256 << 20)))
    block = bytes(cramjam.snappy.compress_raw(zeros))
    stream = b"\x82SNAPPY\0\0\0\0\1\0\0\0\1" + (len(block).to_bytes(4, "big") + block) * 256
    yield "snappy blocks", Compression.SNAPPY, stream
    yield "snappy lie", Compression.SNAPPY, b"\xff\xff\xff\xff\x0f" + b"\0" * 10


@pytest.mark.parametrize(("codec", "bomb"), [pytest.param(*rest, id=name) for name, *rest in bombs()])
def test_comp_7_a_bomb_stops_at_the_limit(codec, bomb):
    limit = 4 << 20
    tracemalloc.start()
    try:
        with pytest.raises(DecompressionError, match=f"at most {limit} bytes decompressed"):
            decompress(codec, bomb, limit)
        assert tracemalloc.get_traced_memory()[1] < 4 * limit
    finally:
        tracemalloc.stop()


@EACH_CODEC
def test_every_truncation_and_a_trailing_byte_is_refused(codec):
    data = b"some bytes that hardly compress: 0123456789"
    compressed = compress(codec, data)
    for size in range(len(compressed)):
        if codec is Compression.SNAPPY and size == 16:
            assert decompress(codec, compressed[:size], 100) == b""  # a stream of no blocks
            continue
        with pytest.raises(DecompressionError) as caught:
            decompress(codec, compressed[:size], 100, "RecordBatch[0] body", 61)
        assert str(caught.value).startswith("RecordBatch[0] body at byte 61: expected ")
    with pytest.raises(DecompressionError):
        decompress(codec, compressed + b"\xff", 100)


@EACH_CODEC
@given(st.binary(max_size=60), st.integers(0, 60), st.integers(0, 255))
def test_damaged_bytes_give_a_value_or_a_decompression_error(codec, data, at, byte):
    compressed = bytearray(compress(codec, data))
    compressed[at % len(compressed)] = byte
    for damaged in (bytes(compressed), data):
        try:
            assert len(decompress(codec, damaged, 1_000)) <= 1_000
        except DecompressionError as error:
            assert error.expected


@pytest.mark.parametrize("size", ["00000000", "ffffffff", "7fffffff"])
def test_a_snappy_block_of_an_impossible_size(size):
    stream = b"\x82SNAPPY\0\0\0\0\1\0\0\0\1" + bytes.fromhex(size) + b"\0"
    with pytest.raises(DecompressionError, match="a snappy block of 1 to 1 bytes"):
        decompress(Compression.SNAPPY, stream, 100)


def test_without_cramjam_snappy_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cramjam", None)
    for call in (lambda: compress(Compression.SNAPPY, b"x"), lambda: decompress(Compression.SNAPPY, b"x", 10)):
        with pytest.raises(EncodeError, match=r"pip install 'kproto\[snappy\]'"):
            call()


def test_zstd_contexts_are_kept_within_bounds(monkeypatch):
    monkeypatch.setattr(module, "_zstd_contexts", {})
    for level in range(1, 9):
        assert decompress(Compression.ZSTD, compress(Compression.ZSTD, b"x", level), 1) == b"x"
    assert len(module._zstd_contexts) == module.KEPT_LEVELS_MAX
    idle = module._zstd_contexts[1]
    idle[:] = [zstandard.ZstdCompressor(level=1)] * module.KEPT_CONTEXTS_MAX
    monkeypatch.setitem(module._zstd_contexts, 1, Stubborn(idle))
    assert decompress(Compression.ZSTD, compress(Compression.ZSTD, b"x", 1), 1) == b"x"
    assert len(module._zstd_contexts[1]) == module.KEPT_CONTEXTS_MAX


class Stubborn(list):
    """A full list of contexts of which another thread returns one while ours is out."""

    def pop(self):
        return zstandard.ZstdCompressor(level=1, write_content_size=False)


def test_lz4_headers_of_magic_0_are_repaired():
    from kproto.wire.records.compression import repair_lz4_header

    for store_size in (False, True):
        frame = lz4.frame.compress(TEXT, block_linked=False, store_size=store_size)
        at = 14 if store_size else 6
        broken = frame[:at] + bytes([frame[at] ^ 0xFF]) + frame[at + 1 :]
        assert repair_lz4_header(broken) == frame
    assert repair_lz4_header(b"short") == b"short"
    hopeless = b"\x04\x22\x4d\x18" + b"\xff" * 20
    assert repair_lz4_header(hopeless) == hopeless
