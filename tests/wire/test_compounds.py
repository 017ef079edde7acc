"""Arrays, structs and tagged fields: what each refuses, in words."""

from __future__ import annotations

import pytest

from kproto.wire import (
    BadCount,
    DecodeError,
    Message,
    MetadataRequest,
    MetadataResponse,
    ProduceResponse,
    SaslAuthenticateRequest,
    SaslHandshakeResponse,
    Struct,
    Underrun,
    UnexpectedNull,
    oracle,
)
from kproto.wire.field import field
from kproto.wire.wire_type import Int16


@pytest.mark.parametrize(
    ("cls", "version", "data", "error", "text"),
    [
        (SaslHandshakeResponse, 1, "0000fffffffe", BadCount, "mechanisms at byte 2: expected a count of -1 or more"),
        (
            SaslHandshakeResponse,
            1,
            "0000ffffffff",
            UnexpectedNull,
            "mechanisms at byte 2: expected an array",
        ),
        (SaslHandshakeResponse, 1, "00007fffffff", BadCount, "at most 0 elements in 0 bytes, found 2147483647"),
        (
            SaslAuthenticateRequest,
            2,
            "0105",
            BadCount,
            "byte 1: expected at most 0 tagged fields in 0",
        ),
        (
            SaslAuthenticateRequest,
            2,
            "0102050005000000",
            DecodeError,
            "byte 4: expected a tag above 5",
        ),
        (SaslAuthenticateRequest, 2, "0101050200", Underrun, "byte 4: need 2 bytes for tag 5, 1 remain"),
        (SaslAuthenticateRequest, 2, "0101ffffffff0f00", DecodeError, "a tag of at most 2147483647, found 4294967295"),
        (MetadataRequest, 9, "ffffffff0f", BadCount, "topics at byte 0: expected at most 0 elements in 0 bytes"),
    ],
)
def test_what_the_bytes_are_refused_for(cls, version, data, error, text):
    with pytest.raises(error, match=text) as caught:
        cls.decode(bytes.fromhex(data), version)
    assert type(caught.value) is error


@pytest.mark.parametrize("count", [2**31 - 1, 2**34, -5])
def test_wire_6_impossible_counts_cost_nothing(count):
    """A count of 2**31 - 1, 2**34 (as a varint too long for 32 bits) and -5, at once and without memory."""
    with pytest.raises(DecodeError):
        MetadataResponse.decode(b"\0" * 4 + (count & (2**64 - 1)).to_bytes(8, "big"), 3)
    groups = bytes([0x81, 0x80, 0x80, 0x80, 0x40]) if count == 2**34 else b"\xff\xff\xff\xff\x07"
    with pytest.raises(DecodeError):
        MetadataResponse.decode(b"\0" * 4 + groups, 12)
    partition = b"\0" * 18  # error, index, leader, epoch; then the count of replicas
    with pytest.raises(DecodeError):
        MetadataResponse.decode(b"\0\0\0\0\1\0\0\0\0\0\2\0\0\2t" + b"\0" * 17 + b"\2" + partition[:14] + groups, 12)


def test_a_known_tag_must_fill_its_size():
    leader = ProduceResponse.LeaderIdAndEpoch(leader_id=1, leader_epoch=2)
    partition = ProduceResponse.PartitionProduceResponse(current_leader=leader)
    topic = ProduceResponse.TopicProduceResponse(partition_responses=[partition])
    encoded = ProduceResponse(responses=[topic]).encode(10)
    head = encoded.index(b"\x01\x00\x09\x00\x00\x00\x01")
    for size, message in ((8, "expected 8 bytes in tag 0"), (10, "expected 10 bytes in tag 0")):
        damaged = encoded[: head + 2] + bytes([size]) + encoded[head + 3 :]
        with pytest.raises(DecodeError, match=f"{message} .current_leader., found 9 bytes"):
            ProduceResponse.decode(damaged, 10)
    with pytest.raises(Underrun, match=r"need 100 bytes for tag 0, \d+ remain"):
        ProduceResponse.decode(encoded[: head + 2] + b"\x64" + encoded[head + 3 :], 10)


class Holder(Message, versions="0"):
    """A struct that may be null."""

    class Held(Struct):
        """What it holds."""

        number: int = field(Int16)

    held: Held | None = field(Held, nullable="0+", default=None)


@pytest.mark.parametrize(
    ("data", "held"), [("ff", None), ("010005", Holder.Held(number=5)), ("01ffff", Holder.Held(number=-1))]
)
def test_a_nullable_struct_stands_behind_a_marker(data, held):
    assert Holder.decode(bytes.fromhex(data), 0) == Holder(held=held)
    assert Holder(held=held).encode(0).hex() == data


def test_a_marker_is_nothing_but_minus_one_or_one():
    for marker in (0, 2, 127, 128):
        with pytest.raises(DecodeError, match="Holder v0 held at byte 0: expected a marker of -1 or 1"):
            Holder.decode(bytes([marker, 0, 5]), 0)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 5_000])
def test_arrays_of_numbers_of_any_length(count):
    """Beyond 256 numbers the function that packs them is made anew."""
    partition = MetadataResponse.MetadataResponsePartition(replica_nodes=range(count))
    response = MetadataResponse(topics=[MetadataResponse.MetadataResponseTopic(partitions=[partition])])
    for version in (0, 12):
        encoded = response.encode(version)
        assert MetadataResponse.decode(encoded, version).topics[0].partitions[0].replica_nodes == tuple(range(count))
        assert oracle.encode(response, version) == encoded
