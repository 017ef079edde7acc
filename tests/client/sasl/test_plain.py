"""PLAIN: one token, and an empty answer."""

from __future__ import annotations

from itertools import product

import pytest

from kproto.client.errors import ConfigError, SaslAuthenticationError
from kproto.client.sasl.exchange import ExchangeEvent, ExchangeState
from kproto.client.sasl.plain import TRANSITIONS, PlainExchange
from kproto.client.transitions import IllegalTransition, step


def test_sasl_5_one_token_of_user_and_password():
    exchange = PlainExchange("alice", "päss", "b:9092")
    assert exchange.mechanism == "PLAIN"
    assert exchange.first() == b"\0alice\0p\xc3\xa4ss"
    assert not exchange.complete
    assert exchange.respond(b"") is None
    assert exchange.complete


def test_sasl_5_the_token_is_that_of_the_protocols_examples():
    assert PlainExchange("u", "pw", "b:9092").first().hex() == "0075007077"


def test_a_token_in_answer_is_refused():
    exchange = PlainExchange("alice", "secret", "b:9092")
    exchange.first()
    with pytest.raises(SaslAuthenticationError, match=r"^b:9092: PLAIN: the broker answers with a token, where PLAIN"):
        exchange.respond(b"ok")
    assert not exchange.complete
    with pytest.raises(IllegalTransition):
        exchange.respond(b"")


def test_an_exchange_is_used_once():
    exchange = PlainExchange("alice", "secret", "b:9092")
    with pytest.raises(IllegalTransition, match="in state SEND_CLIENT_FIRST_MESSAGE there is no step for ACCEPT"):
        exchange.respond(b"")
    exchange.first()
    with pytest.raises(IllegalTransition, match="in state RECEIVE_SERVER_FINAL_MESSAGE there is no step for FIRST"):
        exchange.first()


@pytest.mark.parametrize(
    ("username", "password", "setting"),
    [
        ("", "p", "sasl_username"),
        ("u", "", "sasl_password"),
        ("u\0", "p", "sasl_username"),
        ("u", "\0", "sasl_password"),
    ],
)
def test_a_name_or_password_that_cannot_be_sent(username, password, setting):
    with pytest.raises(ConfigError, match=f"^{setting} "):
        PlainExchange(username, password, "b:9092")


@pytest.mark.parametrize(("state", "event"), list(product(ExchangeState, ExchangeEvent)))
def test_each_step_is_in_the_table_or_illegal(state, event):
    if (state, event) in TRANSITIONS:
        assert step(TRANSITIONS, state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransition):
            step(TRANSITIONS, state, event)
