"""The records of a `send_many` by partition, as columns: what is worked out once for all of them.

Layer: producer. Part of the faces. It applies where records are bytes and the default partitioner, or the call, says
where they go; else each goes its own way, which comes to the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from kproto.producer.murmur2 import murmur2, murmur2_many
from kproto.producer.record import NO_PARTITION, Headers
from kproto.wire import EncodeError
from kproto.wire.records import RECORD_BATCH_OVERHEAD, RecordColumns

if TYPE_CHECKING:
    from kproto.producer.config import ProducerConfig
    from kproto.producer.queues import TopicQueues

__all__ = ["BulkGroup", "KeyPartitions", "bulk_groups", "places_left"]

SEQUENCES: Final = (list, tuple)
KEYS_MAX: Final = 1 << 14  # of one topic: more than that are not remembered


@dataclass(frozen=True, slots=True)
class BulkGroup:
    """partition: NO_PARTITION for the topic's sticky one; places: of the records among the values of the call."""

    partition: int
    columns: RecordColumns
    places: Sequence[int]


class KeyPartitions(dict[bytes, int]):
    """The partitions of keys, of a topic with so many. Bounded, as `TopicRoutes`. Thread-safe."""

    __slots__ = ("count",)

    def __init__(self, count: int) -> None:
        self.count = count

    def __missing__(self, key: bytes) -> int:
        number = (murmur2(key) & 0x7FFFFFFF) % self.count
        if len(self) < KEYS_MAX:
            self[key] = number
        return number


def bulk_groups(
    config: ProducerConfig,
    topic: TopicQueues,
    values: Sequence[Any],
    keys: Sequence[Any] | None,
    partition: int | None,
    headers: Headers,
) -> list[BulkGroup] | None:
    """The groups, in the order of partitions; None where each record has to go its own way."""
    if config.interceptors or config.key_serializer or config.value_serializer:
        return None
    if type(values) not in SEQUENCES or type(keys) not in (*SEQUENCES, NoneType):
        return None  # who knows what else may do when it is asked
    try:
        groups = _grouped(config, topic, values, keys, partition, headers)
    except (EncodeError, TypeError):
        return None  # something is no bytes: the way of single records says what
    limit = min(config.max_request_size, config.buffer_memory) - RECORD_BATCH_OVERHEAD
    if groups is None or any(group.columns.largest_max > limit for group in groups):
        return None
    return groups


def places_left(groups: Sequence[BulkGroup], number: int, start: int) -> list[int]:
    """Of the records that were not accepted: those from `start` on of this group, and those of the groups behind."""
    behind = chain.from_iterable(group.places for group in groups[number + 1 :])
    return sorted([*groups[number].places[start:], *behind])


def _grouped(
    config: ProducerConfig,
    topic: TopicQueues,
    values: Sequence[Any],
    keys: Sequence[Any] | None,
    partition: int | None,
    headers: Headers,
) -> list[BulkGroup] | None:
    if partition is not None:
        return [BulkGroup(partition, RecordColumns(keys, values, headers), range(len(values)))]
    if config.partitioner != "default" or (config.partitioner_ignore_keys and keys is not None):
        return None
    if keys is None:
        return [BulkGroup(NO_PARTITION, RecordColumns(None, values, headers), range(len(values)))]
    if set(map(type, keys)) != {bytes}:
        return None
    count = len(topic.choices.partitions)
    if topic.key_partitions.count != count:
        topic.key_partitions = KeyPartitions(count)
    places: list[list[int]] = [[] for _ in range(count)]
    known = topic.key_partitions
    if len(known) < KEYS_MAX:
        numbers: Iterable[int] = map(known.__getitem__, keys)
    else:  # too many to be remembered
        numbers = [(hashed & 0x7FFFFFFF) % count for hashed in murmur2_many(keys)]
    deque(map(list.append, map(places.__getitem__, numbers), range(len(keys))), maxlen=0)  # a loop, in C
    groups = []
    for number, found in enumerate(places):
        if found:
            columns = RecordColumns([*map(keys.__getitem__, found)], [*map(values.__getitem__, found)], headers)
            groups.append(BulkGroup(number, columns, found))
    return groups
