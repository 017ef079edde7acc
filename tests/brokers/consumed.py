"""What stands in a topic, read by confluent-kafka's consumer: a client of another hand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, Message, TopicPartition

CALL_SECONDS = 30
READ_SECONDS = 60


class ReadRecord(NamedTuple):
    """One record of a partition. by_broker: whether the timestamp is the broker's."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    by_broker: bool


ReadLog = dict[int, list[ReadRecord]]  # partition -> its records in order


class Reader:
    """Reads on where it was; `with Reader(servers) as reader:`. Not thread-safe."""

    def __init__(self, servers: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "read-back",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            }
        )

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._consumer.close()

    def ends(self, topic: str, partitions: int) -> dict[int, int]:
        """The offset after the last record of each partition."""
        return {
            index: self._consumer.get_watermark_offsets(TopicPartition(topic, index), timeout=CALL_SECONDS)[1]
            for index in range(partitions)
        }

    def read(self, topic: str, ends: Mapping[int, int], begins: Mapping[int, int] | None = None) -> ReadLog:
        """Partition -> records from `begins` (0 where not given) up to the offset `ends`, in the log's order.

        Raises TimeoutError where they do not come.
        """
        begins = begins or {}
        log: ReadLog = {index: [] for index in ends}
        wanted = {index: end for index, end in ends.items() if end > begins.get(index, 0)}
        self._consumer.assign([TopicPartition(topic, index, begins.get(index, 0)) for index in wanted])
        deadline = time.monotonic() + READ_SECONDS
        while wanted:
            if time.monotonic() >= deadline:
                raise TimeoutError(
                    f"{topic} was not read to {dict(ends)} within {READ_SECONDS} s: {wanted} are missing"
                )
            for message in self._consumer.consume(1000, 0.05):
                if message.error() is None:
                    index, record = message.partition() or 0, _record(message)
                    log[index].append(record)
                    if record.offset + 1 >= ends[index]:
                        wanted.pop(index, None)
        self._consumer.unassign()
        return log


def read_topic(servers: str, topic: str, partitions: int = 1, ends: Mapping[int, int] | None = None) -> ReadLog:
    """All records of a topic. ends: up to where, the ends of the log where not given."""
    with Reader(servers) as reader:
        return reader.read(topic, ends or reader.ends(topic, partitions))


def _record(message: Message) -> ReadRecord:
    kind, timestamp_ms = message.timestamp()
    return ReadRecord(
        message.offset() or 0,
        timestamp_ms,
        message.key(),  # type: ignore[arg-type]
        message.value(),  # type: ignore[arg-type]
        tuple(message.headers() or ()),  # type: ignore[arg-type]
        kind == TIMESTAMP_LOG_APPEND_TIME,
    )
