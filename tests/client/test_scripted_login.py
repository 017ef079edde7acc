"""The scripted broker's logins, by kproto.wire; librdkafka goes through them in test_loopback.py."""

from __future__ import annotations

import pytest
from client.scripted_broker import SaslServer, ScriptedBroker, ScriptedCluster
from client.talk import ALL_TOPICS, VERSIONS, Talk

from kproto.wire import (
    ApiKey,
    ErrorCode,
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    frame,
)

ALICE = b"\0alice\0alice-secret"
SERVER = {"users": {"alice": "alice-secret"}, "tokens": {"good-token": "alice"}}


def secured(**changes):
    return ScriptedBroker(ScriptedCluster(topics={"orders": 1}), sasl=SaslServer(**{**SERVER, **changes}))


def login(talk, mechanism, *tokens, version=2):
    """The last answer to the tokens; each may be a function of the answer before."""
    handshake = talk.ask(SaslHandshakeRequest(mechanism=mechanism), 1)
    assert handshake.error_code == 0
    response = None
    for token in tokens:
        made = token(response.auth_bytes) if callable(token) else token
        response = talk.ask(SaslAuthenticateRequest(auth_bytes=made), version)
    return response


def test_sasl_5_plain():
    talk = Talk(secured())
    assert login(talk, "PLAIN", ALICE).error_code == 0
    assert talk.end.user == "alice"
    assert talk.ask(ALL_TOPICS, 12).topics
    assert Talk(ScriptedBroker(ScriptedCluster())).end.user is None


def test_sasl_2_bare_tokens_after_handshake_0():
    talk = Talk(secured())
    assert talk.ask(SaslHandshakeRequest(mechanism="PLAIN"), 0).error_code == 0
    assert talk.exchange(frame(ALICE)) == b""
    assert talk.ask(ALL_TOPICS, 12).topics
    talk = Talk(secured())
    talk.ask(SaslHandshakeRequest(mechanism="PLAIN"), 0)
    with pytest.raises(ConnectionError):
        talk.exchange(frame(b"\0alice\0wrong"))
    assert talk.end.closed


def test_sasl_6_scram_refuses_what_does_not_fit():
    """That it accepts what fits is shown by librdkafka in test_loopback.py."""
    for tokens in (
        [b"n,,n=eve,r=abc"],
        [b"p=tls-unique,,n=alice,r=abc"],
        [b"n,,n=alice,r=abc", b"c=biws,r=abc,p=AAAA"],
        [b"n,,n=alice,r=abc", b"c=biws,r=abc-and-the-server's,p=AAAA"],
        [b"n,,n=alice,r=abc", b"c=eSws,r=abc-and-the-server's,p=AAAA"],
        [b"n,,n=alice,r=abc", b"noise"],
    ):
        talk = Talk(secured())
        response = login(talk, "SCRAM-SHA-512", *tokens)
        assert response.error_code == ErrorCode.SASL_AUTHENTICATION_FAILED
        assert response.error_message.endswith("invalid credentials with SASL mechanism SCRAM-SHA-512")
        assert talk.end.closed


def test_sasl_6_scram_reads_escaped_names_and_has_its_iterations():
    server = SaslServer(users={"a=b,c": "x"}, iterations=8192)
    talk = Talk(ScriptedBroker(ScriptedCluster(), sasl=server))
    response = login(talk, "SCRAM-SHA-256", b"n,,n=a=3Db=2Cc,r=abc")
    assert response.auth_bytes.endswith(b",i=8192")


def test_sasl_7_a_bad_token_is_told_in_json_first():
    talk = Talk(secured())
    assert login(talk, "OAUTHBEARER", b"n,,\x01auth=Bearer good-token\x01\x01").error_code == 0
    talk = Talk(secured())
    bad = login(talk, "OAUTHBEARER", b"n,,\x01auth=Bearer bad\x01scope=all\x01\x01")
    assert (bad.error_code, bad.auth_bytes) == (0, b'{"status":"invalid_token"}')
    end = talk.ask(SaslAuthenticateRequest(auth_bytes=b"\x01"), 2)
    assert (end.error_code, end.error_message) == (58, '{"status":"invalid_token"}')
    talk = Talk(secured())
    end = login(talk, "OAUTHBEARER", b"n,,\x01auth=Bearer bad\x01\x01", b"what?")
    assert (end.error_code, end.error_message) == (58, "Expected a single %x01 after the error")
    assert login(Talk(secured()), "OAUTHBEARER", b"noise").error_message == "Invalid OAUTHBEARER client first message"


def test_sasl_8_a_session_ends_and_may_be_renewed():
    talk = Talk(secured(session_lifetime_ms=1000))
    assert login(talk, "PLAIN", ALICE).session_lifetime_ms == 1000
    talk.now_ms = 999
    assert talk.ask(ALL_TOPICS, 12).topics
    assert login(talk, "PLAIN", ALICE, version=0).session_lifetime_ms == 0
    assert talk.end.login.logins == 2
    talk.now_ms = 1998
    assert talk.ask(ALL_TOPICS, 12).topics
    talk.now_ms = 5000
    assert login(talk, "PLAIN", ALICE).error_code == 0, "also after its end"
    talk.now_ms = 6000
    with pytest.raises(ConnectionError):
        talk.ask(ALL_TOPICS, 12)


def shake(mechanism):
    return SaslHandshakeRequest(mechanism=mechanism), 1


def token(data):
    return SaslAuthenticateRequest(auth_bytes=data), 2


LOGIN = (shake("PLAIN"), token(ALICE))


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ([(ALL_TOPICS, 12)], None),
        ([token(ALICE)], None),
        ([(VERSIONS, 3), (VERSIONS, 3)], None),
        ([(VERSIONS, 3), shake("GSSAPI")], ErrorCode.UNSUPPORTED_SASL_MECHANISM),
        ([shake("PLAIN"), shake("PLAIN")], ErrorCode.ILLEGAL_SASL_STATE),
        ([shake("PLAIN"), token(b"alice")], ErrorCode.SASL_AUTHENTICATION_FAILED),
        ([shake("PLAIN"), token(b"bob\0alice\0alice-secret")], ErrorCode.SASL_AUTHENTICATION_FAILED),
        ([*LOGIN, shake("PLAIN"), token(b"\0bob\0bob-secret")], ErrorCode.SASL_AUTHENTICATION_FAILED),
        ([*LOGIN, shake("SCRAM-SHA-256"), token(b"n,,n=alice,r=abc")], None),
        ([*LOGIN, shake("GSSAPI")], None),
    ],
)
def test_sasl_1_a_step_out_of_turn_ends_the_connection(script, code):
    """test_scripted_end.py asks a real Kafka the same. code: of the last answer, None where there is none."""
    talk = Talk(secured(session_lifetime_ms=1000, users={"alice": "alice-secret", "bob": "bob-secret"}))
    *before, last = script
    for request, version in before:
        assert talk.ask(request, version).error_code == 0
    if code is None:
        with pytest.raises(ConnectionError):
            talk.ask(*last)
    else:
        assert talk.ask(*last).error_code == code
    assert talk.end.closed


def test_a_login_where_there_is_none_is_refused_and_the_connection_goes_on():
    for sasl in (None, SaslServer(**SERVER)):
        talk = Talk(ScriptedBroker(ScriptedCluster(), sasl=sasl))
        if sasl is not None:
            login(talk, "PLAIN", ALICE)
        for request, version in LOGIN:
            assert talk.ask(request, version).error_code == ErrorCode.ILLEGAL_SASL_STATE
        assert talk.ask(ALL_TOPICS, 12).brokers


def test_sasl_faults():
    broker = secured()
    broker.fail(ApiKey.SASL_HANDSHAKE, ErrorCode.ILLEGAL_SASL_STATE)
    talk = Talk(broker)
    assert talk.ask(SaslHandshakeRequest(mechanism="PLAIN"), 1).error_code == ErrorCode.ILLEGAL_SASL_STATE
    assert talk.end.closed
    broker.fail(ApiKey.SASL_AUTHENTICATE, lambda *_: SaslAuthenticateResponse(auth_bytes=b"e=other-error"))
    assert login(Talk(broker), "SCRAM-SHA-256", b"n,,n=alice,r=abc").auth_bytes == b"e=other-error"


def test_secrets_stand_in_no_repr():
    broker = secured()
    login(Talk(broker), "PLAIN", ALICE)
    assert "alice-secret" not in repr(broker.requests)
