"""When metadata is asked for, whom, and when the client begins again from its bootstrap servers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from client.scripted_broker import Node, ScriptedBroker, ScriptedCluster
from client.simulated_client import PORT, World, address_of, polls_per_second

from kproto.client.connection import ConnectionState
from kproto.client.errors import BrokerError, KafkaConnectionError, KafkaTimeoutError, UnsupportedVersionError
from kproto.wire import ApiKey, EncodeError, ErrorCode

BEGIN = {"servers": "bootstrap.test", "network": {"names": {"bootstrap.test": ["10.0.0.1"]}}}
THREE = "broker-0.test:9092,broker-1.test:9092,broker-2.test:9092"


def metadata_asked(world: World) -> int:
    return sum(len(broker.asked(ApiKey.METADATA)) for broker in world.brokers.values())


def bootstrapping(world: World) -> bool:
    return min(world.client.cluster.nodes) < 0


def move_everything(world: World) -> None:
    """All brokers are at other addresses, and the bootstrap server's name leads to one of the new ones."""
    for node_id in list(world.cluster.nodes):
        world.down(node_id)
        host = f"new-{node_id}.test"
        world.cluster.nodes[node_id].host = host
        world.network.names[host] = [f"10.0.1.{node_id + 1}"]
        world.network.serve(f"10.0.1.{node_id + 1}", PORT, world.brokers[node_id])
    world.network.names["bootstrap.test"] = ["10.0.1.1"]


# Whom it asks


def test_meta_13_a_ready_node_is_asked_though_another_would_be_connected_to():
    world = World(nodes=3)
    world.connect(1)
    before = len(world.opened())
    for _ in range(5):
        world.learn()
        world.network.advance(2_000)
    assert len(world.opened()) == before
    assert len(world.brokers[1].asked(ApiKey.METADATA)) == 5


def test_meta_13_while_a_node_is_connecting_no_other_is_begun():
    world = World(nodes=3, servers=THREE, network={"latency_ms": 20})
    world.network.run_until(lambda: world.client.metadata.update_version)
    assert len(world.opened()) == 1


def test_meta_13_where_no_node_is_usable_it_comes_back_when_a_backoff_ends():
    world = World(nodes=3, servers=THREE, reconnect_backoff_ms=500, reconnect_backoff_max_ms=500)
    world.down(0, 1, 2)
    world.network.advance(400)
    assert len(world.opened()) == 3, "one after the other"
    world.up(2)
    world.network.run_until(lambda: world.client.metadata.update_version, 700)
    world.check_pace()


def test_meta_13_a_server_that_hangs_is_left_for_another_after_the_setup_timeout():
    for seed in range(6):
        world = World(nodes=2, servers="broker-0.test,broker-1.test", seed=seed)
        world.network.serve(address_of(0), PORT, "hang")
        world.network.run_until(lambda world=world: world.client.metadata.update_version, 13_000)


def test_metadata_is_refreshed_when_it_is_old():
    world = World(metadata_max_age_ms=10_000)
    world.network.advance(35_000)
    assert metadata_asked(world) == 4
    assert world.client.polls < 60


# When it begins again


def test_meta_15_kip_899_all_brokers_moved_and_the_bootstrap_name_knows_where_to():
    world = World(nodes=3, **BEGIN)
    world.connect(0, 1, 2)
    move_everything(world)
    at_ms = world.now_ms
    world.answer(world.ask(node_id=2), limit_ms=3_000)
    assert world.now_ms - at_ms < 1_500
    world.check_pace()


def test_meta_15_names_that_vanish_are_a_reason_too():
    world = World(nodes=2, **BEGIN)
    world.connect(0, 1)
    move_everything(world)
    for node_id in (0, 1):
        del world.network.names[f"broker-{node_id}.test"]
    world.answer(world.ask(node_id=1), limit_ms=3_000)


def test_meta_15_with_recovery_none_it_never_begins_again():
    world = World(nodes=2, metadata_recovery_strategy="none", metadata_recovery_rebootstrap_trigger_ms=1_000, **BEGIN)
    world.connect(0, 1)
    move_everything(world)
    error = world.error(world.ask(timeout_ms=10_000))
    assert isinstance(error, KafkaTimeoutError)
    assert sorted(world.client.cluster.nodes) == [0, 1]
    assert "Connection refused" in str(error)
    world.check_pace()


def test_meta_15_a_broker_that_is_only_just_lost_is_tried_again_first():
    world = World(connections_max_idle_ms=60_000)
    world.connect(0)
    world.network.advance(59_000)
    world.answer(world.ask(node_id=0))
    world.network.advance(5_000)  # the bootstrap connection is closed as idle: this is the only one
    assert len(world.client.connections.open) == 1
    seen = []
    for _ in range(5):
        world.cut(0)
        world.network.advance(5_000)
        seen.append(bootstrapping(world))
        world.answer(world.ask(node_id=0))
    assert seen == [False] * 5
    assert len({found.node.node_id for found in world.client.connections.open}) == 1
    named = [request.node_id for request in world.brokers[0].asked(ApiKey.API_VERSIONS)]
    assert named == [-1, 0, 0, 0, 0, 0, 0]


def test_meta_15_while_the_bootstrap_connection_is_open_it_is_asked_again_instead():
    """As long as what brokers advertise is wrong. Nothing is closed for it, and the truth is learned at once."""
    world = World()
    world.cluster.nodes[0].host = "wrong.test"
    world.network.names["wrong.test"] = ["10.0.0.9"]
    world.learn()
    number = world.ask(node_id=0, timeout_ms=100_000)
    world.network.advance(30_000)
    assert len(world.opened(0)) == 1
    assert 25 <= metadata_asked(world) <= 40, "about once in a second"
    world.check_pace()
    world.cluster.nodes[0].host = "broker-0.test"
    world.answer(number, limit_ms=1_300)


def test_meta_15_a_bootstrap_connection_that_is_open_and_dead_holds_nothing_up_for_long():
    world = World(nodes=2, request_timeout_ms=3_000, **BEGIN)
    world.connect(0, 1)
    world.network.unplug("10.0.0.1", PORT)
    move_everything(world)
    for node_id in (0, 1):
        world.network.up(address_of(node_id), PORT)
        world.network.serve(address_of(node_id), PORT, "refuse")
    world.answer(world.ask(node_id=1), limit_ms=5_000)


@pytest.mark.parametrize(
    "trouble", [KafkaConnectionError("x:1", "the name is not known"), "hang"], ids=["lost", "hangs"]
)
def test_meta_14_a_name_without_an_answer_makes_metadata_wanted(trouble):
    world = World(nodes=2)
    world.connect(0)
    world.network.names["broker-1.test"] = trouble
    before = metadata_asked(world)
    number = world.ask(node_id=1)
    world.network.advance(11_000)
    assert metadata_asked(world) > before
    world.cluster.nodes[1].host = "new.test"
    world.network.names["new.test"] = [address_of(1)]
    if trouble == "hang":
        world.network.advance(10_000)
    world.answer(number, limit_ms=2_500)


def test_c12_one_flapping_broker_makes_no_loop_of_bootstraps():
    """Two nodes are down, the third accepts, serves and drops: each bootstrap is paced by the metadata's backoff."""
    world = World(nodes=3)
    world.connect(0, 1, 2)
    world.down(1, 2)
    for _ in range(300):
        world.network.advance(100)
        world.cut(0)
    opened = [at_ms for at_ms in world.opened(0) if at_ms > 1_000]
    assert len(opened) <= 75, "some two in a second at most"
    assert max(polls_per_second(world.client).values()) < 200
    world.check_pace()


def test_c12_a_broker_that_asks_for_a_bootstrap_each_time_is_not_asked_in_a_loop():
    world = World()
    world.brokers[0].always[ApiKey.METADATA] = ErrorCode.REBOOTSTRAP_REQUIRED
    world.network.advance(60_000)
    assert 40 <= metadata_asked(world) <= 85
    error = world.client.metadata.last_error
    assert isinstance(error, BrokerError)
    assert error.code == ErrorCode.REBOOTSTRAP_REQUIRED
    assert max(polls_per_second(world.client).values()) < 200
    world.check_pace()
    world.brokers[0].always.clear()
    world.answer(world.ask(node_id=0))


def test_kip_1242_a_broker_that_is_never_the_one_it_should_be_is_not_asked_in_a_loop():
    """As behind a port that leads all nodes to one broker."""
    world = World(nodes=2)
    world.network.names["broker-1.test"] = ["10.0.0.1"]
    number = world.ask(node_id=1, timeout_ms=30_000)
    assert isinstance(world.error(number), KafkaTimeoutError)
    assert len(world.opened()) < 3 * 45
    world.check_pace()


def test_kip_1102_without_an_answer_for_too_long_it_begins_again():
    """Here the connection is open, and stays so: only the answers fail."""
    world = World(nodes=2, metadata_recovery_rebootstrap_trigger_ms=20_000, metadata_max_age_ms=10_000)
    world.connect(0, 1)
    for broker in world.brokers.values():
        broker.always[ApiKey.METADATA] = ErrorCode.UNKNOWN_SERVER_ERROR
    opened = len(world.opened())
    world.network.advance(29_000)
    assert len(world.opened()) == opened
    assert not bootstrapping(world)
    world.network.advance(2_500)
    assert bootstrapping(world)
    assert len(world.opened()) > opened
    for broker in world.brokers.values():
        broker.always.clear()
    world.answer(world.ask(node_id=1), limit_ms=3_000)


def test_kip_1102_the_time_runs_also_while_no_node_can_be_asked_at_all():
    """Two nodes at addresses that swallow everything take turns in connecting: there is always one to wait for."""
    world = World(nodes=2, metadata_recovery_rebootstrap_trigger_ms=60_000, connections_max_idle_ms=5_000, **BEGIN)
    world.connect(0, 1)
    world.network.advance(5_000)
    move_everything(world)
    for node_id in (0, 1):
        world.network.up(address_of(node_id), PORT)
        world.network.serve(address_of(node_id), PORT, "hang")
    world.client.metadata.request_update()
    number = world.ask(timeout_ms=100_000)
    world.network.advance(50_000)
    assert not world.ended(number)
    world.answer(number, limit_ms=25_000)
    world.check_pace()


def test_kip_1102_the_time_begins_anew_with_each_bootstrap():
    world = World(metadata_recovery_rebootstrap_trigger_ms=5_000)
    world.network.serve(address_of(0), PORT, "hang")
    world.network.advance(60_000)
    gaps = [later - earlier for earlier, later in pairwise(world.opened())]
    assert all(4_000 <= gap <= 6_000 for gap in gaps), "but for the backoff"
    world.check_pace()
    world.serve(0, world.brokers[0])
    world.network.run_until(lambda: world.client.metadata.update_version, 7_000)


def test_a_bootstrap_begins_at_the_first_address_again():
    """An attempt that is under way is given up: its other addresses may be as old as it is."""
    world = World(metadata_recovery_rebootstrap_trigger_ms=5_000, socket_connection_setup_timeout_ms=60_000)
    world.network.names["broker-0.test"] = ["10.9.9.9", "10.9.9.8"]
    for address in ("10.9.9.9", "10.9.9.8"):
        world.network.serve(address, PORT, "hang")
    world.network.run_until(lambda: len(world.opened()) > 1)
    assert "resolve" in world.network.log[-2]
    assert world.network.log[-1].endswith("open 10.9.9.9:9092")


# What it cannot ask


def test_a_broker_without_metadata_is_told_and_not_asked_in_a_loop():
    world = World()
    del world.cluster.versions[ApiKey.METADATA]
    world.network.advance(30_000)
    error = world.client.metadata.take_fatal_error()
    assert isinstance(error, UnsupportedVersionError)
    assert str(error) == (
        "the broker does not speak Metadata (we speak 0-13): is it too old, or another kind of server?"
    )
    assert 25 <= len(world.opened()) <= 45, "one in a second, once the backoff has grown"
    assert world.client.connections.get(-1).last_error is not None
    world.check_pace()


def test_a_topic_that_cannot_be_named_fails_the_update_and_does_not_raise():
    world = World()
    world.connect(0)
    with pytest.raises(EncodeError, match="lone surrogate"):
        world.client.metadata.add_topic("\ud800", world.now_ms)
    assert world.client.metadata.topics == ()
    world.client.metadata._idle_at_ms["\ud800"] = 10**9  # should one come in nevertheless
    world.client.metadata.request_update()
    world.network.advance(5_000)
    assert isinstance(world.client.metadata.last_error, EncodeError)
    world.answer(world.ask(node_id=0))
    world.check_pace()


# What an answer changes


@pytest.mark.parametrize("code", [ErrorCode.UNKNOWN_SERVER_ERROR, ErrorCode.CLUSTER_AUTHORIZATION_FAILED, 9999])
def test_an_answer_with_an_error_is_a_failed_update_and_changes_no_node(code):
    world = World()
    world.brokers[0].fail(ApiKey.METADATA, code, code, code)
    world.network.run_until(lambda: len(world.brokers[0].asked(ApiKey.METADATA)) == 3)
    world.network.advance(2)
    assert sorted(world.client.cluster.nodes) == [-1]
    assert isinstance(world.client.metadata.last_error, BrokerError)
    world.network.run_until(lambda: world.client.metadata.update_version, 2_000)
    assert sorted(world.client.cluster.nodes) == [0]
    assert len(world.opened()) == 1


def test_a_lost_connection_fails_the_update_that_was_in_flight():
    world = World()
    world.brokers[0].fail(ApiKey.METADATA, "close")
    world.network.run_until(lambda: world.client.metadata.last_error)
    error = world.client.metadata.last_error
    assert isinstance(error, KafkaConnectionError)
    assert "the broker closed the connection with 1 unanswered request" in str(error)
    world.learn()


def test_nodes_that_come_move_and_go():
    world = World(nodes=2)
    world.connect(0, 1)
    world.network.names["moved.test"] = [address_of(1)]
    world.cluster.nodes[1].host = "moved.test"
    world.cluster.nodes[2] = Node("broker-2.test", 9092)
    world.start_broker(2)
    world.network.advance(2_000)
    world.learn()
    assert world.answer(world.ask(node_id=2)).producer_id == 3001
    assert world.answer(world.ask(node_id=1)).producer_id == 2002
    del world.cluster.nodes[0]
    world.network.advance(2_000)
    world.learn()
    error = world.error(world.ask(node_id=0))
    assert str(error) == "node 0: is not in the cluster; its nodes are 1, 2"


def test_another_cluster_is_known_by_its_id_from_then_on():
    world = World()
    world.connect(0)
    other = ScriptedCluster(1, cluster_id="other")
    world.brokers[0] = ScriptedBroker(other, 0)
    world.serve(0, world.brokers[0])
    world.cut(0)
    world.answer(world.ask(node_id=0))
    assert world.client.connections.cluster_id == "other"
    named = [(request.cluster_id, request.node_id) for request in world.brokers[0].asked(ApiKey.API_VERSIONS)]
    assert named[-1] == ("other", 0)
    states = {found.connection.state for found in world.client.connections.open}
    assert states == {ConnectionState.READY}
