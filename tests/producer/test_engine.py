"""A producer's parts, put together: what both faces ask, and what the end of a pass brings."""

from __future__ import annotations

import asyncio
import time
import traceback
from contextlib import nullcontext

import pytest

from kproto.client import Cluster, KafkaTimeoutError, Node, Partition
from kproto.client.cluster import Topic
from kproto.client.metadata_merge import ClusterIdChanged
from kproto.producer import engine as module
from kproto.producer.config import ProducerConfig
from kproto.producer.engine import Engine
from kproto.producer.errors import (
    InvalidTopicError,
    MessageSizeTooLargeError,
    PartitionerError,
    ProducerClosedError,
    ProducerFatalError,
    SerializationError,
    TopicAuthorizationFailedError,
)
from kproto.producer.metrics import MetricName
from kproto.producer.producer_id import ProducerIdAndEpoch
from kproto.wire import ErrorCode, KafkaError


def engine_of(cluster=None, **settings):
    engine = Engine(ProducerConfig.of(**{"bootstrap_servers": "judge:9092", **settings}), lock=nullcontext())
    if cluster is not None:
        know(engine, cluster)
    return engine


def know(engine, cluster):
    """The cluster is known, as at the end of the pass that learns it."""
    engine.network.metadata.cluster = cluster
    engine.take_ended()


def cluster_of(errors=None, **topics):
    nodes = {0: Node(0, "judge", 9092, "near"), 1: Node(1, "judge", 9093, "far")}
    known = {
        name: Topic(name, partitions={number: Partition(number, number % 2, 0) for number in range(count)})
        for name, count in topics.items()
    }
    return Cluster("judge", 0, nodes, known, errors or {})


# Topics


def test_a_topic_is_known_once_the_cluster_has_partitions_of_it():
    engine = engine_of(cluster_of(empty=0))
    assert engine.known_topic("orders", None) is None
    assert engine.known_topic("empty", None) is None
    know(engine, cluster_of(orders=2))
    queues = engine.known_topic("orders", None)
    assert queues.name == "orders" and queues.choices.partitions == (0, 1)
    assert engine.known_topic("orders", 1) is queues


def test_trap_2_a_partition_is_known_once_the_topic_has_so_many():
    engine = engine_of(cluster_of(orders=2))
    assert engine.known_topic("orders", 2) is None
    know(engine, cluster_of(orders=3))
    assert engine.known_topic("orders", 2).choices.partitions == (0, 1, 2)


def test_choices_follow_the_cluster_and_the_rack():
    engine = engine_of(cluster_of(orders=4), client_rack="far", partitioner_rack_aware=True)
    assert engine.known_topic("orders", None).choices.candidates == (1, 3)
    assert engine_of(cluster_of(orders=4), client_rack="far").known_topic("orders", None).choices.local == ()


def test_a_sticky_partition_that_is_gone_is_forgotten():
    engine = engine_of(cluster_of(orders=3))
    sticky = engine.known_topic("orders", None).sticky
    sticky.current = 1
    know(engine, cluster_of(orders=2))
    assert sticky.current == 1
    know(engine, cluster_of(orders=1))
    assert sticky.current is None


def test_a_topic_that_is_deleted_is_asked_for_again_and_a_send_under_way_still_has_choices():
    """A thread that waits for room has chosen its topic long ago; there is nothing to divide by zero."""
    engine = engine_of(cluster_of(orders=2))
    queues = engine.known_topic("orders", None)
    queues.sticky.current = 1
    know(engine, cluster_of(others=1))
    assert engine.known_topic("orders", None) is None
    assert queues.choices.partitions == (0, 1) and queues.sticky.current == 1
    assert engine.prepare(queues, b"v", b"key", None, None, None)[0] in (0, 1)
    know(engine, cluster_of(orders=1))
    assert engine.known_topic("orders", None).choices.partitions == (0,)


def test_meta_wait_1_meta_wait_4_what_no_waiting_cures():
    errors = {
        "invalid": ErrorCode.INVALID_TOPIC_EXCEPTION,
        "secret": ErrorCode.TOPIC_AUTHORIZATION_FAILED,
        "coming": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    }
    engine = engine_of(cluster_of(errors))
    with pytest.raises(InvalidTopicError, match="topic invalid"):
        engine.check_topic("invalid")
    with pytest.raises(TopicAuthorizationFailedError, match="topic secret"):
        engine.check_topic("secret")
    engine.check_topic("coming")
    engine.check_topic("never heard of")


def test_meta_wait_4_the_timeout_names_topic_partition_and_cause():
    engine = engine_of(cluster_of({"coming": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}, orders=2))
    error = engine.topic_timeout("coming", None, 70)
    assert isinstance(error, KafkaTimeoutError) and error.timeout_ms == 70
    assert "metadata of topic coming" in str(error)
    assert error.cause.code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert "partition 7 of topic orders, which has 2" in str(engine.topic_timeout("orders", 7, 70))
    assert "metadata of topic orders" in str(engine.topic_timeout("orders", None, 70))
    assert engine.topic_timeout("orders", None, 70).cause is None
    engine.network.metadata.last_error = KafkaError("no answer")
    assert engine.topic_timeout("orders", None, 70).cause.args == ("no answer",)


def test_meta_wait_2_to_ask_for_a_topic_keeps_it_of_interest():
    engine = engine_of()
    version = engine.ask_for_topic("orders", 5)
    assert version == engine.network.metadata.update_version
    assert "orders" in engine.network.metadata.topics


# Records


def test_send_3_serialize_then_choose_then_measure():
    calls = []

    def serialize(topic, data):
        calls.append("serialize")
        return data

    def choose(topic, key, partitions):
        calls.append(("choose", key, partitions))
        return 1

    engine = engine_of(
        cluster_of(orders=2), value_serializer=serialize, partitioner=choose, max_request_size=150, linger_ms=0
    )
    queues = engine.known_topic("orders", None)
    assert engine.prepare(queues, b"v", b"k", None, 7, [("h", b"x")]) == (1, (7, b"k", b"v", (("h", b"x"),)))
    with pytest.raises(MessageSizeTooLargeError) as raised:
        engine.prepare(queues, b"v" * 100, b"k", None, 7, None)
    assert raised.value.partition.partition == 1, "trap 11: it was chosen already"
    assert calls == ["serialize", ("choose", b"k", (0, 1))] * 2
    engine.prepare(queues, b"v", b"k", 0, 7, None)
    assert calls[4:] == ["serialize"], "a partition that is given is not chosen"
    with pytest.raises(SerializationError):
        engine.prepare(queues, 5, None, None, 7, None)


def test_the_partitioners_errors_are_the_sends():
    engine = engine_of(cluster_of(orders=2), partitioner=lambda topic, key, partitions: 2)
    with pytest.raises(PartitionerError):
        engine.prepare(engine.known_topic("orders", None), b"v", None, None, None, None)


def test_trap_8_a_record_without_a_timestamp_has_that_of_the_moment():
    engine = engine_of(cluster_of(orders=2))
    before = time.time_ns() // 1_000_000
    _, (at_ms, *_) = engine.prepare(engine.known_topic("orders", None), b"v", None, 0, None, None)
    assert before <= at_ms <= time.time_ns() // 1_000_000
    _, (at_ms, *_) = engine.prepare(engine.known_topic("orders", None), b"v", None, 0, 0, None)
    assert at_ms == 0


# The state


def test_ready_is_a_known_cluster_and_a_producer_id():
    engine, plain = engine_of(), engine_of(enable_idempotence=False)
    assert not engine.ready and not plain.ready
    for each in (engine, plain):
        each.network.metadata.update_version = 1
    assert plain.ready and not engine.ready
    engine.sender.producer_id.identity = ProducerIdAndEpoch(7, 0)
    assert engine.ready


def test_nothing_is_accepted_once_it_is_closed_or_has_failed():
    engine = engine_of()
    engine.check_open()
    engine.accumulator.close()
    with pytest.raises(ProducerClosedError):
        engine.check_open()
    cause = KafkaError("fenced")
    engine.sender.error = ProducerFatalError(cause)
    with pytest.raises(ProducerFatalError) as raised:
        engine.check_open()
    assert raised.value.cause is cause


def test_sends_in_vain_do_not_pile_up_in_one_traceback():
    engine = engine_of()
    engine.sender.error = ProducerFatalError(KafkaError("fenced"))
    depths = []
    for _ in range(50):
        try:
            engine.check_open()
        except ProducerFatalError as error:
            depths.append(len(traceback.extract_tb(error.__traceback__)))
    assert depths == [2] * 50
    assert engine.sender.error.__traceback__ is None


def test_gauges_and_the_snapshot():
    engine = engine_of(buffer_memory=1000, client_id="mine")
    gauges = engine.gauges(5)
    assert gauges["buffer-total-bytes"] == gauges["buffer-available-bytes"] == 1000
    assert gauges["waiting-threads"] == gauges["requests-in-flight"] == gauges["batches-queued"] == 0
    engine.accumulator.memory.charge(400)
    name = MetricName("buffer-available-bytes", "producer-metrics", (("client-id", "mine"),))
    assert engine.snapshot()[name] == 600


@pytest.mark.parametrize("shield", [None, nullcontext])
def test_its_driver_makes_passes_of_the_sender(shield):
    passes, loop = [], asyncio.SelectorEventLoop()
    engine = engine_of(bootstrap_servers="127.0.0.1:1")
    driver = engine.driver(loop, lambda: passes.append("collect"), lambda _: passes.append("deliver"), shield)
    try:
        driver.run_pass()
        assert passes[:2] == ["collect", "deliver"]
        assert driver._tokens is None
    finally:
        driver.close()
        loop.close()


def test_its_driver_has_the_users_tokens():
    engine = engine_of(
        security_protocol="SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER", sasl_oauth_token_provider=lambda: "token"
    )
    loop = asyncio.SelectorEventLoop()
    try:
        assert engine.driver(loop, bool, bool, None)._tokens is not None
    finally:
        loop.close()


# What is told


def test_adjustments_are_told_when_it_is_made(caplog):
    engine = engine_of(acks=1)
    assert engine.config.adjustments
    assert caplog.messages == [*engine.config.adjustments]


def test_a_bug_is_told_once(caplog):
    engine = engine_of()
    engine.sender.crash = ValueError("boom")
    engine.take_ended()
    engine.take_ended()
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info[1] is engine.sender.crash
    assert "please report it" in caplog.text


def test_warnings_of_metadata_are_told_once_and_not_without_end(caplog):
    engine = engine_of()
    for number in range(module.LOGGED_MAX + 5):
        engine.network.metadata._warnings.append(ClusterIdChanged("a", str(number)))
        engine.take_ended()
        engine.take_ended()
    assert len(caplog.records) == module.LOGGED_MAX
    assert "cluster 0, before from a" in caplog.messages[0]
