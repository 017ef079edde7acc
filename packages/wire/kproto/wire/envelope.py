"""A whole request or response: header and body in one frame.

Layer: wire. Picks the header's version; knows no connection: who asked what is the caller's to remember.
Source: https://kafka.apache.org/protocol#protocol_messages
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from kproto.wire.errors import DecodeError, TrailingBytes, WireError
from kproto.wire.frame import frame, frame_length
from kproto.wire.header import RequestHeader, ResponseHeader, request_header_version, response_header_version
from kproto.wire.messages import REQUESTS
from kproto.wire.schema import Message, Request, Response
from kproto.wire.versions import show_versions

__all__ = [
    "decode_request",
    "decode_response",
    "decode_response_prefix",
    "encode_request",
    "encode_request_parts",
    "encode_response",
    "request_class",
]

R = TypeVar("R", bound=Response)
LARGE_PART = 1 << 11  # bytes, from which on another copy costs more than another piece


def encode_request(request: Request, version: int, *, correlation_id: int, client_id: str | None) -> bytes:
    """The frame of a request, with its length. Raises EncodeError; WireError for a request class without an API key."""
    return b"".join(encode_request_parts(request, version, correlation_id=correlation_id, client_id=client_id))


def encode_request_parts(
    request: Request, version: int, *, correlation_id: int, client_id: str | None
) -> list[bytes | memoryview]:
    """The same in few pieces, of which the large ones are the message's own, not copied. Raises as `encode_request`."""
    if request.api_key is None:
        raise WireError(f"{type(request).__name__} has no API key")
    header_version = request_header_version(type(request), version)
    header = RequestHeader(
        request_api_key=request.api_key,
        request_api_version=version,
        correlation_id=correlation_id,
        client_id=client_id if header_version else "",
    )
    small: list[bytes | memoryview] = [header.encode(header_version)]
    parts: list[bytes | memoryview] = []
    for part in request.encode_parts(version):
        if len(part) < LARGE_PART:
            small.append(part)
        else:
            parts += (b"".join(small), part)
            small = []
    if small:
        parts.append(b"".join(small))
    parts[0] = frame_length(sum(map(len, parts))) + parts[0]
    return parts


def request_class(payload: bytes, requests: Mapping[int, type[Request]] = REQUESTS) -> tuple[type[Request], int]:
    """The class and version that a request's header names. Raises DecodeError where there is none, or no such version.

    requests: API key -> class; the declared ones unless given.
    """
    header, _ = RequestHeader.decode_prefix(payload, 0)  # the fields that all header versions begin with
    key, version = header.request_api_key, header.request_api_version
    cls = requests.get(key)
    if cls is None:
        raise DecodeError("RequestHeader request_api_key", 0, "a declared API", str(key))
    if version not in cls.versions:
        expected = f"{cls.__name__} {show_versions(cls.versions)}"
        raise DecodeError("RequestHeader request_api_version", 2, expected, f"version {version}")
    return cls, version


def decode_request(payload: bytes, requests: Mapping[int, type[Request]] = REQUESTS) -> tuple[RequestHeader, Request]:
    """The header and body of a frame without its length; its version is `header.request_api_version`.

    Raises DecodeError, also as `request_class` does.
    """
    cls, version = request_class(payload, requests)
    header, behind = RequestHeader.decode_prefix(payload, request_header_version(cls, version))
    request, behind = cls.decode_prefix(payload, version, behind)
    if behind != len(payload):
        raise _trailing(cls, version, behind, len(payload))
    return header, request


def encode_response(response: Response, version: int, *, correlation_id: int) -> bytes:
    """The frame of a response, with its length. Raises EncodeError."""
    header = ResponseHeader(correlation_id=correlation_id)
    return frame(header.encode(response_header_version(type(response), version)) + response.encode(version))


def decode_response(payload: bytes, cls: type[R], version: int) -> tuple[ResponseHeader, R]:
    """The header and body of a frame without its length; the caller knows from the correlation id what was asked.

    Raises DecodeError; WireError for a version that `cls` lacks.
    """
    header, response, behind = decode_response_prefix(payload, cls, version)
    if behind != len(payload):
        raise _trailing(cls, version, behind, len(payload))
    return header, response


def decode_response_prefix(payload: bytes, cls: type[R], version: int) -> tuple[ResponseHeader, R, int]:
    """As `decode_response`, but bytes behind the body are left; the offset of the first of them, too.

    Kafka's own clients read answers so, and brokers that write too much are around.
    """
    cls.check_version(version)
    header, behind = ResponseHeader.decode_prefix(payload, response_header_version(cls, version))
    response, behind = cls.decode_prefix(payload, version, behind)
    return header, response, behind


def _trailing(cls: type[Message], version: int, behind: int, size: int) -> TrailingBytes:
    return TrailingBytes(f"{cls.__name__} v{version}", behind, "the end", f"{size - behind} more bytes")
