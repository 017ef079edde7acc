"""Hex digits that people copy: dumps of tcpdump, tshark, xxd, hexdump and od, or digits alone.

Layer: tools. A dump whose offset begins at 0 again is another packet. Memory: one packet, or what is dumped at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from kproto.tools.decode.bad_input import BadInput
from kproto.tools.decode.model import Packet

__all__ = ["HEX_SIZE_MAX", "Dump", "is_hex", "read_dumps", "read_time", "to_packet"]

HEX_SIZE_MAX: Final = 64 * 1024 * 1024  # bytes that are dumped in one piece

OFFSET_LINE_MAX: Final = 400  # characters
OFFSET_LINE: Final = re.compile(
    r"\s*(?:0x)?([0-9a-fA-F]{4,16})(?::\s?|\s)\s*((?:[0-9a-fA-F]{2}){1,16}(?![0-9a-zA-Z]).*)"
)
TEXT_BEHIND: Final = re.compile(r"\s+\|.*|\s{2,}\S.*|\s+$")  # what the bytes are as characters
BYTES_OF_C_STYLE: Final = re.compile(r"((?:[0-9a-fA-F]{2} ){8}) (?=[0-9a-fA-F]{2} )")  # hexdump -C: a gap in the middle
PLAIN_LINE: Final = re.compile(r"\s*(?:0x)?(?:[0-9a-fA-F]{2}[\s:,]*)+")
CLOCK: Final = re.compile(r"(?:(\d{4}-\d\d-\d\d)[ T])?(\d\d):(\d\d):(\d\d)[.,](\d{1,9})")
EPOCH: Final = re.compile(r"(?<!\d)(\d{9,11})\.(\d{1,9})(?!\d)")

ETHERNET: Final = 1
RAW: Final = 101
NULL: Final = 0
SLL: Final = 113
SLL2: Final = 276
ETHERTYPES: Final = (b"\x08\x00", b"\x86\xdd", b"\x81\x00", b"\x88\xa8")
FAMILIES: Final = (b"\x02\x00\x00\x00", b"\x00\x00\x00\x02", b"\x1e\x00\x00\x00", b"\x18\x00\x00\x00")
TCP_PROTOCOL: Final = 6


class Dump(NamedTuple):
    """Bytes that were dumped in one piece. time_ns: since the epoch or of the day, 0 for unknown; line: its first."""

    data: bytes
    time_ns: int
    line: int


def is_hex(text: str) -> bool:
    """Whether one of the first lines is a dump's, or holds digits alone."""
    return any(_digits(line) is not None for line in text.splitlines()[:50])


def read_dumps(lines: Iterator[str]) -> Iterator[Dump]:
    """The pieces that are dumped; lines that are no dump are passed over, but for the time in them.

    Raises BadInput for a piece of more than HEX_SIZE_MAX bytes.
    """
    data, first, time_ns, next_ns, number = bytearray(), 1, 0, 0, 0
    for number, line in enumerate(lines, 1):
        found = _digits(line)
        if found is None:
            next_ns = read_time(line) or next_ns
        if data and (found is None or found[0] == 0):
            yield Dump(bytes(data), time_ns, first)
            data.clear()
        if found is not None:
            if not data:
                first, time_ns = number, next_ns
            data += found[1]
            if len(data) > HEX_SIZE_MAX:
                why = f"more than {HEX_SIZE_MAX:,} bytes of hex from line {first} on: make a file of them with `xxd -r`"
                raise BadInput(why)
    if data:
        yield Dump(bytes(data), time_ns, first)


def to_packet(dump: Dump, number: int) -> Packet | None:
    """The packet that was dumped, by what its first bytes look like; None where it is none."""
    data = dump.data
    link_type = _link_type(data)
    if link_type is None:
        return None
    size = len(data)
    return Packet(number, dump.time_ns, link_type, data, size, dump.line)


def read_time(line: str) -> int | None:
    """The time in a line: nanoseconds since the epoch (taken as UTC), or of the day; None where there is none."""
    clock = CLOCK.search(line)
    if clock is None:
        epoch = EPOCH.search(line)
        return None if epoch is None else int(epoch[1]) * 10**9 + int(epoch[2].ljust(9, "0"))
    date, hour, minute, second, fraction = clock.groups()
    day = 0
    if date is not None:
        try:
            day = int(datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
        except ValueError:
            return None
    return (day + int(hour) * 3600 + int(minute) * 60 + int(second)) * 10**9 + int(fraction.ljust(9, "0"))


def _digits(line: str) -> tuple[int | None, bytes] | None:
    """Offset, None where there is none, and bytes of a line; None for a line that is no dump."""
    match = OFFSET_LINE.fullmatch(line.rstrip("\r\n")) if len(line) <= OFFSET_LINE_MAX else None
    if match is not None:
        digits = TEXT_BEHIND.sub("", BYTES_OF_C_STYLE.sub(r"\1", match[2]))
        digits = digits.replace(" ", "")
        if len(digits) % 2 == 0 and re.fullmatch("[0-9a-fA-F]+", digits):
            return int(match[1], 16), bytes.fromhex(digits)
    if PLAIN_LINE.fullmatch(line):
        digits = re.sub(r"0x|[^0-9a-fA-F]", "", line)
        return None, bytes.fromhex(digits)
    return None


def _link_type(data: bytes) -> int | None:
    if _is_tcp(data, 0):
        return RAW
    if data[12:14] in ETHERTYPES:
        return ETHERNET
    if data[:4] in FAMILIES and _is_tcp(data, 4):
        return NULL
    if data[14:16] in ETHERTYPES and _is_tcp(data, 16):
        return SLL
    return SLL2 if data[:2] in ETHERTYPES and _is_tcp(data, 20) else None


def _is_tcp(data: bytes, at: int) -> bool:
    if len(data) < at + 40:
        return False
    if data[at] >> 4 == 4:
        return data[at] & 15 >= 5 and data[at + 9] == TCP_PROTOCOL
    return data[at] >> 4 == 6 and data[at + 6] == TCP_PROTOCOL
