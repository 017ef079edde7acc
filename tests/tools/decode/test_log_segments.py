"""Batches out of a segment, up to where it ends or is damaged."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.kafka_bytes import metadata, request, response
from tools.decode.packets import reader_of

from kproto.tools.decode.log_segments import RawBatch, is_segment, read_segment
from kproto.wire.records import RecordBatchBuilder


def batch(base_offset=0, count=1):
    builder = RecordBatchBuilder()
    for number in range(count):
        builder.append(number, None, b"value")
    return base_offset.to_bytes(8, "big") + builder.build()[8:]


def legacy(magic, offset=0):
    body = bytes([magic, 0]) + (bytes(8) if magic else b"") + struct.pack(">ii", -1, 2) + b"hi"
    message = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", offset, len(message)) + message


def read(data, at_once=1 << 20):
    findings = []
    return list(read_segment(reader_of(data, at_once), findings.append)), findings


BATCHES = [batch(0, 3), batch(3, 1), batch(2**40, 9), legacy(0, 5), legacy(1, 6)]


@given(st.lists(st.sampled_from(BATCHES), max_size=5), st.integers(1, 200), st.integers(0, 50))
def test_batches_come_out_as_they_stand(batches, at_once, reserved):
    found, findings = read(b"".join(batches) + bytes(reserved), at_once)
    assert [each.data for each in found] == batches
    assert [each.base_offset for each in found] == [int.from_bytes(each[:8], "big") for each in batches]
    assert [each.position for each in found] == [sum(map(len, batches[:index])) for index in range(len(batches))]
    assert [finding.code for finding in findings] == ([] if reserved >= 12 or not reserved else ["segment-cut"])


def test_a_cut_segment_is_told():
    data = BATCHES[0] + BATCHES[1]
    found, [finding] = read(data[:-1])
    assert found == [RawBatch(0, 0, BATCHES[0])]
    assert (finding.code, finding.offset) == ("segment-cut", len(BATCHES[0]))


@pytest.mark.parametrize("size", [-1, 13, 1 << 30])
def test_a_size_that_cannot_be_is_told(size):
    found, [finding] = read(BATCHES[0] + struct.pack(">qi", 1, size) + bytes(100))
    assert len(found) == 1
    assert (finding.code, finding.offset, finding.notice) == ("segment-damaged", len(BATCHES[0]), False)


@pytest.mark.parametrize("begin", BATCHES)
def test_a_segment_is_known_by_its_first_batch(begin):
    assert is_segment(begin)
    assert is_segment(begin + BATCHES[0])
    damaged = bytearray(begin)
    damaged[-1] ^= 1
    assert not is_segment(bytes(damaged))
    assert not is_segment(begin[:-1])


def test_a_batch_that_is_larger_than_what_was_looked_at():
    large = struct.pack(">qiibI", 0, 1_000_000, -1, 2, 0) + bytes(65_536)
    assert is_segment(large[:65_536]) and not is_segment(large[:60_000])


@pytest.mark.parametrize("data", [b"", request(1), response(1), metadata(77), bytes(100), b"text " * 20])
def test_what_is_no_segment(data):
    assert not is_segment(data)
