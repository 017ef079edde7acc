"""From packets to frames: the client is told from the broker, and no disturbance changes what comes out."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.kafka_bytes import metadata, opaque, request, response, versions
from tools.decode.packets import BROKER, CLIENT, Talk, captured
from tools.decode.test_tls_hello import hello

from kproto.tools.decode.frames import Frames
from kproto.tools.decode.tcp import TcpStreams

CLIENT_NAME, BROKER_NAME = "10.0.0.1:40000", "10.0.0.2:9092"


def frames_of(packets, **given):
    """The frames. Whether bytes in the midst of frames go through pieces or not is all the same."""
    packets = list(packets)
    frames = made_of(packets, direct=False, **given)
    assert made_of(packets, direct=True, **given) == frames
    return frames


def made_of(packets, *, direct, ports=(), outstanding=lambda conn: (), snaplen=None):
    frames = Frames(ports=ports, outstanding=outstanding)
    streams = TcpStreams(grow_of=frames.grow_of) if direct else TcpStreams()
    out = []
    for packet in captured(packets, snaplen=snaplen):
        for piece in streams.feed(packet):
            out += frames.feed(piece)
    for piece in streams.end():
        out += frames.feed(piece)
    out += frames.end()
    assert frames._shared.held == 0 and not frames._links
    return out


def told(frames):
    return [(frame.request, bytes(frame.data)) for frame in frames if not frame.bare]


def codes(frames):
    return [finding.code for frame in frames for finding in frame.findings]


def exchange(talk, count=4, size=1_460):
    asked, answered = versions(0)
    talk.ask(asked, size=size).answer(answered, size=size)
    for number in range(1, count):
        talk.ask(request(number), size=size).answer(response(number), size=size)
    return [
        (True, asked[4:]),
        (False, answered[4:]),
        *[each for number in range(1, count) for each in ((True, request(number)[4:]), (False, response(number)[4:]))],
    ]


def test_a_clean_connection():
    talk = Talk().open()
    expected = exchange(talk)
    frames = frames_of(talk.close().packets)
    assert told(frames) == expected
    assert codes(frames) == []
    assert [frame.number for frame in frames] == [*range(1, 9), 0]
    assert {(frame.conn, frame.client, frame.broker) for frame in frames} == {(1, CLIENT_NAME, BROKER_NAME)}
    assert [frame.time_ns for frame in frames] == sorted(frame.time_ns for frame in frames)
    assert [(frame.bare, frame.ended) for frame in frames[-2:]] == [(False, False), (True, True)]


def test_a_connection_that_stays_open_has_no_end():
    talk = Talk().open()
    exchange(talk)
    assert not any(frame.bare for frame in frames_of(talk.packets))


@given(st.data())
def test_any_cuts_order_and_repetition_give_the_same_frames(data):
    """Segments of any size, moved within a window, sent or captured twice."""
    talk = Talk(client_next=data.draw(st.sampled_from([1_000, 2**32 - 100]))).open()
    opening = len(talk.packets)
    expected = exchange(talk, data.draw(st.integers(1, 5)), data.draw(st.integers(1, 200)))
    talk.close()
    rest = talk.packets[opening:]
    moved = [(number + data.draw(st.integers(0, 5)), packet) for number, packet in enumerate(rest)]
    moved += [(number + 5, packet) for number, packet in enumerate(rest) if data.draw(st.booleans())]
    frames = frames_of(talk.packets[:opening] + [packet for _, packet in sorted(moved, key=lambda pair: pair[0])])
    assert codes(frames) == []
    for side in (True, False):
        assert [each for each in told(frames) if each[0] == side] == [each for each in expected if each[0] == side]


@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize("ports", [(), (9_092,)])
def test_a_start_in_mid_stream_finds_out_who_is_who(first, ports):
    """first: how many of the eight frames came before the capture."""
    talk = Talk()
    expected = exchange(talk)
    frames = frames_of(talk.packets[first:], ports=ports)
    if first == 7 and not ports:  # a response alone: the broker is who listens at the lower port
        assert {frame.client for frame in frames} == {CLIENT_NAME}
    assert told(frames) == expected[first:]
    assert codes(frames) == []


def test_a_start_in_the_midst_of_a_request():
    talk = Talk().ask(opaque(5_000), size=1_000).answer(response(1))
    expected = exchange(talk)
    frames = frames_of(talk.packets[2:])
    assert told(frames) == [(False, response(1)[4:]), *expected]
    assert codes(frames) == ["in-step"]


def test_a_clients_port_may_be_lower():
    talk = Talk(client=("10.0.0.1", 80), broker=("10.0.0.2", 9_092))
    expected = exchange(talk)
    for packets in (talk.packets, talk.packets[1:]):
        frames = frames_of(packets)
        assert {frame.client for frame in frames} == {"10.0.0.1:80"}
        assert told(frames) == expected[-len(packets) :]


def test_other_ports_are_left_out_where_ports_are_given():
    ours, theirs = Talk().open(), Talk(broker=("10.0.0.2", 22)).open()
    expected = exchange(ours)
    theirs.answer(b"SSH-2.0-OpenSSH_9.2\r\n").ask(b"SSH-2.0-OpenSSH_9.2\r\n").close()
    frames = frames_of(ours.packets + theirs.packets, ports=[9_092])
    assert (told(frames), codes(frames)) == (expected, [])
    assert codes(frames_of(ours.packets + theirs.packets)) == ["not-kafka"]


def test_a_gap_costs_no_more_than_its_frames():
    talk = Talk().open()
    exchange(talk, 2)
    talk.ask(opaque(4_000, 9), size=1_000, lost=(2,)).answer(response(9))
    talk.ask(request(10), lost=(0,)).answer(response(10))
    talk.ask(request(11)).answer(response(11))
    frames = [frame for frame in frames_of(talk.packets) if not frame.bare][4:]
    assert [(frame.request, frame.size, codes([frame])) for frame in frames] == [
        (True, 4_000, ["gap"]),
        (False, len(response(9)) - 4, []),
        (False, len(response(10)) - 4, []),
        (True, len(request(11)) - 4, ["gap"]),
        (False, len(response(11)) - 4, []),
    ]
    assert len(frames[0].data) == 2_000 - 4


def test_a_lost_answer_is_a_gap_and_the_next_is_found():
    talk = Talk().open()
    exchange(talk, 2)
    talk.ask(request(5)).answer(response(5) * 3, size=20, lost=(1,)).ask(request(6)).answer(response(6))
    waiting = {5, 6}
    frames = frames_of(talk.packets, outstanding=lambda conn: waiting)
    assert told(frames)[-1] == (False, response(6)[4:])
    assert "gap" in codes(frames)


def test_cut_packets_give_frames_with_their_size():
    talk = Talk().open()
    for number in range(3):
        talk.ask(opaque(1_000, number)).answer(response(number))
    frames = frames_of(talk.packets, snaplen=100)
    requests = [frame for frame in frames if frame.request and not frame.bare]
    assert [(len(frame.data), frame.size) for frame in requests] == [(56, 1_000)] * 3
    assert codes(frames) == ["cut"] * 3
    assert [frame.request for frame in frames] == [True, False] * 3


def test_tls_is_a_notice_and_read_no_further():
    data = hello("broker.example")
    talk = (
        Talk().open().ask(data, size=100).answer(b"\x16\x03\x03\x00\x40\x02" + bytes(63)).ask(b"\x17\x03\x03").close()
    )
    (frame,) = frames_of(talk.packets)
    [finding] = frame.findings
    assert (frame.bare, frame.conn, finding.code, finding.notice) == (True, 1, "tls", True)
    assert "'broker.example'" in finding.text


def test_tls_in_mid_stream_is_a_notice():
    talk = Talk().ask(b"\x17\x03\x03\x00\x20" + b"\xa5" * 32).answer(b"\x17\x03\x03\x00\x20" + b"\x5a" * 32).close()
    (frame,) = frames_of(talk.packets)
    assert [finding.code for finding in frame.findings] == ["tls"]


def test_tls_where_kafka_was_spoken_to():
    """A client without TLS at a listener that has it: a request, an alert, the end."""
    talk = Talk().open().ask(metadata(1)).answer(bytes.fromhex("15030300020250")).close()
    frames = frames_of(talk.packets)
    assert told(frames) == [(True, metadata(1)[4:])]
    assert codes(frames) == ["tls"]


@pytest.mark.parametrize("opened", [True, False])
def test_what_is_not_kafka_is_told_once(opened):
    talk = Talk().open() if opened else Talk()
    for _ in range(30):
        talk.ask(b"GET / HTTP/1.1\r\n\r\n").answer(b"HTTP/1.1 200 OK\r\n\r\nhello")
    frames = frames_of(talk.close().packets)
    assert codes(frames) == ["not-kafka"]
    assert [frame.bare for frame in frames] == [True]
    assert not frames[0].findings[0].notice


def test_so_much_without_a_frame_is_not_kafka(monkeypatch):
    monkeypatch.setattr("kproto.tools.decode.frames.NOT_FOUND_MAX", 100_000)
    talk = Talk()
    for _ in range(10):
        talk.ask(b"\x99" * 20_000, size=20_000)
    assert codes(frames_of(talk.packets)) == ["not-kafka"]


def test_the_tail_of_a_connection_is_a_notice():
    talk = Talk().ask(b"\x99" * 300).close()
    frames = frames_of(talk.packets)
    assert codes(frames) == ["mid-stream"]
    assert all(finding.notice for frame in frames for finding in frame.findings)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_half_an_answer_and_the_end(how):
    talk = Talk().open().ask(metadata(1)).answer(response(1)[:10])
    getattr(talk, how)()
    frames = frames_of(talk.packets)
    assert codes(frames) == ["unfinished"]
    assert not frames[-2].findings[0].notice and frames[-1].ended
    talk = Talk().open().ask(metadata(1)).answer(response(1)[:10])
    assert [finding.notice for frame in frames_of(talk.packets) for finding in frame.findings] == [True]


def test_connections_without_data_say_nothing():
    packets = []
    for number in range(50):
        packets += Talk(client=("10.0.0.1", 2_000 + number)).open().reset().packets
    frames = frames_of(packets)
    assert all(frame.bare and frame.ended and not frame.findings for frame in frames)


def test_many_connections_at_once():
    talks = [Talk(client=("10.0.0.1", 2_000 + number)).open() for number in range(30)]
    expected, *_ = [exchange(talk, 3, 10) for talk in talks]
    packets = [packet for row in zip(*(talk.packets for talk in talks), strict=True) for packet in row]
    frames = frames_of(packets)
    for conn in range(1, 31):
        assert told([frame for frame in frames if frame.conn == conn]) == expected
    assert [frame.number for frame in frames] == list(range(1, len(frames) + 1))


def test_undecided_connections_are_bounded(monkeypatch):
    monkeypatch.setattr("kproto.tools.decode.frames.HELD_MAX", 20_000)
    frames = Frames()
    streams = TcpStreams()
    for number in range(40):
        talk = Talk(client=("10.0.0.1", 2_000 + number)).ask(b"\x99" * 1_000)
        for packet in captured(talk.packets):
            for piece in streams.feed(packet):
                frames.feed(piece)
        assert frames._shared.held <= 11_000


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=120), st.booleans()), max_size=25), st.booleans())
def test_any_bytes_end_in_frames_or_findings(turns, opened):
    talk = Talk().open() if opened else Talk()
    for ours, data, lost in turns:
        source = CLIENT if ours else BROKER
        talk.send(source, data or metadata(2), lost=(0,) if lost else ())
    frames = frames_of(talk.close().packets, outstanding=lambda conn: [0, 1, 2])
    numbers = [frame.number for frame in frames if not frame.bare]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(frame.findings or frame.ended for frame in frames if frame.bare)


def counting_s():
    """The time of 200,000 plain steps: 0.03 to 0.04 s on a machine that nobody else uses."""
    begun, found = time.process_time(), {}
    for number in range(200_000):
        found[number & 1023] = number, str(number)
    return time.process_time() - begun


def test_hostile_bytes_take_less_than_a_second_per_megabyte():
    """Zeros, headers without end, and noise; seconds of this process, not of the clock, on a machine that counts
    plainly in the time of `pace`: machines differ, and one that is busy is slower."""
    noise = random.Random(7).randbytes(250_000)
    header = metadata(1)
    for stream in (
        bytes(250_000),
        header[:30] * 8_250,
        b"\0\0\0\x10\0\x03\0\x09" * 31_250,
        noise,
        metadata(1) * 9_250,
    ):
        for opened in (True, False):
            talk = Talk().open() if opened else Talk()
            talk.ask(metadata(9) + stream if opened else b"\1" + stream).answer(stream)
            pace = min(counting_s() for _ in range(3))
            begun = time.process_time()
            frames_of(talk.packets)
            taken = time.process_time() - begun
            assert taken < 2 * 0.5 * max(1, pace / 0.04), (stream[:20], opened)
