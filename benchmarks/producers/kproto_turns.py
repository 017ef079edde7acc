"""The ways of kproto: `send` with futures that are read, `on_delivery`, `send_many`, and `AsyncProducer`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from threading import Thread
from typing import Any, Final

from benchmarks.producers.turn import Tally, Turn, Way, spin_loops
from kproto.producer import AsyncProducer, Producer

__all__ = ["WAYS"]

MANY: Final = 10_000  # records of a call of send_many
SAMPLE: Final = 100  # every so many records, the time to the delivery is taken


def _settings(turn: Turn) -> dict[str, Any]:
    """All that matters, said even where it is the default."""
    turn.settings = {
        "acks": "all",
        "enable_idempotence": True,
        "linger_ms": turn.linger_ms,
        "batch_size": 16_384,
        "batch_growth_max_bytes": 0,
        "buffer_memory": 33_554_432,
        "compression_type": turn.compression,
        **turn.settings,
    }
    return turn.settings


def _producer(turn: Turn) -> Producer:
    """Warmed up."""
    producer = Producer(turn.bootstrap, **_settings(turn))
    for delivery in [producer.send(turn.topic, value, key) for value, key in turn.warm_up()]:
        delivery.result(timeout=60)
    return producer


async def _async_producer(turn: Turn) -> AsyncProducer:
    """Warmed up."""
    producer = AsyncProducer(turn.bootstrap, **_settings(turn))
    await producer.start()
    for delivery in [await producer.enqueue(turn.topic, value, key) for value, key in turn.warm_up()]:
        await delivery
    return producer


def send(turn: Turn) -> None:
    """Each future is kept, and read."""
    topic = turn.topic
    with _producer(turn) as producer:
        send = producer.send
        with turn.timed():
            deliveries = [send(topic, value, key) for value, key in turn.pairs()]
            producer.flush()
            for delivery in deliveries:
                delivery.result()


def on_delivery(turn: Turn) -> None:
    """A callback for each record, which counts; batches are measured beside it."""
    topic, tally = turn.topic, Tally()
    with _producer(turn) as producer:
        send, ended = producer.send, tally.ended
        with turn.timed():
            for value, key in turn.pairs():
                send(topic, value, key, on_delivery=ended)
            producer.flush()
        for name, figure in producer.metrics().items():
            if name.name == "batch-size-avg" and name.group == "producer-metrics":
                turn.details["batch_bytes"] = round(figure)
    tally.check(len(turn.values))


def send_many(turn: Turn) -> None:
    """The future of each call is kept, and the records of its ranges are counted."""
    topic, values, keys = turn.topic, turn.values, turn.keys
    with _producer(turn) as producer, turn.timed():
        calls = [
            producer.send_many(topic, values[at : at + MANY], keys[at : at + MANY])
            for at in range(0, len(values), MANY)
        ]
        producer.flush()
        delivered = sum(found.count for call in calls for found in call.result())
    turn.settings["records_a_call"] = MANY
    if delivered != len(values):
        raise RuntimeError(f"the ranges hold {delivered} records of {len(values)}")


def threads(turn: Turn) -> None:
    """Sending threads, each with its share of the records; one callback for all."""
    topic, count, tally = turn.topic, turn.threads, Tally()
    shares = [(turn.values[at::count], turn.keys[at::count]) for at in range(count)]
    with _producer(turn) as producer:

        def work(values: list[bytes], keys: list[bytes]) -> None:
            send, ended = producer.send, tally.ended
            for value, key in zip(values, keys, strict=True):
                send(topic, value, key, on_delivery=ended)

        workers = [Thread(target=work, args=share) for share in shares]
        with turn.timed():
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            producer.flush()
    tally.check(len(turn.values))


def idle(turn: Turn) -> None:
    """One record after the other, each delivered before the next."""
    topic, note, clock = turn.topic, turn.latencies.append, time.perf_counter
    with _producer(turn) as producer, turn.timed():
        for value, key in turn.pairs():
            began = clock()
            producer.send(topic, value, key).result()
            note(clock() - began)


def busy(turn: Turn) -> None:
    """A sender that works between records: the time to the delivery, of some of them."""
    topic, note, clock, loops = turn.topic, turn.latencies.append, time.perf_counter, range(spin_loops())
    with _producer(turn) as producer:
        send = producer.send
        with turn.timed():
            for number, (value, key) in enumerate(turn.pairs()):
                for _ in loops:
                    pass
                if number % SAMPLE:
                    send(topic, value, key)
                else:
                    send(topic, value, key, on_delivery=_noting(note, clock()))
            producer.flush()


def _noting(note: Callable[[float], None], began: float) -> Callable[[object, object], None]:
    return lambda _metadata, _error: note(time.perf_counter() - began)


def enqueue(turn: Turn) -> None:
    """AsyncProducer: each accepted, kept, and awaited."""

    async def run() -> None:
        topic = turn.topic
        producer = await _async_producer(turn)
        enqueue = producer.enqueue
        with turn.timed():
            deliveries = [await enqueue(topic, value, key) for value, key in turn.pairs()]
            await producer.flush()
            for delivery in deliveries:
                await delivery
        await producer.close()

    asyncio.run(run())


def async_idle(turn: Turn) -> None:
    """AsyncProducer: one `await send` after the other."""

    async def run() -> None:
        topic, note, clock = turn.topic, turn.latencies.append, time.perf_counter
        producer = await _async_producer(turn)
        with turn.timed():
            for value, key in turn.pairs():
                began = clock()
                await producer.send(topic, value, key)
                note(clock() - began)
        await producer.close()

    asyncio.run(run())


WAYS: Final[dict[str, Way]] = {
    "send": send,
    "on_delivery": on_delivery,
    "send_many": send_many,
    "threads": threads,
    "idle": idle,
    "busy": busy,
    "enqueue": enqueue,
    "async_idle": async_idle,
}
