"""What all appends share: how large a new batch is, how it grows, what is charged for it, and when another partition is
due."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer.queueing import AT_MS, ORDERS, accumulator_of, append, batch_of, fields, queue_of

from kproto.producer.batch import BATCH_MEMORY
from kproto.producer.batch_opening import has_room
from kproto.producer.batch_state import BatchState
from kproto.producer.buffer_memory import MemoryWaiter
from kproto.producer.errors import ProducerClosedError, ProducerFatalError
from kproto.producer.events import BatchOpened, RecordAppended
from kproto.producer.record import NO_PARTITION
from kproto.producer.record_size import record_size_bound
from kproto.wire.records import RECORD_BATCH_OVERHEAD, RecordColumns

OPENED = RECORD_BATCH_OVERHEAD


# Room in an open batch


@given(st.binary(max_size=80), st.integers(61, 400), st.integers(0, 5))
def test_acc_4_a_record_has_room_where_the_exact_size_says_so(value, limit, before):
    batch = batch_of(*[b"x" * 20] * before, limit=limit)
    record = fields(value, b"k")
    exact = batch.size_after(*record) <= limit
    assert has_room(batch, record_size_bound(*record[1:]), record) == exact


def test_the_exact_size_is_asked_for_near_the_limit_only():
    asked = []

    def size_after(*record):
        asked.append(record)
        return 100

    batch = SimpleNamespace(size=80, limit=100, size_after=size_after)
    assert has_room(batch, 20, fields())
    assert not has_room(batch, 42, fields())
    assert asked == []
    assert has_room(batch, 41, fields())
    assert asked == [fields()]


# A new batch


def test_a_new_batch_is_counted_followed_and_looked_at():
    accumulator = accumulator_of()
    accumulator.context = object()
    queue = queue_of(accumulator)
    appended = append(accumulator)
    batch = appended.batch
    assert (batch.number, batch.context, batch.partition) == (1, accumulator.context, ORDERS)
    assert queue.opened == 1 and queue.open is batch and [*queue.batches] == [batch]
    assert accumulator.incomplete == {batch} and [*accumulator.news] == [queue]
    assert (appended.opened, appended.ready, appended.closed) == (True, False, None)


def test_a_new_batch_behind_a_full_one_tells_of_that():
    accumulator = accumulator_of(batch_size=100)
    first = append(accumulator, b"x" * 25).batch
    second = append(accumulator, b"x" * 25)
    assert second.opened and second.ready and second.closed is first
    assert first.state is not BatchState.OPEN and queue_of(accumulator).open is second.batch


def test_acc_8_a_batch_that_is_full_at_once_is_not_open_to_others():
    accumulator = accumulator_of(batch_size=0)
    appended = append(accumulator)
    assert appended.ready and appended.closed is appended.batch
    queue = queue_of(accumulator)
    assert queue.open is not appended.batch and queue.open.room == -1 and queue.tail is None


def test_an_observer_hears_of_the_batch_before_its_record():
    heard = []
    accumulator = accumulator_of(observer=heard.append)
    append(accumulator, now_ms=7)
    opened, record = heard
    assert opened == BatchOpened(7, ORDERS, 1)
    assert isinstance(record, RecordAppended) and record.count == 1


@pytest.mark.parametrize("codec", ["none", "gzip"])
def test_acc_9_the_limit_is_batch_size_of_what_is_sent(codec):
    accumulator = accumulator_of(compression_type=codec, batch_size=1_000)
    topic = accumulator.topic("orders")
    topic.ratio = 0.5
    batch = append(accumulator).batch
    expected = 1_000 if codec == "none" else topic.plain_limit(1_000, OPENED)
    assert batch.limit == expected > 0 and (codec == "none" or expected > 1_500)
    assert batch.reserved == expected + BATCH_MEMORY == accumulator.memory.used


# Growth


def grown(accumulator, value):
    """Appended to the open batch, which has no room for it otherwise."""
    appended = append(accumulator, value)
    assert not appended.opened
    return appended


def test_a_batch_grows_by_steps_of_batch_size_up_to_the_most():
    accumulator = accumulator_of(batch_size=200, batch_growth_max_bytes=500)
    batch, queue = append(accumulator, b"x" * 100).batch, queue_of(accumulator)
    accumulator.news.clear()
    used = accumulator.memory.used
    for limit in (400, 500):
        appended = grown(accumulator, b"x" * 120)
        assert (batch.limit, batch.grown, appended.ready) == (limit, True, True)
        assert batch.state is BatchState.OPEN and batch.reserved == accumulator.memory.used == used + limit - 200
        assert [*accumulator.news] == [queue]
        accumulator.news.clear()
    appended = append(accumulator, b"x" * 120)
    assert appended.opened and appended.closed is batch and batch.limit == 500


def test_it_does_not_grow_for_what_a_step_makes_no_room_for():
    accumulator = accumulator_of(batch_size=200, batch_growth_max_bytes=10_000)
    first = append(accumulator).batch
    appended = append(accumulator, bytes(1_000))
    assert appended.opened and appended.closed is first
    assert (first.limit, first.grown, first.reserved) == (200, False, 200 + BATCH_MEMORY)


def test_pool_4_nor_where_memory_is_short_or_somebody_waits():
    accumulator = accumulator_of(batch_size=1_000, batch_growth_max_bytes=3_000, buffer_memory=3_000)
    batch = append(accumulator, bytes(800)).batch
    waiter = append(accumulator, bytes(2_000), partition=1, wake=lambda: None)
    assert isinstance(waiter, MemoryWaiter)
    assert accumulator.memory.available > 0
    assert append(accumulator, bytes(300)) is None
    assert (batch.limit, batch.grown) == (1_000, False)
    assert batch.state is not BatchState.OPEN


def test_without_growth_a_batch_keeps_its_limit():
    accumulator = accumulator_of(batch_size=200)
    batch = append(accumulator, b"x" * 100).batch
    assert append(accumulator, b"x" * 120).opened and batch.limit == 200 and not batch.grown


@given(st.lists(st.integers(0, 150), max_size=40), st.sampled_from([0, 200, 450, 1_000]))
def test_what_is_charged_is_what_the_batches_may_take(sizes, most):
    accumulator = accumulator_of(batch_size=200, batch_growth_max_bytes=most)
    for size in sizes:
        append(accumulator, bytes(size))
    batches = [*queue_of(accumulator).batches]
    assert accumulator.memory.used == sum(batch.reserved for batch in batches)
    for batch in batches:
        assert batch.size <= batch.reserved - BATCH_MEMORY
        assert batch.limit <= max(200, most) and (batch.size <= batch.limit or batch.count == 1)
        assert batch.grown == (batch.limit > 200)


# Memory


def test_pool_3_nobody_waits_who_has_no_use_for_it():
    accumulator = accumulator_of(batch_size=1_000, buffer_memory=2_500)
    append(accumulator)
    assert append(accumulator, partition=1) is None
    assert accumulator.memory.waiting == 0


def test_who_has_waited_takes_what_he_was_granted_though_the_estimate_has_moved():
    """A smaller batch then, but no second time in line."""
    accumulator = accumulator_of(compression_type="gzip", batch_size=1_000, buffer_memory=2_500)
    topic, wakes = accumulator.topic("orders"), []
    first = append(accumulator).batch
    waiter = append(accumulator, partition=1, wake=lambda: wakes.append(1))
    assert isinstance(waiter, MemoryWaiter) and not waiter.granted
    queue_of(accumulator).batches.clear()
    accumulator.release(first)
    assert waiter.granted and wakes == [1]
    topic.ratio = 0.5
    appended = append(accumulator, partition=1, wake=lambda: None, memory=waiter)
    assert appended.batch.reserved == waiter.size == accumulator.memory.used
    assert appended.batch.limit == waiter.size - BATCH_MEMORY < topic.plain_limit(1_000, OPENED)


def test_who_was_granted_too_little_for_his_record_gets_in_line_again():
    accumulator = accumulator_of(batch_size=100, buffer_memory=10_000)
    memory = accumulator.memory
    waiter = memory.wait(500, lambda: None)
    assert waiter.granted
    appended = append(accumulator, bytes(3_000), wake=lambda: None, memory=waiter)
    assert appended.batch.reserved > 3_000
    assert memory.used == appended.batch.reserved and not waiter.granted


def test_what_is_larger_than_all_memory_waits_for_all_of_it():
    accumulator = accumulator_of(batch_size=100_000, buffer_memory=5_000)
    appended = append(accumulator)
    assert appended.batch.reserved == accumulator.memory.used == 5_000
    assert appended.batch.limit == 5_000 - BATCH_MEMORY


# Sticky partitions


def test_a_topic_that_turns_forgets_the_route_without_a_key():
    accumulator = accumulator_of(batch_size=100)
    topic = accumulator.topic("orders")
    append(accumulator, partition=NO_PARTITION)
    route = topic.routes[None]
    assert route.queue is topic.partitions[topic.sticky.current]
    topic.sticky.produced_bytes = 200
    draws = topic.sticky._rng.getstate()
    accumulator.turn_sticky(topic)
    assert topic.sticky._rng.getstate() != draws, "another was chosen"
    assert None not in topic.routes and topic.sticky.produced_bytes == 0


def test_below_two_batch_sizes_it_does_not_turn_while_a_batch_is_open():
    accumulator = accumulator_of(batch_size=100)
    topic = accumulator.topic("orders")
    append(accumulator, partition=NO_PARTITION)
    route, topic.sticky.produced_bytes = topic.routes[None], 199
    accumulator.turn_sticky(topic)
    assert topic.routes[None] is route and topic.sticky.produced_bytes == 199


def test_a_turn_that_was_put_off_is_made_up_for_where_nothing_is_open():
    accumulator = accumulator_of(batch_size=100)
    topic = accumulator.topic("orders")
    queue = accumulator._sticky_queue(topic)
    topic.sticky.produced_bytes = 100
    assert queue.tail is None
    found = {accumulator._sticky_queue(topic).partition.partition}
    assert topic.sticky.produced_bytes == 0 and found == {topic.sticky.current}


# The end


@pytest.mark.parametrize(
    ("error", "raised"), [(None, ProducerClosedError), (ProducerFatalError(ValueError("fenced")), ProducerFatalError)]
)
def test_closed_it_says_why_whatever_comes(error, raised):
    accumulator = accumulator_of()
    topic = accumulator.topic("orders")
    accumulator.close(error)
    for attempt in (
        lambda: append(accumulator),
        lambda: accumulator.append_columns(topic, 0, RecordColumns(None, [b"a"]), 0, AT_MS, now_ms=0),
        lambda: accumulator.append_batch(topic, 0, batch_of(b"a").builder, now_ms=0, wake=lambda: None),
    ):
        with pytest.raises(raised):
            attempt()
    assert not topic.partitions and accumulator.memory.used == 0
