"""How a record is accepted on an event loop: metadata, room, refusals; and tasks that are cancelled at any moment."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

import pytest
from producer.judge_in_loop import (
    JudgeInLoop,
    at_rest,
    await_bytes,
    on_each_loop,
    on_loop,
    pass_by,
    run_on,
    turns,
    until,
)
from producer.judged_loopback import JudgedLoopback

from kproto.client import KafkaTimeoutError
from kproto.producer import (
    AsyncProducer,
    BufferFullError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    PartitionerError,
    ProducerClosedError,
    SerializationError,
    TopicAuthorizationFailedError,
)
from kproto.tools.judge import Fault
from kproto.wire import ApiKey, EncodeError, ErrorCode
from kproto.wire.records import RecordBatchBuilder

TOPIC = {"orders": 1}
SMALL = {"buffer_memory": 8_000, "batch_size": 4_000, "linger_ms": 0}
SMALL_AND_SLOW = {**SMALL, "linger_ms": 60_000, "buffer_memory": 6_000}
HALF = bytes(3_000)


def started(judge, **settings):
    return AsyncProducer(judge.bootstrap_servers, **{"linger_ms": 0, **settings})


def metric(producer, name):
    """Of the producer as a whole."""
    (found,) = [
        value for key, value in producer.metrics().items() if (key.name, key.group) == (name, "producer-metrics")
    ]
    return found


def memory_of(producer):
    return producer._running.accumulator.memory


def fill(producer):
    """Until there is no room: what was accepted."""
    sent = []
    while True:
        try:
            sent.append(producer.try_enqueue("orders", HALF))
        except BufferFullError:
            return sent


def give_room_and(waiter, then):
    """In the very pass that gives him room, before he hears of it, something else happens."""
    wake = waiter.wake

    def woken():
        wake()
        then()

    waiter.wake = woken


def hand_made(*values, compression="none"):
    batch = RecordBatchBuilder(compression)
    for value in values:
        batch.append(1_700_000_000_000, None, value)
    return batch


# Metadata


@on_each_loop
async def test_meta_wait_1_a_record_waits_for_metadata_and_the_loop_does_not():
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        judge.cluster.fail(ApiKey.METADATA, Fault.delay(20))
        waiting = asyncio.ensure_future(producer.enqueue("orders", b"value"))
        await turns()
        assert not waiting.done()
        assert (await (await waiting)).offset == 0


@on_loop
async def test_meta_wait_2_metadata_that_does_not_come_is_an_error_with_its_cause():
    async with JudgeInLoop(TOPIC) as judge, started(judge, max_block_ms=50) as producer:
        with pytest.raises(KafkaTimeoutError, match=r"metadata of topic nowhere: nothing within 50 ms") as caught:
            await producer.enqueue("nowhere", b"value")
        assert ErrorCode.UNKNOWN_TOPIC_OR_PARTITION.name in str(caught.value.cause)
        with pytest.raises(KafkaTimeoutError, match=r"partition 7 of topic orders, which has 1"):
            await producer.enqueue("orders", b"value", partition=7)
        assert metric(producer, "metadata-wait-time-ns-total") >= 100_000_000
        assert metric(producer, "record-error-total") == 2


@on_loop
async def test_meta_wait_3_a_partition_that_is_added_meanwhile_ends_the_wait():
    async with JudgeInLoop(TOPIC) as judge, started(judge, retry_backoff_ms=1, retry_backoff_max_ms=1) as producer:
        waiting = asyncio.ensure_future(producer.send("orders", b"value", partition=1))
        await until(lambda: judge.requests(ApiKey.METADATA) >= 2)
        judge.cluster.add_partitions("orders", 2)
        assert (await waiting).partition == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (ErrorCode.TOPIC_AUTHORIZATION_FAILED, TopicAuthorizationFailedError),
        (ErrorCode.INVALID_TOPIC_EXCEPTION, InvalidTopicError),
    ],
)
def test_meta_wait_4_what_no_waiting_cures_is_raised_at_once(code, error):
    async def main():
        async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
            judge.cluster.fail(ApiKey.METADATA, Fault.error(code, topic="orders"), times=None)
            with pytest.raises(error):
                await producer.enqueue("orders", b"value")
            with pytest.raises(error):
                producer.try_enqueue("orders", b"value")
            judge.cluster.faults.clear()
            assert (await producer.send("orders", b"value")).offset == 0

    run_on("asyncio", main)


@on_loop
async def test_c10_many_wait_for_one_topic_and_one_request_is_made():
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        await producer.wait_ready()
        before, polls = judge.requests(ApiKey.METADATA), count_polls(producer)
        sent = await asyncio.gather(*(producer.enqueue("orders", b"%d" % index) for index in range(1_000)))
        assert judge.requests(ApiKey.METADATA) == before + 1
        assert len(polls) < 500, "whoever waits makes no pass of his own"
        await producer.flush()
        assert [delivery.result().offset for delivery in sent] == [*range(1_000)]


def count_polls(producer):
    sender = producer._running.engine.sender
    polls, poll = [], sender.poll

    def counted(now_ms):
        polls.append(now_ms)
        return poll(now_ms)

    sender.poll = counted
    return polls


@on_loop
async def test_one_who_is_cancelled_while_he_waits_for_metadata_has_sent_nothing():
    async with JudgeInLoop(TOPIC) as judge:
        judge.stall(ApiKey.METADATA)
        async with started(judge) as producer:
            waiting = [asyncio.ensure_future(producer.send("orders", b"%d" % index)) for index in range(3)]
            await turns()
            waiting[1].cancel()
            await turns()
            assert waiting[1].cancelled() and len(producer._running._waiting) == 2
            judge.resume()
            assert {(await waiting[0]).offset, (await waiting[2]).offset} == {0, 1}
            at_rest(producer)
        assert sorted(judge.values("orders")) == [b"0", b"2"]


@on_loop
async def test_e04_close_ends_the_wait_for_metadata():
    async with JudgeInLoop(TOPIC) as judge:
        judge.stall(ApiKey.METADATA)
        producer = started(judge)
        await producer.start()
        waiting = [
            asyncio.ensure_future(coroutine)
            for coroutine in (producer.send("orders"), producer.partitions_for("orders"), producer.wait_ready())
        ]
        await turns()
        assert await producer.close() == 0
        for error in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(error, ProducerClosedError)
        at_rest(producer)


@on_loop
async def test_try_enqueue_without_metadata_raises_and_asks_for_it():
    """So that one who only ever tries has it some time."""
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        with pytest.raises(KafkaTimeoutError, match=r"metadata of topic orders: nothing within 0 ms"):
            producer.try_enqueue("orders", b"value")
        delivery = None
        while delivery is None:
            await turns(1)
            try:
                delivery = producer.try_enqueue("orders", b"value")
            except KafkaTimeoutError:
                continue
        assert (await delivery).offset == 0


@on_loop
async def test_a_topic_that_no_request_can_carry_is_an_error_of_its_own():
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        with pytest.raises(EncodeError):
            producer.try_enqueue("o" * 40_000, b"value")
        with pytest.raises(EncodeError):
            await producer.enqueue("o" * 40_000, b"value")


# Room


@on_each_loop
async def test_pool_2_a_record_waits_for_room_and_the_loop_does_not():
    async with JudgeInLoop(TOPIC) as judge, started(judge, **SMALL) as producer:
        await producer.send("orders", b"first")
        judge.stall()
        sent = fill(producer)
        waiting = asyncio.ensure_future(producer.enqueue("orders", HALF))
        await turns()
        assert not waiting.done() and memory_of(producer).waiting == 1
        judge.resume()
        assert (await (await waiting)).offset == len(sent) + 1
        at_rest(producer)


@on_loop
async def test_pool_5_room_that_does_not_come_is_an_error_and_the_one_who_waited_leaves_the_line():
    async with JudgeInLoop(TOPIC) as judge, started(judge, max_block_ms=30, **SMALL) as producer:
        await producer.send("orders", b"first")
        judge.stall()
        sent = fill(producer)
        with pytest.raises(BufferFullError, match="buffer_memory=8000 within 0 ms"):
            producer.try_enqueue("orders", HALF)
        tasks = [asyncio.ensure_future(producer.enqueue("orders", HALF)) for _ in range(3)]
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(error, BufferFullError)
            assert (error.capacity, error.waited_ms) == (8_000, 30)
        assert [task.exception().waiting for task in tasks] == [2, 1, 0], "others, when it gave up"
        assert memory_of(producer).waiting == 0
        assert metric(producer, "buffer-exhausted-total") == 5
        assert metric(producer, "bufferpool-wait-time-ns-total") >= 3 * 25_000_000
        judge.resume()
        await asyncio.gather(*sent)
        at_rest(producer)


@on_loop
async def test_ready_7_while_somebody_waits_for_room_nothing_lingers():
    async with JudgeInLoop(TOPIC) as judge, started(judge, **SMALL_AND_SLOW) as producer:
        await producer.wait_ready()
        await producer.partitions_for("orders")
        sent = await producer.enqueue("orders", HALF)
        await pass_by(producer)
        assert not sent.done()
        waiting = asyncio.ensure_future(producer.enqueue("orders", HALF))
        async with asyncio.timeout(5):  # some other pass would come after 10 s
            await until(sent.done)
        last = await waiting
        await pass_by(producer)
        assert not last.done(), "it lingers again"
        await producer.flush()
        at_rest(producer)


@on_loop
async def test_pool_1_those_who_wait_get_room_in_their_order():
    async with JudgeInLoop(TOPIC) as judge, started(judge, **SMALL) as producer:
        await producer.send("orders", b"first")
        judge.stall()
        fill(producer)
        tasks = [asyncio.ensure_future(producer.send("orders", b"%02d" % index + HALF)) for index in range(20)]
        await turns()
        judge.resume()
        await asyncio.gather(*tasks)
        assert [value[:2] for value in judge.values("orders")[-20:]] == [b"%02d" % index for index in range(20)]
        at_rest(producer)


@on_loop
async def test_try_enqueue_without_room_raises_at_once_but_reads_the_answers_first():
    """So that a loop that never yields, and only tries, gets on."""
    with JudgedLoopback(TOPIC) as broker:
        async with started(broker, **SMALL) as producer:
            await producer.send("orders", b"first")
            sent = fill(producer)
            deadline_s = time.monotonic() + 20
            while not sent[0].done() and time.monotonic() < deadline_s:
                await_bytes(producer, 0.001)
                with suppress(BufferFullError):
                    sent.append(producer.try_enqueue("orders", HALF))
            assert sent[0].done()
            await producer.flush()
            at_rest(producer)


@on_loop
async def test_d08_cancelling_one_who_waits_for_room_lets_the_next_one_in():
    """POOL-7: he leaves the line, and his bytes are nobody's."""
    async with JudgeInLoop(TOPIC) as judge, started(judge, **SMALL) as producer:
        await producer.send("orders", b"first")
        judge.stall()
        fill(producer)
        tasks = [asyncio.ensure_future(producer.send("orders", b"%d" % index + HALF)) for index in range(4)]
        await turns()
        tasks[0].cancel()
        tasks[2].cancel()
        await turns()
        assert memory_of(producer).waiting == 2
        judge.resume()
        await asyncio.gather(tasks[1], tasks[3])
        at_rest(producer)


@on_loop
async def test_d08_one_who_is_cancelled_when_he_has_been_given_room_gives_it_back():
    async with JudgeInLoop(TOPIC) as judge, started(judge, **SMALL) as producer:
        await producer.send("orders", b"first")
        judge.stall()
        fill(producer)
        task = asyncio.ensure_future(producer.send("orders", HALF))
        await turns()
        give_room_and(memory_of(producer)._line[0], task.cancel)
        judge.resume()
        await asyncio.wait([task])
        assert task.cancelled()
        await producer.flush()
        at_rest(producer)


@on_loop
async def test_close_ends_the_wait_for_room_also_of_one_who_has_just_been_given_it():
    for given in (False, True):
        async with JudgeInLoop(TOPIC) as judge, started(judge, **SMALL) as producer:
            await producer.send("orders", b"first")
            judge.stall()
            fill(producer)
            task = asyncio.ensure_future(producer.send("orders", HALF))
            await turns()
            if given:
                give_room_and(memory_of(producer)._line[0], producer._running.close)
                judge.resume()
                await asyncio.wait([task])
            closing = asyncio.ensure_future(producer.close())
            await turns()
            judge.resume()
            with pytest.raises(ProducerClosedError):
                await task
            assert await closing == 0
            at_rest(producer)


@on_loop
async def test_a_record_that_cannot_be_encoded_after_a_wait_gives_the_room_back():
    async with JudgeInLoop(TOPIC) as judge, started(judge, **SMALL) as producer:
        await producer.send("orders", b"first")
        judge.stall()
        fill(producer)
        task = asyncio.ensure_future(producer.send("orders", HALF, timestamp_ms=2**63))
        await turns()
        judge.resume()
        with pytest.raises(EncodeError):
            await task
        await producer.flush()
        at_rest(producer)


@on_loop
async def test_trap_1_wherever_a_task_is_cancelled_nothing_is_lost_and_nothing_leaks():
    """Cancelled after each number of turns of the loop in turn, among others that contend for little memory."""
    async with JudgeInLoop(TOPIC) as judge, started(judge, **SMALL) as producer:
        heard = []

        async def send(value):
            delivery = await producer.enqueue(
                "orders", value + HALF, on_delivery=lambda metadata, error: heard.append((value, error))
            )
            await delivery

        cancelled = 0
        for after in range(25):
            tasks = [asyncio.ensure_future(send(b"%03d.%d" % (after, index))) for index in range(6)]
            await turns(after)
            cancelled += tasks[after % 6].cancel()
            await asyncio.wait(tasks)
            await producer.flush()
            at_rest(producer)
        assert cancelled > 8
        assert len(heard) == len(set(heard)) and all(error is None for _, error in heard)
        assert sorted(value[:5] for value in judge.values("orders")) == sorted(value for value, _ in heard)
        assert len(heard) >= 25 * 5


# Refusals


@on_loop
async def test_send_1_what_can_never_be_sent_is_refused_before_anything_is_waited_for():
    async with JudgeInLoop(TOPIC) as judge:
        judge.stall(ApiKey.METADATA)
        async with started(judge) as producer:
            for arguments, options, error in [
                ((7,), {}, TypeError),
                (("",), {}, ValueError),
                (("orders",), {"partition": -1}, ValueError),
                (("orders",), {"partition": "1"}, TypeError),
                (("orders",), {"timestamp_ms": 1.5}, TypeError),
                (("orders",), {"headers": [("name", "text")]}, TypeError),
            ]:
                with pytest.raises(error):
                    await producer.enqueue(*arguments, **options)
                with pytest.raises(error):
                    producer.try_enqueue(*arguments, **options)


def refuse(topic, key, partitions):
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("settings", "fields", "error"),
    [
        ({}, {"value": "text"}, SerializationError),
        ({"value_serializer": lambda topic, value: 1 / 0}, {}, SerializationError),
        ({"key_serializer": lambda topic, key: 7}, {}, SerializationError),
        ({"partitioner": refuse}, {}, PartitionerError),
        ({"max_request_size": 1_000}, {"value": bytes(1_000)}, MessageSizeTooLargeError),
        ({"buffer_memory": 20_000}, {"value": bytes(20_000)}, MessageSizeTooLargeError),
    ],
)
def test_send_3_what_is_refused_is_counted_and_told_to_the_interceptors(settings, fields, error):
    class Interceptor:
        def on_send(self, record):
            return record

        def on_acknowledgement(self, metadata, error):
            heard.append((metadata.topic, metadata.partition, metadata.offset, type(error)))

    async def main():
        async with JudgeInLoop(TOPIC) as judge, started(judge, interceptors=[Interceptor()], **settings) as producer:
            await producer.partitions_for("orders")
            with pytest.raises(error):
                await producer.enqueue("orders", **fields)
            with pytest.raises(error):
                producer.try_enqueue("orders", **fields)
            assert heard == [("orders", -1, -1, error)] * 2
            assert metric(producer, "record-error-total") == 2
            at_rest(producer)

    heard = []
    run_on("asyncio", main)


@on_each_loop
async def test_interceptors_and_serializers_have_their_say_and_are_told_the_end_before_the_callback():
    heard = []

    class Interceptor:
        def on_send(self, record):
            return replace(record, value=record.value + "!")

        def on_acknowledgement(self, metadata, error):
            heard.append(("interceptor", metadata.offset, error))

    class Raises(Interceptor):
        def on_send(self, record):
            raise ZeroDivisionError

    settings = {
        "interceptors": [Raises(), Interceptor()],
        "value_serializer": lambda topic, value: f"{topic}:{value}".encode(),
        "key_serializer": lambda topic, key: None if key is None else b"%d" % key,
    }
    async with JudgeInLoop(TOPIC) as judge, started(judge, **settings) as producer:
        delivery = await producer.enqueue(
            "orders", "value", 7, on_delivery=lambda metadata, error: heard.append(("callback", metadata.offset, error))
        )
        await delivery
        await producer.send("orders", "other")
        producer.try_enqueue("orders", "third")
        await producer.flush()
        assert heard == [
            ("interceptor", 0, None),
            ("interceptor", 0, None),
            ("callback", 0, None),
            *[("interceptor", offset, None) for offset in (1, 1, 2, 2)],
        ]
        assert judge.values("orders") == [b"orders:value!", b"orders:other!", b"orders:third!"]
        assert judge.cluster.log("orders", 0)[0].key == b"7"


# Batches that were built by hand


@on_loop
async def test_a_batch_that_was_built_by_hand_is_delivered_behind_what_is_there():
    async with JudgeInLoop(TOPIC) as judge, started(judge, linger_ms=60_000) as producer:
        heard = []
        first = await producer.enqueue("orders", b"first")
        delivery = await producer.send_batch(
            "orders", 0, hand_made(b"a", b"b"), on_delivery=lambda metadata, error: heard.append(metadata.offset)
        )
        last = await producer.enqueue("orders", b"last")
        await producer.flush()
        assert [(await each).offset for each in (first, delivery, last)] == [0, 1, 3]
        assert heard == [1]
        assert judge.values("orders") == [b"first", b"a", b"b", b"last"]
        at_rest(producer)


@on_loop
async def test_a_batch_that_was_built_by_hand_is_refused_as_records_are():
    async with JudgeInLoop(TOPIC) as judge, started(judge, max_block_ms=30, **SMALL) as producer:
        with pytest.raises(ValueError, match="at least one record"):
            await producer.send_batch("orders", 0, RecordBatchBuilder())
        with pytest.raises(TypeError, match="partition: an int, not None"):
            await producer.send_batch("orders", None, hand_made(b"a"))
        with pytest.raises(KafkaTimeoutError):
            await producer.send_batch("nowhere", 0, hand_made(b"a"))
        with pytest.raises(KafkaTimeoutError):
            await producer.send_batch("orders", 3, hand_made(b"a"))
        await producer.send("orders", b"first")
        judge.stall()
        sent = fill(producer)
        with pytest.raises(BufferFullError):
            await producer.send_batch("orders", 0, hand_made(HALF))
        assert metric(producer, "record-error-total") == 4, "and the last one of `fill`"
        judge.resume()
        await asyncio.gather(*sent)
        at_rest(producer)
