"""The scripted broker, by kproto.wire: what it answers unasked-for is Kafka's, and each fault is what it is called."""

from __future__ import annotations

from uuid import UUID

import pytest
from brokers.wire_session import WireSession, produce_request
from client.loopback import Loopback
from client.scripted_broker import Node, ScriptedBroker, ScriptedCluster
from client.scripted_cluster import KAFKA_VERSIONS
from client.talk import ALL_TOPICS, VERSIONS, Talk

from kproto.wire import (
    NO_UUID,
    ApiKey,
    ApiVersionsRequest,
    ErrorCode,
    InitProducerIdRequest,
    MetadataRequest,
    MetadataResponse,
    RequestHeader,
    SaslHandshakeRequest,
    decode_response,
    encode_request,
    frame,
)

Asked = MetadataRequest.MetadataRequestTopic


@pytest.fixture
def cluster():
    return ScriptedCluster(nodes=3, topics={"orders": 4})


@pytest.fixture
def broker(cluster):
    return ScriptedBroker(cluster, 1)


def ranges(response):
    return {api.api_key: range(api.min_version, api.max_version + 1) for api in response.api_keys}


def asking(version):
    return VERSIONS if version >= 3 else ApiVersionsRequest()


@pytest.mark.parametrize("version", ApiVersionsRequest.versions)
def test_it_announces_kafkas_versions(broker, version):
    response = Talk(broker).ask(asking(version), version)
    assert (response.error_code, ranges(response)) == (0, KAFKA_VERSIONS)


@pytest.mark.parametrize("version", MetadataRequest.versions)
def test_metadata_tells_nodes_topics_and_leaders(broker, cluster, version):
    response = Talk(broker).ask(MetadataRequest(topics=() if version == 0 else None), version)
    assert [(one.node_id, one.host, one.port) for one in response.brokers] == [
        (0, "broker-0.test", 9092),
        (1, "broker-1.test", 9092),
        (2, "broker-2.test", 9092),
    ]
    (topic,) = response.topics
    assert (topic.name, topic.error_code) == ("orders", 0)
    assert topic.topic_id == (cluster.topics["orders"].topic_id if version >= 10 else NO_UUID)
    assert [one.leader_id for one in topic.partitions] == [0, 1, 2, 0]
    assert response.cluster_id == ("scripted" if version >= 2 else None)


def test_metadata_of_some_topics_by_name_and_by_id(broker, cluster):
    talk = Talk(broker)
    names = [Asked(name=name) for name in ("orders", "lost", "a b", "..", "")]
    codes = [topic.error_code for topic in talk.ask(MetadataRequest(topics=names), 13).topics]
    assert codes == [0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION] + [ErrorCode.INVALID_TOPIC_EXCEPTION] * 3
    ids = [Asked(topic_id=one, name=None) for one in (cluster.topics["orders"].topic_id, UUID(int=5))]
    found, lost = talk.ask(MetadataRequest(topics=ids), 12).topics
    assert (found.name, len(found.partitions)) == ("orders", 4)
    assert (lost.name, lost.error_code) == (None, ErrorCode.UNKNOWN_TOPIC_ID)
    response = talk.ask(MetadataRequest(topics=ids), 11)
    assert {topic.error_code for topic in response.topics} == {ErrorCode.INVALID_REQUEST}
    assert talk.ask(MetadataRequest(topics=()), 1).topics == ()
    assert set(cluster.topics) == {"orders"}, "asking creates nothing"


def test_the_cluster_changes_while_brokers_talk(broker, cluster):
    talk = Talk(broker)
    first_id = cluster.topics["orders"].topic_id
    cluster.move_leader("orders", 0, 2)
    cluster.move_leader("orders", 1, -1, epochs=3)
    cluster.topics["orders"].partitions[2].error_code = ErrorCode.REPLICA_NOT_AVAILABLE
    cluster.nodes[7] = Node("broker-7.test", 9093, "rack-b")
    del cluster.nodes[0]
    response = talk.ask(ALL_TOPICS, 12)
    assert [one.node_id for one in response.brokers] == [1, 2, 7]
    assert response.brokers[-1].rack == "rack-b"
    partitions = response.topics[0].partitions
    assert [(one.leader_id, one.leader_epoch, one.error_code) for one in partitions] == [
        (2, 1, 0),
        (-1, 3, ErrorCode.LEADER_NOT_AVAILABLE),
        (2, 0, ErrorCode.REPLICA_NOT_AVAILABLE),
        (0, 0, 0),
    ]
    cluster.create_topic("orders", 2, replicas=3)
    (topic,) = talk.ask(ALL_TOPICS, 12).topics
    assert topic.topic_id != first_id
    assert [one.replica_nodes for one in topic.partitions] == [(1, 2, 7), (2, 7, 1)]
    cluster.topics["orders"].error_code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    (topic,) = talk.ask(ALL_TOPICS, 12).topics
    assert (topic.error_code, topic.partitions) == (ErrorCode.TOPIC_AUTHORIZATION_FAILED, ())


def test_producer_ids_are_all_different_and_produce_is_answered(broker, cluster):
    talk = Talk(broker)
    ids = [talk.ask(InitProducerIdRequest(transaction_timeout_ms=1), 5).producer_id for _ in range(3)]
    ids += [Talk(ScriptedBroker(cluster, 2)).ask(InitProducerIdRequest(), 0).producer_id]
    assert len(set(ids)) == 4
    produce = produce_request("orders", None, 9, b"records")
    (answered,) = talk.ask(produce, 9).responses[0].partition_responses
    assert (answered.index, answered.error_code, answered.base_offset) == (0, 0, 0)
    talk.send(produce.replace(acks=0), 9)
    assert (talk.payloads(), talk.end.closed) == ([], False)
    broker.fail(ApiKey.PRODUCE, ErrorCode.NOT_LEADER_OR_FOLLOWER)
    (answered,) = talk.ask(produce, 9).responses[0].partition_responses
    assert (answered.error_code, answered.base_offset) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, -1)


@pytest.mark.parametrize(
    ("unsupported", "answer"),
    [
        ("named", "002300000001001200000002"),
        ("unnamed", "002300000000"),
        ("junk", "00230100120000000200000000"),
    ],
)
def test_apiv_3_error_35_has_one_of_three_bodies(cluster, unsupported, answer):
    """APIV-3, F05."""
    versions = {**cluster.versions, ApiKey.API_VERSIONS: range(3)}
    broker = ScriptedBroker(cluster, versions=versions, unsupported=unsupported)
    talk = Talk(broker)
    talk.send(VERSIONS, 5)
    (payload,) = talk.payloads()
    assert payload.hex() == "00000001" + answer
    assert ranges(talk.ask(ApiVersionsRequest(), 2)) == versions
    assert [(header.request_api_version, request) for header, request in broker.requests] == [
        (5, None),
        (2, ApiVersionsRequest()),
    ]


@pytest.mark.parametrize("versions", [{}, {ApiKey.METADATA: range(5)}, {ApiKey.METADATA: range(12, 14)}])
def test_a_version_that_is_not_announced_ends_the_connection(cluster, versions):
    broker = ScriptedBroker(cluster, versions=versions)
    for request, version in ((ALL_TOPICS, 9), (ApiVersionsRequest(), 0)):
        with pytest.raises(ConnectionError):
            Talk(broker).ask(request, version)
    assert broker.asked(ApiKey.METADATA) == [None]


@pytest.mark.parametrize(
    "data",
    [
        frame(b""),
        frame(b"\0\3"),
        frame(bytes(8)),
        frame(RequestHeader(request_api_key=3, request_api_version=1, client_id="x").encode(1)),
        frame(RequestHeader(request_api_key=999, request_api_version=1, client_id="x").encode(1)),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\xff\xff\xff\xff",
    ],
)
def test_what_is_no_request_ends_the_connection(broker, data):
    end = broker.connect()
    end.receive(data)
    assert end.closed
    assert end.output() == b""
    end.receive(encode_request(ALL_TOPICS, 12, correlation_id=1, client_id="x"))
    assert end.output() == b""


def test_bytes_behind_a_request_end_the_connection_but_for_a_broker_that_is_as_patient_as_kafka(cluster):
    data = encode_request(ALL_TOPICS, 12, correlation_id=1, client_id="x")
    data = frame(data[4:] + b"\1\0\0")
    with pytest.raises(ConnectionError):
        Talk(ScriptedBroker(cluster)).exchange(data)
    patient = ScriptedBroker(cluster, strict=False)
    assert Talk(patient).exchange(data)
    assert patient.asked(ApiKey.METADATA) == [ALL_TOPICS]


def test_kip_1242_a_client_that_believes_to_reach_another_node_must_rebootstrap(broker):
    codes = {}
    for cluster_id, node_id in [("scripted", 1), ("scripted", 2), ("other", 1), ("scripted", -1), (None, 1)]:
        request = VERSIONS.replace(cluster_id=cluster_id, node_id=node_id)
        codes[cluster_id, node_id] = Talk(broker).ask(request, 5).error_code
    assert list(codes.values()) == [0, 129, 129, 42, 42]
    assert Talk(broker).ask(VERSIONS.replace(client_software_name="-"), 3).error_code == ErrorCode.INVALID_REQUEST


def test_faults_come_in_turn_and_then_no_more(broker):
    talk = Talk(broker)
    broker.fail(ApiKey.METADATA, ErrorCode.REBOOTSTRAP_REQUIRED, 9999)
    asked = MetadataRequest(topics=[Asked(name="orders")])
    response = talk.ask(asked, 13)
    assert response.error_code == ErrorCode.REBOOTSTRAP_REQUIRED
    assert response.brokers == ()
    response = talk.ask(asked, 12)
    assert (response.error_code, [topic.error_code for topic in response.topics]) == (0, [9999])
    assert talk.ask(asked, 12).topics[0].error_code == 0
    broker.fail(ApiKey.INIT_PRODUCER_ID, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    assert talk.ask(InitProducerIdRequest(), 5).error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS


def test_a_fault_for_always_has_its_turn_after_those_of_single_requests(broker):
    talk = Talk(broker)
    broker.always[ApiKey.METADATA] = 5
    broker.fail(ApiKey.METADATA, 6)
    asked = MetadataRequest(topics=[Asked(name="orders")])
    assert [talk.ask(asked, 12).topics[0].error_code for _ in range(3)] == [6, 5, 5]


def test_close_silence_and_half(broker):
    broker.fail(ApiKey.METADATA, "close", "silence", "half")
    with pytest.raises(ConnectionError):
        Talk(broker).ask(ALL_TOPICS, 12)
    silent = Talk(broker)
    silent.send(ALL_TOPICS, 12)
    silent.send(VERSIONS, 5)
    assert (silent.payloads(), silent.end.closed) == ([], False)
    half = Talk(broker)
    half.send(ALL_TOPICS, 12)
    data = half.end.output()
    whole = Talk(broker)
    whole.send(ALL_TOPICS, 12)
    answer = whole.end.output()
    assert (data, half.end.closed) == (answer[: len(answer) // 2], True)


def test_f04_answers_that_come_twice_or_with_another_correlation_id(broker):
    talk = Talk(broker)
    broker.fail(ApiKey.METADATA, "twice", "wrong correlation id")
    talk.send(ALL_TOPICS, 12)
    one, other = talk.payloads()
    assert one == other
    talk.send(ALL_TOPICS, 12)
    (payload,) = talk.payloads()
    assert decode_response(payload, MetadataResponse, 12)[0].correlation_id == 3
    talk.end.send(frame(b"unasked"))
    assert talk.payloads() == [b"unasked"]


def test_what_is_held_back_comes_in_order_with_all_behind_it(broker):
    talk, other = Talk(broker), Talk(broker)
    broker.fail(ApiKey.METADATA, "hold", "hold")
    talk.send(ALL_TOPICS, 12)
    talk.send(VERSIONS, 5)
    talk.send(ALL_TOPICS, 12)
    assert talk.payloads() == []
    assert other.ask(VERSIONS, 5).error_code == 0
    broker.release()
    assert [int.from_bytes(payload[:4], "big") for payload in talk.payloads()] == [1, 2, 3]
    assert talk.ask(ALL_TOPICS, 12).topics


def test_bytes_and_functions_are_answers_too(broker):
    talk = Talk(broker)
    broker.fail(
        ApiKey.METADATA,
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda header, request, response: response.replace(cluster_id=f"{header.client_id} {request.topics}"),
        lambda header, request, response: frame(b"raw"),
        lambda header, request, response: None,
    )
    talk.send(ALL_TOPICS, 12)
    assert talk.end.output().startswith(b"HTTP/1.1 400")
    assert talk.ask(ALL_TOPICS, 12).cluster_id == "me None"
    assert talk.exchange(encode_request(ALL_TOPICS, 12, correlation_id=9, client_id="x")) == b"raw"
    talk.send(ALL_TOPICS, 12)
    assert talk.payloads() == []
    assert talk.ask(ALL_TOPICS, 12).topics


def test_throttle_times_are_in_every_answer_that_has_them(broker):
    talk = Talk(broker)
    broker.throttle_time_ms = 250
    assert talk.ask(ALL_TOPICS, 12).throttle_time_ms == 250
    assert talk.ask(MetadataRequest(topics=()), 0).throttle_time_ms == 0
    assert talk.ask(VERSIONS, 5).throttle_time_ms == 250
    assert talk.ask(InitProducerIdRequest(), 5).throttle_time_ms == 250
    assert talk.ask(SaslHandshakeRequest(mechanism="PLAIN"), 1).error_code == ErrorCode.ILLEGAL_SASL_STATE


def test_all_connections_and_requests_are_kept(broker):
    one, other = Talk(broker), Talk(broker)
    one.ask(VERSIONS, 5)
    other.ask(ALL_TOPICS, 12)
    assert broker.connections == [one.end, other.end]
    assert [request for _, request in broker.requests] == [VERSIONS, ALL_TOPICS]
    assert [request for _, request in other.end.requests] == [ALL_TOPICS]
    assert broker.requests[1][0].client_id == "me"
    assert broker.asked(ApiKey.METADATA) == [ALL_TOPICS]
    broker.close_connections()
    assert one.end.closed
    assert other.end.closed
    with pytest.raises(KeyError):
        ScriptedBroker(broker.cluster, 9)


def test_the_same_over_tcp(broker):
    with Loopback(broker) as server, WireSession(server.bootstrap_servers) as session:
        assert session.announced() == KAFKA_VERSIONS
        response = session.ask(ALL_TOPICS, 12)
    assert [one.port for one in response.brokers] == [9092, server.port, 9092]
