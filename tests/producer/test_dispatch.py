"""What leaves in a pass: whose turn it is, what goes along, what fits, and why the rest is held."""

from __future__ import annotations

from collections import Counter

import pytest
from producer.simulated_producer import ProducerWorld

from kproto.client import TopicPartition
from kproto.producer.errors import ProducerFatalError
from kproto.producer.events import HeldReason, ProducerIdChanged, SendReason
from kproto.producer.partition_state import NO_LEADER
from kproto.producer.producer_id import EPOCH_MAX, NO_IDENTITY, ProducerIdAndEpoch
from kproto.tools.judge import NO_LEADER as LEADERLESS
from kproto.tools.judge import Fault, FaultPoint
from kproto.wire import ApiKey, ErrorCode

KB = 1_000


def one_node(partitions=3, **settings):
    """One broker that leads all of `orders`, with a connection that is ready."""
    world = ProducerWorld(nodes=1, topics={"orders": partitions}, **settings)
    world.settle_in(*[("orders", number) for number in range(partitions)])
    world.advance(1_000)
    world.events.clear()
    return world


def value(number, size=KB):
    return b"%d " % number + bytes(size)


def batches_of(world):
    """Partitions of each Produce request that came, in order."""
    return [[number for _, number in seen.partitions] for seen in world.requests()]


def reasons(world, partition):
    return [held.reason for held in world.held("orders", partition)]


def state_of(world, partition=0):
    return world.sender.lanes.state(TopicPartition("orders", partition))


# What goes along


def test_drain_1_whoever_is_due_takes_all_along_that_may_go():
    world = one_node(partitions=4, linger_ms=50)
    for number in range(4):
        world.send("orders", value(number), partition=number)
        world.advance(5)
    before = len(world.requests())
    world.advance(100)
    assert [sorted(each) for each in batches_of(world)[before:]] == [[0, 1, 2, 3]]
    assert [world.reasons("orders", number) for number in range(4)] == [
        [SendReason.LINGER],
        [SendReason.PIGGYBACK],
        [SendReason.PIGGYBACK],
        [SendReason.PIGGYBACK],
    ]
    world.check()
    world.check_at_rest()


def test_trap_23_a_request_has_one_batch_of_each_partition():
    world = one_node(batch_size=0, linger_ms=0, max_in_flight_requests_per_connection=1)
    sent = [world.append("orders", value(number), partition=number % 2) for number in range(10)]
    world.flush()
    assert all(one.done for one in sent)
    assert all(len(each) == len(set(each)) for each in batches_of(world))
    world.check()
    world.check_at_rest()


def test_nothing_goes_along_with_a_batch_that_may_not_go():
    """A partition that is held does not make those leave that linger."""
    world = one_node(linger_ms=200)
    world.cluster.fail(ApiKey.PRODUCE, Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS, topic="orders", partition=0))
    world.send("orders", value(0), partition=0)
    world.advance(201)
    assert len(world.produced("orders", 0)) == 1
    world.advance(20)
    world.send("orders", value(1), partition=1)
    world.advance(30)
    assert world.produced("orders", 1) == [], "the other backs off, and this one lingers"
    world.advance(500)
    assert world.reasons("orders", 1) == [SendReason.PIGGYBACK]
    world.flush()
    world.check()
    world.check_at_rest()


def test_ready_2_a_batch_that_backs_off_does_not_go_along():
    world = one_node(linger_ms=0, retry_backoff_ms=1_000)
    world.cluster.fail(ApiKey.PRODUCE, Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS, topic="orders", partition=0))
    world.send("orders", value(0), partition=0)
    world.advance(10)
    for number in range(20):
        world.send("orders", value(number), partition=1)
        world.advance(10)
    assert len(world.produced("orders", 0)) == 1 and len(world.produced("orders", 1)) == 20
    world.flush()
    world.check()
    world.check_at_rest()


# What fits


def test_d03_a_request_is_filled_up_to_max_request_size_and_the_rest_goes_first_in_the_next():
    """testPartialDrain, testDrainBatches; trap 24."""
    world = one_node(partitions=5, linger_ms=10, max_request_size=2_500, max_in_flight_requests_per_connection=1)
    world.network.latency_ms = 5
    for number in range(5):
        world.append("orders", value(number), partition=number)
    before = len(world.requests())
    world.advance(100)
    assert batches_of(world)[before:] == [[0, 1], [2, 3], [4]]
    assert reasons(world, 2)[:1] == [HeldReason.REQUEST_FULL]
    world.check()
    world.check_at_rest()


def test_d03_one_that_did_not_fit_leaves_as_soon_as_it_may_whatever_its_linger_is():
    """It was closed to go along, so it takes nothing more: to let it linger on would be of no use."""
    world = one_node(partitions=2, linger_ms=5_000, max_request_size=2_000, batch_size=1_500)
    for number in range(2):
        world.append("orders", value(number, 1_300), partition=0)
    world.append("orders", value(1, 1_200), partition=1)
    world.advance(100)
    assert len(world.produced("orders", 0)) == 2, "and its second one goes along"
    assert world.reasons("orders", 1) == [SendReason.PIGGYBACK]
    world.flush()
    world.check()
    world.check_at_rest()


def test_drain_3_trap_25_a_batch_larger_than_a_request_goes_alone():
    world = one_node(partitions=2, batch_size=10_000, linger_ms=10, max_request_size=3_000)
    for number in range(6):
        world.append("orders", value(number), partition=0)
    world.append("orders", value(9), partition=1)
    before = len(world.requests())
    world.advance(100)
    assert sorted(map(tuple, batches_of(world)[before:])) == [(0,), (1,)]
    world.check()
    world.check_at_rest()


def test_drain_6_everybody_has_his_turn():
    """However the sizes fall: over many requests each partition gets as many as any other."""
    world = one_node(partitions=7, batch_size=0, linger_ms=0, max_request_size=3_500)
    for turn in range(30):
        for number in range(7):
            world.append("orders", value(turn * 7 + number), partition=number)
    before = len(world.requests())
    world.run_until(lambda: len(world.requests()) >= before + 35)
    counts = Counter(number for each in batches_of(world)[before : before + 35] for number in each)
    assert max(counts.values()) - min(counts.values()) <= 2, counts
    world.flush()
    world.check()
    world.check_at_rest()


def test_drain_2_a_partition_that_may_not_send_does_not_hold_up_those_behind_it():
    """A deviation from Java: there one blocked partition ends the node's turn."""
    world = one_node(partitions=3, batch_size=0, linger_ms=0, retry_backoff_ms=500)
    world.network.latency_ms = 20
    for number in range(3):
        world.append("orders", value(number), partition=0)
    world.cluster.fail(ApiKey.PRODUCE, Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS, topic="orders", partition=0), times=4)
    world.advance(200)
    started = world.now_ms
    sent = [world.send("orders", value(10 + number), partition=number) for number in (1, 2)]
    world.run_until(lambda: all(one.done for one in sent))
    assert world.now_ms - started <= 50 and state_of(world).queue.batches
    world.flush()
    world.check()
    world.check_at_rest()


def test_drain_2_one_that_waits_for_its_first_acknowledgement_lets_the_others_go():
    world = ProducerWorld(nodes=1, topics={"orders": 3}, linger_ms=30, batch_size=1_500)
    world.settle_in(("orders", 1), ("orders", 2))
    world.cluster.brokers[0].latency_ms = 200
    world.events.clear()
    for number in range(3):  # the last one lingers
        world.append("orders", value(number), partition=0)
    world.run_until(lambda: world.produced("orders", 0))
    started = world.now_ms
    world.append("orders", value(9), partition=1)
    world.advance(40)
    assert [event.at_ms for event in world.produced("orders", 1)] == [started + 30]
    assert len(world.produced("orders", 0)) == 1
    world.flush()
    world.check()
    world.check_at_rest()


# Why the rest is held


def test_a_reason_is_told_once_until_it_changes():
    world = one_node(linger_ms=0, batch_size=0)
    world.cluster.brokers[0].latency_ms = 300
    for number in range(8):
        world.send("orders", value(number), partition=0)
    for _ in range(20):
        world.sender.poll(world.now_ms)
    assert reasons(world, 0) == [HeldReason.IN_FLIGHT_LIMIT]
    world.flush()
    world.check()
    world.check_at_rest()


@pytest.mark.parametrize("observed", [True, False])
def test_nobody_listens_and_all_goes_the_same_way(observed):
    world = one_node(linger_ms=0, batch_size=0)
    if not observed:
        world.sender._dispatch._observer = None
        world.sender.lanes._observer = None
    world.down(0)
    for number in range(3):
        world.send("orders", value(number), partition=number)
    world.advance(500)
    world.up(0)
    world.flush()
    assert bool(world.held("orders", 0)) is observed
    world.check()
    world.check_at_rest()


def test_held_first_acknowledgement_and_then_five_at_once():
    world = ProducerWorld(nodes=1, topics={"orders": 1}, linger_ms=0, batch_size=0)
    world.cluster.brokers[0].latency_ms = 50
    world.send("orders", value(0), partition=0)
    world.run_until(lambda: world.produced("orders", 0))
    for number in range(1, 7):
        world.send("orders", value(number), partition=0)
    assert reasons(world, 0)[-1] is HeldReason.FIRST_ACKNOWLEDGEMENT
    assert len(world.produced("orders", 0)) == 1
    world.run_until(lambda: len(world.produced("orders", 0)) > 1)
    assert len(state_of(world).sequences.in_flight) == 5
    world.flush()
    world.check()
    world.check_at_rest()


def test_held_while_throttled_and_written_later():
    """READY-5, G03: what the broker asks for is kept, and shown."""
    world = one_node(linger_ms=0, batch_size=0)
    world.cluster.fail(ApiKey.PRODUCE, Fault.throttle(400))
    world.delivered(world.send("orders", value(0), partition=0))
    began_ms = world.now_ms
    later = world.send("orders", value(1), partition=0)
    assert reasons(world, 0) == [HeldReason.THROTTLED]
    world.delivered(later)
    assert world.now_ms - began_ms >= 390
    world.check()
    world.check_at_rest()


def test_held_while_the_request_before_is_not_written():
    world = one_node(linger_ms=0, batch_size=0, network={"window": 20_000})
    large = world.append("orders", bytes(100_000), partition=0)
    small = world.append("orders", value(1), partition=0)
    world.network.advance(0)
    assert reasons(world, 0)[-1] is HeldReason.WRITING
    assert world.delivered(large).offset == 1 and world.delivered(small).offset == 2
    world.check()
    world.check_at_rest()


def test_held_while_there_is_no_connection():
    world = ProducerWorld(nodes=2, topics={"orders": 2}, linger_ms=0, batch_size=0)
    world.settle_in(("orders", 0), ("orders", 1))
    world.down(1)
    world.advance(100)
    sent = world.send("orders", value(1), partition=1)
    world.advance(2_000)
    assert reasons(world, 1)[-1] is HeldReason.NOT_CONNECTED
    world.up(1)
    world.delivered(sent)
    world.check()
    world.check_at_rest()


def test_metadata_that_is_due_does_not_hold_up_a_leader_that_is_there():
    world = one_node(linger_ms=0, batch_size=0)
    sent = world.append("orders", value(1), partition=0)
    world.sender.lanes.update(world.client.cluster, world.now_ms)
    world.client.metadata.request_update()
    world.sender._dispatch.run(world.now_ms)
    assert len(world.produced("orders", 0)) == 1
    world.delivered(sent)
    world.check()
    world.check_at_rest()


def test_ready_4_without_a_leader_metadata_is_asked_for_and_all_is_held():
    world = one_node(linger_ms=0, batch_size=0)
    world.cluster.no_leader("orders", 0)
    sent = world.send("orders", value(1), partition=0)
    world.run_until(lambda: HeldReason.NO_LEADER in reasons(world, 0))
    assert [state.partition.partition for state in world.sender.lanes.lanes[NO_LEADER].listed] == [0]
    asked = len(world.requests(ApiKey.METADATA))
    world.advance(10_000)
    assert 3 < len(world.requests(ApiKey.METADATA)) - asked < 100
    assert world.leader("orders", 0) == LEADERLESS
    world.cluster.move_leader("orders", 0, 0)
    world.delivered(sent)
    world.check()
    world.check_at_rest()


def test_mute_1_without_idempotence_and_with_one_in_flight_nothing_overtakes():
    world = one_node(linger_ms=0, batch_size=0, enable_idempotence=False, max_in_flight_requests_per_connection=1)
    world.cluster.fail(ApiKey.PRODUCE, Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS, topic="orders", partition=0))
    for number in range(4):
        world.send("orders", value(number), partition=0)
    world.flush()
    assert world.values("orders", 0)[1:] == [value(number) for number in range(4)]
    world.check()
    world.check_at_rest()


def test_mute_1_a_partition_with_one_in_flight_at_another_leader_waits_too():
    world = ProducerWorld(
        nodes=2,
        topics={"orders": 1},
        linger_ms=0,
        batch_size=0,
        enable_idempotence=False,
        max_in_flight_requests_per_connection=1,
    )
    world.settle_in(("orders", 0))
    old = world.leader("orders", 0)
    world.cluster.fail(ApiKey.PRODUCE, Fault.delay(500))
    first = world.send("orders", value(0), partition=0)
    world.advance(5)
    world.cluster.move_leader("orders", 0, 1 - old)
    world.client.metadata.request_update()
    second = world.send("orders", value(1), partition=0)
    world.advance(300)
    assert reasons(world, 0)[-1] is HeldReason.IN_FLIGHT_LIMIT and len(world.produced("orders", 0)) == 2
    assert world.delivered(second).offset > world.delivered(first).offset
    world.check()
    world.check_at_rest()


def test_without_idempotence_several_may_be_under_way():
    world = one_node(linger_ms=0, batch_size=0, enable_idempotence=False)
    world.cluster.brokers[0].latency_ms = 100
    for number in range(9):
        world.send("orders", value(number), partition=0)
    assert len(state_of(world).sequences.in_flight) == 5
    assert set(world.sequences("orders", 0)) == {-1}
    world.flush()
    world.check()
    world.check_at_rest()


# Compression


class Slowly:
    """Compresses when it is told to: as a thread of its own would."""

    def __init__(self, world):
        self.world = world
        self.todo = []
        world.sender._dispatch._compress = self.compress

    def compress(self, batch):
        if not self.world.accumulator.claim(batch):
            return batch.sealed
        self.todo.append(batch)
        return False

    def finish(self):
        for batch in self.todo:
            batch.seal()
            self.world.accumulator.charge_sealed(batch)
        self.todo.clear()


def test_held_while_it_is_compressed_by_somebody_else():
    world = one_node(partitions=2, linger_ms=20, compression_type="zstd")
    slowly = Slowly(world)
    sent = [world.append("orders", value(number), partition=number) for number in range(2)]
    world.advance(30)
    assert [batch.partition.partition for batch in slowly.todo] == [0, 1]
    assert not world.produced("orders", 0) and reasons(world, 0) == [HeldReason.COMPRESSING]
    assert sent[0].batch.state.name == "WAITING" and not world.produced("orders", 1)
    world.sender.poll(world.now_ms)
    assert len(slowly.todo) == 2, "it is asked for once"
    slowly.finish()
    world.advance(5)
    assert all(one.done for one in sent)
    assert world.reasons("orders", 0) == [SendReason.LINGER]
    world.check()
    world.check_at_rest()


def test_one_that_was_compressed_to_go_along_need_not_wait_for_another_ride():
    world = one_node(partitions=2, linger_ms=5_000, compression_type="zstd")
    slowly = Slowly(world)
    along = world.append("orders", value(1), partition=1)
    world.advance(1)
    full = world.append("orders", value(0), partition=0)
    full.batch.close()
    world.accumulator.seal(full.batch)
    world.accumulator.news.append(state_of(world, 0).queue)
    world.advance(100)
    assert full.done and [batch.partition.partition for batch in slowly.todo] == [1]
    slowly.finish()
    world.advance(100)
    assert along.done and world.reasons("orders", 1) == [SendReason.PIGGYBACK]
    world.flush()
    world.check()


def test_whoever_is_interrupted_while_he_compresses_leaves_it_to_the_sender():
    """Ctrl-C in `send`: the batch is closed, and nobody seals it."""
    world = one_node(linger_ms=0, compression_type="zstd", batch_size=2_000)
    queues = world.accumulator.topic("orders")
    for number in range(4):
        appended = world.accumulator.append(
            queues, 0, (1, None, value(number), ()), lambda metadata, error: None, now_ms=world.now_ms
        )
    assert appended.closed is not None and not appended.closed.sealed
    world.flush()
    world.run_until(lambda: not world.accumulator.incomplete, 1_000)


# What our own side refuses


def test_d09_a_codec_that_the_broker_is_too_old_for_fails_the_batch_and_names_the_cure():
    world = ProducerWorld(nodes=1, topics={"orders": 1}, compression_type="zstd", linger_ms=0, learns=False)
    world.cluster.brokers[0].versions[ApiKey.PRODUCE] = range(3, 7)
    error = world.failed(world.send("orders", value(0), partition=0))
    assert error.code == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE and "compression_type" in str(error)
    assert world.requests() == []
    world.check_at_rest()


def test_sender_9_a_broker_that_speaks_no_version_of_ours_ends_the_producer():
    world = ProducerWorld(nodes=1, topics={"orders": 1}, linger_ms=0, learns=False)
    world.cluster.brokers[0].versions[ApiKey.PRODUCE] = range(3)
    world.failed(world.send("orders", value(0), partition=0))
    assert isinstance(world.sender.error, ProducerFatalError) and world.sender.crash is None
    with pytest.raises(ProducerFatalError):
        world.send("orders", value(1), partition=0)
    world.check_at_rest()


def test_f06_a_broker_without_topic_ids_is_asked_by_name():
    world = ProducerWorld(nodes=1, topics={"orders": 1}, linger_ms=0, learns=False)
    world.cluster.brokers[0].versions[ApiKey.METADATA] = range(10)
    world.delivered(world.send("orders", value(0), partition=0))
    assert [seen.version for seen in world.requests()] == [12]
    world.check()


# Numbers


def lose_one(world):
    """A batch is given up with its outcome open, and nothing is behind it: numbers begin anew."""
    world.cluster.fail(ApiKey.PRODUCE, Fault.silence(FaultPoint.BEFORE_APPEND), times=None)
    lost = world.send("orders", value(0), partition=0)
    world.run_until(lambda: lost.done)
    world.cluster.faults.clear()
    world.cut(0)


TIMEOUTS = {"request_timeout_ms": 500, "delivery_timeout_ms": 600, "linger_ms": 0, "batch_size": 0}


@pytest.mark.parametrize("observed", [True, False])
def test_idem_13_a_partition_that_lost_a_batch_goes_on_in_the_next_epoch(observed):
    world = one_node(partitions=2, **TIMEOUTS)
    if not observed:
        world.sender._dispatch._observer = None
    lose_one(world)
    world.delivered(world.send("orders", value(1), partition=0))
    changes = [event for event in world.events if isinstance(event, ProducerIdChanged)]
    assert [(event.producer_epoch, event.why) for event in changes] == (
        [(1, "orders-0 begins to count anew")] if observed else []
    )
    assert world.sender.producer_id.identity.epoch == 1
    world.check()


def test_idem_14_where_the_epochs_are_used_up_all_wait_for_another_id():
    world = one_node(partitions=2, **TIMEOUTS)
    lose_one(world)
    old = ProducerIdAndEpoch(world.sender.producer_id.identity.producer_id, EPOCH_MAX)
    world.sender.producer_id.identity = state_of(world).sequences.identity = old
    world.cluster.fail(ApiKey.INIT_PRODUCER_ID, Fault.delay(100))
    sent = world.send("orders", value(1), partition=0)
    world.run_until(
        lambda: HeldReason.UNRESOLVED in reasons(world, 0) or HeldReason.NO_PRODUCER_ID in reasons(world, 0)
    )
    assert world.sender.producer_id.identity == NO_IDENTITY
    world.delivered(sent)
    assert world.sender.producer_id.identity.producer_id != old.producer_id
    world.check()


# Odds and ends of a pass


def test_a_head_that_is_gone_since_it_was_due_takes_its_partition_out():
    """A bug elsewhere must not make the pass run in circles: it is found gone, once."""
    world = one_node(linger_ms=0, batch_size=0)
    dispatch, lanes = world.sender._dispatch, world.sender.lanes
    sent = [world.append("orders", value(number), partition=number) for number in range(3)]
    lanes.update(world.client.cluster, world.now_ms)
    state = state_of(world, 0)
    world.accumulator.remove(state.queue, sent[0].batch)
    dispatch._hold_all(state.lane, HeldReason.THROTTLED, world.now_ms)
    assert not reasons(world, 0) and reasons(world, 1)
    assert dispatch._any_may_go(state.lane, world.now_ms)
    assert state.lane is None
    other = state_of(world, 1)
    world.accumulator.remove(other.queue, sent[1].batch)
    assert [batch.partition.partition for batch in dispatch._choose(other.lane, world.now_ms)] == [2]
    assert other.lane is None


def test_one_whose_linger_came_back_is_due_no_more():
    world = one_node(linger_ms=1_000)
    world.append("orders", value(0), partition=0)
    world.accumulator.begin_flush()
    world.sender.lanes.update(world.client.cluster, world.now_ms)
    lane = state_of(world).lane
    assert lane.due
    world.accumulator.end_flush()
    assert not world.sender._dispatch._any_may_go(lane, world.now_ms) and not lane.due
    world.flush()


def test_a_pass_costs_as_much_as_may_go_not_as_much_as_is_queued():
    """D13: one look in each pass at 2,000 partitions that are due, while one request after the other is filled."""
    world = one_node(partitions=1, linger_ms=0, max_request_size=20_000)
    dispatch = world.sender._dispatch
    looks = Counter()
    reason, gate = world.sender.lanes.reason, dispatch._gate

    def counted_reason(*arguments):
        looks["reason"] += 1
        return reason(*arguments)

    def counted_gate(*arguments):
        looks["gate"] += 1
        return gate(*arguments)

    world.sender.lanes.reason, dispatch._gate = counted_reason, counted_gate
    world.cluster.create_topic("many", 2_000)
    world.learn("many")
    queues = world.accumulator.topic("many")
    for number in range(2_000):
        world.accumulator.append(queues, number, (1, None, value(number, 1_000), ()), now_ms=world.now_ms)
    world.accumulator.begin_flush()
    world.run_until(lambda: not world.accumulator.incomplete)
    world.accumulator.end_flush()
    requests = len(world.requests())
    assert looks["gate"] <= 2 * 2_000 + 20 * requests, looks
    assert looks["reason"] <= 4 * 2_000 + 20 * requests, looks
    idle = Counter(looks)
    for _ in range(100):
        world.advance(10)
    assert looks == idle, "and nothing where nothing is to be done"
    world.check()
