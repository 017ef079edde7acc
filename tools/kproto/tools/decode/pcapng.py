"""Packets out of pcapng: blocks of several sections, interfaces and clocks.

Layer: tools. Blocks that hold no packet are passed over. Memory: one block, and a line for each interface.
Source: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from kproto.tools.decode.bad_input import BadInput
from kproto.tools.decode.byte_reader import ByteReader
from kproto.tools.decode.capture_formats import BIG, LITTLE, Formats, layout
from kproto.tools.decode.model import Finding, Packet

__all__ = ["read_pcapng"]

SECTION: Final = 0x0A0D0D0A
INTERFACE: Final = 1
OLD_PACKET: Final = 2
SIMPLE_PACKET: Final = 3
ENHANCED_PACKET: Final = 6
ORDERS: Final = {b"\x1a\x2b\x3c\x4d": BIG, b"\x4d\x3c\x2b\x1a": LITTLE}
OPTIONS_END: Final = 0
TSRESOL: Final = 9
TSOFFSET: Final = 14
INTERFACES_MAX: Final = 65_536
BLOCK_OVERHEAD: Final = 12  # type, and the length before and behind
SECOND_NS: Final = 1_000_000_000


class _Interface(NamedTuple):
    """units: of its clock in a second; offset_ns: to be added to its times."""

    link_type: int
    snaplen: int
    units: int = 1_000_000
    offset_ns: int = 0


class _Damaged(Exception):
    """A block does not hold what it must: the reader goes no further."""


def read_pcapng(reader: ByteReader, report: Callable[[Finding], None], packet_size_max: int) -> Iterator[Packet]:
    """The packets; `reader` is at a section's header. packet_size_max: bytes, beyond which it is no packet.

    report: told what is damaged. Raises BadInput where the first section's header cannot be read.
    """
    blocks = _Blocks(reader, packet_size_max)
    if not blocks.section():
        raise BadInput("the first section of the pcapng file has no readable header")
    return _packets(blocks, report)


def _packets(blocks: _Blocks, report: Callable[[Finding], None]) -> Iterator[Packet]:
    reader = blocks.reader
    try:
        while (packet := blocks.next_packet()) is not None:
            yield packet
    except _Damaged as error:
        text = f"block at byte {reader.offset} of the capture {error}: the rest is not read"
        report(Finding("capture-damaged", text, offset=reader.offset))
        return
    if reader.left:
        text = f"the capture ends at byte {reader.offset} within a block: it was cut"
        report(Finding("capture-cut", text, offset=reader.offset))


class _Blocks:
    """The file, block by block; what the section and its interfaces said."""

    def __init__(self, reader: ByteReader, packet_size_max: int) -> None:
        self.reader = reader
        self._size_max = packet_size_max + 65_536  # with options
        self._number = 0
        self._use(LITTLE)

    def _use(self, formats: Formats) -> None:
        """Begin a section: other byte order, other interfaces."""
        self._block = layout(formats.block)
        self._section = layout(formats.section)
        self._interface = layout(formats.interface)
        self._option = layout(formats.option)
        self._tsoffset = layout(formats.tsoffset)
        self._enhanced = layout(formats.enhanced_packet)
        self._simple = layout(formats.simple_packet)
        self._old = layout(formats.old_packet)
        self._interfaces: list[_Interface] = []

    def section(self) -> bool:
        """Take the header of a section, except its options; False where it is none that is known."""
        if not self.reader.need(self._section.size):
            return False
        data, at = self.reader.data, self.reader.at
        formats = ORDERS.get(data[at + 8 : at + 12])
        if formats is None:
            return False
        self._use(formats)
        _, length, _, major, _ = self._section.unpack_from(data, at)
        if major != 1 or length < self._section.size + 8 + 4 or length % 4 or length > self._size_max:
            return False
        return self.reader.skip(length)

    def next_packet(self) -> Packet | None:
        """The next packet, None at the end of the file. Raises _Damaged."""
        reader = self.reader
        while reader.need(8):
            kind, length = self._block.unpack_from(reader.data, reader.at)
            if kind == SECTION:
                if not self.section():
                    raise _Damaged("is a section's header that cannot be read")
                continue
            if length < BLOCK_OVERHEAD or length % 4:
                raise _Damaged(f"says it has {length} bytes")
            if kind not in (ENHANCED_PACKET, SIMPLE_PACKET, OLD_PACKET, INTERFACE):
                if not reader.skip(length):
                    raise _Damaged(f"of {length} bytes is cut")
                continue
            if length > self._size_max:
                raise _Damaged(f"says it has {length} bytes")
            if not reader.need(length):
                return None
            start, stop = reader.at + 8, reader.at + length - 4
            if kind == INTERFACE:
                self._add_interface(start, stop)
                reader.at += length
                continue
            packet = self._packet(kind, start, stop)
            reader.at += length
            return packet
        return None

    def _packet(self, kind: int, start: int, stop: int) -> Packet:
        data = self.reader.data
        header = {ENHANCED_PACKET: self._enhanced, SIMPLE_PACKET: self._simple, OLD_PACKET: self._old}[kind]
        start += header.size
        if start > stop:
            raise _Damaged("is too short for a packet")
        if kind == ENHANCED_PACKET:
            index, high, low, captured, size = header.unpack_from(data, start - header.size)
        elif kind == OLD_PACKET:
            index, _, high, low, captured, size = header.unpack_from(data, start - header.size)
        else:
            index = high = low = 0
            (size,) = header.unpack_from(data, start - header.size)
            captured = min(size, stop - start)
        if index >= len(self._interfaces):
            raise _Damaged(f"is a packet of interface {index}, of which nothing was said")
        interface = self._interfaces[index]
        if kind == SIMPLE_PACKET and interface.snaplen:
            captured = min(captured, interface.snaplen)
        if captured > stop - start:
            raise _Damaged(f"is too short for a packet of {captured} bytes")
        self._number += 1
        ticks = high << 32 | low
        time_ns = ticks * 1_000 if interface.units == 1_000_000 else ticks * SECOND_NS // interface.units
        return Packet(
            self._number,
            0 if kind == SIMPLE_PACKET else time_ns + interface.offset_ns,
            interface.link_type,
            data[start : start + captured],
            size,
            self.reader.offset,
        )

    def _add_interface(self, start: int, stop: int) -> None:
        data = self.reader.data
        if stop - start < self._interface.size:
            raise _Damaged("is too short for an interface")
        if len(self._interfaces) == INTERFACES_MAX:
            raise _Damaged(f"is one interface more than {INTERFACES_MAX}")
        found = _Interface(*self._interface.unpack_from(data, start))
        at = start + self._interface.size
        while stop - at >= self._option.size:
            code, length = self._option.unpack_from(data, at)
            at += self._option.size
            if code == OPTIONS_END or length > stop - at:
                break
            if code == TSRESOL and length == 1:
                found = found._replace(units=(2 if data[at] & 0x80 else 10) ** (data[at] & 0x7F))
            elif code == TSOFFSET and length == 8:
                found = found._replace(offset_ns=self._tsoffset.unpack_from(data, at)[0] * SECOND_NS)
            at += length + -length % 4
        self._interfaces.append(found)
