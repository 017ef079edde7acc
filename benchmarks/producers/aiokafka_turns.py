"""The ways of aiokafka: `send` with futures that are kept and awaited, and `send_and_wait`."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from benchmarks.producers.turn import Turn, Way

__all__ = ["WAYS"]


async def _producer(turn: Turn) -> Any:
    """Warmed up."""
    turn.settings = {
        "acks": "all",
        "enable_idempotence": True,
        "linger_ms": turn.linger_ms,
        "max_batch_size": 16_384,
        "compression_type": None if turn.compression == "none" else turn.compression,
        **turn.settings,
    }
    producer = AIOKafkaProducer(bootstrap_servers=turn.bootstrap, **turn.settings)
    await producer.start()
    await asyncio.gather(*[await producer.send(turn.topic, value, key) for value, key in turn.warm_up()])
    return producer


def send(turn: Turn) -> None:
    """Each accepted, kept, and awaited."""

    async def run() -> None:
        topic = turn.topic
        producer = await _producer(turn)
        send = producer.send
        with turn.timed():
            futures = [await send(topic, value, key) for value, key in turn.pairs()]
            await producer.flush()
            for future in futures:
                await future
        await producer.stop()

    asyncio.run(run())


def idle(turn: Turn) -> None:
    """One `send_and_wait` after the other."""

    async def run() -> None:
        topic, note, clock = turn.topic, turn.latencies.append, time.perf_counter
        producer = await _producer(turn)
        with turn.timed():
            for value, key in turn.pairs():
                began = clock()
                await producer.send_and_wait(topic, value, key)
                note(clock() - began)
        await producer.stop()

    asyncio.run(run())


WAYS: Final[dict[str, Way]] = {"send": send, "idle": idle}
