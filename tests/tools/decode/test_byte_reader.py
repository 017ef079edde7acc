"""Bytes in the order of the input, however they come; gzip, also damaged."""

from __future__ import annotations

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st
from tools.decode.packets import reader_of

from kproto.tools.decode.byte_reader import ByteReader, gunzipped


@given(st.binary(max_size=200), st.lists(st.integers(1, 40)), st.integers(1, 50))
def test_what_is_taken_and_skipped_is_the_input(data, sizes, at_once):
    reader = reader_of(data, at_once)
    at = 0
    for number, size in enumerate(sizes):
        assert reader.offset == at
        if number % 2:
            assert reader.skip(size) == (at + size <= len(data))
            at = min(at + size, len(data))
            continue
        assert reader.rest(size) == data[at : at + size]
        assert reader.need(size) == (at + size <= len(data))
        if at + size <= len(data):
            assert reader.data[reader.at : reader.at + size] == data[at : at + size]
            reader.at += size
            at += size


def test_a_pipe_is_not_read_further_than_asked():
    chunks = [b"ab", b"cd"]
    reader = ByteReader(lambda size: chunks.pop(0))
    assert reader.need(2) and chunks == [b"cd"]


def unpacked(packed, at_once=1 << 20, size=1 << 16):
    damage = []
    read = gunzipped(reader_of(packed, at_once), lambda why, offset: damage.append((why, offset)))
    data = b""
    while chunk := read(size):
        assert len(chunk) <= size
        data += chunk
    assert read(size) == b""
    return data, damage


@given(st.lists(st.binary(max_size=3_000), min_size=1, max_size=3), st.integers(1, 100), st.integers(1, 5_000))
def test_members_are_unpacked_one_behind_the_other(members, at_once, size):
    packed = b"".join(map(gzip.compress, members))
    assert unpacked(packed, at_once, size) == (b"".join(members), [])


def test_what_is_cut_is_told_with_its_place():
    packed = gzip.compress(bytes(range(256)) * 50)
    data, damage = unpacked(packed[:-20])
    assert (bytes(range(256)) * 50).startswith(data)
    assert damage == [("gzip ends too early", len(packed) - 20)]


def test_what_is_no_gzip_is_told_with_its_place():
    data, damage = unpacked(gzip.compress(b"abc") + b"no gzip")
    assert data == b"abc"
    [(why, offset)] = damage
    assert "incorrect header" in why and offset > 20


def test_a_bomb_is_unpacked_piece_by_piece():
    packed = gzip.compress(bytes(20_000_000))
    assert len(packed) < 20_000_000 // 900
    read = gunzipped(reader_of(packed), lambda why, offset: None)
    assert len(read(1_000)) == 1_000
    assert zlib.adler32(read(1_000)) == zlib.adler32(bytes(1_000))
