"""What stands in the log after a round, read by confluent-kafka's consumer, past the proxy."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

from confluent_kafka import Consumer, KafkaException, TopicPartition

CALL_SECONDS = 5
READ_SECONDS = 60


Log = dict[int, list[tuple[int, bytes]]]  # partition -> offset and value


def read_back(servers: str, topic: str, partitions: int) -> Log:
    """Every record of each partition, in order, until the ends of the log move no more.

    Raises TimeoutError where they cannot be read within a minute.
    """
    settings = {"bootstrap.servers": servers, "group.id": "chaos", "enable.auto.commit": False, "log_level": 0}
    # Two of them: a question about an end would wait behind each fetch that finds nothing.
    reader, surveyor = Consumer({**settings, "fetch.wait.max.ms": 10}), Consumer(settings)
    log: Log = {partition: [] for partition in range(partitions)}
    deadline = time.monotonic() + READ_SECONDS
    try:
        reader.assign([TopicPartition(topic, partition, 0) for partition in log])
        while missing := _missing(log, _ends(surveyor, topic, log, deadline)):
            while missing := _missing(log, missing):
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"{topic} was not read to its end within {READ_SECONDS} s: {missing}")
                _read(reader, log)
    finally:
        reader.close()
        surveyor.close()
    return log


def _read(reader: Consumer, log: Log) -> None:
    for message in reader.consume(1000, 0.1):
        partition, offset, value = message.partition(), message.offset(), message.value()
        # Of errors, such as a leader that has moved, the consumer takes care.
        if message.error() is None and partition is not None and offset is not None:
            log[partition].append((offset, value or b""))


def _ends(surveyor: Consumer, topic: str, partitions: Iterable[int], deadline: float) -> dict[int, int]:
    """The offset after the last record of each partition."""
    ends: dict[int, int] = {}
    for partition in partitions:
        while partition not in ends:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"nobody tells the end of {topic}-{partition}")
            with suppress(KafkaException):
                asked = TopicPartition(topic, partition)
                ends[partition] = surveyor.get_watermark_offsets(asked, timeout=CALL_SECONDS)[1]
    return ends


def _missing(log: Log, ends: dict[int, int]) -> dict[int, int]:
    """Of the ends those that are not reached."""
    return {
        partition: end for partition, end in ends.items() if end > (log[partition][-1][0] + 1 if log[partition] else 0)
    }
