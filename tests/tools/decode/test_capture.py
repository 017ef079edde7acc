"""Every form of pcap yields the same packets; what is damaged is told with its place."""

from __future__ import annotations

import struct
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.packets import captured, collected, pcap, pcapng, reader_of

from kproto.tools.decode.bad_input import BadInput
from kproto.tools.decode.byte_reader import ByteReader
from kproto.tools.decode.capture import is_capture, read_packets

PACKETS = [b"first", b"", b"x" * 300]


@pytest.mark.parametrize(("order", "nanoseconds"), list(product("<>", (False, True))))
def test_each_form_gives_the_same_packets(order, nanoseconds):
    file = pcap(PACKETS, order=order, nanoseconds=nanoseconds)
    assert is_capture(file)
    assert collected(file) == (list(captured(PACKETS)), [])


def test_a_nanosecond_is_kept():
    (packet,), _ = collected(pcap([b"a"], nanoseconds=True, start_ns=10**18 + 123_456_788, step_ns=1))
    assert packet.time_ns == 10**18 + 123_456_789


def test_what_the_capture_cut_has_its_size():
    packets, findings = collected(pcap([b"x" * 100], snaplen=10))
    assert [(packet.data, packet.size) for packet in packets] == [(b"x" * 10, 100)]
    assert not findings


def test_checksum_flags_beside_the_link_type_are_left_out():
    file = bytearray(pcap([b"a"], link_type=1))
    file[23] = 0x24  # frames have a checksum of 2 bytes
    assert collected(bytes(file))[0][0].link_type == 1


@given(st.integers(1, 400), st.integers(1, 50))
def test_a_capture_that_is_cut_gives_its_whole_packets(size, at_once):
    file = pcap(PACKETS)
    size = min(24 + size, len(file))
    findings = []
    packets = list(read_packets(reader_of(file[:size], at_once), findings.append))
    ends = [24] + [packet.offset + 16 + len(packet.data) for packet in captured(PACKETS)]
    assert packets == list(captured(PACKETS))[: sum(end <= size for end in ends) - 1]
    assert [finding.code for finding in findings] == ([] if size in ends else ["capture-cut"])
    assert all(finding.offset == max(end for end in ends if end <= size) for finding in findings)


def test_a_size_that_cannot_be_ends_it():
    file = pcap([b"a"]) + struct.pack("<IIII", 0, 0, 1 << 30, 1 << 30) + b"zzz"
    packets, [finding] = collected(file)
    assert len(packets) == 1
    assert (finding.code, finding.offset, finding.notice) == ("capture-damaged", 41, False)
    assert "1073741824 bytes" in finding.text


@pytest.mark.parametrize("file", [b"", b"\0\0\0\0", pcap([])[:20], b"\xd4\xc3\xb2\xa1\x01" + bytes(30)])
def test_what_is_no_capture_is_bad_input(file):
    with pytest.raises(BadInput):
        collected(file)


def test_packets_come_out_as_they_come_in():
    file = pcap(PACKETS)
    ends = [0, 24, *(packet.offset + 16 + len(packet.data) for packet in captured(PACKETS))]
    chunks = [file[start:stop] for start, stop in pairwise(ends)]
    packets = read_packets(ByteReader(lambda size: chunks.pop(0)), [].append)
    for left in (2, 1, 0):
        next(packets)
        assert len(chunks) == left


@given(st.data())
def test_damage_never_crashes(data):
    file = bytearray(data.draw(st.sampled_from([pcap(PACKETS), pcapng(PACKETS), pcapng(PACKETS, order=">")])))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(file) - 1), st.integers(0, 255)), max_size=5)):
        file[at] = value
    try:
        packets, findings = collected(bytes(file))
    except BadInput as error:
        assert 0 <= error.offset <= len(file)
        return
    assert all(packet.offset <= len(file) for packet in packets)
    assert all(finding.offset is not None and str(finding.offset) in finding.text for finding in findings)
