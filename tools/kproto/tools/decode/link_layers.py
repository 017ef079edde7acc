"""From a packet to the TCP segment in it: link, VLAN and IP headers, by their offsets.

Layer: tools. Nothing is copied but the key of the connection. Checksums are not looked at: network cards fill them in
behind the place where the capture is taken.
Source: https://www.tcpdump.org/linktypes.html; IEEE 802.1Q; RFC 791, RFC 8200, RFC 9293.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, TypeAlias

from kproto.tools.decode.bad_input import BadInput
from kproto.tools.decode.capture_formats import IPV4, IPV6, TCP, layout
from kproto.tools.decode.model import Packet

__all__ = ["ACK", "FIN", "FRAGMENT", "LINKS", "NO_TCP", "RST", "SYN", "TOO_SHORT", "Segment", "endpoint", "segment_of"]

FIN: Final = 1
SYN: Final = 2
RST: Final = 4
ACK: Final = 16

ETHERNET: Final = 1
LINKS: Final = {
    0: "NULL",
    ETHERNET: "Ethernet",
    12: "RAW",
    14: "RAW",
    101: "RAW",
    108: "LOOP",
    113: "SLL",
    228: "IPv4",
    229: "IPv6",
    276: "SLL2",
}
"""What is read, by link type. 12 and 14 are RAW as some systems number it."""
NETWORK_OFFSETS: Final = {"NULL": 4, "LOOP": 4, "RAW": 0, "IPv4": 0, "IPv6": 0}

ETHERTYPE_IPV4: Final = b"\x08\x00"
VLAN_TAGS: Final = {b"\x81\x00", b"\x88\xa8", b"\x91\x00"}
VLAN_TAG_SIZE: Final = 4
ETHERTYPES: Final = {ETHERTYPE_IPV4, b"\x86\xdd"}
TAGS_MAX: Final = 8

TCP_PROTOCOL: Final = 6
FRAGMENTED: Final = 0x3FFF  # more of them follow, or this is not the first
EXTENSIONS: Final = {0, 43, 60, 135, 139, 140}  # with their length in units of 8 bytes
FRAGMENT_EXTENSION: Final = 44
AUTHENTICATION_EXTENSION: Final = 51  # with its length in units of 4 bytes
EXTENSIONS_MAX: Final = 16

IPV4_HEADER: Final = layout(IPV4)
IPV4_AND_TCP: Final = layout(IPV4, TCP)
IPV6_HEADER: Final = layout(IPV6)
TCP_HEADER: Final = layout(TCP)
NO_OPTIONS: Final = 0x45  # IPv4 with a header of 20 bytes

NO_TCP: Final = "no TCP"
FRAGMENT: Final = "a fragment of an IP packet"
TOO_SHORT: Final = "cut within its headers"


Segment: TypeAlias = tuple[bytes, int, int, int, memoryview, int]
"""A TCP segment: key, sequence number, acknowledged, flags, data, missing. A plain tuple, for there are many.

key: addresses and ports as they stand in the packet, sender first; missing: bytes of its data that the capture has cut.
"""


def segment_of(packet: Packet) -> Segment | str:
    """The segment, or why there is none: NO_TCP, FRAGMENT or TOO_SHORT. Raises BadInput for an unknown link type."""
    data = packet.data
    if packet.link_type == ETHERNET and data[12:14] == ETHERTYPE_IPV4:
        at = 14
    else:
        found = _network_offset(packet)
        if found is None:
            return NO_TCP
        at = found
    if len(data) < at + IPV4_AND_TCP.size:
        return _short(data, at)
    version, size, fragment, protocol, sequence, acknowledged, offset, flags = IPV4_AND_TCP.unpack_from(data, at)
    if version != NO_OPTIONS:
        return _with_options(packet, at) if version >> 4 == 4 else _ipv6(packet, at)
    if protocol != TCP_PROTOCOL:
        return NO_TCP
    if fragment & FRAGMENTED:
        return FRAGMENT
    start = at + 20 + (offset >> 4) * 4
    stop = at + size if size else packet.size
    captured = len(data)
    if start < at + 40 or start > stop:
        return NO_TCP
    if start > captured:
        return TOO_SHORT
    payload = memoryview(data)[start : stop if stop < captured else captured]
    missing = stop - captured if stop > captured else 0
    return bytes(data[at + 12 : at + 24]), sequence, acknowledged, flags, payload, missing


def endpoint(key: bytes) -> tuple[str, str]:
    """Sender and receiver of a key, as "host:port", IPv6 addresses in brackets."""
    size = (len(key) - 4) // 2
    ports = int.from_bytes(key[-4:-2], "big"), int.from_bytes(key[-2:], "big")
    return f"{_host(key[:size])}:{ports[0]}", f"{_host(key[size:-4])}:{ports[1]}"


def _host(address: bytes) -> str:
    return ".".join(map(str, address)) if len(address) == 4 else f"[{ip_address(address)}]"


def _network_offset(packet: Packet) -> int | None:
    """Where the IP header begins, None where there is none."""
    data = packet.data
    link = LINKS.get(packet.link_type)
    if link is None:
        known = ", ".join(f"{number} ({name})" for number, name in LINKS.items())
        raise BadInput(f"link type {packet.link_type} is not known: capture on one of {known}", packet.offset)
    if link in NETWORK_OFFSETS:
        return NETWORK_OFFSETS[link]
    kind_at, at = {"Ethernet": (12, 14), "SLL": (14, 16), "SLL2": (0, 20)}[link]
    kind = bytes(data[kind_at : kind_at + 2])
    for _ in range(TAGS_MAX):
        if kind not in VLAN_TAGS:
            break
        kind = bytes(data[at + 2 : at + 4])
        at += VLAN_TAG_SIZE
    return at if kind in ETHERTYPES else None


def _short(data: bytes | memoryview, at: int) -> str:
    """Why there is no segment in a packet that has no room for one: not every packet is TCP."""
    if len(data) < at + 10:
        return TOO_SHORT if len(data) > at and data[at] >> 4 in (4, 6) else NO_TCP
    protocol = data[at + 9] if data[at] >> 4 == 4 else data[at + 6]
    return TOO_SHORT if protocol == TCP_PROTOCOL else NO_TCP


def _with_options(packet: Packet, at: int) -> Segment | str:
    version, size, fragment, protocol = IPV4_HEADER.unpack_from(packet.data, at)
    header = (version & 15) * 4
    if protocol != TCP_PROTOCOL or header < IPV4_HEADER.size:
        return NO_TCP
    if fragment & FRAGMENTED:
        return FRAGMENT
    stop = at + size if size else packet.size
    return _segment(packet, bytes(packet.data[at + 12 : at + 20]), at + header, stop)


def _ipv6(packet: Packet, at: int) -> Segment | str:
    data = packet.data
    version, size, following = IPV6_HEADER.unpack_from(data, at)
    if version >> 4 != 6:
        return NO_TCP
    hosts = bytes(data[at + 8 : at + 40])
    at += IPV6_HEADER.size
    stop = at + size if size else packet.size
    for _ in range(EXTENSIONS_MAX):
        if following == TCP_PROTOCOL:
            return _segment(packet, hosts, at, stop)
        if following == FRAGMENT_EXTENSION:
            return FRAGMENT
        if following not in EXTENSIONS and following != AUTHENTICATION_EXTENSION:
            return NO_TCP
        if len(data) < at + 2:
            return TOO_SHORT
        authentication = following == AUTHENTICATION_EXTENSION
        following, units = data[at], data[at + 1]
        at += (units + 2) * 4 if authentication else (units + 1) * 8
    return NO_TCP


def _segment(packet: Packet, hosts: bytes, at: int, stop: int) -> Segment | str:
    """The segment whose header is at `at`; stop: where the IP packet ends."""
    data = packet.data
    if len(data) < at + TCP_HEADER.size:
        return TOO_SHORT
    sequence, acknowledged, offset, flags = TCP_HEADER.unpack_from(data, at)
    start = at + (offset >> 4) * 4
    if start < at + TCP_HEADER.size or start > stop:
        return NO_TCP
    if start > len(data):
        return TOO_SHORT
    payload = memoryview(data)[start : min(stop, len(data))]
    return hosts + bytes(data[at : at + 4]), sequence, acknowledged, flags, payload, max(0, stop - len(data))
