"""A record as a user sees it: what was sent, and all that came back for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kproto.producer.batch import ProducerBatch
from kproto.producer.delivery import Delivery
from kproto.producer.errors import DeliveryError
from kproto.producer.record import RecordMetadata
from kproto.wire import KafkaError

__all__ = ["DIGITS", "Record", "number_of"]

DIGITS = 6  # of a value, which tell its record


def number_of(value: bytes | None) -> int:
    """Which record has this value."""
    return int((value or b"")[:DIGITS])


class Record:
    """See the module. order: when it was appended, among all; heard: what its callback was given, each time.

    wall_ms: the wall clock when it was sent, for what has no timestamp of its own. then: called by its callback.
    """

    __slots__ = (
        "batch",
        "bulk",
        "delivery",
        "error",
        "headers",
        "heard",
        "index",
        "key",
        "listens",
        "number",
        "order",
        "partition",
        "refusal",
        "sent_ms",
        "then",
        "timestamp_ms",
        "topic",
        "value",
    )

    def __init__(
        self,
        number: int,
        topic: str,
        size: int,
        key: bytes | None,
        partition: int | None,
        timestamp_ms: int | None,
        *,
        headers: tuple[tuple[str, bytes | None], ...] = (),
        listens: bool = True,
        then: Callable[[], None] | None = None,
    ) -> None:
        self.number, self.topic = number, topic
        self.value = b"%06d" % number + b"." * size
        self.key, self.partition, self.timestamp_ms, self.headers = key, partition, timestamp_ms, headers
        self.listens, self.then = listens, then
        self.order = -1
        self.sent_ms = -1
        self.batch: ProducerBatch | None = None
        self.index = -1
        self.delivery: Delivery | None = None
        self.heard: list[tuple[RecordMetadata, KafkaError | None]] = []
        self.bulk: tuple[int, int] | DeliveryError | None = None
        self.refusal: str = ""

    def ended(self, metadata: RecordMetadata, error: KafkaError | None) -> None:
        """Its callback."""
        self.heard.append((metadata, error))
        if self.then is not None:
            self.then()

    def outcome(self) -> tuple[ProducerBatch, int, DeliveryError | None] | None:
        """The batch that it is in, where there, and its error; None while it is pending."""
        assert self.batch is not None
        batch, index = self.batch.part_of(self.index)
        return (batch, index, batch.error_of(index)) if batch.done else None

    def __repr__(self) -> str:
        where: Any = self.batch.partition if self.batch is not None else self.topic
        return f"record {self.number} of {where}"
