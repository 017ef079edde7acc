"""Which partition a record goes to: by its key, in turn, as the user says, or not decided here.

Layer: producer. `sticky` decides for records without a key.
Source: org.apache.kafka.clients.producer.KafkaProducer.partition, RoundRobinPartitioner,
internals.BuiltInPartitioner.partitionForKey; KIP-1123 (racks).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from kproto.client import Cluster, ConfigError, TopicPartition
from kproto.producer.errors import PartitionerError
from kproto.producer.murmur2 import murmur2
from kproto.producer.record import NO_PARTITION
from kproto.wire.plain import did_you_mean

__all__ = [
    "CheckedPartitioner",
    "PartitionChoices",
    "PartitionChooser",
    "Partitioner",
    "RoundRobinPartitioner",
    "choose_by_key",
    "choose_sticky",
    "partition_choices",
    "partition_for_key",
    "resolve_partitioner",
]

NAMES: Final = ("default", "round_robin")
SHOWN_MAX: Final = 80  # characters of what a user gave

Partitioner = Callable[[str, bytes | None, tuple[int, ...]], int]
"""A user's own: topic, serialized key, and the numbers of all the topic's partitions, to one of them.

Called once for each record without an explicit partition, by the sending threads, several of them at once.
"""


@dataclass(frozen=True, slots=True)
class PartitionChoices:
    """The partitions of one topic, as numbers in order.

    partitions: all of them; available: those whose leader is known; local: of those, the ones whose leader stands in
    the client's rack; candidates: where a record goes that may go anywhere, the nearest of the three that there are,
    empty only where the topic is unknown.
    """

    partitions: tuple[int, ...]
    available: tuple[int, ...] = ()
    local: tuple[int, ...] = ()
    candidates: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "candidates", self.local or self.available or self.partitions)


PartitionChooser = Callable[[str, bytes | None, PartitionChoices], int]
"""What every partitioner is turned into: topic, serialized key, choices, to a partition or NO_PARTITION.

The topic is known: it has a partition. NO_PARTITION leaves the choice to the topic's `StickyPartitioner`.
"""


def partition_choices(cluster: Cluster, topic: str, client_rack: str = "") -> PartitionChoices:
    """The choices that a cluster offers. client_rack: the rack to prefer, "" for none.

    To be made once for each update of the metadata, not for each record.
    """
    partitions = tuple(known.partition for known in cluster.partitions_for(topic))
    leaders = {number: cluster.leader_for(TopicPartition(topic, number)) for number in partitions}
    available = tuple(number for number, leader in leaders.items() if leader is not None)
    local = tuple(number for number, leader in leaders.items() if client_rack and leader and leader.rack == client_rack)
    return PartitionChoices(partitions, available, local)


def partition_for_key(key: bytes, partition_count: int) -> int:
    """The partition of a key: every Kafka client gives the same.

    partition_count: of all partitions, those without a leader too, or a key would wander whenever a broker stops.
    The sign bit is masked off, as in Java; the absolute value would be another partition.
    """
    return (murmur2(key) & 0x7FFFFFFF) % partition_count


def choose_by_key(_topic: str, key: bytes | None, choices: PartitionChoices) -> int:
    """The default. An empty key is a key."""
    return NO_PARTITION if key is None else partition_for_key(key, len(choices.partitions))


def choose_sticky(_topic: str, _key: bytes | None, _choices: PartitionChoices) -> int:
    """The default with partitioner_ignore_keys."""
    return NO_PARTITION


class RoundRobinPartitioner:
    """Each record to the next partition that has a leader, whatever its key; where none has, to the next of all.

    Keeps one counter for each topic that it was asked for. Thread-safe: no two records get the same count.
    """

    __slots__ = ("_counters",)

    def __init__(self) -> None:
        self._counters: dict[str, count[int]] = {}

    def __call__(self, topic: str, key: bytes | None, choices: PartitionChoices) -> int:
        counter = self._counters.get(topic) or self._counters.setdefault(topic, count())
        pool = choices.available or choices.partitions
        return pool[next(counter) % len(pool)]


class CheckedPartitioner:
    """A user's partitioner. Raises PartitionerError where that raises, or gives what is no partition of the topic."""

    __slots__ = ("partitioner",)

    def __init__(self, partitioner: Partitioner) -> None:
        self.partitioner = partitioner

    def __call__(self, topic: str, key: bytes | None, choices: PartitionChoices) -> int:
        partitions = choices.partitions
        try:
            chosen = self.partitioner(topic, key, partitions)
        except Exception as error:
            raise PartitionerError(topic, f"raised {type(error).__name__}: {error}") from error
        if type(chosen) is not int:
            raise PartitionerError(topic, f"gave {_shown(chosen)}: an int is needed")
        # Kafka numbers from 0 without gaps, so a partition is found in its place: to search is for what is refused.
        if chosen not in partitions[chosen : chosen + 1] and chosen not in partitions:
            raise PartitionerError(topic, f"chose {_shown(chosen)}, and the topic has {_numbers(partitions)}")
        return chosen


def resolve_partitioner(partitioner: str | Partitioner, *, ignore_keys: bool = False) -> PartitionChooser:
    """What to ask for each record. partitioner: "default", "round_robin" or a callable; ignore_keys: of the default.

    Raises ConfigError.
    """
    if ignore_keys and partitioner != "default":
        raise ConfigError(
            f"partitioner_ignore_keys with partitioner={_shown(partitioner)}: only the default partitioner has a use "
            "for it, leave one of them out"
        )
    if partitioner == "default":
        return choose_sticky if ignore_keys else choose_by_key
    if partitioner == "round_robin":
        return RoundRobinPartitioner()
    if callable(partitioner):
        return CheckedPartitioner(partitioner)
    raise ConfigError(
        f"partitioner: not {_shown(partitioner)}, but a callable(topic, key, partitions) or a name: "
        f"{did_you_mean(partitioner, NAMES)}"
    )


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= SHOWN_MAX else f"{shown[:SHOWN_MAX]}..."


def _numbers(partitions: tuple[int, ...]) -> str:
    return f"{len(partitions)} partitions, from {partitions[0]} to {partitions[-1]}" if partitions else "no partitions"
