"""Declared classes: frozen, slotted values with defaults; arrays are tuples; a field is one line."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Sequence

import construct
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import (
    NO_TAGS,
    NO_UUID,
    REQUESTS,
    RESPONSES,
    InitProducerIdRequest,
    MetadataRequest,
    MetadataResponse,
    ProduceResponse,
    RequestHeader,
    ResponseHeader,
    SaslAuthenticateRequest,
    WireError,
)
from kproto.wire.field import field
from kproto.wire.schema import Message, Struct
from kproto.wire.strategies import messages, versions
from kproto.wire.wire_type import Array, Float64, Int8, Int16, Int32, NullableBytes, String, UInt16

MESSAGES = (RequestHeader, ResponseHeader, *REQUESTS.values(), *RESPONSES.values())
ANY_MESSAGE = st.sampled_from(MESSAGES).flatmap(
    lambda cls: versions(cls).flatmap(lambda version: messages(cls, version))
)


@pytest.mark.parametrize("cls", MESSAGES)
def test_every_field_has_a_default(cls):
    message = cls()
    for declared in cls.fields:
        assert getattr(message, declared.name) == declared.default
    assert message.unknown_tags is NO_TAGS
    assert message == cls.from_dict({})


@pytest.mark.parametrize("cls", MESSAGES)
def test_the_signature_names_the_fields(cls):
    parameters = inspect.signature(cls).parameters
    assert list(parameters) == [*(declared.name for declared in cls.fields), "unknown_tags"]
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters.values())


def test_values_are_frozen_and_slotted():
    message = InitProducerIdRequest()
    with pytest.raises(dataclasses.FrozenInstanceError, match="'producer_id': use replace"):
        message.producer_id = 5
    with pytest.raises(dataclasses.FrozenInstanceError, match="'producer_id'"):
        del message.producer_id
    with pytest.raises(dataclasses.FrozenInstanceError):
        message.other = 5
    with pytest.raises(TypeError):
        message.unknown_tags[1] = b""
    assert not hasattr(message, "__dict__")
    decoded = InitProducerIdRequest.decode(message.encode(4), 4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        decoded.producer_id = 5


@given(ANY_MESSAGE)
def test_values_are_equal_hashable_picklable_and_copied(message):
    for copied in (pickle.loads(pickle.dumps(message)), copy.deepcopy(message), message.replace()):
        assert copied == message
        assert hash(copied) == hash(message)
        assert type(copied) is type(message)


def test_equality_takes_the_class_and_the_unknown_tags():
    assert ResponseHeader() != RequestHeader()
    assert ResponseHeader() != 0
    assert ResponseHeader(unknown_tags={1: b"a"}) != ResponseHeader()
    assert hash(ResponseHeader(unknown_tags={1: b"a"})) != hash(ResponseHeader())


def test_arrays_become_tuples():
    topic = MetadataRequest.MetadataRequestTopic(name="t")
    assert MetadataRequest(topics=[topic]).topics == (topic,)
    assert MetadataRequest(topics=iter([topic])).topics == (topic,)
    assert MetadataRequest(topics=None).topics is None
    for wrong in ("topic", b"topic", {"name": "t"}, 5, topic):
        with pytest.raises(TypeError, match="an array takes a sequence"):
            MetadataRequest(topics=wrong)


def test_replace_changes_some_fields():
    request = InitProducerIdRequest(producer_id=5)
    assert request.replace(producer_epoch=2) == InitProducerIdRequest(producer_id=5, producer_epoch=2)
    with pytest.raises(TypeError, match="epoch"):
        request.replace(epoch=2)


def test_repr_is_readable_and_keeps_secrets():
    assert repr(ResponseHeader(correlation_id=7)) == "ResponseHeader(correlation_id=7)"
    assert repr(ResponseHeader(unknown_tags={3: b"x"})) == "ResponseHeader(correlation_id=0, unknown_tags={3: b'x'})"
    assert repr(SaslAuthenticateRequest(auth_bytes=b"\0user\0password")) == (
        "SaslAuthenticateRequest(auth_bytes=<secret>)"
    )
    assert repr(SaslAuthenticateRequest()) == "SaslAuthenticateRequest(auth_bytes=b'')"


def test_long_bytes_stand_as_their_length():
    from kproto.wire import ProduceRequest

    partition = ProduceRequest.PartitionProduceData(records=b"x" * 1000)
    assert repr(partition) == "PartitionProduceData(index=0, records=<1000 bytes>)"


def test_nested_structs_belong_to_their_message():
    assert ProduceResponse.NodeEndpoint(node_id=1).node_id == 1
    assert ProduceResponse.PartitionProduceResponse().current_leader == ProduceResponse.LeaderIdAndEpoch(leader_id=-1)
    assert MetadataResponse.MetadataResponseTopic().topic_id == NO_UUID


def test_the_construct_is_plain_construct():
    for cls in MESSAGES:
        for version in cls.versions:
            struct = cls.construct(version)
            assert isinstance(struct, construct.Struct)
            assert struct is cls.construct(version)
            container = struct.parse(cls().encode(version))
            names = [name for name in container if not name.startswith("_")]
            assert names == [subcon.name for subcon in struct.subcons]


class Everything(Message, versions="0-3", flexible="2+"):
    """Each rule of a declaration, one field each."""

    class Inner(Struct):
        """A nested struct with a field of its own."""

        value: int = field(Int16, default=5)

    class Empty(Struct):
        """A struct without fields: no bytes before flexible versions."""

    number: int = field(UInt16)
    late: int = field(Int32, since=1)
    gone: int = field(Int8, until=1, ignorable=True)
    ratio: float = field(Float64)
    nothing: bytes | None = field(NullableBytes)
    inner: Inner = field(Inner)
    maybe: Inner | None = field(Inner, nullable="1+", default=None, since=1)
    flags: Sequence[int] | None = field(Array(Int8), nullable="3+")
    empties: Sequence[Empty] = field(Array(Empty))
    tagged: Inner | None = field(Inner, since=2, tag=0, nullable="2+", default=None)
    moved: str = field(String, since=2, tag=1, tagged="3+", default="home")


@pytest.mark.parametrize("version", Everything.versions)
@given(data=st.data())
def test_every_rule_round_trips(version, data):
    from kproto.wire import oracle

    message = data.draw(messages(Everything, version))
    encoded = message.encode(version)
    assert encoded == oracle.encode(message, version)
    if version >= 2 or not message.empties:
        assert Everything.decode(encoded, version) == message
    assert Everything.from_dict(message.to_dict()) == message


def test_elements_of_no_bytes_need_bytes_all_the_same():
    from kproto.wire import DecodeError, oracle

    encoded = Everything(empties=[Everything.Empty()]).encode(0)
    assert Everything.decode(Everything().encode(0), 0) == Everything()
    for read in (Everything.decode, oracle.decode_prefix):
        with pytest.raises(DecodeError, match=r"empties at byte \d+: expected at most 0 elements in 0 bytes, found 1"):
            read(Everything, encoded, 0) if read is oracle.decode_prefix else read(encoded, 0)


def test_a_field_moves_into_the_tags():
    message = Everything(moved="away")
    assert b"away" in message.encode(2)
    assert Everything.decode(message.encode(2), 2) == message
    assert Everything.decode(message.encode(3), 3) == message
    assert len(Everything().encode(3)) < len(Everything().encode(2))


def test_an_unknown_tag_may_not_hide_a_known_one():
    from kproto.wire import EncodeError

    with pytest.raises(EncodeError, match="this unknown tag is the tag of moved, got 1"):
        Everything(unknown_tags={1: b""}).encode(3)
    for tag in (-1, 2**31):
        with pytest.raises(EncodeError, match=f"a tag lies between 0 and 2147483647, got {tag}"):
            Everything(unknown_tags={tag: b""}).encode(3)


def test_a_version_that_is_no_range_is_refused():
    with pytest.raises(WireError, match="versions are written as"):

        class Wrong(Message, versions="0..5"):
            pass
