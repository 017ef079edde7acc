"""Sections, interfaces, clocks, and all blocks that hold packets."""

from __future__ import annotations

import struct

import pytest
from tools.decode.packets import block, captured, collected, enhanced, interface, option, pcapng, section

from kproto.tools.decode.bad_input import BadInput

PACKETS = [b"first", b"", b"x" * 301]


def parts(file):
    packets, findings = collected(file)
    assert not findings
    return [(packet.time_ns, packet.link_type, packet.data, packet.size) for packet in packets]


@pytest.mark.parametrize("order", "<>")
def test_each_order_gives_the_same_packets(order):
    assert parts(pcapng(PACKETS, order=order)) == [
        (packet.time_ns, packet.link_type, packet.data, packet.size) for packet in captured(PACKETS)
    ]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("resolution", "ticks", "time_ns"),
    [(9, 1_500_000_000, 1_500_000_000), (3, 1_500, 1_500_000_000), (0x8A, 1_536, 1_500_000_000), (0, 2, 2 * 10**9)],
)
def test_each_interface_has_its_own_clock(order, resolution, ticks, time_ns):
    fine = option(9, bytes([resolution]), order) + option(14, struct.pack(f"{order}q", 10), order)
    file = section(order) + interface(1, order) + interface(101, order, options=option(2, b"lo", order) + fine)
    file += enhanced(b"b", ticks, order, index=1) + enhanced(b"a", 7, order, index=0, size=9)
    assert parts(file) == [(time_ns + 10 * 10**9, 101, b"b", 1), (7_000, 1, b"a", 9)]


@pytest.mark.parametrize("order", "<>")
def test_simple_and_old_packets(order):
    file = section(order) + interface(12, order, snaplen=3)
    file += block(3, struct.pack(f"{order}I", 6) + b"abc", order) + block(
        3, struct.pack(f"{order}I", 3) + b"efg", order
    )
    file += block(2, struct.pack(f"{order}HHIIII", 0, 0, 0, 5, 2, 2) + b"hi", order)
    assert parts(file) == [(0, 12, b"abc", 6), (0, 12, b"efg", 3), (5_000, 12, b"hi", 2)]


def test_sections_follow_each_other_in_any_order_of_bytes():
    file = pcapng([b"a"], order="<") + pcapng([b"b"], order=">", link_type=1)
    assert [(link, data) for _, link, data, _ in parts(file)] == [(101, b"a"), (1, b"b")]


def test_unknown_blocks_are_passed_over():
    file = section() + block(10, b"secrets" * 1_000) + interface() + block(0x80000001, b"") + enhanced(b"a", 1)
    assert [data for _, _, data, _ in parts(file)] == [b"a"]


@pytest.mark.parametrize(
    ("behind", "code"),
    [
        (enhanced(b"a", 1, index=1), "capture-damaged"),
        (enhanced(b"a", 1)[:-6], "capture-cut"),
        (block(6, bytes(8)), "capture-damaged"),
        (block(6, struct.pack("<IIIII", 0, 0, 0, 99, 99)), "capture-damaged"),
        (block(1, b"")[:-4] + b"zzzz", "capture-damaged"),
        (struct.pack("<II", 6, 13) + bytes(20), "capture-damaged"),
        (struct.pack("<II", 6, 1 << 30) + bytes(20), "capture-damaged"),
        (struct.pack("<II", 5, 400) + bytes(20), "capture-damaged"),
        (block(0x0A0D0D0A, bytes(16)), "capture-damaged"),
    ],
)
def test_damage_is_told_with_its_place(behind, code):
    head = pcapng([b"first"])
    packets, [finding] = collected(head + behind)
    assert [packet.data for packet in packets] == [b"first"]
    assert finding.code == code and not finding.notice
    assert len(head) <= finding.offset <= len(head + behind)


def test_interfaces_are_bounded(monkeypatch):
    monkeypatch.setattr("kproto.tools.decode.pcapng.INTERFACES_MAX", 3)
    _, [finding] = collected(section() + interface() * 4)
    assert finding.code == "capture-damaged"


@pytest.mark.parametrize(
    "file", [section()[:9], block(0x0A0D0D0A, bytes(16)), section()[:12] + b"\x07" + section()[13:]]
)
def test_a_header_that_cannot_be_read_is_bad_input(file):
    with pytest.raises(BadInput, match="header"):
        collected(file)
