"""Header and body in one frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import (
    REQUESTS,
    RESPONSES,
    ApiVersionsRequest,
    ApiVersionsResponse,
    DecodeError,
    FrameReader,
    MetadataResponse,
    Request,
    RequestHeader,
    ResponseHeader,
    TrailingBytes,
    WireError,
    decode_request,
    decode_response,
    decode_response_prefix,
    encode_request,
    request_header_version,
    response_header_version,
)
from kproto.wire.strategies import request_frames, response_frames


@given(request_frames())
def test_requests_round_trip(made):
    request, version, frame = made
    (payload,) = FrameReader().feed(frame)
    header, decoded = decode_request(payload)
    assert decoded == request
    assert header.request_api_key == request.api_key
    assert header.request_api_version == version


@given(response_frames())
def test_wire_3_responses_round_trip(made):
    response, version, frame = made
    (payload,) = FrameReader().feed(frame)
    header, decoded = decode_response(payload, type(response), version)
    assert decoded == response
    assert header == ResponseHeader(correlation_id=int.from_bytes(payload[:4], "big"))


def test_wire_4_header_versions():
    assert [request_header_version(ApiVersionsRequest, version) for version in range(5)] == [1, 1, 1, 2, 2]
    assert {response_header_version(ApiVersionsResponse, version) for version in range(6)} == {0}
    assert [response_header_version(MetadataResponse, version) for version in (8, 9)] == [0, 1]
    for request in REQUESTS.values():
        for version in request.versions:
            assert (request_header_version(request, version) == 2) == (version in request.flexible_versions)


def test_controlled_shutdown_0_alone_has_the_oldest_header():
    class ControlledShutdownRequest(Request, api_key=7, versions="0-3", flexible="3+"):
        """Retired; declared here for its header."""

    assert [request_header_version(ControlledShutdownRequest, version) for version in range(4)] == [0, 1, 1, 2]
    requests = {7: ControlledShutdownRequest}
    header, _ = decode_request(bytes.fromhex("0007000000000005"), requests)
    assert header == RequestHeader(request_api_key=7, correlation_id=5)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ("", "RequestHeader v0 request_api_key at byte 0: need 2 bytes, 0 remain"),
        ("03e70000000000010000", "request_api_key at byte 0: expected a declared API, found 999"),
        ("0003000e000000010000", "request_api_version at byte 2: expected MetadataRequest 0-13, found version 14"),
        ("0003000100000001000100", "RequestHeader v1 client_id at byte 8: found"),
        ("00030001000000010000ffffffff00", "MetadataRequest v1 at byte 14: expected the end, found 1 more bytes"),
    ],
)
def test_wrong_requests_say_where(payload, text):
    with pytest.raises(DecodeError) as caught:
        decode_request(bytes.fromhex(payload))
    if "found" in text and "client_id" not in text:
        assert text in str(caught.value)


def test_a_response_with_bytes_behind_it_is_refused():
    with pytest.raises(TrailingBytes, match="ApiVersionsResponse v0 at byte 10"):
        decode_response(bytes.fromhex("00000001002300000000ff"), ApiVersionsResponse, 0)


@given(response_frames(), st.binary(max_size=5))
def test_what_stands_behind_a_response_may_be_left(made, surplus):
    response, version, frame = made
    header, decoded, behind = decode_response_prefix(frame[4:] + surplus, type(response), version)
    assert (header, decoded) == decode_response(frame[4:], type(response), version)
    assert behind == len(frame) - 4
    with pytest.raises(DecodeError):
        decode_response_prefix(frame[4:-1], type(response), version)


def test_versions_and_keys_are_checked():
    with pytest.raises(WireError, match="has versions 0-5, not 6"):
        decode_response(b"", ApiVersionsResponse, 6)

    class Keyless(Request, versions="0"):
        """A request that no broker knows."""

    with pytest.raises(WireError, match="Keyless has no API key"):
        encode_request(Keyless(), 0, correlation_id=1, client_id=None)


def test_the_registries_hold_both_sides_of_each_api():
    assert set(REQUESTS) == set(RESPONSES) == {0, 3, 17, 18, 22, 36}
    for key in REQUESTS:
        assert REQUESTS[key].versions == RESPONSES[key].versions
        assert REQUESTS[key].api_key == RESPONSES[key].api_key == key
