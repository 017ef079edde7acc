"""Whatever the network and the capture do to segments, the bytes of a connection are the same, or a gap is told."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.packets import ACK, BROKER, CLIENT, FIN, RST, SYN, Talk, captured, ip, tcp

from kproto.tools.decode.bad_input import BadInput
from kproto.tools.decode.model import Packet
from kproto.tools.decode.tcp import TcpStreams

CLIENT_NAME, BROKER_NAME = "10.0.0.1:40000", "10.0.0.2:9092"
REQUEST, RESPONSE = bytes(range(256)) * 3, bytes(range(255, -1, -1)) * 2


def pieces_of(packets, *, snaplen=None, step_ns=1_000, streams=None):
    streams = streams or TcpStreams()
    found = []
    for packet in captured(packets, snaplen=snaplen, step_ns=step_ns):
        found += streams.feed(packet)
    return found + streams.end()


def story(pieces):
    """conn, sender -> what it sent: bytes, and numbers for gaps; "end" where it ended."""
    told = {}
    for piece in pieces:
        line = told.setdefault((piece.conn, piece.sender), [])
        line += [piece.gap] if piece.gap else []
        line += [bytes(piece.data)] if len(piece.data) else []
        line += ["end"] if piece.ended else []
    return {
        key: [
            each
            for kind, group in groupby(line, type)
            for each in ([b"".join(group)] if kind is bytes else [sum(group)] if kind is int else group)
        ]
        for key, line in told.items()
    }


def whole(client=REQUEST, broker=RESPONSE, conn=1, ended=True):
    end = ["end"] if ended else []
    return {(conn, CLIENT_NAME): [client, *end], (conn, BROKER_NAME): [broker, *end]}


def test_a_conversation():
    talk = Talk().open().ask(REQUEST, size=100).answer(RESPONSE, size=100).close()
    pieces = pieces_of(talk.packets)
    assert story(pieces) == whole()
    assert {piece.client for piece in pieces} == {CLIENT_NAME}
    assert {(piece.sender, piece.receiver) for piece in pieces} == {
        (CLIENT_NAME, BROKER_NAME),
        (BROKER_NAME, CLIENT_NAME),
    }
    assert [piece.time_ns for piece in pieces] == sorted(piece.time_ns for piece in pieces)


@st.composite
def disturbed(draw):
    """Packets of one conversation, cut anywhere, in any order within a window, some of them twice, some overlapping."""
    talk = Talk(
        client_next=draw(st.sampled_from([1_000, 2**32 - 1, 2**32 - 300, 2**31 - 5])),
        broker_next=draw(st.sampled_from([5_000, 2**32 - 200, 0])),
    ).open()
    opening = len(talk.packets)
    turns = draw(
        st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=400), st.integers(1, 150)), max_size=6)
    )
    sent = {True: b"", False: b""}
    for ours, data, size in turns:
        (talk.ask if ours else talk.answer)(data, size=size)
        sent[ours] += data
        back = draw(st.integers(0, min(80, len(sent[ours]))))
        if back:  # sent again, cut otherwise
            again = sent[ours][len(sent[ours]) - back :][: draw(st.integers(1, 80))]
            talk.add(talk.client if ours else talk.broker, again, back=back)
    if draw(st.booleans()):
        talk.close()
        ended = True
    else:
        ended = False
    rest = talk.packets[opening:]
    moved = [(number + draw(st.integers(0, 6)), packet) for number, packet in enumerate(rest)]
    moved += [(number + 6, packet) for number, packet in enumerate(rest) if draw(st.booleans())]
    ordered = [packet for _, packet in sorted(moved, key=lambda pair: pair[0])]
    return talk.packets[:opening] + ordered, sent, ended


@given(disturbed())
def test_any_cuts_order_and_repetition_give_the_same_bytes(given_):
    packets, sent, ended = given_
    told = story(pieces_of(packets))
    for ours, name in ((True, CLIENT_NAME), (False, BROKER_NAME)):
        expected = ([sent[ours]] if sent[ours] else []) + (["end"] if ended else [])
        assert told.get((1, name), []) == expected
    assert len(told) <= 2


def test_an_end_that_came_before_the_last_data():
    talk = Talk().open().ask(b"last").close()
    data, end = (
        next(i for i, each in enumerate(talk.packets) if test(each))
        for test in (lambda each: len(each) > 40, lambda each: each[33] & FIN)
    )
    talk.packets[data], talk.packets[end] = talk.packets[end], talk.packets[data]
    assert story(pieces_of(talk.packets))[1, CLIENT_NAME] == [b"last", "end"]


def test_an_answer_waits_for_what_it_answers():
    talk = Talk().open().ask(b"question").answer(b"answer")
    packets = talk.packets
    packets[-2], packets[-1] = packets[-1], packets[-2]
    assert [bytes(piece.data) for piece in pieces_of(packets)] == [b"question", b"answer"]


def test_what_was_acknowledged_and_never_came_is_a_gap():
    talk = Talk().open().ask(REQUEST, size=100, lost=(2, 3)).answer(RESPONSE).close()
    assert story(pieces_of(talk.packets)) == {
        (1, CLIENT_NAME): [REQUEST[:200], 200, REQUEST[400:], "end"],
        (1, BROKER_NAME): [RESPONSE, "end"],
    }


def test_a_gap_is_told_before_the_answer_that_acknowledges_it():
    talk = Talk().open().ask(REQUEST, size=100, lost=(2,))
    for _ in range(40):
        talk.answer(b"x")
    streams = TcpStreams()
    given_ = [piece for packet in captured(talk.packets) for piece in streams.feed(packet)]
    assert story(given_)[1, CLIENT_NAME] == [REQUEST[:200], 100, REQUEST[300:]]
    first_answer = next(index for index, piece in enumerate(given_) if piece.sender == BROKER_NAME)
    assert all(piece.sender == CLIENT_NAME for piece in given_[:first_answer])


def test_a_gap_is_told_after_a_second():
    talk = Talk().open().ask(REQUEST, lost=(0,)).answer(b"x").answer(b"y")
    streams = TcpStreams()
    given_ = [piece for packet in captured(talk.packets, step_ns=2 * 10**9) for piece in streams.feed(packet)]
    assert story(given_) == {(1, CLIENT_NAME): [len(REQUEST)], (1, BROKER_NAME): [b"xy"]}


def test_a_hole_is_a_gap_once_too_much_waits_behind_it(monkeypatch):
    monkeypatch.setattr("kproto.tools.decode.tcp_direction.LATER_MAX", 10_000)
    talk = Talk().open().ask(bytes(30_000), size=1_000, lost=(1,))
    streams = TcpStreams()
    given_ = [piece for packet in captured(talk.packets) for piece in streams.feed(packet)]
    assert story(given_)[1, CLIENT_NAME] == [bytes(1_000), 1_000, bytes(28_000)]
    assert streams.end() == []


def test_what_all_hold_together_is_bounded(monkeypatch):
    monkeypatch.setattr("kproto.tools.decode.tcp.HELD_MAX", 50_000)
    streams = TcpStreams()
    most = 0
    for number in range(100):
        talk = Talk(client=("10.0.0.1", 1_000 + number)).open().ask(bytes(5_000), size=1_000, lost=(0,))
        for packet in captured(talk.packets):
            streams.feed(packet)
        most = max(most, streams._held)
    assert 0 < most <= 50_000
    streams.end()
    assert streams._held == 0 and not streams._holding


def test_a_direction_that_was_not_captured_has_no_gaps():
    talk = Talk().open()
    for number in range(100):
        talk.ask(b"a").answer(b"b" * 50)
        if number % 3 == 0:
            talk.add(talk.client)
    one_sided = [packet for packet in talk.packets if packet[12:16] == bytes([10, 0, 0, 1])]
    assert story(pieces_of(one_sided)) == {(1, CLIENT_NAME): [b"a" * 100]}


def test_a_start_in_mid_stream_is_no_gap():
    talk = Talk().ask(REQUEST, size=100).answer(RESPONSE, size=100).close()
    pieces = pieces_of(talk.packets)
    assert story(pieces) == whole()
    assert {piece.client for piece in pieces} == {None}


def test_data_with_a_syn():
    syn = tcp(CLIENT, BROKER, 99, flags=SYN, data=b"early")
    talk = Talk(client_next=105, broker_next=1).answer(b"x").ask(b" late")
    answer = tcp(BROKER, CLIENT, 0, 105, SYN | ACK)
    told = story(pieces_of([syn, answer, *talk.packets]))
    assert told == {(1, CLIENT_NAME): [b"early late"], (1, BROKER_NAME): [b"x"]}


def test_a_syn_that_the_broker_answered_tells_who_the_client_is():
    talk = Talk().open().ask(b"a").answer(b"b")
    pieces = pieces_of(talk.packets[1:])
    assert {piece.client for piece in pieces} == {CLIENT_NAME}
    assert story(pieces) == whole(b"a", b"b", ended=False)


def test_keep_alives_and_probes_say_nothing():
    talk = Talk().open().ask(b"abc")
    talk.add(talk.client, back=1)
    talk.add(talk.client, b"c", back=1)
    talk.add(talk.broker)
    talk.ask(b"def")
    assert story(pieces_of(talk.packets)) == {(1, CLIENT_NAME): [b"abcdef"]}


def test_each_packet_twice_is_once():
    talk = Talk().open().ask(REQUEST, size=100).answer(RESPONSE, size=50).close()
    assert story(pieces_of([packet for packet in talk.packets for _ in range(2)])) == whole()


def test_a_reset_ends_both():
    talk = Talk().open().ask(b"a").reset()
    assert story(pieces_of(talk.packets)) == {(1, CLIENT_NAME): [b"a", "end"], (1, BROKER_NAME): ["end"]}


def test_a_reset_gives_what_was_held():
    talk = Talk().open().ask(b"abcdef", size=2, lost=(1,)).reset()
    told = story(pieces_of(talk.packets))
    assert told[1, CLIENT_NAME] == [b"ab", 2, b"ef", "end"]


def test_what_comes_behind_the_end_is_left_out():
    talk = Talk().open().ask(b"a").close()
    late = [tcp(CLIENT, BROKER, talk.client_next, 0, ACK, b"late"), *talk.packets[-6:]]
    assert story(pieces_of(talk.packets + late)) == {(1, CLIENT_NAME): [b"a", "end"], (1, BROKER_NAME): ["end"]}


def test_the_same_ports_again_are_another_connection():
    first = Talk().open().ask(b"a").close()
    second = Talk(client_next=1_000, broker_next=5_000).open().ask(b"b").reset()
    third = Talk(client_next=77_000, broker_next=1).open().ask(b"c")
    fourth = Talk(client_next=99_000, broker_next=1).open().ask(b"d")
    told = story(pieces_of(first.packets + second.packets + third.packets + fourth.packets))
    sent = [told[conn, CLIENT_NAME] for conn in (1, 2, 3, 4)]
    assert sent == [[b"a", "end"], [b"b", "end"], [b"c", "end"], [b"d"]]


def test_the_same_ports_again_without_an_opening():
    first = Talk().open().ask(b"a")
    second = Talk(client_next=2**31 + 5, broker_next=2**31).ask(b"b")
    told = story(pieces_of(first.packets + second.packets))
    assert told == {(1, CLIENT_NAME): [b"a", "end"], (1, BROKER_NAME): ["end"], (2, CLIENT_NAME): [b"b"]}


def test_a_late_syn_is_no_other_connection():
    talk = Talk().open().ask(b"a")
    packets = [talk.packets[3], *talk.packets[:3]]
    pieces = pieces_of(packets)
    assert story(pieces) == {(1, CLIENT_NAME): [b"a"]}


def test_what_the_snaplen_cut_is_told_as_such():
    talk = Talk().open().ask(REQUEST, size=400).answer(b"x")
    pieces = pieces_of(talk.packets, snaplen=50)
    client = [(bytes(piece.data), piece.gap, piece.cut) for piece in pieces if piece.sender == CLIENT_NAME]
    assert client == [
        (REQUEST[:10], 0, False),
        (b"", 390, True),
        (REQUEST[400:410], 0, False),
        (b"", len(REQUEST) - 410, True),
    ]


def test_a_cut_segment_is_filled_by_none_that_is_cut_as_well():
    talk = Talk().open().ask(REQUEST, size=400)
    twice = [packet for packet in talk.packets for _ in range(2)]
    assert story(pieces_of(twice, snaplen=50)) == story(pieces_of(talk.packets, snaplen=50))


def test_connections_do_not_mix():
    talks = [Talk(client=("10.0.0.1", 1_000 + number)).open() for number in range(20)]
    for talk in talks:
        talk.ask(f"from {talk.client[1]}".encode(), size=3).answer(b"x")
    packets = [packet for row in zip(*(talk.packets for talk in talks), strict=True) for packet in row]
    told = story(pieces_of(packets))
    for number, talk in enumerate(talks, 1):
        assert told[number, f"10.0.0.1:{talk.client[1]}"] == [f"from {talk.client[1]}".encode()]


def test_connections_are_bounded(monkeypatch):
    monkeypatch.setattr("kproto.tools.decode.tcp.CONNECTIONS_MAX", 50)
    monkeypatch.setattr("kproto.tools.decode.tcp.CLOSED_MAX", 10)
    streams = TcpStreams()
    for number in range(300):
        talk = Talk(client=("10.0.0.1", 1_000 + number)).open().ask(b"a")
        if number % 2:
            talk.reset()
        pieces_of_talk = [piece for packet in captured(talk.packets) for piece in streams.feed(packet)]
        assert any(bytes(piece.data) == b"a" for piece in pieces_of_talk)
        assert len(streams._directions) <= 100
        assert len(streams._closed) <= 10


def test_the_connection_that_was_silent_longest_is_let_go(monkeypatch):
    monkeypatch.setattr("kproto.tools.decode.tcp.CONNECTIONS_MAX", 8)
    talks = [Talk(client=("10.0.0.1", 1_000 + number)).open() for number in range(9)]
    packets = [packet for talk in talks[:8] for packet in talk.packets]
    talks[0].ask(b"alive")
    packets += talks[0].packets[3:] + talks[8].packets
    ended = {piece.sender for piece in pieces_of(packets) if piece.ended}
    assert {f"10.0.0.1:{port}" for port in (1_001, 1_002)} <= ended
    assert "10.0.0.1:1000" not in ended


def test_nothing_comes_behind_a_reset():
    talk = Talk().open().ask(b"a").answer(b"b").reset().ask(b"late").answer(b"later")
    assert [piece.data for piece in pieces_of(talk.packets) if len(piece.data)] == [b"a", b"b"]


@pytest.mark.parametrize(
    ("packet", "code", "notice"),
    [
        (ip(CLIENT[0], BROKER[0], bytes(30), fragment=1), "fragment", True),
        (tcp(CLIENT, BROKER, 1)[:30], "cut", False),
    ],
)
def test_packets_that_are_left_out_are_told_once(packet, code, notice):
    findings = []
    assert pieces_of([packet] * 3, streams=TcpStreams(findings.append)) == []
    [finding] = findings
    assert (finding.code, finding.notice, finding.offset) == (code, notice, 24)


def test_an_unknown_link_type_is_bad_input():
    with pytest.raises(BadInput, match="link type 200"):
        TcpStreams().feed(Packet(1, 0, 200, bytes(60), 60, 24))


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from([0, 1, 5, 990, 1_000, 1_010, 2**30 + 900, 2**31, 2**32 - 1]),
            st.sampled_from([0, 995, 5_000, 5_010, 2**31 + 5_000]),
            st.sampled_from([ACK, ACK, ACK, SYN, SYN | ACK, FIN | ACK, RST, 0, 255]),
            st.binary(max_size=12),
            st.integers(0, 4),
        ),
        max_size=60,
    )
)
def test_any_segments_end_in_any_story(segments):
    """Nothing is lost that was counted: what a direction gave, with its gaps, is never more than what was sent."""
    streams = TcpStreams()
    found = []
    for number, (ours, sequence, acknowledged, flags, data, cut) in enumerate(segments):
        ends = (CLIENT, BROKER) if ours else (BROKER, CLIENT)
        packet = tcp(*ends, sequence, acknowledged, flags, data)
        kept = packet[: max(40, len(packet) - cut)]
        found += streams.feed(Packet(number, number, 101, kept, len(packet), number))
    found += streams.end()
    assert streams._held == 0
    ended = set()
    for piece in found:
        assert (piece.conn, piece.sender) not in ended
        assert piece.gap >= 0 and (len(piece.data) or piece.gap or piece.ended)
        if piece.ended:
            ended.add((piece.conn, piece.sender))
