"""Logging in: which requests, in which versions, and what each answer means."""

from __future__ import annotations

from itertools import product

import pytest

from kproto.client.errors import SaslAuthenticationError, UnsupportedSaslMechanismError, UnsupportedVersionError
from kproto.client.sasl import OAuthBearerExchange, PlainExchange, SaslAuthenticator, ScramExchange
from kproto.client.sasl.authenticator import ROUNDS_MAX, TRANSITIONS, SaslEvent, SaslState
from kproto.client.transitions import IllegalTransition, step
from kproto.client.versions import ApiVersions
from kproto.wire import (
    ApiKey,
    ApiVersionsRequest,
    ApiVersionsResponse,
    ErrorCode,
    MetadataResponse,
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
    encode_request,
)

NEWEST = ApiVersions({ApiKey.SASL_HANDSHAKE: range(2), ApiKey.SASL_AUTHENTICATE: range(3)})
ADDRESS = "b:9092"
SERVER_FIRST = b"r=nonceX,s=c2FsdA==,i=4096"


def announced(**ranges: tuple[int, int]) -> ApiVersionsResponse:
    keys = [(ApiKey[name], *bounds) for name, bounds in ranges.items()]
    keys_declared = [
        ApiVersionsResponse.ApiVersion(api_key=key, min_version=first, max_version=last) for key, first, last in keys
    ]
    return ApiVersionsResponse(api_keys=keys_declared)


def plain(versions: ApiVersions | None = NEWEST) -> SaslAuthenticator:
    return SaslAuthenticator(ADDRESS, PlainExchange("u", "pw", ADDRESS), versions)


def at_token(authenticator: SaslAuthenticator) -> SaslAuthenticator:
    """Past the handshake, with the first token sent."""
    authenticator.next_request()
    assert not authenticator.receive(SaslHandshakeResponse(mechanisms=["PLAIN"]))
    authenticator.next_request()
    return authenticator


def refused(authenticator, response, error=SaslAuthenticationError) -> str:
    with pytest.raises(error) as caught:
        authenticator.receive(response)
    assert authenticator.state is SaslState.FAILED
    with pytest.raises(IllegalTransition):
        authenticator.next_request()
    return str(caught.value)


def test_sasl_1_a_new_connection_asks_for_versions_names_the_mechanism_and_sends_tokens():
    authenticator = plain(None)
    assert authenticator.next_request() == (ApiVersionsRequest(), 0)
    answer = announced(SASL_HANDSHAKE=(0, 1), SASL_AUTHENTICATE=(0, 2), PRODUCE=(0, 13))
    assert not authenticator.receive(answer)
    assert authenticator.next_request() == (SaslHandshakeRequest(mechanism="PLAIN"), 1)
    assert not authenticator.receive(SaslHandshakeResponse(mechanisms=["PLAIN", "SCRAM-SHA-256"]))
    assert authenticator.next_request() == (SaslAuthenticateRequest(auth_bytes=b"\0u\0pw"), 2)
    assert authenticator.receive(SaslAuthenticateResponse(session_lifetime_ms=3_600_000))
    assert authenticator.state is SaslState.COMPLETE
    assert authenticator.session_lifetime_ms == 3_600_000


def test_sasl_3_the_bytes_are_those_of_kafkas_own_client():
    authenticator = plain()
    request, version = authenticator.next_request()
    data = encode_request(request, version, correlation_id=2147483640, client_id="p")
    assert data.hex() == "00000012001100017ffffff80001700005504c41494e"
    authenticator.receive(SaslHandshakeResponse())
    request, version = authenticator.next_request()
    data = encode_request(request, version, correlation_id=2147483641, client_id="p")
    assert data.hex() == "00000013002400027ffffff90001700006007500707700"


@pytest.mark.parametrize(("newest", "expected"), [(0, 0), (1, 1), (2, 2), (9, 2)])
def test_sasl_2_saslauthenticate_in_the_newest_version_of_both(newest, expected):
    authenticator = plain(None)
    authenticator.next_request()
    authenticator.receive(announced(SASL_HANDSHAKE=(0, 5), SASL_AUTHENTICATE=(0, newest)))
    assert authenticator.next_request()[1] == 1
    authenticator.receive(SaslHandshakeResponse())
    assert authenticator.next_request()[1] == expected


@pytest.mark.parametrize(
    ("ranges", "text"),
    [
        ({"SASL_HANDSHAKE": (0, 1)}, "the broker does not speak SaslAuthenticate (we speak 0-2)"),
        ({"SASL_HANDSHAKE": (0, 0), "SASL_AUTHENTICATE": (0, 2)}, "SaslHandshake: we speak 1-1, the broker 0-0"),
        ({}, "the broker does not speak SaslHandshake (we speak 1-1)"),
    ],
)
def test_sasl_2_a_broker_without_framed_tokens_is_refused(ranges, text):
    authenticator = plain(None)
    authenticator.next_request()
    assert text in refused(authenticator, announced(**ranges), UnsupportedVersionError)
    known = ApiVersions({ApiKey[name]: range(first, last + 1) for name, (first, last) in ranges.items()})
    with pytest.raises(UnsupportedVersionError):
        plain(known)


def test_sasl_8_to_log_in_again_begins_with_the_handshake():
    authenticator = plain(NEWEST)
    assert authenticator.state is SaslState.SEND_HANDSHAKE_REQUEST
    assert authenticator.next_request() == (SaslHandshakeRequest(mechanism="PLAIN"), 1)


def test_sasl_8_only_the_last_answer_tells_the_lifetime(monkeypatch):
    exchange = ScramExchange("SCRAM-SHA-256", "u", "pw", "nonce", ADDRESS)
    authenticator = at_token(SaslAuthenticator(ADDRESS, exchange, NEWEST))
    assert not authenticator.receive(SaslAuthenticateResponse(auth_bytes=SERVER_FIRST, session_lifetime_ms=5))
    assert authenticator.session_lifetime_ms == 0
    authenticator.next_request()
    monkeypatch.setattr(exchange, "_server_signature", bytes(32))
    final = SaslAuthenticateResponse(auth_bytes=b"v=" + b"A" * 43 + b"=", session_lifetime_ms=7)
    assert authenticator.receive(final)
    assert authenticator.session_lifetime_ms == 7


@pytest.mark.parametrize("lifetime", [0, -1])
def test_sasl_8_a_session_without_end(lifetime):
    authenticator = at_token(plain())
    assert authenticator.receive(SaslAuthenticateResponse(session_lifetime_ms=lifetime))
    assert authenticator.session_lifetime_ms == 0


def test_sasl_4_a_mechanism_that_the_broker_does_not_offer():
    authenticator = plain()
    authenticator.next_request()
    response = SaslHandshakeResponse(error_code=33, mechanisms=["SCRAM-SHA-256", "GSS\nAPI", *["x"] * 20])
    text = refused(authenticator, response, UnsupportedSaslMechanismError)
    assert "does not offer the SASL mechanism PLAIN; it offers SCRAM-SHA-256, GSS?API, x" in text
    assert text.count(" x") == 14


def test_sasl_4_a_listener_without_sasl():
    authenticator = plain()
    authenticator.next_request()
    assert refused(authenticator, SaslHandshakeResponse(error_code=34)) == (
        "b:9092: SaslHandshake is not expected here: this is probably no SASL listener; set security_protocol to what "
        "it speaks, or use another port"
    )
    assert "SaslAuthenticate is not expected" in refused(at_token(plain()), SaslAuthenticateResponse(error_code=34))


def test_sasl_4_refused_credentials_in_the_brokers_words_but_without_ours():
    response = SaslAuthenticateResponse(error_code=58, error_message="Authentication failed: no u with pw")
    assert refused(at_token(plain()), response) == (
        "b:9092: the broker refuses the PLAIN credentials (Authentication failed: no u with ***): "
        "check sasl_username and sasl_password"
    )


def test_sasl_7_the_status_of_a_failure_is_in_the_error():
    authenticator = at_token(SaslAuthenticator(ADDRESS, OAuthBearerExchange("secret.token", ADDRESS), NEWEST))
    assert not authenticator.receive(SaslAuthenticateResponse(auth_bytes=b'{"status":"invalid_token"}'))
    assert authenticator.next_request() == (SaslAuthenticateRequest(auth_bytes=b"\x01"), 2)
    text = refused(authenticator, SaslAuthenticateResponse(error_code=58, error_message="secret.token has expired"))
    assert "(*** has expired; status invalid_token)" in text


@pytest.mark.parametrize(
    ("code", "known"),
    [
        (ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "CLUSTER_AUTHORIZATION_FAILED (31), "),
        (ErrorCode.UNKNOWN_SERVER_ERROR, "UNKNOWN_SERVER_ERROR (-1), "),
        (9999, "error 9999"),
    ],
)
def test_sasl_4_any_other_error_is_named(code, known):
    authenticator = plain(None)
    authenticator.next_request()
    assert f"the broker answers ApiVersions with {known}" in refused(
        authenticator, ApiVersionsResponse(error_code=code)
    )
    authenticator = plain()
    authenticator.next_request()
    assert f"the broker answers SaslHandshake with {known}" in refused(
        authenticator, SaslHandshakeResponse(error_code=code)
    )
    response = SaslAuthenticateResponse(error_code=code)
    assert f"the broker answers SaslAuthenticate with {known}" in refused(at_token(plain()), response)


def test_success_before_the_brokers_proof_is_refused():
    exchange = ScramExchange("SCRAM-SHA-256", "u", "pw", "nonce", ADDRESS)
    assert "malformed" in refused(
        at_token(SaslAuthenticator(ADDRESS, exchange, NEWEST)), SaslAuthenticateResponse(session_lifetime_ms=9)
    )
    exchange = ScramExchange("SCRAM-SHA-256", "u", "pw", "nonce", ADDRESS)
    authenticator = at_token(SaslAuthenticator(ADDRESS, exchange, NEWEST))
    authenticator.receive(SaslAuthenticateResponse(auth_bytes=SERVER_FIRST))
    authenticator.next_request()
    assert "success without proof" in refused(authenticator, SaslAuthenticateResponse())
    assert not exchange.complete


class Endless:
    """An exchange that always has another token."""

    mechanism = "ENDLESS"
    complete = False

    def first(self) -> bytes:
        return b"first"

    def respond(self, challenge: bytes) -> bytes | None:
        return challenge

    def refused(self, message: str | None) -> SaslAuthenticationError:
        raise AssertionError


def test_a_broker_that_never_has_enough_is_given_up():
    authenticator = at_token(SaslAuthenticator(ADDRESS, Endless(), NEWEST))
    for number in range(1, ROUNDS_MAX):
        assert not authenticator.receive(SaslAuthenticateResponse(auth_bytes=bytes([number])))
        assert authenticator.next_request()[0] == SaslAuthenticateRequest(auth_bytes=bytes([number]))
    text = refused(authenticator, SaslAuthenticateResponse(auth_bytes=b"more"))
    assert text == "b:9092: ENDLESS: the broker wants more than 8 tokens: is it a Kafka broker?"


def test_one_request_at_a_time():
    authenticator = plain()
    with pytest.raises(IllegalTransition, match=r"in state SEND_HANDSHAKE_REQUEST .* SaslHandshakeResponse"):
        authenticator.receive(SaslHandshakeResponse())
    authenticator.next_request()
    with pytest.raises(IllegalTransition, match="in state RECEIVE_HANDSHAKE_RESPONSE there is no step for SEND"):
        authenticator.next_request()


def test_an_answer_to_something_else_is_a_bug():
    authenticator = at_token(plain())
    with pytest.raises(IllegalTransition, match="in state RECEIVE_TOKEN there is no step for MetadataResponse"):
        authenticator.receive(MetadataResponse())


def test_a_repr_shows_no_secret():
    authenticator = at_token(plain())
    assert repr(authenticator) == "<SaslAuthenticator PLAIN with b:9092: RECEIVE_TOKEN>"


@pytest.mark.parametrize(("state", "event"), list(product(SaslState, SaslEvent)))
def test_each_step_is_in_the_table_or_illegal(state, event):
    if (state, event) in TRANSITIONS:
        assert step(TRANSITIONS, state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransition):
            step(TRANSITIONS, state, event)
