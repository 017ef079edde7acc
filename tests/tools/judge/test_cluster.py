"""The whole: time, changes, inspection, and a real client on a simulated network."""

from __future__ import annotations

from random import Random

import pytest
from client.simulated_client import WatchedClient
from client.simulation import SimulatedNetwork
from tools.judge.judging import METADATA, PRODUCE, JudgeTalk, batch, produce_request

from kproto.client.config import ClientConfig
from kproto.tools.judge import Fault, FaultPoint, FirstSequence, JudgeCluster, JudgeViolation, Node, TopicConfig
from kproto.wire import ErrorCode, InitProducerIdRequest, InitProducerIdResponse, ProduceResponse


@pytest.fixture
def cluster():
    return JudgeCluster(topics={"orders": 4})


def test_nodes_take_turns_as_leaders(cluster):
    partitions = cluster.image.topics["orders"].partitions
    assert [one.leader for one in partitions] == [0, 1, 2, 0]
    assert partitions[1].replicas == partitions[1].isr == (1, 2, 0)
    cluster.add_partitions("orders", 6)
    assert [one.leader for one in cluster.image.topics["orders"].partitions] == [0, 1, 2, 0, 1, 2]


def test_nodes_may_be_named():
    cluster = JudgeCluster({7: Node("a", 1, "rack")}, {"orders": 1}, cluster_id="mine")
    assert cluster.image.topics["orders"].partitions[0].leader == 7
    assert list(cluster.brokers) == [7]


def test_a_topic_made_again_has_another_id_and_no_records(cluster):
    JudgeTalk(cluster).produce(batch(0))
    old = cluster.image.topics["orders"]
    new = cluster.recreate_topic("orders")
    assert new.topic_id != old.topic_id
    assert len(new.partitions) == 4
    assert cluster.log("orders", 0) == []
    cluster.check()


def test_what_is_not_there(cluster):
    for call in (cluster.log, cluster.batches):
        with pytest.raises(KeyError):
            call("lost", 0)
        with pytest.raises(IndexError):
            call("orders", 4)
    for change in (cluster.delete_topic, cluster.recreate_topic):
        with pytest.raises(KeyError):
            change("lost")


def test_settings_of_a_topic(cluster):
    cluster.configure("orders", max_message_bytes=10)
    assert cluster.image.topics["orders"].config == TopicConfig(max_message_bytes=10)
    assert JudgeTalk(cluster).code(batch()) == 10


def test_time_never_goes_back(cluster):
    cluster.see(50)
    cluster.see(20)
    assert (cluster.now_ms, cluster.wall_ms) == (50, cluster.epoch_ms + 50)
    cluster.clock = lambda: 70
    assert cluster.now_ms == 70


def test_time_moves_all_connections(cluster):
    talks = [JudgeTalk(cluster, node) for node in (0, 1)]
    for talk, latency_ms in zip(talks, (30, 20), strict=True):
        cluster.brokers[talk.end.broker.node_id].latency_ms = latency_ms
        talk.send(InitProducerIdRequest(), 4)
    assert cluster.next_event_ms() == 20
    cluster.advance(20)
    assert [talk.silent() for talk in talks] == [True, False]
    assert cluster.next_event_ms() == 30
    cluster.advance(30)
    assert not talks[0].silent()
    assert cluster.next_event_ms() is None


def test_what_is_kept_is_bounded():
    cluster = JudgeCluster(topics={"orders": 1}, requests_kept=3)
    talk = JudgeTalk(cluster)
    for _ in range(5):
        talk.code(batch(), index=9)
    assert len(cluster.requests) == len(cluster.refusals) == 3


def test_forgotten_producers_may_go_on(cluster):
    talk = JudgeTalk(cluster)
    assert talk.code(batch(0)) == 0
    assert talk.code(batch(5)) == 45
    cluster.forget_producers("orders", 0)
    assert talk.code(batch(5)) == 0
    with pytest.raises(JudgeViolation, match="sequence 5, where 1 is next"):
        cluster.check()


def test_a_hole_that_the_broker_lets_through_is_found(cluster):
    """The first batch is lost, the second is taken, as the partition knows nothing of the producer."""
    assert JudgeTalk(cluster).code(batch(1)) == 0
    cluster.check(from_zero=False)
    with pytest.raises(JudgeViolation, match="orders-0 offset 0"):
        cluster.check()


def test_doubled_records_are_found(cluster):
    talk = JudgeTalk(cluster)
    for epoch in (0, 1):
        assert talk.code(batch(0, epoch=epoch, value=b"one")) == 0
    cluster.check()
    with pytest.raises(JudgeViolation, match="stands at offset 0 and at 1"):
        cluster.check(identity=lambda record: record.value)


def test_changed_bytes_are_found(cluster):
    talk = JudgeTalk(cluster)
    cluster.fail(PRODUCE, Fault.close(FaultPoint.BEFORE_APPEND))
    with pytest.raises(ConnectionError):
        talk.code(batch(0, value=b"one"))
    assert JudgeTalk(cluster).code(batch(0, value=b"two")) == 0
    with pytest.raises(JudgeViolation, match="other bytes"):
        cluster.check()


class World:
    """A client of kproto's, the judge, and the network between them."""

    def __init__(self, cluster, seed=1, **network):
        self.cluster = cluster
        config = ClientConfig.of(bootstrap_servers="10.0.0.1:9092", request_timeout_ms=1000)
        self.client = WatchedClient(config, rng=Random(seed), make_nonce=str, now_ms=0)
        self.network = SimulatedNetwork(self.client, seed=seed, **network)
        cluster.schedule = self.network.at
        cluster.clock = lambda: self.network.now_ms
        for node_id, node in cluster.image.nodes.items():
            self.network.serve(node.host, node.port, cluster.brokers[node_id].connect)
        self.asked = 0

    def ask(self, request, response, node_id=0, version=None):
        self.asked += 1
        number = self.asked
        self.client.enqueue(
            request, number, self.network.now_ms, timeout_ms=5000, node_id=node_id, version=version, response=response
        )
        self.network.run_until(lambda: number in self.client.ended)
        return self.client.ended[number]


@pytest.mark.parametrize("chunking", ["whole", "bytes", "random"])
def test_a_client_on_a_simulated_network(cluster, chunking):
    world = World(cluster, chunking=chunking, latency_ms=3)
    for broker in cluster.brokers.values():
        broker.latency_ms = 40
    given = world.ask(InitProducerIdRequest(), InitProducerIdResponse, node_id=None).response
    for node_id in (0, 1, 2):
        request = produce_request({"orders": {node_id: batch(0, 2, producer_id=given.producer_id)}}, 12)
        before_ms = world.network.now_ms
        answered = world.ask(request, ProduceResponse, node_id, 12).response
        assert answered.responses[0].partition_responses[0].base_offset == 0
        assert world.network.now_ms - before_ms >= 46
        assert [one.sequence for one in cluster.log("orders", node_id)] == [0, 1]
    cluster.check()


def test_a_lost_answer_on_a_simulated_network(cluster):
    world = World(cluster)
    cluster.fail(PRODUCE, Fault.silence(FaultPoint.AFTER_APPEND))
    cluster.fail(METADATA, Fault.delay(200))
    request = produce_request({"orders": {0: batch(0)}}, 12)
    assert world.ask(request, ProduceResponse, 0, 12).error is not None
    assert world.network.now_ms >= 1000
    answered = world.ask(request, ProduceResponse, 0, 12).response
    found = answered.responses[0].partition_responses[0]
    assert (found.error_code, found.base_offset, found.log_append_time_ms > 0) == (0, 0, True)
    assert len(cluster.log("orders", 0)) == 1
    cluster.check()


def test_the_same_seed_gives_the_same_log_of_the_network():
    def run():
        cluster = JudgeCluster(topics={"orders": 3}, rng=Random(5))
        for broker in cluster.brokers.values():
            broker.latency_ms = lambda rng: 1 + int(rng.random() * 30)
        world = World(cluster, latency_ms=lambda rng: 1 + int(rng.random() * 9), chunking="random")
        for node_id in (0, 1, 2):
            world.ask(produce_request({"orders": {node_id: batch(0)}}, 12), ProduceResponse, node_id, 12)
        return world.network.log

    assert run() == run()


def test_logs_that_are_full_say_so():
    cluster = JudgeCluster(topics={"orders": 1})
    cluster.log_bytes_max = 1_000
    talk = JudgeTalk(cluster)
    assert [talk.code(batch(sequence)) for sequence in (0, 1, 2)] == [0, 0, ErrorCode.POLICY_VIOLATION]
    assert "full" in talk.produce(batch(2)).error_message
    assert talk.produce(batch(1)).base_offset == 1, "what is there is no news"
    assert 0 < cluster.log_bytes <= 1_000


def test_requests_may_be_kept_without_what_they_carry():
    cluster = JudgeCluster(topics={"orders": 1})
    cluster.bodies_kept = False
    JudgeTalk(cluster).code(batch(0))
    (seen,) = cluster.requests
    assert (seen.request, seen.partitions) == (None, (("orders", 0),))


def test_producers_are_forgotten_after_a_time():
    cluster = JudgeCluster(topics={"orders": 1}, producer_expiration_ms=1_000)
    talk = JudgeTalk(cluster)
    assert talk.code(batch(0, at_ms=cluster.epoch_ms)) == 0
    talk.now_ms = 999
    assert talk.code(batch(5)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    talk.now_ms = 1_000
    assert talk.code(batch(5)) == 0


@pytest.mark.parametrize(("policy", "codes"), [("ANY", [0, 0]), ("ZERO", [45, 45]), ("ZERO_WHERE_EMPTY", [45, 0])])
def test_first_sequences(policy, codes):
    """KAFKA-15591"""
    cluster = JudgeCluster(topics={"orders": 1}, first_sequence=FirstSequence[policy])
    talk = JudgeTalk(cluster)
    found = [talk.code(batch(5, producer_id=1))]
    talk.code(batch(0, producer_id=2))
    assert [*found, talk.code(batch(5, producer_id=3))] == codes
