"""The fast way comes to the same as the slow one: bytes, order, futures, callbacks, memory and sticky partitions."""

from __future__ import annotations

import dis
import sys
import threading
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer.judge_server import JudgeServer
from producer.queueing import AT_MS, accumulator_of, records_of

from kproto.producer import Producer
from kproto.producer.batch_state import BatchState
from kproto.producer.delivery import Delivery
from kproto.producer.fast_send import make_fast_send
from kproto.producer.partitioner import PartitionChoices, choose_by_key
from kproto.producer.queues import Appended
from kproto.producer.record import NO_PARTITION
from kproto.wire.records import read_record_batches, record_heads

TOPIC = "orders"


class World:
    """An accumulator, and both ways into it. now_s: what the clock says."""

    def __init__(self, *, lock=None, **settings):
        self.accumulator = accumulator_of(lock=lock, **settings)
        self.topic = self.accumulator.topic(TOPIC)
        self.accumulator.routes[TOPIC] = self.topic.routes
        self.now_s = AT_MS / 1000
        self.slow_records = self.rolled = 0
        self.fast = make_fast_send(
            self.accumulator.routes,
            slow=self.slow,
            new=Delivery,
            clock=lambda: self.now_s,
            roll=self.roll,
            turn=self.accumulator.turn_sticky,
            sticky_bytes_max=2 * settings.get("batch_size", 16_384),
        )

    def roll(self, queue, timestamp_ms, key, value, on_delivery):
        self.rolled += 1

    def slow(self, topic, value, key, partition, timestamp_ms, headers, on_delivery):
        """What the faces do, without waiting."""
        self.slow_records += 1
        accumulator = self.accumulator
        if partition is None:
            partition = choose_by_key(topic, key, self.topic.choices)
        at_ms = int(self.now_s * 1000) if timestamp_ms is None else timestamp_ms
        fields = (at_ms, key, value, tuple(headers or ()))
        with accumulator.lock:
            appended = accumulator.append(
                self.topic, partition, fields, on_delivery, now_ms=0, clocked=timestamp_ms is None
            )
        assert isinstance(appended, Appended)
        delivery = Delivery()
        delivery._batch, delivery._index = appended.batch, appended.index
        return delivery

    def outcome(self):
        """All that can be told apart from outside."""
        found = []
        for partition, queue in sorted(self.topic.partitions.items()):
            for batch in queue.batches:
                batch.close()
                batch.seal()
                found.append(
                    (
                        partition,
                        batch.number,
                        bytes(batch.bytes()),
                        batch.count,
                        batch.plain_size,
                        batch.largest_record,
                        batch.timestamps,
                        [(index, call.name) for index, call in batch.callbacks],
                        batch.reserved,
                    )
                )
        return found, self.accumulator.memory.used, self.topic.sticky.current, self.topic.sticky.produced_bytes


class Call:
    def __init__(self, name):
        self.name = name

    def __call__(self, metadata, error):
        raise AssertionError("nothing ends here")


KEYS = st.sampled_from([None, None, b"", b"a", b"bb", b"a key that is longer than others" * 3, bytes(9000)])
VALUES = st.one_of(
    st.none(), st.binary(max_size=40), st.integers(0, 300).map(bytes), st.sampled_from([bytes(127), bytes(9000)])
)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"value": VALUES, "key": KEYS},
        optional={
            "partition": st.integers(0, 2),
            "timestamp_ms": st.integers(AT_MS - 3, AT_MS + 300),
            "headers": st.just([("h", b"1")]),
            "called": st.just(True),
        },
    ),
    max_size=60,
)
STEPS_S = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.0004, 0.001, 0.07, 1.0]), min_size=60, max_size=60)


@given(RECORDS, STEPS_S, st.sampled_from([1, 300, 1000, 16_384]), st.sampled_from([0, 4000]))
def test_whatever_is_sent_both_ways_come_to_the_same(records, steps_s, batch_size, growth):
    settings = {"batch_size": batch_size, "batch_growth_max_bytes": growth and max(growth, batch_size)}
    fast, slow = World(**settings), World(**settings)
    places = []
    for number, (record, step_s) in enumerate(zip(records, steps_s, strict=False)):
        fast.now_s += step_s
        slow.now_s += step_s
        options = {name: value for name, value in record.items() if name != "called"}
        if "called" in record:
            options["on_delivery"] = Call(number)
        one = fast.fast(TOPIC, **options)
        arguments = [options.get(name) for name in ("partition", "timestamp_ms", "headers", "on_delivery")]
        other = slow.slow(TOPIC, options["value"], options["key"], *arguments)
        places.append((one._batch.partition, one._batch.number, one._index))
        assert places[-1] == (other._batch.partition, other._batch.number, other._index)
    assert fast.outcome() == slow.outcome()


def test_batch_w3_a_record_of_the_future_stays_the_newest_of_its_batch_however_time_passes():
    """Found by the simulation."""
    world = World()
    world.fast(TOPIC, b"first", partition=0)
    world.fast(TOPIC, b"a", partition=0, timestamp_ms=AT_MS + 50)
    for _ in range(3):
        world.now_s += 0.001
        world.fast(TOPIC, b"b", partition=0)
    (batch,) = world.topic.partitions[0].batches
    assert batch.builder.max_timestamp == AT_MS + 50


def test_nearly_all_records_go_the_fast_way():
    """Or the property above would be one of the slow way."""
    for delta_ms in range(50):
        record_heads(delta_ms, 1000)  # made as they are needed, and shared: how far they go is a matter of chance
    world = World()
    for number in range(1000):
        world.now_s += 0.00005
        world.fast(TOPIC, b"value %d" % number, b"key %d" % (number % 5))
    assert world.slow_records <= 6, "the first of each partition, and of each full batch"
    assert world.rolled == world.slow_records - 3


def test_a_key_that_was_never_seen_goes_the_fast_way_once_its_partition_has_a_batch():
    world = World()
    for number in range(100):
        world.fast(TOPIC, b"v", b"%d" % number)
    assert world.slow_records == 3


def test_what_is_no_bytes_goes_the_slow_way():
    world, seen = World(), []
    world.fast(TOPIC, b"v", b"k")
    refused = make_fast_send(
        world.accumulator.routes,
        slow=lambda *arguments: seen.append(arguments),
        new=Delivery,
        clock=lambda: world.now_s,
        roll=world.roll,
        turn=world.accumulator.turn_sticky,
        sticky_bytes_max=100,
    )
    for value, key in [("text", b"k"), (bytearray(b"v"), b"k"), (b"v", "k"), (b"v", bytearray(b"k")), (b"v", [])]:
        refused(TOPIC, value, key)
    refused("elsewhere", b"v", b"k")
    refused([], b"v", b"k")
    assert len(seen) == 7 and world.topic.partitions[choose_by_key(TOPIC, b"k", world.topic.choices)].open.count == 1


def test_no_record_goes_into_a_batch_that_was_closed_meanwhile():
    world = World()
    first = world.fast(TOPIC, b"v", b"k")._batch
    world.fast(TOPIC, b"v", b"k")
    first.close()
    assert first.room == -1
    second = world.fast(TOPIC, b"v", b"k")
    assert second._batch is not first and first.count == 2 and second._index == 0


def test_close_ends_the_fast_way():
    world = World()
    world.fast(TOPIC, b"v", b"k")
    world.accumulator.close()
    assert not world.accumulator.routes


HARMLESS = {
    *("LOAD_FAST", "LOAD_DEREF", "LOAD_ATTR", "LOAD_CONST", "LOAD_SMALL_INT", "COMPARE_OP", "TO_BOOL"),
    *("BINARY_OP", "STORE_ATTR", "COPY", "SWAP", "CACHE", "NOP", "EXTENDED_ARG"),
}


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="another interpreter's byte code")
def test_nothing_can_come_between_the_look_and_the_record():
    """No call, no loop, and nothing new that the collector counts, from the look up to the last store."""
    code = World().fast.__code__
    lines = Path(code.co_filename).read_text(encoding="utf-8").splitlines()
    numbers = [number for number, line in enumerate(lines, 1) if "builder.parts += record" in line]
    assert len(numbers) == 3
    by_line: dict[int, list[dis.Instruction]] = {number: [] for number in numbers}
    for step in dis.get_instructions(code):
        number = step.positions.lineno if step.positions else None
        if number in by_line:
            by_line[number].append(step)
    for steps in by_line.values():
        stores = [at for at, step in enumerate(steps) if step.opname == "STORE_ATTR"]
        atomic = steps[: stores[-1] + 1]
        assert len(stores) >= 3
        unknown = {step.opname for step in atomic} - HARMLESS
        unknown = {name for name in unknown if "LOAD_FAST" not in name and not name.startswith("POP_JUMP")}
        assert not unknown, unknown


def test_threads_lose_nothing_and_each_future_is_that_of_its_record():
    interval = sys.getswitchinterval()
    world = World(lock=threading.RLock(), batch_size=2_000)
    taken = {}

    def work(name):
        rng = Random(name)
        for number in range(1500):
            value = b"%d:%d:" % (name, number) + bytes(rng.randrange(30))
            taken[value] = world.fast(TOPIC, value, b"k%d" % rng.randrange(6))
            if not rng.randrange(40):
                world.now_s += 0.001

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    found = {}
    for queue in world.topic.partitions.values():
        for batch in queue.batches:
            assert batch.state is not BatchState.OPEN or batch is queue.batches[-1]
            batch.close()
            batch.seal()
            assert batch.plain_size <= 2_000
            (whole,) = read_record_batches(batch.bytes())
            for index, record in enumerate(whole):
                assert record.value not in found
                found[record.value] = (batch, index)
    assert {value: (one._batch, one._index) for value, one in taken.items()} == found
    order: dict[bytes, int] = {}
    for queue in world.topic.partitions.values():
        for batch in queue.batches:
            for value in records_of(batch.bytes()):
                name, number, _ = value.split(b":", 2)
                place = (name, queue.partition)
                assert order.get(place, -1) < int(number), "one thread's records of a partition stay in order"
                order[place] = int(number)


# On a producer


def test_it_is_the_way_of_a_producer_and_of_a_class_derived_that_does_not_say_otherwise():
    class Derived(Producer):
        pass

    class Own(Producer):
        def send(self, topic, value=None, key=None, **options):
            return super().send(topic, b"own " + value, key, **options)

    with JudgeServer({TOPIC: 1}) as server:
        for cls, expected in ((Producer, b"v"), (Derived, b"v"), (Own, b"own v")):
            with cls(server.bootstrap_servers) as producer:
                assert ("send" in vars(producer)) == (cls is not Own)
                for _ in range(3):
                    producer.send(TOPIC, b"v").result(10)
                assert server.values(TOPIC, 0)[-1] == expected


@pytest.mark.parametrize(
    "settings",
    [
        {"interceptors": [SimpleNamespace(on_send=lambda record: record, on_acknowledgement=print)]},
        {"key_serializer": lambda topic, key: key},
        {"value_serializer": lambda topic, value: value},
        {"max_request_size": 1_000},
        {"buffer_memory": 20_000},
        {"batch_observer": print},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_where_each_record_is_looked_at_there_is_none(settings):
    with JudgeServer({TOPIC: 1}) as server, Producer(server.bootstrap_servers, **settings) as producer:
        assert "send" not in vars(producer)


@pytest.mark.parametrize("settings", [{"partitioner": "round_robin"}, {"partitioner_ignore_keys": True}])
def test_another_partitioner_decides_of_each_record(settings):
    with JudgeServer({TOPIC: 3}) as server, Producer(server.bootstrap_servers, **settings) as producer:
        for number in range(9):
            producer.send(TOPIC, b"%d" % number, b"same").result(10)
        assert not producer._engine.accumulator.routes
        assert NO_PARTITION not in producer._engine.accumulator.topics[TOPIC].partitions


def test_meta_wait_1_a_partition_that_the_topic_has_no_more_goes_the_slow_way():
    """Which waits for it, and says so: its queue is there still."""
    world = World()
    world.fast(TOPIC, b"v", b"k", partition=2)
    world.fast(TOPIC, b"v", b"k", partition=2)
    before = world.slow_records
    world.topic.choices = PartitionChoices((0, 1), (0, 1))
    world.fast(TOPIC, b"v", b"k", partition=2)
    assert world.slow_records == before + 1
