"""Chooses what leaves now, numbers it, and sends it: one request for each node that can take one.

Layer: producer. A core, part of the sender.
Source: org.apache.kafka.clients.producer.internals.RecordAccumulator.drain, Sender.sendProducerData (DRAIN-1 to
DRAIN-7, SENDER-7 to SENDER-9). Here a partition that may not send does not hold up those behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kproto.client import NetworkClient
from kproto.client.connection_state import Readiness
from kproto.client.errors import BrokerError
from kproto.client.in_flight import Completion
from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.batch import ProducerBatch
from kproto.producer.batch_state import BatchState
from kproto.producer.config import ProducerConfig
from kproto.producer.events import BatchHeld, BatchObserver, BatchSent, HeldReason, ProducerIdChanged, SendReason
from kproto.producer.lanes import Lanes
from kproto.producer.metrics import ProducerMetrics
from kproto.producer.partition_state import NO_LEADER, Lane, PartitionState
from kproto.producer.produce_call import ZSTD_SINCE, ProduceCall, produce_versions
from kproto.producer.producer_id import NO_IDENTITY, ProducerIdState
from kproto.wire import ErrorCode, KafkaError, ProduceRequest, ProduceResponse
from kproto.wire.records import Compression

__all__ = ["Dispatch"]

HELD_BY: Final = {
    Readiness.NOT_CONNECTED: HeldReason.NOT_CONNECTED,
    Readiness.THROTTLED: HeldReason.THROTTLED,
    Readiness.WRITING: HeldReason.WRITING,
    Readiness.IN_FLIGHT_LIMIT: HeldReason.IN_FLIGHT_LIMIT,
}


class Dispatch:
    """See the module. compress: has a closed batch sealed, now or later, unless that is being done; whether it is.
    settle: takes how a call ended; sent: hears of one that is on its way.

    Not thread-safe: the sender's.
    """

    def __init__(
        self,
        config: ProducerConfig,
        accumulator: RecordAccumulator,
        network: NetworkClient,
        lanes: Lanes,
        producer_id: ProducerIdState,
        metrics: ProducerMetrics,
        *,
        compress: Callable[[ProducerBatch], bool],
        settle: Callable[[ProduceCall, Completion, int], None],
        sent: Callable[[], None],
        observer: BatchObserver | None,
    ) -> None:
        self._call_sent = sent
        self._config = config
        self._accumulator = accumulator
        self._network = network
        self._lanes = lanes
        self._producer_id = producer_id
        self._metrics = metrics
        self._compress = compress
        self._settle = settle
        self._observer = observer
        self._idempotent = bool(config.enable_idempotence)
        self._in_order = config.max_in_flight_requests_per_connection == 1

    def run(self, now_ms: int) -> None:
        """At most one request to each node; the driver comes again once it is written."""
        for lane in [*self._lanes.lanes.values()]:
            if not lane.due:
                lane.blocked_since_ms = None  # or it would be shunned for ever: nothing is sent there to find out
                continue
            if lane.node_id == NO_LEADER:
                self._without_leader(lane, now_ms)
                continue
            # Metadata goes first where anybody can be asked; a leader that is there does not wait until somebody can.
            readiness = self._network.readiness(lane.node_id, now_ms, metadata_first=False)
            if readiness is not Readiness.READY:
                if lane.blocked_since_ms is None:
                    lane.blocked_since_ms = now_ms
                self._hold_all(lane, HELD_BY[readiness], now_ms)
                continue
            lane.blocked_since_ms = None
            if self._any_may_go(lane, now_ms):
                batches = self._choose(lane, now_ms)
                if batches:
                    self._send(lane, batches, now_ms)

    def _without_leader(self, lane: Lane, now_ms: int) -> None:
        """Keep asking; and keep the topics of interest, or metadata forgets them while their records wait."""
        for topic in {state.partition.topic: None for state in lane.listed}:
            self._network.metadata.add_topic(topic, now_ms)
        self._network.metadata.request_update()
        self._hold_all(lane, HeldReason.NO_LEADER, now_ms)

    def _any_may_go(self, lane: Lane, now_ms: int) -> bool:
        """Whether one that is due may go: only then do others that are not due go along with it."""
        for state in [*lane.due]:
            head = state.queue.head
            if head is None or self._lanes.reason(state, head, now_ms) is None:
                self._lanes.look(state, now_ms)
                continue
            held = self._gate(state, head, lane)
            if held is None:
                return True
            self._hold(state, head, held, now_ms)
        return False

    def _gate(self, state: PartitionState, head: ProducerBatch, lane: Lane) -> HeldReason | None:
        sequences = state.sequences
        if not self._idempotent:  # with one in flight nothing overtakes; with more nothing is promised
            return HeldReason.IN_FLIGHT_LIMIT if self._in_order and sequences.in_flight else None
        if sequences.restartable:
            self._restart(state)
        return sequences.gate(head, lane.node_id, self._producer_id.identity)

    def _restart(self, state: PartitionState) -> None:
        """Under the current epoch if the partition has not seen it yet, else the next: other partitions go on as they
        are until they have nothing under way (IDEM-13, IDEM-16)."""
        producer_id = self._producer_id
        if producer_id.identity == state.sequences.identity and producer_id.bump() and self._observer is not None:
            why = f"{state.partition} begins to count anew"
            self._observer(ProducerIdChanged(self._lanes.now_ms, *producer_id.identity, why))
        if producer_id.identity != NO_IDENTITY:
            state.sequences.restart(producer_id.identity)

    def _choose(self, lane: Lane, now_ms: int) -> list[ProducerBatch]:
        """One batch of each partition that may send, in turn, up to max_request_size; one that is larger goes alone."""
        taken: list[ProducerBatch] = []
        size = 0
        for state in [*lane.listed]:
            head = state.queue.head
            if head is None:
                self._lanes.look(state, now_ms)
                continue
            reason = self._lanes.reason(state, head, now_ms)
            if reason is None and head.attempts:
                continue  # backing off
            held = self._gate(state, head, lane)
            if held is None:
                held = self._prepare(state, head, reason or SendReason.PIGGYBACK)
                if held is None and taken and size + head.size > self._config.max_request_size:
                    held = HeldReason.REQUEST_FULL
                if held is not None:
                    self._lanes.look(state, now_ms)  # it is closed now, and so due
                    reason = head.send_reason
            if held is not None:
                if reason is not None:
                    self._hold(state, head, held, now_ms)
                if held is HeldReason.REQUEST_FULL:
                    break
                continue
            batch = self._accumulator.take(state.queue)
            batch.send_reason = reason or batch.send_reason or SendReason.PIGGYBACK
            state.sequences.stamp(batch, self._producer_id.identity)
            size += batch.size
            taken.append(batch)
            lane.to_the_end(state)
        return taken

    def _prepare(self, state: PartitionState, head: ProducerBatch, reason: SendReason) -> HeldReason | None:
        """Close and seal the head, where nobody has yet."""
        if head.sealed:
            return None
        if head.state is BatchState.OPEN:
            head.send_reason = reason
            self._accumulator.close_head(state.queue)
        return None if self._compress(head) or head.sealed else HeldReason.COMPRESSING

    def _send(self, lane: Lane, batches: list[ProducerBatch], now_ms: int) -> None:
        network, config = self._network, self._config
        cluster = self._lanes.cluster
        for batch in batches:
            state = self._lanes.state(batch.partition)
            batch.send(lane.node_id, state.leader_epoch)
            state.held = None
        call = ProduceCall(lane.node_id, batches, now_ms)
        try:
            topics = {batch.partition.topic for batch in batches}
            call.version = network.negotiate(lane.node_id, ProduceRequest, produce_versions(topics, cluster))
            self._check_codec(call)
            acks = config.required_acks
            network.send(
                lane.node_id,
                call.request(acks, config.request_timeout_ms, cluster),
                call.version,
                call,
                now_ms,
                response=ProduceResponse if acks else None,
            )
        except KafkaError as error:
            self._settle(call, Completion(call, None, error, -1), now_ms)
            return
        self._call_sent()
        for topic in topics:
            network.metadata.add_topic(topic, now_ms)
        for batch in batches:
            self._sent(lane, batch, now_ms)
        size = sum(batch.size for batch in batches)
        self._metrics.request_sent(lane.node_id, sum(batch.count for batch in batches), size, now_ms)

    def _check_codec(self, call: ProduceCall) -> None:
        zstd = Compression.of(self._config.compression_type) is Compression.ZSTD
        if zstd and call.version < ZSTD_SINCE:
            about = f"node {call.node_id} speaks Produce up to version {call.version}, and zstd needs {ZSTD_SINCE}"
            raise BrokerError(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, about, "use another compression_type")

    def _sent(self, lane: Lane, batch: ProducerBatch, now_ms: int) -> None:
        assert batch.send_reason is not None
        self._metrics.batch_sent(
            batch.partition.topic,
            batch.count,
            batch.size,
            batch.plain_size,
            now_ms - batch.created_ms,
            batch.largest_record,
            now_ms,
        )
        if self._observer is not None:
            self._observer(
                BatchSent(
                    now_ms,
                    batch.partition,
                    batch.number,
                    batch.send_reason,
                    lane.node_id,
                    batch.count,
                    batch.size,
                    batch.attempts + 1,
                    batch.identity.producer_id,
                    batch.identity.epoch,
                    batch.sequence,
                )
            )
        self._lanes.look(self._lanes.state(batch.partition), now_ms)

    def _hold_all(self, lane: Lane, reason: HeldReason, now_ms: int) -> None:
        if self._observer is None:
            return
        for state in [*lane.due]:
            head = state.queue.head
            if head is not None:
                self._hold(state, head, reason, now_ms)

    def _hold(self, state: PartitionState, head: ProducerBatch, reason: HeldReason, now_ms: int) -> None:
        """Tell why, once until it changes."""
        if self._observer is None or state.held == (head.number, reason):
            return
        state.held = (head.number, reason)
        until_ms = head.retry_at_ms if reason is HeldReason.BACKOFF else None
        self._observer(BatchHeld(now_ms, state.partition, head.number, reason, until_ms))
