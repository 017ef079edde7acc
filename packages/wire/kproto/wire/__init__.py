"""Bytes <-> messages: Kafka's requests, responses and record batches, declared once with construct.

The bottom layer: no I/O, no clock, no threads. What else is here, each in its module: `annotate` (byte ranges with
path, type and value), `definitions` (Kafka's own message JSON, read at run time), `strategies` (for hypothesis),
`changes` and `tables` (what each version is made of).
"""

from kproto.wire.api_key import ApiKey
from kproto.wire.envelope import (
    decode_request,
    decode_response,
    decode_response_prefix,
    encode_request,
    encode_response,
)
from kproto.wire.error_code import ErrorCode
from kproto.wire.errors import (
    BadCount,
    BadCrc,
    BadUtf8,
    BadVarint,
    DecodeError,
    DecompressionError,
    EncodeError,
    FieldUnavailable,
    KafkaError,
    TrailingBytes,
    Underrun,
    UnexpectedNull,
    WireError,
)
from kproto.wire.frame import FRAME_SIZE_MAX, FrameReader, frame
from kproto.wire.header import RequestHeader, ResponseHeader, request_header_version, response_header_version
from kproto.wire.messages import (
    NO_AUTHORIZED_OPERATIONS,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    REQUESTS,
    RESPONSES,
    ApiVersionsRequest,
    ApiVersionsResponse,
    InitProducerIdRequest,
    InitProducerIdResponse,
    MetadataRequest,
    MetadataResponse,
    ProduceRequest,
    ProduceResponse,
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
)
from kproto.wire.schema import Message, Request, Response, Struct
from kproto.wire.wire_type import NO_TAGS, NO_UUID

__all__ = [
    "FRAME_SIZE_MAX",
    "NO_AUTHORIZED_OPERATIONS",
    "NO_PRODUCER_EPOCH",
    "NO_PRODUCER_ID",
    "NO_TAGS",
    "NO_UUID",
    "REQUESTS",
    "RESPONSES",
    "ApiKey",
    "ApiVersionsRequest",
    "ApiVersionsResponse",
    "BadCount",
    "BadCrc",
    "BadUtf8",
    "BadVarint",
    "DecodeError",
    "DecompressionError",
    "EncodeError",
    "ErrorCode",
    "FieldUnavailable",
    "FrameReader",
    "InitProducerIdRequest",
    "InitProducerIdResponse",
    "KafkaError",
    "Message",
    "MetadataRequest",
    "MetadataResponse",
    "ProduceRequest",
    "ProduceResponse",
    "Request",
    "RequestHeader",
    "Response",
    "ResponseHeader",
    "SaslAuthenticateRequest",
    "SaslAuthenticateResponse",
    "SaslHandshakeRequest",
    "SaslHandshakeResponse",
    "Struct",
    "TrailingBytes",
    "Underrun",
    "UnexpectedNull",
    "WireError",
    "decode_request",
    "decode_response",
    "decode_response_prefix",
    "encode_request",
    "encode_response",
    "frame",
    "request_header_version",
    "response_header_version",
]
