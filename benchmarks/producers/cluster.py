"""The broker of a run: an Apache Kafka that the bench starts, or one that runs already; its topics, and their ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import KafkaException, NewTopic

__all__ = ["Cluster", "apache_kafka"]

ANSWER_SECONDS: Final = 60
REACH_SECONDS: Final = 10
PAUSE_SECONDS: Final = 0.01
DELETED_AFTER_MS: Final = 100  # the files of a topic, or the disk would fill up
TOPIC_CONFIG: Final = {"file.delete.delay.ms": str(DELETED_AFTER_MS), "retention.ms": "-1"}


class Cluster:
    """Makes topics, counts what is in them, and deletes them. Raises KafkaException where the broker does not help."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def check(self) -> None:
        """Raises KafkaException where nobody answers."""
        self._admin.list_topics(timeout=REACH_SECONDS)

    def create(self, topic: str, partitions: int) -> None:
        """Returns once every partition is served by its leader: the broker's answer comes a moment before that."""
        made = self._admin.create_topics([NewTopic(topic, partitions, 1, config=TOPIC_CONFIG)])
        made[topic].result(ANSWER_SECONDS)
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                self.end(topic, partitions)
                return
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE_SECONDS)

    def end(self, topic: str, partitions: int) -> int:
        """How many records are in it: the sum of the end offsets, with nothing deleted."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "kproto-bench", "log_level": 0})
        look = consumer.get_watermark_offsets
        try:
            return sum(look(TopicPartition(topic, index), timeout=ANSWER_SECONDS)[1] for index in range(partitions))
        finally:
            consumer.close()

    def delete(self, topic: str) -> None:
        """Returns once the broker has taken note."""
        self._admin.delete_topics([topic])[topic].result(ANSWER_SECONDS)


@contextmanager
def apache_kafka() -> Iterator[str]:
    """The address of a broker that is there for this block. Raises RuntimeError where it does not come up."""
    tests = str(Path(__file__).parents[2] / "tests")
    if tests not in sys.path:
        sys.path.append(tests)
    import pytest  # mypy does not look into tests/, which is where the launcher is
    from brokers.jars import kafka_jars  # type: ignore[import-not-found,unused-ignore]
    from brokers.kafka import ApacheKafka  # type: ignore[import-not-found,unused-ignore]

    try:
        kafka_jars()
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        raise RuntimeError(f"{missing}, or name a broker that runs with --bootstrap") from None
    settings = {"log.segment.delete.delay.ms": str(DELETED_AFTER_MS), "auto.create.topics.enable": "false"}
    with ApacheKafka(settings=settings) as kafka:
        yield kafka.bootstrap_servers
