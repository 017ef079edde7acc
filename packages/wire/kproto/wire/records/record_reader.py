"""Reads the records of a batch one by one, saying exactly what is wrong: the plain twin of `record_loop.py`.

Layer: wire. Slow; called to word an error, and in tests to prove the fast loop equal.
Source: org.apache.kafka.common.record.DefaultRecord.readFrom.
"""

from __future__ import annotations

from kproto.wire.errors import BadCount, BadUtf8, DecodeError, TrailingBytes, Underrun, UnexpectedNull
from kproto.wire.records.model import Header, Record
from kproto.wire.varint import read_varint, read_varlong

__all__ = ["read_headers", "read_record", "read_records", "read_whole_headers"]


def read_records(
    body: bytes, start: int, stop: int, count: int, base_offset: int, base_timestamp: int, path: str
) -> list[Record]:
    """The `count` records between `start` and `stop` of a buffer, which they must fill. Raises DecodeError."""
    records = []
    offset = start
    for index in range(count):
        if offset >= stop:
            raise Underrun(f"{path} records[{index}]", offset, f"{count} records", f"0 bytes after {index}")
        record, offset = read_record(body, offset, stop, base_offset, base_timestamp, f"{path} records[{index}]")
        records.append(record)
    if offset != stop:
        raise TrailingBytes(path, offset, f"the end after {count} records", f"{stop - offset} more bytes")
    return records


def read_record(
    body: bytes, start: int, limit: int, base_offset: int, base_timestamp: int, path: str
) -> tuple[Record, int]:
    """The record at `start`, and the offset behind it."""
    size, offset = read_varint(body, start, f"{path}.length")
    stop = offset + size
    if size < 0:
        raise BadCount(f"{path}.length", start, "a length of 0 or more", str(size))
    if stop > limit:
        raise Underrun(path, offset, f"{size} bytes", str(limit - offset))
    if offset == stop:
        raise Underrun(f"{path}.attributes", offset, "1 byte", "0")
    delta, offset = read_varlong(body, offset + 1, f"{path}.timestamp_delta")
    number, offset = read_varint(body, offset, f"{path}.offset_delta")
    key, offset = _read_field(body, offset, stop, f"{path}.key")
    value, offset = _read_field(body, offset, stop, f"{path}.value")
    headers, offset = read_headers(body, offset, stop, f"{path}.headers")
    if offset != stop:
        expected = f"a record of {size} bytes"
        raise DecodeError(path, start, expected, f"one of {size + offset - stop}")
    return Record(base_offset + number, base_timestamp + delta, key, value, headers), stop


def _read_field(body: bytes, start: int, limit: int, path: str) -> tuple[bytes | None, int]:
    size, offset = read_varint(body, start, path)
    if size == -1:
        return None, offset
    if size < -1:
        raise BadCount(path, start, "a length of -1 or more", str(size))
    if size > limit - offset:
        raise Underrun(path, offset, f"{size} bytes", str(max(limit - offset, 0)))
    return body[offset : offset + size], offset + size


def read_headers(body: bytes, start: int, limit: int, path: str) -> tuple[tuple[Header, ...], int]:
    """The headers whose count is at `start`, and the offset behind them."""
    count, offset = read_varint(body, start, path)
    if not 0 <= count <= max(limit - offset, 0):
        raise BadCount(path, start, f"0 to {max(limit - offset, 0)} headers", str(count))
    headers = []
    for index in range(count):
        name_at = offset
        name, offset = _read_field(body, offset, limit, f"{path}[{index}].key")
        if name is None:
            raise UnexpectedNull(f"{path}[{index}].key", name_at, "a header key", "null")
        value, offset = _read_field(body, offset, limit, f"{path}[{index}].value")
        try:
            headers.append((name.decode(), value))
        except UnicodeDecodeError as error:
            raise BadUtf8(f"{path}[{index}].key", name_at, "UTF-8", f"byte {name[error.start]:#04x}") from None
    return tuple(headers), offset


def read_whole_headers(data: bytes) -> tuple[Header, ...]:
    """The headers that fill the buffer. Raises DecodeError."""
    headers, behind = read_headers(data, 0, len(data), "Record headers")
    if behind != len(data):
        raise TrailingBytes("Record headers", behind, "the end", f"{len(data) - behind} more bytes")
    return headers
