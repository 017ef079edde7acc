"""The wire layer against a real Apache Kafka: every version that it announces of every declared API."""

from __future__ import annotations

import pytest
from brokers.kafka import ApacheKafka
from brokers.wire_session import KEEP, LONG_AGO_MS, WireSession, batch, metadata_request, produce_request
from confluent_kafka import Consumer, TopicPartition

from kproto.wire import (
    REQUESTS,
    ApiKey,
    ApiVersionsRequest,
    ApiVersionsResponse,
    ErrorCode,
    RequestHeader,
    SaslAuthenticateRequest,
    SaslHandshakeRequest,
    decode_response,
    frame,
)

pytestmark = [pytest.mark.broker, pytest.mark.java]

PLAIN = {
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.sasl.plain.sasl.jaas.config": (
        'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="alice-secret";'
    ),
}


@pytest.fixture(scope="module")
def kafka():
    with ApacheKafka(listeners={"SASL": "SASL_PLAINTEXT"}, settings=PLAIN) as broker:
        yield broker


@pytest.fixture
def session(kafka):
    with WireSession(kafka.bootstrap_servers) as opened:
        yield opened


def consumed(kafka, topic, count):
    """The records of partition 0, as librdkafka reads them."""
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": "check", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = []
    while len(found) < count:
        messages = consumer.consume(count - len(found), timeout=20)
        assert messages, f"{len(found)} of {count} records came back"
        for message in messages:
            assert message.error() is None
            found.append((message.offset(), message.key(), message.value(), message.headers(), message.timestamp()[1]))
    consumer.close()
    return found


def test_the_broker_announces_what_is_declared(session):
    announced = session.announced()
    for key, cls in REQUESTS.items():
        if key == ApiKey.INIT_PRODUCER_ID:
            assert announced[key] == range(cls.versions.stop - 1)  # version 6 is declared, but not yet stable
        else:
            assert announced[key] == cls.versions
    assert set(announced) <= {int(key) for key in ApiKey}


def test_an_unknown_version_of_api_versions_is_answered_in_version_0(session):
    header = RequestHeader(request_api_key=ApiKey.API_VERSIONS, request_api_version=99, correlation_id=7, client_id="x")
    payload = session.exchange(frame(header.encode(2) + ApiVersionsRequest().encode(3)))
    answered, response = decode_response(payload, ApiVersionsResponse, 0)
    assert answered.correlation_id == 7
    assert response.error_code == ErrorCode.UNSUPPORTED_VERSION
    assert [(api.api_key, api.min_version, api.max_version) for api in response.api_keys] == [(18, 0, 5)]


@pytest.mark.parametrize("version", REQUESTS[ApiKey.API_VERSIONS].versions)
def test_api_versions(session, version):
    names = {"client_software_name": "kproto", "client_software_version": "0"} if version >= 3 else {}
    response = session.ask(ApiVersionsRequest(**names), version)
    assert response.error_code == 0
    assert len(response.api_keys) > 20


@pytest.mark.parametrize("version", REQUESTS[ApiKey.METADATA].versions)
def test_metadata(kafka, session, version):
    topic = f"metadata-{version}"
    kafka.create_topic(topic, 2)
    response = session.ask(metadata_request(topic), version)
    (found,) = response.topics
    assert (found.error_code, found.name, len(found.partitions)) == (0, topic, 2)
    assert [broker.port for broker in response.brokers] == [kafka.port]
    assert {partition.leader_id for partition in found.partitions} == {0}


@pytest.mark.parametrize("version", range(6))
def test_init_producer_id(session, version):
    producer_id, epoch = session.producer_id(version)
    assert producer_id >= 0
    assert epoch == 0


@pytest.mark.parametrize("version", range(2))
def test_sasl_handshake_is_refused_on_a_plaintext_listener(session, version):
    response = session.ask(SaslHandshakeRequest(mechanism="PLAIN"), version)
    assert response.error_code == ErrorCode.ILLEGAL_SASL_STATE


@pytest.mark.parametrize("version", range(3))
def test_sasl_authenticate_is_refused_on_a_plaintext_listener(session, version):
    response = session.ask(SaslAuthenticateRequest(auth_bytes=b"\0alice\0alice-secret"), version)
    assert response.error_code == ErrorCode.ILLEGAL_SASL_STATE


@pytest.mark.parametrize("version", range(3))
@pytest.mark.parametrize(
    ("password", "error"), [("alice-secret", ErrorCode.NONE), ("wrong", ErrorCode.SASL_AUTHENTICATION_FAILED)]
)
def test_a_login(kafka, version, password, error):
    with WireSession(kafka.address("SASL")) as session:
        handshake = session.ask(SaslHandshakeRequest(mechanism="PLAIN"), 1)
        assert (handshake.error_code, handshake.mechanisms) == (0, ("PLAIN",))
        token = b"\0alice\0" + password.encode()
        assert session.ask(SaslAuthenticateRequest(auth_bytes=token), version).error_code == error
        if error == ErrorCode.NONE:
            assert session.announced()
        else:
            with pytest.raises(ConnectionError):
                session.announced()


@pytest.mark.parametrize("version", range(2))
def test_a_mechanism_that_the_broker_lacks(kafka, version):
    with WireSession(kafka.address("SASL")) as session:
        response = session.ask(SaslHandshakeRequest(mechanism="NONE"), version)
        assert (response.error_code, response.mechanisms) == (ErrorCode.UNSUPPORTED_SASL_MECHANISM, ("PLAIN",))


@pytest.mark.parametrize("version", range(3))
def test_produce_below_3_is_announced_and_not_served(session, version):
    """KIP-896: brokers name the versions for the sake of old clients, and end the connection of one that uses them."""
    with pytest.raises(ConnectionError):
        session.ask(produce_request("orders", None, version, batch([b"a"])), version)


@pytest.mark.parametrize("version", range(3, 14))
def test_produce(kafka, session, version):
    topic = f"produce-{version}"
    kafka.create_topic(topic, **KEEP)
    topic_id = session.ask(metadata_request(topic), 13).topics[0].topic_id
    stamp = (*session.producer_id(5), 0)
    records = batch([b"a", b"b"], stamp)
    for _ in range(2):  # the second time it is a duplicate, and gets the same offset
        response = session.ask(produce_request(topic, topic_id, version, records), version)
        (answered,) = response.responses[0].partition_responses
        assert (answered.error_code, answered.base_offset) == (0, 0)
    again = batch([b"c"], (*stamp[:2], 2))
    (answered,) = (
        session.ask(produce_request(topic, topic_id, version, again), version).responses[0].partition_responses
    )
    assert (answered.error_code, answered.base_offset) == (0, 2)
    gap = batch([b"d"], (*stamp[:2], 9))
    (answered,) = session.ask(produce_request(topic, topic_id, version, gap), version).responses[0].partition_responses
    assert answered.error_code == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert [(offset, value) for offset, _, value, _, _ in consumed(kafka, topic, 3)] == [
        (0, b"a"),
        (1, b"b"),
        (2, b"c"),
    ]


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_codec_is_read_back(kafka, session, compression):
    topic = f"codec-{compression}"
    kafka.create_topic(topic, **KEEP)
    values = [b"value-%d" % index * 50 for index in range(500)]
    records = batch(values, compression=compression)
    (answered,) = session.ask(produce_request(topic, None, 9, records), 9).responses[0].partition_responses
    assert answered.error_code == 0
    found = consumed(kafka, topic, 500)
    assert [value for _, _, value, _, _ in found] == values
    assert found[3] == (3, b"key", values[3], [("trace", b"1")], LONG_AGO_MS + 3)


def test_a_broken_crc_is_refused(kafka, session):
    kafka.create_topic("broken")
    records = bytearray(batch([b"a"]))
    records[-3] ^= 1
    (answered,) = session.ask(produce_request("broken", None, 9, bytes(records)), 9).responses[0].partition_responses
    assert answered.error_code == ErrorCode.CORRUPT_MESSAGE
