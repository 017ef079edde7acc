"""One hash in every client: Kafka's vectors, other implementations, and the hash run backwards.

Kafka's own class is asked in test_partitioner.py.
"""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import example, given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafka_python_murmur2
from producer.murmur2_backwards import key_of, signed

from kproto.producer.murmur2 import TABLED_WORDS, murmur2

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
