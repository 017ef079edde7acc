"""murmur2 undone: the key of a hash. It shares no line with the hash, and finds the keys that no search would."""

from __future__ import annotations

MULTIPLIER = 0x5BD1E995
INVERSE = pow(MULTIPLIER, -1, 2**32)


def signed(value: int) -> int:
    """The same 32 bits, as Java reads them."""
    return value - (value >> 31 << 32)


def unshift(value: int, shift: int) -> int:
    """What `value ^ value >> shift` came from."""
    found = value
    for _ in range(32 // shift):
        found = value ^ found >> shift
    return found


def key_of(target: int) -> bytes:
    """The only key of 4 bytes with this hash: every step of the hash can be undone."""
    h = unshift(unshift(target, 15) * INVERSE % 2**32, 13)
    k = h ^ (0x9747B28C ^ 4) * MULTIPLIER % 2**32
    return (unshift(k * INVERSE % 2**32, 24) * INVERSE % 2**32).to_bytes(4, "little")
