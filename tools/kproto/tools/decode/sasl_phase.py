"""The tokens of SASL that stand bare in frames, after a SaslHandshake of version 0.

Layer: tools. Knows no mechanism: the phase is over when the client sends what can be a request again.
Source: KIP-43, KIP-152; org.apache.kafka.common.security.authenticator.SaslServerAuthenticator.
"""

from __future__ import annotations

from kproto.tools.decode.plausible import PREFIX_SIZE, REQUEST_HEADER_SIZE, request_at

__all__ = ["SaslPhase"]


class SaslPhase:
    """Of one connection. Each token of the client is answered by one of the broker, or by the end."""

    __slots__ = ("_on", "_unanswered")

    def __init__(self) -> None:
        self._on = False
        self._unanswered = 0

    def begin(self) -> None:
        """A SaslHandshake of version 0 was sent."""
        self._on = True

    def is_sent_token(self, payload: bytes) -> bool:
        """Whether what the client sends is a token; a request ends the phase."""
        if not self._on:
            return False
        framed = len(payload).to_bytes(PREFIX_SIZE, "big") + payload
        if len(framed) >= REQUEST_HEADER_SIZE and request_at(framed):
            self._on = False
            return False
        self._unanswered += 1
        return True

    def is_answering_token(self) -> bool:
        """Whether what the broker sends now is a token. Ask once for each frame that answers no request."""
        if not self._unanswered:
            return False
        self._unanswered -= 1
        return True
