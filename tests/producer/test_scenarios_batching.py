"""Scenarios of batching (D01 to D14): what leaves when, with what, and what it costs; on virtual time, to the judge."""

from __future__ import annotations

import sys
from collections import Counter
from random import Random

import pytest
from producer.queueing import AT_MS
from producer.scenes import TOPIC, fail_produce, state, world_of
from producer.simulated_producer import ProducerWorld

from kproto.producer.batch import BATCH_MEMORY
from kproto.producer.buffer_memory import MemoryWaiter
from kproto.producer.errors import DeliveryTimeoutError
from kproto.producer.events import BatchSent, HeldReason, SendReason
from kproto.producer.record import NO_PARTITION, WriteStatus
from kproto.tools.judge import Fault, FaultPoint, JudgeCluster
from kproto.wire import ApiKey, ErrorCode
from kproto.wire.records import RECORD_BATCH_OVERHEAD, Compression
from kproto.wire.records.compression import LEVELS

PLAIN = {"batch_size": 2_000, "linger_ms": 50}
ROUND_TRIP_MS = 20  # of `world_of`'s network


def settled(partitions=1, **settings):
    """A world with a first record in each partition, and nothing under way."""
    world = world_of(partitions, **{**PLAIN, **settings})
    for number in range(partitions):
        world.settle_in((TOPIC, number))
    world.advance(1_000)
    world.events.clear()
    return world


def unique(number, size=500):
    return b"%06d" % number + bytes(size)


def at_rest(world, *, strict=True):
    world.flush()
    world.check(strict=strict)
    world.check_at_rest()


# D01: why a batch leaves


def test_d01_full():
    world = settled(linger_ms=60_000)
    for number in range(4):
        world.send(TOPIC, unique(number), partition=0)
    world.advance(ROUND_TRIP_MS)
    assert world.reasons(TOPIC, 0) == [SendReason.FULL]
    at_rest(world)
    assert world.reasons(TOPIC, 0) == [SendReason.FULL, SendReason.FLUSH]


def test_d01_close():
    world = settled(linger_ms=60_000)
    sent = world.send(TOPIC, unique(0), partition=0)
    world.accumulator.close()
    world.advance(2 * ROUND_TRIP_MS)
    assert sent.done and world.reasons(TOPIC, 0) == [SendReason.CLOSE]
    at_rest(world)


def test_d01_trap_42_want_of_memory():
    """Whoever waits for room does not wait for linger_ms, too."""
    world = settled(partitions=3, linger_ms=60_000, buffer_memory=2 * (2_000 + BATCH_MEMORY))
    for number in range(2):
        world.send(TOPIC, unique(number), partition=number)
    woken = []
    queues = world.accumulator.topic(TOPIC)
    waiter = world.accumulator.append(
        queues, 2, (AT_MS, None, unique(2), ()), now_ms=world.now_ms, wake=lambda: woken.append(world.now_ms)
    )
    assert isinstance(waiter, MemoryWaiter)
    began_ms = world.now_ms
    world.run_until(lambda: woken)
    assert world.now_ms - began_ms <= 2 * ROUND_TRIP_MS
    assert world.reasons(TOPIC, 0) == [SendReason.MEMORY]
    world.accumulator.memory.leave(waiter)
    at_rest(world)


def test_d01_retry_after_its_backoff_and_not_before():
    world = settled(linger_ms=0, retry_backoff_ms=300, retry_backoff_max_ms=300)
    fail_produce(world, Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS))
    world.delivered(world.send(TOPIC, unique(0), partition=0))
    first, second = world.produced(TOPIC, 0)
    assert (first.reason, second.reason) == (SendReason.LINGER, SendReason.RETRY)
    assert 240 <= second.at_ms - first.at_ms - ROUND_TRIP_MS <= 360
    at_rest(world)


# D02 to D04: sizes and turns


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_d02_a_record_larger_than_a_batch_is_delivered_alone(codec):
    world = settled(compression_type=codec)
    noise = Random(3)
    values = [unique(0, 10), noise.randbytes(9_000), unique(1, 10), noise.randbytes(2_000), unique(2, 10)]
    for value in values:
        world.send(TOPIC, value, partition=0)
    world.flush()
    assert world.values(TOPIC, 0)[1:] == values
    assert [event.count for event in world.produced(TOPIC, 0)] == [1] * 5
    at_rest(world)


def test_d03_with_any_sizes_each_request_is_bounded_and_nobody_is_starved():
    """testPartialDrain, testDrainBatches: two nodes, many partitions, sizes drawn."""
    rng = Random(11)
    world = ProducerWorld(2, {TOPIC: 9}, batch_size=3_000, linger_ms=10, max_request_size=5_000)
    world.settle_in(*((TOPIC, number) for number in range(9)))
    world.events.clear()
    for number in range(400):
        world.append(TOPIC, unique(number, rng.randrange(1, 1_500)), partition=number % 9)
        if number % 7 == 0:
            world.advance(rng.randrange(4))
    at_rest(world)
    for seen in world.requests():
        sizes = [len(one.records) for topic in seen.request.topic_data for one in topic.partition_data]
        assert sum(sizes) <= 5_000 or len(sizes) == 1
    assert not [event for event in world.events if isinstance(event, BatchSent) and event.size > 3_000]


def test_d04_with_one_in_flight_a_partition_s_order_holds_through_retries_and_leader_changes():
    """testMutedPartitions, testSendInOrder; trap 26."""
    world = world_of(2, nodes=2, enable_idempotence=False, max_in_flight_requests_per_connection=1, retry_backoff_ms=30)
    codes = (ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.CORRUPT_MESSAGE)
    rng = Random(5)
    for number in range(120):
        world.send(TOPIC, unique(number, 10), partition=number % 2)
        if number % 10 == 3:
            fail_produce(world, Fault.error(rng.choice(codes)))
        if number % 30 == 17:
            world.cluster.move_leader(TOPIC, number % 2, 1 - world.leader(TOPIC, number % 2))
        world.advance(rng.randrange(15))
    at_rest(world)
    for partition in range(2):
        assert world.values(TOPIC, partition) == [unique(number, 10) for number in range(partition, 120, 2)]


def test_d04_trap_26_expiry_does_not_let_the_next_one_overtake():
    """testWhenFirstBatchExpireNoSendSecondBatchIfGuaranteeOrder: the request of the first is still unanswered."""
    world = world_of(
        1,
        enable_idempotence=False,
        max_in_flight_requests_per_connection=1,
        request_timeout_ms=800,
        delivery_timeout_ms=1_000,
        retry_backoff_ms=10,
    )
    world.settle_in((TOPIC, 0))
    fail_produce(world, Fault.silence(FaultPoint.BEFORE_APPEND), Fault.delay(300, FaultPoint.BEFORE_APPEND))
    first = world.send(TOPIC, b"late", partition=0)
    world.advance(500)
    second = world.send(TOPIC, b"second", partition=0)
    world.run_until(lambda: first.done)
    assert isinstance(first.error, DeliveryTimeoutError) and state(world).sequences.in_flight
    assert len(world.produced(TOPIC, 0)) == 3, "two attempts of the first, behind that of settling in"
    world.delivered(second)
    at_rest(world)


# D05 to D07: time


def test_d05_polls_are_as_many_as_there_is_to_do():
    """Neither is a pass made for nothing, nor is one missed: each round takes a linger and a round trip."""
    world = settled(partitions=3, linger_ms=20)
    polls, requests = sum(world.sender.polls_at.values()), len(world.requests())
    for number in range(0, 90, 3):
        for partition in range(3):
            world.append(TOPIC, unique(number + partition, 10), partition=partition)
        world.advance(20 + ROUND_TRIP_MS)
        assert world.sent[-1].done
    spent = sum(world.sender.polls_at.values()) - polls
    assert len(world.requests()) - requests == 30 and spent <= 12 * 30, f"{spent} polls for 30 requests"
    at_rest(world)
    polls = sum(world.sender.polls_at.values())
    world.advance(60_000)
    assert sum(world.sender.polls_at.values()) - polls < 20, "and none where nothing is to do"


@pytest.mark.parametrize("linger_ms", [0, 1, 50, 300, 2_000])
def test_d06_the_first_record_waits_for_linger_ms_and_the_last_one_hardly_at_all(linger_ms):
    world = settled(linger_ms=linger_ms, batch_size=16_384)
    began_ms = world.now_ms
    first = world.send(TOPIC, b"the first", partition=0)
    if linger_ms:
        world.advance(linger_ms - 1)
    last = world.send(TOPIC, b"last", partition=0)
    world.delivered(first)
    assert first.ended_ms - began_ms == linger_ms + ROUND_TRIP_MS
    if linger_ms:
        assert last.ended_ms == first.ended_ms
    at_rest(world)


def test_d07_a_flush_waits_for_no_linger_and_what_comes_behind_it_lingers_again():
    world = settled(partitions=2, linger_ms=10_000)
    began_ms = world.now_ms
    sent = [world.send(TOPIC, unique(number, 10), partition=number % 2) for number in range(6)]
    world.flush()
    assert all(one.error is None for one in sent) and world.now_ms - began_ms <= ROUND_TRIP_MS + 1
    assert set(world.reasons(TOPIC, 0) + world.reasons(TOPIC, 1)) <= {SendReason.FLUSH, SendReason.PIGGYBACK}
    later = world.send(TOPIC, b"later", partition=0)
    world.advance(9_999)
    assert not later.done
    world.advance(1 + ROUND_TRIP_MS)
    assert later.done
    at_rest(world)


# D08: which partition


def test_d08_records_without_a_key_go_everywhere_in_runs_of_a_batch():
    world = settled(partitions=4, batch_size=1_000, linger_ms=5)
    for number in range(800):
        world.append(TOPIC, unique(number, 80))
        if number % 3 == 0:
            world.advance(1)
    at_rest(world)
    counts = [len(world.values(TOPIC, number)) - 1 for number in range(4)]
    assert sum(counts) == 800 and min(counts) > 50, counts
    full = [event.count for number in range(4) for event in world.produced(TOPIC, number)]
    assert sum(full) / len(full) > 5, "batches are as full as with one partition"


# D09: codecs


ODD_RECORDS = [
    (None, None, ()),
    (b"", b"", ()),
    (None, b"value", (("h", None),)),
    (b"key", None, (("", b""), ("h", b"x"), ("h", b"y"))),
    (b"k" * 200, b"v" * 3_000, ()),
]


@pytest.mark.parametrize(
    ("codec", "level"),
    [(codec, None) for codec in ("none", "gzip", "snappy", "lz4", "zstd")]
    + [(str(codec), level) for codec, levels in LEVELS.items() for level in (levels[0], levels[-1])],
)
def test_d09_each_codec_and_level_with_records_of_every_shape(codec, level):
    world = settled(compression_type=codec, compression_level=level)
    sent = [
        world.send(TOPIC, value, key, headers=headers, partition=0, timestamp_ms=AT_MS + place)
        for place, (key, value, headers) in enumerate(ODD_RECORDS)
    ]
    world.flush()
    stored = world.cluster.log(TOPIC, 0)[1:]
    assert [(one.key, one.value, tuple(one.headers)) for one in stored] == ODD_RECORDS
    assert [world.delivered(one).timestamp for one in sent] == [AT_MS + place for place in range(len(sent))]
    codecs = {batch.compression for batch in world.cluster.batches(TOPIC, 0)[1:]}
    assert codecs == {Compression.of(codec)}
    world.check_at_rest()


# D10: what does not compress


def test_d10_incompressible_records_are_sent_as_they_are_and_no_batch_exceeds_its_limit_by_much():
    world = settled(compression_type="lz4", batch_size=4_000)
    noise = Random(1)
    for _ in range(60):
        world.send(TOPIC, noise.randbytes(400), partition=0)
    at_rest(world)
    sizes = [event.size for event in world.produced(TOPIC, 0)]
    assert max(sizes) <= 4_000 * 1.05


def test_d10_batches_of_what_compresses_well_hold_more_than_batch_size_before_it():
    world = settled(compression_type="zstd", batch_size=4_000)
    for number in range(4_000):
        world.append(TOPIC, unique(number, 100), partition=0)
        if number % 50 == 0:
            world.advance(1)
    at_rest(world)
    sent = world.produced(TOPIC, 0)
    assert max(event.size for event in sent) <= 4_000
    assert sent[-2].count > 1.8 * sent[0].count


def test_d10_after_a_batch_was_too_large_the_next_ones_are_smaller():
    """ACC-11, testSplitFrequency: fewer than a tenth of the batches are split, also where the compression changes."""
    world = settled(compression_type="zstd", batch_size=4_000)
    world.cluster.configure(TOPIC, max_message_bytes=4_200)
    rng = Random(2)
    for number in range(3_000):
        noisy = (number // 500) % 2
        value = b"%06d" % number + (rng.randbytes(100) if noisy else bytes(100))
        world.append(TOPIC, value, partition=0)
        if number % 20 == 0:
            world.advance(1)
    at_rest(world)
    splits = sum(type(event).__name__ == "BatchSplit" for event in world.events)
    assert splits <= len(world.produced(TOPIC, 0)) / 10


# D11 and D12: memory


def test_d11_trap_38_who_waits_for_memory_is_served_in_turn_and_nobody_is_forgotten():
    """testStressfulSituation: sizes drawn, more waiters than there is room for, some give up."""
    rng = Random(9)
    world = settled(partitions=3, buffer_memory=12_000, batch_size=1_000, linger_ms=5_000)
    queues, waiting, served, left = world.accumulator.topic(TOPIC), [], [], list(range(150))

    def attempt(number, memory):
        result = world.accumulator.append(
            queues,
            number % 3,
            (AT_MS, None, unique(number, sizes[number]), ()),
            lambda metadata, error: None,
            now_ms=world.now_ms,
            wake=lambda: None,
            memory=memory,
        )
        if isinstance(result, MemoryWaiter):
            waiting.append((number, result))
        else:
            served.append(number)

    sizes = [rng.choice((10, 800, 4_000)) for _ in left]
    while left or waiting:
        granted = [one for one in waiting if one[1].granted]
        waiting[:] = [one for one in waiting if not one[1].granted]
        for number, memory in granted:
            attempt(number, memory)
        if left and len(waiting) < 6:
            attempt(left.pop(0), None)
        elif rng.random() < 0.05 and waiting:
            _, memory = waiting.pop(rng.randrange(len(waiting)))
            world.accumulator.memory.leave(memory)
        else:
            world.advance(1)
        assert world.now_ms < 60_000, f"{waiting} are forgotten"
        assert world.accumulator.memory.used <= 12_000 + 6 * BATCH_MEMORY
    world.accumulator.begin_flush()
    world.run_until(lambda: not world.accumulator.incomplete)
    at_rest(world)
    assert len(served) > 100


def test_d12_dealloc_2_the_memory_of_a_batch_that_expires_in_flight_is_free_when_its_answer_is_there():
    """testNoDoubleDeallocation, testInflightBatchesExpireOnDeliveryTimeout; traps 43 and 44."""
    world = world_of(request_timeout_ms=5_000, delivery_timeout_ms=5_000, retry_backoff_ms=50)
    world.settle_in((TOPIC, 0))
    fail_produce(world, Fault.error(ErrorCode.NOT_ENOUGH_REPLICAS), Fault.delay(4_940))
    sent = world.send(TOPIC, b"value", partition=0)
    world.run_until(lambda: sent.done)
    assert isinstance(sent.error, DeliveryTimeoutError) and sent.error.written is WriteStatus.POSSIBLY
    assert sent.batch.in_flight and world.accumulator.memory.used == sent.batch.reserved > BATCH_MEMORY
    assert sent.batch.data is not None, "the socket may read it still"
    world.advance(100)
    assert world.accumulator.memory.used == 0 and sent.times == 1 and sent.batch.data is None
    assert world.values(TOPIC, 0) == [b"first", b"value"]
    at_rest(world)


# D13: many topics


def topics_world(count):
    """So many topics, each with one record delivered and a sticky partition of its own."""
    cluster = JudgeCluster(1, {})
    for number in range(count):
        cluster.create_topic(f"topic-{number}", 2)
        if number % 100 == 99:
            cluster.brokers[0].catch_up()
    world = ProducerWorld(cluster=cluster, linger_ms=0, learns=False)
    world.client.metadata.add_topic("topic-0", 0)
    for number in range(count):
        world.client.metadata.add_topic(f"topic-{number}", 0)
    world.run_until(lambda: world.client.cluster.partition_count(f"topic-{count - 1}"))
    for number in range(count):
        world.append(f"topic-{number}", b"first", partition=NO_PARTITION)
    world.flush()
    return world


def calls_for_a_send(world):
    """Calls of functions, Python's and C's, that sending and delivering one record takes."""
    calls = Counter()

    def count(frame, event, argument):
        if event in ("call", "c_call"):
            calls["all"] += 1

    world.advance(1_000)
    before = sys.getprofile()
    for number in range(20):
        sent = world.append("topic-0", b"more %d" % number, partition=NO_PARTITION)
        sys.setprofile(count)
        try:
            while not sent.done:
                world.network.advance(1)
        finally:
            sys.setprofile(before)
    return calls["all"] / 20


def test_d13_a_send_costs_the_same_with_ten_topics_and_with_thousands():
    few, many = calls_for_a_send(topics_world(10)), calls_for_a_send(topics_world(2_000))
    assert many <= 1.2 * few + 20, f"{few} calls with ten topics, {many} with 2,000"


# D14: boundaries


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_d14_batch_size_to_the_byte(more):
    world = settled(batch_size=16_384)
    one = RECORD_BATCH_OVERHEAD
    world.send(TOPIC, unique(0, 100), partition=0)
    record = world.sent[-1].batch.size - one
    world.flush()
    world.events.clear()
    world = settled(batch_size=one + 10 * record + more)
    for number in range(20):
        world.append(TOPIC, unique(number, 100), partition=0)
    at_rest(world)
    assert [event.count for event in world.produced(TOPIC, 0)] == ([9, 9, 2] if more < 0 else [10, 10])


@pytest.mark.parametrize("more", [-1, 0])
def test_d14_max_request_size_to_the_byte(more):
    world = settled(partitions=3, linger_ms=50)
    world.append(TOPIC, unique(0, 100), partition=0)
    size = world.sent[-1].batch.size
    world = settled(partitions=3, linger_ms=50, max_request_size=3 * size + more)
    for number in range(3):
        world.append(TOPIC, unique(number, 100), partition=number)
    before = len(world.requests())
    at_rest(world)
    assert [len(seen.partitions) for seen in world.requests()][before:] == ([2, 1] if more else [3])
    assert (HeldReason.REQUEST_FULL in [held.reason for held in world.held(TOPIC, 2)]) == bool(more)


def test_d14_a_batch_of_a_single_record_of_exactly_the_broker_s_limit():
    world = settled(batch_size=100)
    world.send(TOPIC, unique(0, 1_000), partition=0)
    size = world.sent[-1].batch.size
    world.flush()
    world.cluster.configure(TOPIC, max_message_bytes=size)
    world.delivered(world.send(TOPIC, unique(1, 1_000), partition=0))
    error = world.failed(world.send(TOPIC, unique(2, 1_001), partition=0))
    assert error.code == ErrorCode.MESSAGE_TOO_LARGE and error.written is WriteStatus.NO
    at_rest(world)
    assert world.requests(ApiKey.PRODUCE)
