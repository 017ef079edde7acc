"""The accumulator: which batch a record goes into, what room there is for it, and what it costs."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from producer.queueing import (
    AT_MS,
    PLAIN,
    accumulator_of,
    append,
    failure,
    fields,
    queue_of,
    records_of,
    seal,
)

from kproto.producer.batch import BATCH_MEMORY
from kproto.producer.batch_state import BatchState
from kproto.producer.buffer_memory import MemoryWaiter
from kproto.producer.errors import ProducerClosedError
from kproto.producer.events import BatchOpened, RecordAppended
from kproto.producer.partitioner import PartitionChoices
from kproto.producer.queues import Appended
from kproto.producer.record import NO_PARTITION
from kproto.wire import EncodeError, KafkaError
from kproto.wire.records import RECORD_BATCH_OVERHEAD, RecordBatchBuilder, read_record_batches

RECORD = 7 + len(PLAIN)  # bytes that it takes in a batch
FIVE = RECORD_BATCH_OVERHEAD + 5 * RECORD


def shape(accumulator, partition=0):
    """How many records each queued batch has."""
    return [batch.count for batch in queue_of(accumulator, partition).batches]


def builder_of(*values):
    builder = RecordBatchBuilder()
    for value in values:
        builder.append(AT_MS, None, value)
    return builder


def nobody():
    raise AssertionError("nobody is woken yet")


# Room


@pytest.mark.parametrize("more", [-1, 0, 1, RECORD - 1])
def test_d14_exactly_as_many_records_as_fit(more):
    """testFull: the limit is batch_size to the byte, the batch's header included."""
    accumulator = accumulator_of(batch_size=FIVE + more)
    for _ in range(12):
        append(accumulator)
    assert shape(accumulator) == ([4, 4, 4] if more < 0 else [5, 5, 2])


def test_d14_a_batch_that_is_filled_to_the_byte_is_full_at_once():
    accumulator = accumulator_of(batch_size=FIVE)
    results = [append(accumulator) for _ in range(5)]
    assert [one.ready for one in results] == [False] * 4 + [True]
    batch = results[0].batch
    assert results[4].closed is batch and batch.state is BatchState.WAITING and batch.size == FIVE
    assert queue_of(accumulator).full and queue_of(accumulator).tail is None


def test_trap_20_the_record_that_does_not_fit_closes_the_batch_and_opens_the_next():
    accumulator = accumulator_of(batch_size=FIVE + 1)
    for _ in range(5):
        filled = append(accumulator)
    assert not filled.ready and filled.closed is None
    following = append(accumulator)
    assert following.opened and following.ready and following.closed is filled.batch and following.index == 0
    assert filled.batch.state is BatchState.WAITING
    assert [queue.partition.partition for queue in accumulator.news] == [0, 0, 0]


def test_acc_4_a_batch_without_room_takes_no_smaller_record_later():
    accumulator = accumulator_of(batch_size=FIVE)
    append(accumulator)
    append(accumulator, bytes(200))
    append(accumulator, b"")
    assert shape(accumulator) == [1, 1, 1], "the large one is alone, and the small one behind it"
    assert records_of(accumulator.take(queue_of(accumulator)).bytes()) == [PLAIN]


@pytest.mark.parametrize("codec", ["none", "gzip"])
def test_d02_a_record_larger_than_a_batch_has_one_of_its_own(codec):
    """trap 17, testAppendLarge*: it is neither refused nor does it make the next batches larger."""
    accumulator = accumulator_of(batch_size=512, compression_type=codec)
    append(accumulator, b"before")
    large = append(accumulator, bytes(2_000))
    append(accumulator, b"after")
    assert shape(accumulator) == [1, 1, 1]
    assert large.ready and large.batch.state is BatchState.WAITING
    assert large.batch.reserved >= 2_000 + RECORD_BATCH_OVERHEAD + BATCH_MEMORY


def test_d02_a_large_record_in_an_empty_queue_is_full_at_once():
    accumulator = accumulator_of(batch_size=512)
    large = append(accumulator, bytes(2_000))
    assert large.opened and large.ready and large.closed is large.batch


@pytest.mark.parametrize("batch_size", [0, 1, RECORD_BATCH_OVERHEAD])
@pytest.mark.parametrize("codec", ["none", "gzip"])
def test_acc_8_a_batch_size_of_nothing_is_one_record_in_each_batch(batch_size, codec):
    accumulator = accumulator_of(batch_size=batch_size, compression_type=codec)
    for _ in range(3):
        assert append(accumulator, b"").ready
    assert shape(accumulator) == [1, 1, 1]


@given(st.integers(0, 300), st.lists(st.integers(0, 120), min_size=1, max_size=30))
def test_acc_7_a_batch_is_as_full_as_it_can_be_and_no_fuller(batch_size, sizes):
    """Against the plain rule: what fits goes in, by its exact size."""
    accumulator = accumulator_of(batch_size=batch_size)
    expected, size = [], None
    for length in sizes:
        append(accumulator, bytes(length))
        trial = RecordBatchBuilder()
        trial.count = expected[-1] if size is not None else 0
        trial._base = AT_MS
        trial.append(AT_MS, None, bytes(length))
        record = trial.size - RECORD_BATCH_OVERHEAD
        if size is not None and size + record <= batch_size:
            expected[-1] += 1
            size += record
        else:
            expected.append(1)
            trial = RecordBatchBuilder()
            trial.append(AT_MS, None, bytes(length))
            size = trial.size
        if size >= batch_size:
            size = None
    assert shape(accumulator) == expected


def test_d10_compressed_batches_grow_with_what_is_learned_and_shrink_when_it_was_wrong():
    accumulator = accumulator_of(batch_size=4_096, compression_type="zstd", buffer_memory=2**30)

    def plain_sizes(make_value, batches):
        found = []
        while len(found) < batches:
            appended = append(accumulator, make_value())
            if appended.closed is not None:
                found.append(appended.closed.plain_size)
                seal(accumulator, appended.closed)
        return found

    grown = plain_sizes(lambda: bytes(100), 200)
    assert grown[0] < 4_096 < grown[-1] <= 8 * 4_096 and grown == sorted(grown)
    noise = Random(1)
    shrunk = plain_sizes(lambda: noise.randbytes(512), 3)
    assert shrunk[-1] <= 4_096, "one surprise is enough"


def test_batches_grow_while_they_wait():
    step = FIVE + 1
    accumulator = accumulator_of(batch_size=step, batch_growth_max_bytes=3 * step)
    results = [append(accumulator) for _ in range(6)]
    assert [result.ready for result in results] == [False] * 5 + [True] and shape(accumulator) == [6]
    for _ in range(20):
        append(accumulator)
    grown, second = queue_of(accumulator).batches
    assert grown.grown and grown.limit == 3 * step and grown.state is BatchState.WAITING and 15 < grown.count < 25
    assert second.limit in (step, 2 * step)
    assert grown.reserved == 3 * step + BATCH_MEMORY
    assert sum(batch.reserved for batch in queue_of(accumulator).batches) == accumulator.memory.used


def test_a_batch_that_grows_is_news_and_one_that_cannot_is_closed():
    accumulator = accumulator_of(batch_size=FIVE + 1, batch_growth_max_bytes=2 * (FIVE + 1))
    for _ in range(6):
        append(accumulator)
    assert shape(accumulator) == [6] and list(accumulator.news)
    accumulator.news.clear()
    assert [append(accumulator).ready for _ in range(4)] == [False] * 4
    grown = queue_of(accumulator).batches[0]
    assert append(accumulator, bytes(FIVE)).batch is not grown, "more than one step does not help this record"
    assert grown.state is BatchState.WAITING


def test_a_batch_grows_by_what_is_left_of_its_growth():
    accumulator = accumulator_of(batch_size=FIVE + 1, batch_growth_max_bytes=FIVE + 60)
    for _ in range(8):
        append(accumulator)
    assert queue_of(accumulator).batches[0].limit == FIVE + 60


def test_a_batch_does_not_grow_where_memory_is_short():
    accumulator = accumulator_of(
        batch_size=FIVE + 1, batch_growth_max_bytes=10 * FIVE, buffer_memory=FIVE + 1 + BATCH_MEMORY + 10
    )
    for _ in range(5):
        append(accumulator)
    assert append(accumulator) is None
    assert shape(accumulator) == [5] and queue_of(accumulator).tail is None


# What is asked of an append


def test_only_open_changes_nothing_where_a_batch_would_have_to_be_opened():
    accumulator = accumulator_of(batch_size=FIVE + 1)
    assert append(accumulator, only_open=True) is None and not accumulator.incomplete
    for _ in range(5):
        append(accumulator)
    before = accumulator.memory.used
    assert append(accumulator, only_open=True) is None
    assert shape(accumulator) == [5] and queue_of(accumulator).tail is not None and accumulator.memory.used == before


def test_only_open_appends_where_there_is_room():
    accumulator = accumulator_of()
    append(accumulator)
    appended = append(accumulator, only_open=True)
    assert appended.index == 1 and not appended.opened and not appended.ready


def test_acc_3_closed_it_accepts_nothing_and_says_why():
    accumulator = accumulator_of()
    accumulator.close()
    with pytest.raises(ProducerClosedError):
        append(accumulator)
    with pytest.raises(ProducerClosedError):
        accumulator.append_batch(accumulator.topic("orders"), 0, builder_of(b"a"), now_ms=0, wake=nobody)
    fatal = accumulator_of()
    fatal.close(KafkaError("of no more use"))
    with pytest.raises(KafkaError, match="of no more use"):
        append(fatal)


def test_a_record_that_cannot_be_encoded_is_refused_and_costs_nothing():
    accumulator = accumulator_of(batch_size=FIVE + 1)
    bad = fields(headers=(("\ud800", b""),))
    topic = accumulator.topic("orders")
    for _ in range(2):
        before = accumulator.memory.used, shape(accumulator), len(accumulator.incomplete)
        with pytest.raises(EncodeError):
            accumulator.append(topic, 0, bad, now_ms=0)
        assert (accumulator.memory.used, shape(accumulator), len(accumulator.incomplete)) == before
        append(accumulator)
    for _ in range(4):
        append(accumulator)
    with pytest.raises(EncodeError):
        accumulator.append(topic, 0, fields(bytes(200), headers=(("\ud800", b""),)), now_ms=0)
    assert accumulator.memory.used == sum(batch.reserved for batch in accumulator.incomplete)


def test_an_observer_hears_of_each_batch_and_record():
    events = []
    accumulator = accumulator_of(batch_size=FIVE + 1, observer=events.append)
    for now_ms in range(6):
        append(accumulator, now_ms=now_ms)
    orders = queue_of(accumulator).partition
    assert events[0] == BatchOpened(0, orders, 1) and events[1] == RecordAppended(0, orders, 1, 1, 61 + RECORD)
    assert events[-2:] == [BatchOpened(5, orders, 2), RecordAppended(5, orders, 2, 1, 61 + RECORD)]


def test_each_batch_has_the_face_s_context_and_a_number_of_its_partition():
    accumulator = accumulator_of(batch_size=0)
    accumulator.context = "shared"
    batches = [append(accumulator, partition=partition).batch for partition in (0, 1, 0)]
    assert [batch.number for batch in batches] == [1, 1, 2] and {batch.context for batch in batches} == {"shared"}
    assert accumulator.incomplete == set(batches)


# Batches that were built elsewhere


def test_a_built_batch_goes_behind_what_is_there_and_takes_no_more():
    accumulator = accumulator_of()
    first = append(accumulator, b"a")
    built = accumulator.append_batch(
        accumulator.topic("orders"), 0, builder_of(b"b", b"c"), lambda metadata, error: None, now_ms=5, wake=nobody
    )
    append(accumulator, b"d")
    assert shape(accumulator) == [1, 2, 1] and built.closed is first.batch and built.ready and built.opened
    assert built.batch.created_ms == 5 and len(built.batch.callbacks) == 1
    alone = accumulator.append_batch(accumulator.topic("orders"), 1, builder_of(b"e"), now_ms=0, wake=nobody)
    assert alone.closed is alone.batch and alone.ready
    seal(accumulator, alone.batch)
    assert records_of(alone.batch.bytes()) == [b"e"]


def test_a_built_batch_waits_for_memory_like_any_other():
    accumulator = accumulator_of(batch_size=1_000, buffer_memory=1_000 + BATCH_MEMORY)
    blocking = append(accumulator).batch
    topic, woken = accumulator.topic("orders"), []
    waiter = accumulator.append_batch(topic, 1, builder_of(b"b"), now_ms=0, wake=lambda: woken.append(1))
    assert isinstance(waiter, MemoryWaiter) and not woken
    accumulator.remove(queue_of(accumulator), blocking)
    accumulator.release(blocking)
    built = accumulator.append_batch(topic, 1, builder_of(b"b"), now_ms=0, wake=nobody, memory=waiter)
    assert woken == [1] and accumulator.memory.used == built.batch.reserved


# Memory


def full_accumulator(**settings):
    """One batch has all the memory."""
    accumulator = accumulator_of(batch_size=1_000, buffer_memory=1_000 + BATCH_MEMORY, **settings)
    return accumulator, append(accumulator).batch


def free(accumulator, batch):
    accumulator.remove(accumulator.topic("orders").queue(batch.partition.partition), batch)
    batch.fail(failure())
    accumulator.release(batch)
    accumulator.completed(batch)


def test_pool_2_without_room_there_is_nothing_or_one_who_waits():
    accumulator, batch = full_accumulator()
    assert append(accumulator, partition=1) is None
    assert append(accumulator).batch is batch, "what is open needs no more"
    woken = []
    waiter = append(accumulator, partition=1, wake=lambda: woken.append(1))
    free(accumulator, batch)
    assert waiter.granted and woken == [1]
    appended = append(accumulator, partition=1, wake=nobody, memory=waiter)
    assert appended.opened and accumulator.memory.used == appended.batch.reserved == 1_000 + BATCH_MEMORY


def test_trap_16_another_thread_has_opened_a_batch_meanwhile_and_what_was_granted_is_given_back():
    accumulator = accumulator_of(batch_size=1_000, buffer_memory=2 * (1_000 + BATCH_MEMORY))
    first, second = append(accumulator).batch, append(accumulator, partition=1).batch
    waiter = append(accumulator, partition=2, wake=lambda: None)
    free(accumulator, first)
    free(accumulator, second)
    other = append(accumulator, partition=2)
    appended = append(accumulator, partition=2, wake=nobody, memory=waiter)
    assert appended.batch is other.batch and appended.index == 1
    assert accumulator.memory.used == other.batch.reserved


def test_trap_16_whoever_finds_room_before_he_was_granted_any_leaves_the_line():
    accumulator, batch = full_accumulator()
    waiter = append(accumulator, partition=1, wake=nobody)
    appended = append(accumulator, partition=0, wake=nobody, memory=waiter)
    assert appended.batch is batch and accumulator.memory.waiting == 0


def test_whoever_tries_again_before_he_was_granted_anything_waits_once():
    """Else the one that nobody knows any more would be granted bytes that nobody gives back."""
    accumulator, batch = full_accumulator()
    waiter = append(accumulator, partition=1, wake=nobody)
    woken = []
    again = append(accumulator, partition=1, wake=lambda: woken.append(1), memory=waiter)
    assert isinstance(again, MemoryWaiter) and accumulator.memory.waiting == 1
    free(accumulator, batch)
    assert woken == [1] and append(accumulator, partition=1, wake=nobody, memory=again).opened
    assert accumulator.memory.waiting == 0


def test_what_was_granted_is_taken_though_the_estimate_of_compression_has_moved():
    """It moves with every batch: to get in line again each time would be to wait for ever."""
    accumulator, batch = full_accumulator(compression_type="zstd")
    waiter = append(accumulator, partition=1, wake=lambda: None)
    behind = append(accumulator, partition=2, wake=nobody)
    accumulator.topic("orders").ratio = 0.5
    free(accumulator, batch)
    appended = append(accumulator, partition=1, wake=nobody, memory=waiter)
    assert isinstance(appended, Appended) and appended.batch.limit == waiter.size - BATCH_MEMORY
    assert accumulator.memory.waiting == 1 and not behind.granted


def test_a_grant_that_is_too_small_for_the_record_is_given_back():
    accumulator, batch = full_accumulator()
    waiter = append(accumulator, partition=1, wake=lambda: None)
    free(accumulator, batch)
    appended = append(accumulator, bytes(50_000), partition=1, wake=nobody, memory=waiter)
    assert isinstance(appended, MemoryWaiter) or appended.batch.reserved == accumulator.memory.capacity
    assert accumulator.memory.used <= accumulator.memory.capacity


def test_a_buffer_memory_below_batch_size_bounds_the_batches():
    accumulator = accumulator_of(batch_size=100_000, buffer_memory=10_000)
    for _ in range(2_000):
        appended = append(accumulator)
        if appended is None:
            break
    assert shape(accumulator)[0] > 300
    assert queue_of(accumulator).batches[0].size <= accumulator.memory.used == accumulator.memory.capacity


def test_trap_8_the_age_of_a_batch_counts_from_its_opening_not_from_the_wait_before_it():
    accumulator, batch = full_accumulator()
    waiter = append(accumulator, partition=1, now_ms=0, wake=lambda: None)
    free(accumulator, batch)
    assert append(accumulator, partition=1, now_ms=900, wake=nobody, memory=waiter).batch.created_ms == 900


# Without a key


def test_d08_records_without_a_key_stay_at_one_partition_for_about_a_batch():
    accumulator = accumulator_of(batch_size=FIVE)
    topic = accumulator.topic("orders")
    partitions = [append(accumulator, partition=NO_PARTITION).batch.partition.partition for _ in range(300)]
    assert set(partitions) == {0, 1, 2}
    runs = [1]
    for before, after in pairwise(partitions):
        if before == after:
            runs[-1] += 1
        else:
            runs.append(1)
    assert all(run % 5 == 0 for run in runs), "no batch is left half filled"
    assert topic.sticky.produced_bytes < FIVE


def test_trap_34_the_header_of_a_new_batch_counts_too():
    accumulator = accumulator_of(batch_size=FIVE)
    append(accumulator, partition=NO_PARTITION)
    assert accumulator.topic("orders").sticky.produced_bytes == RECORD_BATCH_OVERHEAD + RECORD
    append(accumulator, partition=NO_PARTITION)
    assert accumulator.topic("orders").sticky.produced_bytes == RECORD_BATCH_OVERHEAD + 2 * RECORD


def test_a_change_of_partition_that_was_put_off_is_made_before_the_next_batch_is_opened():
    accumulator = accumulator_of(batch_size=FIVE)
    topic = accumulator.topic("orders")
    topic.choices = PartitionChoices((0, 1, 2), (0, 1, 2))
    first = append(accumulator, partition=NO_PARTITION).batch.partition.partition
    topic.sticky.produced_bytes = FIVE
    assert append(accumulator, partition=NO_PARTITION).batch.partition.partition == first
    queue_of(accumulator, first).tail.close()
    seen = Counter()
    for _ in range(20):
        topic.sticky.current = first
        topic.sticky.produced_bytes = FIVE
        seen[append(accumulator, partition=NO_PARTITION).batch.partition.partition] += 1
        for partition in range(3):
            if queue_of(accumulator, partition).tail:
                queue_of(accumulator, partition).tail.close()
    assert len(seen) > 1


# Threads


def test_trap_15_many_threads_append_while_one_drains():
    """testStressfulSituation: nothing is lost, order holds for each thread and partition, memory is exact."""
    threads, each, partitions = 6, 400, 3
    accumulator = accumulator_of(lock=threading.RLock(), batch_size=300, buffer_memory=20_000, compression_type="gzip")
    drained = {partition: [] for partition in range(partitions)}
    failed = []

    def send(name):
        topic = accumulator.topic("orders")
        for number in range(each):
            memory, appended = None, None
            while not isinstance(appended, Appended):
                room = threading.Event()
                with accumulator.lock:
                    appended = accumulator.append(
                        topic,
                        number % partitions,
                        fields(b"%d %d" % (name, number)),
                        now_ms=0,
                        wake=room.set,
                        memory=memory,
                    )
                if isinstance(appended, MemoryWaiter):
                    memory = appended
                    if not room.wait(20):
                        failed.append(f"{name} is forgotten at {number}")
                        return
            if appended.closed is not None:
                accumulator.seal(appended.closed)

    def drain_once():
        found = False
        for partition in range(partitions):
            queue = queue_of(accumulator, partition)
            while queue.batches and (queue.full or accumulator.hurrying):
                accumulator.close_head(queue)
                seal(accumulator, queue.batches[0])
                if not queue.batches[0].sealed:
                    break  # another thread compresses it
                batch = accumulator.take(queue)
                drained[partition] += records_of(batch.bytes())
                batch.send(0, 0)
                batch.in_flight = False
                batch.succeed(0, -1)
                accumulator.release(batch)
                accumulator.completed(batch)
                found = True
        return found

    senders = [threading.Thread(target=send, args=(name,)) for name in range(threads)]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        if not drain_once():
            senders[0].join(0.001)
    accumulator.close()
    while accumulator.incomplete:
        drain_once()
    assert not failed
    for partition, values in drained.items():
        for name in range(threads):
            mine = [value for value in values if value.startswith(b"%d " % name)]
            assert mine == [b"%d %d" % (name, number) for number in range(each) if number % partitions == partition]
    assert accumulator.memory.used == 0 and accumulator.memory.waiting == 0


# Any history


class AccumulatorMachine(RuleBasedStateMachine):
    """Appends, waits, seals, sends, retries, splits and failures in any order: memory is what the live batches hold."""

    @initialize(
        capacity=st.integers(1_000, 20_000),
        batch_size=st.integers(0, 2_000),
        codec=st.sampled_from(["none", "gzip"]),
        growth=st.booleans(),
    )
    def begin(self, capacity, batch_size, codec, growth):
        self.accumulator = accumulator_of(
            buffer_memory=capacity,
            batch_size=batch_size,
            compression_type=codec,
            batch_growth_max_bytes=4 * batch_size if growth else 0,
        )
        self.waiting = []  # (waiter, what he wants), in order
        self.flying = []
        self.number = 0
        self.woken = 0

    def wake(self):
        self.woken += 1

    def attempt(self, partition, size, memory=None):
        self.number += 1
        value = b"%d" % self.number + bytes(size)
        result = append(self.accumulator, value, partition, wake=self.wake, memory=memory)
        if isinstance(result, MemoryWaiter):
            self.waiting.append((result, partition, size))
        elif result.closed is not None and self.number % 3:
            seal(self.accumulator, result.closed)

    @rule(partition=st.integers(-1, 2), size=st.integers(0, 3_000))
    def send(self, partition, size):
        if RECORD_BATCH_OVERHEAD + size + 100 <= self.accumulator.memory.capacity:
            self.attempt(partition, size)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), again=st.booleans())
    def waiter_comes(self, data, again):
        """One who was granted something, or who gives up."""
        at = data.draw(st.integers(0, len(self.waiting) - 1))
        waiter, partition, size = self.waiting.pop(at)
        if again:
            self.attempt(partition, size, waiter)
        else:
            self.accumulator.memory.leave(waiter)

    @rule(partition=st.integers(0, 2))
    def take(self, partition):
        queue = queue_of(self.accumulator, partition)
        if queue.batches:
            self.accumulator.close_head(queue)
            seal(self.accumulator, queue.batches[0])
            batch = self.accumulator.take(queue)
            batch.send(0, 0)
            self.flying.append(batch)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), end=st.sampled_from(["ack", "fail", "retry", "expire", "split"]))
    def answer(self, data, end):
        batch = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        queue = self.accumulator.topic("orders").queue(batch.partition.partition)
        if end == "expire" and not batch.done:
            batch.fail(failure())
            self.flying.append(batch)
            return
        batch.in_flight = False
        if batch.done:
            self.accumulator.release(batch)
        elif end == "retry":
            batch.retry(0)
            self.accumulator.put_back(queue, batch)
        elif end == "split" and batch.count > 1:
            self.split(batch, queue)
        else:
            if end == "ack":
                batch.succeed(0, -1)
            else:
                batch.fail(failure())
            self.accumulator.release(batch)
            if batch.root.all_done:
                self.accumulator.completed(batch.root)

    def split(self, batch, queue):
        from kproto.producer.splitting import split

        def next_number():
            queue.opened += 1
            return queue.opened

        parts = split(batch, 100, next_number, None)
        batch.split_into(parts)
        self.accumulator.replace(batch, queue, parts)

    @rule(partition=st.integers(0, 2))
    def expire_queued(self, partition):
        queue = queue_of(self.accumulator, partition)
        if queue.batches:
            batch = queue.batches[0]
            self.accumulator.remove(queue, batch)
            batch.fail(failure())
            self.accumulator.release(batch)

    @invariant()
    def adds_up(self):
        if not hasattr(self, "accumulator"):
            return
        accumulator = self.accumulator
        queued = [batch for queue in accumulator.topic("orders").partitions.values() for batch in queue.batches]
        granted = [waiter for waiter, *_ in self.waiting if waiter.granted]
        live = sum(batch.reserved for batch in (*queued, *self.flying))
        assert accumulator.memory.used == live + sum(waiter.size for waiter in granted)
        assert accumulator.memory.waiting == len(self.waiting) - len(granted)
        states = [waiter.granted for waiter, *_ in self.waiting]
        assert states == sorted(states, reverse=True), "somebody was served before his turn"
        for queue in accumulator.topic("orders").partitions.values():
            keys = [(batch.root.number, batch.first) for batch in queue.batches]
            assert keys == sorted(keys)
            assert all(batch.state is BatchState.WAITING for batch in [*queue.batches][:-1])
            assert all(batch.count for batch in queue.batches)

    def teardown(self):
        if not hasattr(self, "accumulator"):
            return
        for _ in range(10_000):
            if self.waiting:
                waiter, *_ = self.waiting.pop(0)
                self.accumulator.memory.leave(waiter)
            for partition in range(3):
                self.expire_queued(partition)
            if self.flying:
                batch = self.flying.pop()
                batch.in_flight = False
                self.accumulator.release(batch)
            elif not self.waiting and not any(queue_of(self.accumulator, at).batches for at in range(3)):
                break
        assert self.accumulator.memory.used == 0


TestAccumulatorMachine = AccumulatorMachine.TestCase
TestAccumulatorMachine.settings = settings(max_examples=60, stateful_step_count=40)


def test_records_of_a_batch_are_what_was_appended_with_keys_headers_and_timestamps():
    accumulator = accumulator_of(compression_type="zstd")
    topic = accumulator.topic("orders")
    sent = [(AT_MS + n, b"k%d" % n, None if n == 2 else b"v%d" % n, (("h", b"%d" % n), ("n", None))) for n in range(4)]
    for one in sent:
        appended = accumulator.append(topic, 0, one, now_ms=0)
    batch = accumulator.take(queue_of(accumulator))
    seal(accumulator, batch)
    (whole,) = read_record_batches(batch.bytes())
    assert [(one.timestamp, one.key, one.value, tuple(one.headers)) for one in whole] == sent
    assert appended.index == 3
