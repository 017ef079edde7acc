"""murmur2, 32 bits: the hash that gives a key its partition in every Kafka client; of one key, and of many at once.

Layer: producer.
Source: org.apache.kafka.common.utils.Utils.murmur2; Austin Appleby's MurmurHash2, with Kafka's seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, unpack
from typing import Final

__all__ = ["murmur2", "murmur2_many", "partitions_of"]

SEED: Final = 0x9747B28C
TABLED_WORDS: Final = 65

UNPACKERS: Final = tuple(Struct(f"<{words}I").unpack_from for words in range(TABLED_WORDS))
"""By number of words: to parse a format for each key would add a fifth to the time of a short one."""
FROM_BYTES: Final = int.from_bytes  # a tenth of the time of a short key with a tail

# Many keys of one size: an int of so many lanes of 64 bits, a key's 32 bits in each. What is multiplied by a constant
# of 32 bits stays in its lane, so a step of the hash is one step for all. More lanes would gain next to nothing.
LANES: Final = 512
FEW: Final = 8  # keys: fewer are hashed one by one as fast
SIZE_MAX: Final = 1024  # bytes of a key: longer ones are not copied side by side, which bounds the copy
ONES: Final = FROM_BYTES((b"\1" + bytes(7)) * LANES, "little")
LOW_32: Final = ONES * 0xFFFFFFFF
LOW_19: Final = ONES * 0x7FFFF
LOW_17: Final = ONES * 0x1FFFF
LOW_8: Final = ONES * 0xFF


def murmur2(data: bytes) -> int:
    """The hash of data, from 0 to 2**32 - 1. Java's is the same 32 bits, read as a signed int.

    The constants stand in the expressions, where they cost nothing; a mask is left out wherever a later one makes up
    for it. This is what a new key costs: about 0.4 us, and 0.3 us more for each 4 bytes.
    """
    size = len(data)
    words = size >> 2
    unpack_from = UNPACKERS[words] if words < TABLED_WORDS else Struct(f"<{words}I").unpack_from
    h = SEED ^ size
    for k in unpack_from(data):
        k = k * 0x5BD1E995 & 0xFFFFFFFF
        h = (h * 0x5BD1E995 ^ (k ^ k >> 24) * 0x5BD1E995) & 0xFFFFFFFF
    if size & 3:  # only a tail that exists is multiplied
        h = (h ^ FROM_BYTES(data[size & -4 :], "little")) * 0x5BD1E995 & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return h ^ h >> 15


def murmur2_many(keys: Sequence[bytes]) -> list[int]:
    """`murmur2` of each, in order: in an eighth of the time where hundreds are of one size, a quarter of a mixed lot.

    Copies no more than half a megabyte of keys at a time. Thread-safe.
    """
    sizes = len(set(map(len, keys)))
    if len(keys) < FEW * sizes:
        return list(map(murmur2, keys))
    if sizes == 1:
        return _alike(keys)
    places_by_size: dict[int, list[int]] = {}
    for place, key in enumerate(keys):
        places_by_size.setdefault(len(key), []).append(place)
    hashes = [0] * len(keys)
    for places in places_by_size.values():
        for place, found in zip(places, _alike([keys[place] for place in places]), strict=True):
            hashes[place] = found
    return hashes


def partitions_of(keys: Sequence[bytes], partition_count: int) -> list[int]:
    """The partition of each key, as `partitioner.partition_for_key`. partition_count: of all the topic's, from 1."""
    return [(found & 0x7FFFFFFF) % partition_count for found in murmur2_many(keys)]


def _alike(keys: Sequence[bytes]) -> list[int]:
    """Of keys of one size."""
    hashes: list[int] = []
    for start in range(0, len(keys), LANES):
        some = keys[start : start + LANES]
        hashes += _in_lanes(some, len(some[0])) if len(some) >= FEW and len(some[0]) <= SIZE_MAX else map(murmur2, some)
    return hashes


def _in_lanes(keys: Sequence[bytes], size: int) -> tuple[int, ...]:
    """The steps of `murmur2`; a shift to the right brings in bits of the next lane, which are masked off."""
    lanes, joined = len(keys), b"".join(keys)
    h = (ONES >> 64 * (LANES - lanes)) * (SEED ^ size)
    for at in range(0, size & -4, 4):
        k = _lanes(joined, at, 4, size, lanes) * 0x5BD1E995 & LOW_32
        h = (h * 0x5BD1E995 ^ (k ^ k >> 24 & LOW_8) * 0x5BD1E995) & LOW_32
    if size & 3:
        h = (h ^ _lanes(joined, size & -4, size & 3, size, lanes)) * 0x5BD1E995 & LOW_32
    h = (h ^ h >> 13 & LOW_19) * 0x5BD1E995 & LOW_32
    h ^= h >> 15 & LOW_17
    return unpack(f"<{lanes}Q", h.to_bytes(8 * lanes, "little"))


def _lanes(joined: bytes, at: int, count: int, size: int, lanes: int) -> int:
    """So many bytes at one place of each key of this size."""
    laid = bytearray(8 * lanes)
    for offset in range(count):
        laid[offset::8] = joined[at + offset :: size]
    return FROM_BYTES(laid, "little")
