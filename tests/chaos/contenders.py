"""The producers that chaos is made for, behind one face: Contender.

`contender(name)` makes one. A record that `send` does not accept is marked as refused, and never raises.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from chaos.records import SentRecord, Written

CALL_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The two that matter; None is the producer's own default."""

    delivery_ms: int | None = None
    request_ms: int | None = None

    def named(self, *, delivery: str | None = None, request: Sequence[str] = ()) -> dict[str, int]:
        """As a producer spells them, without those that are its defaults, and those that it does not have."""
        found = [(delivery, self.delivery_ms), *((name, self.request_ms) for name in request)]
        return {name: value for name, value in found if name is not None and value is not None}


DEFAULT = Timeouts()
SHORT = Timeouts(delivery_ms=4000, request_ms=1500)


class Contender(Protocol):
    """An idempotent producer with acks=all, started by its constructor; used by one thread.

    constructor: bootstrap servers, topic, timeouts.
    """

    def send(self, record: SentRecord) -> None:
        """Hand it over, without waiting for its outcome, which `acked`, `failed` or `refused` of the record tells."""

    def close(self) -> None:
        """End it; may hang. What it abandons, it should fail."""


def _quiet(*loggers: str) -> None:
    """They tell of each fault of each connection; the table tells what came of it."""
    for name in loggers:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class Confluent:
    """librdkafka, by confluent-kafka."""

    def __init__(self, servers: str, topic: str, timeouts: Timeouts) -> None:
        from confluent_kafka import Producer

        self._topic = topic
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "log_level": 0,
                "error_cb": lambda error: None,
                **timeouts.named(delivery="delivery.timeout.ms", request=["request.timeout.ms", "socket.timeout.ms"]),
            }
        )
        self._ended = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="confluent-poll", daemon=True)
        self._poller.start()

    def _poll(self) -> None:
        while not self._ended.is_set():
            self._producer.poll(0.05)

    def send(self, record: SentRecord) -> None:
        def delivered(error: Any, message: Any) -> None:
            if error is None:
                record.acked(message.offset())
            else:
                record.failed(error.name())

        try:
            self._producer.produce(self._topic, record.value, partition=record.partition, on_delivery=delivered)
        except Exception as error:
            record.refused = repr(error)

    def close(self) -> None:
        self._producer.flush(5)
        self._producer.purge()
        self._producer.flush(1)
        self._ended.set()
        self._poller.join(5)


class KafkaPython:
    """kafka-python."""

    def __init__(self, servers: str, topic: str, timeouts: Timeouts) -> None:
        import kafka

        _quiet("kafka")
        self._topic = topic
        self._producer = kafka.KafkaProducer(
            bootstrap_servers=servers.split(","),
            enable_idempotence=True,
            acks="all",
            **timeouts.named(delivery="delivery_timeout_ms", request=["request_timeout_ms"]),
        )

    def send(self, record: SentRecord) -> None:
        try:
            future = self._producer.send(self._topic, record.value, partition=record.partition)
        except Exception as error:
            record.refused = repr(error)
            return
        future.add_callback(lambda metadata: record.acked(metadata.offset))
        future.add_errback(lambda error: record.failed(type(error).__name__))

    def close(self) -> None:
        self._producer.close(5)


class AioKafka:
    """aiokafka, on a loop of its own; records of one partition wait in line, as its `send` may wait for room."""

    def __init__(self, servers: str, topic: str, timeouts: Timeouts) -> None:
        self._topic = topic
        self._lines: dict[int, asyncio.Queue[SentRecord]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="aiokafka", daemon=True).start()
        self._call(self._start(servers, timeouts))

    async def _start(self, servers: str, timeouts: Timeouts) -> None:
        import aiokafka

        _quiet("aiokafka")
        self._producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=servers,
            enable_idempotence=True,
            acks="all",
            **timeouts.named(request=["request_timeout_ms"]),
        )
        await self._producer.start()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_SECONDS)

    def send(self, record: SentRecord) -> None:
        self._loop.call_soon_threadsafe(self._enqueue, record)

    def _enqueue(self, record: SentRecord) -> None:
        if record.partition not in self._lines:
            self._lines[record.partition] = asyncio.Queue()
            self._tasks.append(self._loop.create_task(self._send_in_order(self._lines[record.partition])))
        self._lines[record.partition].put_nowait(record)

    async def _send_in_order(self, line: asyncio.Queue[SentRecord]) -> None:
        while True:
            record = await line.get()
            try:
                future = await self._producer.send(self._topic, record.value, partition=record.partition)
            except Exception as error:
                record.refused = repr(error)
                continue
            future.add_done_callback(functools.partial(self._done, record))

    @staticmethod
    def _done(record: SentRecord, future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            record.failed("CancelledError")
        elif (error := future.exception()) is not None:
            record.failed(type(error).__name__)
        else:
            record.acked(future.result().offset)

    def close(self) -> None:
        async def stop() -> None:
            for task in self._tasks:
                task.cancel()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._producer.stop(), 10)

        self._call(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)


class Kproto:
    """kproto, by its blocking face."""

    def __init__(self, servers: str, topic: str, timeouts: Timeouts) -> None:
        from kproto.producer import Producer, WriteStatus

        self._topic = topic
        self._statuses: dict[Any, Written] = {WriteStatus.NO: Written.NO, WriteStatus.POSSIBLY: Written.POSSIBLY}
        settings: dict[str, Any] = {**timeouts.named(delivery="delivery_timeout_ms", request=["request_timeout_ms"])}
        self._producer = Producer(servers, **settings)

    def send(self, record: SentRecord) -> None:
        try:
            future = self._producer.send(self._topic, record.value, partition=record.partition)
        except Exception as error:
            record.refused = repr(error)
            return
        future.add_done_callback(functools.partial(self._done, record))

    def _done(self, record: SentRecord, future: Any) -> None:
        error = future.exception()
        if error is None:
            record.acked(future.result().offset)
        else:  # an error without a status promises nothing, which counts as "not written"
            status = getattr(error, "written", None)
            record.failed(type(error).__name__, self._statuses.get(status, Written.NO))

    def close(self) -> None:
        self._producer.close(5)


def _java(servers: str, topic: str, timeouts: Timeouts) -> Contender:
    from chaos.java import JavaProducer

    return JavaProducer(servers, topic, timeouts.named(delivery="delivery.timeout.ms", request=["request.timeout.ms"]))


CONTENDERS: Mapping[str, Callable[[str, str, Timeouts], Contender]] = {
    "kproto": Kproto,
    "java": _java,
    "confluent": Confluent,
    "aiokafka": AioKafka,
    "kafka-python": KafkaPython,
}
