"""Request and response headers, and which version of them goes with which message.

Layer: wire.
Source: KIP-482; org.apache.kafka.common.protocol.ApiKeys and the generated ApiMessageType.
"""

from __future__ import annotations

from typing import Final

from kproto.wire.api_key import ApiKey
from kproto.wire.field import field
from kproto.wire.schema import Message, Request, Response
from kproto.wire.wire_type import Int16, Int32, NullableString

__all__ = ["RequestHeader", "ResponseHeader", "request_header_version", "response_header_version"]

CONTROLLED_SHUTDOWN: Final = 7  # version 0 of this retired API is the only request with header version 0


class RequestHeader(Message, versions="0-2", flexible="2+"):
    """Stands before each request. The client id keeps its int16 length also in version 2."""

    request_api_key: int = field(Int16)
    request_api_version: int = field(Int16)
    correlation_id: int = field(Int32)
    client_id: str | None = field(NullableString, since=1, default="", flexible="none")


class ResponseHeader(Message, versions="0-1", flexible="1+"):
    """Stands before each response; the correlation id is the request's."""

    correlation_id: int = field(Int32)


def request_header_version(request: type[Request], version: int) -> int:
    """2 for a flexible version, else 1; 0 only for ControlledShutdown 0."""
    if request.api_key == CONTROLLED_SHUTDOWN and version == 0:
        return 0
    return 2 if version in request.flexible_versions else 1


def response_header_version(response: type[Response], version: int) -> int:
    """1 for a flexible version, else 0; always 0 for ApiVersions, whose client may not know what the broker speaks."""
    if response.api_key == ApiKey.API_VERSIONS:
        return 0
    return 1 if version in response.flexible_versions else 0
