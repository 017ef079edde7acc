"""Producers of five hands behind one interface, each idempotent where it can be: records in, their offsets out.

Called as `send(client_id, servers, plan)`. plan: topic -> its codec and its records; returns topic -> the offset of
each record.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import aiokafka
import confluent_kafka
import kafka
from brokers.jars import classpath
from brokers.log_dump import JAVA, tools_classpath
from brokers.produced import Rec, send_all

from kproto.client.versions import ApiVersions
from kproto.producer import Producer
from kproto.wire import ApiKey, ApiVersionsResponse

SECONDS = 30
BATCH_SIZE = 16_384
LINGER_MS = 20  # so that records share batches
JAVA_SOURCE = Path(__file__).with_name("SendRecords.java")
OLD = {ApiKey.PRODUCE: 8, ApiKey.METADATA: 9, ApiKey.INIT_PRODUCER_ID: 3}


class Planned(NamedTuple):
    """What goes to a topic."""

    codec: str
    records: list[Rec]


Plan = Mapping[str, Planned]
Offsets = dict[str, list[int]]


def confluent(client_id: str, servers: str, plan: Plan) -> Offsets:
    """confluent-kafka: librdkafka. All producers at the same time: each takes half a second to get its id."""
    offsets = {topic: [-1] * len(planned.records) for topic, planned in plan.items()}

    def delivered(error: Any, message: Any, topic: str, index: int) -> None:
        assert error is None, error
        offsets[topic][index] = message.offset()

    producers = []
    for topic, (codec, records) in plan.items():
        settings = {
            "bootstrap.servers": servers,
            "client.id": client_id,
            "enable.idempotence": True,
            "compression.codec": codec,
            "linger.ms": LINGER_MS,
            "batch.size": BATCH_SIZE,
            "log_level": 0,
        }
        producer = confluent_kafka.Producer(settings)
        for index, each in enumerate(records):
            producer.produce(
                topic,
                each.value,
                each.key,
                each.partition,
                timestamp=each.timestamp_ms,
                headers=list(each.headers),
                on_delivery=partial(delivered, topic=topic, index=index),
            )
        producers.append(producer)
    for producer in producers:
        assert producer.flush(SECONDS) == 0
    return offsets


def _kafka_python(client_id: str, servers: str, plan: Plan, **settings: Any) -> Offsets:
    offsets = {}
    for topic, (codec, records) in plan.items():
        producer = kafka.KafkaProducer(
            bootstrap_servers=servers,
            client_id=client_id,
            enable_idempotence=True,
            compression_type=None if codec == "none" else codec,
            linger_ms=LINGER_MS,
            batch_size=BATCH_SIZE,
            **settings,
        )
        futures = [
            producer.send(topic, each.value, each.key, list(each.headers), each.partition, each.timestamp_ms)
            for each in records
        ]
        producer.flush(SECONDS)
        offsets[topic] = [future.get(SECONDS).offset for future in futures]
        producer.close()
    return offsets


def kafka_python(client_id: str, servers: str, plan: Plan) -> Offsets:
    """kafka-python. Its records have a key or a value, and no header without a value."""
    return _kafka_python(client_id, servers, plan)


def old_kafka_python(client_id: str, servers: str, plan: Plan) -> Offsets:
    """The same, as if the broker were Kafka 2.3."""
    return _kafka_python(client_id, servers, plan, api_version=(2, 3))


def _aiokafka(client_id: str, servers: str, plan: Plan, *, idempotent: bool) -> Offsets:

    async def send() -> Offsets:
        offsets = {}
        for topic, (codec, records) in plan.items():
            async with aiokafka.AIOKafkaProducer(
                bootstrap_servers=servers,
                client_id=client_id,
                enable_idempotence=idempotent,
                acks="all",
                compression_type=None if codec == "none" else codec,
                linger_ms=LINGER_MS,
                max_batch_size=BATCH_SIZE,
            ) as producer:
                futures = [
                    await producer.send(
                        topic, each.value, each.key, each.partition, each.timestamp_ms, list(each.headers)
                    )
                    for each in records
                ]
                offsets[topic] = [(await future).offset for future in futures]
        return offsets

    return asyncio.run(send())


def aio_kafka(client_id: str, servers: str, plan: Plan) -> Offsets:
    """aiokafka."""
    return _aiokafka(client_id, servers, plan, idempotent=True)


def plain_aiokafka(client_id: str, servers: str, plan: Plan) -> Offsets:
    """The same without idempotence: Tansu refuses the version of InitProducerId that it speaks."""
    return _aiokafka(client_id, servers, plan, idempotent=False)


def _java(client_id: str, servers: str, plan: Plan, jars: str) -> Offsets:
    """The JVM takes its two seconds."""
    lines = []
    for topic, (codec, records) in plan.items():
        settings = {
            "bootstrap.servers": servers,
            "client.id": client_id,
            "compression.type": codec,
            "linger.ms": str(LINGER_MS),
            "batch.size": str(BATCH_SIZE),
        }
        lines.append({"settings": settings})
        for each in records:
            headers = [(name, _hex(value)) for name, value in each.headers]
            lines.append(
                {
                    "topic": topic,
                    "partition": each.partition,
                    "timestamp": each.timestamp_ms,
                    "key": _hex(each.key),
                    "value": _hex(each.value),
                    "headers": headers,
                }
            )
    done = subprocess.run(
        [*JAVA, "-cp", jars, str(JAVA_SOURCE)],
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = iter(done.stdout.split())
    return {topic: [int(next(found)) for _ in planned.records] for topic, planned in plan.items()}


def java(client_id: str, servers: str, plan: Plan) -> Offsets:
    """Kafka's own producer."""
    return _java(client_id, servers, plan, classpath())


def older_java(client_id: str, servers: str, plan: Plan) -> Offsets:
    """That of Kafka 4.3: it tells no broker which one it takes it for (KIP-1242), which Tansu does not bear."""
    return _java(client_id, servers, plan, tools_classpath())


def _hex(data: bytes | None) -> str | None:
    return None if data is None else data.hex()


def own(client_id: str, servers: str, plan: Plan) -> Offsets:
    """kproto."""
    offsets = {}
    for topic, (codec, records) in plan.items():
        with Producer(
            servers, client_id=client_id, compression_type=codec, linger_ms=LINGER_MS, batch_size=BATCH_SIZE
        ) as producer:
            sent = send_all(producer, topic, records)
        offsets[topic] = [future.result(0).offset for _, future in sent]
    return offsets


def old_own(client_id: str, servers: str, plan: Plan) -> Offsets:
    """The same, with versions that older clients speak."""
    with _spoken(OLD):
        return own(client_id, servers, plan)


@contextmanager
def _spoken(newest: Mapping[ApiKey, int]) -> Iterator[None]:
    """What brokers announce has these versions at most."""
    announced = ApiVersions.of

    def of(response: ApiVersionsResponse) -> ApiVersions:
        ranges = announced(response).ranges
        return ApiVersions(
            {key: range(each.start, min(each.stop, newest.get(key, each.stop) + 1)) for key, each in ranges.items()}
        )

    with mock.patch.object(ApiVersions, "of", of):
        yield


Send = Callable[[str, str, Plan], Offsets]
# By client id.
WITH_KAFKA: dict[str, Send] = {
    "confluent-kafka": confluent,
    "kafka-python": kafka_python,
    "kafka-python-2.3": old_kafka_python,
    "aiokafka": aio_kafka,
    "java": java,
    "kproto": own,
    "kproto-2.3": old_own,
}
WITH_TANSU: dict[str, Send] = {
    "confluent-kafka": confluent,
    "kafka-python": kafka_python,
    "aiokafka": plain_aiokafka,
    "java-4.3": older_java,
    "kproto": own,
    "kproto-2.3": old_own,
}
