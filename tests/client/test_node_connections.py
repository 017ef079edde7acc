"""Which connections there are, which may be tried, and when: addresses, names, backoff and the choice of a node."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from client.scripted_cluster import api_versions
from client.simulated_client import PORT, World, address_of

from kproto.client.cluster import Node
from kproto.client.config import ClientConfig
from kproto.client.connection import ConnectionSettings, ConnectionState
from kproto.client.effects import Close, Open, Resolve
from kproto.client.errors import KafkaConnectionError, KafkaTimeoutError, SaslAuthenticationError
from kproto.client.node_connections import NodeConnections
from kproto.client.security import Security
from kproto.wire import ApiKey, InitProducerIdRequest, InitProducerIdResponse, encode_response

NODES = tuple(Node(number, f"b{number}", 9092) for number in range(3))


def connections(nodes=NODES, seed: int = 1, **settings) -> NodeConnections:
    config = ClientConfig.of(**settings)
    made = ConnectionSettings(
        client_id="me",
        request_timeout_ms=config.request_timeout_ms,
        max_in_flight=config.max_in_flight_requests_per_connection,
        receive_message_max_bytes=config.receive_message_max_bytes,
        security=Security(config, str),
        software_version="1",
    )
    found = NodeConnections(config, made, Random(seed), None)
    found.set_nodes(nodes)
    return found


def open_one(pool: NodeConnections, node_id: int, now_ms: int = 0):
    found = pool.get(node_id)
    assert found is not None
    pool.connect(found, now_ms)
    pool.resolved(found.node.host, ["10.0.0.1"], now_ms)
    pool.take_effects()
    return found


def make_ready(pool: NodeConnections, node_id: int, now_ms: int = 0, throttle_ms: int = 0, unanswered: int = 0):
    found = open_one(pool, node_id, now_ms)
    connection = found.connection
    ranges = {ApiKey.API_VERSIONS: range(6), ApiKey.INIT_PRODUCER_ID: range(6)}
    connection.connection_made(now_ms)
    write_all(connection, now_ms)
    connection.data_received(encode_response(api_versions(ranges), 5, correlation_id=0), now_ms)
    assert connection.state is ConnectionState.READY
    pool.note_ready(found)
    if throttle_ms:
        ask(connection, now_ms)
        answer = InitProducerIdResponse(throttle_time_ms=throttle_ms)
        connection.data_received(encode_response(answer, 5, correlation_id=1), now_ms)
    for _ in range(unanswered):
        ask(connection, now_ms)
    return found


def ask(connection, now_ms):
    connection.send(InitProducerIdRequest(), 5, None, now_ms, response=InitProducerIdResponse)
    write_all(connection, now_ms)


def write_all(connection, now_ms):
    connection.data_sent(sum(map(len, connection.outbound)), now_ms)


def fail(pool: NodeConnections, found, now_ms: int, reason: str = "Connection refused") -> None:
    found.connection.connection_lost(reason, now_ms)
    pool.ended(found, told=True, now_ms=now_ms)


def chosen(nodes=NODES, seeds: int = 40, arrange=lambda pool: None, now_ms: int = 100, **settings) -> set[int | None]:
    """Whom it may choose, over many seeds."""
    found = set()
    for seed in range(seeds):
        pool = connections(nodes, seed, **settings)
        arrange(pool)
        node = pool.least_loaded(now_ms)
        found.add(None if node is None else node.node.node_id)
    return found


# The choice of a node


def test_lln_1_among_nodes_that_were_never_tried_chance_decides():
    assert chosen() == {0, 1, 2}


def test_lln_1_no_node_at_all():
    assert chosen(nodes=()) == {None}


def test_lln_1_ready_goes_before_connecting_and_connecting_before_untried():
    assert chosen(arrange=lambda pool: open_one(pool, 1)) == {1}

    def one_ready(pool):
        open_one(pool, 1)
        make_ready(pool, 2)

    assert chosen(arrange=one_ready) == {2}
    assert chosen(arrange=lambda pool: pool.connect(pool.get(1), 0)) == {1}, "looking a name up is connecting too"


def test_lln_1_the_ready_node_with_the_fewest_unanswered_requests():
    def arrange(pool):
        make_ready(pool, 0, unanswered=3)
        make_ready(pool, 1, unanswered=1)
        make_ready(pool, 2, unanswered=2)

    assert chosen(arrange=arrange) == {1}


def test_lln_1_among_ready_nodes_with_equally_many_chance_decides():
    assert chosen(arrange=lambda pool: [make_ready(pool, number) for number in (0, 2)]) == {0, 2}


def test_lln_1_a_throttled_node_and_a_full_one_are_not_asked():
    def arrange(pool):
        make_ready(pool, 0, throttle_ms=1_000)
        make_ready(pool, 1, unanswered=2)

    assert chosen(arrange=arrange, max_in_flight_requests_per_connection=2) == {2}
    assert chosen(NODES[:2], arrange=arrange, max_in_flight_requests_per_connection=2) == {None}


def test_lln_1_the_node_that_was_tried_longest_ago_goes_first():
    def arrange(pool):
        for number, at_ms in ((2, 10), (0, 20), (1, 30)):
            fail(pool, open_one(pool, number, at_ms), at_ms)

    assert chosen(arrange=arrange, now_ms=2_000) == {2}
    assert chosen(arrange=arrange, now_ms=31) == {None}, "all in backoff"


# Addresses and names


def opened(effects) -> list[str]:
    return [effect.address for effect in effects if isinstance(effect, Open)]


def test_conn_6_all_addresses_are_tried_at_once_one_after_the_other_and_then_comes_the_backoff():
    pool = connections(NODES[:1])
    found = pool.get(0)
    pool.connect(found, 0)
    assert pool.take_effects() == [Resolve("b0", 9092)]
    pool.resolved("b0", ["::1", "10.0.0.1", "::1", "10.0.0.2"], 5)
    tried = []
    for _ in range(3):
        tried += opened(pool.take_effects())
        assert not found.can_connect(1_000_000)
        fail(pool, found, 5)
    assert tried == ["::1", "10.0.0.1", "10.0.0.2"]
    assert pool.take_effects() == []
    assert not found.can_connect(5 + 39) and found.can_connect(5 + 61)
    assert found.failed_attempts == 1, "all of them are one attempt"
    pool.connect(found, 100)
    assert pool.take_effects() == [Resolve("b0", 9092)], "they may have changed"


def test_conn_6_an_address_that_never_answers_gives_way_to_the_next():
    world = World(socket_connection_setup_timeout_ms=1_000)
    world.network.names["broker-0.test"] = ["10.9.9.9", "10.0.0.1"]
    world.network.serve("10.9.9.9", PORT, "hang")
    world.answer(world.ask(), limit_ms=1_300)
    world.check_pace()


def test_conn_6_the_address_that_was_tried_last_is_not_the_first_again():
    """Also where it was ready: why it was lost may be why the name has others now."""
    pool = connections(NODES[:1])
    found = pool.get(0)
    tried = []
    for at_ms in (0, 1_000, 2_000, 3_000):
        pool.connect(found, at_ms)
        pool.resolved("b0", ["10.0.0.1", "10.0.0.2"], at_ms)
        tried += opened(pool.take_effects())
        found.connection.data_received(b"HTTP", at_ms)
        fail(pool, found, at_ms)
    assert tried == ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2"]


def test_conn_6_an_address_whose_connection_we_closed_ourselves_is_as_good_as_before():
    pool = connections(NODES[:1])
    found = pool.get(0)
    tried = []
    for at_ms in (0, 1_000):
        pool.connect(found, at_ms)
        pool.resolved("b0", ["10.0.0.1", "10.0.0.2"], at_ms)
        tried += opened(pool.take_effects())
        pool.close(found, KafkaConnectionError("b0:9092", "unused"))
        pool.ended(found, told=False, now_ms=at_ms)
        assert pool.take_effects() == [Close(found.connection_id)], "and no other is tried instead"
    assert tried == ["10.0.0.1", "10.0.0.1"]


def test_conn_6_a_single_address_is_tried_again():
    pool = connections(NODES[:1])
    for at_ms in (0, 1_000):
        assert pool.get(0).can_connect(at_ms)
        fail(pool, open_one(pool, 0, at_ms), at_ms)
    assert pool.get(0).last_address == "10.0.0.1"


def test_credentials_that_one_address_refuses_are_not_shown_to_the_next():
    pool = connections(NODES[:1])
    found = pool.get(0)
    pool.connect(found, 0)
    pool.resolved("b0", ["10.0.0.1", "10.0.0.2"], 0)
    assert opened(pool.take_effects()) == ["10.0.0.1"]
    found.connection.close(SaslAuthenticationError("b0:9092", "refused"))
    assert isinstance(pool.ended(found, told=False, now_ms=0), SaslAuthenticationError)
    assert pool.take_effects() == [Close(1)]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (KafkaConnectionError("b0:9092", "the name cannot be resolved: Name or service not known"), "cannot be resol"),
        ([], "the name has no address"),
    ],
    ids=["unknown", "empty"],
)
def test_a_name_without_an_address_is_a_failed_attempt(name, reason):
    pool = connections([Node(-1, "b0", 9092)])
    found = pool.get(-1)
    pool.connect(found, 0)
    pool.resolved("b0", name, 5)
    assert isinstance(found.last_error, KafkaConnectionError)
    assert reason in str(found.last_error)
    assert "advertised" not in str(found.last_error)
    assert not found.can_connect(40)
    assert found.can_connect(66)
    assert (found.failed_attempts, found.failed_setups) == (1, 1)


def test_two_nodes_of_one_host_share_a_look_up():
    pool = connections([Node(0, "host", 9092), Node(1, "host", 9093)])
    for number in (0, 1):
        pool.connect(pool.get(number), 0)
    assert pool.take_effects() == [Resolve("host", 9092)]
    pool.resolved("host", ["10.0.0.1"], 1)
    assert pool.take_effects() == [Open(1, "10.0.0.1", 9092), Open(2, "10.0.0.1", 9093)]


def test_a_name_is_not_asked_again_before_it_is_answered_though_the_node_moved_to_another_port():
    pool = connections([Node(0, "host", 9092)])
    pool.connect(pool.get(0), 0)
    pool.set_nodes([Node(0, "host", 9093)])
    pool.connect(pool.get(0), 1)
    assert pool.take_effects() == [Resolve("host", 9092)]
    pool.resolved("host", ["10.0.0.1"], 2)
    assert pool.take_effects() == [Open(1, "10.0.0.1", 9093)]


def test_a_name_that_is_never_answered_is_given_up_like_a_connection():
    """A resolver that hangs must not keep the client from the other nodes."""
    world = World(nodes=2, servers="hangs.test:9092,broker-1.test:9092", seed=2, network={"latency_ms": 1})
    world.network.names["hangs.test"] = "hang"
    world.answer(world.ask(), limit_ms=11_000)
    pool = connections([Node(-1, "hangs", 9092)], socket_connection_setup_timeout_ms=700)
    found = pool.get(-1)
    pool.connect(found, 0)
    assert pool.wakes_ms == [700]
    pool.wakes_ms.clear()
    pool.end_lookups(699)
    assert found.resolving and pool.wakes_ms == [700]
    pool.end_lookups(700)
    assert not found.resolving
    assert isinstance(found.last_error, KafkaTimeoutError)
    assert str(found.last_error) == "hangs:9092: the name's address: nothing within 700 ms"
    assert pool.take_effects() == [Resolve("hangs", 9092)]
    pool.connect(found, 1_000)
    assert pool.take_effects() == [], "the first question is still open"
    pool.resolved("hangs", ["10.0.0.1"], 1_100)
    assert opened(pool.take_effects()) == ["10.0.0.1"]


def test_a_late_answer_that_nobody_waits_for_is_forgotten():
    pool = connections([Node(-1, "slow", 9092)])
    pool.connect(pool.get(-1), 0)
    pool.end_lookups(10_000)
    pool.resolved("slow", ["10.0.0.1"], 10_001)
    assert opened(pool.take_effects()) == []
    pool.connect(pool.get(-1), 11_000)
    assert pool.take_effects() == [Resolve("slow", 9092)]


# The nodes of the cluster


def test_a_node_at_another_address_begins_anew():
    pool = connections()
    found = make_ready(pool, 1)
    pool.set_nodes([NODES[0], Node(1, "elsewhere", 9092), NODES[2]])
    assert found.connection.state is ConnectionState.CLOSED
    assert str(found.connection.error) == "b1:9092: node 1 is at elsewhere:9092 now"
    pool.ended(found, told=False, now_ms=5)
    assert pool.get(1) is not found
    assert pool.get(1).can_connect(5), "the backoff of the old address is not its own"
    assert pool.take_effects() == [Close(1)]


def test_a_node_that_is_gone_keeps_its_connection_until_it_is_lost():
    pool = connections()
    found = make_ready(pool, 1)
    pool.set_nodes(NODES[:1])
    assert pool.get(1) is None
    assert [each.node.node_id for each in pool.listed] == [0]
    assert found.can_send()
    assert pool.open == [found]
    fail(pool, found, 5)
    assert pool.open == []
    pool.set_nodes(NODES)
    assert pool.get(1) is not found


def test_a_node_that_is_gone_and_comes_back_has_its_connection_still():
    pool = connections()
    found = make_ready(pool, 1)
    pool.set_nodes(NODES[:1])
    pool.set_nodes([NODES[0], Node(1, "b1", 9092, "rack-b")])
    assert pool.get(1) is found
    assert found.node.rack == "rack-b"
    assert found.can_send()


def test_a_node_that_is_gone_while_its_name_is_looked_up_is_not_connected_to():
    pool = connections()
    pool.connect(pool.get(1), 0)
    pool.set_nodes(NODES[:1])
    pool.take_effects()
    pool.resolved("b1", ["10.0.0.1"], 5)
    assert pool.take_effects() == []
    pool.set_nodes(NODES)
    assert pool.get(1).can_connect(5)


def test_a_node_that_is_gone_while_it_is_connecting_is_not_tried_at_its_other_address():
    pool = connections()
    found = pool.get(1)
    pool.connect(found, 0)
    pool.resolved("b1", ["10.0.0.1", "10.0.0.2"], 0)
    pool.set_nodes(NODES[:1])
    pool.take_effects()
    fail(pool, found, 5)
    assert pool.take_effects() == []


# Backoff


def test_conn_2_an_attempt_may_begin_where_none_is_under_way_and_the_backoff_is_over():
    pool = connections(NODES[:1], reconnect_backoff_ms=100, reconnect_backoff_max_ms=100)
    found = pool.get(0)
    assert found.can_connect(0)
    pool.connect(found, 0)
    assert not found.can_connect(0), "its name is looked up"
    pool.resolved("b0", ["10.0.0.1"], 1)
    assert not found.can_connect(1), "it is connecting"
    fail(pool, found, 5)
    assert not found.can_connect(104)
    assert not pool.usable(found, 104)
    assert pool.wakes_ms[-1] == 105
    assert found.can_connect(105)


def attempts(world: World, until_ms: int, node_id: int = 0) -> list[int]:
    world.ask(node_id=-1 if node_id == 0 else node_id, timeout_ms=until_ms)
    world.network.advance(until_ms)
    times = world.opened(node_id)
    return [later - earlier for earlier, later in pairwise(times)]


def refuse(world: World) -> None:
    world.down(0)


def accept_and_close(world: World) -> None:
    world.brokers[0].always[ApiKey.API_VERSIONS] = "close"


def answer_noise(world: World) -> None:
    world.brokers[0].always[ApiKey.API_VERSIONS] = b"HTTP/1.1 400 Bad Request\r\n\r\n"


def fail_versions(world: World) -> None:
    world.brokers[0].always[ApiKey.API_VERSIONS] = 9999


@pytest.mark.parametrize("trouble", [refuse, accept_and_close, answer_noise, fail_versions])
def test_trap_69_attempts_grow_apart_until_a_connection_is_ready_not_when_tcp_connects(trouble):
    """CONN-3, CONN-4: 50 ms, doubled up to 1000, with 20 % of jitter; a broker that accepts and drops, too."""
    world = World(seed=3)
    trouble(world)
    gaps = attempts(world, 20_000)
    for gap, wanted in zip(gaps, [50, 100, 200, 400, 800] + [1_000] * 100, strict=False):
        assert 0.8 * wanted <= gap <= min(1.2 * wanted, 1_000) + 6
    assert len(gaps) >= 18
    world.check_pace()


def test_trap_69_a_ready_connection_ends_the_backoff():
    world = World()
    world.down(0)
    attempts(world, 10_000)
    found = world.client.connections.get(-1)
    assert found.failed_attempts > 10
    world.up(0)
    world.answer(world.ask(node_id=-1))
    assert found.failed_attempts == found.failed_setups == 0
    assert found.last_error is None


def test_a_constant_backoff_stays_so():
    world = World(reconnect_backoff_ms=300, reconnect_backoff_max_ms=300)
    world.down(0)
    gaps = attempts(world, 5_000)
    assert set(gaps) == {302}, "with a look-up and an attempt of 1 ms each"


def test_conn_5_the_setup_timeout_grows_while_attempts_fail_and_begins_anew_with_a_ready_connection():
    world = World(seed=5)
    world.network.serve(address_of(0), PORT, "hang")
    gaps = attempts(world, 200_000)
    for gap, wanted in zip(gaps, [10_000, 20_000, 30_000, 30_000, 30_000], strict=False):
        assert 0.8 * wanted <= gap <= min(1.2 * wanted, 30_000) + 1_003
    assert gaps[1] > 15_000
    world.serve(0, world.brokers[0])
    world.network.run_until(lambda: world.client.metadata.update_version, 60_000)
    world.cut(0)
    world.network.serve(address_of(0), PORT, "hang")
    begun = len(world.opened())
    world.network.run_until(lambda: len(world.opened()) > begun)
    at_ms = world.now_ms
    failed = [each for each in world.client.connections.listed if each.connection]
    world.network.run_until(lambda: failed[0].connection is None)
    assert 8_000 <= world.now_ms - at_ms <= 12_000


def test_conn_5_what_it_still_waited_for_is_told():
    world = World(socket_connection_setup_timeout_ms=1_000, socket_connection_setup_timeout_max_ms=1_000)
    world.brokers[0].always[ApiKey.API_VERSIONS] = "silence"
    error = world.error(world.ask(node_id=-1, timeout_ms=3_000))
    assert str(error.cause) == (
        "broker-0.test:9092: a ready connection, still checking api versions: nothing within 1000 ms"
    )


def test_a_throttled_connection_has_been_ready():
    """An answer may throttle before the network client has looked."""
    world = World()
    world.brokers[0].throttle_time_ms = 5_000
    world.network.run_until(lambda: world.client.metadata.update_version)
    found = next(each for each in world.client.connections.open)
    assert found.connection.state is ConnectionState.THROTTLED
    assert found.ever_ready and found.was_ready


# An address that the cluster advertises and nobody can reach


def unresolvable(world: World) -> None:
    del world.network.names["broker-1.test"]
    world.network.names["broker-1.test"] = KafkaConnectionError("broker-1.test:9092", "the name is not known")


def refused(world: World) -> None:
    world.down(1)


def unroutable(world: World) -> None:
    world.network.serve(address_of(1), PORT, "hang")


HINT = (
    "broker-1.test:9092 is what the cluster, asked at broker-0.test:9092, advertises for this node: "
    "if it is wrong from here, set advertised.listeners on the broker"
)


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        (unresolvable, f"broker-1.test:9092: the name is not known; {HINT}"),
        (refused, f"broker-1.test:9092: Connection refused; {HINT}"),
        (
            unroutable,
            f"broker-1.test:9092: a ready connection, still connecting ({HINT}): nothing within 1000 ms",
        ),
    ],
)
def test_an_advertised_address_that_was_never_reached_is_told_as_a_likely_mistake(trouble, text):
    world = World(nodes=2, socket_connection_setup_timeout_ms=1_000, socket_connection_setup_timeout_max_ms=1_000)
    trouble(world)
    world.learn()
    error = world.error(world.ask(node_id=1, timeout_ms=4_000))
    assert str(error.cause) == text
    world.check_pace()


def test_an_advertised_address_that_was_reached_before_is_no_mistake():
    world = World(nodes=2)
    world.connect(0, 1)
    world.down(1)
    error = world.error(world.ask(node_id=1, timeout_ms=4_000))
    assert str(error.cause) == "broker-1.test:9092: Connection refused"


def test_a_bootstrap_server_is_not_advertised_by_anybody():
    world = World()
    world.down(0)
    error = world.error(world.ask(node_id=-1, timeout_ms=400))
    assert str(error.cause) == "broker-0.test:9092: Connection refused"


def test_credentials_that_are_refused_are_not_blamed_on_the_address():
    pool = connections(NODES[:1])
    found = open_one(pool, 0)
    refusal = SaslAuthenticationError("b0:9092", "refused")
    found.connection.close(refusal)
    pool.ended(found, told=False, now_ms=0)
    assert found.last_error is refusal


def test_an_error_of_the_resolver_of_any_other_kind_is_passed_on():
    pool = connections(NODES[:1])
    refusal = SaslAuthenticationError("b0:9092", "a proxy wants to know who asks")
    pool.connect(pool.get(0), 0)
    pool.resolved("b0", refusal, 0)
    assert pool.get(0).last_error is refusal
