"""The record batches that a Produce request carries, by their headers alone.

Layer: tools. Records are neither decompressed nor decoded; checksums are computed when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from kproto.tools.decode.model import DecodedFrame
from kproto.wire import NO_UUID, DecodeError, ProduceRequest
from kproto.wire.records import LegacyBatch, RecordBatch, read_record_batches

__all__ = ["Produced", "produced", "topic_key", "topic_name"]

TopicKey = UUID | str
"""As the frame names the topic: by id, or by name."""


class Produced(NamedTuple):
    """One batch of a request. batch: or why there is none; what follows in that partition is then unknown.

    records: the partition's bytes, of which the batch has those from its offset on.
    """

    topic: TopicKey
    partition: int
    records: bytes
    batch: RecordBatch | LegacyBatch | DecodeError


def produced(request: ProduceRequest) -> Iterator[Produced]:
    """In the request's order."""
    for topic in request.topic_data:
        key = topic_key(topic)
        for partition in topic.partition_data:
            if not partition.records:
                continue
            try:
                for batch in read_record_batches(partition.records, verify_crc=False):
                    yield Produced(key, partition.index, partition.records, batch)
            except DecodeError as error:
                yield Produced(key, partition.index, partition.records, error)


def topic_key(topic: Any) -> TopicKey:
    """Of a topic in a Produce request or response."""
    key: TopicKey = topic.name if topic.topic_id == NO_UUID else topic.topic_id
    return key


def topic_name(key: TopicKey, frame: DecodedFrame) -> str:
    """What people call it; the id where the name was not learned."""
    return key if isinstance(key, str) else frame.topics.get(key) or str(key)
