"""Where the records of a key go, looked up at once: the queue of the partition, and the bytes of the key.

Layer: producer. For `fast_send`; the default partitioner only. Bounded: a cache that is full takes no more, for one
that threw entries away would do so for each record where there are more keys than it holds.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kproto.producer.murmur2 import murmur2
from kproto.wire.records import sized_bytes

if TYPE_CHECKING:
    from kproto.producer.queues import PartitionQueue, TopicQueues

__all__ = ["Route", "TopicRoutes"]

new_tuple = tuple.__new__  # where there are more keys than routes, one is made for each record

ROUTES_MAX: Final = 1 << 14  # of one topic: 5 MB with keys of 30 bytes


class Route(NamedTuple):
    """queue: of the partition; key: length and bytes of the key, as in a record; key_size: bytes of both, and what a
    record has besides; unkeyed: the topic whose sticky partition this is, None where the key decides."""

    queue: PartitionQueue
    key: bytes
    key_size: int
    unkeyed: TopicQueues | None


class TopicRoutes(dict[bytes | None, Route]):
    """By key. lock: the accumulator's. `routes[key]` raises KeyError for what goes no such way: no bytes, or a
    partition that nothing was sent to yet. Thread-safe."""

    __slots__ = ("_lock", "_topic")

    def __init__(self, topic: TopicQueues, lock: AbstractContextManager[Any]) -> None:
        self._topic = topic
        self._lock = lock

    def to_partition(self, partition: int, key: bytes | None) -> Route:
        """The route of a record whose partition is given. Raises KeyError as above."""
        if type(partition) is not int or (key is not None and type(key) is not bytes):
            raise KeyError(key)
        if partition >= len(self._topic.choices.partitions):  # the topic was made again, with fewer
            raise KeyError(partition)
        part = sized_bytes(key)
        return new_tuple(Route, (self._topic.partitions[partition], part, len(part) + 1, None))

    def __missing__(self, key: bytes | None) -> Route:
        topic = self._topic
        choices = topic.choices
        if type(key) is bytes:
            queue = topic.partitions[(murmur2(key) & 0x7FFFFFFF) % len(choices.partitions)]
            part = sized_bytes(key)
            route = new_tuple(Route, (queue, part, len(part) + 1, None))
            if len(self) >= ROUTES_MAX:
                return route
        elif key is None and topic.sticky.current is not None:
            queue = topic.partitions[topic.sticky.current]
            route = Route(queue, sized_bytes(None), 2, topic)
        else:
            raise KeyError(key)
        with self._lock:
            if topic.choices is choices and (key is not None or topic.sticky.current == queue.partition.partition):
                self[key] = route  # or it may be of a cluster, or a choice, that is no more
        return route
