"""Lengths cut a stream into the same frames, however it comes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode.frame_cutter import FrameCutter, Shared, shown
from kproto.wire import FRAME_SIZE_MAX, frame


def cutter(request=True):
    return FrameCutter(Shared(lambda conn: ()), 1, "client:1", "broker:2", request)


def taken(side, chunks):
    out = []
    rests = [side._take(chunk, out) for chunk in chunks]
    return out, rests


@given(st.lists(st.binary(min_size=8, max_size=60), max_size=8), st.lists(st.integers(0, 300)), st.booleans())
def test_frames_are_the_same_however_they_come(payloads, cuts, request_):
    stream = b"".join(map(frame, payloads))
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [memoryview(stream)[start:stop] for start, stop in pairwise(places)]
    side = cutter(request_)
    out, rests = taken(side, chunks)
    assert [each.data for each in out] == payloads
    assert all(each.size == len(each.data) and type(each.data) is bytes for each in out)
    assert [each.number for each in out] == list(range(1, len(payloads) + 1))
    assert set(rests) <= {None}
    assert side._shared.held == 0


@pytest.mark.parametrize("size", [-1, FRAME_SIZE_MAX + 1])
def test_a_length_that_cannot_be_gives_back_the_rest(size):
    bad = size.to_bytes(4, "big", signed=True) + b"behind"
    out, rests = taken(cutter(), [frame(b"whole one") + bad[:2], bad[2:]])
    assert [each.data for each in out] == [b"whole one"]
    assert rests == [None, bad]


def test_tokens_of_sasl_may_be_short_but_not_for_ever():
    tokens = [b"", b"x", b"\0user\0pass", b""]
    out, _ = taken(cutter(), map(frame, tokens))
    assert [each.data for each in out] == tokens
    out, rests = taken(cutter(), [bytes(4 * 20)])
    assert len(out) == 8 and len(rests[0]) == 4 * 12


def test_unfinished_frames_are_bounded(monkeypatch):
    monkeypatch.setattr("kproto.tools.decode.frame_cutter.HELD_MAX", 1_000)
    monkeypatch.setattr("kproto.tools.decode.frame_cutter.KEPT_MAX", 100)
    side = cutter()
    out, _ = taken(side, [(5_000).to_bytes(4, "big"), *[b"x" * 100] * 49])
    assert out == [] and side._shared.held == len(side._buffer) == 100
    taken_out, _ = taken(side, [b"x" * 100 + frame(b"next one")])
    first, second = taken_out
    assert (first.data, first.size) == (b"x" * 100, 5_000)
    [finding] = first.findings
    assert finding.code == "too-much" and not finding.notice
    assert second.data == b"next one"
    assert side._shared.held == 0


def test_the_first_bytes_are_shown_for_people():
    assert shown(b"GET / HTTP/1.1\r\nHost") == "47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d 0a 'GET / HTTP/1.1\\r\\n'"
