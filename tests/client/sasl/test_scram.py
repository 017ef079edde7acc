"""SCRAM: the examples of the RFCs, two other clients before one server, and a broker that lies."""

from __future__ import annotations

import base64
import hashlib
import hmac
from itertools import product

import pytest
from aiokafka.conn import ScramAuthenticator
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.net.sasl.scram import ScramClient

from kproto.client.errors import ConfigError, SaslAuthenticationError
from kproto.client.sasl import scram
from kproto.client.sasl.exchange import ExchangeEvent, ExchangeState
from kproto.client.sasl.scram import ITERATIONS_MAX, MECHANISMS, TRANSITIONS, ScramExchange
from kproto.client.transitions import IllegalTransition, step

RFC_5802 = (
    "SCRAM-SHA-1",
    "fyko+d2lbbFgONRv9qkxdawL",
    b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
)
RFC_7677 = (
    "SCRAM-SHA-256",
    "rOprNGfwEbeRWgbNEkqO",
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
)
SALT_AND_COUNT = b",s=c2FsdA==,i=4096"
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


class Server:
    """The broker's side, written from the RFC: knows users, checks proofs."""

    def __init__(self, mechanism: str, users: dict[str, str], iterations: int = 4096) -> None:
        self.algorithm = "sha" + mechanism.rpartition("-")[2]
        self.users = users
        self.iterations = iterations

    def first(self, client_first: bytes) -> bytes:
        header, self.bare = client_first[:3], client_first[3:].decode()
        assert header == b"n,,"
        name, nonce = self.bare.split(",")
        self.password = self.users[name.removeprefix("n=").replace("=2C", ",").replace("=3D", "=")]
        self.nonce = nonce.removeprefix("r=") + "Server+Nonce"
        self.server_first = f"r={self.nonce},s={base64.b64encode(b'salt').decode()},i={self.iterations}"
        return self.server_first.encode()

    def final(self, client_final: bytes) -> bytes:
        without_proof, _, proof = client_final.decode().partition(",p=")
        assert without_proof == f"c=biws,r={self.nonce}"
        salted = hashlib.pbkdf2_hmac(self.algorithm, self.password.encode(), b"salt", self.iterations)
        message = f"{self.bare},{self.server_first},{without_proof}".encode()
        client_key = self.mac(salted, b"Client Key")
        stored_key = hashlib.new(self.algorithm, client_key).digest()
        signature = self.mac(stored_key, message)
        recovered = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
        if hashlib.new(self.algorithm, recovered).digest() != stored_key:
            return b"e=invalid-proof"
        return b"v=" + base64.b64encode(self.mac(self.mac(salted, b"Server Key"), message))

    def mac(self, key: bytes, message: bytes) -> bytes:
        return hmac.new(key, message, self.algorithm).digest()


def fresh(mechanism: str = "SCRAM-SHA-256", password: str = "pencil") -> ScramExchange:
    return ScramExchange(mechanism, "user", password, "nonce", "b:9092")


def after_first(challenge: bytes) -> SaslAuthenticationError:
    exchange = fresh()
    exchange.first()
    with pytest.raises(SaslAuthenticationError) as caught:
        exchange.respond(challenge)
    assert not exchange.complete
    with pytest.raises(IllegalTransition):
        exchange.respond(challenge)
    return caught.value


def after_final(challenge: bytes) -> SaslAuthenticationError:
    exchange = fresh()
    exchange.first()
    assert exchange.respond(b"r=nonceX" + SALT_AND_COUNT)
    with pytest.raises(SaslAuthenticationError) as caught:
        exchange.respond(challenge)
    assert not exchange.complete
    return caught.value


@pytest.mark.parametrize(("mechanism", "nonce", "server_first", "client_final", "server_final"), [RFC_5802, RFC_7677])
def test_sasl_6_the_examples_of_the_rfcs(monkeypatch, mechanism, nonce, server_first, client_final, server_final):
    monkeypatch.setitem(scram.MECHANISMS, "SCRAM-SHA-1", "sha1")  # RFC 5802 has no other; Kafka has not this one
    exchange = ScramExchange(mechanism, "user", "pencil", nonce, "b:9092")
    assert exchange.first() == f"n,,n=user,r={nonce}".encode()
    assert exchange.respond(server_first) == client_final
    assert not exchange.complete
    assert exchange.respond(server_final) is None
    assert exchange.complete


@pytest.mark.parametrize("mechanism", MECHANISMS)
@settings(max_examples=20)
@given(name=NAMES, password=NAMES, nonce=st.text("abcXYZ019+/=!~", min_size=1, max_size=30))
def test_sasl_6_any_name_and_password_log_in(mechanism, name, password, nonce):
    server = Server(mechanism, {name: password})
    exchange = ScramExchange(mechanism, name, password, nonce, "b:9092")
    proof = exchange.respond(server.first(exchange.first()))
    assert proof is not None
    assert exchange.respond(server.final(proof)) is None
    assert exchange.complete


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_sasl_6_the_same_messages_as_kafka_python(mechanism):
    peer = ScramClient("user", "pencil", mechanism)
    ours = ScramExchange(mechanism, "user", "pencil", peer.nonce.decode(), "b:9092")
    server = Server(mechanism, {"user": "pencil"}, iterations=8192)
    client_first = peer.first_message()
    assert ours.first() == client_first
    server_first = server.first(client_first)
    peer.process_server_first_message(server_first)
    proof = peer.final_message()
    assert ours.respond(server_first) == proof
    peer.process_server_final_message(server.final(proof))
    assert ours.respond(server.final(proof)) is None


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_sasl_6_the_same_messages_as_aiokafka(mechanism):
    peer = ScramAuthenticator(
        loop=None, sasl_plain_password="pä=,cil", sasl_plain_username="us=,er", sasl_mechanism=mechanism
    )
    client_first = peer.first_message().encode()
    ours = ScramExchange(mechanism, "us=,er", "pä=,cil", client_first.decode().rpartition("r=")[2], "b:9092")
    server = Server(mechanism, {"us=,er": "pä=,cil"})
    assert ours.first() == client_first
    server_first = server.first(client_first)
    peer.process_server_first_message(server_first.decode())
    proof = peer.final_message().encode()
    assert ours.respond(server_first) == proof
    peer.process_server_final_message(server.final(proof).decode())
    assert ours.respond(server.final(proof)) is None


def test_sasl_6_a_wrong_password_is_the_brokers_to_refuse():
    exchange = fresh(password="hunter2")
    server = Server("SCRAM-SHA-256", {"user": "pencil"})
    proof = exchange.respond(server.first(exchange.first()))
    with pytest.raises(
        SaslAuthenticationError, match=r"refuses the SCRAM-SHA-256 credentials \(invalid-proof\): check"
    ):
        exchange.respond(server.final(proof))


@pytest.mark.parametrize("nonce", [b"nonce", b"other", b"nonc", b"xnonceX"])
def test_sasl_6_a_nonce_that_does_not_continue_ours(nonce):
    assert "b:9092: SCRAM-SHA-256: the broker's nonce does not continue ours" in str(
        after_first(b"r=" + nonce + SALT_AND_COUNT)
    )


@pytest.mark.parametrize("count", ["0", "1", "4095", "0004095"])
def test_sasl_6_fewer_iterations_than_4096_would_be_weak(count):
    error = after_first(f"r=nonceX,s=c2FsdA==,i={count}".encode())
    assert f"asks for {count} iterations, fewer than 4096, which would be weak: store" in str(error)


@pytest.mark.parametrize("count", [str(ITERATIONS_MAX + 1), "2147483647", "9" * 5000])
def test_a_count_that_would_hold_the_client_up_is_refused_at_once(count):
    error = after_first(f"r=nonceX,s=c2FsdA==,i={count}".encode())
    assert f"asks for {count[:20]} iterations, more than {ITERATIONS_MAX}, which would hold the client up" in str(error)


def test_the_bounds_of_the_count_are_taken():
    for count in ("4096", str(ITERATIONS_MAX)):
        exchange = fresh()
        exchange.first()
        assert exchange.respond(f"r=nonceX,s=c2FsdA==,i={count}".encode())


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"r=nonceX",
        b"r=nonceX,s=,i=4096",
        b"r=nonceX,s=c2FsdA==,i=",
        b"r=nonceX,s=c2FsdA==,i=-4096",
        b"r=nonceX,s=c2FsdA==,i=4_096",
        "r=nonceX,s=c2FsdA==,i=٤٠٩٦".encode(),
        b"r=nonceX,s=c2 FsdA==,i=4096",
        b"r=nonce\x7fX,s=c2FsdA==,i=4096",
        b"m=must,r=nonceX,s=c2FsdA==,i=4096",
        b"s=c2FsdA==,r=nonceX,i=4096",
        b"r=nonceX,s=c2FsdA==,i=4096,noname",
        b"r=nonceX,s=c2FsdA==,i=4096\n",
    ],
)
def test_a_malformed_server_first_message(challenge):
    assert "server-first-message is malformed: it should be r=<nonce>,s=<salt>,i=<iterations>" in str(
        after_first(challenge)
    )


@pytest.mark.parametrize("salt", [b"c2FsdA", b"c2FsdA=", b"A", b"AA==="])
def test_a_salt_that_is_not_base64(salt):
    text = str(after_first(b"r=nonceX,s=" + salt + b",i=4096"))
    assert "the broker's salt is not base64" in text or "malformed" in text


def test_a_token_that_is_not_utf_8():
    assert "the broker's token is not UTF-8" in str(after_first(b"r=nonceX,s=\xff"))
    assert "the broker's token is not UTF-8" in str(after_final(b"v=\xff"))


def test_extensions_that_may_be_ignored_are():
    exchange = fresh()
    exchange.first()
    assert exchange.respond("r=nonceX,s=c2FsdA==,i=4096,x=ü,y=".encode())


def test_an_error_in_place_of_the_first_message():
    assert str(after_first(b"e=unknown-user")).startswith(
        "b:9092: the broker refuses the SCRAM-SHA-256 credentials (unknown-user): check sasl_username and sasl_password"
    )


@pytest.mark.parametrize("challenge", [b"v=", b"v", b"e=", b"x=1", b"v=AAAA\n"])
def test_a_malformed_server_final_message(challenge):
    assert "server-final-message is malformed: it should be v=<signature>" in str(after_final(challenge))


def test_a_signature_that_is_not_base64():
    assert "the broker's signature is not base64" in str(after_final(b"v=AAA"))


@pytest.mark.parametrize("signature", [b"AAAA", base64.b64encode(bytes(32))])
def test_a_broker_that_does_not_know_the_password(signature):
    assert "the broker's signature is wrong: it does not know the password" in str(after_final(b"v=" + signature))


def test_success_without_proof_is_refused():
    assert "says success without proof that it knows the password" in str(after_final(b""))


def test_the_password_is_in_no_error():
    for challenge in (b"e=pencil", b"r=pencil", b"v=pencil"):
        assert "pencil" not in str(after_first(challenge)) + str(after_final(challenge))


@settings(max_examples=50)
@given(st.binary(max_size=60) | st.text("r=s,i=4096nonceXe", max_size=40).map(str.encode))
def test_any_challenge_gives_a_token_or_one_kind_of_error(challenge):
    exchange = fresh()
    exchange.first()
    try:
        assert exchange.respond(challenge)
    except SaslAuthenticationError:
        assert not exchange.complete


def test_an_exchange_is_used_once():
    exchange = fresh()
    with pytest.raises(IllegalTransition, match="in state SEND_CLIENT_FIRST_MESSAGE there is no step for ACCEPT"):
        exchange.respond(b"")
    exchange.first()
    with pytest.raises(IllegalTransition, match="in state RECEIVE_SERVER_FIRST_MESSAGE there is no step for FIRST"):
        exchange.first()


def test_a_mechanism_that_is_none_of_kafkas():
    with pytest.raises(ConfigError, match=r"^sasl_mechanism: 'SCRAM-MD5' is not one of SCRAM-SHA-256, SCRAM-SHA-512$"):
        fresh("SCRAM-MD5")


@pytest.mark.parametrize("nonce", ["", "a,b", "a b", "ü", "a\n"])
def test_a_nonce_that_is_none(nonce):
    with pytest.raises(ConfigError, match=r"^a SCRAM nonce is printable ASCII without commas"):
        ScramExchange("SCRAM-SHA-256", "user", "pencil", nonce, "b:9092")


@pytest.mark.parametrize(("username", "password", "setting"), [("", "p", "sasl_username"), ("u", "", "sasl_password")])
def test_a_name_or_password_that_cannot_be_used(username, password, setting):
    with pytest.raises(ConfigError, match=f"^{setting} is empty"):
        ScramExchange("SCRAM-SHA-256", username, password, "nonce", "b:9092")


@pytest.mark.parametrize(("state", "event"), list(product(ExchangeState, ExchangeEvent)))
def test_each_step_is_in_the_table_or_illegal(state, event):
    if (state, event) in TRANSITIONS:
        assert step(TRANSITIONS, state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransition):
            step(TRANSITIONS, state, event)
