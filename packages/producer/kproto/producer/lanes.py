"""Which partitions have something to send to which node, and when to look at each again.

Layer: producer. A core, part of the sender. A pass costs as much as there is to do in it: partitions are looked at when
there is news of them or their time has come, not all of them each time.
Source: org.apache.kafka.clients.producer.internals.RecordAccumulator.ready (READY-1 to READY-11, LEADER-1).
"""

from __future__ import annotations

import heapq
from itertools import count

from kproto.client import Cluster, TopicPartition
from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.batch import ProducerBatch
from kproto.producer.batch_state import BatchState
from kproto.producer.config import ProducerConfig
from kproto.producer.events import BatchObserver, BatchReady, SendReason
from kproto.producer.partition_state import NO_LEADER, Lane, PartitionState

__all__ = ["Lanes"]


class Lanes:
    """See the module. Not thread-safe: the sender's."""

    def __init__(self, config: ProducerConfig, accumulator: RecordAccumulator, observer: BatchObserver | None) -> None:
        self.states: dict[TopicPartition, PartitionState] = {}
        self.lanes: dict[int, Lane] = {}
        self.cluster = Cluster()
        self._accumulator = accumulator
        self._observer = observer
        self._linger_ms = config.linger_ms
        self._delivery_timeout_ms = config.delivery_timeout_ms
        self._fail_only_unwritten = config.fail_only_unwritten
        self._timers: list[tuple[int, int, PartitionState, bool]] = []
        self._order = count()
        self._hurried = False
        self.now_ms = 0
        """Of the pass that is under way."""

    def state(self, partition: TopicPartition) -> PartitionState:
        """What is known of a partition, made on first use."""
        found = self.states.get(partition)
        if found is None:
            queue = self._accumulator.topics[partition.topic].queue(partition.partition)
            found = self.states[partition] = PartitionState(queue)
        return found

    @property
    def next_wake_ms(self) -> int | None:
        """When some partition is to be looked at; None for never."""
        return self._timers[0][0] if self._timers else None

    def update(self, cluster: Cluster, now_ms: int) -> list[PartitionState]:
        """Take in what is new: queues, leaders, haste. The partitions whose time has come, for expiry."""
        self.now_ms = now_ms
        self._accumulator.charge_all_sealed()
        if cluster is not self.cluster:
            self.cluster = cluster
            for lane in [*self.lanes.values()]:
                for state in [*lane.listed]:
                    lane.leave(state)
                    self.look(state, now_ms)
        overdue, changed = self._pop_timers(now_ms)
        news = self._accumulator.news
        while news:
            changed[self.state(news.popleft().partition)] = None
        for state in changed:
            self.look(state, now_ms)
            head = state.queue.head
            if head is not None and now_ms - head.created_ms >= self._delivery_timeout_ms:
                overdue[state] = None  # no pass was made for so long
        if not self._accumulator.hurrying:
            self._hurried = False
        elif not self._hurried:
            self._hurried = True
            for lane in [*self.lanes.values()]:
                for state in [*lane.listed]:
                    self.look(state, now_ms)
        return [*overdue]

    def _pop_timers(self, now_ms: int) -> tuple[dict[PartitionState, None], dict[PartitionState, None]]:
        """Those where the time of a batch may be over, and those where one may leave now."""
        timers = self._timers
        overdue: dict[PartitionState, None] = {}
        changed: dict[PartitionState, None] = {}
        while timers and timers[0][0] <= now_ms:
            _, _, state, ends = heapq.heappop(timers)
            state.wakes_ms.pop()
            (overdue if ends else changed)[state] = None
        return overdue, changed

    def look(self, state: PartitionState, now_ms: int) -> None:
        """See where the partition belongs now, whether its head may leave, and when to look again."""
        head = state.queue.head
        if head is None:
            if state.lane is not None:
                state.lane.leave(state)
        else:
            lane = state.lane or self._route(state)
            lane.listed.setdefault(state)
            reason = self.reason(state, head, now_ms)
            if reason is None:
                lane.due.pop(state, None)
                if head.state is BatchState.OPEN:
                    self._hurried = False  # one that lingers: haste, should there be any now, has to look at it again
            elif state not in lane.due:
                lane.due[state] = None
                if self._observer is not None:
                    self._observer(BatchReady(now_ms, state.partition, head.number, reason))
        self._schedule(state, now_ms)

    def _route(self, state: PartitionState) -> Lane:
        known = self.cluster.partition(state.partition)
        leader = self.cluster.leader_for(state.partition)
        node_id = NO_LEADER if leader is None else leader.node_id
        if known is not None:
            state.leader_epoch = known.leader_epoch
        topic_id = self.cluster.topic_id(state.partition.topic)
        if topic_id is not None and topic_id != state.topic_id:
            if state.topic_id is not None:
                state.sequences.forget_acknowledgement()
            state.topic_id = topic_id
        lane = self.lanes.get(node_id)
        if lane is None:
            lane = self.lanes[node_id] = Lane(node_id)
        state.lane = lane
        return lane

    def reason(self, state: PartitionState, head: ProducerBatch, now_ms: int) -> SendReason | None:
        """Why the head may leave by itself; None where it may not, but perhaps along with others."""
        if head.attempts:
            return None if self.backing_off(state, head, now_ms) else SendReason.RETRY
        if head.root is not head:
            return SendReason.RETRY  # of a batch that was split
        if head.grown or head.state is not BatchState.OPEN:
            return head.send_reason or SendReason.FULL
        accumulator = self._accumulator
        if accumulator.closed:
            return SendReason.CLOSE
        if accumulator.flushes:
            return SendReason.FLUSH
        if now_ms - head.created_ms >= self._linger_ms:
            return SendReason.LINGER
        return SendReason.MEMORY if accumulator.memory.waiting else None

    def backing_off(self, state: PartitionState, head: ProducerBatch, now_ms: int) -> bool:
        """Whether it waits after a failed attempt. A new leader ends the wait: it is another broker (LEADER-1)."""
        if now_ms >= head.retry_at_ms:
            return False
        lane = state.lane
        moved = lane is not None and lane.node_id not in (NO_LEADER, head.node_id)
        return not (moved or state.leader_epoch > head.leader_epoch >= 0)

    def _schedule(self, state: PartitionState, now_ms: int) -> None:
        """A timer, unless one runs that ends before: what is to come later is found when that has ended. So each
        partition has few: the one for the delivery timeout, which comes late, and one in front of it."""
        wakes_ms = state.wakes_ms
        at_ms, ends = self._sooner_ms(state, now_ms), False
        if not wakes_ms or self._fail_only_unwritten:
            end_ms = self._end_ms(state, now_ms)
            if end_ms is not None and (at_ms is None or end_ms <= at_ms):
                at_ms, ends = end_ms, True
        if at_ms is not None and (not wakes_ms or at_ms < wakes_ms[-1]):
            wakes_ms.append(at_ms)
            heapq.heappush(self._timers, (at_ms, next(self._order), state, ends))

    def _sooner_ms(self, state: PartitionState, now_ms: int) -> int | None:
        """What may come before the timer that runs. Never the end of a batch: those that there were when it was set
        end later, and those that came since are younger."""
        head = state.queue.head
        if head is None:
            return None
        if head.attempts:
            at_ms = head.retry_at_ms
        elif head.state is BatchState.OPEN:
            at_ms = head.created_ms + self._linger_ms
        else:
            return None
        return at_ms if at_ms > now_ms else None

    def _end_ms(self, state: PartitionState, now_ms: int) -> int | None:
        """When the time of its oldest batch is over."""
        batches = (*state.sent(), *self._first_in_queue(state))
        oldest_ms = min((batch.created_ms for batch in batches if self.expires(batch)), default=None)
        return None if oldest_ms is None else max(now_ms + 1, oldest_ms + self._delivery_timeout_ms)

    def expires(self, batch: ProducerBatch) -> bool:
        """Whether delivery_timeout_ms ends it; with fail_only_unwritten not while it may be written."""
        return not (self._fail_only_unwritten and (batch.open_outcome or batch.in_flight))

    def unfinished(self, state: PartitionState) -> list[ProducerBatch]:
        """All its batches that have not ended, in order."""
        return [*dict.fromkeys((*state.sent(), *self._accumulator.queued(state.queue)))]

    def expired(self, state: PartitionState, now_ms: int) -> list[ProducerBatch]:
        """Its batches whose time is over, in order (EXP-1, EXP-2)."""
        limit_ms = now_ms - self._delivery_timeout_ms
        queued = self._accumulator.queued(state.queue, limit_ms)
        found = dict.fromkeys((*state.sent(), *queued))
        return [batch for batch in found if batch.created_ms <= limit_ms and self.expires(batch)]

    def _first_in_queue(self, state: PartitionState) -> list[ProducerBatch]:
        """Those that are to be sent again, which without numbers are nowhere else, and the first that was never sent:
        the oldest of those. Indexed, since others append meanwhile."""
        batches = state.queue.batches
        found: list[ProducerBatch] = []
        for index in range(len(batches)):
            found.append(batches[index])
            if not found[-1].attempts:
                break
        return found
