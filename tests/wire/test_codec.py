"""The generated codec against the declaration it is generated from: bytes, values and verdicts."""

from __future__ import annotations

import pytest
from construct import Byte
from hypothesis import given, settings
from hypothesis import strategies as st
from properties_case import CASE_EXAMPLES_MIN

from kproto.wire import (
    REQUESTS,
    RESPONSES,
    DecodeError,
    EncodeError,
    FieldUnavailable,
    InitProducerIdRequest,
    Message,
    MetadataRequest,
    MetadataResponse,
    ProduceRequest,
    ProduceResponse,
    RequestHeader,
    ResponseHeader,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
    WireError,
    codec,
    oracle,
)
from kproto.wire.codegen.decoder import decoder_source
from kproto.wire.codegen.encoder import encoder_source
from kproto.wire.compounds import Fields
from kproto.wire.field import element_struct
from kproto.wire.strategies import messages
from kproto.wire.wire_type import Array

MESSAGES = (RequestHeader, ResponseHeader, *REQUESTS.values(), *RESPONSES.values())
VERSIONS = [(cls, version) for cls in MESSAGES for version in cls.versions]


def name(value):
    """A test id: the class's name, or the version."""
    return getattr(value, "__name__", value)


EACH_VERSION = pytest.mark.parametrize(("cls", "version"), VERSIONS, ids=name)
FEW_OF_MANY = settings(max_examples=CASE_EXAMPLES_MIN)  # of each of nearly 100 versions


def verdict(decode, data):
    """The value, or the error as the tuple of its facts."""
    try:
        return decode(data)
    except DecodeError as error:
        return type(error), error.args


def decode_by_oracle(cls, data, version):
    message, behind = oracle.decode_prefix(cls, data, version)
    return message if behind == len(data) else None


def accepts(cls, data, version):
    """What the generated decoder alone says: the message, or None for a refusal."""
    try:
        message, behind = codec.generated_decoder(cls, version)(data, 0)
    except codec.DECODE_REFUSALS:
        return None
    return message if behind == len(data) else None


@EACH_VERSION
@FEW_OF_MANY
@given(data=st.data())
def test_generated_codec_is_the_declaration(cls, version, data):
    message = data.draw(messages(cls, version))
    encoded = codec.generated_encoder(cls, version)(message)
    assert encoded == oracle.encode(message, version)
    assert accepts(cls, encoded, version) == message
    assert decode_by_oracle(cls, encoded, version) == message
    assert cls.decode(encoded, version) == message
    assert message.encode(version) == encoded


@EACH_VERSION
@FEW_OF_MANY
@given(data=st.data())
def test_generated_decoder_refuses_what_the_declaration_refuses(cls, version, data):
    encoded = bytearray(data.draw(messages(cls, version)).encode(version))
    for _ in range(data.draw(st.integers(1, 3))):
        if encoded:
            encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(encoded[: data.draw(st.integers(0, len(encoded)))]) + data.draw(st.binary(max_size=2))
    try:
        expected = decode_by_oracle(cls, damaged, version)
    except DecodeError:
        expected = None
    assert accepts(cls, damaged, version) == expected
    if expected is None:
        with pytest.raises(DecodeError) as caught:
            cls.decode(damaged, version)
        assert caught.value.path.startswith(f"{cls.__name__} v{version}")
        assert 0 <= caught.value.offset <= len(damaged)


@EACH_VERSION
def test_every_truncation_is_an_error_that_says_where(cls, version):
    encoded = cls().encode(version)
    for size in range(len(encoded)):
        with pytest.raises(DecodeError) as caught:
            cls.decode(encoded[:size], version)
        assert caught.value.offset <= size


@given(data=st.data())
@pytest.mark.parametrize("cls", MESSAGES)
def test_generated_encoder_refuses_what_the_declaration_refuses(cls, data):
    """A value of one version, encoded in another, with one field of a wrong type now and then."""
    version, other = (data.draw(st.sampled_from(cls.versions)) for _ in range(2))
    message = data.draw(messages(cls, version))
    if data.draw(st.booleans()):
        field = data.draw(st.sampled_from(cls.fields))
        wrong = data.draw(st.sampled_from([None, 2**70, "\ud800", b"\xff", 1.5, object(), -(2**40), "x" * 40_000]))
        if not isinstance(field.type, Array) or wrong is None:
            message = message.replace(**{field.name: wrong})
    try:
        expected = oracle.encode(message, other)
    except EncodeError:
        expected = None
    try:
        made = codec.generated_encoder(cls, other)(message)
    except codec.ENCODE_REFUSALS:
        made = None
    assert made == expected
    if expected is None:
        with pytest.raises(EncodeError, match=cls.__name__):
            message.encode(other)


@EACH_VERSION
@FEW_OF_MANY
@given(data=st.data())
def test_parts_are_the_encoding_in_pieces(cls, version, data):
    message = data.draw(messages(cls, version))
    parts = message.encode_parts(version)
    assert b"".join(parts) == message.encode(version) == oracle.encode(message, version)


def produce(records):
    partition = ProduceRequest.PartitionProduceData(index=3, records=records)
    topic = ProduceRequest.TopicProduceData(name="orders", partition_data=[partition, partition])
    return ProduceRequest(acks=-1, timeout_ms=5, topic_data=[topic])


@pytest.mark.parametrize("make", [bytes, bytearray, lambda data: memoryview(bytearray(data))])
@pytest.mark.parametrize("version", [3, 9, 12])
def test_records_are_in_the_parts_as_they_are(make, version):
    records = make(b"records" * 1_000)
    parts = produce(records).encode_parts(version)
    assert sum(is_same_memory(part, records) for part in parts) == 2
    assert b"".join(parts) == produce(bytes(records)).encode(version)


def is_same_memory(part, data):
    """Whether it is this very object, or a view of it."""
    whole = data.obj if isinstance(data, memoryview) else data
    return part is data or (isinstance(part, memoryview) and part.obj is whole and part.nbytes == len(data))


def test_parts_of_what_is_refused_raise_as_encode_does():
    for message, version in ((produce("text"), 9), (ProduceRequest(acks=2**20), 9), (produce(b""), 99)):
        with pytest.raises(WireError) as expected:
            message.encode(version)
        with pytest.raises(type(expected.value)) as caught:
            message.encode_parts(version)
        assert str(caught.value) == str(expected.value)


def test_parts_of_what_only_the_oracle_takes_are_its_bytes(monkeypatch):
    def refuses(message, join=None):
        raise ValueError

    monkeypatch.setattr(codec, "generated_encoder", lambda cls, version: refuses)
    monkeypatch.setattr(ProduceRequest, "_encoders", {})
    assert produce(b"records").encode_parts(9) == [oracle.encode(produce(b"records"), 9)]


def test_a_refusal_that_the_oracle_does_not_share_costs_time_only(monkeypatch):
    """Should generated code ever refuse a good value, the declaration answers in its place."""

    def refuse(*_):
        raise codec.Refused

    request = SaslHandshakeResponse(mechanisms=["PLAIN"])
    encoded = request.encode(1)
    monkeypatch.setitem(SaslHandshakeResponse._decoders, 1, refuse)
    monkeypatch.setitem(SaslHandshakeResponse._encoders, 1, refuse)
    assert request.encode(1) == encoded
    assert SaslHandshakeResponse.decode(encoded, 1) == request
    assert SaslHandshakeResponse.decode_prefix(encoded, 1) == (request, len(encoded))


def test_decode_takes_any_buffer_of_bytes():
    encoded = MetadataRequest(topics=None).encode(9)
    for buffer in (bytearray(encoded), memoryview(encoded), memoryview(encoded).cast("B")):
        assert MetadataRequest.decode(buffer, 9) == MetadataRequest(topics=None)
        assert MetadataRequest.decode_prefix(buffer, 9)[1] == len(encoded)
    for wrong in (3, "text", None):
        with pytest.raises(TypeError):
            MetadataRequest.decode(wrong, 9)


def test_decode_prefix_reads_in_the_middle_of_a_buffer():
    encoded = b"\xffjunk" + ResponseHeader(correlation_id=7).encode(1) + b"body"
    assert ResponseHeader.decode_prefix(encoded, 1, 5) == (ResponseHeader(correlation_id=7), 10)
    with pytest.raises(ValueError, match="not negative"):
        ResponseHeader.decode_prefix(encoded, 1, -1)
    with pytest.raises(DecodeError, match="at byte 14"):
        ResponseHeader.decode_prefix(encoded, 1, 14)
    with pytest.raises(DecodeError, match="SaslHandshakeRequest v1 mechanism at byte 2: need 5 bytes, 1 remain"):
        # A slice that ends early leaves the position past the end: the prefix must not be taken for whole.
        SaslHandshakeRequest.decode_prefix(b"\x00\x05P", 1)


def test_a_truncation_reads_as_a_sentence():
    partition = MetadataResponse.MetadataResponsePartition()
    topic = MetadataResponse.MetadataResponseTopic(name="t", partitions=[partition])
    encoded = MetadataResponse(topics=[topic] * 4).encode(12)
    index = encoded.rindex(topic.name.encode()) + 1 + 16 + 1 + 1 + 2 + 4
    with pytest.raises(DecodeError) as caught:
        MetadataResponse.decode(encoded[: index + 2], 12)
    assert (
        str(caught.value)
        == f"MetadataResponse v12 topics[3].partitions[0].leader_id at byte {index}: need 4 bytes, 2 remain"
    )


@pytest.mark.parametrize(
    ("message", "version", "text"),
    [
        (InitProducerIdRequest(producer_id=5), 2, "InitProducerIdRequest v2 producer_id: is not in version 2, got 5"),
        (MetadataRequest(allow_auto_topic_creation=False), 3, "allow_auto_topic_creation: is not in version 3"),
        (MetadataRequest(unknown_tags={5: b""}), 8, "MetadataRequest v8: version 8 has no tagged fields"),
        (MetadataRequest(topics=None), 0, "MetadataRequest v0 topics: is not nullable in this version, got None"),
        (MetadataRequest(topics=[None]), 9, r"topics\[0\]: is not a MetadataRequest"),
        (ProduceRequest(acks=2**15), 9, "ProduceRequest v9 acks: does not fit int16, got 32768"),
    ],
)
def test_a_value_that_does_not_fit_says_which_and_why(message, version, text):
    with pytest.raises(EncodeError, match=text) as caught:
        message.encode(version)
    assert isinstance(caught.value, FieldUnavailable) == ("is not in version" in text or "no tagged" in text)


def test_wire_5_ignorable_fields_are_dropped_where_the_version_lacks_them():
    response = ProduceResponse(throttle_time_ms=9)
    assert ProduceResponse.decode(response.encode(0), 0) == ProduceResponse()


def test_a_version_out_of_range_names_the_range():
    for call in (
        lambda: MetadataResponse.decode(b"", 14),
        lambda: MetadataResponse.decode_prefix(b"", -1),
        lambda: MetadataResponse().encode(14),
        lambda: MetadataResponse.construct(14),
        lambda: codec.source(MetadataResponse, 14, "decode"),
    ):
        with pytest.raises(WireError, match="MetadataResponse has versions 0-13, not"):
            call()


def test_source_shows_the_generated_functions():
    assert "def codec(buf, p):" in codec.source(ProduceResponse, 10, "decode")
    assert "def codec(message, join=join):" in codec.source(ProduceResponse, 10, "encode")


@pytest.mark.parametrize(
    ("cls", "version"), [pair for pair in VERSIONS if pair[1] in pair[0].flexible_versions], ids=name
)
def test_unknown_tags_survive_at_any_depth(cls, version):

    def tagged(struct: type) -> Message:
        values = {}
        for field in struct.fields:
            nested = element_struct(field.type)
            if nested is not None and version in field.versions:
                values[field.name] = [tagged(nested)] if field.type.name.startswith("[]") else tagged(nested)
        return struct(**values, unknown_tags={77: b"kept", 2**31 - 1: b""})

    message = tagged(cls)
    encoded = message.encode(version)
    assert encoded.count(b"kept") >= 1
    assert cls.decode(encoded, version) == message
    assert cls.decode(encoded, version).encode(version) == encoded


def test_a_construct_without_a_rule_is_a_bug_that_says_so():
    class Owner:
        fields = ()

    fields = Fields(Owner, "odd" / Byte)
    with pytest.raises(TypeError, match="no rule to decode"):
        decoder_source(fields)
    with pytest.raises(TypeError, match="no rule to encode"):
        encoder_source(fields, 0)
    assert codec.DECODE_REFUSALS

    class Odd:
        @staticmethod
        def construct(version):
            return fields

    with pytest.raises(TypeError, match="no strategy for"):
        messages(Odd, 0)
