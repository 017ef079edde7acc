"""Bytes in the debug logs of clients: `Send: bytearray(b'...')`, as kafka-python writes them, and other literals.

Layer: tools. Lines that name a direction are a stream for each connection that they name; others hold frames.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from kproto.tools.decode.hex_input import read_time
from kproto.tools.decode.model import Finding

__all__ = ["LogBytes", "has_literals", "read_log"]

LITERAL: Final = re.compile(r"(?<![A-Za-z0-9_])b('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")
BEGIN: Final = re.compile(r"(?<![A-Za-z0-9_])b['\"]")
SENT: Final = re.compile(r"\b(?:send|sends|sent|sending|request|write|wrote|>>+)\b|>>|->", re.IGNORECASE)
RECEIVED: Final = re.compile(r"\b(?:recv|receive|receives|received|response|read|<<+)\b|<<|<-", re.IGNORECASE)
CONNECTION: Final = re.compile(r"<[^<>]*>")


class LogBytes(NamedTuple):
    """What a line holds. sent: None where it does not say; connection: what it calls it, "" for nothing."""

    data: bytes
    sent: bool | None
    connection: str
    time_ns: int
    line: int


def has_literals(text: str) -> bool:
    """Whether bytes stand there as Python writes them."""
    return BEGIN.search(text) is not None


def read_log(lines: Iterator[str], report: Callable[[Finding], None]) -> Iterator[LogBytes]:
    """The bytes in the lines, in their order. report: told of literals that cannot be read."""
    for number, line in enumerate(lines, 1):
        begin = BEGIN.search(line)
        if begin is None:
            continue
        before = line[: begin.start()]
        time_ns = read_time(before) or 0
        found = False
        for match in LITERAL.finditer(line):
            try:
                data = ast.literal_eval(match[0])
            except (SyntaxError, ValueError, MemoryError):
                break
            found = True
            yield LogBytes(data, _direction(before), _connection(before), time_ns, number)
        if not found:
            text = f"line {number} holds bytes that cannot be read: {line[begin.start() :][:40]!r}"
            report(Finding("log-line", text, offset=number))


def _direction(before: str) -> bool | None:
    """Whether it was sent: the last word of the line says so."""
    sent = [match.end() for match in SENT.finditer(before)]
    received = [match.end() for match in RECEIVED.finditer(before)]
    if not sent and not received:
        return None
    return (sent or [0])[-1] > (received or [0])[-1]


def _connection(before: str) -> str:
    names = CONNECTION.findall(before)
    return names[-1] if names else ""
