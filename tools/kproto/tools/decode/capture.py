"""Packets out of capture files: pcap and pcapng, as they come.

Layer: tools. Memory: one packet, and what the input gives at once.
Source: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html and draft-ietf-opsawg-pcapng-03.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final

from kproto.tools.decode.bad_input import BadInput
from kproto.tools.decode.byte_reader import ByteReader
from kproto.tools.decode.capture_formats import BIG, LITTLE, Formats, layout
from kproto.tools.decode.model import Finding, Packet
from kproto.tools.decode.pcapng import read_pcapng

__all__ = ["is_capture", "read_packets"]

PACKET_SIZE_MAX: Final = 16 * 1024 * 1024  # bytes; offloading cards and loopback give 64 KiB, or 512 with BIG TCP
SECTION_HEADER: Final = b"\x0a\x0d\x0d\x0a"
MAGICS: Final = {
    b"\xa1\xb2\xc3\xd4": (BIG, 1_000),
    b"\xd4\xc3\xb2\xa1": (LITTLE, 1_000),
    b"\xa1\xb2\x3c\x4d": (BIG, 1),
    b"\x4d\x3c\xb2\xa1": (LITTLE, 1),
}
"""Order of bytes, and nanoseconds of one unit of the fraction."""

Report = Callable[[Finding], None]

_new: Final = tuple.__new__  # half the time of calling the class


def is_capture(begin: bytes) -> bool:
    """Whether a file that begins so is a capture; 4 bytes tell."""
    return begin[:4] in MAGICS or begin[:4] == SECTION_HEADER


def read_packets(reader: ByteReader, report: Report) -> Iterator[Packet]:
    """The packets of a capture, in its order.

    report: told what is damaged within the file, which ends it there: what follows cannot be found. Raises BadInput
    where it does not begin as a capture does.
    """
    begin = reader.rest(4)
    if begin in MAGICS:
        formats, nanoseconds = MAGICS[begin]
        return _read_pcap(reader, formats, nanoseconds, report)
    if begin == SECTION_HEADER:
        return read_pcapng(reader, report, PACKET_SIZE_MAX)
    raise BadInput(f"no capture: pcap and pcapng begin otherwise than with {begin.hex(' ') or 'nothing'}")


def _read_pcap(reader: ByteReader, formats: Formats, nanoseconds: int, report: Report) -> Iterator[Packet]:
    file_header = layout(formats.pcap_file)
    if not reader.need(file_header.size):
        raise BadInput(f"the header of a pcap file has {file_header.size} bytes, here are {reader.left}")
    _, major, _, _, link_type = file_header.unpack_from(reader.data, reader.at)
    if major != 2:
        raise BadInput(f"pcap version {major} is not known: 2 is", 4)
    reader.at += file_header.size
    return _read_pcap_packets(reader, layout(formats.pcap_packet), nanoseconds, link_type & 0xFFFF, report)


def _read_pcap_packets(
    reader: ByteReader, header: Struct, nanoseconds: int, link_type: int, report: Report
) -> Iterator[Packet]:
    number = 0
    size_of_header = header.size
    while reader.need(size_of_header):
        data, at = reader.data, reader.at
        base = reader.offset - at
        end = len(data)
        while end - at >= size_of_header:  # without calls, for there are many packets in what is read at once
            seconds, fraction, captured, size = header.unpack_from(data, at)
            stop = at + size_of_header + captured
            if stop > end:
                break
            number += 1
            reader.at = stop
            time_ns = seconds * 1_000_000_000 + fraction * nanoseconds
            packet = number, time_ns, link_type, data[at + size_of_header : stop], size, base + at
            yield _new(Packet, packet)
            at = stop
        else:
            continue
        if captured > PACKET_SIZE_MAX:
            text = f"packet {number + 1} at byte {reader.offset} says it has {captured} bytes: the rest is not read"
            report(Finding("capture-damaged", text, offset=reader.offset))
            return
        if not reader.need(size_of_header + captured):
            break
    if reader.left:
        text = f"the capture ends at byte {reader.offset} within packet {number + 1}: it was cut"
        report(Finding("capture-cut", text, offset=reader.offset))
