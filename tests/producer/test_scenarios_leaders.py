"""Scenarios of metadata and leaders that need records on their way (C01 to C13), and of odd brokers (F06, F09, F10)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from producer.scenes import TOPIC, bumps, each, fail_produce, finish, send_all, state, world_of
from producer.simulated_producer import ProducerWorld

from kproto.client.errors import KafkaTimeoutError
from kproto.producer.errors import DeliveryTimeoutError
from kproto.producer.events import HeldReason, ProducerIdChanged, SendReason
from kproto.producer.record import NO_OFFSET, NO_PARTITION, WriteStatus
from kproto.tools.judge import Fault, FaultPoint
from kproto.wire import ApiKey, DecodeError, ErrorCode, ProduceRequest

SLOW_BACKOFF = {"retry_backoff_ms": 5_000, "retry_backoff_max_ms": 5_000}
LATENCY_MS = 10


def two_nodes(partitions=1, **settings):
    """Two brokers, both connected; partition n is led by node n modulo 2."""
    world = world_of(max(partitions, 2), nodes=2, **settings)
    world.settle_in((TOPIC, 0), (TOPIC, 1))
    world.advance(1_000)
    only_ids(world)
    return world


def only_ids(world):
    """What happened so far is forgotten, but for the producer's ids."""
    world.events[:] = [event for event in world.events if isinstance(event, ProducerIdChanged)]


def by_name(world):
    """Brokers that know nothing of KIP-951."""
    for broker in world.cluster.brokers.values():
        broker.versions[ApiKey.PRODUCE] = range(3, 10)


def asked(world, api=ApiKey.METADATA):
    return len(world.requests(api))


# C01: the leader has moved


def test_c01_with_a_hint_a_batch_goes_to_the_new_leader_before_any_metadata_comes():
    """testWhenProduceResponseReturnsWithALeaderShipChangeErrorAndNewLeaderInformation."""
    world = two_nodes(**SLOW_BACKOFF)
    world.cluster.move_leader(TOPIC, 0, 1)
    for broker in world.cluster.brokers.values():
        broker.latency_ms = 0
    world.cluster.fail(ApiKey.METADATA, Fault.delay(3_000), times=None)
    began_ms = world.now_ms
    world.delivered(world.send(TOPIC, b"value", partition=0))
    assert [event.node_id for event in world.produced(TOPIC, 0)] == [0, 1]
    assert world.now_ms - began_ms <= 4 * LATENCY_MS, "and the backoff is over with the leader"
    finish(world)
    world.check()
    world.check_at_rest()


def test_c01_without_a_hint_metadata_is_asked_and_the_new_leader_ends_the_backoff():
    """testWhenProduceResponseReturnsWithALeaderShipChangeErrorButNoNewLeaderInformation."""
    world = world_of(2, nodes=2, **SLOW_BACKOFF)
    by_name(world)
    world.settle_in((TOPIC, 0), (TOPIC, 1))
    world.advance(10_000)  # the pace of metadata, too
    only_ids(world)
    world.cluster.move_leader(TOPIC, 0, 1)
    before, began_ms = asked(world), world.now_ms
    world.delivered(world.send(TOPIC, b"value", partition=0))
    assert [event.node_id for event in world.produced(TOPIC, 0)] == [0, 1]
    assert asked(world) == before + 1 and world.now_ms - began_ms < 1_000
    assert world.reasons(TOPIC, 0) == [SendReason.FULL, SendReason.RETRY]
    finish(world)
    world.check()
    world.check_at_rest()


def test_c01_a_leader_that_says_no_and_is_it_still_is_asked_again_after_the_backoff():
    """testProducerBatchRetriesWhenPartitionLeaderChanges, its first half."""
    world = two_nodes(retry_backoff_ms=1_000, retry_backoff_max_ms=1_000)
    fail_produce(world, Fault.error(ErrorCode.NOT_LEADER_OR_FOLLOWER))
    world.delivered(world.send(TOPIC, b"value", partition=0))
    first, second = world.produced(TOPIC, 0)
    assert (first.node_id, second.node_id) == (0, 0) and second.at_ms - first.at_ms >= 800
    finish(world)
    world.check()
    world.check_at_rest()


def test_c01_a_new_epoch_of_the_same_leader_ends_the_backoff_too():
    world = two_nodes(**SLOW_BACKOFF)
    fail_produce(world, Fault.error(ErrorCode.NOT_LEADER_OR_FOLLOWER))
    sent = world.send(TOPIC, b"value", partition=0)
    world.cluster.move_leader(TOPIC, 0, 0)
    began_ms = world.now_ms
    world.delivered(sent)
    assert world.now_ms - began_ms < 1_000
    finish(world)
    world.check()
    world.check_at_rest()


def test_c01_a_hint_of_old_moves_nothing_back():
    """A broker that lags behind names itself, or the leader of before."""
    world = two_nodes(retry_backoff_ms=50)
    world.cluster.brokers[1].metadata_delay_ms = None
    world.cluster.move_leader(TOPIC, 0, 1)
    world.client.metadata.request_update()
    world.advance(1_000)
    sent = world.send(TOPIC, b"value", partition=0)
    world.advance(500)
    assert not sent.done
    assert state(world).lane.node_id == 1, "1 says that 0 is the leader, in an epoch that is over"
    world.cluster.brokers[1].catch_up()
    world.delivered(sent)
    finish(world)
    world.check()
    world.check_at_rest()


def test_dec_13_what_the_old_leader_has_not_answered_is_waited_for():
    """Requests to two leaders of one partition might be served in any order."""
    world = two_nodes()
    fail_produce(world, Fault.delay(400))
    first = world.send(TOPIC, b"1", partition=0)
    world.advance(50)
    world.cluster.move_leader(TOPIC, 0, 1)
    world.client.metadata.request_update()
    world.advance(50)
    second = world.send(TOPIC, b"2", partition=0)
    world.advance(100)
    assert world.held(TOPIC, 0)[-1].reason is HeldReason.OLD_LEADER and len(world.produced(TOPIC, 0)) == 1
    assert world.delivered(second).offset == world.delivered(first).offset + 1
    assert world.produced(TOPIC, 0)[-1].node_id == 1
    finish(world)
    world.check()
    world.check_at_rest()


def test_c01_a_leader_that_moves_all_the_time_loses_and_doubles_nothing():
    world = two_nodes(2, retry_backoff_ms=20)
    values = [b"%d" % number for number in range(120)]
    for number, value in enumerate(values):
        world.send(TOPIC, value, partition=number % 2)
        if number % 5 == 0:
            partition = number // 5 % 2
            world.cluster.move_leader(TOPIC, partition, 1 - world.leader(TOPIC, partition))
        world.advance(7)
    world.flush()
    for partition in range(2):
        assert world.values(TOPIC, partition)[1:] == values[partition::2]
    world.check()
    world.check_at_rest()


def test_c11_a_leader_that_metadata_does_not_show_is_asked_for_until_it_is_back():
    """A broker that is restarting: its id stands with its partitions, its address nowhere."""
    world = two_nodes(retry_backoff_ms=100)
    nodes = world.cluster.image.nodes
    world.cluster.set_nodes({0: nodes[0]})
    world.client.metadata.request_update()
    world.advance(500)
    sent = world.send(TOPIC, b"value", partition=1)
    before = asked(world)
    world.advance(10_000)
    assert world.held(TOPIC, 1)[-1].reason is HeldReason.NO_LEADER and 5 < asked(world) - before < 110
    world.cluster.set_nodes(nodes)
    began_ms = world.now_ms
    world.delivered(sent)
    assert world.now_ms - began_ms < 2_000
    finish(world)
    world.check()
    world.check_at_rest()


# C05 and C08: what is not there


def test_c05_a_partition_that_is_missing_for_a_while_keeps_its_records():
    world = two_nodes(retry_backoff_ms=100)
    fault = Fault.error(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, topic=TOPIC)
    world.cluster.fail(ApiKey.METADATA, fault, times=3)
    world.client.metadata.request_update()
    world.advance(200)
    sent = send_all(world, *each(b"abc"))
    world.run_until(lambda: all(one.done for one in sent))
    assert [one.error for one in sent] == [None] * 3 and world.values(TOPIC, 0)[1:] == each(b"abc")
    finish(world)
    world.check()
    world.check_at_rest()


def test_c05_a_partition_that_metadata_does_not_show_yet_is_asked_for_again_and_again():
    """Another broker has told the sender's thread of it: this one lags behind."""
    world = two_nodes(retry_backoff_ms=100)
    queues = world.accumulator.topic(TOPIC)
    world.accumulator.append(queues, 3, (1, None, b"value", ()), now_ms=world.now_ms)
    before = asked(world)
    world.advance(3_000)
    assert asked(world) - before > 5
    world.cluster.add_partitions(TOPIC, 4)
    world.run_until(lambda: not world.accumulator.incomplete, 2_000)
    assert world.values(TOPIC, 3) == [b"value"]
    finish(world)
    world.check_at_rest()


def test_c05_a_topic_that_is_gone_for_good_fails_its_records_in_time_and_leaves_the_others_alone():
    world = two_nodes(request_timeout_ms=1_000, delivery_timeout_ms=4_000, retry_backoff_ms=100)
    world.cluster.create_topic("other", 1)
    world.learn("other")
    world.cluster.delete_topic(TOPIC)
    before = asked(world)
    began_ms = world.now_ms
    sent = send_all(world, *each(b"abc"))
    other = world.send("other", b"value", partition=0)
    world.delivered(other)
    world.run_until(lambda: all(one.done for one in sent))
    assert world.now_ms - began_ms == 4_000
    for one in sent:
        assert isinstance(one.error, DeliveryTimeoutError) and one.error.written is not None
    assert sent[1].error.written is WriteStatus.NO and "UNKNOWN_TOPIC" in str(sent[1].error.cause)
    assert asked(world) - before < 60, "and metadata is not hammered"
    world.cluster.create_topic(TOPIC, 2)
    world.client.metadata.request_update()
    world.advance(5_000)
    again = world.send(TOPIC, b"again", partition=0)
    world.delivered(again)
    world.sent = [other, again]  # of the old topic nothing is left
    world.check()
    world.check_at_rest()


def test_c07_records_for_a_topic_that_is_made_again_go_to_the_new_one():
    world = two_nodes(retry_backoff_ms=50)
    old = world.client.cluster.topic_id(TOPIC)
    world.cluster.recreate_topic(TOPIC)
    sent = [world.send(TOPIC, value, partition=0) for value in each(b"abc")]
    world.run_until(lambda: all(one.done for one in sent))
    assert world.client.cluster.topic_id(TOPIC) != old
    assert world.values(TOPIC, 0) == each(b"abc")
    world.sent = sent  # of the old topic nothing is left
    world.check(strict=False)  # the new log begins where the sequences were
    world.check_at_rest()


def test_c08_the_first_record_of_a_topic_waits_until_it_is_made_everywhere():
    world = world_of(1, nodes=2)
    world.cluster.auto_create_partitions = 2
    for broker in world.cluster.brokers.values():
        broker.metadata_delay_ms = 700
    world.delivered(world.send("new", b"value"))
    assert world.now_ms >= 700
    assert sum(len(world.values("new", partition)) for partition in range(2)) == 1
    finish(world)
    world.check()
    world.check_at_rest()


def test_c08_a_topic_that_nobody_makes_is_asked_for_now_and_then():
    world = world_of(1)
    before = asked(world)
    with pytest.raises(AssertionError, match="did not come within"):
        world.learn("nowhere", limit_ms=10_000)
    assert 3 <= asked(world) - before <= 110
    assert world.client.metadata.topic_error("nowhere") is not None
    world.delivered(world.send(TOPIC, b"value", partition=0))
    finish(world)
    world.check_at_rest()


# C09: more partitions


def test_c09_partitions_that_are_added_get_their_share_and_order_holds():
    world = two_nodes(2, batch_size=200, linger_ms=5, metadata_max_age_ms=500)
    for number in range(300):
        if number == 100:
            world.cluster.add_partitions(TOPIC, 6)
        world.append(TOPIC, b"%04d" % number + bytes(60), partition=NO_PARTITION)
        world.advance(10)
    world.flush()
    late = [len(world.values(TOPIC, partition)) for partition in range(2, 6)]
    assert all(late), late
    finish(world)
    world.check()
    world.check_at_rest()


def test_c09_the_first_send_comes_before_any_metadata():
    world = ProducerWorld(2, {TOPIC: 3}, learns=False, linger_ms=0)
    sent = [world.send(TOPIC, b"%d" % number, partition=number) for number in range(3)]
    assert {world.delivered(one).offset for one in sent} == {0}
    world.check()
    world.check_at_rest()


# C13: a topic that nobody has sent to for long


def test_c13_a_topic_stays_known_while_its_records_wait_whatever_metadata_forgets():
    """testMetadataTopicExpiry. Its leader is away for longer than an idle topic is kept."""
    world = two_nodes(metadata_max_idle_ms=5_000, metadata_max_age_ms=1_000, delivery_timeout_ms=60_000)
    world.cluster.no_leader(TOPIC, 0)
    world.client.metadata.request_update()
    world.advance(500)
    sent = world.send(TOPIC, b"value", partition=0)
    world.advance(20_000)
    assert not sent.done and TOPIC in world.client.metadata.topics
    world.cluster.move_leader(TOPIC, 0, 1)
    began_ms = world.now_ms
    world.delivered(sent)
    assert world.now_ms - began_ms <= 2_000
    finish(world)
    world.check()
    world.check_at_rest()


def test_c13_trap_14_a_topic_that_was_forgotten_is_learned_again_with_the_next_record():
    world = two_nodes(metadata_max_idle_ms=5_000, metadata_max_age_ms=1_000)
    world.advance(20_000)
    assert TOPIC not in world.client.cluster.topics
    world.delivered(world.send(TOPIC, b"value", partition=0))
    finish(world)
    world.check()
    world.check_at_rest()


def test_c13_records_that_were_queued_as_the_topic_was_forgotten_are_delivered():
    """An append that raced with the forgetting: the queue is there, the topic is not."""
    world = two_nodes(metadata_max_idle_ms=5_000, metadata_max_age_ms=1_000)
    world.advance(20_000)
    assert TOPIC not in world.client.cluster.topics
    queues = world.accumulator.topics[TOPIC]
    world.accumulator.append(queues, 1, (1, None, b"raced", ()), now_ms=world.now_ms)
    world.run_until(lambda: not world.accumulator.incomplete, 5_000)
    assert world.values(TOPIC, 1)[1:] == [b"raced"]
    finish(world)
    world.check_at_rest()


# F06: topic ids are missing


def test_f06_metadata_without_topic_ids_means_produce_12():
    world = ProducerWorld(1, {TOPIC: 1}, learns=False, linger_ms=0)
    world.cluster.brokers[0].versions[ApiKey.METADATA] = range(10)
    world.delivered(world.send(TOPIC, b"value", partition=0))
    assert [seen.version for seen in world.requests()] == [12]
    finish(world)
    world.check()
    world.check_at_rest()


def test_f06_one_topic_without_an_id_among_others_goes_by_name_with_them():
    """A cluster that is being upgraded: half of its brokers tell ids."""
    world = two_nodes(2, linger_ms=20, batch_size=16_384)
    cluster = world.client.cluster
    topic = replace(cluster.topics[TOPIC], topic_id=type(cluster.topics[TOPIC].topic_id)(int=0))
    world.client.metadata.cluster = replace(cluster, topics={**cluster.topics, TOPIC: topic})
    world.delivered(world.send(TOPIC, b"value", partition=0))
    assert world.requests()[-1].version == 12
    finish(world)
    world.check()
    world.check_at_rest()


# F09: no acknowledgement


def unacknowledged(**settings):
    return world_of(1, acks=0, **settings)


def test_f09_trap_59_without_acknowledgement_a_record_is_done_once_it_is_written_to_the_socket():
    world = unacknowledged(network={"window": 1_000, "latency_ms": 10})
    small = world.send(TOPIC, b"small", partition=0)
    metadata = world.delivered(small)
    assert metadata.offset == NO_OFFSET and metadata.partition == 0
    large = world.send(TOPIC, bytes(50_000), partition=0)
    assert not large.done, "the socket takes it bit by bit"
    world.delivered(large)
    finish(world, bumped=-1)
    assert world.values(TOPIC, 0) == [b"small", bytes(50_000)]
    assert not state(world).sequences.in_flight
    world.check_at_rest()


def test_f09_the_broker_that_refuses_can_only_close_the_connection_and_the_next_record_goes_on():
    world = unacknowledged()
    world.delivered(world.send(TOPIC, b"1", partition=0))
    world.advance(100)
    world.cluster.fail(ApiKey.PRODUCE, Fault.close(FaultPoint.BEFORE_APPEND))
    world.delivered(world.send(TOPIC, b"lost", partition=0))
    world.advance(200)
    world.delivered(world.send(TOPIC, b"2", partition=0))
    world.advance(200)
    assert world.values(TOPIC, 0) == [b"1", b"2"]
    assert bumps(world) == []
    world.check_at_rest()


def test_f09_a_connection_that_is_lost_before_all_is_written_is_no_delivery():
    world = unacknowledged(network={"window": 1_000, "latency_ms": 10}, retries=0)
    world.delivered(world.send(TOPIC, b"1", partition=0))
    sent = world.send(TOPIC, bytes(50_000), partition=0)
    world.advance(15)
    world.cut(0)
    error = world.failed(sent)
    assert error.written is WriteStatus.POSSIBLY and error.code in (ErrorCode.NETWORK_EXCEPTION, None)
    world.advance(2_000)
    assert world.values(TOPIC, 0) == [b"1"]
    world.check_at_rest()


def test_f09_and_requests_that_are_answered_share_the_connection():
    """Metadata over the same connection: its answer is not taken for one of a batch."""
    world = unacknowledged(metadata_max_age_ms=50)
    for number in range(40):
        world.send(TOPIC, b"%d" % number, partition=0)
        world.advance(11)
    world.flush()
    world.advance(100)
    assert world.values(TOPIC, 0) == [b"%d" % number for number in range(40)]
    assert asked(world) > 5
    world.check_at_rest()


# F10: what only a broken client would send


@pytest.mark.parametrize("version", [version for version in ProduceRequest.versions if version >= 3])
def test_f10_a_partition_without_records_is_encoded_whole_tags_and_all(version):
    data = ProduceRequest.PartitionProduceData(index=3, records=None)
    topic = ProduceRequest.TopicProduceData(name="orders" if version < 13 else "", partition_data=[data])
    encoded = ProduceRequest(acks=-1, timeout_ms=7, topic_data=[topic]).encode(version)
    assert encoded.endswith(b"\0\0\0\3\xff\xff\xff\xff" if version < 9 else b"\0\0\0\3\0\0\0\0")
    assert ProduceRequest.decode(encoded, version).topic_data[0].partition_data[0].records is None
    with pytest.raises(DecodeError):
        ProduceRequest.decode(encoded[:-1], version)


def test_the_wait_for_metadata_and_its_error_are_the_face_s():
    """What the cores give it: the reason."""
    world = world_of(1)
    world.cluster.fail(ApiKey.METADATA, Fault.error(ErrorCode.TOPIC_AUTHORIZATION_FAILED, topic="secret"), times=None)
    world.client.metadata.add_topic("secret", world.now_ms)
    world.advance(1_000)
    error = KafkaTimeoutError("metadata", 1, world.client.metadata.topic_error("secret"))
    assert "TOPIC_AUTHORIZATION_FAILED" in str(error.__cause__ or error.cause)
