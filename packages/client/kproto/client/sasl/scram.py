"""SCRAM-SHA-256 and SCRAM-SHA-512: both sides prove that they know the password, and neither sends it.

Layer: client.
Source: RFC 5802, RFC 7677; KIP-84; org.apache.kafka.common.security.scram.internals. As in Kafka there is no SASLprep
(names and passwords are plain UTF-8) and no channel binding.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import ClassVar, Final

from kproto.client.errors import ConfigError, SaslAuthenticationError
from kproto.client.sasl.exchange import Exchange, ExchangeEvent, ExchangeState, credential, printable

__all__ = ["ITERATIONS_MAX", "ITERATIONS_MIN", "MECHANISMS", "TRANSITIONS", "ScramExchange"]

MECHANISMS: Final[Mapping[str, str]] = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
"""Mechanism -> its hash, as hashlib names it."""

ITERATIONS_MIN: Final = 4096  # RFC 7677, section 4
ITERATIONS_MAX: Final = 1 << 18
"""16 times what Kafka itself allows. The count is the broker's word, and each costs time (all: half a second)."""

TRANSITIONS: Final[Mapping[tuple[ExchangeState, ExchangeEvent], ExchangeState]] = {
    (ExchangeState.SEND_CLIENT_FIRST_MESSAGE, ExchangeEvent.FIRST): ExchangeState.RECEIVE_SERVER_FIRST_MESSAGE,
    (ExchangeState.RECEIVE_SERVER_FIRST_MESSAGE, ExchangeEvent.CONTINUE): ExchangeState.RECEIVE_SERVER_FINAL_MESSAGE,
    (ExchangeState.RECEIVE_SERVER_FIRST_MESSAGE, ExchangeEvent.FAIL): ExchangeState.FAILED,
    (ExchangeState.RECEIVE_SERVER_FINAL_MESSAGE, ExchangeEvent.ACCEPT): ExchangeState.COMPLETE,
    (ExchangeState.RECEIVE_SERVER_FINAL_MESSAGE, ExchangeEvent.FAIL): ExchangeState.FAILED,
}

GS2_HEADER: Final = "n,,"
CHANNEL_BINDING: Final = "biws"  # GS2_HEADER in base64
NONCE: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]+")  # printable ASCII without the comma
BASE64: Final = r"[A-Za-z0-9+/]+={0,2}"
EXTENSIONS: Final = r"(?:,[A-Za-z]=[^,\0]*)*"
SERVER_FIRST: Final = re.compile(rf"r=({NONCE.pattern}),s=({BASE64}),i=([0-9]+){EXTENSIONS}")
SERVER_FINAL: Final = re.compile(rf"v=({BASE64}){EXTENSIONS}")
SERVER_ERROR: Final = re.compile(rf"e=([^,\0]+){EXTENSIONS}")


class ScramExchange(Exchange):
    """A `SaslExchange` in two rounds.

    mechanism: a key of MECHANISMS. nonce: fresh for each exchange, from a secure source: printable ASCII without
    commas. address: "host:port", for errors. Raises ConfigError for another mechanism, a nonce that is none, and a
    name or password that is empty or has a NUL. Not thread-safe.
    """

    __slots__ = ("_client_first_bare", "_hash", "_nonce", "_server_signature")
    TRANSITIONS = TRANSITIONS
    REMEDY: ClassVar[str] = (
        "check sasl_username and sasl_password, and that the user has a credential for this mechanism"
    )

    def __init__(self, mechanism: str, username: str, password: str, nonce: str, address: str) -> None:
        if mechanism not in MECHANISMS:
            raise ConfigError(f"sasl_mechanism: {mechanism!r} is not one of {', '.join(MECHANISMS)}")
        if not NONCE.fullmatch(nonce):
            raise ConfigError("a SCRAM nonce is printable ASCII without commas, such as secrets.token_urlsafe() gives")
        super().__init__(mechanism, address, credential("sasl_password", password))
        name = credential("sasl_username", username).replace("=", "=3D").replace(",", "=2C")
        self._hash = MECHANISMS[mechanism]
        self._nonce = nonce
        self._client_first_bare = f"n={name},r={nonce}"
        self._server_signature = b""

    def first(self) -> bytes:
        """client-first-message. Raises IllegalTransition when it was taken already."""
        self._step(ExchangeEvent.FIRST)
        return f"{GS2_HEADER}{self._client_first_bare}".encode()

    def respond(self, challenge: bytes) -> bytes | None:
        """client-final-message for server-first-message; None for a server-final-message whose signature is right.

        Takes the time of the iterations (4096: some milliseconds). Raises SaslAuthenticationError for a message that
        is malformed, for a nonce that is not ours, for a count out of bounds, for a wrong signature and for `e=`.
        """
        if self._state is ExchangeState.RECEIVE_SERVER_FIRST_MESSAGE:
            token = self._client_final(challenge)
            self._step(ExchangeEvent.CONTINUE)
            return token
        if self._state is ExchangeState.RECEIVE_SERVER_FINAL_MESSAGE:
            self._verify(challenge)
        self._step(ExchangeEvent.ACCEPT)
        return None

    def _client_final(self, challenge: bytes) -> bytes:
        server_first = self._text(challenge)
        match = SERVER_FIRST.fullmatch(server_first)
        if match is None:
            raise self._malformed("server-first-message", server_first, "r=<nonce>,s=<salt>,i=<iterations>")
        nonce, salt, iterations = match.groups()
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise self._failed("the broker's nonce does not continue ours: its answer belongs to another exchange")
        without_proof = f"c={CHANNEL_BINDING},r={nonce}"
        salted_password = hashlib.pbkdf2_hmac(
            self._hash, self._secret.encode(), self._base64("salt", salt), self._iterations(iterations)
        )
        auth_message = f"{self._client_first_bare},{server_first},{without_proof}".encode()
        client_key = self._hmac(salted_password, b"Client Key")
        client_signature = self._hmac(hashlib.new(self._hash, client_key).digest(), auth_message)
        self._server_signature = self._hmac(self._hmac(salted_password, b"Server Key"), auth_message)
        proof = bytes(key ^ signature for key, signature in zip(client_key, client_signature, strict=True))
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def _verify(self, challenge: bytes) -> None:
        if not challenge:
            raise self._failed("the broker says success without proof that it knows the password: do not trust it")
        server_final = self._text(challenge)
        match = SERVER_FINAL.fullmatch(server_final)
        if match is None:
            raise self._malformed("server-final-message", server_final, "v=<signature>")
        if not hmac.compare_digest(self._base64("signature", match[1]), self._server_signature):
            raise self._failed("the broker's signature is wrong: it does not know the password, so do not trust it")

    def _malformed(self, message: str, text: str, expected: str) -> SaslAuthenticationError:
        error = SERVER_ERROR.fullmatch(text)
        if error:
            self._step(ExchangeEvent.FAIL)
            return self.refused(error[1])
        return self._failed(f"the broker's {message} is malformed: it should be {expected}")

    def _text(self, challenge: bytes) -> str:
        try:
            return challenge.decode()
        except UnicodeDecodeError:
            raise self._failed("the broker's token is not UTF-8") from None

    def _base64(self, what: str, text: str) -> bytes:
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error:
            raise self._failed(f"the broker's {what} is not base64") from None

    def _iterations(self, digits: str) -> int:
        shown = printable(digits[:20])
        significant = digits.lstrip("0")
        if len(significant) > len(str(ITERATIONS_MAX)) or int(significant or "0") > ITERATIONS_MAX:
            bound = f"more than {ITERATIONS_MAX}, which would hold the client up"
            raise self._failed(f"the broker asks for {shown} iterations, {bound}: store the credential with fewer")
        if int(significant or "0") < ITERATIONS_MIN:
            bound = f"fewer than {ITERATIONS_MIN}, which would be weak"
            raise self._failed(f"the broker asks for {shown} iterations, {bound}: store the credential with more")
        return int(significant)

    def _hmac(self, key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, self._hash)
