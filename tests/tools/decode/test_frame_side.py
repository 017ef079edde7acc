"""A direction that loses step finds it again; what is missing in a frame does not cost the next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.kafka_bytes import CLIENT_ID, metadata, opaque, request, response

from kproto.tools.decode.frame_cutter import Shared
from kproto.tools.decode.frame_side import FrameSide, Step
from kproto.tools.decode.model import StreamPiece
from kproto.wire import DecodeError


def side_of(*, request=True, opened=True, outstanding=()):
    return FrameSide(Shared(lambda conn: outstanding), 1, "client:1", "broker:2", request, opened)


def fed(side, *parts):
    """Frames of pieces. parts: bytes, or how many are missing, with "cut" before it where the capture cut them."""
    out = []
    cut = False
    for part in parts:
        if part == "cut":
            cut = True
            continue
        data, gap = (b"", part) if isinstance(part, int) else (part, 0)
        side.feed(StreamPiece(1, "a:1", "b:2", 5, data, gap, cut=cut), out)
        cut = False
    return out


def codes(frame):
    return [finding.code for finding in frame.findings]


def test_a_gap_within_a_frame_costs_that_frame_alone():
    stream = opaque(400) + metadata(2)
    first, second = fed(side_of(), stream[:100], 50, stream[150:])
    assert (first.data, first.size) == (stream[4:100], 400)
    assert codes(first) == ["gap"] and not first.findings[0].notice
    assert "50 bytes are missing at byte 100 of what the client sent" in first.findings[0].text
    assert (second.data, second.findings) == (metadata(2)[4:], ())


def test_a_gap_up_to_the_end_of_a_frame():
    stream = opaque(400) + metadata(2)
    first, second = fed(side_of(), stream[:100], 304, stream[404:])
    assert (first.size, len(first.data)) == (400, 96)
    assert second.findings == ()
    stream = opaque(400) + b"\0\0\0\5token"  # which no search would find
    assert [frame.size for frame in fed(side_of(), stream[:100], 304, stream[404:])] == [400, 5]


def test_several_gaps_within_a_frame_are_one():
    stream = opaque(400)
    (frame,) = fed(side_of(), stream[:100], 50, stream[150:200], 50, stream[250:])
    assert (frame.data, frame.size, codes(frame)) == (stream[4:100], 400, ["gap"])


def test_what_the_capture_cut_is_told_as_such():
    stream = opaque(400)
    (frame,) = fed(side_of(), stream[:100], "cut", 304)
    assert (frame.data, frame.size, codes(frame)) == (stream[4:100], 400, ["cut"])
    assert "snaplen" in frame.findings[0].text


@pytest.mark.parametrize("lost", [1, 3, 20, 26])
def test_behind_a_gap_requests_are_found_again(lost):
    stream = metadata(1) + metadata(2) + metadata(3) + metadata(4)
    one = len(metadata(1))
    side = side_of()
    frames = fed(side, stream[:one], lost, stream[one + lost :])
    assert [frame.data for frame in frames] == [metadata(number)[4:] for number in (1, 3, 4)]
    assert codes(frames[1])[0] == "gap"
    assert side.step is Step.IN_STEP


def test_behind_a_gap_responses_are_found_by_what_waits_for_them():
    stream = response(1) + response(2) + response(3)
    frames = fed(side_of(request=False, outstanding=[2, 3]), response(1), 7, stream[len(response(1)) + 7 :])
    assert [frame.data for frame in frames] == [response(1)[4:], response(3)[4:]]
    assert codes(frames[1]) == ["gap", "in-step"]
    assert [finding.notice for finding in frames[1].findings] == [False, True]


def test_a_gap_that_ends_at_a_frame_needs_no_search():
    one = len(response(2))
    frames = fed(side_of(request=False), response(1), one, response(3))
    assert [frame.data for frame in frames] == [response(1)[4:], response(3)[4:]]
    assert codes(frames[1]) == ["gap"]


@given(st.integers(1, 30), st.binary(min_size=1, max_size=60))
def test_a_frame_is_found_when_it_comes_byte_by_byte(size, noise):
    stream = noise.replace(b"\0", b"x") + opaque(60, 5) + metadata(6)
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    frames = fed(side_of(opened=False), *chunks)
    assert [frame.data for frame in frames] == [opaque(60, 5)[4:], metadata(6)[4:]]


def test_a_length_that_cannot_be_is_a_finding():
    frames = fed(side_of(), metadata(1) + b"\xff\xff\xff\xf0" + b"rubbish" + metadata(2) + metadata(3))
    assert [frame.data for frame in frames] == [metadata(number)[4:] for number in (1, 2, 3)]
    assert codes(frames[1]) == ["impossible-frame", "in-step"]
    finding = frames[1].findings[0]
    assert finding.offset == len(metadata(1))
    assert "-16 bytes" in finding.text and "ff ff ff f0 72" in finding.text


def test_the_client_id_is_learned():
    side = side_of()
    fed(side, metadata(1))
    assert side.client_id == CLIENT_ID.encode()
    frames = fed(side, 5, b"\xee" * 30 + opaque(60, client_id=b"another") + metadata(3) + metadata(4))
    assert [frame.data for frame in frames] == [metadata(3)[4:], metadata(4)[4:]]


@pytest.mark.parametrize("size", [1, 5, 13, 14, 15, 99])
def test_first_bytes_may_come_in_any_pieces(size):
    stream = request(1) + metadata(2)
    frames = fed(side_of(), *[stream[start : start + size] for start in range(0, len(stream), size)])
    assert [frame.data for frame in frames] == [request(1)[4:], metadata(2)[4:]]
    assert all(frame.findings == () for frame in frames)


@pytest.mark.parametrize(
    ("first", "request_"),
    [(b"GET / HTTP/1.1\r\n\r\n", True), (b"SSH-2.0-OpenSSH\r\n", False), (b"\0\0\0\x04" + b"ruok" * 4, True)],
)
def test_what_is_not_kafka_is_told_with_its_first_bytes(first, request_):
    side = side_of(request=request_)
    assert fed(side, first, b"more", 7, b"more") == []
    assert side.step is Step.FOREIGN
    [finding] = side.findings
    assert (finding.code, finding.offset, finding.notice) == ("not-kafka", 0, False)
    assert first[:4].hex(" ") in finding.text


def test_an_alert_of_tls_is_named():
    side = side_of(request=False)
    assert fed(side, bytes.fromhex("15030300020250")) == []
    [finding] = side.findings
    assert finding.code == "tls" and finding.notice and "alert" in finding.text


def test_an_end_within_a_frame_is_told():
    for complete in (True, False):
        side = side_of()
        out = fed(side, metadata(1)[:20])
        side.finish(out, complete=complete)
        [finding] = side.findings
        assert out == [] and finding.code == "unfinished" and finding.notice is not complete
        assert "16 bytes into a frame" in finding.text
        assert side._shared.held == 0


def test_an_end_within_the_first_bytes_is_told():
    side = side_of()
    out = fed(side, metadata(1)[:9])
    side.finish(out, complete=True)
    assert [finding.code for finding in side.findings] == ["unfinished"]


def test_hostile_bytes_are_not_decoded_over_and_over(monkeypatch):
    calls = []

    def decode(payload):
        calls.append(payload)
        raise DecodeError("", 0, "", "")

    monkeypatch.setattr("kproto.tools.decode.plausible.decode_request", decode)
    side = side_of(opened=False)
    for _ in range(20):
        assert fed(side, metadata(1) * 400) == []
    assert len(calls) <= 16 + 20 * 400 * len(metadata(1)) // 16_384


@given(st.lists(st.one_of(st.binary(max_size=200), st.integers(1, 100)), max_size=12), st.booleans(), st.booleans())
def test_any_bytes_and_gaps_end_in_frames_or_findings(parts, request_, opened):
    side = side_of(request=request_, opened=opened, outstanding=[0, 1, 7])
    parts = [metadata(3) if part == b"" else part for part in parts]
    out = fed(side, *parts)
    side.finish(out, complete=True)
    assert side._shared.held == 0
    assert sum(len(frame.data) for frame in out) <= sum(len(part) for part in parts if isinstance(part, bytes))
    assert all(len(frame.data) == frame.size or codes(frame) for frame in out)
