"""Scenarios of metadata and leadership (C02 to C14): what a client knows of a cluster that changes under it."""

from __future__ import annotations

import pytest
from client.scripted_broker import Node, ScriptedBroker, ScriptedCluster
from client.simulated_client import PORT, World

from kproto.client.cluster import TopicPartition
from kproto.client.metadata import ClusterIdChanged, MetadataState
from kproto.wire import ApiKey, ErrorCode, MetadataResponse

ORDERS = TopicPartition("orders", 0)


def leader(world: World, partition: TopicPartition = ORDERS) -> int | None:
    node = world.client.cluster.leader_for(partition)
    return None if node is None else node.node_id


def asked(world: World) -> int:
    return sum(len(broker.asked(ApiKey.METADATA)) for broker in world.brokers.values())


def lagging_cluster(world: World) -> ScriptedCluster:
    """The cluster as a broker sees it that has not heard of the last changes."""
    old = ScriptedCluster(len(world.cluster.nodes), cluster_id=world.cluster.cluster_id)
    old.create_topic("orders", len(world.cluster.topics["orders"].partitions))
    old.topics["orders"].topic_id = world.cluster.topics["orders"].topic_id
    return old


def test_c02_metadata_of_a_broker_that_lags_behind_does_not_move_a_partition_back():
    world = World(nodes=2, topics={"orders": 1})
    old = lagging_cluster(world)
    world.cluster.move_leader("orders", 0, 1)
    world.learn("orders")
    assert leader(world) == 1
    for broker in world.brokers.values():
        broker.cluster = old
    for _ in range(3):
        world.learn()
        assert leader(world) == 1
        assert world.client.cluster.partition(ORDERS).leader_epoch == 1
    world.cluster.move_leader("orders", 0, 0)
    for broker in world.brokers.values():
        broker.cluster = world.cluster
    world.learn()
    assert leader(world) == 0
    assert world.client.cluster.partition(ORDERS).leader_epoch == 2


def test_c02_a_hint_that_is_older_than_the_metadata_changes_nothing():
    world = World(nodes=2, topics={"orders": 1})
    world.cluster.move_leader("orders", 0, 1, epochs=7)
    world.learn("orders")
    metadata = world.client.metadata
    for epoch in (-1, 0, 6, 7):
        assert metadata.update_leadership({ORDERS: (0, epoch)}, ()) == set()
        assert leader(world) == 1
    assert metadata.update_leadership({ORDERS: (0, 8)}, ()) == {ORDERS}
    assert leader(world) == 0
    world.learn()
    assert leader(world) == 0, "and metadata that is older than the hint does not take it back"


def test_c03_an_update_that_brings_no_new_epoch_is_not_repeated():
    world = World(nodes=2, topics={"orders": 2})
    world.learn("orders")
    world.network.advance(5_000)
    before = asked(world)
    world.client.metadata.request_update()  # as after NOT_LEADER_OR_FOLLOWER
    world.network.advance(60_000)
    assert asked(world) == before + 1
    assert world.client.metadata.state is MetadataState.FRESH


def test_c03_updates_without_news_come_ever_more_slowly_until_there_are_news():
    world = World(nodes=2, topics={"orders": 2})
    world.learn("orders")
    world.network.advance(5_000)

    def updates(ms: int) -> int:
        before = asked(world)
        for _ in range(ms // 5):
            world.client.metadata.request_update()
            world.network.advance(5)
        return asked(world) - before

    assert updates(1_000) == 4, "after about 100, 200, 400 ms"
    assert updates(10_000) <= 13, "then about one in a second"
    world.cluster.move_leader("orders", 0, 1)
    assert updates(1_200) >= 2
    assert leader(world) == 1


def test_c03_an_update_that_fails_is_repeated_until_it_succeeds():
    world = World(nodes=2, topics={"orders": 1})
    world.learn("orders")
    world.network.advance(5_000)
    for broker in world.brokers.values():
        broker.always[ApiKey.METADATA] = "close"
    world.cluster.move_leader("orders", 0, 1)
    world.client.metadata.request_update()
    world.network.advance(20_000)
    assert leader(world) == 0
    for broker in world.brokers.values():
        broker.always.clear()
    world.network.run_until(lambda: leader(world) == 1, 3_000)
    world.check_pace()


def test_c04_a_partition_without_a_leader_is_asked_for_until_it_has_one():
    world = World(nodes=2, topics={"orders": 2})
    world.cluster.move_leader("orders", 0, -1)
    world.learn("orders")
    partition = world.client.cluster.partition(ORDERS)
    assert (leader(world), partition.error) == (None, ErrorCode.LEADER_NOT_AVAILABLE)
    assert world.client.cluster.partition_count("orders") == 2, "it counts where records are spread by key"
    assert leader(world, TopicPartition("orders", 1)) == 1
    before = asked(world)
    world.network.advance(10_000)
    assert 8 <= asked(world) - before <= 15
    world.cluster.move_leader("orders", 0, 1)
    world.network.run_until(lambda: leader(world) == 1, 1_100)
    before = asked(world)
    world.network.advance(10_000)
    assert asked(world) == before


def test_c04_leader_not_available_of_a_whole_topic_is_waited_for_too():
    world = World(topics={"orders": 1})
    world.cluster.topics["orders"].error_code = ErrorCode.LEADER_NOT_AVAILABLE
    world.learn("orders")
    assert world.client.cluster.partition_count("orders") is None
    assert str(world.client.metadata.topic_error("orders")) == (
        "topic orders: LEADER_NOT_AVAILABLE (5), " + ErrorCode.LEADER_NOT_AVAILABLE.description
    )
    world.network.advance(3_000)
    world.cluster.topics["orders"].error_code = 0
    world.network.run_until(lambda: leader(world) == 0, 1_100)


def test_c06_a_topic_without_partitions_is_no_topic_yet():
    world = World(topics={"orders": 1})
    partitions = world.cluster.topics["orders"].partitions
    world.cluster.topics["orders"].partitions = []
    world.learn("orders")
    assert world.client.cluster.partition_count("orders") is None
    assert str(world.client.metadata.topic_error("orders")) == (
        "topic orders: the broker lists it without partitions; it may still be creating them"
    )
    before = asked(world)
    world.network.advance(5_000)
    assert asked(world) > before
    world.cluster.topics["orders"].partitions = partitions
    world.network.run_until(lambda: leader(world) == 0, 1_100)
    assert world.client.metadata.topic_error("orders") is None


@pytest.mark.parametrize("gone_ms", [0, 5_000])
def test_c07_a_topic_that_is_deleted_and_made_again_is_another_one(gone_ms):
    """Its epochs begin anew: lower than what was seen, they are believed all the same."""
    world = World(nodes=2, topics={"orders": 3})
    world.cluster.move_leader("orders", 0, 1, epochs=40)
    world.learn("orders")
    first_id = world.client.cluster.topic_id("orders")
    if gone_ms:
        del world.cluster.topics["orders"]
        world.learn()
        assert world.client.cluster.topic_errors == {"orders": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
        world.network.advance(gone_ms)
    world.cluster.create_topic("orders", 2)
    world.learn()
    topic_id = world.client.cluster.topic_id("orders")
    assert topic_id not in (first_id, None)
    assert world.client.cluster.topic_name(first_id) is None
    assert world.client.cluster.partition_count("orders") == 2
    assert (leader(world), world.client.cluster.partition(ORDERS).leader_epoch) == (0, 0)


def test_c10_whoever_asks_meanwhile_shares_the_request_that_is_to_go_out():
    world = World(topics={"orders": 1, "prices": 1})
    world.learn("orders")
    world.network.advance(5_000)
    before, metadata = asked(world), world.client.metadata
    passed = {metadata.request_update() for _ in range(50)}
    assert passed == {metadata.update_version}
    world.network.advance(5_000)
    assert asked(world) == before + 1
    assert metadata.update_version == passed.pop() + 1


def test_c10_what_is_asked_while_a_request_is_out_takes_one_more():
    world = World(topics={"orders": 1, "prices": 1})
    world.learn("orders")
    world.network.advance(5_000)
    before, metadata = asked(world), world.client.metadata
    world.brokers[0].always[ApiKey.METADATA] = "hold"
    metadata.request_update(reset=True)
    world.network.advance(5)
    for _ in range(50):
        metadata.request_update(reset=True)
        metadata.add_topic("prices", world.now_ms)
    world.network.advance(5)
    world.brokers[0].always.clear()
    world.brokers[0].release()
    world.network.advance(5_000)
    assert asked(world) == before + 2
    assert world.client.cluster.partition_count("prices") == 1


def test_c10_a_caller_that_goes_away_takes_nothing_from_the_others():
    """His request goes on; nobody looks at how it ends."""
    world = World()
    world.brokers[0].fail(ApiKey.INIT_PRODUCER_ID, "close")
    gone, other = world.ask(), world.ask(node_id=0)
    world.error(gone)
    world.answer(other)
    assert sorted(world.client.ended) == [gone, other]


def test_c11_a_broker_that_is_added_and_removed():
    world = World(nodes=1)
    world.connect(0)
    for _ in range(3):
        world.cluster.nodes[1] = Node("broker-1.test", PORT)
        world.start_broker(1)
        world.network.advance(2_000)
        world.learn()
        world.answer(world.ask(node_id=1))
        del world.cluster.nodes[1]
        world.network.advance(2_000)
        world.learn()
        error = world.error(world.ask(node_id=1))
        assert str(error) == "node 1: is not in the cluster; its nodes are 0"
    assert len(world.opened(1)) == 1, "the connection is kept, and used when it is back"


def test_c11_a_broker_that_is_replaced_by_another_at_its_address():
    """The same host and port, another id."""
    world = World(nodes=2)
    world.connect(0, 1)
    world.cluster.nodes[5] = world.cluster.nodes.pop(1)
    world.brokers[5] = ScriptedBroker(world.cluster, 5)
    world.cut(1)
    world.serve(1, world.brokers[5])
    world.network.advance(2_000)
    world.learn()
    assert world.answer(world.ask(node_id=5)).producer_id == 6001
    assert str(world.error(world.ask(node_id=1))) == "node 1: is not in the cluster; its nodes are 0, 5"


def test_c11_two_ids_at_one_address_have_a_connection_each():
    world = World(nodes=2)
    world.cluster.versions[ApiKey.API_VERSIONS] = range(5)  # older brokers do not mind whom the client expects
    world.cluster.nodes[1] = world.cluster.nodes[0]
    world.connect(0, 1)
    assert len(world.opened(0)) == 3
    world.cut(0)
    world.answer(world.ask(node_id=1))
    world.answer(world.ask(node_id=0))
    world.check_pace()


def test_c11_a_cluster_that_is_rolled_answers_all_the_time():
    """One broker after the other is down for a while; those who ask any node, or one that is up, notice nothing."""
    world = World(nodes=3, topics={"orders": 3})
    world.connect(0, 1, 2)
    world.client.metadata.add_topic("orders", 0)
    for node_id in (0, 1, 2):
        others = [other for other in (0, 1, 2) if other != node_id]
        world.down(node_id)
        for partition in range(3):
            if world.cluster.topics["orders"].partitions[partition].leader == node_id:
                world.cluster.move_leader("orders", partition, others[0])
        waiting = world.ask(node_id=node_id, timeout_ms=20_000)
        for _ in range(8):
            world.answer(world.ask(), limit_ms=2_000)
            world.answer(world.ask(node_id=others[1]), limit_ms=1_000)
            world.network.advance(1_000)
        world.learn(limit_ms=2_000)
        assert {leader(world, TopicPartition("orders", number)) for number in range(3)} <= set(others)
        assert not world.ended(waiting)
        world.up(node_id)
        world.answer(waiting, limit_ms=1_200)
    assert sorted(world.client.cluster.nodes) == [0, 1, 2]
    world.check_pace()


def test_c11_a_cluster_whose_brokers_are_all_replaced_one_by_one():
    world = World(nodes=3, servers="bootstrap.test", network={"names": {"bootstrap.test": ["10.0.0.1"]}})
    world.connect(0, 1, 2)
    for old, new in ((0, 3), (1, 4), (2, 5)):
        world.cluster.nodes[new] = Node(f"broker-{new}.test", PORT)
        world.start_broker(new)
        del world.cluster.nodes[old]
        world.down(old)
        world.answer(world.ask(), limit_ms=3_000)
        world.network.advance(3_000)
        world.learn(limit_ms=3_000)
        world.answer(world.ask(node_id=new), limit_ms=1_000)
    assert sorted(world.client.cluster.nodes) == [3, 4, 5]


def test_c12_an_outage_of_all_brokers_ends_with_the_outage():
    """They come back as they were; nothing but the backoff stands between."""
    world = World(nodes=3)
    world.connect(0, 1, 2)
    world.down(0, 1, 2)
    numbers = [world.ask(node_id=node_id, timeout_ms=300_000) for node_id in (0, 1, 2, None)]
    world.network.advance(100_000)
    assert not any(world.ended(number) for number in numbers)
    refused = len(world.opened())
    assert refused <= 4 * 125, "each is tried once in a second at most"
    world.up(0, 1, 2)
    for number in numbers:
        world.answer(number, limit_ms=1_500)
    world.check_pace()


def test_c12_an_outage_is_told_with_the_error_of_who_could_not_be_reached():
    world = World(nodes=2)
    world.connect(0, 1)
    world.down(0, 1)
    error = world.error(world.ask(timeout_ms=10_000))
    assert str(error) == (
        "a connection to send InitProducerIdRequest to any node: nothing within 10000 ms; "
        "last error: no broker could be reached: broker-0.test:9092: Connection refused"
    )


def test_c14_answers_of_two_clusters_are_a_warning():
    world = World(servers="broker-0.test,other.test")
    other = ScriptedCluster(1, cluster_id="the other one")
    other.nodes[0] = Node("other.test", PORT)
    world.network.names["other.test"] = ["10.0.9.1"]
    world.network.serve("10.0.9.1", PORT, ScriptedBroker(other, 0))
    world.learn()
    first = world.client.cluster.cluster_id
    assert world.client.metadata.warnings == ()
    world.network.down(*{"scripted": ("10.0.0.1", PORT), "the other one": ("10.0.9.1", PORT)}[first])
    world.answer(world.ask(), limit_ms=10_000)
    second = {"scripted": "the other one", "the other one": "scripted"}[first]
    (warning,) = world.client.metadata.warnings
    assert warning == ClusterIdChanged(first, second)
    assert str(warning) == (
        f"metadata now comes from cluster {second}, before from {first}: "
        "check that all bootstrap_servers belong to one cluster"
    )


def test_c14_the_topics_of_two_clusters_do_not_mix():
    world = World(topics={"orders": 4})
    world.learn("orders")
    other = ScriptedCluster(1, {"orders": 2}, cluster_id="the other one")
    world.brokers[0].cluster = other
    world.network.advance(2_000)
    world.learn()
    assert world.client.cluster.partition_count("orders") == 2
    assert len(world.client.metadata.warnings) == 1


def test_c02_an_answer_without_a_broker_is_no_answer():
    """META-4: what was known stays."""
    world = World(nodes=2, topics={"orders": 1})
    world.learn("orders")
    world.network.advance(2_000)
    for broker in world.brokers.values():
        broker.fail(ApiKey.METADATA, lambda header, request, usual: MetadataResponse())
    world.client.metadata.request_update(reset=True)
    world.network.advance(90)
    assert str(world.client.metadata.last_error) == (
        "metadata: the answer names no broker that can be reached; check advertised.listeners there"
    )
    assert leader(world) == 0
    world.network.advance(2_000)
    assert world.client.metadata.last_error is None
