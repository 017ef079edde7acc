"""Scenarios of hostile or broken brokers (H02 to H04): nothing they say harms more than their connection."""

from __future__ import annotations

from struct import pack

import pytest
from client.scripted_broker import Node
from client.simulated_client import World
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.client.cluster import TopicPartition
from kproto.client.errors import BrokerError, KafkaConnectionError
from kproto.wire import (
    ApiKey,
    ErrorCode,
    InitProducerIdRequest,
    MetadataResponse,
    encode_response,
    frame,
)
from kproto.wire.strategies import messages

ORDERS = TopicPartition("orders", 0)
Broker = MetadataResponse.MetadataResponseBroker
HUGE_COUNTS = [
    b"\xff\xff\xff\xff\x0f",  # 2^32 - 2 elements
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80\x80\x80\x80\x08",
    b"\xfe\xff\x03",
    b"\x00",  # null where no null may be
]
CODES = [-1, -2, 12, 134, 9_999, -32_768, 32_767]


def good_after(world: World, answers: int = 1) -> None:
    """It is still a client: the same cluster, and answers."""
    for _ in range(answers):
        world.answer(world.ask(node_id=0), limit_ms=5_000)
    world.learn(limit_ms=5_000)
    assert sorted(world.client.cluster.nodes) == [0]
    world.check_pace()


# H02: counts and lengths that lie


@pytest.mark.parametrize("count", HUGE_COUNTS, ids=bytes.hex)
@pytest.mark.parametrize("api", [ApiKey.METADATA, ApiKey.API_VERSIONS], ids=lambda api: api.name)
def test_h02_a_count_that_the_rest_of_the_answer_cannot_hold_ends_the_connection(api, count):
    world = World(topics={"orders": 1})

    def lie(header, request, usual):
        head = pack(">i", header.correlation_id)
        if api == ApiKey.METADATA:
            return frame(head + b"\0" + pack(">i", 0) + count)
        return frame(head + pack(">h", 0) + count)

    world.brokers[0].fail(api, lie)
    world.learn("orders", limit_ms=2_000)
    assert len(world.opened()) == 2, "the second one is good"
    good_after(world)


@pytest.mark.parametrize("count", [-2, -(2**31), 2**31 - 1, 1_000_000])
def test_h02_counts_of_the_older_versions_too(count):
    world = World()
    world.cluster.versions[ApiKey.METADATA] = range(9)
    world.cluster.versions[ApiKey.API_VERSIONS] = range(3)
    lie = pack(">i", count)
    world.brokers[0].fail(
        ApiKey.METADATA, lambda header, request, usual: frame(pack(">ii", header.correlation_id, 0) + lie)
    )
    world.network.run_until(lambda: world.client.metadata.last_error)
    error = world.client.metadata.last_error
    assert isinstance(error, KafkaConnectionError)
    assert "an answer that cannot be read: MetadataResponse v8" in str(error)
    good_after(world)


def test_h02_an_empty_answer_and_one_that_is_only_a_header():
    world = World()
    world.brokers[0].fail(
        ApiKey.METADATA,
        frame(b""),
        lambda header, request, usual: frame(pack(">i", header.correlation_id)),
        lambda header, request, usual: frame(pack(">i", header.correlation_id) + b"\0"),
        lambda header, request, usual: frame(pack(">i", header.correlation_id) + b"\x01\x00\x7f"),
    )
    world.network.run_until(lambda: world.client.metadata.update_version, 10_000)
    assert len(world.opened()) == 5
    good_after(world)


@settings(max_examples=60)
@given(payload=st.binary(max_size=60), keeps_id=st.booleans())
def test_h02_any_bytes_instead_of_an_answer(payload, keeps_id):
    world = World(topics={"orders": 1})
    for api in (ApiKey.API_VERSIONS, ApiKey.METADATA, ApiKey.INIT_PRODUCER_ID):
        world.brokers[0].fail(
            api, lambda header, request, usual: frame(pack(">i", header.correlation_id) * keeps_id + payload)
        )
    first = world.completion(world.ask(node_id=0, timeout_ms=5_000), 40_000)
    assert first.error is None or first.response is None
    world.network.advance(40_000)  # it may have believed anything
    good_after(world)


@settings(max_examples=50)
@given(response=messages(MetadataResponse, 12))
def test_h02_any_metadata_that_can_be_said(response):
    """Whatever cluster an answer describes, the next good answer puts it right."""
    response = response.replace(throttle_time_ms=0)  # an hour is long
    world = World(topics={"orders": 1}, metadata_recovery_rebootstrap_trigger_ms=5_000)
    world.client.metadata.add_topic("orders", 0)
    for topic in response.topics:
        if topic.name is not None:
            world.client.metadata.add_topic(topic.name, 0)
    world.cluster.versions[ApiKey.METADATA] = range(13)
    world.brokers[0].fail(ApiKey.METADATA, lambda header, request, usual: response)
    world.network.advance(10)
    asking = world.ask(timeout_ms=1_000)
    world.completion(asking)
    world.network.advance(30_000)
    good_after(world)
    assert world.client.cluster.leader_for(ORDERS).node_id == 0


# H03: error codes that nobody knows


@pytest.mark.parametrize("code", CODES)
def test_h03_a_topic_with_a_code_that_nobody_knows_shows_it_and_is_not_asked_for_in_a_loop(code):
    world = World(topics={"orders": 1, "prices": 1})
    world.cluster.topics["orders"].error_code = code
    world.learn("orders", "prices")
    assert world.client.cluster.topic_errors == {"orders": code}
    assert isinstance(world.client.metadata.topic_error("orders"), BrokerError)
    asked = len(world.brokers[0].asked(ApiKey.METADATA))
    world.network.advance(10_000)
    assert len(world.brokers[0].asked(ApiKey.METADATA)) == asked
    assert world.client.cluster.partition_count("prices") == 1


def test_h03_a_code_that_nobody_knows_is_told_as_a_number():
    world = World(topics={"orders": 1})
    world.cluster.topics["orders"].error_code = 9_999
    world.learn("orders")
    assert str(world.client.metadata.topic_error("orders")) == (
        "topic orders: error 9999, which Kafka 4.4.0 does not have"
    )


@pytest.mark.parametrize("code", CODES)
def test_h03_a_partition_with_a_code_that_nobody_knows_keeps_its_leader(code):
    world = World(topics={"orders": 1})
    world.cluster.topics["orders"].partitions[0].error_code = code
    world.learn("orders")
    assert world.client.cluster.leader_for(ORDERS).node_id == 0
    assert world.client.cluster.partition(ORDERS).error == code


@pytest.mark.parametrize("code", CODES)
def test_h03_an_answer_as_a_whole_with_a_code_that_nobody_knows_is_a_failed_update(code):
    world = World()
    world.brokers[0].fail(ApiKey.METADATA, code)
    world.network.run_until(lambda: world.client.metadata.last_error)
    assert world.client.metadata.last_error.code == code
    good_after(world)


@pytest.mark.parametrize("code", [*CODES, ErrorCode.INVALID_REQUEST])
def test_h03_versions_with_any_code_but_two_end_the_connection(code):
    world = World()
    world.brokers[0].fail(ApiKey.API_VERSIONS, code)
    world.network.run_until(lambda: world.client.connections.get(-1).last_error)
    error = world.client.connections.get(-1).last_error
    assert isinstance(error, BrokerError)
    assert str(error).startswith("ApiVersions of broker-0.test:9092: ")
    good_after(world)


# H04: leaders and addresses that cannot be


@pytest.mark.parametrize("leader", [7, -2, -(2**31), 2**31 - 1])
def test_h04_a_leader_that_is_no_broker_is_nobody(leader):
    world = World(topics={"orders": 2})
    world.cluster.topics["orders"].partitions[0].leader = leader
    world.learn("orders")
    assert world.client.cluster.leader_for(ORDERS) is None
    assert world.client.cluster.leader_for(TopicPartition("orders", 1)).node_id == 0
    assert not world.client.ready(leader, world.now_ms)
    good_after(world)


@pytest.mark.parametrize(("host", "port"), [("", 9092), ("x.test", 0), ("x.test", -1), ("x.test", 65_536)])
def test_h04_a_broker_that_cannot_be_connected_to_is_left_out(host, port):
    world = World()
    world.cluster.nodes[1] = Node(host, port)
    world.network.names["x.test"] = ["10.0.0.9"]
    world.learn()
    assert sorted(world.client.cluster.nodes) == [0]
    assert str(world.error(world.ask(node_id=1))) == "node 1: is not in the cluster; its nodes are 0"
    good_after(world)


def test_h04_an_answer_whose_brokers_can_all_not_be_connected_to_is_no_answer():
    world = World()
    world.connect(0)
    world.network.advance(2_000)
    brokers = [Broker(node_id=0, host="", port=9092), Broker(node_id=-5, host="x.test", port=9092)]
    world.brokers[0].fail(ApiKey.METADATA, lambda header, request, usual: usual.replace(brokers=brokers))
    world.client.metadata.request_update(reset=True)
    world.network.advance(50)
    assert "names no broker that can be reached" in str(world.client.metadata.last_error)
    assert sorted(world.client.cluster.nodes) == [0]
    good_after(world)


def test_h04_a_host_that_is_no_name_is_an_error_of_its_node_alone():
    world = World(nodes=2)
    world.cluster.nodes[1].host = "no such\nhost \x00\ufffd"
    number = world.ask(node_id=1, timeout_ms=3_000)
    for _ in range(5):
        world.answer(world.ask(node_id=0), limit_ms=100)
    assert "the name is not known" in str(world.error(number))
    world.check_pace()


def test_h04_ten_thousand_brokers_are_not_connected_to():
    world = World()
    brokers = [Broker(node_id=number, host=f"b{number}.test", port=9092) for number in range(1, 10_000)]
    world.brokers[0].always[ApiKey.METADATA] = lambda header, request, usual: usual.replace(
        brokers=[*usual.brokers, *brokers]
    )
    world.learn()
    world.answer(world.ask(node_id=0))
    assert len(world.opened()) == 2
    assert len(world.client.cluster.nodes) == 10_000


def test_h04_a_broker_that_answers_requests_with_the_answer_to_another_class_of_request():
    world = World()
    world.connect(0)
    world.brokers[0].fail(
        ApiKey.INIT_PRODUCER_ID,
        lambda header, request, usual: encode_response(
            MetadataResponse(cluster_id="x" * 40), 12, correlation_id=header.correlation_id
        ),
    )
    error = world.error(world.ask(InitProducerIdRequest(), 0))
    assert isinstance(error, KafkaConnectionError)
    assert "an answer that cannot be read" in str(error)
    good_after(world)
