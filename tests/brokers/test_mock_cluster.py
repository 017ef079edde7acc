"""librdkafka's mock cluster and its faults, asked with kproto.wire alone."""

from __future__ import annotations

import time

import pytest
from brokers import mock_cluster
from brokers.mock_cluster import TRANSPORT, MockCluster
from brokers.wire_session import WireSession, metadata_request

from kproto.wire import (
    ApiKey,
    ApiVersionsRequest,
    ErrorCode,
    InitProducerIdRequest,
    MetadataRequest,
    MetadataResponse,
    TrailingBytes,
    decode_response,
    encode_request,
)

pytestmark = pytest.mark.broker


@pytest.fixture
def cluster():
    with MockCluster(brokers=3) as started:
        started.create_topic("orders", 2)
        yield started


@pytest.fixture
def session(cluster):
    with WireSession(cluster.bootstrap_servers.split(",")[0]) as opened:
        yield opened


def test_api_versions(session):
    for version in range(3):
        response = session.ask(ApiVersionsRequest(), version)
        assert response.error_code == 0
        ranges = {api.api_key: range(api.min_version, api.max_version + 1) for api in response.api_keys}
        assert ranges[ApiKey.METADATA] == MetadataRequest.versions


def test_its_error_35_has_a_body_of_no_version(session):
    """The bytes that `ScriptedBroker(unsupported="junk")` repeats."""
    request = encode_request(ApiVersionsRequest(), 4, correlation_id=7, client_id="x")
    assert session.exchange(request).hex() == "00000007002301001200000002" + "00000000"


def told(session, topic, version=8):
    """Metadata of one topic; the mock writes one byte too many from version 9 on, its first flexible one."""
    request = encode_request(metadata_request(topic), version, correlation_id=7, client_id="x")
    payload = session.exchange(request)
    if version >= 9:
        with pytest.raises(TrailingBytes, match="found 1 more bytes"):
            decode_response(payload, MetadataResponse, version)
        assert payload[-1] == 0
        payload = payload[:-1]
    return decode_response(payload, MetadataResponse, version)[1]


def test_metadata(cluster, session):
    for version in MetadataRequest.versions:
        response = told(session, "orders", version)
        (topic,) = response.topics
        assert (topic.error_code, topic.name, len(topic.partitions)) == (0, "orders", 2)
        assert sorted(broker.node_id for broker in response.brokers) == [1, 2, 3]
        found = {f"{broker.host}:{broker.port}" for broker in response.brokers}
        assert found == set(cluster.bootstrap_servers.split(","))


def test_errors_come_in_turn(cluster, session):
    ask = InitProducerIdRequest(transaction_timeout_ms=1000)
    cluster.push_errors(ApiKey.INIT_PRODUCER_ID, [14, 15])
    assert [session.ask(ask, 4).error_code for _ in range(3)] == [14, 15, 0]
    cluster.push_errors(ApiKey.INIT_PRODUCER_ID, [14])
    cluster.clear_errors(ApiKey.INIT_PRODUCER_ID)
    assert session.ask(ask, 4).error_code == 0
    cluster.push_errors(ApiKey.INIT_PRODUCER_ID, [TRANSPORT])
    with pytest.raises(ConnectionError):
        session.ask(ask, 4)


def test_a_topic_error_and_a_leader(cluster, session):
    cluster.set_topic_error("orders", ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    (topic,) = told(session, "orders").topics
    assert topic.error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED
    cluster.set_topic_error("orders", 0)
    for leader in (1, 2, 3, -1):
        cluster.set_leader("orders", 1, leader)
        (topic,) = told(session, "orders").topics
        assert [one.leader_id for one in topic.partitions if one.partition_index == 1] == [leader]


def test_down_and_up(cluster, session):
    cluster.set_down(1)
    with pytest.raises(ConnectionError):
        session.ask(ApiVersionsRequest(), 2)
    with pytest.raises(ConnectionRefusedError):
        WireSession(cluster.bootstrap_servers.split(",")[0])
    cluster.set_up(1)
    with WireSession(cluster.bootstrap_servers.split(",")[0]) as again:
        assert again.ask(ApiVersionsRequest(), 2).error_code == 0


def test_versions_and_round_trips(cluster, session):
    cluster.set_api_version(ApiKey.METADATA, range(1, 5))
    cluster.set_api_version(ApiKey.INIT_PRODUCER_ID, None)
    response = session.ask(ApiVersionsRequest(), 2)
    ranges = {api.api_key: range(api.min_version, api.max_version + 1) for api in response.api_keys}
    assert ranges[ApiKey.METADATA] == range(1, 5)
    assert ApiKey.INIT_PRODUCER_ID not in ranges
    cluster.set_rtt(200)
    before = time.monotonic()
    session.ask(ApiVersionsRequest(), 2)
    assert time.monotonic() - before > 0.15


def test_an_error_of_librdkafka_is_told(cluster):
    with pytest.raises(RuntimeError, match="rd_kafka_mock_broker_set_down returned"):
        cluster.set_down(99)


def test_a_missing_function_is_a_reason_to_skip_or_to_fail(monkeypatch):
    monkeypatch.setitem(mock_cluster.FUNCTIONS, "rd_kafka_no_such", (None, []))
    mock_cluster.librdkafka.cache_clear()
    try:
        monkeypatch.delenv("KPROTO_REQUIRE_MOCK", raising=False)
        with pytest.raises(pytest.skip.Exception, match="does not export it"), MockCluster():
            pass
        monkeypatch.setenv("KPROTO_REQUIRE_MOCK", "1")
        with pytest.raises(pytest.fail.Exception, match="does not export it"), MockCluster():
            pass
    finally:
        mock_cluster.librdkafka.cache_clear()
