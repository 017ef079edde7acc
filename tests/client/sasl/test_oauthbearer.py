"""OAUTHBEARER: one message, and a failure that has to be acknowledged."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.errors import SaslAuthenticationError
from kproto.client.sasl.exchange import ExchangeEvent, ExchangeState
from kproto.client.sasl.oauthbearer import FAILURE_SIZE_MAX, TRANSITIONS, OAuthBearerExchange, status_of
from kproto.client.transitions import IllegalTransition, step

TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1In0."


def test_sasl_7_the_token_in_one_message():
    exchange = OAuthBearerExchange(TOKEN, "b:9092")
    assert exchange.mechanism == "OAUTHBEARER"
    assert exchange.first() == f"n,,\x01auth=Bearer {TOKEN}\x01\x01".encode()
    assert exchange.respond(b"") is None
    assert exchange.complete


def test_sasl_7_extensions_follow_the_token():
    exchange = OAuthBearerExchange("t", "b:9092", {"logicalCluster": "lkc 1", "identityPoolId": "pool=x"})
    assert exchange.first() == b"n,,\x01auth=Bearer t\x01logicalCluster=lkc 1\x01identityPoolId=pool=x\x01\x01"


def test_sasl_7_a_failure_is_acknowledged_and_its_status_told():
    exchange = OAuthBearerExchange(TOKEN, "b:9092")
    exchange.first()
    assert exchange.respond(b'{"status":"invalid_token","scope":"s"}') == b"\x01"
    assert not exchange.complete
    told = str(exchange.refused(f"bad {TOKEN}"))
    assert "b:9092: the broker refuses the OAUTHBEARER credentials (bad ***; status invalid_token): check the" in told
    assert "(status invalid_token)" in str(exchange.refused(None))


def test_sasl_7_a_broker_that_goes_on_after_its_failure():
    exchange = OAuthBearerExchange(TOKEN, "b:9092")
    exchange.first()
    exchange.respond(b'{"status":"invalid_token"}')
    with pytest.raises(
        SaslAuthenticationError, match=r"credentials \(status invalid_token\): check the token's issuer"
    ):
        exchange.respond(b"")
    assert not exchange.complete


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (b'{"status":"invalid_token"}', "invalid_token"),
        (b'{"status":7}', "unknown: the broker's failure token has none"),
        (b"{}", "unknown: the broker's failure token has none"),
        (b"[]", "unknown: the broker's failure token is not a JSON object"),
        (b"invalid", "unknown: the broker's failure token is not a JSON object"),
        (b"\xff\xfe", "unknown: the broker's failure token is not a JSON object"),
        (b"[" * 60_000, "unknown: the broker's failure token is not a JSON object"),
        (b'{"status":' + b"9" * 5000 + b"}", "unknown: the broker's failure token is not a JSON object"),
        (b" " * (FAILURE_SIZE_MAX + 1), "unknown: the broker's failure token is too long"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_status_of_any_failure(failure, status):
    assert status_of(failure) == status


@given(st.binary(min_size=1))
def test_any_failure_is_acknowledged(failure):
    exchange = OAuthBearerExchange(TOKEN, "b:9092")
    exchange.first()
    assert exchange.respond(failure) == b"\x01"
    assert str(exchange.refused(None)).isprintable()


@pytest.mark.parametrize("token", ["", "a b", "a\x01auth=x", "a\n", "ü", "a=b", "a,b", "\ud800"])
def test_a_token_with_characters_that_no_token_has_is_not_shown(token):
    with pytest.raises(SaslAuthenticationError) as caught:
        OAuthBearerExchange(token, "b:9092")
    assert str(caught.value) == (
        "b:9092: OAUTHBEARER: the token is empty, or has characters that no bearer token has (RFC 6750): "
        "check the token provider"
    )


@pytest.mark.parametrize("name", ["", "auth", "a1", "a=b", "ü", "a\n"])
def test_an_extension_needs_a_name_of_letters(name):
    with pytest.raises(SaslAuthenticationError, match=r"the extension '.*' needs a name of letters, other than 'auth'"):
        OAuthBearerExchange("t", "b:9092", {name: "v"})


@pytest.mark.parametrize("value", ["", "a\x01b", "ü", "\0"])
def test_an_extension_needs_a_value_that_can_be_sent(value):
    with pytest.raises(SaslAuthenticationError, match="the extension 'pool' needs a value of printable ASCII: check"):
        OAuthBearerExchange("t", "b:9092", {"pool": value})


def test_an_exchange_is_used_once():
    exchange = OAuthBearerExchange("t", "b:9092")
    with pytest.raises(IllegalTransition, match="in state SEND_CLIENT_FIRST_MESSAGE there is no step for ACCEPT"):
        exchange.respond(b"")
    exchange.first()
    with pytest.raises(IllegalTransition, match="in state RECEIVE_SERVER_FIRST_MESSAGE there is no step for FIRST"):
        exchange.first()


@pytest.mark.parametrize(("state", "event"), list(product(ExchangeState, ExchangeEvent)))
def test_each_step_is_in_the_table_or_illegal(state, event):
    if (state, event) in TRANSITIONS:
        assert step(TRANSITIONS, state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransition):
            step(TRANSITIONS, state, event)
