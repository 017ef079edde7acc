"""Varints: base-128 groups, least significant first, as protobuf writes them; signed ones are zigzagged.

Layer: wire. Knows bytes and integers. Unsigned varints count and measure in flexible versions (KIP-482); zigzag varints
(32 bits) and varlongs (64 bits) are in records (KIP-98).
Source: org.apache.kafka.common.utils.ByteUtils. Stricter than Kafka: only the shortest form of a number is read.
"""

from __future__ import annotations

from typing import Final

from kproto.wire.errors import BadVarint, Underrun

__all__ = [
    "UNSIGNED_VARINT_TABLE",
    "VARINT_BYTES_MAX",
    "VARLONG_BYTES_MAX",
    "encode_unsigned_varint",
    "encode_varint",
    "encode_varlong",
    "read_unsigned_varint",
    "read_varint",
    "read_varlong",
    "unsigned_varint_size",
    "varint_size",
    "zigzag",
]

VARINT_BYTES_MAX: Final = 5
VARLONG_BYTES_MAX: Final = 10
CONTINUATION: Final = 0x80


def _groups(value: int) -> bytes:
    groups = bytearray()
    while value >= CONTINUATION:
        groups.append(value & 0x7F | CONTINUATION)
        value >>= 7
    groups.append(value)
    return bytes(groups)


# Lengths and counts are nearly always below 128 * 128: a list look-up takes a tenth of the time of the loop.
UNSIGNED_VARINT_TABLE: Final = tuple(bytes((n,)) for n in range(128)) + tuple(
    bytes((low | CONTINUATION, high)) for high in range(1, 128) for low in range(128)
)


def encode_unsigned_varint(value: int) -> bytes:
    """The shortest form of 0 <= value < 2**64. Raises ValueError for a negative value.

    >>> encode_unsigned_varint(300).hex()
    'ac02'
    """
    if 0 <= value < len(UNSIGNED_VARINT_TABLE):
        return UNSIGNED_VARINT_TABLE[value]
    if value < 0:
        raise ValueError(f"an unsigned varint is not negative, got {value}")
    return _groups(value)


def zigzag(value: int) -> int:
    """Signed to unsigned, small to small: 0, -1, 1, -2 become 0, 1, 2, 3. |value| < 2**63."""
    return (value << 1) ^ (value >> 63)


def encode_varint(value: int) -> bytes:
    """The zigzag varint of a value that fits 32 signed bits; the caller has checked that it does.

    >>> encode_varint(300).hex(), encode_varint(-1).hex()
    ('d804', '01')
    """
    return encode_unsigned_varint(zigzag(value))


encode_varlong = encode_varint
"""The zigzag varint of a value that fits 64 signed bits: the same bytes, more of them."""


def unsigned_varint_size(value: int) -> int:
    """Bytes that `encode_unsigned_varint(value)` takes, for value >= 0."""
    return max(1, (value.bit_length() + 6) // 7)


def varint_size(value: int) -> int:
    """Bytes that `encode_varint(value)` or `encode_varlong(value)` takes."""
    return unsigned_varint_size(zigzag(value))


def read_unsigned_varint(buffer: bytes, offset: int, path: str = "varint", *, bits: int = 32) -> tuple[int, int]:
    """The value at `offset`, and the offset behind it.

    bits: 32 or 64; the value is below 2**bits. Raises Underrun where the buffer ends inside the varint, BadVarint where
    it is longer than `bits` allow, larger, or padded with a group of zeros. Reads at most 10 bytes.
    """
    value = 0
    bytes_max = VARINT_BYTES_MAX if bits == 32 else VARLONG_BYTES_MAX
    for index in range(bytes_max):
        try:
            group = buffer[offset + index]
        except IndexError:
            raise Underrun(path, offset, "a whole varint", str(max(len(buffer) - offset, 0))) from None
        value |= (group & 0x7F) << (7 * index)
        if group < CONTINUATION:
            if group == 0 and index > 0:
                raise BadVarint(path, offset, "a varint in its shortest form", f"{index + 1} bytes for {value}")
            if value >> bits:
                raise BadVarint(path, offset, f"a varint below 2**{bits}", str(value))
            return value, offset + index + 1
    raise BadVarint(path, offset, f"a varint of at most {bytes_max} bytes", "a longer one")


def read_varint(buffer: bytes, offset: int, path: str = "varint") -> tuple[int, int]:
    """The zigzag varint (32 bits) at `offset`, and the offset behind it. Raises as `read_unsigned_varint`."""
    value, behind = read_unsigned_varint(buffer, offset, path)
    return (value >> 1) ^ -(value & 1), behind


def read_varlong(buffer: bytes, offset: int, path: str = "varlong") -> tuple[int, int]:
    """The zigzag varlong (64 bits) at `offset`, and the offset behind it. Raises as `read_unsigned_varint`."""
    value, behind = read_unsigned_varint(buffer, offset, path, bits=64)
    return (value >> 1) ^ -(value & 1), behind
