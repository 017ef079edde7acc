"""ApiVersions and InitProducerId; tests/brokers/test_judge_differential.py asks Kafka the same."""

from __future__ import annotations

import pytest
from client.talk import VERSIONS
from tools.judge.judging import INIT, JudgeTalk, fetch_request, list_request

from kproto.tools.judge import Fault, FaultPoint, JudgeCluster
from kproto.tools.judge.answers import error_response
from kproto.tools.judge.topic_messages import CreateTopicsRequest, DeleteTopicsRequest
from kproto.wire import (
    REQUESTS,
    RESPONSES,
    ApiKey,
    ApiVersionsRequest,
    ApiVersionsResponse,
    ErrorCode,
    InitProducerIdRequest,
    RequestHeader,
    decode_response,
    frame,
)


@pytest.fixture
def cluster():
    return JudgeCluster(topics={"orders": 1})


@pytest.fixture
def talk(cluster):
    return JudgeTalk(cluster, 1)


def ranges(response):
    return {api.api_key: (api.min_version, api.max_version) for api in response.api_keys}


@pytest.mark.parametrize("version", ApiVersionsRequest.versions)
def test_it_announces_kafkas_versions(talk, version):
    response = talk.ask(VERSIONS if version >= 3 else ApiVersionsRequest(), version)
    served = {0: (0, 13), 1: (4, 12), 2: (1, 7), 3: (0, 13), 18: (0, 5), 19: (2, 7), 20: (1, 5), 22: (0, 5)}
    assert (response.error_code, ranges(response)) == (0, served)


def test_an_old_broker_announces_less(cluster, talk):
    cluster.brokers[1].versions[ApiKey.PRODUCE] = range(7)
    cluster.brokers[1].versions[ApiKey.API_VERSIONS] = range(3)
    assert ranges(talk.ask(ApiVersionsRequest(), 2))[0] == (0, 6)


@pytest.mark.parametrize(("last", "asked"), [(5, 99), (2, 5)])
def test_a_version_of_api_versions_that_it_lacks_is_answered_in_version_0(cluster, talk, last, asked):
    cluster.brokers[1].versions[ApiKey.API_VERSIONS] = range(last + 1)
    header = RequestHeader(request_api_key=18, request_api_version=asked, correlation_id=7, client_id="x")
    payload = talk.exchange(frame(header.encode(2) + VERSIONS.encode(3)))
    answered, response = decode_response(payload, ApiVersionsResponse, 0)
    assert (answered.correlation_id, response.error_code) == (7, ErrorCode.UNSUPPORTED_VERSION)
    assert ranges(response) == {18: (0, last)}
    cluster.check()


def test_names_of_clients_are_checked(talk):
    for name in ("", "-", "a b", "kproto-"):
        request = ApiVersionsRequest(client_software_name=name, client_software_version="1")
        assert talk.ask(request, 3).error_code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"cluster_id": "judge", "node_id": 1}, 0),
        ({"cluster_id": "judge", "node_id": 2}, ErrorCode.REBOOTSTRAP_REQUIRED),
        ({"cluster_id": "other", "node_id": 1}, ErrorCode.REBOOTSTRAP_REQUIRED),
        ({"cluster_id": "judge"}, ErrorCode.INVALID_REQUEST),
        ({"node_id": 1}, ErrorCode.INVALID_REQUEST),
    ],
)
def test_a_client_that_means_another_broker_is_told(talk, fields, code):
    assert talk.ask(VERSIONS.replace(**fields), 5).error_code == code


def test_producer_ids_are_given_once(cluster, talk):
    given = [talk.new_producer_id(), JudgeTalk(cluster, 2).new_producer_id(), talk.new_producer_id()]
    assert len({one.producer_id for one in given}) == 3
    assert {one.producer_epoch for one in given} == {0}


def test_an_old_producer_id_gets_a_new_one(talk):
    first = talk.new_producer_id()
    again = talk.ask(InitProducerIdRequest(producer_id=first.producer_id, producer_epoch=3), 4)
    assert (again.error_code, again.producer_epoch) == (0, 0)
    assert again.producer_id != first.producer_id


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"producer_id": 5}, ErrorCode.INVALID_REQUEST),
        ({"producer_epoch": 5}, ErrorCode.INVALID_REQUEST),
        ({"transactional_id": "t"}, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
    ],
)
def test_producer_ids_that_are_not_given(talk, fields, code):
    response = talk.ask(InitProducerIdRequest(**fields), 4)
    assert (response.error_code, response.producer_id, response.producer_epoch) == (code, -1, -1)


def test_errors_of_producer_ids_take_turns(cluster, talk):
    for code in (ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.CLUSTER_AUTHORIZATION_FAILED):
        cluster.fail(INIT, Fault.error(code))
    assert [talk.new_producer_id().error_code for _ in range(3)] == [14, 31, 0]


def test_an_id_is_given_and_the_answer_lost(cluster, talk):
    cluster.fail(INIT, Fault.error(ErrorCode.REQUEST_TIMED_OUT, FaultPoint.AFTER_APPEND))
    assert talk.new_producer_id().error_code == ErrorCode.REQUEST_TIMED_OUT
    assert talk.new_producer_id().producer_id == 1001


@pytest.mark.parametrize("version", [0, 4])
def test_an_injected_error_35_is_answered_in_version_0(cluster, talk, version):
    cluster.fail(ApiKey.API_VERSIONS, Fault.error(ErrorCode.UNSUPPORTED_VERSION))
    talk.send(VERSIONS if version else ApiVersionsRequest(), version)
    (payload,) = talk.payloads()
    assert decode_response(payload, ApiVersionsResponse, 0)[1].error_code == ErrorCode.UNSUPPORTED_VERSION


@pytest.mark.parametrize("api", [ApiKey.PRODUCE, ApiKey.METADATA, ApiKey.API_VERSIONS, ApiKey.INIT_PRODUCER_ID])
def test_every_request_has_an_answer_with_an_error(api):
    response = error_response(REQUESTS[api](), ErrorCode.REQUEST_TIMED_OUT)
    assert type(response) is RESPONSES[api]


@pytest.mark.parametrize(
    "request_",
    [
        fetch_request(("orders", 0, 0), ("orders", 1, 0)),
        list_request("orders", 0, -1),
        CreateTopicsRequest(topics=[CreateTopicsRequest.CreatableTopic(name="new")]),
        DeleteTopicsRequest(topic_names=["orders"]),
    ],
    ids=lambda one: type(one).__name__,
)
def test_each_partition_or_topic_has_the_error(cluster, talk, request_):
    cluster.fail(request_.api_key, Fault.error(ErrorCode.REQUEST_TIMED_OUT))
    assert "'error_code': 7" in str(talk.ask(request_, request_.versions.stop - 1).to_dict())
    assert set(cluster.image.topics) == {"orders"}
