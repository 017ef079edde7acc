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
    ProduceRequest,
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
from kproto.wire.envelope import LARGE_PART, encode_request_parts
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


@given(request_frames())
def test_the_parts_of_a_request_are_its_frame(made):
    request, version, frame = made
    header, _ = decode_request(frame[4:])
    options = {"correlation_id": header.correlation_id, "client_id": header.client_id}
    parts = encode_request_parts(request, version, **options)
    assert b"".join(parts) == encode_request(request, version, **options) == frame
    assert all(parts), "an empty part would be written for nothing"


def produce(*records):
    data = [ProduceRequest.PartitionProduceData(index=index, records=each) for index, each in enumerate(records)]
    return ProduceRequest(topic_data=[ProduceRequest.TopicProduceData(name="orders", partition_data=data)])


@pytest.mark.parametrize("version", [3, 9])
def test_large_records_are_not_copied_and_small_ones_are_joined(version):
    large, buffer, small = bytes(LARGE_PART), bytearray(5 * LARGE_PART), b"s" * (LARGE_PART - 1)
    parts = encode_request_parts(produce(large, small, buffer, small), version, correlation_id=7, client_id="c")
    first, second, third, fourth, fifth = parts
    assert second is large
    assert fourth is buffer or fourth.obj is buffer
    assert small in third and small in fifth
    assert int.from_bytes(first[:4], "big") == sum(map(len, parts)) - 4
    (payload,) = FrameReader().feed(b"".join(parts))
    header, request = decode_request(payload)
    assert (header.correlation_id, header.client_id) == (7, "c")
    assert request == produce(large, small, bytes(buffer), small)


def test_large_records_at_the_very_end_have_nothing_behind_them():
    large = bytes(LARGE_PART)
    parts = encode_request_parts(produce(large), 3, correlation_id=7, client_id=None)
    assert len(parts) == 2 and parts[1] is large


def test_a_request_without_large_parts_is_one_piece():
    (whole,) = encode_request_parts(produce(b"a", None), 9, correlation_id=7, client_id="c")
    assert whole == encode_request(produce(b"a", None), 9, correlation_id=7, client_id="c")


def test_the_registries_hold_both_sides_of_each_api():
    assert set(REQUESTS) == set(RESPONSES) == {0, 3, 17, 18, 22, 36}
    for key in REQUESTS:
        assert REQUESTS[key].versions == RESPONSES[key].versions
        assert REQUESTS[key].api_key == RESPONSES[key].api_key == key
