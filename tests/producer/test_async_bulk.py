"""`AsyncProducer.send_many` by columns: on each kind of loop, where there is room and where there is none."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from producer.judge_in_loop import JudgeInLoop, at_rest, on_each_loop, on_loop, turns, until

from kproto.client import KafkaTimeoutError
from kproto.producer import (
    AsyncProducer,
    BufferFullError,
    BulkDeliveryError,
    InvalidTopicError,
    ProducerClosedError,
    RecordRange,
    WriteStatus,
)
from kproto.producer import async_bulk as module
from kproto.producer.async_bulk import send_columns
from kproto.producer.bulk import BulkDelivery
from kproto.producer.partitioner import partition_for_key

TOPIC = "orders"
HALF = bytes(3_000)
SMALL = {"buffer_memory": 8_000, "batch_size": 4_000}


def started(judge, **settings):
    return AsyncProducer(judge.bootstrap_servers, **{"linger_ms": 0, **settings})


def indices_of(ranges):
    return sorted(place for found in ranges for place in found.indices)


def log_of(judge, partition=0):
    return [record.value for record in judge.cluster.log(TOPIC, partition)]


async def known(producer, max_block_ms=None):
    """From now on a broker who answers no Produce is all that is waited for, and no longer than that."""
    await producer.wait_ready()
    await producer.partitions_for(TOPIC)
    if max_block_ms is not None:
        producer._running.appends._max_block_ms = max_block_ms


@on_each_loop
async def test_each_record_is_where_its_range_says():
    rng = Random(7)
    keys = [b"%d" % rng.randrange(40) for _ in range(500)]
    values = [b"%d:" % place + bytes(rng.randrange(60)) for place in range(500)]
    async with JudgeInLoop({TOPIC: 3}) as judge, started(judge, batch_size=2_000) as producer:
        ranges = await (await producer.send_many(TOPIC, values, keys))
        await producer.flush()
        at_rest(producer)
        assert indices_of(ranges) == [*range(500)]
        written = [log_of(judge, number) for number in range(3)]
        for found in ranges:
            for at, place in enumerate(found.indices):
                partition, offset = found.metadata(at)
                assert partition == partition_for_key(keys[place], 3)
                assert written[partition][offset] == values[place]
        assert len(judge.values(TOPIC)) == 500


@on_loop
async def test_it_is_the_way_of_send_many():
    given = []
    real = module.send_columns

    async def noted(*arguments):
        given.append(await real(*arguments))
        return given[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("kproto.producer.async_producer.send_columns", noted)
        async with JudgeInLoop({TOPIC: 1}) as judge, started(judge) as producer:
            await (await producer.send_many(TOPIC, [b"a", b"b"]))
            await (await producer.send_many(TOPIC, [b"c", bytearray(b"d")], partition=0))
            assert judge.values(TOPIC) == [b"a", b"b", b"c", b"d"]
    assert given == [True, False]


@on_loop
async def test_partition_headers_and_timestamp_are_those_of_all():
    async with JudgeInLoop({TOPIC: 3}) as judge, started(judge) as producer:
        future = await producer.send_many(
            TOPIC,
            (b"a", None, b""),
            (b"k", None, b"k"),
            partition=2,
            timestamp_ms=5,
            headers=[("h", b"1"), ("n", None)],
        )
        assert await future == (RecordRange(TOPIC, 2, 0, 3, (0, 1, 2)),)
        records = judge.cluster.log(TOPIC, 2)
        assert [(record.key, record.value) for record in records] == [(b"k", b"a"), (None, None), (b"k", b"")]
        assert {record.timestamp for record in records} == {5}
        assert {tuple(record.headers) for record in records} == {(("h", b"1"), ("n", None))}
        judge.cluster.check()


@on_loop
async def test_without_a_timestamp_all_have_the_time_of_the_call():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module.time, "time_ns", lambda: 1_700_000_000_123_999_999)
        async with JudgeInLoop({TOPIC: 1}) as judge, started(judge) as producer:
            await (await producer.send_many(TOPIC, [b"a", b"b"]))
            assert [record.timestamp for record in judge.cluster.log(TOPIC, 0)] == [1_700_000_000_123] * 2


@on_loop
async def test_where_each_record_has_to_go_its_own_way_it_says_so_and_has_done_nothing():
    for settings, values in (
        ({}, []),
        ({}, [b"a", "text"]),
        ({"batch_observer": lambda event: None}, [b"a"]),
        ({"value_serializer": lambda topic, value: value}, [b"a"]),
        ({"partitioner": "round_robin"}, [b"a"]),
    ):
        async with JudgeInLoop({TOPIC: 3}) as judge, started(judge, **settings) as producer:
            bulk = BulkDelivery(lambda ranges, error: None)
            assert not await send_columns(producer._running, TOPIC, values, None, None, None, (), bulk)
            assert not bulk.accepted
            at_rest(producer)


# Room


@on_each_loop
async def test_pool_3_where_memory_is_short_it_waits_and_goes_on():
    values = [b"%2d" % number + HALF for number in range(20)]
    async with JudgeInLoop({TOPIC: 1}) as judge, started(judge, **SMALL) as producer:
        ranges = await (await producer.send_many(TOPIC, values))
        assert indices_of(ranges) == [*range(20)]
        assert [found.base_offset for found in ranges] == [*range(20)], "one in each batch"
        await producer.flush()
        at_rest(producer)
        assert judge.values(TOPIC) == values


@on_loop
async def test_while_it_waits_for_room_the_loop_goes_round():
    async with JudgeInLoop({TOPIC: 1}) as judge, started(judge, **SMALL) as producer:
        await known(producer)
        judge.stall()
        task = asyncio.ensure_future(producer.send_many(TOPIC, [HALF] * 4))
        await until(lambda: producer._running.accumulator.memory.waiting)
        await turns()
        assert not task.done()
        judge.resume()
        assert indices_of(await (await task)) == [*range(4)]
        await producer.flush()
        at_rest(producer)


@pytest.mark.parametrize("keyed", [False, True])
@on_loop
async def test_no_room_after_some_were_accepted_tells_both_parts(keyed):
    """The others of the same group, and the groups behind: their places are those of the call."""
    keys = [b"%d" % number for number in range(6)] if keyed else None
    values = [b"%d" % number + HALF for number in range(6)]
    async with JudgeInLoop({TOPIC: 3}) as judge, started(judge, **SMALL) as producer:
        await known(producer, max_block_ms=30)
        judge.stall()
        future = await producer.send_many(TOPIC, values, keys)
        assert not future.done(), "what was accepted has not ended"
        judge.resume()
        with pytest.raises(BulkDeliveryError) as raised:
            await future
        (delivered,) = raised.value.delivered
        ((places, error),) = raised.value.failed
        assert delivered.count == 1 and sorted([*delivered.indices, *places]) == [*range(6)]
        assert isinstance(error.cause, BufferFullError) and error.written is WriteStatus.NO
        assert judge.values(TOPIC) == [values[delivered.indices[0]]]
        await producer.flush()
        at_rest(producer)


@on_loop
async def test_no_room_for_the_first_raises_and_nothing_was_accepted():
    async with JudgeInLoop({TOPIC: 2}) as judge, started(judge, **SMALL) as producer:
        await known(producer, max_block_ms=30)
        judge.stall()
        before = await producer.enqueue(TOPIC, HALF, partition=0)
        with pytest.raises(BufferFullError):
            await producer.send_many(TOPIC, [HALF] * 3, partition=1)
        judge.resume()
        assert (await before).offset == 0
        await producer.flush()
        at_rest(producer)
        assert log_of(judge, 1) == []


@on_loop
async def test_closed_while_it_waits_for_room_tells_both_parts():
    async with JudgeInLoop({TOPIC: 1}) as judge, started(judge, **SMALL) as producer:
        await known(producer)
        judge.stall()
        task = asyncio.ensure_future(producer.send_many(TOPIC, [HALF] * 3))
        await until(lambda: producer._running.accumulator.memory.waiting)
        closing = asyncio.ensure_future(producer.close())
        future = await task
        judge.resume()
        await closing
        with pytest.raises(BulkDeliveryError) as raised:
            await future
        assert raised.value.delivered == (RecordRange(TOPIC, 0, 0, 1, (0,)),)
        ((places, error),) = raised.value.failed
        assert list(places) == [1, 2] and isinstance(error.cause, ProducerClosedError)


@on_loop
async def test_cancelled_at_any_turn_it_leaves_what_was_accepted_and_its_place_in_the_line():
    """Of what it has accepted, the values reach the broker in order; of the rest, none does."""
    written = set()
    for turn in range(12):
        async with JudgeInLoop({TOPIC: 1}) as judge, started(judge, **SMALL) as producer:
            await known(producer)
            values = [b"%d" % number + HALF for number in range(4)]
            task = asyncio.ensure_future(producer.send_many(TOPIC, values))
            await turns(turn)
            task.cancel()
            await asyncio.wait([task])
            await producer.flush()
            at_rest(producer)
            found = judge.values(TOPIC)
            assert found == values[: len(found)]
            assert task.cancelled() or len(found) == 4
            written.add(len(found))
    assert 0 in written and len(written) > 1, "it was cancelled too early, or too late"


# What is refused as a whole


@on_loop
async def test_a_closed_producer_accepts_nothing():
    async with JudgeInLoop({TOPIC: 1}) as judge:
        async with started(judge) as producer:
            await producer.partitions_for(TOPIC)
        with pytest.raises(ProducerClosedError):
            await producer.send_many(TOPIC, [b"a"])


@on_loop
async def test_a_topic_or_partition_that_there_is_not_is_refused_and_counted():
    async with JudgeInLoop({TOPIC: 3}) as judge, started(judge, max_block_ms=50) as producer:
        with pytest.raises(KafkaTimeoutError):
            await producer.send_many("missing", [b"a"])
        with pytest.raises(KafkaTimeoutError):
            await producer.send_many(TOPIC, [b"a"], partition=7)
        with pytest.raises(InvalidTopicError):
            await producer.send_many("no topic", [b"a"])
        (errors,) = [
            value
            for key, value in producer.metrics().items()
            if (key.name, key.group) == ("record-error-total", "producer-metrics")
        ]
        assert errors == 3
        at_rest(producer)
