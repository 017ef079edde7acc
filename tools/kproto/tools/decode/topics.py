"""Which topics and partitions a message is about, and the names of topic ids, learned from what goes by.

Layer: tools. Finds them by the declaration of any message, also of one that was defined at run time.
Source: KIP-516 (topic ids).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from kproto.wire import NO_UUID, Message, MetadataResponse, Struct
from kproto.wire.field import element_struct
from kproto.wire.wire_type import Array

__all__ = ["TopicNames", "topic_partitions"]

NAMES_MAX: Final = 100_000
NAME_FIELDS: Final = ("name", "topic", "topic_name")
ID_FIELD: Final = "topic_id"
INDEX_FIELDS: Final = ("index", "partition_index", "partition", "partition_id")
LIST_FIELDS: Final = ("topics", "topic_data", "responses")
PARTITION_FIELDS: Final = ("partitions", "partition_indexes", "partition_data", "partition_responses")


class TopicNames:
    """Topic id -> name, the NAMES_MAX latest that were learned."""

    def __init__(self) -> None:
        self._names: dict[UUID, str] = {}

    def __bool__(self) -> bool:
        """Whether any are known."""
        return bool(self._names)

    def learn(self, message: Message) -> None:
        """From an answer to Metadata; from others nothing."""
        if not isinstance(message, MetadataResponse):
            return
        for topic in message.topics:
            if topic.topic_id != NO_UUID and topic.name:
                if len(self._names) >= NAMES_MAX and topic.topic_id not in self._names:
                    del self._names[next(iter(self._names))]
                self._names[topic.topic_id] = topic.name

    def of(self, message: Message) -> dict[UUID, str]:
        """The names of the ids in a message, as far as they are known."""
        if not self._names or not _has_id(type(message)):
            return {}
        names = ((topic, self._names.get(topic)) for topic, _ in topic_partitions(message) if isinstance(topic, UUID))
        return {topic: name for topic, name in names if name is not None}


def topic_partitions(message: Struct) -> Iterator[tuple[str | UUID, int | None]]:
    """Each topic of a message, by name, or by id where it has none, with each partition; None where it names none."""
    return _found(message, _plan(type(message)))


class _Plan(NamedTuple):
    """What a struct says of a topic, and the fields that lead on: name, whether an array, the plan of its struct."""

    name: str | None
    has_id: bool
    number: str | None
    numbers: str | None
    ways: tuple[tuple[str, bool, Any], ...]

    @property
    def is_topic(self) -> bool:
        return self.name is not None or self.has_id


@lru_cache(maxsize=512)
def _plan(cls: type[Struct], *, below: str = "") -> _Plan:
    """below: the name of the field that holds the struct; a `name` is a topic's only in a list of topics."""
    fields = {field.name: field for field in cls.fields}
    ways = []
    for field in cls.fields:
        struct: type[Struct] | None = element_struct(field.type)
        if struct is not None:
            plan = _plan(struct, below=field.name)
            if plan.is_topic or plan.number or plan.ways:
                ways.append((field.name, isinstance(field.type, Array), plan))
    has_id = ID_FIELD in fields
    partitioned = any(name in fields for name in PARTITION_FIELDS)
    is_topic = has_id or below == "topics" or (below in LIST_FIELDS and partitioned)
    name = next((name for name in NAME_FIELDS if is_topic and name in fields), None)
    index = next((name for name in INDEX_FIELDS if below in PARTITION_FIELDS and name in fields), None)
    numbers = next(
        (name for name in PARTITION_FIELDS if name in fields and _is_numbers(fields[name].type)),
        None,
    )
    return _Plan(name, has_id, index, numbers, tuple(ways))


def _is_numbers(wire_type: Any) -> bool:
    return isinstance(wire_type, Array) and wire_type.element.name == "int32"


@lru_cache(maxsize=512)
def _has_id(cls: type[Struct]) -> bool:
    def within(plan: _Plan) -> bool:
        return plan.has_id or any(within(way) for _, _, way in plan.ways)

    return within(_plan(cls))


def _found(value: Any, plan: _Plan, topic: str | UUID | None = None) -> Iterator[tuple[str | UUID, int | None]]:
    own = _topic(value, plan)
    topic = topic if own is None else own
    told = False
    if topic is not None and plan.number is not None:
        told = True
        yield topic, getattr(value, plan.number)
    if topic is not None and plan.numbers is not None:
        for number in getattr(value, plan.numbers) or ():
            told = True
            yield topic, number
    for name, is_array, way in plan.ways:
        inner = getattr(value, name)
        for element in (inner if is_array else (inner,)) if inner is not None else ():
            for each in _found(element, way, topic):
                told = True
                yield each
    if own is not None and not told:
        yield own, None


def _topic(value: Any, plan: _Plan) -> str | UUID | None:
    name: str | None = getattr(value, plan.name) if plan.name is not None else None
    if name:
        return name
    known: UUID = getattr(value, ID_FIELD) if plan.has_id else NO_UUID
    return None if known == NO_UUID else known
