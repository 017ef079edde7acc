"""One client under one scenario, in a process of its own, as it may hang: `python -m brokers.scenario_client JSON`.

The argument says what it does (see Task); a line of JSON on stdout says what became of each record (see Told).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

NEAR_THE_WRAP = 2**31 - 6


@dataclass
class Task:
    """What to send: count records of size bytes, each with its number in front, pace_s apart, to partition 0.

    wrap: numbered by the client from a few before the last sequence on. The rest are settings of the client.
    """

    client: str
    servers: str
    topic: str = "orders"
    count: int = 100
    size: int = 20
    pace_s: float = 0.0
    wrap: bool = False
    linger_ms: int = 0
    request_timeout_ms: int = 1_000
    delivery_timeout_ms: int = 8_000
    patience_s: float = 20.0


@dataclass
class Told:
    """What the client said: numbers of records by fate; error: of the first that failed."""

    delivered: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    open: list[int] = field(default_factory=list)
    error: str = ""


def value_of(task: Task, number: int) -> bytes:
    return b"%d|" % number + bytes(task.size)


def name_of(error: object) -> str:
    """librdkafka's name for it, or that of its class."""
    name = getattr(error, "name", None)
    return str(name()) if callable(name) else type(error).__name__


class Fates:
    """Callbacks of each record."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.told = Told()
        self._known: set[int] = set()

    def end(self, number: int, error: object = None) -> None:
        self._known.add(number)
        if error is None:
            self.told.delivered.append(number)
        else:
            self.told.failed.append(number)
            self.told.error = self.told.error or name_of(error)

    def fail(self, error: Exception) -> None:
        """The client itself has: no record will ever be sent."""
        for number in set(range(self.task.count)) - self._known:
            self.end(number, error)

    def sent(self, send: Callable[[int, bytes], object]) -> None:
        """Send them all, at their pace; one that is refused at once has failed."""
        for number in range(self.task.count):
            try:
                send(number, value_of(self.task, number))
            except Exception as error:
                self.end(number, error)
            time.sleep(self.task.pace_s)

    def finish(self) -> Told:
        self.told.open = [number for number in range(self.task.count) if number not in self._known]
        return self.told


def kproto(task: Task, fates: Fates) -> None:
    from kproto.producer import Producer
    from kproto.producer.sequences import PartitionSequences

    if task.wrap:
        adopt = PartitionSequences._adopt

        def adopt_late(self: PartitionSequences, current: object) -> None:
            adopt(self, current)  # type: ignore[arg-type]
            self.next_sequence = NEAR_THE_WRAP

        PartitionSequences._adopt = adopt_late  # type: ignore[method-assign]
    producer = Producer(
        task.servers,
        linger_ms=task.linger_ms,
        request_timeout_ms=task.request_timeout_ms,
        delivery_timeout_ms=task.delivery_timeout_ms,
        max_block_ms=int(task.patience_s * 1000),
    )
    with producer:
        fates.sent(
            lambda number, value: producer.send(
                task.topic, value, partition=0, on_delivery=lambda metadata, error: fates.end(number, error)
            )
        )
        producer.flush(task.patience_s)


def confluent_kafka(task: Task, fates: Fates) -> None:
    from confluent_kafka import Producer

    producer = Producer(
        {
            "bootstrap.servers": task.servers,
            "enable.idempotence": True,
            "linger.ms": task.linger_ms,
            "socket.timeout.ms": task.request_timeout_ms,
            "request.timeout.ms": task.request_timeout_ms,
            "delivery.timeout.ms": task.delivery_timeout_ms,
            "log_level": 0,
        }
    )

    def send(number: int, value: bytes) -> None:
        def ended(error: object, message: object) -> None:
            fates.end(number, error)

        producer.produce(task.topic, value, partition=0, on_delivery=ended)
        producer.poll(0)

    fates.sent(send)
    producer.flush(task.patience_s)


def kafka_python(task: Task, fates: Fates) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(
        bootstrap_servers=task.servers,
        enable_idempotence=True,
        linger_ms=task.linger_ms,
        request_timeout_ms=task.request_timeout_ms,
        delivery_timeout_ms=task.delivery_timeout_ms,
        max_block_ms=int(task.patience_s * 1000),
    )
    if task.wrap:
        producer._transaction_manager._sequence_numbers.default_factory = lambda: NEAR_THE_WRAP

    futures = {}

    def send(number: int, value: bytes) -> None:
        futures[number] = producer.send(task.topic, value, partition=0)

    fates.sent(send)
    deadline = time.monotonic() + task.patience_s
    for number, future in futures.items():  # flush() raises where a batch is split, though its records are delivered
        try:
            future.get(max(0.0, deadline - time.monotonic()))
        except Exception as error:
            if future.is_done:
                fates.end(number, error)
        else:
            fates.end(number)


def aiokafka(task: Task, fates: Fates) -> None:
    asyncio.run(_aiokafka(task, fates))


async def _aiokafka(task: Task, fates: Fates) -> None:
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(
        bootstrap_servers=task.servers,
        enable_idempotence=True,
        linger_ms=task.linger_ms,
        # Its request_timeout_ms is also how long a batch may take in all.
        request_timeout_ms=task.request_timeout_ms,
    )
    await producer.start()
    if task.wrap:
        producer._txn_manager._sequence_numbers.default_factory = lambda: NEAR_THE_WRAP

    futures = []
    for number in range(task.count):
        try:
            future = await asyncio.wait_for(
                producer.send(task.topic, value_of(task, number), partition=0), task.patience_s
            )
        except Exception as error:
            fates.end(number, error)
            continue
        future.add_done_callback(lambda done, number=number: fates.end(number, done.exception()))
        futures.append(future)
        await asyncio.sleep(task.pace_s)
    if futures:
        await asyncio.wait(futures, timeout=task.patience_s)


CLIENTS = {"kproto": kproto, "confluent-kafka": confluent_kafka, "kafka-python": kafka_python, "aiokafka": aiokafka}


def main() -> None:
    logging.disable(logging.CRITICAL)
    task = Task(**json.loads(sys.argv[1]))
    fates = Fates(task)
    try:
        CLIENTS[task.client](task, fates)
    except Exception as error:
        fates.fail(error)
    print(json.dumps(asdict(fates.finish())), flush=True)
    os._exit(0)  # a client that hangs would hang here, too


if __name__ == "__main__":
    main()
