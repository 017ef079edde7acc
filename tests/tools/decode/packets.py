"""Packets made by hand: TCP conversations, in any link layer, in any capture format."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import ip_address

from kproto.tools.decode.model import Packet

RAW = 101
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
CLIENT = "10.0.0.1", 40_000
BROKER = "10.0.0.2", 9_092


def tcp(source, target, sequence, acknowledged=0, flags=ACK, data=b"", options=b""):
    """The IP packet of a segment. source, target: host and port."""
    offset = (20 + len(options)) // 4 << 4
    numbers = sequence % 2**32, acknowledged % 2**32
    segment = struct.pack(">HHIIBBHHH", source[1], target[1], *numbers, offset, flags, 65_535, 0, 0) + options + data
    return ip(source[0], target[0], segment)


def ip(source, target, segment, *, protocol=6, options=b"", fragment=0, size=None, extensions=b"", following=None):
    """An IPv4 or IPv6 packet, without a checksum. extensions: of IPv6, the first of kind `following`."""
    ends = ip_address(source).packed + ip_address(target).packed
    if len(ends) == 8:
        length = 20 + len(options)
        total = length + len(segment) if size is None else size
        head = struct.pack(">BBHHHBBH", 0x40 | length // 4, 0, total & 0xFFFF, 0, fragment, 64, protocol, 0)
        return head + ends + options + segment
    first = protocol if following is None else following
    total = len(extensions) + len(segment) if size is None else size
    return struct.pack(">IHBB", 0x60000000, total, first, 64) + ends + extensions + segment


@dataclass
class Talk:
    """Two ends that talk; `packets` is what a capture sees of it: IP packets."""

    client: tuple[str, int] = CLIENT
    broker: tuple[str, int] = BROKER
    client_next: int = 1_000
    broker_next: int = 5_000
    packets: list[bytes] = field(default_factory=list)

    def open(self):
        self.add(self.client, flags=SYN)
        self.client_next += 1
        self.add(self.broker, flags=SYN | ACK)
        self.broker_next += 1
        self.add(self.client)
        return self

    def add(self, source, data=b"", flags=ACK, back=0, lost=False):
        """A segment. back: bytes before the next one that it begins at, without counting them again."""
        ours = source == self.client
        sequence, theirs = (self.client_next, self.broker_next) if ours else (self.broker_next, self.client_next)
        target = self.broker if ours else self.client
        if not lost:
            self.packets.append(tcp(source, target, sequence - back, theirs if flags & ACK else 0, flags, data))

    def send(self, source, data, size=1_460, lost=()):
        """Data in segments. lost: which of them the capture does not see."""
        for number, start in enumerate(range(0, len(data), size)):
            part = data[start : start + size]
            self.add(source, part, ACK | PSH, lost=number in lost)
            if source == self.client:
                self.client_next += len(part)
            else:
                self.broker_next += len(part)
        return self

    def ask(self, data, **given):
        return self.send(self.client, data, **given)

    def answer(self, data, **given):
        return self.send(self.broker, data, **given)

    def close(self):
        self.add(self.client, flags=FIN | ACK)
        self.client_next += 1
        self.add(self.broker, flags=FIN | ACK)
        self.broker_next += 1
        self.add(self.client)
        return self

    def reset(self):
        self.add(self.broker, flags=RST | ACK)
        return self


def captured(packets, *, link_type=RAW, snaplen=None, start_ns=10**18, step_ns=1_000):
    """As a capture gives them. snaplen: bytes that it keeps of each."""
    offset = 24
    for number, data in enumerate(packets, 1):
        yield Packet(number, start_ns + number * step_ns, link_type, data[:snaplen], len(data), offset)
        offset += 16 + len(data[:snaplen])


def pcap(packets, *, order="<", nanoseconds=False, link_type=RAW, snaplen=None, start_ns=10**18, step_ns=1_000):
    """A pcap file of these packets."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    file = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snaplen or 262_144, link_type)]
    for each in captured(packets, link_type=link_type, snaplen=snaplen, start_ns=start_ns, step_ns=step_ns):
        seconds, rest = divmod(each.time_ns, 10**9)
        file.append(
            struct.pack(f"{order}IIII", seconds, rest if nanoseconds else rest // 1_000, len(each.data), each.size)
        )
        file.append(each.data)
    return b"".join(file)


def block(kind, body, order="<"):
    """A block of pcapng."""
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def option(code, data, order="<"):
    return struct.pack(f"{order}HH", code, len(data)) + data + bytes(-len(data) % 4)


def section(order="<"):
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link_type=RAW, order="<", snaplen=0, options=b""):
    return block(1, struct.pack(f"{order}HHI", link_type, 0, snaplen) + options, order)


def enhanced(data, ticks, order="<", index=0, size=None):
    head = struct.pack(f"{order}IIIII", index, ticks >> 32, ticks & 0xFFFFFFFF, len(data), size or len(data))
    return block(6, head + data + bytes(-len(data) % 4) + option(1, b"a comment", order) + option(0, b"", order), order)


def pcapng(packets, *, order="<", link_type=RAW, start_ns=10**18, step_ns=1_000):
    """A pcapng file of one section and interface, in microseconds."""
    file = [section(order), interface(link_type, order)]
    timed = captured(packets, link_type=link_type, start_ns=start_ns, step_ns=step_ns)
    file += [enhanced(each.data, each.time_ns // 1_000, order) for each in timed]
    return b"".join(file)


def reader_of(data, at_once=1 << 20):
    """A ByteReader that is given so many bytes at a time."""
    from io import BytesIO

    from kproto.tools.decode.byte_reader import ByteReader

    file = BytesIO(data)
    return ByteReader(lambda size: file.read(min(size, at_once)))


def collected(data):
    """Packets and findings of a capture."""
    from kproto.tools.decode.capture import read_packets

    findings = []
    return list(read_packets(reader_of(data), findings.append)), findings
