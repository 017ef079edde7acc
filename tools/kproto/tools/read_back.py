"""Reads a topic with librdkafka's consumer, which shares no line with kproto, and holds it against what was sent.

Layer: tools. confluent-kafka is imported when it is needed: it comes with the extra `demo`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic
from typing import Any, Final

from kproto.wire import KafkaError

__all__ = ["Check", "Librdkafka", "MissingPackageError", "ReadBack", "checks"]

AT_ONCE: Final = 10_000  # messages
ADMIN_S: Final = 15.0
QUIET_S: Final = 20.0  # without a message
CLIENT: Final = {  # ours -> librdkafka's
    "security_protocol": "security.protocol",
    "sasl_mechanism": "sasl.mechanism",
    "sasl_username": "sasl.username",
    "sasl_password": "sasl.password",
    "ssl_cafile": "ssl.ca.location",
    "ssl_certfile": "ssl.certificate.location",
    "ssl_keyfile": "ssl.key.location",
    "ssl_password": "ssl.key.password",
}

Position = tuple[int, int]
"""Partition and offset."""


class MissingPackageError(KafkaError, ImportError):
    """A package is not installed. The text says how to get it."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """A record as it was read."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be so. found: in numbers."""

    name: str
    holds: bool
    found: str


class Librdkafka:
    """Topics and their records, by librdkafka. settings: of the producer, with `bootstrap_servers`.

    Raises MissingPackageError; later KafkaError, for a cluster that refuses or is not there.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        try:
            import confluent_kafka
            import confluent_kafka.admin
        except ImportError:
            raise MissingPackageError(
                "confluent-kafka, which reads back, is missing: pip install 'kproto[demo]', or kproto demo --recorded"
            ) from None
        self._module: Any = confluent_kafka
        self._settings: dict[str, Any] = {
            "bootstrap.servers": settings["bootstrap_servers"],
            "log_level": 0,
            **{theirs: settings[ours] for ours, theirs in CLIENT.items() if ours in settings},
        }
        self._admin = confluent_kafka.admin.AdminClient(self._settings)

    def create_topic(self, name: str, partitions: int) -> None:
        """As many replicas as the cluster gives."""
        topic = self._module.admin.NewTopic(name, partitions)
        self._wait(self._admin.create_topics([topic])[name], f"topic {name} cannot be made")

    def delete_topic(self, name: str) -> None:
        """It is gone, records and all."""
        self._wait(self._admin.delete_topics([name])[name], f"topic {name} cannot be deleted")

    def _wait(self, future: Any, complaint: str) -> None:
        try:
            future.result(ADMIN_S)
        except (self._module.KafkaException, TimeoutError) as error:
            why = error.args[0].str() if isinstance(error, self._module.KafkaException) else f"no answer in {ADMIN_S} s"
            raise KafkaError(f"{complaint}: {why}") from None

    def read(
        self, topic: str, ends: Mapping[int, int], progress: Callable[[int], object] = lambda records: None
    ) -> Iterator[ReadBack]:
        """The records of each partition up to its end, an offset; no group is made.

        The end is what was acknowledged: Tansu's high watermark lags. progress: told how many there are so far.
        Raises KafkaError where nothing comes for QUIET_S.
        """
        consumer = self._module.Consumer(
            {**self._settings, "group.id": "kproto-demo", "enable.auto.commit": False, "auto.offset.reset": "error"}
        )
        try:
            left = {partition for partition, end in ends.items() if end}
            consumer.assign([self._module.TopicPartition(topic, partition, 0) for partition in left])
            heard, records = monotonic(), 0
            while left:
                messages = consumer.consume(AT_ONCE, 0.2)
                if messages:
                    heard = monotonic()
                elif monotonic() - heard > QUIET_S:
                    raise KafkaError(f"nothing came for {QUIET_S:.0f} s from partitions {sorted(left)} of {topic}")
                for message in messages:
                    if message.error() is not None:
                        raise KafkaError(f"{topic}: {message.error()}")
                    partition, offset = message.partition(), message.offset()
                    if offset + 1 >= ends[partition]:
                        left.discard(partition)
                    if offset < ends[partition]:
                        records += 1
                        yield ReadBack(partition, offset, message.key(), message.value())
                progress(records)
        finally:
            consumer.close()


def checks(
    sent: Sequence[tuple[bytes, bytes]], delivered: Mapping[int, Position], found: Sequence[ReadBack]
) -> list[Check]:
    """Whether what was read is what was sent, once and in order.

    sent: keys and values; delivered: index in `sent` -> where the producer says that it is; found: by partition in the
    order in which it was read. Keys of one partition keep their order if all records of it do.
    """
    numbers = {value: number for number, (_, value) in enumerate(sent)}
    order: dict[int, list[int]] = {}
    for record in found:
        order.setdefault(record.partition, []).append(numbers.get(record.value or b"", -1))
    read = [number for each in order.values() for number in each]
    disorder = sum(later <= earlier for each in order.values() for earlier, later in pairwise(each))
    at = {(record.partition, record.offset): record for record in found}
    misplaced = 0
    for number, (key, value) in enumerate(sent):
        record_there = at.get(delivered.get(number, (-1, -1)))
        misplaced += record_there is None or (record_there.key, record_there.value) != (key, value)
    missing, strange = len(sent) - len(set(read) - {-1}), read.count(-1)
    doubled = len(read) - strange - len(set(read) - {-1})
    return [
        Check("all acknowledged", len(delivered) == len(sent), f"{len(delivered):,} of {len(sent):,}"),
        Check("all read back", not missing, f"{len(read):,} read, {missing:,} missing"),
        Check("none twice", not doubled and not strange, f"{doubled:,} doubled, {strange:,} that nobody sent"),
        Check("in order", not disorder, f"{disorder:,} out of order in {len(order)} partitions"),
        Check("where the producer said", not misplaced, f"{misplaced:,} elsewhere, or with other bytes"),
    ]
