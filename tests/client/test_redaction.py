"""Redaction: of the same size, the same but for the secrets, and no secret left, whatever the frame looks like."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kproto.client.redaction import holds_secret, redact_request, redact_response
from kproto.wire import (
    REQUESTS,
    RESPONSES,
    MetadataResponse,
    Response,
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    Struct,
    WireError,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from kproto.wire.field import field
from kproto.wire.strategies import messages, request_frames, response_frames, versions
from kproto.wire.wire_type import Array, Bytes, Int32, SecretBytes

PASSWORD = b"\0user\0a long password"
SECRETS = st.binary(min_size=4, max_size=300).filter(lambda secret: b"*" not in secret)


class Vault(Response, versions="0-1", flexible="1+"):
    """Secrets where no declared message has them."""

    class Key(Struct):
        """Of one door."""

        door: bytes = field(Bytes)
        code: bytes = field(SecretBytes)

    keys: list[Key] = field(Array(Key))
    codes: list[bytes] = field(Array(SecretBytes))
    master: Key = field(Key, nullable="0+", default=None)
    spare: bytes | None = field(SecretBytes, nullable="0+", default=None)
    late: bytes = field(SecretBytes, tag=0, since=1)
    count: int = field(Int32)


class Drawer(Response, versions="0"):
    """A nested struct, but no secret."""

    class Spoon(Struct):
        """Of one size."""

        size: int = field(Int32)

    spoons: list[Spoon] = field(Array(Spoon))


@st.composite
def sasl_requests(draw):
    """A frame of SaslAuthenticate, its version and its secret."""
    version = draw(versions(SaslAuthenticateRequest))
    secret = draw(SECRETS)
    drawn = draw(messages(SaslAuthenticateRequest, version))
    request = SaslAuthenticateRequest(auth_bytes=secret, unknown_tags=drawn.unknown_tags)
    client_id = draw(st.none() | st.text("abc", max_size=10))
    return encode_request(request, version, correlation_id=draw(st.integers(0, 99)), client_id=client_id), secret


@st.composite
def sasl_responses(draw):
    """A frame of the answer, its version and its secret."""
    version = draw(versions(SaslAuthenticateResponse))
    secret = draw(SECRETS)
    drawn = draw(messages(SaslAuthenticateResponse, version))
    response = drawn.replace(auth_bytes=secret)
    return encode_response(response, version, correlation_id=draw(st.integers(0, 99))), version, secret


def without_secret(message):
    return message.replace(auth_bytes=b"") if hasattr(message, "auth_bytes") else message


@given(request_frames())
def test_sasl_a_request_stays_the_same_but_for_its_secrets(made):
    request, _, frame = made
    redacted = redact_request(frame)
    assert len(redacted) == len(frame)
    header, message = decode_request(redacted[4:])
    was, _ = decode_request(frame[4:])
    assert header == was
    assert without_secret(message) == without_secret(request)
    if not isinstance(request, SaslAuthenticateRequest):
        assert redacted is frame


@given(response_frames())
def test_sasl_a_response_stays_the_same_but_for_its_secrets(made):
    response, version, frame = made
    cls = type(response)
    redacted = redact_response(frame, cls, version)
    assert len(redacted) == len(frame)
    header, message = decode_response(redacted[4:], cls, version)
    assert header == decode_response(frame[4:], cls, version)[0]
    assert without_secret(message) == without_secret(decode_response(frame[4:], cls, version)[1])
    if cls is not SaslAuthenticateResponse:
        assert redacted is frame


@given(sasl_requests())
def test_sasl_the_secret_of_a_request_is_nowhere_in_it(made):
    frame, secret = made
    assume(frame.count(secret) == 1)  # elsewhere, the same bytes are no secret
    redacted = redact_request(frame)
    assert secret not in redacted
    assert redacted == frame.replace(secret, b"*" * len(secret))


@given(sasl_responses())
def test_sasl_the_secret_of_a_response_is_nowhere_in_it(made):
    frame, version, secret = made
    assume(frame.count(secret) == 1)
    redacted = redact_response(frame, SaslAuthenticateResponse, version)
    assert secret not in redacted
    assert redacted == frame.replace(secret, b"*" * len(secret))


@given(sasl_requests(), st.data())
def test_sasl_a_request_that_is_cut_loses_all_behind_its_correlation_id(made, data):
    frame, _ = made
    cut = frame[: data.draw(st.integers(0, len(frame) - 1))]
    assert redact_request(cut) == cut[:12] + b"*" * len(cut[12:])


@given(sasl_responses(), st.data())
def test_sasl_a_response_that_is_cut_loses_all_behind_its_correlation_id(made, data):
    frame, version, _ = made
    cut = frame[: data.draw(st.integers(0, len(frame) - 1))]
    assert redact_response(cut, SaslAuthenticateResponse, version) == cut[:8] + b"*" * len(cut[8:])


def test_sasl_a_version_that_is_not_declared_loses_all_behind_its_correlation_id():
    frame = bytearray(encode_request(SaslAuthenticateRequest(auth_bytes=PASSWORD), 2, correlation_id=1, client_id="p"))
    frame[6:8] = b"\x00\x63"
    assert redact_request(bytes(frame)) == frame[:12] + b"*" * len(frame[12:])


def test_sasl_a_client_id_that_swallowed_the_secret_is_overwritten_too():
    frame = bytearray(encode_request(SaslAuthenticateRequest(auth_bytes=PASSWORD), 1, correlation_id=1, client_id="p"))
    frame[12:14] = (len(frame) - 14).to_bytes(2, "big")
    assert redact_request(bytes(frame)) == frame[:12] + b"*" * len(frame[12:])


def test_sasl_bytes_behind_the_message_are_overwritten_too():
    frame = encode_response(SaslAuthenticateResponse(auth_bytes=PASSWORD), 1, correlation_id=1) + PASSWORD
    assert redact_response(frame, SaslAuthenticateResponse, 1) == frame[:8] + b"*" * len(frame[8:])


def test_sasl_an_empty_token_is_no_secret():
    frame = encode_request(SaslAuthenticateRequest(), 2, correlation_id=1, client_id="p")
    assert redact_request(frame) is frame


@pytest.mark.parametrize("version", [0, 1])
def test_secrets_at_any_depth_are_overwritten(version):
    key = Vault.Key(door=b"front", code=b"1234")
    late = {"late": b"after hours"} if version else {}
    vault = Vault(keys=[key, key], codes=[b"55555", b""], master=key, spare=b"0", count=7, **late)
    frame = encode_response(vault, version, correlation_id=3)
    hidden = Vault.Key(door=b"front", code=b"****")
    stars = {"late": b"*" * 11} if version else {}
    expected = Vault(keys=[hidden, hidden], codes=[b"*****", b""], master=hidden, spare=b"*", count=7, **stars)
    assert redact_response(frame, Vault, version) == encode_response(expected, version, correlation_id=3)


def test_a_null_secret_is_no_secret():
    frame = encode_response(Vault(count=7), 1, correlation_id=3)
    assert redact_response(frame, Vault, 1) is frame


def test_only_sasl_authenticate_holds_secrets():
    assert {cls for cls in (*REQUESTS.values(), *RESPONSES.values()) if holds_secret(cls)} == {
        SaslAuthenticateRequest,
        SaslAuthenticateResponse,
    }
    assert holds_secret(Vault)
    assert not holds_secret(Drawer)


def test_a_response_version_that_does_not_exist_is_refused():
    with pytest.raises(WireError, match=r"SaslAuthenticateResponse has versions 0-2, not 9"):
        redact_response(b"\0\0\0\4\0\0\0\1", SaslAuthenticateResponse, 9)


def test_damage_where_no_secret_can_be_is_left_alone():
    assert redact_request(b"") == b""
    frame = b"\0\0\0\5\0\0\0\1\xff"
    assert redact_response(frame, MetadataResponse, 12) is frame
