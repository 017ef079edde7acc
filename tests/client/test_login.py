"""Logging in, with a token where one is needed, and when to do so again."""

from __future__ import annotations

from random import Random

import pytest
from client.scripted_sasl import SaslServer
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.config import ClientConfig
from kproto.client.errors import (
    SaslAuthenticationError,
    UnsupportedSaslMechanismError,
    UnsupportedVersionError,
)
from kproto.client.login import Login
from kproto.client.security import Security
from kproto.client.versions import ApiVersions
from kproto.wire import (
    ApiKey,
    ApiVersionsRequest,
    ApiVersionsResponse,
    ErrorCode,
    Response,
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
)

VERSIONS = ApiVersions({ApiKey.SASL_HANDSHAKE: range(2), ApiKey.SASL_AUTHENTICATE: range(3)})
LISTED = ApiVersionsResponse(
    api_keys=[ApiVersionsResponse.ApiVersion(api_key=key, max_version=2) for key in VERSIONS.ranges]
)
SERVER = SaslServer(users={"alice": "hunter2"}, tokens={"abc": "alice"})
PASSWORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def login(mechanism: str = "PLAIN", password: str = "hunter2", seed: int = 0) -> Login:
    settings: dict[str, object] = {"sasl_username": "alice", "sasl_password": password}
    if mechanism == "OAUTHBEARER":
        settings = {"sasl_oauth_token_provider": lambda: "abc"}
    config = ClientConfig.of(security_protocol="SASL_PLAINTEXT", sasl_mechanism=mechanism, **settings)
    return Login(Security(config, lambda: "nonce"), "b:9092", Random(seed))


def run(made: Login, ask, now_ms: int = 0, lifetime_ms: int = 0) -> list[tuple[str, int]]:
    """Answers all that is asked; the requests with their versions."""
    exchange = SERVER.exchange("PLAIN")
    asked = []
    while ask is not None:
        request, version = ask
        asked.append((type(request).__name__, version))
        response: Response = LISTED
        if isinstance(request, SaslHandshakeRequest):
            exchange = SERVER.exchange(request.mechanism)
            response = SaslHandshakeResponse()
        elif isinstance(request, SaslAuthenticateRequest):
            answer = exchange.step(request.auth_bytes)
            response = SaslAuthenticateResponse(auth_bytes=answer, session_lifetime_ms=lifetime_ms)
        ask = made.receive(response, now_ms)
    return asked


FIRST = [("ApiVersionsRequest", 0), ("SaslHandshakeRequest", 1), ("SaslAuthenticateRequest", 2)]


def test_sasl_1_versions_handshake_and_tokens_in_turn():
    made = login()
    assert run(made, made.begin(None)) == FIRST
    assert made.reauthenticate_at_ms is None
    assert not made.wants_token


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_sasl_6_scram_sends_two_tokens(mechanism):
    made = login(mechanism)
    assert run(made, made.begin(None)) == [*FIRST, FIRST[-1]]


def test_sasl_7_a_token_is_wanted_before_anything_is_asked():
    made = login("OAUTHBEARER")
    assert made.begin(None) is None
    assert made.wants_token
    ask = made.use_token("abc")
    assert not made.wants_token
    assert run(made, ask) == FIRST


def test_sasl_7_no_token_is_an_error():
    made = login("OAUTHBEARER")
    made.begin(None)
    with pytest.raises(SaslAuthenticationError, match="the token provider gave no token"):
        made.use_token(None)
    assert not made.wants_token


def test_sasl_8_where_the_versions_are_known_they_are_not_asked_again():
    made = login()
    run(made, made.begin(None))
    assert run(made, made.begin(VERSIONS)) == FIRST[1:]


def test_sasl_8_a_token_is_wanted_for_each_login():
    made = login("OAUTHBEARER")
    made.begin(None)
    run(made, made.use_token("abc"))
    assert made.begin(VERSIONS) is None
    assert made.wants_token


@pytest.mark.parametrize(("lifetime_ms", "expected"), [(0, None), (-5, None), (1, 1100), (2**63 - 1, None)])
def test_sasl_8_when_a_session_is_renewed_is_bounded(lifetime_ms, expected):
    made = login()
    run(made, made.begin(None), now_ms=1000, lifetime_ms=lifetime_ms)
    if lifetime_ms < 2**62:
        assert made.reauthenticate_at_ms == expected
    else:
        assert made.reauthenticate_at_ms > 2**62, "a time that never comes"


@given(st.integers(200, 10**9), st.integers(0, 10**9), st.integers())
def test_sasl_8_a_session_is_renewed_after_85_to_95_percent_of_it(lifetime_ms, now_ms, seed):
    made = login(seed=seed)
    run(made, made.begin(None), now_ms, lifetime_ms)
    assert int(0.85 * lifetime_ms) <= made.reauthenticate_at_ms - now_ms <= 0.95 * lifetime_ms


def test_sasl_8_a_login_without_lifetime_ends_the_renewals():
    made = login()
    run(made, made.begin(None), lifetime_ms=1000)
    run(made, made.begin(VERSIONS))
    assert made.reauthenticate_at_ms is None


def test_sasl_4_a_mechanism_that_is_not_offered_is_told():
    made = login()
    request, _ = made.begin(VERSIONS)
    assert request == SaslHandshakeRequest(mechanism="PLAIN")
    code = ErrorCode.UNSUPPORTED_SASL_MECHANISM
    with pytest.raises(UnsupportedSaslMechanismError, match="it offers SCRAM-SHA-512: set sasl_mechanism"):
        made.receive(SaslHandshakeResponse(error_code=code, mechanisms=["SCRAM-SHA-512"]), 0)


def test_sasl_2_a_broker_without_saslauthenticate_is_not_spoken_to():
    made = login()
    assert made.begin(None) == (ApiVersionsRequest(), 0)
    listed = [ApiVersionsResponse.ApiVersion(api_key=ApiKey.SASL_HANDSHAKE, max_version=0)]
    with pytest.raises(UnsupportedVersionError, match="SaslHandshake: we speak 1-1, the broker 0-0"):
        made.receive(ApiVersionsResponse(api_keys=listed), 0)


@given(PASSWORDS)
def test_sasl_4_a_refusal_and_a_repr_never_show_the_password(password):
    secret = f"pass{password}word"
    made = login(password=secret)
    made.begin(VERSIONS)
    made.receive(SaslHandshakeResponse(), 0)
    code = ErrorCode.SASL_AUTHENTICATION_FAILED
    with pytest.raises(SaslAuthenticationError) as caught:
        made.receive(SaslAuthenticateResponse(error_code=code, error_message=f"no user with {secret}"), 0)
    for text in (repr(made), str(caught.value), repr(caught.value)):
        assert secret not in text
