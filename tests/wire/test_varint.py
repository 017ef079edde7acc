"""Varints: vectors from Kafka's documents, shortest forms, bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire.errors import BadVarint, Underrun
from kproto.wire.varint import (
    encode_unsigned_varint,
    encode_varint,
    encode_varlong,
    read_unsigned_varint,
    read_varint,
    read_varlong,
    unsigned_varint_size,
    varint_size,
)

ZIGZAG = [
    (0, "00"),
    (-1, "01"),
    (1, "02"),
    (63, "7e"),
    (-64, "7f"),
    (64, "8001"),
    (-65, "8101"),
    (300, "d804"),
    (8191, "fe7f"),
    (8192, "808001"),
    (2**31 - 1, "feffffff0f"),
    (-(2**31), "ffffffff0f"),
]
ZIGZAG_LONG = [(2**63 - 1, "feffffffffffffffff01"), (-(2**63), "ffffffffffffffffff01")]


@pytest.mark.parametrize(("value", "encoded"), ZIGZAG)
def test_varint_vectors(value, encoded):
    assert encode_varint(value).hex() == encoded
    assert read_varint(bytes.fromhex(encoded), 0) == (value, len(encoded) // 2)


@pytest.mark.parametrize(("value", "encoded"), ZIGZAG + ZIGZAG_LONG)
def test_varlong_vectors(value, encoded):
    assert encode_varlong(value).hex() == encoded
    assert read_varlong(bytes.fromhex(encoded), 0) == (value, len(encoded) // 2)


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3), st.binary(max_size=3))
def test_unsigned_round_trip_in_the_middle_of_a_buffer(value, before, behind):
    encoded = encode_unsigned_varint(value)
    assert len(encoded) == unsigned_varint_size(value)
    assert read_unsigned_varint(before + encoded + behind, len(before), bits=64) == (value, len(before + encoded))
    if value < 2**32:
        assert read_unsigned_varint(before + encoded + behind, len(before)) == (value, len(before + encoded))


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_round_trip(value):
    assert read_varlong(encode_varlong(value), 0) == (value, varint_size(value))


@pytest.mark.parametrize("encoded", ["80", "ff", "ffff", "80808080"])
def test_an_unfinished_varint_is_an_underrun(encoded):
    with pytest.raises(Underrun, match=r"varint at byte 1: need a whole varint, \d remain"):
        read_unsigned_varint(b"\0" + bytes.fromhex(encoded), 1)


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        ("8000", "shortest form"),
        ("ff00", "shortest form"),
        ("ffffffff10", r"below 2\*\*32"),
        ("ffffffffff01", "at most 5 bytes"),
        ("ff" * 100_000, "at most 5 bytes"),
    ],
)
def test_long_and_padded_varints_are_refused(encoded, text):
    with pytest.raises(BadVarint, match=text):
        read_unsigned_varint(bytes.fromhex(encoded), 0)


def test_bounds_of_64_bits():
    with pytest.raises(BadVarint, match=r"below 2\*\*64"):
        read_varlong(bytes.fromhex("ff" * 9 + "02"), 0)
    with pytest.raises(BadVarint, match="at most 10 bytes"):
        read_varlong(bytes.fromhex("ff" * 10 + "01"), 0)


def test_negative_values_are_not_unsigned():
    with pytest.raises(ValueError, match="not negative"):
        encode_unsigned_varint(-1)
