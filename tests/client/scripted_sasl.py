"""The broker's side of SASL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER, as Kafka 4.4.0 answers.

No I/O, clock or randomness: the server's nonces and salts follow from the client's, so that a run can be repeated.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

SCRAM_HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
CLIENT_FIRST = re.compile(rb"(?P<gs2>n,(?:a=[^,]*)?,)(?P<bare>n=(?P<user>[^,]+),r=(?P<nonce>[^,]+)(?:,.*)?)", re.DOTALL)
CLIENT_FINAL = re.compile(rb"(?P<bare>c=(?P<gs2>[^,]+),r=(?P<nonce>[^,]+)),p=(?P<proof>[^,]+)")
BEARER = re.compile(rb"n,(?:a=[^,]*)?,\x01auth=Bearer (?P<token>[^\x01]+)\x01(?:[A-Za-z]+=[^\x01]*\x01)*\x01")


class Refused(Exception):
    """The credentials are no good; the text is what the broker says to the client."""


class Exchange(Protocol):
    """One login. user: who it is once the broker knows, else None."""

    user: str | None

    def step(self, token: bytes) -> bytes:
        """The answer to the client's next token. Raises Refused."""


@dataclass(slots=True)
class SaslServer:
    """What a listener takes; a test may change it at any time.

    users: name -> password, for PLAIN and SCRAM. tokens: bearer token -> principal. mechanisms: those enabled.
    session_lifetime_ms: how long a login lasts, 0 for ever. iterations: of SCRAM.
    """

    users: Mapping[str, str] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)
    mechanisms: tuple[str, ...] = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
    session_lifetime_ms: int = 0
    iterations: int = 4096

    def exchange(self, mechanism: str) -> Exchange:
        """A login that begins. Raises KeyError for a mechanism that nobody knows."""
        if mechanism == "PLAIN":
            return PlainExchange(self)
        if mechanism == "OAUTHBEARER":
            return BearerExchange(self)
        return ScramExchange(self, mechanism, SCRAM_HASHES[mechanism])


class PlainExchange:
    """RFC 4616: one token, with an empty answer."""

    def __init__(self, server: SaslServer) -> None:
        self.server = server
        self.user: str | None = None

    def step(self, token: bytes) -> bytes:
        parts = token.decode(errors="replace").split("\0")
        if len(parts) != 3:
            raise Refused(f"Invalid SASL/PLAIN response: expected 3 tokens, got {len(parts)}")
        authzid, user, password = parts
        if self.server.users.get(user) != password:
            raise Refused("Authentication failed: Invalid username or password")
        if authzid not in ("", user):
            raise Refused("Authentication failed: Client requested an authorization id that is different from username")
        self.user = user
        return b""


class ScramExchange:
    """RFC 5802 without channel binding. A wrong proof gets no `e=`: Kafka answers with an error code."""

    def __init__(self, server: SaslServer, mechanism: str, digest: str) -> None:
        self.server = server
        self.mechanism = mechanism
        self.digest = digest
        self.user: str | None = None
        self._first: tuple[str, bytes, bytes, bytes] | None = None

    def step(self, token: bytes) -> bytes:
        return self._answer_first(token) if self._first is None else self._answer_final(token)

    def _answer_first(self, token: bytes) -> bytes:
        found = CLIENT_FIRST.fullmatch(token)
        if found is None:
            raise self._refusal()
        name = re.sub(rb"=2C|=3D", lambda escape: b"," if escape[0] == b"=2C" else b"=", found["user"]).decode()
        if name not in self.server.users:
            raise self._refusal()
        nonce = found["nonce"] + b"-and-the-server's"
        answer = b"r=%s,s=%s,i=%d" % (nonce, b64encode(salt_of(name)), self.server.iterations)
        self._first = name, found["gs2"], found["bare"], answer
        return answer

    def _answer_final(self, token: bytes) -> bytes:
        assert self._first is not None
        name, gs2, client_first, server_first = self._first
        found = CLIENT_FINAL.fullmatch(token)
        ours = (b64encode(gs2), server_first.partition(b",")[0])
        if found is None or (found["gs2"], b"r=" + found["nonce"]) != ours:
            raise self._refusal()
        salted = salted_password(self.digest, self.server.users[name], salt_of(name), self.server.iterations)
        client_key = hmac.digest(salted, b"Client Key", self.digest)
        signed = b",".join([client_first, server_first, found["bare"]])
        stored = hashlib.new(self.digest, client_key).digest()
        signature = hmac.digest(stored, signed, self.digest)
        proof = bytes(one ^ other for one, other in zip(client_key, signature, strict=True))
        if found["proof"] != b64encode(proof):
            raise self._refusal()
        self.user = name
        server_key = hmac.digest(salted, b"Server Key", self.digest)
        return b"v=" + b64encode(hmac.digest(server_key, signed, self.digest))

    def _refusal(self) -> Refused:
        return Refused(
            "Authentication failed during authentication due to invalid credentials with SASL mechanism "
            + self.mechanism
        )


class BearerExchange:
    """RFC 7628: a bad token is told in JSON, and the client has to answer one byte before it is refused."""

    BAD = b'{"status":"invalid_token"}'

    def __init__(self, server: SaslServer) -> None:
        self.server = server
        self.user: str | None = None
        self._told = False

    def step(self, token: bytes) -> bytes:
        if self._told:
            raise Refused(self.BAD.decode() if token == b"\x01" else "Expected a single %x01 after the error")
        found = BEARER.fullmatch(token)
        if found is None:
            raise Refused("Invalid OAUTHBEARER client first message")
        self.user = self.server.tokens.get(found["token"].decode())
        self._told = self.user is None
        return self.BAD if self._told else b""


def salt_of(user: str) -> bytes:
    """A salt for each user, the same in every run."""
    return hashlib.sha256(b"salt of " + user.encode()).digest()[:16]


@lru_cache(maxsize=64)
def salted_password(digest: str, password: str, salt: bytes, iterations: int) -> bytes:
    """Hi() of RFC 5802, kept: it is slow on purpose."""
    return hashlib.pbkdf2_hmac(digest, password.encode(), salt, iterations)
