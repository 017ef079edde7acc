"""The producer's cores, the judge's brokers, and the network between them, on virtual time.

    world = ProducerWorld(topics={"orders": 3}, linger_ms=5)
    sent = world.send("orders", b"value", partition=0)
    assert world.delivered(sent).offset == 0
    world.check()

Brokers are at 10.0.0.(n + 1), port 9092; the producer begins with node 0. `send` waits, on virtual time, until the
topic's metadata is there. What happened is in `events` (of batches), in `network.log` and in `cluster.requests`;
`check` holds the logs, and what came back for each record, against what was sent: nothing doubled, lost or reordered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial as bind
from random import Random
from typing import Any

from client.simulation import SimulatedNetwork

from kproto.client.effects import Effect
from kproto.client.network import NetworkClient
from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.batch import ProducerBatch
from kproto.producer.config import ProducerConfig
from kproto.producer.errors import DeliveryError
from kproto.producer.events import BatchEvent, BatchHeld, BatchSent, SendReason
from kproto.producer.metrics import ProducerMetrics
from kproto.producer.partitioner import partition_choices, resolve_partitioner
from kproto.producer.queues import Appended
from kproto.producer.record import RecordMetadata, WriteStatus
from kproto.producer.sender import Sender
from kproto.tools.judge import JudgeCluster
from kproto.wire import ApiKey

EPOCH_MS = 1_700_000_000_000
POLLS_MAX = 60  # at one millisecond, beside those for records that were sent then
POLLS_A_RECORD = 8

__all__ = ["ProducerWorld", "Sent", "address"]


def address(node_id: int) -> str:
    return f"10.0.0.{node_id + 1}"


class Sent:
    """A record that was accepted: where it is, and how it ended. times: how often its callback was called."""

    def __init__(self, topic: str, value: bytes | None, place: int) -> None:
        self.topic = topic
        self.value = value
        self.place = place
        self.times = 0
        self.metadata: RecordMetadata | None = None
        self.error: DeliveryError | None = None
        self.ended_ms = -1
        self.batch: ProducerBatch
        self.index = -1

    @property
    def done(self) -> bool:
        return self.times > 0

    @property
    def partition(self) -> int:
        return self.batch.partition.partition

    def __repr__(self) -> str:
        end = self.error if self.error is not None else self.metadata if self.done else "pending"
        return f"<Sent {self.value!r} to {self.batch.partition}: {end}>"


class WatchedSender(Sender):
    """Counts its polls, and hands over what has ended after each."""

    collect: Callable[[], None]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.polls_at: Counter[int] = Counter()

    def poll(self, now_ms: int) -> list[Effect]:
        self.polls_at[now_ms] += 1
        effects = super().poll(now_ms)
        self.collect()
        if self.crash is not None:
            raise AssertionError("the sender has crashed") from self.crash
        return effects


class ProducerWorld:
    """See the module. Everything public may be changed while it runs.

    cluster: the judge's, or nodes and topics to make one; network: options of SimulatedNetwork; settings: of
    ProducerConfig. learns: whether the topics are known from the start.
    """

    def __init__(
        self,
        nodes: int = 3,
        topics: dict[str, int] | None = None,
        *,
        seed: int = 1,
        cluster: JudgeCluster | None = None,
        network: dict[str, Any] | None = None,
        learns: bool = True,
        **settings: Any,
    ) -> None:
        self.seed = seed
        self.cluster = cluster or JudgeCluster(nodes, topics or {"orders": 3}, rng=Random(seed))
        self.config = ProducerConfig.of(**{"bootstrap_servers": f"{address(0)}:9092", **settings})
        self.events: list[BatchEvent] = []
        self.accumulator = RecordAccumulator(
            self.config, lock=nullcontext(), rng=Random(seed), observer=self.events.append
        )
        self.client = NetworkClient(self.config, rng=Random(seed + 1), make_nonce=lambda: "nonce", now_ms=0)
        self.metrics = ProducerMetrics(window_ms=30_000, samples=2, now_ms=0)
        self.sender = WatchedSender(
            self.config,
            self.accumulator,
            self.client,
            self.metrics,
            rng=Random(seed + 2),
            observer=self.events.append,
        )
        self.sender.collect = self._collect
        self.network = SimulatedNetwork(self.sender, seed=seed, **(network or {}))
        self.cluster.schedule = self.network.at
        self.cluster.clock = lambda: self.network.now_ms
        for node_id in self.cluster.brokers:
            self.serve(node_id)
        self.choose = resolve_partitioner(self.config.partitioner, ignore_keys=self.config.partitioner_ignore_keys)
        self.sent: list[Sent] = []
        self.sent_at: Counter[int] = Counter()
        self.ended: list[Sent] = []
        """In the order in which their callbacks were called."""
        if learns:
            self.learn(*self.cluster.image.topics)

    # The world

    @property
    def now_ms(self) -> int:
        return self.network.now_ms

    def serve(self, node_id: int) -> None:
        """The judge's broker answers at the node's address."""
        self.network.serve(address(node_id), 9092, self.cluster.brokers[node_id].connect)

    def down(self, *node_ids: int) -> None:
        for node_id in node_ids:
            self.network.down(address(node_id), 9092)

    def up(self, *node_ids: int) -> None:
        for node_id in node_ids:
            self.network.up(address(node_id), 9092)

    def cut(self, node_id: int, reason: str | None = "Connection reset by peer") -> None:
        self.network.cut(address(node_id), 9092, reason)

    def unplug(self, node_id: int) -> None:
        self.network.unplug(address(node_id), 9092)

    def leader(self, topic: str, partition: int) -> int:
        return self.cluster.image.topics[topic].partitions[partition].leader

    def advance(self, ms: int) -> None:
        self.network.advance(ms)

    def run_until(self, condition: Callable[[], object], limit_ms: int = 300_000) -> None:
        self.network.run_until(condition, limit_ms)

    def learn(self, *topics: str, limit_ms: int = 60_000) -> None:
        """Until the client knows these topics."""
        for topic in topics:
            self.client.metadata.add_topic(topic, self.now_ms)
        self.run_until(lambda: all(self.client.cluster.partition_count(topic) for topic in topics), limit_ms)

    def settle_in(self, *partitions: tuple[str, int]) -> list[Sent]:
        """One record to each of these partitions is delivered, so that five may be in flight."""
        sent = [self.send(topic, b"first", partition=number) for topic, number in partitions]
        self.flush()
        return sent

    # Records

    def append(
        self,
        topic: str,
        value: bytes | None = b"",
        key: bytes | None = None,
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Any = (),
    ) -> Sent | None:
        """Accept a record now; None where there is no room."""
        queues = self.accumulator.topic(topic)
        queues.choices = partition_choices(self.client.cluster, topic)
        chosen = self.choose(topic, key, queues.choices) if partition is None else partition
        sent = Sent(topic, value, len(self.sent))
        at_ms = EPOCH_MS + self.now_ms if timestamp_ms is None else timestamp_ms
        appended = self.accumulator.append(
            queues, chosen, (at_ms, key, value, headers), bind(self._ended, sent), now_ms=self.now_ms
        )
        if appended is None:
            return None
        assert isinstance(appended, Appended)
        sent.batch, sent.index = appended.batch, appended.index
        if appended.closed is not None:
            self.accumulator.seal(appended.closed)
        self.sent.append(sent)
        self.sent_at[self.now_ms] += 1
        return sent

    def send(self, topic: str, value: bytes | None = b"", key: bytes | None = None, **fields: Any) -> Sent:
        """As `append`, after waiting for metadata; there must be room. A pass is made, as the faces do."""
        if not self.client.cluster.partition_count(topic):
            self.learn(topic)
        sent = self.append(topic, value, key, **fields)
        if sent is None:
            raise self.network.failure("there is no room in buffer_memory")
        self.network.advance(0)
        return sent

    def _ended(self, sent: Sent, metadata: RecordMetadata, error: Any) -> None:
        sent.times += 1
        sent.metadata, sent.error, sent.ended_ms = metadata, error, self.now_ms
        self.ended.append(sent)

    def _collect(self) -> None:
        for batch in self.sender.take_ended():
            while batch.callbacks:
                index, on_delivery = batch.callbacks[0]
                batch.called += 2
                on_delivery(batch.metadata_of(index), batch.error_of(index))
            batch.called_back = True
            if batch.root.all_done:
                self.accumulator.completed(batch.root)

    def flush(self, limit_ms: int = 300_000) -> None:
        """Until everything accepted so far has ended; nothing lingers meanwhile."""
        waiting = list(self.sent)
        self.accumulator.begin_flush()
        try:
            self.run_until(lambda: all(sent.done for sent in waiting), limit_ms)
        finally:
            self.accumulator.end_flush()

    def delivered(self, sent: Sent, limit_ms: int = 300_000) -> RecordMetadata:
        """Where a record is that must be delivered."""
        self.run_until(lambda: sent.done, limit_ms)
        if sent.error is not None:
            raise self.network.failure(f"not delivered: {sent.error}")
        assert sent.metadata is not None
        return sent.metadata

    def failed(self, sent: Sent, limit_ms: int = 300_000) -> DeliveryError:
        """The error of a record that must fail."""
        self.run_until(lambda: sent.done, limit_ms)
        if sent.error is None:
            raise self.network.failure(f"delivered: {sent.metadata}")
        return sent.error

    # What happened

    def produced(self, topic: str, partition: int) -> list[BatchSent]:
        """Each time that a batch of the partition went out."""
        return [
            event for event in self.events if isinstance(event, BatchSent) and event.partition == (topic, partition)
        ]

    def sequences(self, topic: str, partition: int) -> list[int]:
        """The base sequences that went out, in order."""
        return [event.sequence for event in self.produced(topic, partition)]

    def reasons(self, topic: str, partition: int) -> list[SendReason]:
        return [event.reason for event in self.produced(topic, partition)]

    def held(self, topic: str, partition: int) -> list[BatchHeld]:
        return [
            event for event in self.events if isinstance(event, BatchHeld) and event.partition == (topic, partition)
        ]

    def requests(self, api: ApiKey = ApiKey.PRODUCE, node_id: int | None = None) -> list[Any]:
        """What came to the brokers."""
        return [
            seen
            for seen in self.cluster.requests
            if seen.api_key == api and (node_id is None or seen.node_id == node_id)
        ]

    def values(self, topic: str, partition: int) -> list[bytes | None]:
        """The log."""
        return [record.value for record in self.cluster.log(topic, partition)]

    def check(self, *, strict: bool = True) -> None:
        """Nothing is lost, doubled or reordered; each record ended once, and what was said of it is true.

        strict: also that the judge has nothing against what the client did. Values must be unique in their partition.
        """
        if strict:
            self.cluster.check(identity=lambda record: record.value)
        for sent in self.sent:
            assert sent.times <= 1, f"{sent} ended {sent.times} times"
        by_partition: dict[tuple[str, int], list[Sent]] = {}
        for sent in self.sent:
            by_partition.setdefault((sent.topic, sent.partition), []).append(sent)
        for (topic, number), records in by_partition.items():
            self._check_partition(topic, number, records)

    def _check_partition(self, topic: str, number: int, records: list[Sent]) -> None:
        history = self.cluster.log_of(self.cluster.image.topics[topic].topic_id, number).history
        ever = [record for batch in history for record in batch.records]  # also what retention has removed
        log = {record.value: record.offset for record in ever}
        assert len(log) == len(ever), f"{topic}-{number} has a record twice"
        for sent in records:
            at = log.get(sent.value)
            if sent.done and sent.error is None:
                assert at is not None, f"{sent} is not in the log"
                assert sent.metadata is not None and sent.metadata.offset in (at, -1), f"{sent} is at {at}"
            elif sent.error is not None and sent.error.written is WriteStatus.NO:
                assert at is None, f"{sent} is in the log at {at}, and was said not to be"
        written = [log[sent.value] for sent in records if sent.value in log]
        assert written == sorted(written), f"{topic}-{number} is out of order"

    def check_at_rest(self) -> None:
        """Nothing is left: memory, batches, requests; and nobody spins."""
        assert all(sent.done for sent in self.sent)
        assert self.accumulator.memory.used == 0, f"{self.accumulator.memory.used} bytes are still charged"
        assert not self.accumulator.incomplete
        assert not [state for state in self.sender.lanes.states.values() if state.sent() or state.queue.batches]
        for at_ms, polls in self.sender.polls_at.items():
            assert polls <= POLLS_MAX + POLLS_A_RECORD * self.sent_at[at_ms], f"{polls} polls at {at_ms} ms"
