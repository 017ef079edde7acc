"""Overwritten secrets: none stays, the size does, and nothing else is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode.hidden import is_secret, without_secrets
from kproto.wire import SaslAuthenticateRequest, SaslAuthenticateResponse, encode_request, encode_response
from kproto.wire.strategies import messages

SECRET = b"\0user\0a long password"


@given(st.data(), st.integers(0, 2))
def test_requests_and_answers_of_sasl_authenticate(data, version):
    answer = data.draw(messages(SaslAuthenticateResponse, version))
    answer = answer.replace(auth_bytes=SECRET)
    for payload, request in (
        (
            encode_request(SaslAuthenticateRequest(auth_bytes=SECRET), version, correlation_id=1, client_id="a")[4:],
            True,
        ),
        (encode_response(answer, version, correlation_id=1)[4:], False),
    ):
        hidden = without_secrets(payload, 36, version, request)
        assert SECRET not in hidden and len(hidden) == len(payload)
        assert hidden == payload.replace(SECRET, b"*" * len(SECRET))


@pytest.mark.parametrize(
    ("key", "request_side", "head"), [(51, True, 8), (38, False, 4), (41, False, 4), (39, True, 8)]
)
def test_of_undeclared_messages_with_credentials_all_goes(key, request_side, head):
    payload = bytes(range(40))
    assert without_secrets(payload, key, 0, request_side) == payload[:head] + b"*" * (40 - head)
    assert is_secret(key, request_side) and not is_secret(key, not request_side)


@pytest.mark.parametrize("version", [0, 3, 99, -1])
def test_damaged_ones_lose_everything_behind_the_head(version):
    assert without_secrets(b"\0\0\0\1" + SECRET, 36, version, False) == b"\0\0\0\1" + b"*" * len(SECRET)
    assert without_secrets(b"\0\x24\0\1\0\0\0\1" + SECRET, 36, version, True)[8:] == b"*" * len(SECRET)
    assert without_secrets(b"\0", 36, version, False) == b"\0"


def test_which_apis_have_secrets():
    assert is_secret(36, True) and is_secret(36, False)
    assert not is_secret(0, True) and not is_secret(17, True) and not is_secret(3, False)
