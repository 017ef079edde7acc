"""The ways of confluent-kafka: its Producer with `on_delivery`, and its AIOProducer. The rest are its defaults."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import Producer
from confluent_kafka.aio import AIOProducer

from benchmarks.producers.turn import Tally, Turn, Way, spin_loops

__all__ = ["WAYS"]

POLL_EVERY: Final = 10_000  # records; callbacks run in poll. More often, or at the end alone, costs it more CPU
FULL_SECONDS: Final = 0.01  # to wait where the queue is full
SAMPLE: Final = 100  # as kproto's


def _settings(turn: Turn) -> dict[str, Any]:
    """Its queue has room for every record of a turn, since that is faster than to wait for room."""
    turn.settings = {
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": turn.linger_ms,
        "queue.buffering.max.messages": 1_000_000,
        "compression.type": turn.compression,
        **turn.settings,
    }
    return {"bootstrap.servers": turn.bootstrap, **turn.settings}


def _producer(turn: Turn) -> Producer:
    """Warmed up."""
    producer, tally = Producer(_settings(turn)), Tally()
    warm_up = turn.warm_up()
    for value, key in warm_up:
        producer.produce(turn.topic, value, key, on_delivery=tally.reported)
    producer.flush()
    tally.check(len(warm_up))
    return producer


async def _async_producer(turn: Turn) -> AIOProducer:
    """Warmed up."""
    producer = AIOProducer(_settings(turn))
    futures = [await producer.produce(turn.topic, value, key) for value, key in turn.warm_up()]
    await producer.flush()
    await asyncio.gather(*futures)
    return producer


def on_delivery(turn: Turn) -> None:
    """A callback for each record, which counts."""
    topic, tally, producer = turn.topic, Tally(), _producer(turn)
    produce, poll, reported = producer.produce, producer.poll, tally.reported
    turn.settings["records_a_poll"] = POLL_EVERY
    with turn.timed():
        for number, (value, key) in enumerate(turn.pairs()):
            while True:
                try:
                    produce(topic, value, key, on_delivery=reported)
                    break
                except BufferError:
                    poll(FULL_SECONDS)
            if not number % POLL_EVERY:
                poll(0)
        producer.flush()
    tally.check(len(turn.values))


def idle(turn: Turn) -> None:
    """One record after the other, each flushed before the next."""
    topic, note, clock, tally = turn.topic, turn.latencies.append, time.perf_counter, Tally()
    producer = _producer(turn)
    with turn.timed():
        for value, key in turn.pairs():
            began = clock()
            producer.produce(topic, value, key, on_delivery=tally.reported)
            producer.flush()
            note(clock() - began)
    tally.check(len(turn.values))


def busy(turn: Turn) -> None:
    """A sender that works between records, and polls after each: the time to the delivery, of some of them."""
    topic, note, clock, loops = turn.topic, turn.latencies.append, time.perf_counter, range(spin_loops())
    producer = _producer(turn)
    produce, poll = producer.produce, producer.poll
    with turn.timed():
        for number, (value, key) in enumerate(turn.pairs()):
            for _ in loops:
                pass
            if number % SAMPLE:
                produce(topic, value, key)
            else:
                produce(topic, value, key, on_delivery=_noting(note, clock()))
            poll(0)
        producer.flush()


def _noting(note: Callable[[float], None], began: float) -> Callable[[object, object], None]:
    return lambda _error, _message: note(time.perf_counter() - began)


def enqueue(turn: Turn) -> None:
    """AIOProducer: each accepted, kept, and awaited."""

    async def run() -> None:
        topic = turn.topic
        producer = await _async_producer(turn)
        produce = producer.produce
        with turn.timed():
            futures = [await produce(topic, value, key) for value, key in turn.pairs()]
            await producer.flush()
            for future in futures:
                await future
        await producer.close()

    asyncio.run(run())


WAYS: Final[dict[str, Way]] = {"on_delivery": on_delivery, "idle": idle, "busy": busy, "enqueue": enqueue}
