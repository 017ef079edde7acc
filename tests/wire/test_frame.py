"""Framing: any split of a stream gives the same frames; lengths are bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import FRAME_SIZE_MAX, BadCount, EncodeError, FrameReader, Underrun, frame


@given(st.lists(st.binary(max_size=50)), st.data())
def test_wire_1_any_split_reads_the_same_frames(payloads, data):
    stream = b"".join(map(frame, payloads))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    reader = FrameReader()
    frames = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        frames += reader.feed(stream[start:stop])
    assert frames == payloads
    assert reader.offset == len(stream)
    reader.close()


@given(st.lists(st.binary(max_size=20), max_size=3), st.integers(1, 30))
def test_an_end_inside_a_frame_says_what_is_missing(payloads, size):
    stream = b"".join(map(frame, payloads))
    reader = FrameReader()
    reader.feed(stream + frame(b"x" * size)[: 3 + size])
    assert reader.missing == 1
    with pytest.raises(Underrun) as caught:
        reader.close()
    assert caught.value.offset == len(stream)
    assert str(caught.value).endswith(f"need {size + 4} bytes, {size + 3} remain")


def test_missing_counts_the_length_first():
    reader = FrameReader()
    assert reader.missing == 4
    reader.feed(b"\0\0")
    assert reader.missing == 2
    reader.feed(b"\0\x05")
    assert reader.missing == 5


@pytest.mark.parametrize("length", [-1, -(2**31), 101, 2**31 - 1])
def test_an_impossible_length_is_refused_before_anything_is_kept(length):
    reader = FrameReader(size_max=100)
    bad = length.to_bytes(4, "big", signed=True)
    with pytest.raises(BadCount, match=f"frame at byte 0: expected a length of 0 to 100, found {length}"):
        reader.feed(bad)
    for again in (lambda: reader.feed(frame(b"good")), reader.close):
        with pytest.raises(BadCount):
            again()


def test_frames_before_an_impossible_length_are_not_lost():
    reader = FrameReader(size_max=100)
    assert reader.feed(frame(b"good") + b"\xff\xff\xff\xff" + b"rest") == [b"good"]
    with pytest.raises(BadCount, match="at byte 8"):
        reader.close()
    with pytest.raises(BadCount, match="at byte 8"):
        reader.feed(b"")


def test_the_limit_and_one_past_it():
    reader = FrameReader(size_max=3)
    assert reader.feed(frame(b"abc")) == [b"abc"]
    with pytest.raises(BadCount):
        reader.feed(frame(b"abcd"))
    assert frame(b"abc", size_max=3) == b"\0\0\0\3abc"
    with pytest.raises(EncodeError, match="at most 3 bytes, got 4"):
        frame(b"abcd", size_max=3)
    assert FRAME_SIZE_MAX == 104_857_600


def test_a_promised_frame_costs_nothing_before_it_comes():
    reader = FrameReader()
    reader.feed(FRAME_SIZE_MAX.to_bytes(4, "big"))
    assert reader.missing == FRAME_SIZE_MAX
