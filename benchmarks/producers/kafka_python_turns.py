"""The ways of kafka-python: `send` with futures that are kept and read, one after the other for the idle producer."""

from __future__ import annotations

import time
from typing import Any, Final

from kafka import KafkaProducer

from benchmarks.producers.turn import Turn, Way

__all__ = ["WAYS"]

DELIVERY_SECONDS: Final = 120


def _producer(turn: Turn) -> Any:
    """Warmed up."""
    turn.settings = {
        "acks": "all",
        "enable_idempotence": True,
        "linger_ms": turn.linger_ms,
        "batch_size": 16_384,
        "compression_type": None if turn.compression == "none" else turn.compression,
        **turn.settings,
    }
    producer = KafkaProducer(bootstrap_servers=turn.bootstrap, **turn.settings)
    for future in [producer.send(turn.topic, value, key) for value, key in turn.warm_up()]:
        future.get(DELIVERY_SECONDS)
    return producer


def send(turn: Turn) -> None:
    """Each future is kept, and read."""
    topic, producer = turn.topic, _producer(turn)
    send = producer.send
    with turn.timed():
        futures = [send(topic, value, key) for value, key in turn.pairs()]
        producer.flush()
        for future in futures:
            future.get(DELIVERY_SECONDS)
    producer.close()


def idle(turn: Turn) -> None:
    """One record after the other, each delivered before the next."""
    topic, note, clock, producer = turn.topic, turn.latencies.append, time.perf_counter, _producer(turn)
    with turn.timed():
        for value, key in turn.pairs():
            began = clock()
            producer.send(topic, value, key).get(DELIVERY_SECONDS)
            note(clock() - began)
    producer.close()


WAYS: Final[dict[str, Way]] = {"send": send, "idle": idle}
