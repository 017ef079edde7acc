"""Requests and responses as bytes, to be sent in made-up packets."""

from __future__ import annotations

from kproto.wire import (
    ApiVersionsRequest,
    ApiVersionsResponse,
    InitProducerIdRequest,
    InitProducerIdResponse,
    MetadataRequest,
    encode_request,
    encode_response,
)

CLIENT_ID = "a client"


def request(correlation_id, *, client_id=CLIENT_ID, transactional_id=None):
    return encode_request(
        InitProducerIdRequest(transactional_id=transactional_id),
        4,
        correlation_id=correlation_id,
        client_id=client_id,
    )


def response(correlation_id, producer_id=7):
    return encode_response(InitProducerIdResponse(producer_id=producer_id), 4, correlation_id=correlation_id)


def metadata(correlation_id, client_id=CLIENT_ID):
    return encode_request(MetadataRequest(), 12, correlation_id=correlation_id, client_id=client_id)


def versions(correlation_id):
    """A request and its response."""
    return (
        encode_request(ApiVersionsRequest(), 3, correlation_id=correlation_id, client_id=CLIENT_ID),
        encode_response(ApiVersionsResponse(), 3, correlation_id=correlation_id),
    )


def opaque(size, correlation_id=1, client_id=b"a client"):
    """A request of an API that is not declared, so large: its body is filled with what is no header."""
    head = b"\0\x01\0\x0c" + correlation_id.to_bytes(4, "big") + len(client_id).to_bytes(2, "big") + client_id
    body = (head + b"\xee" * size)[:size]
    return len(body).to_bytes(4, "big") + body
