"""What the mechanisms share: words fit for a log line, and no secret in any of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.errors import ConfigError, SaslAuthenticationError
from kproto.client.sasl import OAuthBearerExchange, PlainExchange, ScramExchange
from kproto.client.sasl.exchange import WORDS_MAX, credential, printable

SECRET = "hunter2hunter2"
EXCHANGES = [
    PlainExchange("alice", SECRET, "b:9092"),
    ScramExchange("SCRAM-SHA-512", "alice", SECRET, "nonce", "b:9092"),
    OAuthBearerExchange(SECRET, "b:9092"),
]
EACH_EXCHANGE = pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.mechanism)


@EACH_EXCHANGE
def test_a_repr_shows_no_secret(exchange):
    assert repr(exchange).endswith(f"{exchange.mechanism} with b:9092: SEND_CLIENT_FIRST_MESSAGE>")
    assert SECRET not in repr(exchange) + str(exchange)


@EACH_EXCHANGE
def test_a_refusal_takes_our_secret_out_of_the_brokers_words(exchange):
    error = exchange.refused(f"no user with {SECRET}\x1b[31m")
    assert isinstance(error, SaslAuthenticationError)
    start = f"b:9092: the broker refuses the {exchange.mechanism} credentials (no user with ***?[31m): check "
    assert str(error).startswith(start)
    assert SECRET not in repr(error)


@EACH_EXCHANGE
def test_a_refusal_without_words_says_what_to_check(exchange):
    for silence in (None, ""):
        assert f"refuses the {exchange.mechanism} credentials: check " in str(exchange.refused(silence))


@pytest.mark.parametrize("value", ["a\0b", "\ud800", SECRET + "\udfff"])
def test_a_credential_that_no_token_can_carry_is_not_shown(value):
    with pytest.raises(ConfigError, match=r"^sasl_password has a NUL or a lone surrogate.*: set another$") as caught:
        credential("sasl_password", value)
    assert SECRET not in str(caught.value)


def test_an_empty_credential_is_refused():
    with pytest.raises(ConfigError, match=r"^sasl_username is empty: set it, or use"):
        credential("sasl_username", "")


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_other_credential_is_kept(value):
    assert credential("sasl_username", value) == value


@given(st.text(max_size=3 * WORDS_MAX))
def test_a_peers_text_is_one_short_line(text):
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) <= WORDS_MAX + 3
    assert shown.endswith("...") or len(shown) == len(text)
