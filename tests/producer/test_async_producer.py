"""The face for asyncio, on sockets: what each of its methods promises."""

from __future__ import annotations

import asyncio
import gc
from functools import partial

import pytest
from producer.judge_in_loop import JudgeInLoop, at_rest, on_each_loop, on_loop, pass_by, run_on, turns, until

from kproto.client import KafkaTimeoutError
from kproto.client.errors import ConfigError
from kproto.producer import (
    AsyncProducer,
    BulkDeliveryError,
    DeliveryError,
    MessageSizeTooLargeError,
    ProducerClosedError,
    WriteStatus,
)
from kproto.tools.judge import Fault, FaultPoint
from kproto.wire import ApiKey, ErrorCode

TOPIC = {"orders": 1}
SMALL = {"buffer_memory": 8_000, "batch_size": 4_000}


def started(judge, **settings):
    return AsyncProducer(judge.bootstrap_servers, **{"linger_ms": 0, **settings})


@on_each_loop
async def test_a_record_is_delivered_with_all_that_it_has():
    async with JudgeInLoop({"orders": 3}, nodes=3) as judge, started(judge) as producer:
        metadata = await producer.send(
            "orders", b"value", b"key", partition=2, timestamp_ms=7, headers=iter([("trace", b"1"), ("none", None)])
        )
        assert metadata == ("orders", 2, 0, 7)
        (record,) = judge.cluster.log("orders", 2)
        assert (record.key, record.value, record.timestamp) == (b"key", b"value", 7)
        assert [*record.headers] == [("trace", b"1"), ("none", None)]
        assert (await producer.send("orders", None, partition=2)).offset == 1
        assert producer.metrics()
    at_rest(producer)


@on_each_loop
async def test_many_tasks_send_at_once():
    async with JudgeInLoop({"orders": 3}, nodes=2) as judge, started(judge, linger_ms=1) as producer:
        values = [b"%04d" % index for index in range(1_000)]
        found = await asyncio.gather(*(producer.send("orders", value, value) for value in values))
        assert sorted(judge.values("orders")) == values
        for value, metadata in zip(values, found, strict=True):
            assert judge.cluster.log("orders", metadata.partition)[metadata.offset].value == value
        at_rest(producer)


@on_loop
async def test_order_is_kept_whatever_happens_on_the_way():
    values = [b"%03d" % index for index in range(200)]
    async with JudgeInLoop(TOPIC) as judge:
        for fault in (
            Fault.error(ErrorCode.NOT_LEADER_OR_FOLLOWER),
            Fault.close(FaultPoint.AFTER_APPEND),
            Fault.close(FaultPoint.BEFORE_PARSE),
            Fault.error(ErrorCode.REQUEST_TIMED_OUT, FaultPoint.AFTER_APPEND),
        ):
            judge.cluster.fail(ApiKey.PRODUCE, fault)
        quick = {"retry_backoff_ms": 1, "retry_backoff_max_ms": 2, "reconnect_backoff_ms": 1}
        async with started(judge, batch_size=1, **quick) as producer:
            heard = []

            def note(value, metadata, error):
                heard.append((value, error))

            for value in values:
                await producer.enqueue("orders", value, on_delivery=partial(note, value))
            await producer.flush()
            assert [value for value, _ in heard] == values == judge.values("orders")
            assert all(error is None for _, error in heard)
            at_rest(producer)


@on_loop
async def test_a_send_that_fails_says_whether_it_was_written():
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        judge.cluster.fail(ApiKey.PRODUCE, Fault.error(ErrorCode.TOPIC_AUTHORIZATION_FAILED, topic="orders"))
        with pytest.raises(DeliveryError) as caught:
            await producer.send("orders", b"value")
        assert caught.value.written is WriteStatus.NO
        assert (await producer.send("orders", b"next")).offset == 0


@on_loop
async def test_a_cancelled_send_takes_nothing_back():
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        await producer.send("orders", b"first")
        judge.cluster.fail(ApiKey.PRODUCE, Fault.delay(5))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(producer.send("orders", b"value"), 0.001)
        await producer.flush()
        assert judge.values("orders") == [b"first", b"value"]
        at_rest(producer)


@on_loop
async def test_cb_2_callbacks_may_send_and_raise_and_each_is_called_once_in_order(caplog):
    heard = []
    async with JudgeInLoop(TOPIC) as judge, started(judge, batch_size=1) as producer:

        def note(name, *, again=False, raises=False):
            def ended(metadata, error):
                heard.append((name, metadata.offset, error))
                if again:
                    producer.try_enqueue("orders", b"again", on_delivery=note("again"))
                if raises:
                    raise ZeroDivisionError

            return ended

        await producer.enqueue("orders", b"a", on_delivery=note("a", again=True))
        await producer.enqueue("orders", b"b", on_delivery=note("b", raises=True))
        await producer.enqueue("orders", b"c", on_delivery=note("c"))
        await until(lambda: len(heard) == 4)
        await producer.flush()
        assert [name for name, _, _ in heard] == ["a", "b", "c", "again"]
        assert [offset for _, offset, _ in heard] == [0, 1, 2, 3]
        assert "an on_delivery callback raised" in caplog.text
        at_rest(producer)


# Many at once


@on_each_loop
async def test_send_many_has_one_future_with_the_ranges():
    async with JudgeInLoop({"orders": 2}) as judge, started(judge) as producer:
        values, keys = [b"%d" % index for index in range(10)], [b"k"] * 10
        future = await producer.send_many("orders", values, keys, headers=iter([("trace", b"1")]), partition=1)
        (found,) = await future
        assert (found.topic, found.partition, found.base_offset, found.count) == ("orders", 1, 0, 10)
        assert [*found.indices] == [*range(10)]
        log = judge.cluster.log("orders", 1)
        assert [record.value for record in log] == values
        assert {(record.key, tuple(record.headers)) for record in log} == {(b"k", (("trace", b"1"),))}
        assert await (await producer.send_many("orders", [])) == ()
        at_rest(producer)


@on_loop
async def test_send_many_raises_where_no_record_was_accepted():
    async with JudgeInLoop(TOPIC) as judge, started(judge, max_request_size=1_000) as producer:
        with pytest.raises(ValueError, match="keys and values"):
            await producer.send_many("orders", [b"a"], [])
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_many("orders", [bytes(1_000), b"a"])
        with pytest.raises(TypeError):
            await producer.send_many("orders", [b"a"], headers=[("name", 7)])
        at_rest(producer)


@on_loop
async def test_send_many_tells_both_parts_of_a_partial_failure():
    async with JudgeInLoop(TOPIC) as judge, started(judge, max_request_size=1_000) as producer:
        future = await producer.send_many("orders", [b"a", b"b", bytes(1_000), b"never tried"])
        with pytest.raises(BulkDeliveryError, match="2 of 4 records were not delivered") as caught:
            await future
        ((indices, error),) = caught.value.failed
        assert [*indices] == [2, 3] and isinstance(error, MessageSizeTooLargeError)
        assert [(found.base_offset, found.count) for found in caught.value.delivered] == [(0, 2)]


@on_loop
async def test_send_many_loses_no_record_to_an_error_of_any_kind():
    """Also one that is none of Kafka's: what was accepted before has a future."""

    class Interceptor:
        def on_send(self, record):
            return record if record.value != b"bad" else AsyncProducer  # which has no topic

        def on_acknowledgement(self, metadata, error):
            pass

    async with JudgeInLoop(TOPIC) as judge, started(judge, interceptors=[Interceptor()]) as producer:
        future = await producer.send_many("orders", [b"good", b"bad"])
        with pytest.raises(BulkDeliveryError, match="1 of 2 records"):
            await future
        assert judge.values("orders") == [b"good"]


@on_loop
async def test_send_many_that_is_cancelled_has_sent_what_was_accepted():
    async with JudgeInLoop(TOPIC) as judge, started(judge, **SMALL) as producer:
        await producer.send("orders", b"first")
        judge.stall()
        task = asyncio.ensure_future(producer.send_many("orders", [bytes(3_000)] * 5))
        await turns()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        judge.resume()
        await producer.flush()
        assert 1 < len(judge.values("orders")) < 6
        at_rest(producer)


@on_loop
async def test_the_future_of_send_many_may_be_given_up(caplog):
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        future = await producer.send_many("orders", [b"a", b"b"])
        future.cancel()
        await producer.flush()
        assert judge.values("orders") == [b"a", b"b"]
        judge.cluster.fail(ApiKey.PRODUCE, Fault.error(ErrorCode.TOPIC_AUTHORIZATION_FAILED, topic="orders"))
        future = await producer.send_many("orders", [b"c"])
        future.cancel()
        await producer.flush()
        at_rest(producer)
        assert "raised" not in caplog.text


@on_loop
async def test_send_many_that_is_cancelled_tells_the_loop_of_what_failed():
    """Nobody has its future, but what was accepted is not lost in silence."""
    async with JudgeInLoop(TOPIC) as judge, started(judge, **SMALL) as producer:
        await producer.send("orders", b"first")
        judge.cluster.fail(
            ApiKey.PRODUCE, Fault.error(ErrorCode.TOPIC_AUTHORIZATION_FAILED, topic="orders"), times=None
        )
        task = asyncio.ensure_future(producer.send_many("orders", [bytes(3_000)] * 5))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        await producer.flush()
        del task  # it has the frame with the future
        gc.collect()
        assert [context["message"] for context in told] == ["Future exception was never retrieved"]
        assert isinstance(told[0]["exception"], BulkDeliveryError)


# Flush


@on_each_loop
async def test_flush_1_all_that_was_accepted_before_has_ended_and_its_callbacks_have_run():
    heard = []
    async with JudgeInLoop({"orders": 3}) as judge, started(judge, linger_ms=60_000) as producer:
        sent = [
            await producer.enqueue("orders", b"%d" % at, partition=at % 3, on_delivery=lambda *end: heard.append(end))
            for at in range(30)
        ]
        await producer.flush()
        assert all(delivery.done() for delivery in sent) and len(heard) == 30
        await producer.flush()
        later = await producer.enqueue("orders", b"later")
        await pass_by(producer)
        assert not later.done(), "it lingers again"
        at_rest_but_for(producer, 1)


def at_rest_but_for(producer, batches):
    assert len(producer._running.accumulator.incomplete) == batches
    assert producer._running.accumulator.flushes == 0


@on_loop
async def test_flush_2_does_not_wait_for_what_comes_after_it():
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        await producer.send("orders", b"first")
        judge.cluster.fail(ApiKey.PRODUCE, Fault.delay(10))
        before = await producer.enqueue("orders", b"before")
        flushing = asyncio.ensure_future(producer.flush())
        await turns(1)
        going = True

        async def go_on():
            while going:
                await producer.enqueue("orders", b"x")
                await asyncio.sleep(0)

        other = asyncio.ensure_future(go_on())
        await flushing
        going = False
        assert before.done()
        await other


@on_loop
async def test_flush_3_a_time_that_is_over_tells_how_many_are_left():
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        judge.stall()
        for _ in range(3):
            await producer.enqueue("orders", b"value")
        for timeout in (0.01, 0):
            with pytest.raises(KafkaTimeoutError, match="3 records are not delivered yet"):
                await producer.flush(timeout)
        at_rest_but_for(producer, len(producer._running.accumulator.incomplete))
        judge.resume()
        await producer.flush()
        at_rest(producer)


@on_loop
async def test_flush_4_one_that_is_cancelled_leaves_no_haste_behind():
    async with JudgeInLoop(TOPIC) as judge, started(judge, linger_ms=60_000) as producer:
        judge.stall()
        await producer.enqueue("orders", b"value")
        flushing = [asyncio.ensure_future(producer.flush()) for _ in range(2)]
        await turns()
        flushing[0].cancel()
        await turns()
        assert producer._running.accumulator.flushes == 1
        judge.resume()
        await flushing[1]
        at_rest(producer)


@on_loop
async def test_flush_does_not_raise_for_what_failed():
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        judge.cluster.fail(ApiKey.PRODUCE, Fault.error(ErrorCode.TOPIC_AUTHORIZATION_FAILED, topic="orders"))
        delivery = await producer.enqueue("orders", b"value")
        await producer.flush()
        assert delivery.exception() is not None


# Start and close


@on_loop
async def test_it_is_started_once_and_nothing_is_opened_before():
    async with JudgeInLoop(TOPIC) as judge:
        producer = started(judge)
        assert repr(producer).startswith("<AsyncProducer to 127.0.0.1:")
        for call in (producer.send, producer.enqueue, producer.partitions_for):
            with pytest.raises(ProducerClosedError, match="not started: use async with"):
                await call("orders")
        with pytest.raises(ProducerClosedError, match="not started"):
            producer.metrics()
        await producer.start()
        engine = producer._running
        await producer.start()
        assert producer._running is engine
        async with producer:
            assert (await producer.send("orders", b"value")).offset == 0
        for call in (producer.start(), producer.send("orders"), producer.flush(), producer.send_many("orders", [])):
            with pytest.raises(ProducerClosedError, match="the producer is closed"):
                await call
        assert producer.metrics()
        at_rest(producer)


@on_loop
async def test_close_without_a_start_is_final_too():
    producer = AsyncProducer("127.0.0.1:1")
    assert await producer.close() == 0
    assert await producer.close() == 0
    with pytest.raises(ProducerClosedError, match="is closed"):
        await producer.start()
    with pytest.raises(ProducerClosedError, match="is closed"):
        await producer.send("orders")
    del producer
    gc.collect()


def test_settings_are_checked_when_it_is_made():
    with pytest.raises(ConfigError, match="linger_ms"):
        AsyncProducer("nowhere:9092", lingerms=5)


@on_each_loop
async def test_close_1_delivers_what_was_accepted_and_ends():
    async with JudgeInLoop(TOPIC) as judge, started(judge, linger_ms=60_000) as producer:
        sent = [await producer.enqueue("orders", b"%d" % index) for index in range(10)]
        assert await producer.close() == 0
        assert [delivery.result().offset for delivery in sent] == [*range(10)]
        at_rest(producer)
        await until(lambda: not judge._ends)


@on_loop
async def test_close_2_gives_up_what_is_left_after_its_time():
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        judge.stall()
        sent = [await producer.enqueue("orders", b"%d" % index) for index in range(3)]
        with pytest.raises(ValueError, match="timeout: seconds from 0"):
            await producer.close(-1)
        await producer.enqueue("orders", b"it is open still")
        flushing = asyncio.ensure_future(producer.flush())
        await until(lambda: judge.requests(ApiKey.PRODUCE))
        assert await producer.close(0.01) == 4
        with pytest.raises(DeliveryError, match="the producer was closed before") as caught:
            await sent[0]
        assert caught.value.written is WriteStatus.POSSIBLY
        await flushing
        at_rest(producer)


@on_loop
async def test_close_3_several_at_once_and_again():
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        await producer.send("orders", b"first")
        judge.cluster.fail(ApiKey.PRODUCE, Fault.delay(5))
        delivery = await producer.enqueue("orders", b"value")
        assert await asyncio.gather(*(producer.close() for _ in range(3))) == [0, 0, 0]
        assert delivery.done() and await producer.close(0) == 0
        at_rest(producer)


@on_loop
async def test_close_3_one_in_haste_ends_one_that_waits():
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        judge.stall()
        await producer.enqueue("orders", b"value", on_delivery=lambda *end: None)
        waiting = asyncio.ensure_future(producer.close())
        await turns()
        assert await producer.close(0) == 1
        assert await waiting == 0
        at_rest(producer)


@on_loop
async def test_trap_2_a_close_that_is_cancelled_gives_up_what_is_left_so_that_nobody_waits_for_ever():
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        judge.stall()
        delivery = await producer.enqueue("orders", b"value")
        waiting = [asyncio.ensure_future(coroutine) for coroutine in (producer.flush(), offset_of(delivery))]
        await turns()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(producer.close(), 0.005)
        _, error = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(error, DeliveryError)
        assert await producer.close() == 0
        at_rest(producer)


async def offset_of(delivery):
    return (await delivery).offset


def test_e08_a_program_that_is_cancelled_closes_its_producer():
    """The block's end waits for what was accepted, in a task that was cancelled."""

    async def main():
        async with JudgeInLoop(TOPIC) as judge:
            task = asyncio.ensure_future(work(judge))
            await until(lambda: sent)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() and sent[0].result().offset == 0

    async def work(judge):
        async with started(judge, linger_ms=60_000) as producer:
            sent.append(await producer.enqueue("orders", b"value"))
            await asyncio.Event().wait()

    sent = []
    run_on("asyncio", main)


@on_loop
async def test_close_4_a_callback_may_begin_to_close_and_what_was_accepted_is_delivered():
    async with JudgeInLoop(TOPIC) as judge, started(judge, batch_size=1) as producer:
        if hasattr(asyncio, "eager_task_factory"):  # tasks begin inside the callback, since Python 3.12
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        closing = []

        def close(metadata, error):
            closing.append(asyncio.ensure_future(producer.close()))

        sent = [await producer.enqueue("orders", b"first", on_delivery=close)]
        sent += [await producer.enqueue("orders", b"value") for _ in range(3)]
        assert [(await delivery).offset for delivery in sent] == [0, 1, 2, 3]
        assert await closing[0] == 0
        at_rest(producer)


# What it is asked


@on_loop
async def test_pf_1_the_partitions_of_a_topic():
    async with JudgeInLoop({"orders": 3}) as judge, started(judge, max_block_ms=50) as producer:
        found = await producer.partitions_for("orders")
        assert [partition.partition for partition in found] == [0, 1, 2]
        with pytest.raises(KafkaTimeoutError, match="metadata of topic nowhere"):
            await producer.partitions_for("nowhere")
        await producer.wait_ready()
        await producer.wait_ready(0)


@on_loop
async def test_wait_ready_waits_for_the_producer_id_where_one_is_needed():
    async with JudgeInLoop(TOPIC) as judge:
        judge.stall(ApiKey.INIT_PRODUCER_ID)
        async with started(judge, enable_idempotence=False) as producer:
            await producer.wait_ready()
        async with started(judge) as producer:
            with pytest.raises(KafkaTimeoutError, match="the cluster and a producer id"):
                await producer.wait_ready(0.02)
            waiting = asyncio.ensure_future(producer.wait_ready())
            judge.resume()
            await waiting
