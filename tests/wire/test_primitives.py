"""Kafka's types as constructs: what each refuses, in words."""

from __future__ import annotations

import uuid

import pytest

from kproto.wire import (
    BadCount,
    BadUtf8,
    BadVarint,
    EncodeError,
    MetadataResponse,
    SaslAuthenticateRequest,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
    Underrun,
    UnexpectedNull,
)


@pytest.mark.parametrize(
    ("cls", "version", "data", "error", "text"),
    [
        (SaslHandshakeRequest, 1, "0002c328", BadUtf8, "mechanism at byte 2: expected UTF-8, found byte 0xc3"),
        (SaslHandshakeRequest, 1, "000261ff", BadUtf8, "mechanism at byte 3: expected UTF-8, found byte 0xff"),
        (SaslHandshakeRequest, 1, "ffff", UnexpectedNull, "mechanism at byte 0: expected string, found null"),
        (SaslHandshakeRequest, 1, "fffe", BadCount, "expected a length of -1 or more, found -2"),
        (SaslHandshakeRequest, 1, "0005616263", Underrun, "mechanism at byte 2: need 5 bytes, 3 remain"),
        (SaslHandshakeRequest, 1, "00", Underrun, "mechanism at byte 0: need 2 bytes, 1 remain"),
        (SaslAuthenticateRequest, 2, "0000", UnexpectedNull, "auth_bytes at byte 0: expected bytes, found null"),
        (SaslAuthenticateRequest, 2, "ffffffff0f00", BadCount, "at most 2147483647 bytes, found 4294967294"),
        (SaslAuthenticateRequest, 2, "8100", BadVarint, "auth_bytes at byte 0: expected a varint in its shortest form"),
        (SaslAuthenticateRequest, 2, "80", Underrun, "auth_bytes at byte 0: need a whole varint, 1 remain"),
        (SaslAuthenticateRequest, 2, "ffffffffff0f", BadVarint, "expected a varint of at most 5 bytes"),
    ],
)
def test_what_the_bytes_are_refused_for(cls, version, data, error, text):
    payload = bytes.fromhex(data)
    with pytest.raises(error, match=text) as caught:
        cls.decode(payload, version)
    assert type(caught.value) is error


def test_a_varint_of_100000_bytes_is_refused_at_once():
    with pytest.raises(BadVarint, match="at most 5 bytes"):
        MetadataResponse.decode(b"\0" * 4 + b"\xff" * 100_000, 12)


@pytest.mark.parametrize(
    ("message", "version", "text"),
    [
        (SaslHandshakeRequest(mechanism=5), 1, "SaslHandshakeRequest v1 mechanism: is not a str, got 5"),
        (SaslHandshakeRequest(mechanism="\ud800"), 1, "has a lone surrogate"),
        (SaslHandshakeRequest(mechanism="x" * 32_768), 1, "has 32768 bytes, at most 32767 fit"),
        (SaslHandshakeRequest(mechanism=None), 1, "is not nullable in this version"),
        (SaslHandshakeResponse(mechanisms=None), 1, "mechanisms: is not nullable in this version"),
        (SaslHandshakeResponse(mechanisms=["a", None]), 1, r"mechanisms\[1\]: is not nullable"),
        (SaslHandshakeResponse(error_code="x"), 1, "error_code: does not fit int16, got 'x'"),
        (MetadataResponse.MetadataResponseTopic(topic_id="x"), 12, "topic_id: is not a uuid.UUID"),
        (MetadataResponse.MetadataResponseTopic(is_internal="no"), 12, "is_internal: is neither True nor False"),
        (MetadataResponse(brokers=[5]), 12, r"brokers\[0\]: is not a MetadataResponse.MetadataResponseBroker, got 5"),
    ],
)
def test_what_values_are_refused_for(message, version, text):
    if isinstance(message, MetadataResponse.MetadataResponseTopic):
        message = MetadataResponse(topics=[message])
    with pytest.raises(EncodeError, match=text):
        message.encode(version)


def test_a_refused_secret_is_not_shown():
    with pytest.raises(EncodeError) as caught:
        SaslAuthenticateRequest(auth_bytes="password").encode(2)
    assert "password" not in str(caught.value)
    assert "password" not in repr(caught.value)


def test_strings_at_their_limit_and_beyond_ascii():
    for text in ("x" * 32_767, "é", "日本", "", "\0", "😀" * 8_000):
        for cls, version in ((SaslHandshakeRequest, 1),):
            assert cls.decode(cls(mechanism=text).encode(version), version).mechanism == text
    topic = MetadataResponse.MetadataResponseTopic
    for text in ("x" * 32_767, "x" * 126, "x" * 127, "x" * 16_383, "é" * 16_000):
        response = MetadataResponse(topics=[topic(name=text)])
        assert MetadataResponse.decode(response.encode(9), 9) == response
    with pytest.raises(EncodeError, match="has 32768 bytes"):
        MetadataResponse(topics=[topic(name="x" * 32_768)]).encode(9)
    too_long = b"\0\0\0\0\1\0\0\0\0\0\2\0\0" + b"\x81\x80\x02" + b"x" * 32_768
    with pytest.raises(BadCount, match=r"topics\[0\].name at byte 13: expected at most 32767 bytes, found 32768"):
        MetadataResponse.decode(too_long, 9)


def test_uuids():
    value = uuid.uuid5(uuid.NAMESPACE_DNS, "kproto")
    topic = MetadataResponse.MetadataResponseTopic(topic_id=value)
    decoded = MetadataResponse.decode(MetadataResponse(topics=[topic]).encode(12), 12).topics[0].topic_id
    assert (decoded, hash(decoded), str(decoded), decoded.is_safe) == (value, hash(value), str(value), value.is_safe)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_of_bytes_is_taken(kind):
    expected = SaslAuthenticateRequest(auth_bytes=b"token")
    for version in expected.versions:
        encoded = SaslAuthenticateRequest(auth_bytes=kind(b"token")).encode(version)
        assert encoded == expected.encode(version)
        assert SaslAuthenticateRequest.decode(kind(encoded), version) == expected
