"""Encodes the headers of a record.

Layer: wire. Knows no record but its headers. Proven equal to RECORD_HEADER in schema.py.
Source: KIP-82; org.apache.kafka.common.record.DefaultRecord.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from kproto.wire.errors import EncodeError
from kproto.wire.varint import UNSIGNED_VARINT_TABLE, encode_varint

__all__ = ["NULL", "ZIGZAG", "encode_headers", "nullable_bytes"]

ZIGZAG: Final = UNSIGNED_VARINT_TABLE[::2]
"""The varint of a length, count or delta below 8192, which takes one or two bytes."""
NULL: Final = b"\x01"  # the length -1
NAMES_MAX: Final = 512
NAME_KEPT_MAX: Final = 256  # bytes


def nullable_bytes(value: Any, name: str) -> bytes | None:
    """bytes of any buffer, or None; a str is the commonest mistake, and must not reach the join."""
    if value is None:
        return None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise EncodeError(f"Record {name}", value, "is neither bytes nor None")


# Header names are few and come again: their bytes, length first. Bounded; a full one takes no more.
_names: Final[dict[str, bytes]] = {}


def encode_headers(headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    """The count and the headers of a record. Raises EncodeError naming the header."""
    pairs = headers if headers.__class__ in (list, tuple) else list(headers)
    try:
        parts = [ZIGZAG[len(pairs)]]
        for key, value in pairs:
            if value.__class__ is not bytes:
                raise KeyError
            parts += (_names[key], ZIGZAG[len(value)], value)
        return b"".join(parts)
    except (KeyError, IndexError, TypeError, ValueError):
        return _encode_headers(pairs)


def _encode_headers(pairs: Iterable[tuple[str, bytes | None]]) -> bytes:
    """Any headers: the plain twin, which also learns the names."""
    parts: list[bytes] = []
    for index, pair in enumerate(pairs):
        try:
            key, value = pair
        except (TypeError, ValueError):
            raise EncodeError(f"Record headers[{index}]", pair, "is no pair of str and bytes") from None
        if not isinstance(key, str):
            raise EncodeError(f"Record headers[{index}].key", key, "is not a str")
        data = nullable_bytes(value, f"headers[{index}].value")
        parts += (_name(key, index), NULL if data is None else encode_varint(len(data)), data or b"")
    return encode_varint(len(parts) // 3) + b"".join(parts)


def _name(key: str, index: int) -> bytes:
    try:
        name = key.encode()
    except UnicodeEncodeError:
        raise EncodeError(f"Record headers[{index}].key", key, "has a lone surrogate") from None
    encoded = encode_varint(len(name)) + name
    if len(_names) < NAMES_MAX and len(name) <= NAME_KEPT_MAX:
        _names[key] = encoded
    return encoded
