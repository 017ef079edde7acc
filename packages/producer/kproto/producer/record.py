"""What comes back for a record: where it was written, or whether it may have been.

Layer: producer.
Source: org.apache.kafka.clients.producer.RecordMetadata; librdkafka's message status.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from kproto.client import TopicPartition

__all__ = ["NO_OFFSET", "NO_PARTITION", "Headers", "RecordMetadata", "WriteStatus"]

NO_OFFSET: Final = -1
NO_PARTITION: Final = -1

Headers = tuple[tuple[str, bytes | None], ...]


class RecordMetadata(NamedTuple):
    """Where one record is. offset: -1 where the broker does not say (acks=0, or a duplicate it no longer remembers).

    timestamp: ms since the epoch, the broker's own for a topic with LogAppendTime. In a callback with an error, offset
    and timestamp are -1, and partition is -1 where none was chosen.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int

    @property
    def topic_partition(self) -> TopicPartition:
        """Topic and partition together."""
        return TopicPartition(self.topic, self.partition)


class WriteStatus(Enum):
    """What is known of a record that was not delivered."""

    NO = "not written"
    """It is certainly not in the log: to send it again cannot double it."""
    POSSIBLY = "possibly written"
    """It may be in the log, once: no broker could be asked in time."""

    def __str__(self) -> str:
        return self.value
