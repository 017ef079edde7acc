"""Lines of a log are streams: half a frame in one line is gone on with in the next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tools.decode.kafka_bytes import metadata, request, response

from kproto.tools.decode.log_lines import LogBytes
from kproto.tools.decode.log_streams import LogStreams


def frames_of(lines, outstanding=lambda conn: ()):
    return list(LogStreams(outstanding).frames(iter(lines)))


def told(frames):
    return [(frame.conn, frame.request, frame.data) for frame in frames if not frame.bare]


@given(st.integers(1, 40))
def test_what_was_received_comes_in_any_pieces(size):
    received = response(1) + response(2)
    lines = [LogBytes(request(1) + request(2), True, "<c>", 5, 1)]
    lines += [LogBytes(received[at : at + size], False, "<c>", 6, 2) for at in range(0, len(received), size)]
    frames = frames_of(lines, lambda conn: [1, 2])
    assert told(frames) == [
        (1, True, request(1)[4:]),
        (1, True, request(2)[4:]),
        (1, False, response(1)[4:]),
        (1, False, response(2)[4:]),
    ]
    assert [frame.time_ns for frame in frames if not frame.bare] == [5, 5, 6, 6]
    assert (frames[0].client, frames[0].broker) == ("client:1", "broker:0")


def test_connections_are_told_apart_by_name():
    lines = [LogBytes(metadata(1)[:9], True, "<a>", 0, 1), LogBytes(metadata(2), True, "<b>", 0, 2)]
    lines.append(LogBytes(metadata(1)[9:], True, "<a>", 0, 3))
    assert told(frames_of(lines)) == [(2, True, metadata(2)[4:]), (1, True, metadata(1)[4:])]


def test_a_log_that_begins_in_mid_stream():
    lines = [LogBytes(response(1)[9:] + response(2), False, "", 0, 1), LogBytes(metadata(3), True, "", 0, 2)]
    frames = frames_of(lines, lambda conn: [2])
    assert told(frames) == [(1, False, response(2)[4:]), (1, True, metadata(3)[4:])]


def test_lines_that_name_no_direction_hold_frames():
    lines = [LogBytes(metadata(1), None, "", 0, 1), LogBytes(response(1)[4:], None, "", 0, 2)]
    assert told(frames_of(lines)) == [(1, True, metadata(1)[4:]), (1, False, response(1)[4:])]


def test_names_are_bounded(monkeypatch):
    monkeypatch.setattr("kproto.tools.decode.log_streams.CONNECTIONS_MAX", 3)
    streams = LogStreams(lambda conn: ())
    lines = [LogBytes(metadata(number), True, f"<{number}>", 0, number) for number in range(9)]
    assert [conn for conn, _, _ in told(streams.frames(iter(lines)))] == list(range(1, 10))
    assert len(streams._conns) == 3
