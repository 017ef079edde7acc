"""Compression beside the event loop: with a compressor that is as slow as the test likes, or fails."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

import pytest
from producer.judge_in_loop import JudgeInLoop, at_rest, on_each_loop, on_loop, run_on, turns, until

from kproto.producer import AsyncProducer, DeliveryError, ProducerClosedError, WriteStatus
from kproto.producer.events import BatchHeld, HeldReason
from kproto.wire.records import RecordBatchBuilder, builder

SECONDS = 20
TOPIC = {"orders": 1}


class Gate:
    """A compressor that waits for `open`, or fails as told; where it ran, and how often."""

    def __init__(self, compress):
        self._compress = compress
        self._open = threading.Event()
        self.fails = []
        self.threads = []

    def __call__(self, codec, body, level=None):
        if codec:
            self.threads.append(threading.current_thread().name)
            assert self._open.wait(SECONDS)
            if self.fails and (error := self.fails.pop(0)) is not None:
                raise error
        return self._compress(codec, body, level)

    def open(self):
        self._open.set()

    def shut(self):
        self._open.clear()


@pytest.fixture
def gate(monkeypatch):
    gate = Gate(builder.compress)
    monkeypatch.setattr(builder, "compress", gate)
    yield gate
    gate.open()


def zstd(judge, **settings):
    return AsyncProducer(judge.bootstrap_servers, **{"compression_type": "zstd", "linger_ms": 0, **settings})


@contextmanager
def watched(loop):
    """The loop goes round meanwhile, and nothing holds it up for long: how often."""
    rounds = []
    handle = None

    def come_round():
        nonlocal handle
        rounds.append(loop.time())
        handle = loop.call_later(0.001, come_round)

    come_round()
    yield rounds
    handle.cancel()


@on_loop
async def test_compression_is_never_on_the_loop_and_the_batch_says_why_it_is_held(gate):
    events = []
    async with JudgeInLoop(TOPIC) as judge, zstd(judge, batch_observer=events.append) as producer:
        delivery = await producer.enqueue("orders", b"value")
        with watched(asyncio.get_running_loop()) as rounds:
            await until(lambda: len(rounds) > 20)
        assert not delivery.done() and judge.values("orders") == []
        assert [event.reason for event in events if isinstance(event, BatchHeld)][-1] is HeldReason.COMPRESSING
        gate.open()
        assert (await delivery).offset == 0
        assert set(gate.threads) == {"kproto-compress_0"}
        await producer.close()
        at_rest(producer)


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_each_codec_delivers(codec):
    async def main():
        async with JudgeInLoop(TOPIC) as judge, zstd(judge, compression_type=codec) as producer:
            sent = [await producer.enqueue("orders", b"%03d" % index * 100) for index in range(200)]
            assert [(await delivery).offset for delivery in sent] == [*range(200)]
            await producer.close()
            at_rest(producer)
        assert judge.values("orders") == [b"%03d" % index * 100 for index in range(200)]

    run_on("asyncio", main)


@on_each_loop
async def test_batches_keep_their_order_while_they_are_compressed():
    values = [b"%04d" % index * 50 for index in range(300)]
    async with JudgeInLoop(TOPIC) as judge, zstd(judge, linger_ms=5, batch_size=1_000) as producer:
        for value in values:
            await producer.enqueue("orders", value)
        await producer.flush()
        assert judge.values("orders") == values
        await producer.close()
        at_rest(producer)


@on_loop
async def test_several_batches_wait_for_one_thread_in_their_order(gate):
    async with JudgeInLoop(TOPIC) as judge, zstd(judge, batch_size=1) as producer:
        for index in range(5):
            await producer.enqueue("orders", b"%d" % index)
            await turns()
        assert len(gate.threads) <= 1
        gate.open()
        await producer.flush()
        assert judge.values("orders") == [b"0", b"1", b"2", b"3", b"4"]


@on_loop
async def test_memory_is_charged_for_what_a_compressed_batch_really_takes(gate):
    async with JudgeInLoop(TOPIC) as judge, zstd(judge, linger_ms=60_000, batch_size=20_000) as producer:
        memory = producer._running.accumulator.memory if producer._running else None
        judge.stall()
        await producer.enqueue("orders", bytes(15_000))
        before = memory.used
        assert before > 15_000
        flushing = asyncio.ensure_future(producer.flush())
        await until(lambda: gate.threads)
        gate.open()
        await until(lambda: memory.used < 5_000)
        judge.resume()
        await flushing
        assert memory.used == 0


@on_loop
async def test_d10_close_waits_for_what_is_being_compressed(gate):
    async with JudgeInLoop(TOPIC) as judge, zstd(judge) as producer:
        delivery = await producer.enqueue("orders", b"value")
        await turns()
        closing = asyncio.ensure_future(producer.close())
        await turns()
        assert not closing.done()
        gate.open()
        assert await closing == 0 and delivery.result().offset == 0
        at_rest(producer)
        assert judge.values("orders") == [b"value"]


@on_loop
async def test_close_at_once_gives_up_what_is_being_compressed(gate):
    async with JudgeInLoop(TOPIC) as judge, zstd(judge, batch_size=1) as producer:
        sent = [await producer.enqueue("orders", b"%d" % index) for index in range(3)]
        await until(lambda: gate.threads)
        assert await producer.close(0) == 3
        for delivery in sent:
            assert delivery.exception().written is WriteStatus.NO
        at_rest(producer)
        gate.open()
        await turns()
        at_rest(producer)
        assert judge.values("orders") == []


def test_a_loop_that_ends_meanwhile_is_not_told(gate):
    async def main():
        async with JudgeInLoop(TOPIC) as judge, zstd(judge) as producer:
            delivery = await producer.enqueue("orders", b"value")
            await until(lambda: gate.threads)
            kept.append(producer._running)
            assert await producer.close(0) == 1
            assert delivery.exception() is not None

    kept = []
    run_on("asyncio", main)
    gate.open()
    executor = kept[0].compression._executor
    executor.shutdown(wait=True)  # what the thread raised would be told by pytest


@pytest.mark.parametrize("error", [MemoryError("no"), OSError("odd"), SystemExit(3)], ids=repr)
def test_what_cannot_be_compressed_fails_and_what_is_behind_it_goes_on(error, gate):
    async def main():
        async with JudgeInLoop(TOPIC) as judge, zstd(judge, batch_size=1) as producer:
            assert (await asyncio.gather(producer.send("orders", b"0"), gate_opens()))[0].offset == 0
            gate.shut()
            gate.fails = [error]
            sent = [await producer.enqueue("orders", value) for value in (b"bad", b"1", b"2")]
            gate.open()
            with pytest.raises(DeliveryError, match="1 records could not be compressed") as caught:
                await sent[0]
            assert caught.value.cause is error and caught.value.written is WriteStatus.NO
            assert [(await delivery).offset for delivery in sent[1:]] == [1, 2]
            assert await producer.close() == 0
            at_rest(producer)
        assert judge.values("orders") == [b"0", b"1", b"2"]

    async def gate_opens():
        gate.open()

    run_on("asyncio", main)


@on_loop
async def test_a_failure_that_comes_too_late_changes_nothing(gate):
    gate.fails = [MemoryError("no")]
    async with JudgeInLoop(TOPIC) as judge, zstd(judge, request_timeout_ms=50, delivery_timeout_ms=60) as producer:
        delivery = await producer.enqueue("orders", b"value")
        with pytest.raises(DeliveryError, match="delivery_timeout_ms=60"):
            await delivery
        gate.open()
        gate_thread = producer._running.compression._executor.submit(int)  # behind it
        await asyncio.wrap_future(gate_thread)
        await turns()
        at_rest(producer)
        assert (await producer.send("orders", b"next")).offset == 0


@on_loop
async def test_a_batch_that_was_built_by_hand_is_compressed_beside_the_loop_too(gate):
    """Also where the producer itself compresses nothing."""
    async with JudgeInLoop(TOPIC) as judge, zstd(judge, compression_type="none") as producer:
        batch = RecordBatchBuilder("gzip")
        batch.append(1_700_000_000_000, None, b"value")
        sending = asyncio.ensure_future(producer.send_batch("orders", 0, batch))
        await until(lambda: gate.threads)
        assert not sending.done()
        gate.open()
        assert (await (await sending)).offset == 0
        assert set(gate.threads) == {"kproto-compress_0"}


@on_loop
async def test_a_batch_that_is_being_compressed_when_the_producer_is_closed_is_refused(gate):
    async with JudgeInLoop(TOPIC) as judge, zstd(judge) as producer:
        batch = RecordBatchBuilder("gzip")
        batch.append(1_700_000_000_000, None, b"value")
        sending = asyncio.ensure_future(producer.send_batch("orders", 0, batch))
        await until(lambda: gate.threads)
        assert await producer.close() == 0
        gate.open()
        with pytest.raises(ProducerClosedError):
            await sending
        at_rest(producer)


@on_loop
async def test_without_compression_there_is_no_thread(gate):
    async with JudgeInLoop(TOPIC) as judge, zstd(judge, compression_type="none") as producer:
        await producer.send("orders", b"value")
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("kproto-compress")]
        assert gate.threads == []


@on_loop
async def test_the_thread_ends_with_the_producer():
    async with JudgeInLoop(TOPIC) as judge, zstd(judge) as producer:
        await producer.send("orders", b"value")
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("kproto-compress")]
        assert len(threads) == 1
        await producer.close()
        await asyncio.to_thread(threads[0].join, SECONDS)
        assert not threads[0].is_alive()
