"""The judge's cluster: brokers, topics, logs and time; how a test changes them, and looks into them.

Layer: tools. No I/O and no clock: time comes in with the bytes, randomness from the generator passed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from itertools import count
from random import Random
from typing import Final
from uuid import UUID

from kproto.tools.judge.broker import JudgeBroker, SeenRequest
from kproto.tools.judge.connection import JudgeConnection
from kproto.tools.judge.faults import Fault, FaultRules
from kproto.tools.judge.image import NO_LEADER, ClusterImage, Node, PartitionImage, TopicConfig, TopicImage
from kproto.tools.judge.invariants import JudgeViolation, Resends, log_violations, repeated_records
from kproto.tools.judge.partition_log import PartitionLog, StoredBatch, StoredRecord, Verdict
from kproto.tools.judge.producer_state import FirstSequence
from kproto.wire import ErrorCode

__all__ = ["JudgeCluster", "RefusedBatch"]

EPOCH_MS: Final = 1_700_000_000_000  # the wall clock at 0 ms
FIRST_PRODUCER_ID: Final = 1000
RECORD_COST: Final = 300  # bytes that a record takes in memory, beside those of its batch
RefusedBatch = tuple[int, int, str | None, int, int, str]
"""(at_ms, node id, topic, partition, error code, why)"""


class JudgeCluster:
    """A whole cluster; each broker takes connections: `network.serve(host, port, cluster.brokers[0].connect)`.

    nodes: ids with their addresses, or how many: 0 at 10.0.0.1:9092, and so on. topics: name -> partitions.
    rng: for latencies that are drawn. replication_factor: at most all nodes. auto_create_partitions: of topics that
    Metadata asks for; None: they are not made. first_sequence: see FirstSequence. late_duplicate: the error for a batch
    older than the last five: 45 as Kafka, 46 as before 1.1. epoch_ms: the wall clock at 0 ms, for LogAppendTime.
    producer_expiration_ms: after which producers are forgotten (producer.id.expiration.ms); None: never.
    requests_kept: how many of `requests` and `refusals` are kept.

    To be set at any time: bodies_kept, whether requests are kept with what they carry; log_bytes_max, what all logs may
    hold, in bytes and RECORD_COST for each record, deleted ones included: a batch beyond it is refused
    (POLICY_VIOLATION), None for no limit.

    To be set once there is a network: schedule, its `at(delay_ms, call)`, so that delayed answers go out (without,
    `advance` has to be called at `next_event_ms`); clock, its time (without, the cluster's is that of the last bytes).

    image: the cluster as it is; brokers may know older ones. requests: what came, on all connections, in order.
    refusals: batches that were answered with an error, and why. violations: what no client may do; `check` raises them.
    Not thread-safe.
    """

    schedule: Callable[[int, Callable[[], None]], None] | None = None
    clock: Callable[[], int] | None = None
    bodies_kept = True
    log_bytes_max: int | None = None
    log_bytes = 0
    _seen_ms = 0

    def __init__(
        self,
        nodes: int | Mapping[int, Node] = 3,
        topics: Mapping[str, int] | None = None,
        *,
        rng: Random | None = None,
        cluster_id: str = "judge",
        replication_factor: int = 3,
        auto_create_partitions: int | None = None,
        first_sequence: FirstSequence = FirstSequence.ANY,
        late_duplicate: int = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        epoch_ms: int = EPOCH_MS,
        producer_expiration_ms: int | None = None,
        requests_kept: int = 10_000,
    ) -> None:
        if isinstance(nodes, int):
            nodes = {node_id: Node(f"10.0.0.{node_id + 1}") for node_id in range(nodes)}
        self.rng = Random(0) if rng is None else rng
        self.cluster_id = cluster_id
        self.replication_factor = replication_factor
        self.auto_create_partitions = auto_create_partitions
        self.first_sequence = first_sequence
        self.late_duplicate = late_duplicate
        self.epoch_ms = epoch_ms
        self.producer_expiration_ms = producer_expiration_ms
        self.image = ClusterImage(dict(nodes), {})
        self.brokers = {node_id: JudgeBroker(self, node_id) for node_id in nodes}
        self.faults = FaultRules()
        self.resends = Resends(self.violated)
        self.requests: deque[SeenRequest] = deque(maxlen=requests_kept)
        self.refusals: deque[RefusedBatch] = deque(maxlen=requests_kept)
        self.violations: list[str] = []
        self.waiting_fetches: list[JudgeConnection] = []
        self._logs: dict[tuple[UUID, int], PartitionLog] = {}
        self._names: dict[UUID, str] = {}
        self._connection_ids = count(1)
        self._producer_ids = count(FIRST_PRODUCER_ID)
        for name, partitions in (topics or {}).items():
            self.create_topic(name, partitions)

    # Time

    @property
    def now_ms(self) -> int:
        """The cluster's clock; it never goes back."""
        if self.clock is not None:
            self.see(self.clock())
        return self._seen_ms

    @property
    def wall_ms(self) -> int:
        """The same since the epoch."""
        return self.epoch_ms + self.now_ms

    def see(self, now_ms: int) -> None:
        """It is so late."""
        self._seen_ms = max(self._seen_ms, now_ms)

    def next_event_ms(self) -> int | None:
        """When `advance` has to be called; None where only bytes move anything."""
        wakes = [one.next_event_ms() for broker in self.brokers.values() for one in broker.connections]
        return min((wake for wake in wakes if wake is not None), default=None)

    def advance(self, now_ms: int) -> None:
        """It is so late: what has waited long enough is served, or answered."""
        self.see(now_ms)
        for broker in self.brokers.values():
            for connection in list(broker.connections):
                connection.advance(now_ms)

    # What goes wrong

    def fail(self, api: int, fault: Fault, *, node: int | None = None, times: int | None = 1) -> None:
        """What becomes of the next `times` requests of an API that the fault meets; None: of all. node: at one alone.

        Faults of one scope (topic and partition) take turns, those of several happen together.
        """
        self.faults.add(api, fault, node, times)

    def violated(self, why: str) -> None:
        """A client did what none may do."""
        self.violations.append(f"at {self.now_ms} ms: {why}")

    def refused(self, node_id: int, topic: str | None, partition: int, verdict: Verdict) -> None:
        """A batch was answered with an error."""
        self.refusals.append((self.now_ms, node_id, topic, partition, verdict.error_code, verdict.why))

    # Changes: each makes a new image, of which brokers hear after their delay

    def create_topic(
        self, name: str, partitions: int = 1, config: TopicConfig | None = None, *, replicas: int | None = None
    ) -> TopicImage:
        """A topic with a new id, also in place of one of that name; nodes take turns as leaders."""
        topic_id = UUID(int=0xA0 << 120 | len(self._names) + 1)
        self._names[topic_id] = name
        placed = self._placed(range(partitions), replicas)
        topic = TopicImage(name, topic_id, placed, config or TopicConfig())
        self._publish(self.image.with_topic(topic))
        return topic

    def auto_create(self, names: Iterable[str]) -> None:
        """Make topics that were asked for, if the cluster does that."""
        for name in names:
            if self.auto_create_partitions is not None and name not in self.image.topics:
                self.create_topic(name, self.auto_create_partitions)

    def delete_topic(self, name: str) -> None:
        """The topic is gone; `check` still sees what was written. Raises KeyError where there is none."""
        self._publish(self.image.without_topic(name))

    def recreate_topic(self, name: str) -> TopicImage:
        """Delete it and make it again, empty and with another id. Raises KeyError where there is none."""
        old = self.image.topics[name]
        self.delete_topic(name)
        return self.create_topic(name, len(old.partitions), old.config)

    def add_partitions(self, name: str, total: int) -> None:
        """Up to so many; the new ones are empty."""
        topic = self.image.topics[name]
        added = self._placed(range(len(topic.partitions), total), len(topic.partitions[0].replicas))
        self._publish(self.image.with_topic(replace(topic, partitions=topic.partitions + added)))

    def configure(self, name: str, **settings: object) -> None:
        """Change settings of a topic: the fields of TopicConfig."""
        topic = self.image.topics[name]
        config = replace(topic.config, **settings)  # type: ignore[arg-type]
        self._publish(self.image.with_topic(replace(topic, config=config)))

    def move_leader(self, name: str, partition: int, to: int) -> None:
        """Another leader, or NO_LEADER, in the next leader epoch. Its log is that of the old one."""
        topic = self.image.topics[name]
        epoch = topic.partitions[partition].leader_epoch + 1
        self._publish(self.image.with_topic(topic.with_partition(partition, leader=to, leader_epoch=epoch)))

    def no_leader(self, name: str, partition: int) -> None:
        """An election that has not ended yet."""
        self.move_leader(name, partition, NO_LEADER)

    def set_isr(self, name: str, partition: int, *isr: int) -> None:
        """The replicas in sync: fewer than min_insync_replicas, and acks=all fails with 19."""
        topic = self.image.topics[name]
        self._publish(self.image.with_topic(topic.with_partition(partition, isr=isr)))

    def set_nodes(self, nodes: Mapping[int, Node]) -> None:
        """The nodes that Metadata shows: one may be hidden, or move. One of a new id gets a broker."""
        for node_id in nodes:
            self.brokers.setdefault(node_id, JudgeBroker(self, node_id))
        self._publish(replace(self.image, nodes=dict(nodes)))

    def delete_records(self, name: str, partition: int, before: int, *, forget_producers: bool = False) -> None:
        """The log starts at this offset now, as after retention. forget_producers: as brokers before 2.5 did then."""
        self._log(name, partition).delete_before(before)
        if forget_producers:
            self.forget_producers(name, partition)

    def forget_producers(self, name: str, partition: int, producer_id: int | None = None) -> None:
        """The partition knows nothing of one producer any more, or of all."""
        self._log(name, partition).producers.forget(producer_id)

    def _placed(self, indexes: Iterable[int], replicas: int | None = None) -> tuple[PartitionImage, ...]:
        ids = sorted(self.image.nodes)
        copies = range(min(replicas or self.replication_factor, len(ids)))
        held = [tuple(ids[(index + turn) % len(ids)] for turn in copies) for index in indexes]
        return tuple(PartitionImage(one[0], 0, one, one) for one in held)

    def _publish(self, image: ClusterImage) -> None:
        self.image = image
        for broker in self.brokers.values():
            broker.learn(image)

    # For brokers

    def log_of(self, topic_id: UUID, partition: int) -> PartitionLog:
        """The log of a partition, made when it is first asked for."""
        key = (topic_id, partition)
        if key not in self._logs:
            self._logs[key] = PartitionLog(self.first_sequence, self.late_duplicate, self.producer_expiration_ms)
        return self._logs[key]

    def no_room_for(self, size: int, records: int) -> bool:
        """Whether the logs would grow beyond their limit."""
        grown = self.log_bytes + size + records * RECORD_COST
        return self.log_bytes_max is not None and grown > self.log_bytes_max

    def appended(self, size: int, records: int) -> None:
        """A log has grown: who waits for records looks again."""
        self.log_bytes += size + records * RECORD_COST
        waiting, self.waiting_fetches = self.waiting_fetches, []
        for connection in waiting:
            connection.wake()

    def next_connection_id(self) -> int:
        """From 1 on."""
        return next(self._connection_ids)

    def next_producer_id(self) -> int:
        """One that nobody has."""
        return next(self._producer_ids)

    # What came of it

    def log(self, topic: str, partition: int) -> list[StoredRecord]:
        """The records, from the log's start on. Raises KeyError or IndexError for what is not there."""
        return self._log(topic, partition).records()

    def batches(self, topic: str, partition: int) -> list[StoredBatch]:
        """The same as they came."""
        return self._log(topic, partition).batches

    def check(self, *, from_zero: bool = True, identity: Callable[[StoredRecord], Hashable] | None = None) -> None:
        """Raises JudgeViolation for what clients did wrong and for what must not be in a log.

        Offsets and sequences are contiguous (from 0 on, unless from_zero is false), epochs never go back, and a batch
        is the same bytes each time that it is sent. identity: what makes a record unique in its partition.
        """
        found = list(self.violations)
        for (topic_id, index), log in self._logs.items():
            name = f"{self._names[topic_id]}-{index}"
            found += log_violations(name, log.history, from_zero=from_zero)
            if identity is not None:
                found += repeated_records(name, log.history, identity)
        if found:
            raise JudgeViolation(tuple(found))

    def _log(self, name: str, partition: int) -> PartitionLog:
        topic = self.image.topics[name]
        topic.partitions[partition]
        return self.log_of(topic.topic_id, partition)
