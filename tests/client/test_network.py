"""The network client as those above it see it: what it asks, in which order, and how each request ends."""

from __future__ import annotations

import ssl
from random import Random

import pytest
import trustme
from brokers.wire_session import produce_request
from client.other_ends import SilentEnd, TlsEnd
from client.scripted_broker import Node, SaslServer, ScriptedCluster
from client.simulated_client import PORT, World

from kproto.client.cluster import Node as ClusterNode
from kproto.client.cluster import TopicPartition
from kproto.client.config import ClientConfig
from kproto.client.connection import ConnectionState
from kproto.client.connection_state import Readiness
from kproto.client.effects import Close
from kproto.client.errors import (
    BrokerError,
    ClientClosedError,
    ConfigError,
    KafkaConnectionError,
    KafkaTimeoutError,
    NoBrokersAvailable,
    SaslAuthenticationError,
    UnsupportedVersionError,
)
from kproto.client.network import NetworkClient
from kproto.wire import (
    ApiKey,
    ApiVersionsRequest,
    EncodeError,
    ErrorCode,
    InitProducerIdRequest,
    InitProducerIdResponse,
    MetadataRequest,
    SaslHandshakeRequest,
)

CA = trustme.CA()
PLAIN = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "PLAIN",
    "sasl_username": "ann",
    "sasl_password": "secret-of-ann",
}
USERS = {"ann": "secret-of-ann"}


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


def states(world: World) -> list[ConnectionState]:
    return [found.connection.state for found in world.client.connections.open if found.connection is not None]


def asked_apis(world: World, node_id: int = 0) -> list[int]:
    return [header.request_api_key for header, _ in world.brokers[node_id].requests]


# What it asks by itself


@pytest.mark.parametrize("creates", [True, False])
def test_meta_2_it_asks_for_the_topics_of_interest_and_creates_them_only_if_told_to(creates):
    world = World(topics={"orders": 3}, allow_auto_create_topics=creates)
    world.learn("orders", "prices")
    (request,) = world.brokers[0].asked(ApiKey.METADATA)
    assert [topic.name for topic in request.topics] == ["orders", "prices"]
    assert request.allow_auto_topic_creation == creates
    assert not request.include_topic_authorized_operations
    assert world.client.cluster.partition_count("orders") == 3


def test_meta_2_one_metadata_request_is_in_flight_at_a_time():
    world = World(nodes=3, topics={"orders": 3})
    world.connect(0, 1, 2)
    for broker in world.brokers.values():
        broker.always[ApiKey.METADATA] = "hold"
    before = sum(len(broker.asked(ApiKey.METADATA)) for broker in world.brokers.values())
    for topic in ("orders", "prices", "paid"):
        world.client.metadata.add_topic(topic, world.now_ms)
        world.client.metadata.request_update()
        world.network.advance(500)
    assert sum(len(broker.asked(ApiKey.METADATA)) for broker in world.brokers.values()) == before + 1


def test_conn_7_bootstrap_nodes_vanish_with_the_first_metadata():
    world = World(nodes=2, servers="broker-0.test:9092,broker-1.test:9092")
    assert sorted(world.client.cluster.nodes) == [-2, -1]
    world.learn()
    assert sorted(world.client.cluster.nodes) == [0, 1]
    assert world.client.connections.get(-1) is None
    assert states(world) == [ConnectionState.READY], "the connection to it stays until it is idle"


def test_conn_8_nothing_is_ready_while_a_metadata_update_is_due():
    world = World()
    client = world.client
    assert not client.ready(0, 0), "nobody knows it yet"
    world.learn()
    assert not client.ready(0, world.now_ms), "this begins a connection"
    world.network.run_until(lambda: client.ready(0, world.now_ms))
    world.network.advance(5_000)
    client.metadata.request_update(reset=True)
    assert not client.ready(0, world.now_ms)
    assert len(world.opened()) == 2
    world.network.advance(10)
    assert client.ready(0, world.now_ms)
    assert client.negotiate(0, InitProducerIdRequest) == 5
    assert client.negotiate(0, MetadataRequest, range(9, 12)) == 11


def test_conn_8_a_node_that_is_due_for_metadata_is_not_connected_to():
    world = World(nodes=2)
    world.connect(0)
    world.network.advance(5_000)
    world.client.metadata.request_update(reset=True)
    assert not world.client.ready(1, world.now_ms)
    assert world.client.poll(world.now_ms) == []


def test_conn_8_who_is_not_to_wait_for_metadata_asks_for_readiness_without_it():
    world = World()
    world.connect(0)
    world.network.advance(5_000)
    world.client.metadata.request_update(reset=True)
    assert world.client.readiness(0, world.now_ms) is Readiness.METADATA_DUE
    assert world.client.readiness(0, world.now_ms, metadata_first=False) is Readiness.READY
    assert world.client.readiness(7, world.now_ms) is Readiness.NOT_CONNECTED


def test_a_request_is_sent_at_once_to_a_node_that_is_ready():
    world = World(max_in_flight_requests_per_connection=1)
    world.connect(0)
    version = world.client.negotiate(0, InitProducerIdRequest)
    world.client.send(0, InitProducerIdRequest(), version, "mine", world.now_ms, response=InitProducerIdResponse)
    assert world.client.readiness(0, world.now_ms) is Readiness.WRITING
    world.network.advance(1)
    assert world.client.readiness(0, world.now_ms) is Readiness.IN_FLIGHT_LIMIT
    world.network.run_until(lambda: "mine" in world.client.ended)
    assert world.client.ended["mine"].response is not None


def test_a_request_that_is_sent_at_once_may_have_a_time_of_its_own():
    world = World(request_timeout_ms=5_000)
    world.connect(0)
    world.brokers[0].fail(ApiKey.INIT_PRODUCER_ID, "hold")
    began_ms = world.now_ms
    world.client.send(0, InitProducerIdRequest(), 1, "mine", began_ms, response=InitProducerIdResponse, timeout_ms=100)
    world.network.run_until(lambda: "mine" in world.client.ended)
    assert isinstance(world.client.ended["mine"].error, KafkaTimeoutError)
    assert world.now_ms - began_ms == 100


def test_once_it_is_closed_no_node_is_ready_and_none_is_connected_to():
    world = World(nodes=2)
    world.connect(0)
    world.client.close(world.now_ms)
    world.client.poll(world.now_ms)
    for node_id in (0, 1):
        assert world.client.readiness(node_id, world.now_ms + 60_000, metadata_first=False) is Readiness.NOT_CONNECTED
    assert world.client.poll(world.now_ms) == []


def test_conn_15_metadata_goes_before_those_who_wait():
    world = World()
    first, second = world.ask(), world.ask()
    world.answer(first)
    world.answer(second)
    assert asked_apis(world) == [
        ApiKey.API_VERSIONS,
        ApiKey.METADATA,
        ApiKey.INIT_PRODUCER_ID,
        ApiKey.INIT_PRODUCER_ID,
    ]


def test_conn_15_requests_of_one_node_end_in_the_order_in_which_they_were_enqueued():
    world = World()
    world.connect(0)
    numbers = [world.ask(node_id=0) for _ in range(20)]
    world.answer(numbers[-1])
    assert list(world.client.ended)[-20:] == numbers
    ids = [world.client.ended[number].response.producer_id for number in numbers]
    assert ids == sorted(ids)


def test_nobody_waits_behind_one_whose_node_is_not_ready():
    world = World(nodes=2)
    world.connect(0)
    world.network.serve("10.0.0.2", PORT, "hang")
    slow, quick = world.ask(node_id=1), world.ask(node_id=0)
    world.answer(quick, limit_ms=10)
    assert not world.ended(slow)


def test_no_more_are_in_flight_than_allowed():
    world = World(max_in_flight_requests_per_connection=2)
    world.connect(0)
    world.brokers[0].always[ApiKey.INIT_PRODUCER_ID] = "hold"
    numbers = [world.ask(node_id=0) for _ in range(5)]
    world.network.advance(1_000)
    assert len(world.brokers[0].asked(ApiKey.INIT_PRODUCER_ID)) == 1 + 2
    world.brokers[0].always.clear()
    world.brokers[0].release()
    for number in numbers:
        world.answer(number)


# Waiting


@pytest.mark.parametrize(
    ("node_id", "whom"), [(None, "any node"), (-1, "node -1"), (0, "node 0")], ids=["any", "bootstrap", "unknown yet"]
)
def test_who_waits_too_long_is_told_how_long_and_why(node_id, whom):
    world = World()
    world.down(0)
    error = world.error(world.ask(node_id=node_id, timeout_ms=700))
    assert isinstance(error, KafkaTimeoutError)
    assert str(error).startswith(f"a connection to send InitProducerIdRequest to {whom}: nothing within 700 ms; last ")
    assert str(error).endswith("broker-0.test:9092: Connection refused")
    assert world.now_ms == 700


def test_who_waits_while_nothing_failed_yet_is_told_no_cause():
    world = World()
    world.network.serve("10.0.0.1", PORT, "hang")
    error = world.error(world.ask(timeout_ms=700))
    assert str(error) == "a connection to send InitProducerIdRequest to any node: nothing within 700 ms"


def test_a_node_that_cannot_be_reached_is_the_cause_though_the_bootstrap_connection_is_open():
    """The bootstrap connection is of no use for requests any more: that it is open is no reason to be silent."""
    world = World()
    world.cluster.nodes[0].host = "kafka"
    world.learn()
    error = world.error(world.ask(timeout_ms=5_000))
    assert states(world) == [ConnectionState.READY]
    assert isinstance(error, KafkaTimeoutError)
    assert isinstance(error.cause, NoBrokersAvailable)
    assert "the name is not known" in str(error)


def test_the_error_of_each_server_is_told():
    world = World(nodes=2, servers="broker-0.test,broker-1.test,lost.test:1")
    world.down(0, 1)
    assert world.client.connection_error() is None
    world.network.advance(500)
    error = world.client.connection_error()
    assert isinstance(error, NoBrokersAvailable)
    assert sorted(map(str, error.attempts)) == [
        "broker-0.test:9092: Connection refused",
        "broker-1.test:9092: Connection refused",
        "lost.test:1: the name is not known",
    ]
    world.up(0, 1)
    world.connect(0, 1)
    assert world.client.connection_error() is None


def test_a_node_that_the_cluster_does_not_have_is_told_at_once():
    world = World(nodes=3)
    world.learn()
    at_ms = world.now_ms
    error = world.error(world.ask(node_id=7))
    assert isinstance(error, KafkaConnectionError)
    assert str(error) == "node 7: is not in the cluster; its nodes are 0, 1, 2"
    assert world.now_ms == at_ms


def test_a_node_that_is_new_is_found_by_who_asks_again():
    world = World(nodes=1)
    world.connect(0)
    world.cluster.nodes[1] = Node("broker-1.test", PORT)
    world.start_broker(1)
    world.error(world.ask(node_id=1))
    world.network.advance(1_100)
    world.answer(world.ask(node_id=1), limit_ms=100)
    for _ in range(50):
        world.error(world.ask(node_id=7))
        world.network.advance(20)
    assert len(world.brokers[0].asked(ApiKey.METADATA)) < 9, "however often"
    world.check_pace()


# What cannot be sent


def test_conn_18_a_version_that_the_broker_lacks_fails_the_request_alone_and_sends_nothing():
    world = World()
    del world.cluster.versions[ApiKey.INIT_PRODUCER_ID]
    world.connect()
    good = world.ask(ApiVersionsRequest(client_software_name="x", client_software_version="1"), 0)
    bad = world.ask(node_id=0)
    error = world.error(bad)
    assert isinstance(error, UnsupportedVersionError)
    assert str(error) == (
        "the broker does not speak InitProducerId (we speak 0-6): is it too old, or another kind of server?"
    )
    world.answer(good)
    assert ApiKey.INIT_PRODUCER_ID not in asked_apis(world)
    assert world.client.ended[bad].version == -1


def test_the_version_may_be_chosen_by_who_asks():
    world = World()
    world.answer(world.ask(node_id=0, version=2))
    (header,) = [one for one, _ in world.brokers[0].requests if one.request_api_key == ApiKey.INIT_PRODUCER_ID]
    assert header.request_api_version == 2
    error = world.error(world.ask(node_id=0, version=6))
    assert str(error) == (
        "InitProducerId: we speak 6-6, the broker 0-5; use a broker or a kproto whose versions overlap"
    )


def test_a_request_that_cannot_be_encoded_fails_alone():
    world = World()
    world.connect(0)
    bad, good = world.ask(InitProducerIdRequest(transactional_id="\ud800"), 0), world.ask(node_id=0)
    assert isinstance(world.error(bad), EncodeError)
    world.answer(good)


def test_a_request_without_an_answer_is_complete_once_it_is_written():
    world = World(topics={"orders": 1})
    world.connect(0)
    number = world.ask(produce_request("orders", None, 9, b"").replace(acks=0), 0, version=9, response=None)
    completion = world.completion(number)
    assert (completion.response, completion.error, completion.version) == (None, None, 9)
    world.network.advance(2)
    assert asked_apis(world)[-1] == ApiKey.PRODUCE


def test_certificates_that_cannot_be_read_are_told_before_anything_is_opened():
    config = ClientConfig.of(security_protocol="SSL", ssl_cafile="no-such.pem")
    with pytest.raises(ConfigError, match=r"no-such\.pem"):
        NetworkClient(config, rng=Random(1), make_nonce=str, now_ms=0)


# How connections end


def test_meta_14_a_lost_connection_makes_metadata_wanted():
    world = World(nodes=2, topics={"orders": 2})
    world.learn("orders")
    world.connect(0, 1)
    world.network.advance(5_000)
    before = world.client.metadata.update_version
    world.cut(1)
    world.network.advance(100)
    assert world.client.metadata.update_version == before + 1
    assert len(world.opened(1)) == 1, "nobody wants it: it is not opened again"


def test_conn_12_a_timeout_fails_all_requests_of_its_connection_and_those_of_no_other():
    world = World(nodes=2, request_timeout_ms=1_000)
    world.connect(0, 1)
    world.brokers[0].fail(ApiKey.INIT_PRODUCER_ID, "silence")
    numbers = [world.ask(node_id=0) for _ in range(3)]
    world.brokers[1].fail(ApiKey.INIT_PRODUCER_ID, "hold")
    other = world.ask(node_id=1)
    errors = [world.error(number) for number in numbers]
    assert {str(error) for error in errors} == {
        "broker-0.test:9092: an answer to InitProducerIdRequest v5: nothing within 1000 ms"
    }
    world.brokers[1].release()
    assert isinstance(world.error(other), KafkaTimeoutError), "its own time was over too"


def test_conn_16_the_connection_that_was_unused_for_longest_is_closed_one_in_a_pass():
    world = World(nodes=3, connections_max_idle_ms=10_000, metadata_max_age_ms=3_600_000)
    world.connect(0, 1, 2)
    world.network.advance(9_000)
    world.answer(world.ask(node_id=1))
    effects = []
    poll = world.client.poll

    def watched(now_ms):
        made = poll(now_ms)
        effects.append([effect.connection_id for effect in made if isinstance(effect, Close)])
        return made

    world.client.poll = watched
    before = world.client.metadata.update_version
    world.network.now_ms += 50_000  # nobody polls for a long time: all are overdue at once
    world.network.advance(0)
    closed = [ids for ids in effects if ids]
    assert closed == [[1], [2], [4], [3]]
    assert effects[-1] == []
    world.network.advance(5_000)
    assert world.client.metadata.update_version == before, "an idle connection is no sign of trouble"
    world.answer(world.ask(node_id=2))


def test_conn_16_a_connection_that_was_idle_is_no_cause_of_anything():
    world = World(connections_max_idle_ms=1_000)
    world.connect(0)
    world.network.advance(10_000)
    assert states(world) == []
    assert world.client.connection_error() is None
    world.network.serve("10.0.0.1", PORT, "hang")
    error = world.error(world.ask(timeout_ms=500))
    assert str(error) == "a connection to send InitProducerIdRequest to any node: nothing within 500 ms"


def test_conn_16_a_connection_with_unanswered_requests_is_not_idle():
    world = World(connections_max_idle_ms=1_000, request_timeout_ms=60_000)
    world.connect(0)
    world.brokers[0].fail(ApiKey.INIT_PRODUCER_ID, "hold")
    number = world.ask(node_id=0)
    world.network.advance(20_000)
    world.brokers[0].release()
    world.answer(number)


def test_conn_16_with_minus_one_nothing_is_idle():
    world = World(connections_max_idle_ms=-1, metadata_max_age_ms=3_600_000)
    world.connect(0)
    polls = world.client.polls
    world.network.advance(3_000_000)
    assert len(states(world)) == 2
    assert world.client.polls - polls <= 2


def test_kip_1242_bootstrap_connections_name_nobody_and_others_the_cluster_and_the_node():
    world = World(nodes=2)
    world.connect(0, 1)
    named = [
        (request.cluster_id, request.node_id, header.request_api_version)
        for broker in world.brokers.values()
        for header, request in broker.requests
        if isinstance(request, ApiVersionsRequest)
    ]
    assert named == [(None, -1, 5), ("scripted", 0, 5), ("scripted", 1, 5)]


def test_kip_1242_a_node_of_a_cluster_without_id_is_not_named_either():
    """A broker takes both or none: a node id without a cluster id is error 42."""
    world = World(cluster=ScriptedCluster(2, cluster_id=None))
    world.connect(0, 1)
    named = [request for request in world.brokers[1].asked(ApiKey.API_VERSIONS) if request is not None]
    assert [(request.cluster_id, request.node_id) for request in named] == [(None, -1)]


def test_kip_1242_a_broker_that_lacks_the_version_is_not_named():
    """Tansu announces ApiVersions up to 4, and ends a connection on which 5 names its cluster."""
    cluster = ScriptedCluster(2)
    cluster.versions = {**cluster.versions, ApiKey.API_VERSIONS: range(5)}
    world = World(cluster=cluster)
    world.connect(0, 1)
    headers = [header for header, _ in world.brokers[1].requests if header.request_api_key == ApiKey.API_VERSIONS]
    assert [header.request_api_version for header in headers] == [5, 4]
    assert world.client.connections.cluster_id is None
    assert world.client.cluster.cluster_id == "scripted"


def test_kip_1242_a_wrong_node_means_to_forget_all_nodes_and_begin_from_bootstrap():
    world = World(nodes=3, servers="broker-2.test:9092")
    world.connect(0)
    world.network.names["broker-1.test"] = ["10.0.0.1"]  # the address has another broker now
    waiting = world.ask(node_id=1, timeout_ms=2_000)
    bootstraps = len(world.opened(2))
    world.network.advance(121)
    assert len(world.opened(2)) > bootstraps
    assert [node_id for node_id in (0, 1, 2) if world.client.connections.get(node_id)] == [], "all are forgotten"
    world.network.names["broker-1.test"] = ["10.0.0.2"]
    assert world.answer(waiting).producer_id == 2001


@pytest.mark.parametrize("version", [2, 5])
def test_kip_1242_129_in_any_answer_fails_what_is_in_flight_and_begins_from_bootstrap(version):
    """Also what is in flight behind that answer, on the same connection."""
    world = World(nodes=2)
    world.connect(0, 1)
    code = ErrorCode.REBOOTSTRAP_REQUIRED
    world.brokers[0].fail(
        ApiKey.INIT_PRODUCER_ID, lambda header, request, usual: usual.replace(error_code=code), "hold"
    )
    world.brokers[1].fail(ApiKey.INIT_PRODUCER_ID, "hold")
    told, behind, other = (world.ask(node_id=node_id, version=version) for node_id in (0, 0, 1))
    assert world.answer(told).error_code == ErrorCode.REBOOTSTRAP_REQUIRED
    for number in (behind, other):
        error = world.error(number, limit_ms=1_000)
        assert isinstance(error, KafkaConnectionError)
        assert error.reason == "closed by us, to begin again from bootstrap_servers"
    world.answer(world.ask(node_id=0))
    assert world.client.cluster.nodes.keys() == {0, 1}


def test_a_login_that_is_refused_is_told_to_all_who_wait_for_it_at_once():
    world = World(sasl=SaslServer(users={"ann": "other"}), **PLAIN)
    numbers = [world.ask(), world.ask(node_id=-1), world.ask(node_id=0)]
    for number in numbers:
        error = world.error(number, limit_ms=100)
        assert isinstance(error, SaslAuthenticationError)
        assert "Authentication failed: Invalid username or password" in str(error)
        assert "secret" not in repr(error)
    assert isinstance(world.client.metadata.take_fatal_error(), SaslAuthenticationError)
    assert isinstance(world.client.connection_error(), NoBrokersAvailable)


def test_a_login_that_one_node_refuses_is_no_news_for_who_waits_for_another():
    world = World(nodes=2, sasl=SaslServer(users=USERS), **PLAIN)
    world.connect(0)
    world.brokers[1].sasl = SaslServer()
    world.brokers[0].fail(ApiKey.INIT_PRODUCER_ID, "hold")
    refused, other = world.ask(node_id=1), world.ask(node_id=0)
    assert isinstance(world.error(refused), SaslAuthenticationError)
    for _ in range(5):
        world.ask(node_id=0)  # more than may be in flight: the last ones wait in line
    world.error(world.ask(node_id=1))
    world.brokers[0].release()
    world.answer(other)
    world.answer(world.asked - 1)


def test_credentials_that_become_right_are_used_without_a_new_client():
    world = World(sasl=SaslServer(users={}), **PLAIN)
    world.error(world.ask())
    world.sasl.users = USERS
    world.answer(world.ask())
    assert world.client.metadata.take_fatal_error() is None


def test_a_token_is_fetched_for_each_login_also_where_a_session_is_renewed():
    options = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": str}
    sasl = SaslServer(tokens={"one": "ann", "two": "ann", "three": "ann"}, session_lifetime_ms=10_000)
    world = World(sasl=sasl, network={"tokens": ["one", "two", "three"]}, **options)
    world.learn()
    world.network.advance(25_000)
    assert sum("fetch a token" in line for line in world.network.log) == 3
    assert world.brokers[0].connections[0].login.logins == 3
    assert len(world.opened()) == 1


# Closing


def connecting(world: World) -> None:
    world.network.serve("10.0.0.1", PORT, "hang")


def shaking_hands(world: World) -> None:
    world.network.serve("10.0.0.1", PORT, SilentEnd)


def authenticating(world: World) -> None:
    world.brokers[0].fail(ApiKey.SASL_HANDSHAKE, "silence")


def checking(world: World) -> None:
    world.brokers[0].fail(ApiKey.API_VERSIONS, "silence")


def ready(world: World) -> None:
    world.brokers[0].fail(ApiKey.METADATA, "hold")


def throttled(world: World) -> None:
    world.brokers[0].throttle_time_ms = 60_000


def reauthenticating(world: World) -> None:
    world.brokers[0].always[ApiKey.METADATA] = "hold"
    handshakes = iter([None, "silence"])
    usual = world.brokers[0].next_fault
    world.brokers[0].next_fault = lambda api: next(handshakes) if api == ApiKey.SASL_HANDSHAKE else usual(api)


def closed(world: World) -> None:
    world.down(0)


SASL = {"sasl": SaslServer(users=USERS, session_lifetime_ms=5_000), **PLAIN}


@pytest.mark.parametrize(
    ("state", "arrange", "options"),
    [
        (ConnectionState.CONNECTING, connecting, {}),
        (ConnectionState.TLS_HANDSHAKE, shaking_hands, {"security_protocol": "SSL", "ssl_context": client_context()}),
        (ConnectionState.AUTHENTICATING, authenticating, SASL),
        (ConnectionState.CHECKING_API_VERSIONS, checking, {}),
        (ConnectionState.READY, ready, {}),
        (ConnectionState.THROTTLED, throttled, {}),
        (ConnectionState.REAUTHENTICATING, reauthenticating, SASL),
        (ConnectionState.CLOSED, closed, {}),
    ],
    ids=lambda value: value.name if isinstance(value, ConnectionState) else "",
)
def test_close_ends_every_request_and_connection_in_every_state(state, arrange, options):
    world = World(request_timeout_ms=60_000, **options)
    world.network.names["broker-0.test"] = ["10.0.0.1", "10.0.0.9"]  # there is always another address to try
    world.network.serve("10.0.0.9", PORT, "hang" if state is not ConnectionState.CLOSED else "refuse")
    arrange(world)
    number = world.ask(SaslHandshakeRequest() if state is ConnectionState.THROTTLED else None, node_id=-1)
    wanted = [] if state is ConnectionState.CLOSED else [state]
    world.network.run_until(lambda: states(world) == wanted and world.now_ms > 3)
    world.client.close(world.now_ms)
    close_is_final(world)
    error = world.error(number)
    assert isinstance(error, ClientClosedError)
    assert str(error) == "the client was closed before the answer came"


def close_is_final(world: World) -> None:
    opened = len(world.opened())
    world.network.advance(200_000)
    assert states(world) == []
    assert world.network.links == {}
    assert len(world.opened()) == opened
    assert world.client.next_deadline_ms() is None
    assert not world.client.ready(0, world.now_ms)
    assert not world.client.ready(-1, world.now_ms)
    late = world.ask()
    world.network.advance(100_000)
    assert isinstance(world.client.ended[late].error, ClientClosedError)
    assert world.client.next_deadline_ms() is None
    world.client.close(world.now_ms)
    assert world.client.poll(world.now_ms) == []


def test_close_while_a_name_is_looked_up():
    world = World(network={"latency_ms": 50})
    number = world.ask()
    world.network.advance(10)
    assert states(world) == []
    world.client.close(world.now_ms)
    close_is_final(world)
    assert isinstance(world.error(number), ClientClosedError)


def test_close_before_anything_was_done():
    world = World()
    world.client.close(0)
    close_is_final(world)


def test_close_with_many_in_flight_tells_each_once():
    world = World(nodes=2)
    world.connect(0, 1)
    for broker in world.brokers.values():
        broker.fail(ApiKey.INIT_PRODUCER_ID, "silence")
    numbers = [world.ask(node_id=number % 2) for number in range(20)]
    world.network.advance(10)
    world.client.close(world.now_ms)
    world.network.advance(10)
    assert {type(world.client.ended[number].error) for number in numbers} == {ClientClosedError}


# What a driver may tell late


def test_what_is_told_of_a_connection_that_is_no_more_is_ignored():
    world = World()
    world.connect(0)
    client, now_ms = world.client, world.now_ms
    for unknown in (0, 99):
        client.connection_made(unknown, now_ms)
        client.data_received(unknown, b"x", now_ms)
        client.data_sent(unknown, 1, now_ms)
        client.connection_lost(unknown, "gone", now_ms)
        client.token_fetched(unknown, "token", now_ms)
        assert client.data_to_send(unknown) == ()
    client.resolved("nobody.test", ["10.0.0.9"], now_ms)
    assert client.poll(now_ms) == []
    world.answer(world.ask(node_id=0))


def test_what_is_told_of_a_connection_that_the_core_has_just_closed_is_ignored():
    """Before the next poll, a driver does not know."""
    world = World(security_protocol="SSL", ssl_context=client_context())
    world.network.serve("10.0.0.1", PORT, "hang")
    world.network.advance(10)
    client = world.client
    (found,) = client.connections.open
    client.connections.close(found, KafkaConnectionError("b:1", "for this test"))
    number = found.connection_id
    client.connection_made(number, 10)
    client.data_received(number, b"x", 10)
    assert client.data_to_send(number) == ()
    assert [type(effect) for effect in client.poll(10)] == [Close]


def test_an_observer_hears_of_each_frame_with_its_connection():
    heard = []

    class Observer:
        def frame(self, connection_id, sent, frame):
            heard.append((connection_id, sent, int.from_bytes(frame[:4], "big") == len(frame) - 4))

    world = World(observer=Observer())
    world.answer(world.ask(node_id=0))
    assert heard == [(1, True, True), (1, False, True)] * 2 + [(2, True, True), (2, False, True)] * 2


def test_tls_and_login_in_one_go():
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    CA.issue_cert("broker-0.test").configure_cert(server)
    options = {**PLAIN, "security_protocol": "SASL_SSL", "ssl_context": client_context()}
    world = World(sasl=SaslServer(users=USERS), tls=server, **options)
    world.answer(world.ask(node_id=0))
    assert world.brokers[0].connections[-1].user == "ann"
    assert isinstance(next(iter(world.network.links.values())).end, TlsEnd)


def test_an_error_code_in_an_answer_is_part_of_it():
    world = World()
    world.connect(0)
    world.brokers[0].fail(ApiKey.INIT_PRODUCER_ID, ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    assert world.answer(world.ask(node_id=0)).error_code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED


def test_an_error_of_api_versions_closes_the_connection_and_is_the_cause():
    world = World()
    world.brokers[0].always[ApiKey.API_VERSIONS] = 9999
    error = world.error(world.ask(node_id=-1, timeout_ms=500))
    assert isinstance(error.cause, BrokerError)
    assert error.cause.code == 9999


# Leaders that an answer names


def test_meta_6_leaders_that_an_answer_names_are_taken_with_their_nodes():
    world = World(2, {"orders": 1})
    world.learn("orders")
    before = world.client.cluster.partition(TopicPartition("orders", 0))
    there = ClusterNode(7, "broker-7.test", 9092)
    leader = {TopicPartition("orders", 0): (7, before.leader_epoch + 1)}
    assert world.client.update_leadership(leader, [there]) == {TopicPartition("orders", 0)}
    assert world.client.cluster.leader_for(TopicPartition("orders", 0)) == there
    assert world.client.connections.get(7) is not None
    assert world.client.update_leadership(leader, []) == set()
