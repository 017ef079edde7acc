"""What happens to a record before it is appended: interceptors, serializers, the partition, the sizes.

Layer: producer. Shared by the faces. Runs in the thread that sends.
Source: org.apache.kafka.clients.producer.KafkaProducer.doSend (SEND-1 to SEND-3, SIZE-1, SIZE-2), ProducerInterceptors.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any, Final

from kproto.client import TopicPartition
from kproto.client.cluster import check_topic
from kproto.producer.batch import OnDelivery
from kproto.producer.config import ProducerConfig, Serializer
from kproto.producer.errors import DeliveryError, MessageSizeTooLargeError, SerializationError
from kproto.producer.record import NO_PARTITION, Headers, RecordMetadata, WriteStatus
from kproto.producer.record_size import record_size_bound
from kproto.wire import KafkaError
from kproto.wire.records import RECORD_BATCH_OVERHEAD

__all__ = ["ProducerRecord", "RecordPath", "placeholder"]

logger = logging.getLogger("kproto.producer")
BYTES: Final = (bytes, bytearray, memoryview)


@dataclass(frozen=True, slots=True)
class ProducerRecord:
    """A record as it was given to `send`; what interceptors get, and give on, changed with `dataclasses.replace`.

    partition: None where the partitioner chooses; timestamp_ms: since the epoch, None for now.
    """

    topic: str
    value: Any = None
    key: Any = None
    partition: int | None = None
    timestamp_ms: int | None = None
    headers: Headers = ()


class RecordPath:
    """See the module. known_topics: whose names need no check.

    Thread-safe, as far as the user's serializers and interceptors are.
    """

    def __init__(self, config: ProducerConfig, known_topics: Container[str]) -> None:
        self._config = config
        self._known_topics = known_topics

    def check(self, topic: str, partition: int | None, timestamp_ms: int | None) -> None:
        """Raises TypeError and ValueError for what is no topic, partition or timestamp (SEND-1), EncodeError for a
        topic that no request can carry."""
        if not isinstance(topic, str):
            raise TypeError(f"topic: a str, not {topic!r}")
        if topic not in self._known_topics:
            if not topic:
                raise ValueError("topic: a name, not an empty str")
            check_topic(topic)
        for name, number in (("partition", partition), ("timestamp_ms", timestamp_ms)):
            if number is not None and type(number) is not int:
                raise TypeError(f"{name}: an int or None, not {number!r}")
            if number is not None and number < 0:
                raise ValueError(f"{name}: 0 or more, or None, not {number}")

    def intercept(self, record: ProducerRecord) -> ProducerRecord:
        """What the interceptors make of it, each of what the one before gave on; one that raises is passed over."""
        for interceptor in self._config.interceptors:
            try:
                record = interceptor.on_send(record)
            except Exception:
                logger.exception("the interceptor %r raised in on_send, and is passed over", interceptor)
        return record

    def acknowledge(self, metadata: RecordMetadata, error: KafkaError | None) -> None:
        """Tell the interceptors how a record ended."""
        for interceptor in self._config.interceptors:
            try:
                interceptor.on_acknowledgement(metadata, error)
            except Exception:
                logger.exception("the interceptor %r raised in on_acknowledgement", interceptor)

    def refused(self, record: ProducerRecord, error: KafkaError) -> None:
        """The same of a record that was never accepted; with its partition, where one was chosen."""
        partition = error.partition.partition if isinstance(error, DeliveryError) else record.partition
        self.acknowledge(placeholder(record.topic, partition), error)

    def intercepted(self, on_delivery: OnDelivery | None) -> OnDelivery:
        """A callback that tells the interceptors first (CB-1)."""

        def ended(metadata: RecordMetadata, error: KafkaError | None) -> None:
            try:
                self.acknowledge(metadata, error)
            finally:
                if on_delivery is not None:
                    on_delivery(metadata, error)

        return ended

    def serialize(self, topic: str, key: Any, value: Any) -> tuple[bytes | None, bytes | None]:
        """Key and value as bytes, copied where they are another buffer. Raises SerializationError."""
        config = self._config
        return (
            _serialized(topic, "key", key, config.key_serializer),
            _serialized(topic, "value", value, config.value_serializer),
        )

    def headers(self, headers: Iterable[tuple[str, bytes | None]] | None) -> Headers:
        """As they are now: what is changed later changes nothing here. Raises TypeError."""
        return () if not headers else tuple([_header(pair) for pair in headers])

    def check_size(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Raises MessageSizeTooLargeError for a record that no request, or no memory, can hold (SIZE-2)."""
        size = RECORD_BATCH_OVERHEAD + record_size_bound(key, value, headers)
        for name in ("max_request_size", "buffer_memory"):
            limit = getattr(self._config, name)
            if size > limit:
                why = f"a record of up to {size} bytes, before compression, is larger than {name}={limit}"
                raise MessageSizeTooLargeError(TopicPartition(topic, partition), WriteStatus.NO, why)


def _serialized(topic: str, what: str, data: Any, serializer: Serializer | None) -> bytes | None:
    if serializer is not None:
        try:
            data = serializer(topic, data)
        except Exception as error:
            raise SerializationError(topic, what, f"cannot be serialized: {type(error).__name__}: {error}") from error
    if data is None or data.__class__ is bytes:
        return data
    if isinstance(data, BYTES):
        return bytes(data)
    hint = f"set {what}_serializer, or encode it" if serializer is None else f"{what}_serializer has to give bytes"
    raise SerializationError(topic, what, f"is {type(data).__name__}, neither bytes nor None: {hint}")


def _header(pair: Any) -> tuple[str, bytes | None]:
    name, data = pair if isinstance(pair, (tuple, list)) and len(pair) == 2 else (None, None)
    if isinstance(name, str) and (data is None or isinstance(data, BYTES)):
        return name, data if data is None or data.__class__ is bytes else bytes(data)
    raise TypeError(f"headers: pairs of a str and bytes or None, not {pair!r}")


def placeholder(topic: str, partition: int | None) -> RecordMetadata:
    """What callbacks and interceptors hear of a record that went nowhere (ERR-1)."""
    return RecordMetadata(topic, NO_PARTITION if partition is None else partition, -1, -1)
