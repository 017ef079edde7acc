"""SaslHandshake and SaslAuthenticate: choose a mechanism, then carry its tokens.

Layer: wire. The tokens are secrets: they never stand in a repr, an error or an annotation.
Source: KIP-43, KIP-152 (SaslAuthenticate), KIP-368 (session lifetimes).
"""

from __future__ import annotations

from collections.abc import Sequence

from kproto.wire.api_key import ApiKey
from kproto.wire.field import field
from kproto.wire.schema import Request, Response
from kproto.wire.wire_type import Array, Int16, Int64, NullableString, SecretBytes, String

__all__ = ["SaslAuthenticateRequest", "SaslAuthenticateResponse", "SaslHandshakeRequest", "SaslHandshakeResponse"]


class SaslHandshakeRequest(Request, api_key=ApiKey.SASL_HANDSHAKE, versions="0-1"):
    """Name the mechanism. After version 0 the tokens follow bare; after version 1, in SaslAuthenticate."""

    mechanism: str = field(String)


class SaslHandshakeResponse(Response, api_key=ApiKey.SASL_HANDSHAKE, versions="0-1"):
    """Whether the mechanism is enabled, and which ones are."""

    error_code: int = field(Int16)
    mechanisms: Sequence[str] = field(Array(String))


class SaslAuthenticateRequest(Request, api_key=ApiKey.SASL_AUTHENTICATE, versions="0-2", flexible="2+"):
    """The client's next token."""

    auth_bytes: bytes = field(SecretBytes)


class SaslAuthenticateResponse(Response, api_key=ApiKey.SASL_AUTHENTICATE, versions="0-2", flexible="2+"):
    """The broker's next token. session_lifetime_ms: re-authenticate within it; 0 for no limit."""

    error_code: int = field(Int16)
    error_message: str | None = field(NullableString)
    auth_bytes: bytes = field(SecretBytes)
    session_lifetime_ms: int = field(Int64, since=1, ignorable=True)
