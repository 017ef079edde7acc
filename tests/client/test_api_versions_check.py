"""Asking for the versions: ends whatever a broker answers, and asks no lower than it must."""

from __future__ import annotations

from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.api_versions_check import ApiVersionsCheck
from kproto.client.errors import BrokerError, UnsupportedVersionError
from kproto.client.versions import ApiVersions
from kproto.wire import ApiKey, ApiVersionsRequest, ApiVersionsResponse, DecodeError, ErrorCode, encode_response
from kproto.wire.strategies import messages, versions

NEWEST = ApiVersionsRequest.versions[-1]
JUNK = pack(">ihbhhhi", 1, ErrorCode.UNSUPPORTED_VERSION, 1, ApiKey.API_VERSIONS, 0, 2, 0)  # librdkafka 2.16's mock


def check(**whom: object) -> ApiVersionsCheck:
    return ApiVersionsCheck("b:9092", "1.2.3", **whom)


def answer(*apis: tuple[int, int, int], version: int = NEWEST, code: int = 0, throttle_ms: int = 0) -> bytes:
    """A frame without its length."""
    entries = [ApiVersionsResponse.ApiVersion(api_key=key, min_version=low, max_version=top) for key, low, top in apis]
    response = ApiVersionsResponse(error_code=code, api_keys=entries, throttle_time_ms=throttle_ms)
    return encode_response(response, version, correlation_id=1)[4:]


def unsupported(*apis: tuple[int, int, int]) -> bytes:
    return answer(*apis, version=0, code=ErrorCode.UNSUPPORTED_VERSION)


def test_apiv_1_it_asks_in_the_highest_version_and_says_who_it_is():
    request, version = check().request()
    assert version == NEWEST
    assert (request.client_software_name, request.client_software_version) == ("kproto", "1.2.3")
    assert (request.cluster_id, request.node_id) == (None, -1)


def test_kip_1242_it_names_whom_it_believes_to_reach():
    request, _ = check(cluster_id="cluster", node_id=7).request()
    assert (request.cluster_id, request.node_id) == ("cluster", 7)


@pytest.mark.parametrize("version", ApiVersionsRequest.versions)
def test_apiv_2_the_request_can_be_sent_in_every_version(version):
    request, _ = check(cluster_id="cluster", node_id=7).request()
    request.encode(version)


def test_an_answer_gives_the_versions():
    assert check().receive(answer((3, 0, 12), (18, 0, 5))) == ApiVersions({3: range(13), 18: range(6)})


def test_apiv_3_after_error_35_it_asks_in_the_brokers_highest_version():
    asked = check()
    assert asked.receive(unsupported((18, 0, 3))) is None
    assert asked.request()[1] == 3
    assert asked.receive(answer((18, 0, 3), version=3)) == ApiVersions({18: range(4)})


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(unsupported(), id="a list of nothing, as brokers before 2.4 send"),
        pytest.param(unsupported((3, 0, 1)), id="no word of ApiVersions"),
        pytest.param(JUNK, id="librdkafka's mock"),
        pytest.param(pack(">ih", 1, 35), id="nothing behind the code"),
        pytest.param(pack(">ihi", 1, 35, -1), id="null"),
        pytest.param(pack(">ihi", 1, 35, 2**31 - 1), id="a huge count"),
        pytest.param(answer((18, 0, 3), code=35), id="a body of the version asked"),
        pytest.param(unsupported((18, 0, NEWEST)), id="the version asked"),
        pytest.param(unsupported((18, 0, 99)), id="a higher one"),
        pytest.param(unsupported((18, 6, 9)), id="only higher ones"),
        pytest.param(unsupported((18, 3, 2)), id="an empty range"),
        pytest.param(unsupported((18, -9, -5)), id="a negative one"),
    ],
)
def test_f05_after_error_35_with_no_lower_version_it_asks_in_version_0_and_then_gives_up(payload):
    asked = check()
    assert asked.receive(payload) is None
    assert asked.request()[1] == 0
    with pytest.raises(UnsupportedVersionError, match="the broker does not speak ApiVersions"):
        asked.receive(payload)


@given(
    st.lists(st.binary(max_size=40) | st.integers(-(2**15), 2**15 - 1).map(lambda top: unsupported((18, 0, top))[6:]))
)
def test_f05_error_35_with_any_bodies_ends_after_a_few_questions(bodies):
    asked = check()
    versions_asked = [asked.request()[1]]
    for body in bodies:
        try:
            assert asked.receive(pack(">ih", 1, ErrorCode.UNSUPPORTED_VERSION) + body) is None
        except UnsupportedVersionError:
            assert asked.request()[1] == 0
            break
        versions_asked.append(asked.request()[1])
    assert versions_asked == sorted(set(versions_asked), reverse=True), "each lower than the last"
    assert versions_asked[-1] >= 0


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (ErrorCode.REBOOTSTRAP_REQUIRED, "ApiVersions of b:9092: REBOOTSTRAP_REQUIRED (129), "),
        (ErrorCode.INVALID_REQUEST, "ApiVersions of b:9092: INVALID_REQUEST (42), "),
        (ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "ApiVersions of b:9092: CLUSTER_AUTHORIZATION_FAILED (31), "),
        (12_345, "ApiVersions of b:9092: error 12345, which Kafka 4.4.0 does not have"),
    ],
)
def test_apiv_3_any_other_error_code_is_raised(code, said):
    with pytest.raises(BrokerError) as caught:
        check().receive(answer(code=code))
    assert str(caught.value).startswith(said)
    assert caught.value.code == code


@pytest.mark.parametrize("size", range(6))
def test_bytes_that_are_no_answer_raise(size):
    with pytest.raises(DecodeError):
        check().receive(answer((18, 0, 5))[:size])


def test_f11_bytes_behind_the_answer_harm_nothing():
    assert check().receive(answer((18, 0, 5)) + b"\0") == check().receive(answer((18, 0, 5)))


@pytest.mark.parametrize(("version", "expected_ms"), [(0, 0), (1, 0), (2, 700), (5, 700)])
def test_conn_14_the_answers_throttle_is_told_where_the_client_is_to_wait(version, expected_ms):
    asked = check()
    asked.version = version
    assert asked.throttle_ms == 0
    asked.receive(answer((18, 0, 5), version=version, throttle_ms=700 if version else 0))
    assert asked.throttle_ms == expected_ms


@given(versions(ApiVersionsResponse).flatmap(lambda v: st.tuples(st.just(v), messages(ApiVersionsResponse, v))))
def test_every_answer_of_every_version_is_read(drawn):
    version, response = drawn
    asked = check()
    asked.version = version
    payload = encode_response(response, version, correlation_id=1)[4:]
    if response.error_code == 0:
        assert asked.receive(payload) == ApiVersions.of(response)
    elif response.error_code != ErrorCode.UNSUPPORTED_VERSION:
        with pytest.raises(BrokerError):
            asked.receive(payload)


@given(st.binary(max_size=60))
def test_any_bytes_give_versions_or_one_of_three_errors(data):
    with suppress(DecodeError, BrokerError, UnsupportedVersionError):
        check().receive(data)
