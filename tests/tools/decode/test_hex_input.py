"""Hex digits in the forms that people copy them in give the bytes they were made of."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.packets import ACK, BROKER, CLIENT, pcap, tcp

from kproto.tools.decode.bad_input import BadInput
from kproto.tools.decode.hex_input import Dump, is_hex, read_dumps, read_time, to_packet

DATA = bytes(range(256)) + b"abcdef 0123456789"  # with text that looks like digits


def rows(data, width=16):
    return [(at, data[at : at + width]) for at in range(0, len(data), width)]


def readable(data):
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)


def pairs(data):
    return " ".join(data[at : at + 2].hex() for at in range(0, len(data), 2))


def xxd(data):
    return "".join(f"{at:08x}: {pairs(row):39}  {readable(row)}\n" for at, row in rows(data))


def tcpdump(data):
    return "".join(f"\t0x{at:04x}:  {pairs(row):39}  {readable(row)}\n" for at, row in rows(data))


def tcpdump_without_text(data):
    return "".join(f"\t0x{at:04x}:  {pairs(row)}\n" for at, row in rows(data))


def hexdump_c(data):
    halves = ((at, row, row[:8].hex(" "), row[8:].hex(" ")) for at, row in rows(data))
    return "".join(f"{at:08x}  {left:23}  {right:23}  |{readable(row)}|\n" for at, row, left, right in halves)


def tshark(data):
    return "".join(f"{at:04x}  {row.hex(' '):47}   {readable(row)}\n" for at, row in rows(data))


def od(data):
    return "".join(f"{at:06x} {row.hex(' ')}\n" for at, row in rows(data)) + f"{len(data):06x}\n"


def plain(data):
    return data.hex() + "\n"


def spaced(data):
    return "".join(row.hex(" ") + "\n" for _, row in rows(data))


def colons(data):
    return data.hex(":").upper() + "\n"


FORMS = [xxd, tcpdump, tcpdump_without_text, hexdump_c, tshark, plain, spaced, colons]


def dumps_of(text):
    return list(read_dumps(iter(text.splitlines(keepends=True))))


@pytest.mark.parametrize("form", FORMS)
@given(data=st.binary(min_size=1, max_size=100))
def test_each_form_gives_the_bytes(form, data):
    assert is_hex(form(data))
    assert b"".join(dump.data for dump in dumps_of(form(data))) == data


@pytest.mark.parametrize("form", [*FORMS, od])
def test_text_beside_them_is_left_out(form):
    (dump,) = dumps_of(form(DATA)) if form is not od else dumps_of(od(DATA).rsplit("\n", 2)[0])
    assert dump.data == DATA


@pytest.mark.parametrize(
    ("command", "arguments"), [("xxd", ()), ("xxd", ("-p",)), ("hexdump", ("-C",)), ("od", ("-A", "x", "-t", "x1"))]
)
def test_what_the_tools_write_is_read(command, arguments):
    if shutil.which(command) is None:
        pytest.skip(f"no {command} here")
    text = subprocess.run([command, *arguments], input=DATA, capture_output=True, check=True).stdout.decode()
    assert b"".join(dump.data for dump in dumps_of(text)).startswith(DATA)


def test_packets_begin_at_0_and_have_the_time_of_the_line_above():
    first, second = tcp(CLIENT, BROKER, 1, data=b"one"), tcp(BROKER, CLIENT, 1, 4, ACK, b"two")
    text = f"listening on lo\n12:00:01.000005 IP 10.0.0.1.40000 > 10.0.0.2.9092: Flags [P.]\n{tcpdump(first)}"
    text += f"2025-01-02 03:04:05.123456 IP 10.0.0.2.9092 > 10.0.0.1.40000\n{tcpdump(second)}3 packets captured\n"
    dumps = dumps_of(text)
    assert [dump.data for dump in dumps] == [first, second]
    assert dumps[0].time_ns == 43_201_000_005_000
    assert dumps[1].time_ns == 1_735_787_045_123_456_000
    assert dumps[0].line == 3
    assert dumps_of(tcpdump(first) + tcpdump(second)) == [Dump(first, 0, 1), Dump(second, 0, len(rows(first)) + 1)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1700000000.123456 IP", 1_700_000_000_123_456_000),
        ("00:00:00.5 IP", 500_000_000),
        ("2025-99-01 00:00:00.5", None),
        ("1970-01-02T00:00:00,25 x", 86_400_250_000_000),
        ("no time 12:30", None),
    ],
)
def test_times(line, expected):
    assert read_time(line) == expected


@pytest.mark.parametrize(
    ("begin", "link_type"),
    [
        (b"", 101),
        (bytes(12) + b"\x08\x00", 1),
        (b"\x02\0\0\0", 0),
        (bytes(14) + b"\x08\x00", 113),
        (b"\x08\x00" + bytes(18), 276),
    ],
)
def test_a_packet_by_its_first_bytes(begin, link_type):
    data = begin + tcp(CLIENT, BROKER, 1, data=b"one")
    packet = to_packet(Dump(data, 7, 3), 9)
    assert (packet.number, packet.time_ns, packet.link_type, packet.data, packet.offset) == (9, 7, link_type, data, 3)


def test_ipv6_too():
    data = tcp(("::1", 1), ("::1", 2), 1)
    assert to_packet(Dump(data, 0, 1), 1).link_type == 101


def test_what_is_no_packet():
    assert to_packet(Dump(bytes.fromhex("0000000a0012000300000001") * 9, 0, 1), 1) is None
    assert to_packet(Dump(b"", 0, 1), 1) is None


def test_a_dump_is_bounded(monkeypatch):
    monkeypatch.setattr("kproto.tools.decode.hex_input.HEX_SIZE_MAX", 100)
    with pytest.raises(BadInput, match="xxd -r"):
        dumps_of(xxd(bytes(101)))


@pytest.mark.parametrize("text", ["", "hello\n", "abc\n", "not: hex\n", "# 00zz\n"])
def test_what_is_no_hex(text):
    assert not is_hex(text)
    assert dumps_of(text) == []


@given(st.text(alphabet="0123456789abcdefx: |\n\tZ'.", max_size=200))
def test_any_text_gives_dumps_or_none(text):
    assert all(dump.data for dump in dumps_of(text))


def test_a_capture_file_as_hex():
    file = pcap([tcp(CLIENT, BROKER, 1)])
    assert [dump.data for dump in dumps_of(xxd(file))] == [file]
