"""The same segment comes out of every link layer, and of IP in all its forms."""

from __future__ import annotations

import struct
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.packets import ACK, BROKER, CLIENT, PSH, ip, tcp

from kproto.tools.decode import link_layers
from kproto.tools.decode.bad_input import BadInput
from kproto.tools.decode.link_layers import FRAGMENT, LINKS, NO_TCP, TOO_SHORT, endpoint
from kproto.tools.decode.model import Packet

DATA = b"the data"
ENDS4 = CLIENT, BROKER
ENDS6 = ("fd00::1", 40_000), ("fd00::2", 9_092)


class Segment(NamedTuple):
    key: bytes
    sequence: int
    acknowledged: int
    flags: int
    data: memoryview
    missing: int


def segment_of(packet):
    found = link_layers.segment_of(packet)
    return found if isinstance(found, str) else Segment(*found)


def packet(data, link_type, size=None):
    return Packet(1, 0, link_type, data, len(data) if size is None else size, 24)


def links(ends, padding=b""):
    """link type, packet: the same segment."""
    inner = tcp(*ends, 7, 9, ACK | PSH, DATA) + padding
    v6 = ":" in ends[0][0]
    kind = b"\x86\xdd" if v6 else b"\x08\x00"
    family = (30 if v6 else 2).to_bytes(4, "little")
    yield 1, bytes(12) + kind + inner
    yield 1, bytes(12) + b"\x81\x00\x00\x05" + kind + inner
    yield 1, bytes(12) + b"\x88\xa8\x00\x05\x81\x00\x00\x07" + kind + inner
    yield 1, bytes(12) + b"\x91\x00\x00\x05\x81\x00\x00\x07" + kind + inner
    yield 0, family + inner
    yield 108, family[::-1] + inner
    yield 113, bytes(14) + kind + inner
    yield 113, bytes(14) + b"\x81\x00\x00\x05" + kind + inner
    yield 276, kind + bytes(18) + inner
    for raw in (12, 14, 101, 229 if v6 else 228):
        yield raw, inner


@pytest.mark.parametrize("ends", [ENDS4, ENDS6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("padding", [b"", b"\0" * 6])
def test_each_link_gives_the_same_segment(ends, padding):
    for link_type, data in links(ends, padding):
        segment = segment_of(packet(data, link_type))
        assert isinstance(segment, Segment), link_type
        assert segment[1:4] == (7, 9, ACK | PSH)
        assert (bytes(segment.data), segment.missing) == (DATA, 0)
        sender, receiver = endpoint(segment.key)
        assert receiver == ("[fd00::2]:9092" if ends is ENDS6 else "10.0.0.2:9092")
        assert sender == ("[fd00::1]:40000" if ends is ENDS6 else "10.0.0.1:40000")


def test_all_links_are_tested():
    assert {link_type for ends in (ENDS4, ENDS6) for link_type, _ in links(ends)} == set(LINKS)


@pytest.mark.parametrize("ends", [ENDS4, ENDS6], ids=["IPv4", "IPv6"])
def test_what_the_capture_cut_is_missing_or_too_short(ends):
    for link_type, data in links(ends):
        for have in range(len(data)):
            segment = segment_of(packet(data[:have], link_type, len(data)))
            if have >= len(data) - len(DATA):
                assert bytes(segment.data) == DATA[: len(DATA) - len(data) + have]
                assert segment.missing == len(data) - have
            else:
                assert segment in (TOO_SHORT, NO_TCP)
            if len(data) - len(DATA) - 10 <= have < len(data) - len(DATA):
                assert segment == TOO_SHORT


SEGMENT = tcp(*ENDS4, 7, 9, ACK, DATA)[20:]


@pytest.mark.parametrize("size", [4, 20, 40])
def test_options_of_ipv4_and_tcp(size):
    whole = ip(CLIENT[0], BROKER[0], SEGMENT, options=bytes([1]) * size)
    assert bytes(segment_of(packet(whole, 101)).data) == DATA
    assert bytes(segment_of(packet(tcp(*ENDS4, 7, data=DATA, options=bytes([1]) * size), 101)).data) == DATA


def test_a_size_that_the_network_card_was_to_fill_in():
    whole = ip(CLIENT[0], BROKER[0], SEGMENT, size=0)
    assert bytes(segment_of(packet(whole, 101)).data) == DATA
    options = ip(CLIENT[0], BROKER[0], SEGMENT, size=0, options=bytes(4))
    assert bytes(segment_of(packet(options, 101)).data) == DATA
    whole6 = ip("fd00::1", "fd00::2", SEGMENT, size=0)
    assert bytes(segment_of(packet(whole6, 101)).data) == DATA


@pytest.mark.parametrize("fragment", [0x2000, 1, 0x2001])
def test_fragments_of_ipv4(fragment):
    assert segment_of(packet(ip(CLIENT[0], BROKER[0], SEGMENT, fragment=fragment), 101)) == FRAGMENT
    with_options = ip(CLIENT[0], BROKER[0], SEGMENT, fragment=fragment, options=bytes(4))
    assert segment_of(packet(with_options, 101)) == FRAGMENT
    assert isinstance(segment_of(packet(ip(CLIENT[0], BROKER[0], SEGMENT, fragment=0x4000), 101)), Segment)


def extension(following, units):
    return bytes([following, units]) + bytes(units * 8 + 6)


@pytest.mark.parametrize(
    ("extensions", "first", "expected"),
    [
        (extension(6, 0), 0, DATA),
        (extension(43, 2) + extension(60, 0) + extension(6, 1), 0, DATA),
        (bytes([6, 4]) + bytes(22), 51, DATA),
        (extension(6, 0), 44, FRAGMENT),
        (extension(44, 0), 0, FRAGMENT),
        (extension(17, 0), 0, NO_TCP),
        (extension(0, 0) * 40, 0, NO_TCP),
        (bytes([6, 200]) + bytes(6), 0, TOO_SHORT),
    ],
)
def test_extensions_of_ipv6(extensions, first, expected):
    whole = ip("fd00::1", "fd00::2", SEGMENT, extensions=extensions, following=first)
    found = segment_of(packet(whole, 101))
    assert (bytes(found.data) if isinstance(found, Segment) else found) == expected


@pytest.mark.parametrize(
    "data",
    [
        bytes(12) + b"\x08\x06" + bytes(60),
        bytes(12) + b"\x81\x00\x00\x05\x08\x06" + bytes(60),
        bytes(12) + b"\x08\x00" + ip(CLIENT[0], BROKER[0], SEGMENT, protocol=17),
        bytes(12) + b"\x86\xdd" + ip("fd00::1", "fd00::2", SEGMENT, protocol=17),
        bytes(12) + b"\x08\x00" + b"\x50" + bytes(60),
        bytes(5),
    ],
)
def test_what_is_no_tcp_is_left_out(data):
    assert segment_of(packet(data, 1)) == NO_TCP


def test_an_unknown_link_type_is_named():
    with pytest.raises(BadInput, match=r"link type 147 .* 1 .Ethernet") as raised:
        segment_of(packet(bytes(100), 147))
    assert raised.value.offset == 24


@given(st.sampled_from([*LINKS]), st.binary(max_size=120), st.integers(0, 200), st.integers(0, 3))
def test_any_bytes_are_a_segment_or_none(link_type, data, size, how):
    if how:
        begin = next(whole for link, whole in [*links(ENDS4), *links(ENDS6)] if link == link_type)
        data = begin[: 10 * how] + data
    found = segment_of(packet(data, link_type, max(size, len(data))))
    if isinstance(found, Segment):
        assert found.missing >= 0 and len(found.key) in (12, 36)
        assert all(endpoint(found.key))
    else:
        assert found in (NO_TCP, FRAGMENT, TOO_SHORT)


def test_ports_and_numbers_of_all_sizes():
    ends = ("255.255.255.255", 65_535), ("0.0.0.0", 0)
    segment = segment_of(packet(tcp(*ends, 2**32 - 1, 2**31), 101))
    assert segment[1:3] == (2**32 - 1, 2**31)
    assert endpoint(segment.key) == ("255.255.255.255:65535", "0.0.0.0:0")
    assert struct.unpack(">HH", segment.key[-4:]) == (65_535, 0)
