"""A connection that logs in, shakes hands, and logs in again while answers are under way."""

from __future__ import annotations

import ssl
from random import Random

import pytest
import trustme
from client.other_ends import RawEnd, SilentEnd, TlsEnd
from client.scripted_broker import ScriptedBroker, ScriptedCluster
from client.scripted_sasl import SaslServer
from client.wired import CA, CLIENT_CONTEXT, SERVER_CONTEXT, TLS, Wired, random_pieces, single, whole
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.client.connection import ConnectionState
from kproto.client.errors import (
    KafkaConnectionError,
    NotKafkaError,
    SaslAuthenticationError,
    SslAuthenticationError,
    UnsupportedSaslMechanismError,
)
from kproto.wire import ApiKey, ApiVersionsRequest, ErrorCode, SaslAuthenticateResponse, encode_response

S = ConnectionState
PASSWORD = "a good password"
TOKEN = "abc.def-ghi"
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
NEWEST = ApiVersionsRequest.versions[-1]
VERSIONS, HANDSHAKE, AUTHENTICATE = ApiKey.API_VERSIONS, ApiKey.SASL_HANDSHAKE, ApiKey.SASL_AUTHENTICATE
PASSWORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def listener(**more: object) -> ScriptedBroker:
    server = SaslServer(users={"alice": PASSWORD}, tokens={TOKEN: "alice", f"{TOKEN}2": "alice"}, **more)
    return ScriptedBroker(ScriptedCluster(topics={"orders": 2}), sasl=server)


def login(mechanism: str = "PLAIN", password: str = PASSWORD) -> dict[str, object]:
    """The settings."""
    if mechanism == "OAUTHBEARER":
        who: dict[str, object] = {"sasl_oauth_token_provider": lambda: TOKEN}
    else:
        who = {"sasl_username": "alice", "sasl_password": password}
    return {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": mechanism, **who}


def wired_to(server: ScriptedBroker, mechanism: str = "PLAIN", **more: object) -> Wired:
    return Wired(server.connect(), tokens=(TOKEN, f"{TOKEN}2"), **{**login(mechanism), **more})


def asked(server: ScriptedBroker) -> list[tuple[int, int]]:
    """Keys and versions of all requests so far."""
    return [(header.request_api_key, header.request_api_version) for header, _ in server.requests]


# Logging in


@pytest.mark.parametrize("cut", [whole, single], ids=["coalesced", "byte by byte"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_sasl_1_versions_handshake_tokens_and_versions_again(mechanism, cut):
    server = listener()
    wired = wired_to(server, mechanism, cut=cut).begin()
    assert wired.state is S.READY
    assert wired.end.user == "alice"
    tokens = 2 if "SCRAM" in mechanism else 1
    assert asked(server) == [(VERSIONS, 0), (HANDSHAKE, 1), *[(AUTHENTICATE, 2)] * tokens, (VERSIONS, NEWEST)]
    assert [header.correlation_id for header, _ in server.requests] == list(range(3 + tokens))
    wired.ask("a")
    wired.pump()
    assert wired.answers() == [("a", "MetadataResponse")]


def test_sasl_2_the_versions_are_those_that_the_broker_has():
    server = listener()
    server.cluster.versions[AUTHENTICATE] = range(2)
    assert wired_to(server).begin().state is S.READY
    assert (AUTHENTICATE, 1) in asked(server)


@pytest.mark.parametrize(
    ("key", "versions", "said"),
    [
        (HANDSHAKE, range(1), "SaslHandshake: we speak 1-1, the broker 0-0"),
        (AUTHENTICATE, range(0), "the broker does not speak SaslAuthenticate"),
        (HANDSHAKE, range(0), "the broker does not speak SaslHandshake"),
    ],
)
def test_sasl_2_a_broker_without_framed_tokens_is_refused(key, versions, said):
    server = listener()
    server.cluster.versions[key] = versions
    wired = wired_to(server).begin()
    assert wired.error.startswith(f"UnsupportedVersionError: {said}")


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_sasl_4_another_mechanism_is_told_with_those_offered(mechanism):
    server = listener(mechanisms=("GSSAPI",))
    wired = wired_to(server, mechanism).begin()
    assert type(wired.connection.error) is UnsupportedSaslMechanismError
    assert wired.error.endswith(f"the SASL mechanism {mechanism}; it offers GSSAPI: set sasl_mechanism")


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_sasl_4_wrong_credentials_are_told_without_them(mechanism):
    wired = Wired(listener().connect(), **login(mechanism, "a wrong password")).begin()
    assert type(wired.connection.error) is SaslAuthenticationError
    assert f"the broker refuses the {mechanism} credentials (" in wired.error
    assert "check sasl_username and sasl_password" in wired.error
    assert "a wrong password" not in wired.error


def test_sasl_7_a_wrong_token_is_told_without_it():
    wired = Wired(listener().connect(), tokens=("wrong.token",), **login("OAUTHBEARER")).begin()
    assert type(wired.connection.error) is SaslAuthenticationError
    assert "status invalid_token): check the token's issuer, audience, scope and expiry" in wired.error
    assert "wrong.token" not in wired.error


@pytest.mark.parametrize(
    ("key", "code", "said"),
    [
        (VERSIONS, ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "the broker answers ApiVersions with CLUSTER_AUTHORIZATION"),
        (HANDSHAKE, ErrorCode.ILLEGAL_SASL_STATE, "SaslHandshake is not expected here: this is probably no SASL "),
        (HANDSHAKE, 12_345, "the broker answers SaslHandshake with error 12345"),
        (AUTHENTICATE, ErrorCode.ILLEGAL_SASL_STATE, "SaslAuthenticate is not expected here"),
        (AUTHENTICATE, ErrorCode.UNKNOWN_SERVER_ERROR, "the broker answers SaslAuthenticate with UNKNOWN_SERVER_ERROR"),
    ],
)
def test_sasl_4_any_other_code_is_told(key, code, said):
    server = listener()
    server.fail(key, code)
    wired = wired_to(server).begin()
    assert wired.error.startswith(f"SaslAuthenticationError: b:9092: {said}")


@pytest.mark.parametrize("key", [VERSIONS, HANDSHAKE, AUTHENTICATE])
@pytest.mark.parametrize("fault", ["close", "half"])
def test_a_broker_that_closes_during_the_login_is_told_in_words(key, fault):
    server = listener()
    server.fail(key, fault)
    wired = wired_to(server).begin()
    said = "KafkaConnectionError: b:9092: the broker closed the connection during the login; "
    if key == AUTHENTICATE:
        assert wired.error == f"{said}it may not be able to read the credentials: check them, and the broker's log"
    else:
        assert wired.error == f"{said}the listener may not be one for SASL, or expect TLS: see security_protocol"


def test_sasl_6_a_broker_that_cannot_prove_the_password_is_not_trusted():
    server = listener()
    server.fail(
        AUTHENTICATE,
        lambda header, request, response: response,
        lambda header, request, response: SaslAuthenticateResponse(auth_bytes=b"v=AAAA"),
    )
    wired = wired_to(server, "SCRAM-SHA-256").begin()
    assert wired.error.endswith("the broker's signature is wrong: it does not know the password, so do not trust it")


def test_sasl_7_a_token_is_wanted_before_a_byte_is_sent():
    server = listener()
    wired = Wired(server.connect(), **login("OAUTHBEARER")).begin()
    assert wired.state is S.AUTHENTICATING
    assert wired.connection.wants_token
    assert not server.requests
    wired.connection.token_fetched(TOKEN, 0)
    assert not wired.connection.wants_token
    assert wired.pump().state is S.READY


def test_sasl_7_no_token_closes_with_the_providers_error():
    error = SaslAuthenticationError("sasl_oauth_token_provider", "the provider raised OSError")
    wired = Wired(listener().connect(), tokens=(error,), **login("OAUTHBEARER")).begin()
    assert wired.connection.error is error


@pytest.mark.parametrize("token", ["", "with space", "é", "a\x01b"])
def test_sasl_7_what_is_no_token_closes_without_showing_it(token):
    wired = Wired(listener().connect(), tokens=(token,), **login("OAUTHBEARER")).begin()
    assert wired.error == (
        "SaslAuthenticationError: b:9092: OAUTHBEARER: the token is empty, or has characters that no bearer token has "
        "(RFC 6750): check the token provider"
    )


@settings(max_examples=25)  # SCRAM is slow on purpose
@given(PASSWORDS, st.sampled_from(MECHANISMS[:3]), st.sampled_from([58, 33, 34, -1, "quote", "close"]))
def test_no_error_repr_or_observed_frame_shows_the_password(password, mechanism, fault):
    secret = f"pass{password}word"
    server = listener()
    quoting = SaslAuthenticateResponse(error_code=58, error_message=f"alice has not {secret}")
    server.fail(AUTHENTICATE, (lambda header, request, response: quoting) if fault == "quote" else fault)
    observed = []  # of what is sent: what a broker says in clear is its own affair
    config = login(mechanism, secret)
    wired = Wired(server.connect(), observe=lambda sent, data: observed.append(data if sent else b""), **config).begin()
    error = wired.connection.error
    for shown in (wired.error, repr(error), repr(error.args), repr(wired.connection), repr(wired.connection.settings)):
        assert secret not in shown
        assert repr(secret)[1:-1] not in shown
    assert not any(secret.encode() in data for data in observed)
    assert any(secret.encode() in request.auth_bytes for _, request in server.requests[2:]) == (mechanism == "PLAIN")


# Logging in again


def relogged(wired: Wired) -> Wired:
    """Time passes until the login is due."""
    wired.advance(wired.connection._login.reauthenticate_at_ms - wired.now_ms)
    return wired


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_sasl_8_a_session_is_renewed_on_the_same_connection_before_it_ends(mechanism):
    server = listener(session_lifetime_ms=10_000)
    wired = wired_to(server, mechanism).begin()
    before = len(server.requests)
    due_ms = wired.connection.next_deadline_ms()
    assert 8_500 <= due_ms <= 9_500
    wired.advance(due_ms - 1)
    assert len(server.requests) == before
    wired.advance(1)
    assert wired.state is S.READY
    assert wired.end.login.logins == 2
    tokens = 2 if "SCRAM" in mechanism else 1
    assert asked(server)[before:] == [(HANDSHAKE, 1), *[(AUTHENTICATE, 2)] * tokens], "no ApiVersions"
    assert due_ms + 8_500 <= wired.connection.next_deadline_ms() <= due_ms + 9_500
    wired.ask("a")
    wired.pump()
    assert wired.answers() == [("a", "MetadataResponse")]


def test_sasl_8_a_session_is_renewed_again_and_again():
    wired = wired_to(listener(session_lifetime_ms=10_000)).begin()
    for turn in range(20):
        relogged(wired)
        wired.ask(turn)
        wired.pump()
    assert wired.end.login.logins == 21
    assert wired.answers() == [(turn, "MetadataResponse") for turn in range(20)]


def test_sasl_8_answers_that_come_in_between_are_not_lost():
    server = listener(session_lifetime_ms=10_000)
    wired = wired_to(server).begin()
    wired.advance(wired.connection.next_deadline_ms() - 1)
    server.fail(ApiKey.METADATA, "hold")
    for token in "abc":
        wired.ask(token)
        wired.pump()
    wired.advance(1)
    assert wired.state is S.REAUTHENTICATING
    assert not wired.connection.can_send()
    assert wired.ended == {}
    server.release()
    wired.pump()
    assert wired.state is S.READY
    assert wired.end.login.logins == 2
    assert wired.answers() == [(token, "MetadataResponse") for token in "abc"]


def test_sasl_8_the_login_waits_for_as_long_as_the_requests_before_it_may_take():
    server = listener(session_lifetime_ms=100_000)
    wired = wired_to(server, setup_timeout_ms=5_000).begin()
    wired.advance(wired.connection.next_deadline_ms() - 1)
    server.fail(ApiKey.METADATA, "hold")
    wired.ask("slow")
    wired.pump()
    wired.advance(29_000)
    assert wired.state is S.REAUTHENTICATING
    server.release()
    assert wired.pump().state is S.READY
    assert wired.answers() == [("slow", "MetadataResponse")]


def test_sasl_8_a_login_that_is_not_answered_ends_in_time():
    server = listener(session_lifetime_ms=10_000)
    wired = wired_to(server).begin()
    server.fail(HANDSHAKE, "silence")
    relogged(wired)
    assert wired.state is S.REAUTHENTICATING
    wired.advance(30_000)
    assert wired.error == "KafkaTimeoutError: b:9092: an answer to SaslHandshakeRequest v1: nothing within 30000 ms"


def test_sasl_8_a_token_that_does_not_come_ends_it_in_time():
    wired = Wired(listener(session_lifetime_ms=10_000).connect(), tokens=(TOKEN,), **login("OAUTHBEARER")).begin()
    relogged(wired)
    assert wired.state is S.REAUTHENTICATING
    assert wired.connection.wants_token
    wired.advance(39_999)
    assert wired.state is S.REAUTHENTICATING
    wired.advance(1)
    assert wired.error.endswith("a ready connection, still reauthenticating: nothing within 40000 ms")


def test_sasl_8_a_refused_login_fails_what_is_in_flight_and_closes():
    server = listener(session_lifetime_ms=10_000)
    wired = wired_to(server).begin()
    wired.advance(wired.connection.next_deadline_ms() - 1)
    server.sasl.users = {"alice": "another password"}
    server.fail(ApiKey.METADATA, lambda header, request, response: None)
    wired.ask("a")
    wired.pump()
    wired.advance(1)
    assert wired.state is S.CLOSED
    assert wired.answers() == [("a", "CorrelationMismatch")]
    server = listener(session_lifetime_ms=10_000)
    wired = wired_to(server).begin()
    server.sasl.users = {"alice": "another password"}
    relogged(wired)
    assert type(wired.connection.error) is SaslAuthenticationError
    assert "the broker refuses the PLAIN credentials" in wired.error


def test_sasl_8_a_mechanism_that_was_taken_away_closes():
    server = listener(session_lifetime_ms=10_000)
    wired = wired_to(server).begin()
    server.sasl.mechanisms = ("SCRAM-SHA-512",)
    relogged(wired)
    assert type(wired.connection.error) is KafkaConnectionError, "Kafka closes without a word"


def test_sasl_8_who_is_throttled_logs_in_again_when_that_is_over():
    server = listener(session_lifetime_ms=10_000)
    wired = wired_to(server).begin()
    wired.advance(8_000)
    server.throttle_time_ms = 5_000
    wired.ask("a")
    wired.pump()
    server.throttle_time_ms = 0
    assert wired.state is S.THROTTLED
    wired.advance(4_999)
    assert wired.end.login.logins == 1
    wired.advance(1)
    assert wired.end.login.logins == 2
    assert wired.state is S.READY


def test_sasl_8_conn_14_a_throttle_that_comes_during_the_login_holds_after_it_and_gives_it_time():
    server = listener(session_lifetime_ms=10_000)
    wired = wired_to(server).begin()
    wired.advance(wired.connection.next_deadline_ms() - 1)
    server.fail(ApiKey.METADATA, lambda header, request, response: None)
    wired.ask("a")
    wired.pump()
    server.fail(HANDSHAKE, "hold")
    wired.advance(1)
    assert wired.state is S.REAUTHENTICATING
    (header,) = [header for header, _ in server.requests if header.request_api_key == ApiKey.METADATA]
    answer = server.cluster.metadata(server.asked(ApiKey.METADATA)[0], 9).replace(throttle_time_ms=100_000)
    wired.connection.data_received(encode_response(answer, 9, correlation_id=header.correlation_id), wired.now_ms)
    wired.pump()
    assert wired.answers() == [("a", "MetadataResponse")]
    assert wired.state is S.REAUTHENTICATING
    began_ms = wired.now_ms
    wired.advance(99_000)
    assert wired.state is S.REAUTHENTICATING, "the broker answers nothing so long: that is no timeout"
    server.release()
    assert wired.pump().state is S.THROTTLED
    assert not wired.connection.can_send()
    assert wired.connection.next_deadline_ms() == began_ms + 100_000


def test_sasl_8_between_two_logins_there_is_time_for_a_request_whatever_the_broker_says():
    server = listener(session_lifetime_ms=10_000)
    quick = SaslAuthenticateResponse(session_lifetime_ms=1)

    def hasty(header, request, response):
        return quick

    server.always[AUTHENTICATE] = hasty
    wired = wired_to(server).begin()
    for turn in range(20):
        wired.ask(turn)
        wired.pump()
        wired.advance(100)
    assert wired.end.login.logins == 21
    assert wired.answers() == [(turn, "MetadataResponse") for turn in range(20)]


# TLS


def shaken(server: ScriptedBroker | None = None, **more: object) -> Wired:
    server = server or ScriptedBroker(ScriptedCluster(topics={"orders": 2}))
    return Wired(TlsEnd(server.connect(), SERVER_CONTEXT), **{**TLS, **more}).begin()


@pytest.mark.parametrize("cut", [whole, single], ids=["whole", "byte by byte"])
def test_tls_1_the_handshake_comes_first(cut):
    wired = shaken(cut=cut)
    assert wired.state is S.READY
    wired.ask("a")
    wired.pump()
    wired.tell("b")
    wired.pump()
    assert wired.answers() == [("a", "MetadataResponse"), ("b", "NoneType")]


@given(st.integers())
def test_tls_1_any_split_will_do(seed):
    wired = shaken(cut=random_pieces(Random(seed)))
    wired.ask("a")
    wired.pump()
    assert wired.answers() == [("a", "MetadataResponse")]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_sasl_ssl_is_tls_and_then_a_login(mechanism):
    server = listener(session_lifetime_ms=10_000)
    end = TlsEnd(server.connect(), SERVER_CONTEXT)
    config = {**TLS, **login(mechanism), "security_protocol": "SASL_SSL"}
    sent = bytearray()
    receive, end.receive = end.receive, lambda data, now_ms=0: (sent.extend(data), receive(data, now_ms))
    wired = Wired(end, tokens=(TOKEN, f"{TOKEN}2"), **config).begin()
    assert wired.state is S.READY
    relogged(wired)
    assert end.end.login.logins == 2
    assert not any(secret in sent for secret in (PASSWORD.encode(), TOKEN.encode(), b"alice"))


def test_tls_an_authority_that_is_not_trusted_is_told():
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("b").configure_cert(stranger)
    wired = Wired(TlsEnd(SilentEnd(), stranger), **TLS).begin()
    assert type(wired.connection.error) is SslAuthenticationError
    assert "set ssl_cafile to the PEM file of the CA that signed it" in wired.error


def test_tls_a_certificate_of_another_name_is_told():
    wired = Wired(TlsEnd(SilentEnd(), SERVER_CONTEXT), host="other", **TLS).begin()
    assert type(wired.connection.error) is SslAuthenticationError
    assert "the broker's certificate is for other names than other" in wired.error


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
@pytest.mark.parametrize("cut", [whole, single], ids=["whole", "byte by byte"])
def test_tls_the_brokers_alert_is_told_before_and_after_the_handshake(version, cut):
    """In TLS 1.3 the client is done before the broker has judged its certificate."""
    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("b").configure_cert(strict)
    CA.configure_trust(strict)
    strict.verify_mode = ssl.CERT_REQUIRED
    strict.minimum_version = strict.maximum_version = version
    wired = Wired(TlsEnd(SilentEnd(), strict), cut=cut, **TLS).begin()
    assert type(wired.connection.error) is SslAuthenticationError
    assert "client certificate" in wired.error
    assert "ssl_certfile and ssl_keyfile" in wired.error


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"HTTP/1.1 400 Bad Request", "the listener does not speak TLS (it begins with b'HTTP/1.1'): use "),
        (b"\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x23\x00\x00\x00\x00", "the listener does not speak TLS"),
        (b"", "the broker closed the connection during the TLS handshake: a plaintext listener closes so: use "),
    ],
)
def test_tls_spoken_to_a_listener_of_plain_text_is_told(data, said):
    wired = Wired(RawEnd(data), **TLS).begin()
    assert isinstance(wired.connection.error, NotKafkaError if data else KafkaConnectionError)
    assert said in wired.error


def test_tls_a_real_broker_of_plain_text_is_told():
    wired = Wired(ScriptedBroker(ScriptedCluster()).connect(), **TLS).begin()
    assert "a plaintext listener closes so: use security_protocol=PLAINTEXT or another port" in wired.error


@pytest.mark.parametrize(("reason", "said"), [(None, "the broker closed the connection"), ("reset", "reset")])
def test_tls_a_connection_that_is_lost_says_when(reason, said):
    wired = Wired(SilentEnd(), **TLS).begin()
    assert wired.state is S.TLS_HANDSHAKE
    wired.connection.connection_lost(reason, 0)
    assert f"{said} during the TLS handshake" in wired.error
    wired = shaken()
    wired.connection.connection_lost(reason, 0)
    assert wired.error == f"KafkaConnectionError: b:9092: {said} while it was idle"


def test_tls_a_broker_that_closes_straight_after_the_handshake_may_want_a_certificate():
    wired = Wired(TlsEnd(RawEnd(b""), SERVER_CONTEXT), **TLS).begin()
    assert "it may ask for a client certificate, or refuse ours: check ssl_certfile and ssl_keyfile" in wired.error


def test_tls_damage_behind_a_good_answer_closes_at_once_and_no_token_ends_twice():
    wired = shaken()
    for token in "ab":
        wired.ask(token)
        wired.write()
    wired.connection.data_received(wired.end.output() + b"\x17\x03\x03\x00\x13" + bytes(19), 0)
    wired.collect()
    assert wired.answers() == [("a", "MetadataResponse"), ("b", "MetadataResponse")]
    assert "the TLS stream broke" in wired.error
    assert not wired.connection.can_send()


def test_tls_a_host_that_no_certificate_can_be_for_is_told():
    wired = Wired(SilentEnd(), host="", **TLS).begin()
    assert "no TLS with a host of the name ''" in wired.error


def test_tls_the_context_is_shared_and_each_connection_has_its_own_stream():
    one, other = shaken(), shaken()
    assert one.connection.stream.tls is not other.connection.stream.tls
    assert CLIENT_CONTEXT.session_stats()["connect_good"] >= 2


def test_conn_16_to_log_in_again_is_no_use_of_a_connection():
    """Else a connection with a short session would never be idle."""
    server = listener(session_lifetime_ms=1_000)
    wired = wired_to(server).begin()
    used_ms = wired.connection.last_used_ms
    logins = len(server.asked(AUTHENTICATE))
    for _ in range(5):
        wired.advance(500)
    assert len(server.asked(AUTHENTICATE)) > logins
    assert wired.connection.last_used_ms == used_ms
