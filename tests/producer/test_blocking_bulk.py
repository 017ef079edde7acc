"""`Producer.send_many` by columns: on real sockets, where there is room and where there is none."""

from __future__ import annotations

import threading
from itertools import count
from random import Random

import pytest
from producer.endings import running
from producer.interrupting import TELLS_ALL, interrupt
from producer.judge_server import WAIT_S, JudgeServer

from kproto.client import KafkaTimeoutError
from kproto.producer import (
    BufferFullError,
    BulkDeliveryError,
    InvalidTopicError,
    Producer,
    ProducerClosedError,
    RecordRange,
    WriteStatus,
)
from kproto.producer import blocking_bulk as module
from kproto.producer.blocking_bulk import send_columns
from kproto.producer.bulk import BulkDelivery
from kproto.producer.partitioner import partition_for_key

TOPIC = "orders"
HALF = bytes(3_000)
SMALL = {"buffer_memory": 8_000, "batch_size": 4_000, "linger_ms": 0}


@pytest.fixture
def server():
    with JudgeServer({TOPIC: 3}) as server:
        yield server


@pytest.fixture
def columns(monkeypatch):
    """What each call of `send_columns` gave: True where it has taken the records."""
    given = []
    real = module.send_columns

    def noted(*arguments):
        given.append(real(*arguments))
        return given[-1]

    monkeypatch.setattr("kproto.producer.producer.send_columns", noted)
    return given


def at_rest(producer):
    accumulator = producer._engine.accumulator
    assert not accumulator.incomplete
    assert accumulator.memory.used == accumulator.memory.waiting == 0


def known(producer, max_block_ms):
    """From now on a broker who answers nothing is all that is waited for, and no longer than that."""
    producer.wait_ready(WAIT_S)
    producer.partitions_for(TOPIC)
    producer._appends._max_block_ms = max_block_ms


def waits_of(producer, monkeypatch):
    """Is released whenever a thread begins to wait."""
    begun, wait_for = threading.Semaphore(0), producer._thread.wait_for

    def noted(bell, wanted, timeout_s):
        begun.release()
        return wait_for(bell, wanted, timeout_s)

    monkeypatch.setattr(producer._thread, "wait_for", noted)
    return begun


def indices_of(ranges):
    return sorted(place for found in ranges for place in found.indices)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_each_record_is_where_its_range_says(server, columns, compression):
    rng = Random(7)
    keys = [b"%d" % rng.randrange(40) for _ in range(800)]
    values = [b"%d:" % place + bytes(rng.randrange(60)) for place in range(800)]
    with Producer(server.bootstrap_servers, batch_size=2_000, compression_type=compression) as producer:
        ranges = producer.send_many(TOPIC, values, keys).result(WAIT_S)
        producer.flush(WAIT_S)
        at_rest(producer)
    assert columns == [True]
    assert indices_of(ranges) == [*range(800)]
    assert len(ranges) > 6, "several batches of each partition"
    written = [server.values(TOPIC, number) for number in range(3)]
    for found in ranges:
        assert list(found.indices) == sorted(found.indices)
        for at, place in enumerate(found.indices):
            partition, offset = found.metadata(at)
            assert partition == partition_for_key(keys[place], 3)
            assert written[partition][offset] == values[place]
    assert sum(map(len, written)) == 800


def test_part_4_without_keys_a_call_may_turn_from_partition_to_partition(server, columns):
    values = [b"%d" % number + bytes(100) for number in range(300)]
    with Producer(server.bootstrap_servers, batch_size=1_000) as producer:
        ranges = producer.send_many(TOPIC, values).result(WAIT_S)
    assert columns == [True]
    assert indices_of(ranges) == [*range(300)]
    for found in ranges:
        partition, offset = found.metadata(0)
        assert server.values(TOPIC, partition)[offset : offset + found.count] == [values[at] for at in found.indices]
    assert len({found.partition for found in ranges}) > 1


def test_partition_headers_and_timestamp_are_those_of_all(server, columns):
    with Producer(server.bootstrap_servers) as producer:
        future = producer.send_many(
            TOPIC,
            (b"a", None, b""),
            (b"k", None, b"k"),
            partition=2,
            timestamp_ms=5,
            headers=[("h", b"1"), ("n", None)],
        )
        assert future.result(WAIT_S) == (RecordRange(TOPIC, 2, 0, 3, (0, 1, 2)),)
    assert columns == [True]
    records = server.records(TOPIC, 2)
    assert [(record.key, record.value) for record in records] == [(b"k", b"a"), (None, None), (b"k", b"")]
    assert {record.timestamp for record in records} == {5}
    assert {tuple(record.headers) for record in records} == {(("h", b"1"), ("n", None))}


def test_without_a_timestamp_all_have_the_time_of_the_call(server, columns, monkeypatch):
    monkeypatch.setattr(module.time, "time_ns", lambda: 1_700_000_000_123_999_999)
    with Producer(server.bootstrap_servers) as producer:
        producer.send_many(TOPIC, [b"a", b"b"], partition=0).result(WAIT_S)
    assert [record.timestamp for record in server.records(TOPIC)] == [1_700_000_000_123] * 2


def test_records_of_all_ways_keep_the_order_in_which_they_were_sent(server):
    with Producer(server.bootstrap_servers, linger_ms=60_000) as producer:
        futures = [producer.send(TOPIC, b"0", partition=0)]
        many = producer.send_many(TOPIC, [b"1", b"2"], partition=0)
        futures.append(producer.send(TOPIC, b"3", partition=0))
        producer.flush(WAIT_S)
        assert many.result(0) == (RecordRange(TOPIC, 0, 1, 2, (0, 1)),)
        assert [future.result(0).offset for future in futures] == [0, 3]
    assert server.values(TOPIC) == [b"0", b"1", b"2", b"3"]


# Where each record has to go its own way


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({}, []),
        ({}, [b"a", "text"]),
        ({}, iter([b"a"])),
        ({"batch_observer": lambda event: None}, [b"a"]),
        ({"value_serializer": lambda topic, value: value}, [b"a"]),
        ({"partitioner": "round_robin"}, [b"a"]),
    ],
    ids=["nothing", "no bytes", "no sequence", "observed", "serialized", "partitioner"],
)
def test_it_says_so_and_has_done_nothing(server, settings, values):
    with Producer(server.bootstrap_servers, **settings) as producer:
        bulk = BulkDelivery(lambda ranges, error: None)
        assert not send_columns(producer._appends, TOPIC, values, None, None, None, (), bulk)
        assert not bulk.accepted
        at_rest(producer)


# Room


def test_pool_3_where_memory_is_short_it_waits_and_goes_on(server, columns):
    values = [b"%2d" % number + HALF for number in range(20)]
    with Producer(server.bootstrap_servers, **SMALL) as producer:
        ranges = producer.send_many(TOPIC, values, partition=1).result(WAIT_S)
        assert indices_of(ranges) == [*range(20)]
        assert [found.base_offset for found in ranges] == [*range(20)], "one in each batch"
        producer.flush(WAIT_S)
        at_rest(producer)
    assert columns == [True]
    assert server.values(TOPIC, 1) == values


def test_what_waits_for_room_goes_on_once_the_broker_answers(server, monkeypatch):
    with Producer(server.bootstrap_servers, **SMALL) as producer:
        producer.partitions_for(TOPIC)
        server.stall()
        futures, waits = [], waits_of(producer, monkeypatch)
        with running(lambda: futures.append(producer.send_many(TOPIC, [HALF] * 5, partition=0))):
            assert waits.acquire(timeout=WAIT_S)
            assert not futures
            server.go_on()
        assert indices_of(futures[0].result(WAIT_S)) == [*range(5)]
        producer.flush(WAIT_S)
        at_rest(producer)


@pytest.mark.parametrize("keyed", [False, True])
def test_no_room_after_some_were_accepted_tells_both_parts(server, columns, keyed):
    """The others of the same group, and the groups behind: their places are those of the call."""
    keys = [b"%d" % number for number in range(6)] if keyed else None
    values = [b"%d" % number + HALF for number in range(6)]
    with Producer(server.bootstrap_servers, **SMALL) as producer:
        known(producer, max_block_ms=30)
        server.stall()
        future = producer.send_many(TOPIC, values, keys)
        assert not future.done(), "what was accepted has not ended"
        server.go_on()
        with pytest.raises(BulkDeliveryError) as raised:
            future.result(WAIT_S)
        (delivered,) = raised.value.delivered
        ((places, error),) = raised.value.failed
        assert sorted([*delivered.indices, *places]) == [*range(6)]
        assert delivered.count == 1
        if keyed:
            first = min(partition_for_key(key, 3) for key in keys)
            assert delivered.indices[0] == min(n for n, key in enumerate(keys) if partition_for_key(key, 3) == first)
        assert isinstance(error.cause, BufferFullError) and error.written is WriteStatus.NO
        assert server.values(TOPIC, delivered.partition) == [values[delivered.indices[0]]]
        producer.flush(WAIT_S)
        at_rest(producer)
        assert columns == [True]


def test_no_room_for_the_first_raises_and_nothing_was_accepted(server):
    with Producer(server.bootstrap_servers, **SMALL) as producer:
        known(producer, max_block_ms=30)
        server.stall()
        before = producer.send(TOPIC, HALF, partition=0)
        with pytest.raises(BufferFullError):
            producer.send_many(TOPIC, [HALF] * 3, partition=1)
        server.go_on()
        assert before.result(WAIT_S).offset == 0
        assert server.values(TOPIC, 1) == []
        producer.flush(WAIT_S)
        at_rest(producer)


def test_closed_while_it_waits_for_room_tells_both_parts(server, monkeypatch):
    producer = Producer(server.bootstrap_servers, **SMALL)
    producer.wait_ready(WAIT_S)
    producer.partitions_for(TOPIC)
    server.stall()
    futures, waits = [], waits_of(producer, monkeypatch)
    with running(lambda: futures.append(producer.send_many(TOPIC, [HALF] * 3, partition=0))):
        assert waits.acquire(timeout=WAIT_S)
        producer._thread.close()
    server.go_on()
    producer.close()
    with pytest.raises(BulkDeliveryError) as raised:
        futures[0].result(WAIT_S)
    assert raised.value.delivered == (RecordRange(TOPIC, 0, 0, 1, (0,)),)
    ((places, error),) = raised.value.failed
    assert list(places) == [1, 2] and isinstance(error.cause, ProducerClosedError)


# What is refused as a whole


def test_a_closed_producer_accepts_nothing(server):
    producer = Producer(server.bootstrap_servers)
    producer.partitions_for(TOPIC)
    producer.close()
    with pytest.raises(ProducerClosedError):
        producer.send_many(TOPIC, [b"a"])


def test_a_topic_or_partition_that_there_is_not_is_refused_and_counted(server):
    with Producer(server.bootstrap_servers, max_block_ms=50) as producer:
        with pytest.raises(KafkaTimeoutError):
            producer.send_many("missing", [b"a"])
        with pytest.raises(KafkaTimeoutError):
            producer.send_many(TOPIC, [b"a"], partition=7)
        with pytest.raises(InvalidTopicError):
            producer.send_many("no topic", [b"a"])
        (errors,) = [
            value
            for key, value in producer.metrics().items()
            if (key.name, key.group) == ("record-error-total", "producer-metrics")
        ]
        assert errors == 3
        at_rest(producer)


# Ctrl-C


def test_what_was_accepted_leaves_by_itself_wherever_ctrl_c_comes(server, monkeypatch):
    """Nobody sends, flushes or closes afterwards."""
    with Producer(server.bootstrap_servers, batch_size=1_500, linger_ms=1) as producer:
        values, over = [bytes(500)] * 3, threading.Condition()
        accumulator = producer._engine.accumulator
        completed = accumulator.completed

        def noted(batch):
            completed(batch)
            with over:
                over.notify_all()

        monkeypatch.setattr(accumulator, "completed", noted)
        producer.send_many(TOPIC, values, partition=0).result(WAIT_S)
        for at in count(1, 3):
            where = interrupt(lambda: producer.send_many(TOPIC, values, partition=0), at)
            with over:
                assert over.wait_for(lambda: not accumulator.incomplete, WAIT_S), where
            at_rest(producer)
            if not where:
                assert at > 100 or not TELLS_ALL, "the places were not found"
                break
