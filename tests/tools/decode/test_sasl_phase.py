"""Bare tokens: between a handshake of version 0 and the first request."""

from __future__ import annotations

import pytest

from kproto.tools.decode.sasl_phase import SaslPhase
from kproto.wire import MetadataRequest, encode_request

REQUEST = encode_request(MetadataRequest(), 9, correlation_id=1, client_id="app")[4:]
TOKENS = [b"", b"\0user\0password", b"n,,n=user,r=nonce", b"\x01", b"\x60\x82\x02\xff", b"user\0user\0password"]


@pytest.mark.parametrize("token", TOKENS)
def test_tokens_are_tokens_only_in_the_phase(token):
    phase = SaslPhase()
    assert not phase.is_sent_token(token)
    phase.begin()
    assert phase.is_sent_token(token)


def test_each_token_is_answered_by_one():
    phase = SaslPhase()
    phase.begin()
    assert not phase.is_answering_token()
    assert phase.is_sent_token(b"n,,n=user") and phase.is_sent_token(b"c=biws")
    assert [phase.is_answering_token() for _ in range(3)] == [True, True, False]


def test_a_request_ends_the_phase():
    phase = SaslPhase()
    phase.begin()
    assert not phase.is_sent_token(REQUEST)
    assert not phase.is_sent_token(b"n,,n=user")
