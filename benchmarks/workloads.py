"""What is encoded and decoded: records W1 to W4, cluster metadata, and a Produce request. The same in each run.

No object is used twice where a user would have two: keys, values and headers are distinct objects, as they are when
they come from a serializer.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any, Final
from uuid import UUID

from kproto.wire import MetadataResponse

__all__ = ["WORKLOADS", "Records", "UserRecord", "cluster_metadata", "records"]

UserRecord = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Milliseconds since the epoch, key, value, headers."""
Records = list[UserRecord]

WORKLOADS: Final = {
    "W1": "1000 records, 10 B key, 100 B value",
    "W2": "100 records, no key, 1 KiB value",
    "W3": "W1 with 3 headers of 55, 16 and 16 B",
    "W4": "1000 records of mixed sizes, 10 % null keys, 5 % null values, timestamps out of order",
}

SEED: Final = 20_240_229
NOW: Final = 1_700_000_000_000  # ms since the epoch
RECORDS_PER_MS: Final = 10
WORDS: Final = ("accept", "account", "amount", "broker", "card", "city", "created", "currency", "error", "false")
WORD_SIZE_MIN: Final = 7  # bytes of a word, with the number and the space behind it
HEADERS: Final = (("traceparent", 55), ("correlation-id", 16), ("source", 16))
TOPICS: Final = 1000
PARTITIONS: Final = 12
BROKERS: Final = 6


def records(name: str) -> Records:
    """The records of a workload, made anew."""
    random = Random(f"{SEED}{name}")
    match name:
        case "W1":
            return list(_uniform(random, 1000, 10, 100))
        case "W2":
            return list(_uniform(random, 100, None, 1024))
        case "W3":
            with_headers = records("W1")
            for _, _, _, headers in with_headers:
                headers += [(key, _text(random, size)) for key, size in HEADERS]
            return with_headers
        case "W4":
            return list(_mixed(random, 1000))
    raise KeyError(name)


def _text(random: Random, size: int) -> bytes:
    """Words, with numbers between them: it compresses about as JSON does."""
    words = [f"{word} {random.randrange(1000)}" for word in random.choices(WORDS, k=size // WORD_SIZE_MIN + 1)]
    return " ".join(words).encode()[:size]


def _timestamp(number: int) -> int:
    return NOW + number // RECORDS_PER_MS


def _uniform(random: Random, count: int, key_size: int | None, value_size: int) -> Iterator[UserRecord]:
    for number in range(count):
        key = None if key_size is None else f"{number:0{key_size}}".encode()
        yield _timestamp(number), key, _text(random, value_size), []


def _mixed(random: Random, count: int) -> Iterator[UserRecord]:
    for number in range(count):
        key = None if random.random() < 0.1 else random.randbytes(random.randint(4, 40))
        value = None if random.random() < 0.05 else _text(random, round(random.lognormvariate(5, 1)))
        yield _timestamp(number) + random.randint(-5, 5), key, value, []


@cache
def cluster_metadata() -> MetadataResponse:
    """What a broker answers about 1000 topics of 12 partitions, three replicas each, on six brokers."""
    random = Random(SEED)
    broker = MetadataResponse.MetadataResponseBroker
    topic = MetadataResponse.MetadataResponseTopic
    return MetadataResponse(
        brokers=[
            broker(node_id=number, host=f"broker-{number}.example", port=9092, rack=f"rack-{number % 3}")
            for number in range(BROKERS)
        ],
        cluster_id="wT1dVhGUQXyXXq0wC6ZmBg",
        controller_id=1,
        topics=[
            topic(
                name=f"orders.events.{number:04}",
                topic_id=UUID(bytes=random.randbytes(16)),
                partitions=[_partition(random, number, index) for index in range(PARTITIONS)],
            )
            for number in range(TOPICS)
        ],
    )


def _partition(random: Random, topic: int, index: int) -> Any:
    replicas = [(topic + index + next_one) % BROKERS for next_one in range(3)]
    return MetadataResponse.MetadataResponsePartition(
        partition_index=index,
        leader_id=replicas[0],
        leader_epoch=random.randrange(100),
        replica_nodes=replicas,
        isr_nodes=replicas,
    )
