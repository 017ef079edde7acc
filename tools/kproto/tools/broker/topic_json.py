"""A topic of the judge as JSON or in a few characters: `orders:3`.

Layer: tools.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from kproto.tools.broker.fields import Fields, PlanError
from kproto.tools.judge import JudgeCluster, TopicConfig
from kproto.tools.judge.metadata import TOPIC_NAME
from kproto.tools.judge.topics import PARTITIONS_MAX

__all__ = ["Command", "TopicOrder", "parse_topics", "taken_config", "taken_partition", "taken_topic", "topic_of"]

Command = Callable[[JudgeCluster, Fields], Mapping[str, Any]]
TRUTHS: Final = ("compacted", "log_append_time")


@dataclass(frozen=True, slots=True)
class TopicOrder:
    """A topic to be made."""

    name: str
    partitions: int = 1
    config: TopicConfig = field(default_factory=TopicConfig)

    def make(self, cluster: JudgeCluster) -> None:
        """Make it, unless it is there."""
        if self.name not in cluster.image.topics:
            cluster.create_topic(self.name, self.partitions, self.config)


def topic_of(name: str, value: object, path: str) -> TopicOrder:
    """A number of partitions, or an object with `partitions` and settings of TopicConfig. Raises PlanError."""
    if TOPIC_NAME.fullmatch(name) is None:
        raise PlanError(f"{path}: {name!r} is no name for a topic: up to 249 of a-z, A-Z, 0-9, '.', '_' and '-'")
    given = Fields({"partitions": value} if isinstance(value, int) else value, path)
    partitions = given.number("partitions", 1, low=1, high=PARTITIONS_MAX)
    config = TopicConfig(**taken_config(given))
    given.done()
    return TopicOrder(name, partitions, config)


def taken_config(given: Fields) -> dict[str, Any]:
    """The settings of TopicConfig that are there, taken out. Raises PlanError."""
    found: dict[str, Any] = {}
    for one in fields(TopicConfig):
        if given.has(one.name) and one.name in TRUTHS:
            found[one.name] = given.truth(one.name)
        elif given.has(one.name):
            found[one.name] = given.number_or_null(one.name)
    return found


def taken_topic(cluster: JudgeCluster, given: Fields) -> str:
    """The field `topic`: one that is there. Raises PlanError."""
    return given.choice("topic", {name: name for name in cluster.image.topics})


def taken_partition(cluster: JudgeCluster, given: Fields) -> tuple[str, int]:
    """The fields `topic` and `partition`, 0 unless told: one that is there. Raises PlanError."""
    topic = taken_topic(cluster, given)
    last = len(cluster.image.topics[topic].partitions) - 1
    return topic, given.number("partition", 0, high=last)


def parse_topics(text: str) -> Iterable[TopicOrder]:
    """`orders:3,payments` as --topics has it; one partition where none are told. Raises PlanError."""
    for one in filter(None, text.split(",")):
        name, _, partitions = one.partition(":")
        if partitions and not partitions.isdecimal():
            raise PlanError(f"--topics: {one!r}: a number of partitions comes behind the colon")
        yield topic_of(name, int(partitions or 1), f"--topics {name}")
