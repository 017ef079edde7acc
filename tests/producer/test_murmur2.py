"""One hash in every client: Kafka's vectors, other implementations, and the hash run backwards.

Kafka's own class is asked in test_partitioner.py.
"""

from __future__ import annotations

from random import Random

import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import example, given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafka_python_murmur2
from producer.murmur2_backwards import key_of, signed

from kproto.producer.murmur2 import FEW, LANES, SIZE_MAX, TABLED_WORDS, murmur2, murmur2_many, partitions_of
from kproto.producer.partitioner import partition_for_key

TABLED_BYTES = 4 * TABLED_WORDS
LONG = bytes(range(256)) * 2
KEYS = st.binary(max_size=80) | st.integers(TABLED_BYTES - 9, TABLED_BYTES + 9).map(lambda size: LONG[:size])

VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
    b"": 275646681,
    b"\xff\xfe": 1717632651,
}


@pytest.mark.parametrize(("key", "expected"), VECTORS.items())
def test_part_5_kafkas_vectors(key, expected):
    assert signed(murmur2(key)) == expected


@given(KEYS)
@example(b"\xff")
@example(b"\x80\x80\x80")
def test_part_5_other_clients_have_the_same_hash(key):
    assert murmur2(key) == kafka_python_murmur2(key)
    assert murmur2(key) == aiokafka_murmur2(key) & 0xFFFFFFFF


@given(st.integers(0, 2**32 - 1))
def test_part_5_run_backwards_the_hash_gives_its_key(target):
    assert murmur2(key_of(target)) == target


@given(KEYS)
def test_part_5_any_buffer_will_do(key):
    assert murmur2(bytearray(key)) == murmur2(memoryview(key)) == murmur2(key)
    assert 0 <= murmur2(key) < 2**32


@given(st.lists(KEYS, max_size=60), st.integers(0, 40), st.integers(0, 2 * LANES))
@example([], 0, LANES + 1)
def test_part_5_many_keys_have_the_hashes_that_each_has_alone(keys, size, count):
    alike = [(number * 0x9E3779B97F4A7C15 % 2**512).to_bytes(64, "little")[:size] for number in range(count)]
    for some in (keys, alike, [*keys, *alike]):
        assert murmur2_many(some) == [murmur2(key) for key in some]


def _of_one_size(size, count, seed):
    random = Random(seed)
    return [random.randbytes(size) for _ in range(count)]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 10, 36, SIZE_MAX - 1, SIZE_MAX, SIZE_MAX + 1])
@pytest.mark.parametrize("count", [1, FEW - 1, FEW, LANES - 1, LANES, LANES + 1])
def test_part_5_keys_by_the_hundred_fill_all_lanes_and_more(size, count):
    keys = _of_one_size(size, count, size * count)
    assert murmur2_many(keys) == [murmur2(key) for key in keys]


@pytest.mark.parametrize("byte", [b"\0", b"\xff"])
@pytest.mark.parametrize("size", [1, 4, 10, 16])
def test_part_5_no_lane_carries_into_the_next(byte, size):
    """All bits set beside none set: a carry or a bit shifted across would show."""
    keys = [byte * size, bytes([255 - byte[0]]) * size] * 20
    assert murmur2_many(keys) == [murmur2(key) for key in keys]


@given(st.lists(st.binary(max_size=6), max_size=60), st.integers(1, 1 << 31))
def test_part_5_many_keys_have_the_partition_of_each(keys, partition_count):
    expected = [partition_for_key(key, partition_count) for key in keys]
    assert partitions_of(keys, partition_count) == expected


@pytest.mark.parametrize("keys", [["text"], ["text"] * 20, [b"k", None] * 20, [b"k", 5]])
def test_what_is_no_bytes_has_no_hash(keys):
    with pytest.raises(TypeError):
        murmur2_many(keys)
