"""Records connections as a packet capture that Wireshark, tshark and `kproto decode` open.

Layer: tools. Knows TCP and pcapng, by dpkt; knows nothing of Kafka: frames are written as they are given.
Source: RFC 9293 (TCP), RFC 1071 (checksums), https://pcapng.com; LINKTYPE_RAW of https://www.tcpdump.org/linktypes.html

    with PcapngRecorder("session.pcapng") as recorder:
        ...  # give it to a client as its observer
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final

from dpkt.ip import IP, IP_PROTO_TCP
from dpkt.ip6 import IP6
from dpkt.pcapng import (
    PCAPNG_OPT_IF_TSRESOL,
    PCAPNG_OPT_SHB_USERAPPL,
    EnhancedPacketBlockLE,
    InterfaceDescriptionBlockLE,
    PcapngOptionLE,
    SectionHeaderBlockLE,
)
from dpkt.tcp import TCP, TCP_OPT_MSS, TCP_OPT_NOP, TCP_OPT_WSCALE, TH_ACK, TH_FIN, TH_PUSH, TH_SYN

from kproto.client.effects import ConnectionObserver

if TYPE_CHECKING:
    from typing import Self

__all__ = ["SEGMENT_SIZE_MAX", "PcapngRecorder"]

LINKTYPE_RAW: Final = 101  # packets begin with their IP header
NANOSECONDS: Final = b"\x09"  # timestamps count 10**-9 s
SEGMENT_SIZE_MAX: Final = 0xFFFF - 40 - 20  # bytes of payload behind the headers of IPv6 and TCP
WINDOW_SHIFT: Final = 14  # the largest (RFC 7323): a window of 1 GiB, which no frame fills
UNACKNOWLEDGED_MAX: Final = 1 << 20  # bytes that one side sends without an answer before the other acknowledges
SEQUENCES: Final = 1 << 32
SEQUENCE_STEP: Final = 1 << 24  # between connections: the same ports again are then no retransmission
HOP_LIMIT: Final = 64

SYN_OPTIONS: Final = (
    bytes([TCP_OPT_MSS, 4, *SEGMENT_SIZE_MAX.to_bytes(2, "big")])
    + bytes([TCP_OPT_NOP])
    + bytes([TCP_OPT_WSCALE, 3, WINDOW_SHIFT])
)


@dataclass(slots=True)
class _Side:
    """One end of a connection. sequence: of its next byte; acknowledged: what it last said of the other's."""

    host: bytes
    port: int
    sequence: int
    acknowledged: int


class PcapngRecorder(ConnectionObserver):
    """Writes each frame as TCP segments of a connection made up for it.

    target: a path, whose file is replaced, or a binary file, which stays open. clock_ns: nanoseconds since the epoch.
    initial_sequence: of the first connection's first byte, on both sides.

    Each call ends with a flush, so a process that is killed leaves a file that can be read. What has no connection, as
    before `opened` or after `closed` or `close`, is not recorded. A call raises OSError where the file cannot be
    written. Thread-safe: any thread may call anything. Memory: a few hundred bytes for each open connection.
    """

    def __init__(
        self,
        target: str | os.PathLike[str] | BinaryIO,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        initial_sequence: int = 0,
    ) -> None:
        self._owned = isinstance(target, (str, os.PathLike))
        opened = Path(target).open("wb") if isinstance(target, (str, os.PathLike)) else target  # noqa: SIM115  # `close`
        self._file: BinaryIO = opened
        self._clock_ns = clock_ns
        self._next_sequence = initial_sequence % SEQUENCES
        self._lock = Lock()
        self._connections: dict[int, tuple[_Side, _Side]] = {}
        self._closed = False
        self._file.write(_file_header())
        self._file.flush()

    def opened(self, connection_id: int, local: tuple[str, int], remote: tuple[str, int]) -> None:
        """Write the handshake. Raises ValueError where a host is not a numeric address, or not of the other's family.

        An id that is still open begins anew.
        """
        with self._lock:
            if self._closed:
                return
            client, broker = self._sides(local, remote)
            self._connections[connection_id] = client, broker
            client_syn = _packet(client, broker, TH_SYN, options=SYN_OPTIONS)
            broker_syn = _packet(broker, client, TH_SYN | TH_ACK, options=SYN_OPTIONS)
            self._write(client_syn, broker_syn, _packet(client, broker, TH_ACK))

    def frame(self, connection_id: int, sent: bool, frame: bytes) -> None:
        """Write the frame as it is given, in segments of at most SEGMENT_SIZE_MAX bytes."""
        with self._lock:
            sides = self._connections.get(connection_id)
            if sides is None:
                return
            source, target = sides if sent else sides[::-1]
            for start in range(0, len(frame), SEGMENT_SIZE_MAX):
                piece = frame[start : start + SEGMENT_SIZE_MAX]
                last = start + SEGMENT_SIZE_MAX >= len(frame)
                self._write(_packet(source, target, TH_ACK | TH_PUSH if last else TH_ACK, piece), flush=last)
            if (source.sequence - target.acknowledged) % SEQUENCES > UNACKNOWLEDGED_MAX:
                self._write(_packet(target, source, TH_ACK))

    def closed(self, connection_id: int) -> None:
        """Write the end of both directions. Who closed first is not known: the client, as written."""
        with self._lock:
            sides = self._connections.pop(connection_id, None)
            if sides is not None:
                client, broker = sides
                ends = _packet(client, broker, TH_FIN | TH_ACK), _packet(broker, client, TH_FIN | TH_ACK)
                self._write(*ends, _packet(client, broker, TH_ACK))

    def close(self) -> None:
        """Record no more, and close the file where we opened it. Open connections stay without an end. Idempotent."""
        with self._lock:
            self._closed = True
            self._connections.clear()
            if self._owned:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _sides(self, local: tuple[str, int], remote: tuple[str, int]) -> tuple[_Side, _Side]:
        (client_host, client_port), (broker_host, broker_port) = local, remote
        client, broker = ip_address(client_host).packed, ip_address(broker_host).packed
        if len(client) != len(broker):
            raise ValueError(f"{client_host} and {broker_host} are of two families: give both as IPv4 or as IPv6")
        sequence = self._next_sequence
        self._next_sequence = (sequence + SEQUENCE_STEP) % SEQUENCES
        return _Side(client, client_port, sequence, sequence), _Side(broker, broker_port, sequence, sequence)

    def _write(self, *packets: bytes, flush: bool = True) -> None:
        now_ns = self._clock_ns()
        for packet in packets:
            block = EnhancedPacketBlockLE(ts_high=now_ns >> 32, ts_low=now_ns & 0xFFFFFFFF, pkt_data=packet)
            self._file.write(bytes(block))
        if flush:
            self._file.flush()


def _file_header() -> bytes:
    """What a file begins with: who wrote it, which link, how fine the timestamps are; packets have no largest size."""
    end = PcapngOptionLE()
    section = SectionHeaderBlockLE(opts=[PcapngOptionLE(code=PCAPNG_OPT_SHB_USERAPPL, data=b"kproto"), end])
    resolution = PcapngOptionLE(code=PCAPNG_OPT_IF_TSRESOL, data=NANOSECONDS)
    return bytes(section) + bytes(InterfaceDescriptionBlockLE(linktype=LINKTYPE_RAW, snaplen=0, opts=[resolution, end]))


def _packet(source: _Side, target: _Side, flags: int, data: bytes = b"", *, options: bytes = b"") -> bytes:
    """The IP packet of one segment; the sides then know what was sent and acknowledged."""
    if flags & TH_ACK:
        source.acknowledged = target.sequence
    segment = TCP(
        sport=source.port,
        dport=target.port,
        seq=source.sequence,
        ack=source.acknowledged if flags & TH_ACK else 0,
        off=(20 + len(options)) // 4,
        flags=flags,
        opts=options,
        data=data,
    )
    segment.sum = _checksum(source.host + target.host + bytes([0, IP_PROTO_TCP]) + _uint16(segment) + bytes(segment))
    source.sequence = (source.sequence + len(data) + bool(flags & (TH_SYN | TH_FIN))) % SEQUENCES
    if len(source.host) == 4:
        return bytes(IP(src=source.host, dst=target.host, p=IP_PROTO_TCP, ttl=HOP_LIMIT, df=1, data=segment))
    return bytes(
        IP6(src=source.host, dst=target.host, nxt=IP_PROTO_TCP, hlim=HOP_LIMIT, plen=len(segment), data=segment)
    )


def _uint16(segment: TCP) -> bytes:
    return len(segment).to_bytes(2, "big")


def _checksum(data: bytes) -> int:
    """RFC 1071. Ones' complement addition is addition modulo 0xFFFF; a quarter of the time of dpkt's own."""
    total = int.from_bytes(data + bytes(len(data) % 2), "big")
    return 0xFFFF - (total % 0xFFFF or 0xFFFF)
