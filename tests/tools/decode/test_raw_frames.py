"""Frames without connections: who sent them is seen in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.kafka_bytes import metadata, opaque, request, response, versions
from tools.decode.packets import reader_of

from kproto.tools.decode.raw_frames import RawFrames, is_raw, looks_like_request, read_raw_frames
from kproto.wire.strategies import request_frames

FRAMES = [metadata(1), response(1), request(2), response(2), *versions(3)]


def read(data, at_once=1 << 20):
    findings = []
    return list(read_raw_frames(reader_of(data, at_once), findings.append)), findings


@given(st.lists(st.sampled_from(FRAMES), max_size=6), st.integers(1, 100))
def test_a_file_of_frames(frames, at_once):
    data = b"".join(frames)
    found, findings = read(data, at_once)
    assert [each.data for each in found] == [frame[4:] for frame in frames]
    assert [each.request for each in found] == [FRAMES.index(frame) in (0, 2, 4) for frame in frames]
    assert [each.number for each in found] == list(range(1, len(frames) + 1))
    assert findings == [] and all(not each.findings for each in found)
    assert not frames or is_raw(data)
    assert list(RawFrames().split(data)) == found


@given(request_frames())
def test_each_request_looks_like_one(made):
    _, _, frame = made
    client_id_size = int.from_bytes(frame[12:14], "big", signed=True)
    if frame[14 : 14 + max(client_id_size, 0)].decode().isprintable() and client_id_size <= 255:
        assert looks_like_request(frame[4:])


@pytest.mark.parametrize("cut", [1, 10, 20])
def test_a_cut_frame_is_given_with_its_size(cut):
    data = metadata(1) + metadata(2)[:-cut]
    for frames in (read(data)[0], list(RawFrames().split(data))):
        assert [(each.size, len(each.data)) for each in frames] == [(23, 23), (23, 23 - cut)]
        assert [finding.code for finding in frames[1].findings] == ["cut"]


def test_bytes_behind_the_last_frame_are_told():
    found, [finding] = read(metadata(1) + b"\0\0")
    assert len(found) == 1 and (finding.code, finding.offset) == ("cut", len(metadata(1)))


@pytest.mark.parametrize("size", [-1, 1 << 30])
def test_a_length_that_cannot_be_ends_it(size):
    found, [finding] = read(metadata(1) + size.to_bytes(4, "big", signed=True) + bytes(90))
    assert len(found) == 1
    assert (finding.code, finding.offset, finding.notice) == ("impossible-frame", len(metadata(1)), False)


def test_single_frames_without_their_length():
    for frame, is_request in ((metadata(1), True), (opaque(50), True), (response(1), False)):
        (found,) = RawFrames().split(frame[4:], 7)
        assert (found.data, found.request, found.time_ns) == (frame[4:], is_request, 7)


def test_who_is_told_to_have_sent_it():
    assert [frame.request for frame in RawFrames().split(metadata(1), sent=False)] == [False]


@given(st.binary(max_size=60))
def test_any_bytes_are_frames(data):
    found, _ = read(data)
    assert sum(len(each.data) for each in found) <= len(data)
    assert sum(len(each.data) for each in RawFrames().split(data)) <= len(data)
