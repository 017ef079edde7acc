"""The declared messages, one file for each API, and where to find them by key.

Layer: wire. To add an API: declare it in a file of its own, and name its classes here.
"""

from __future__ import annotations

from typing import Final

from kproto.wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from kproto.wire.messages.init_producer_id import (
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    InitProducerIdRequest,
    InitProducerIdResponse,
)
from kproto.wire.messages.metadata import NO_AUTHORIZED_OPERATIONS, MetadataRequest, MetadataResponse
from kproto.wire.messages.produce import ProduceRequest, ProduceResponse
from kproto.wire.messages.sasl import (
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
)
from kproto.wire.schema import Request, Response

__all__ = [
    "NO_AUTHORIZED_OPERATIONS",
    "NO_PRODUCER_EPOCH",
    "NO_PRODUCER_ID",
    "REQUESTS",
    "RESPONSES",
    "ApiVersionsRequest",
    "ApiVersionsResponse",
    "InitProducerIdRequest",
    "InitProducerIdResponse",
    "MetadataRequest",
    "MetadataResponse",
    "ProduceRequest",
    "ProduceResponse",
    "SaslAuthenticateRequest",
    "SaslAuthenticateResponse",
    "SaslHandshakeRequest",
    "SaslHandshakeResponse",
]

_REQUESTS: Final[tuple[type[Request], ...]] = (
    ProduceRequest,
    MetadataRequest,
    SaslHandshakeRequest,
    ApiVersionsRequest,
    InitProducerIdRequest,
    SaslAuthenticateRequest,
)
_RESPONSES: Final[tuple[type[Response], ...]] = (
    ProduceResponse,
    MetadataResponse,
    SaslHandshakeResponse,
    ApiVersionsResponse,
    InitProducerIdResponse,
    SaslAuthenticateResponse,
)

REQUESTS: Final = {message.api_key: message for message in _REQUESTS if message.api_key is not None}
"""API key -> request class, of the declared APIs."""

RESPONSES: Final = {message.api_key: message for message in _RESPONSES if message.api_key is not None}
"""API key -> response class, of the declared APIs."""
