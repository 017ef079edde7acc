"""Records -> delivered offsets: what lies between `send()` and an acknowledged offset, as Kafka's own producer does it.

The layer above `kproto.client`. `Producer` is its face for threads, `AsyncProducer` the one for asyncio; below them lie
cores that do no I/O (`RecordAccumulator`, `Sender`, `PartitionSequences`), for whoever builds on them.
"""

from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.async_delivery import AsyncDelivery
from kproto.producer.async_producer import AsyncProducer
from kproto.producer.batch import ProducerBatch
from kproto.producer.bulk import RecordRange
from kproto.producer.config import ProducerConfig
from kproto.producer.delivery import Delivery
from kproto.producer.errors import (
    BufferFullError,
    BulkDeliveryError,
    ClusterAuthorizationFailedError,
    DeliveryError,
    DeliveryTimeoutError,
    ForkedProducerError,
    InvalidRecordError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    OutOfOrderSequenceNumberError,
    PartitionerError,
    ProducerClosedError,
    ProducerFatalError,
    ProducerFencedError,
    SerializationError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from kproto.producer.producer import Producer
from kproto.producer.properties import config_from_properties
from kproto.producer.record import RecordMetadata, WriteStatus
from kproto.producer.record_path import ProducerRecord
from kproto.producer.sender import Sender

__all__ = [
    "AsyncDelivery",
    "AsyncProducer",
    "BufferFullError",
    "BulkDeliveryError",
    "ClusterAuthorizationFailedError",
    "Delivery",
    "DeliveryError",
    "DeliveryTimeoutError",
    "ForkedProducerError",
    "InvalidRecordError",
    "InvalidTopicError",
    "MessageSizeTooLargeError",
    "NotLeaderForPartitionError",
    "OutOfOrderSequenceNumberError",
    "PartitionerError",
    "Producer",
    "ProducerBatch",
    "ProducerClosedError",
    "ProducerConfig",
    "ProducerFatalError",
    "ProducerFencedError",
    "ProducerRecord",
    "RecordAccumulator",
    "RecordMetadata",
    "RecordRange",
    "Sender",
    "SerializationError",
    "TopicAuthorizationFailedError",
    "UnknownTopicOrPartitionError",
    "WriteStatus",
    "config_from_properties",
]
