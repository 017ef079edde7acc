"""Captures to measure on: one idempotent producer, 400-byte records in batches of 16 KiB, seeded.

One request for each batch, five in flight, in segments of the size that the capture is named for; pcap, Ethernet.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kproto.wire import ProduceRequest, ProduceResponse, encode_request, encode_response
from kproto.wire.records import RecordBatchBuilder

__all__ = ["CAPTURES", "CaptureKind", "write_capture"]

SEED: Final = 7
RECORD_SIZE: Final = 400
BATCH_RECORDS: Final = 39  # just below 16 KiB
PARTITIONS: Final = 6
DISTINCT: Final = 64  # batches that differ; the captures repeat them under new sequence numbers
IN_FLIGHT: Final = 5
VERSION: Final = 8  # the last whose records tshark 4.0 reads
PORTS: Final = {True: (40_000, 9_092), False: (9_092, 40_000)}
ACK: Final = 0x10
SYN: Final = 0x02
START_S: Final = 1_700_000_000
STEP_US: Final = 20


@dataclass(frozen=True)
class CaptureKind:
    """segment: bytes of data in a packet, at most. version: of Produce."""

    name: str
    segment: int
    version: int = VERSION


CAPTURES: Final = (
    CaptureKind("loopback, 64 KiB", 65_483),
    CaptureKind("Ethernet, 1,460 B", 1_460),
    CaptureKind("loopback, Produce 9", 65_483, version=9),
)


def write_capture(path: Path, kind: CaptureKind, size: int) -> int:
    """A pcap file of at least `size` bytes, and how many records are in it; equal arguments give equal bytes."""
    link = _Link(kind.segment)
    records = 0
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        written = file.write(b"".join(link.opening()))
        rounds = _requests(kind.version)
        while written < size:
            requests, answers = next(rounds)
            written += file.write(b"".join(link.send(True, requests)))
            written += file.write(b"".join(link.send(False, answers)))
            records += BATCH_RECORDS * IN_FLIGHT
    return records


def _requests(version: int) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """What is written and what comes back, round by round."""
    rng = random.Random(SEED)
    batches = [_builder(rng) for _ in range(DISTINCT)]
    topic, answer = ProduceRequest.TopicProduceData, ProduceResponse.TopicProduceResponse
    number = 0
    while True:
        requests, answers = [], []
        for _ in range(IN_FLIGHT):
            number += 1
            partition, sequence = number % PARTITIONS, number // PARTITIONS * BATCH_RECORDS
            data = batches[number % DISTINCT].build(4_711, 0, sequence)
            sent = ProduceRequest.PartitionProduceData(index=partition, records=data)
            request = ProduceRequest(
                acks=-1, timeout_ms=30_000, topic_data=[topic(name="orders", partition_data=[sent])]
            )
            requests.append(encode_request(request, version, correlation_id=number, client_id="app"))
            written = ProduceResponse.PartitionProduceResponse(index=partition, base_offset=sequence)
            response = ProduceResponse(responses=[answer(name="orders", partition_responses=[written])])
            answers.append(encode_response(response, version, correlation_id=number))
        yield requests, answers


def _builder(rng: random.Random) -> RecordBatchBuilder:
    builder = RecordBatchBuilder()
    for index in range(BATCH_RECORDS):
        key = b"%010d" % rng.randrange(10**10)
        value = b'{"id": %d, "text": "' % rng.randrange(10**12)
        value += (
            bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz     ", k=RECORD_SIZE - len(key) - len(value) - 2)) + b'"}'
        )
        builder.append(START_S * 1_000 + index // 8, key, value)
    return builder


class _Link:
    """Packets of one connection, with the time and the numbers that they have."""

    def __init__(self, segment: int) -> None:
        self._segment = segment
        self._next = {True: 1_000, False: 5_000}
        self._time_us = 0

    def opening(self) -> Iterator[bytes]:
        """SYN, SYN and ACK, ACK."""
        yield self._packet(True, b"", SYN)
        self._next[True] += 1
        yield self._packet(False, b"", SYN | ACK)
        self._next[False] += 1
        yield self._packet(True, b"", ACK)

    def send(self, client: bool, frames: list[bytes]) -> Iterator[bytes]:
        """Each frame in packets of its own, as clients write them; behind the last one the other side acknowledges."""
        for frame in frames:
            for start in range(0, len(frame), self._segment):
                data = frame[start : start + self._segment]
                yield self._packet(client, data, ACK)
                self._next[client] = (self._next[client] + len(data)) % 2**32
        yield self._packet(not client, b"", ACK)

    def _packet(self, client: bool, data: bytes, flags: int) -> bytes:
        self._time_us += STEP_US
        seconds, microseconds = divmod(self._time_us, 1_000_000)
        numbers = self._next[client], self._next[not client] if flags & ACK else 0
        hosts = b"\x0a\0\0\1", b"\x0a\0\0\2"
        size = 40 + len(data)
        return b"".join(
            (
                struct.pack("<IIII", START_S + seconds, microseconds, 14 + size, 14 + size),
                bytes(12) + b"\x08\0",
                struct.pack(">BBHIBBH", 0x45, 0, size, 0, 64, 6, 0),
                *(hosts if client else hosts[::-1]),
                struct.pack(">HHIIBBHHH", *PORTS[client], *numbers, 0x50, flags, 65_535, 0, 0),
                data,
            )
        )
