"""What an answer changes in the picture of the cluster: whom to believe, partition by partition.

Layer: client. Pure functions from values to values.
Source: KIP-320 (leader epochs), KIP-516 (topic ids), KIP-526 (partial answers), KIP-951 (leaders named in a Produce
answer); org.apache.kafka.clients.Metadata#handleMetadataResponse, #updatePartitionLeadership.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from kproto.client.cluster import NO_CLUSTER, NO_EPOCH, Cluster, Node, Partition, Topic, TopicPartition
from kproto.wire import NO_UUID, ErrorCode, MetadataResponse

__all__ = ["ClusterIdChanged", "Merged", "merge", "merge_leaders", "reachable_nodes"]

EPOCHS_RELIABLE_SINCE: Final = 9  # MetadataResponse#hasReliableLeaderEpochs: older brokers may lag behind
LEADER_KNOWN: Final = {ErrorCode.NONE, ErrorCode.REPLICA_NOT_AVAILABLE}  # version 0 says the latter of any dead replica

TopicAnswer = MetadataResponse.MetadataResponseTopic
PartitionAnswer = MetadataResponse.MetadataResponseTopic.MetadataResponsePartition


class ClusterIdChanged(NamedTuple):
    """A warning: answers came from two clusters."""

    before: str
    after: str

    def __str__(self) -> str:
        return (
            f"metadata now comes from cluster {self.after}, before from {self.before}: "
            "check that all bootstrap_servers belong to one cluster"
        )


class Merged(NamedTuple):
    """The new picture, and what follows from the answer."""

    cluster: Cluster
    seen: dict[str, Topic]
    """The newest that was ever believed of each topic of interest, also of those that `cluster` cannot show now."""
    answered: frozenset[str]
    """Topics that the answer speaks of, with or without error."""
    progressed: bool
    """Whether a partition, topic id or leader epoch is new."""
    update_wanted: bool
    """Whether something in it makes another full request necessary."""


def reachable_nodes(nodes: Iterable[Node]) -> dict[int, Node]:
    """By id, without those that nobody can connect to, or whose id is that of no broker."""
    return {node.node_id: node for node in nodes if node.reachable and node.node_id >= 0}


def merge(
    known: Cluster,
    seen: Mapping[str, Topic],
    response: MetadataResponse,
    version: int,
    *,
    partial: bool,
    retains: Callable[[str], bool],
) -> Merged:
    """The picture after an answer.

    seen: as in the `Merged` before; version: of the answer. partial: topics that the answer does not speak of are kept.
    retains: whether a topic is of interest; others are left out. An answer from another cluster ends all that was
    known, so that neither topics nor epochs of two clusters mix.
    """
    moved = is_another_cluster(known, response)
    if moved:
        known, seen = NO_CLUSTER, {}
    work = _Merge({name: topic for name, topic in seen.items() if retains(name)}, version, moved and partial)
    for answer in response.topics:
        name = known.topic_name(answer.topic_id) if answer.name is None else answer.name
        if name is not None:
            work.answered.add(name)
            if retains(name):
                work.take(name, answer)
    if partial:
        work.keep(known, retains)
    else:
        work.seen = {name: topic for name, topic in work.seen.items() if name in work.answered}
    cluster = Cluster(
        response.cluster_id or known.cluster_id,
        response.controller_id,
        reachable_nodes(Node(it.node_id, it.host, it.port, it.rack) for it in response.brokers),
        work.topics,
        work.errors,
    )
    return Merged(cluster, work.seen, frozenset(work.answered), work.progressed, work.update_wanted)


def is_another_cluster(known: Cluster, response: MetadataResponse) -> bool:
    """Whether both have an id, and not the same."""
    return known.cluster_id is not None and response.cluster_id not in (None, known.cluster_id)


@dataclass(slots=True)
class _Merge:
    """An answer on its way into the picture."""

    seen: dict[str, Topic]
    version: int
    update_wanted: bool
    topics: dict[str, Topic] = field(default_factory=dict)
    errors: dict[str, ErrorCode | int] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    progressed: bool = False

    def take(self, name: str, answer: TopicAnswer) -> None:
        """A topic of interest."""
        code = ErrorCode.of(answer.error_code)
        if code == ErrorCode.NONE:
            self._take_partitions(name, answer)
            return
        self.topics.pop(name, None)
        self.errors[name] = code
        self.update_wanted |= isinstance(code, ErrorCode) and code.invalid_metadata
        if code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION and name in self.seen and self.seen[name].topic_id == NO_UUID:
            del self.seen[name]  # without ids nothing else tells a topic from the next of its name, with lower epochs

    def keep(self, known: Cluster, retains: Callable[[str], bool]) -> None:
        """What a partial answer does not speak of stays."""
        kept = {name for name in (*known.topics, *known.topic_errors) if name not in self.answered and retains(name)}
        self.topics |= {name: topic for name, topic in known.topics.items() if name in kept}
        self.errors |= {name: code for name, code in known.topic_errors.items() if name in kept}

    def _take_partitions(self, name: str, answer: TopicAnswer) -> None:
        seen = self.seen.get(name)
        recreated = seen is not None and answer.topic_id not in (NO_UUID, seen.topic_id)
        before = {} if seen is None or recreated else dict(seen.partitions)
        now = [self._newer(it, before.get(it.partition_index)) for it in answer.partitions if it.partition_index >= 0]
        partitions = {it.partition: it for it in now}
        self.errors.pop(name, None)
        self.topics[name] = Topic(name, answer.topic_id, answer.is_internal, partitions)
        topic_id = seen.topic_id if seen is not None and answer.topic_id == NO_UUID else answer.topic_id
        self.seen[name] = Topic(name, topic_id, answer.is_internal, before | partitions)
        self.update_wanted |= not partitions  # a topic has at least one: the broker does not know them yet

    def _newer(self, answer: PartitionAnswer, seen: Partition | None) -> Partition:
        """The answer, unless a newer leader epoch was seen. An answer without epoch is believed, and ends the old."""
        partition = _partition(answer, self.version)
        code = partition.error
        self.update_wanted |= isinstance(code, ErrorCode) and code.invalid_metadata and code not in LEADER_KNOWN
        if seen is None:
            self.progressed = True
            return partition
        if NO_EPOCH < partition.leader_epoch < seen.leader_epoch:
            return seen
        unnumbered = partition.leader_epoch == NO_EPOCH and partition != seen
        self.progressed |= unnumbered or partition.leader_epoch > seen.leader_epoch
        return partition


def _partition(answer: PartitionAnswer, version: int) -> Partition:
    return Partition(
        answer.partition_index,
        answer.leader_id,
        max(answer.leader_epoch, NO_EPOCH) if version >= EPOCHS_RELIABLE_SINCE else NO_EPOCH,
        tuple(answer.replica_nodes),
        tuple(answer.isr_nodes),
        tuple(answer.offline_replicas),
        ErrorCode.of(answer.error_code),
    )


def merge_leaders(
    known: Cluster, leaders: Mapping[TopicPartition, tuple[int, int]], nodes: Iterable[Node]
) -> tuple[Cluster, dict[str, dict[int, Partition]]]:
    """The picture after leaders that a Produce answer named, and the partitions that changed, by topic.

    leaders: partition -> leader id and leader epoch; nodes: where those leaders are, beside the known ones. A leader
    is believed for a known partition, with an epoch above the known one, on a node that is known. `known` itself comes
    back where none is.
    """
    merged = {**known.nodes, **reachable_nodes(nodes)}
    changed: dict[str, dict[int, Partition]] = {}
    for partition, (leader_id, leader_epoch) in leaders.items():
        before = known.partition(partition)
        if before is not None and leader_epoch > before.leader_epoch and leader_id >= 0 and leader_id in merged:
            after = replace(before, leader_id=leader_id, leader_epoch=leader_epoch, error=ErrorCode.NONE)
            changed.setdefault(partition.topic, {})[partition.partition] = after
    if not changed:
        return known, changed
    return replace(known, nodes=merged, topics=merge_partitions(known.topics, changed)), changed


def merge_partitions(topics: Mapping[str, Topic], changed: Mapping[str, Mapping[int, Partition]]) -> dict[str, Topic]:
    """The topics with these partitions instead of their own."""
    after = dict(topics)
    for name, partitions in changed.items():
        after[name] = replace(after[name], partitions={**after[name].partitions, **partitions})
    return after
