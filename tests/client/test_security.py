"""What the security settings come to, for each connection anew; and no secret in any text."""

from __future__ import annotations

import ssl
import subprocess
import sys
import traceback

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.config import ClientConfig
from kproto.client.errors import ConfigError, SaslAuthenticationError
from kproto.client.sasl import OAuthBearerExchange, PlainExchange, ScramExchange
from kproto.client.security import Security
from kproto.client.tls import TlsState

CA = trustme.CA()
CREDENTIALS = {"sasl_username": "alice", "sasl_password": "hunter2"}
OAUTH = {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": lambda: "token"}
PASSWORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=6)


def security(**settings: object) -> Security:
    return Security(ClientConfig.of(**settings), lambda: "nonce")


def sasl(mechanism: str, **settings: object) -> Security:
    return security(security_protocol="SASL_PLAINTEXT", sasl_mechanism=mechanism, **settings)


@pytest.fixture
def cafile(tmp_path) -> str:
    path = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(path))
    return str(path)


def test_plain_text_needs_nothing():
    plain = security()
    plain.check()
    assert plain.tls_stream("b", "b:9092") is None
    assert not plain.uses_sasl
    assert not plain.needs_token


def test_tls_makes_a_stream_for_each_connection_of_one_context(cafile):
    secured = security(security_protocol="SSL", ssl_cafile=cafile)
    secured.check()
    one, other = secured.tls_stream("b", "b:9093"), secured.tls_stream("c", "c:9093")
    assert one is not other
    assert (one.server_hostname, one.address, one.state) == ("b", "b:9093", TlsState.NEW)
    assert other.server_hostname == "c"


def test_certificates_are_read_once(cafile, tmp_path):
    secured = security(security_protocol="SSL", ssl_cafile=cafile)
    secured.check()
    (tmp_path / "ca.pem").unlink()
    assert secured.tls_stream("b", "b:9093") is not None


def test_a_ready_context_is_used_as_it_is():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    stream = security(security_protocol="SSL", ssl_context=context).tls_stream("b", "b:9093")
    stream.start()
    assert stream.data_to_send()


def test_certificates_that_cannot_be_read_are_told_by_check(tmp_path):
    missing = security(security_protocol="SSL", ssl_cafile=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match="ssl_cafile: cannot read "):
        missing.check()


def test_check_reads_the_certificates_also_where_python_leaves_assertions_out():
    code = (
        "from kproto.client.config import ClientConfig\n"
        "from kproto.client.security import Security\n"
        "Security(ClientConfig.of(security_protocol='SSL', ssl_cafile='none.pem'), str).check()\n"
    )
    ran = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=False)
    assert "ConfigError: ssl_cafile: cannot read 'none.pem'" in ran.stderr


def test_each_mechanism_has_its_exchange_and_each_login_a_fresh_one():
    plain = sasl("PLAIN", **CREDENTIALS)
    assert plain.uses_sasl
    assert not plain.needs_token
    one, other = plain.exchange("b:9092", None), plain.exchange("b:9092", None)
    assert isinstance(one, PlainExchange)
    assert one is not other
    assert one.first() == b"\0alice\0hunter2"
    scram = sasl("SCRAM-SHA-512", **CREDENTIALS).exchange("b:9092", None)
    assert isinstance(scram, ScramExchange)
    assert scram.mechanism == "SCRAM-SHA-512"
    assert scram.first() == b"n,,n=alice,r=nonce"
    bearer = security(security_protocol="SASL_PLAINTEXT", **OAUTH)
    assert bearer.needs_token
    exchange = bearer.exchange("b:9092", "abc.def")
    assert isinstance(exchange, OAuthBearerExchange)
    assert b"auth=Bearer abc.def" in exchange.first()


def test_a_nonce_is_made_for_each_exchange():
    nonces = iter(["one", "two"])
    config = ClientConfig.of(security_protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-256", **CREDENTIALS)
    scram = Security(config, lambda: next(nonces))
    assert [scram.exchange("b:9092", None).first()[-3:] for _ in range(2)] == [b"one", b"two"]


def test_sasl_7_without_a_token_there_is_no_exchange():
    with pytest.raises(SaslAuthenticationError, match="b:9092: the token provider gave no token"):
        security(security_protocol="SASL_PLAINTEXT", **OAUTH).exchange("b:9092", None)


def test_sasl_7_a_token_that_is_none_is_refused_without_showing_it():
    with pytest.raises(SaslAuthenticationError) as caught:
        security(security_protocol="SASL_PLAINTEXT", **OAUTH).exchange("b:9092", "my secret token")
    assert "check the token provider" in str(caught.value)
    assert "secret" not in "".join(traceback.format_exception_only(caught.value))


@given(PASSWORDS, st.sampled_from(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]))
def test_no_repr_shows_the_password(password, mechanism):
    made = sasl(mechanism, sasl_username="u", sasl_password=f"pass{password}word")
    exchange = made.exchange("b:9092", None)
    exchange.first()
    for text in (repr(made), str(made), repr(exchange), str(exchange), str(exchange.refused(f"pass{password}word"))):
        assert f"pass{password}word" not in text
