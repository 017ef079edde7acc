"""When the head of a queue may leave, to whom, and when to look again: exactly then, and not before."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer.queueing import accumulator_of, append, config_of, failure, queue_of

from kproto.client import Cluster, Node, TopicPartition
from kproto.client.cluster import Partition, Topic
from kproto.producer.events import BatchReady, SendReason
from kproto.producer.lanes import Lanes
from kproto.producer.partition_state import NO_LEADER
from kproto.producer.partitioner import PartitionChoices
from kproto.producer.producer_id import ProducerIdAndEpoch

LINGER_MS = 20
TIMEOUT_MS = 60_000
PRODUCER = ProducerIdAndEpoch(4000, 0)
SMALL = {"linger_ms": LINGER_MS, "request_timeout_ms": 1_000, "delivery_timeout_ms": TIMEOUT_MS}


def cluster_of(leaders, *, epochs=None, topic_id=1, nodes=2):
    """leaders: partition -> node id."""
    partitions = {
        number: Partition(number, leader, (epochs or {}).get(number, 5)) for number, leader in leaders.items()
    }
    return Cluster(
        nodes={node_id: Node(node_id, "10.0.0.1", 9092 + node_id) for node_id in range(nodes)},
        topics={"orders": Topic("orders", UUID(int=topic_id), partitions=partitions)},
    )


class Bench:
    """An accumulator, and lanes over it."""

    def __init__(self, leaders=None, *, observed=True, **settings):
        settings = {**SMALL, **settings}
        self.accumulator = accumulator_of(**settings)
        self.events = []
        self.lanes = Lanes(config_of(**settings), self.accumulator, self.events.append if observed else None)
        self.cluster = cluster_of(leaders or {0: 0, 1: 0, 2: 1})
        self.looks = 0
        look = self.lanes.look

        def counted(state, now_ms):
            self.looks += 1
            look(state, now_ms)

        self.lanes.look = counted

    def append(self, now_ms=0, partition=0, **options):
        return append(self.accumulator, partition=partition, now_ms=now_ms, **options).batch

    def update(self, now_ms, cluster=None):
        self.cluster = cluster or self.cluster
        due = self.lanes.update(self.cluster, now_ms)
        for state in due:
            self.lanes.look(state, now_ms)
        return due

    def state(self, partition=0):
        return self.lanes.state(TopicPartition("orders", partition))

    def due(self, node_id=0):
        lane = self.lanes.lanes.get(node_id)
        return [] if lane is None else [state.partition.partition for state in lane.due]

    def listed(self, node_id=0):
        lane = self.lanes.lanes.get(node_id)
        return [] if lane is None else [state.partition.partition for state in lane.listed]

    def reason(self, now_ms, partition=0):
        state = self.state(partition)
        return self.lanes.reason(state, state.queue.head, now_ms)

    def send(self, now_ms, partition=0, node_id=0):
        """The head goes out."""
        state = self.state(partition)
        self.accumulator.close_head(state.queue)
        self.accumulator.seal(state.queue.head)
        batch = self.accumulator.take(state.queue)
        state.sequences.stamp(batch, PRODUCER)
        batch.send(node_id, state.leader_epoch)
        self.lanes.look(state, now_ms)
        return batch

    def retry(self, batch, now_ms, backoff_ms):
        state = self.state(batch.partition.partition)
        state.sequences.answered(batch)
        batch.retry(now_ms + backoff_ms)
        self.accumulator.put_back(state.queue, batch)
        self.lanes.look(state, now_ms)


# When it may leave


def test_d01_trap_19_a_batch_lingers_from_its_opening_whatever_is_appended():
    bench = Bench()
    bench.append(100)
    bench.update(100)
    assert bench.due() == [] and bench.listed() == [0] and bench.lanes.next_wake_ms == 120
    bench.append(115)
    bench.update(119)
    assert bench.due() == [] and bench.lanes.next_wake_ms == 120
    bench.update(120)
    assert bench.due() == [0] and bench.reason(120) is SendReason.LINGER
    assert bench.events == [BatchReady(120, bench.state().partition, 1, SendReason.LINGER)]


def test_d01_without_linger_it_may_leave_at_once():
    bench = Bench(linger_ms=0)
    bench.append(5)
    bench.update(5)
    assert bench.due() == [0]


def test_d01_a_full_batch_waits_for_nothing():
    bench = Bench(batch_size=0)
    bench.append()
    bench.update(0)
    assert bench.due() == [0] and bench.reason(0) is SendReason.FULL


def test_d07_a_flush_ends_the_linger_of_all_and_of_what_comes_meanwhile():
    bench = Bench()
    bench.append(0, 0)
    bench.append(0, 1)
    bench.update(1)
    bench.accumulator.begin_flush()
    bench.update(2)
    assert bench.due() == [0, 1] and bench.reason(2) is SendReason.FLUSH
    bench.append(3, 2)
    bench.update(3)
    assert bench.due(1) == [2]
    bench.accumulator.end_flush()
    bench.update(4)
    assert bench.reason(4) is None, "who looks again before it leaves finds that it may linger"


def test_d01_closing_and_want_of_memory_end_the_linger():
    bench = Bench(buffer_memory=20_000)
    bench.append(0)
    bench.update(0)
    waiter = append(bench.accumulator, partition=1, wake=lambda: None)
    bench.update(1)
    assert bench.due() == [0] and bench.reason(1) is SendReason.MEMORY
    bench.accumulator.memory.leave(waiter)
    assert bench.reason(1) is None
    bench.update(2)
    bench.accumulator.close()
    bench.update(3)
    assert bench.reason(3) is SendReason.CLOSE


def test_haste_that_comes_again_is_seen_again():
    bench = Bench()
    for now_ms in (1, 5):
        batch = bench.append(now_ms)
        bench.update(now_ms)
        assert bench.due() == []
        bench.accumulator.begin_flush()
        bench.update(now_ms + 1)
        assert bench.due() == [0]
        bench.accumulator.end_flush()
        bench.update(now_ms + 2)
        bench.send(now_ms + 2)
        batch.in_flight = False
        bench.state().sequences.in_flight.clear()


def test_haste_that_ends_and_comes_again_within_a_pass_is_seen_all_the_same():
    """A look between the two finds no haste, as when an answer is settled; it would linger on, however long that is."""
    bench = Bench()
    bench.append(0)
    bench.accumulator.begin_flush()
    bench.update(1)
    bench.accumulator.end_flush()
    bench.lanes.look(bench.state(), 1)
    bench.accumulator.begin_flush()
    assert bench.due() == []
    bench.update(2)
    assert bench.due() == [0]


def test_a_batch_that_was_closed_to_go_along_says_so():
    bench = Bench()
    batch = bench.append()
    batch.send_reason = SendReason.PIGGYBACK
    batch.close()
    assert bench.reason(0) is SendReason.PIGGYBACK


def test_a_part_of_a_split_batch_may_leave_at_once():
    bench = Bench()
    batch = bench.append()
    batch._root = bench.append(partition=1)
    assert bench.reason(0) is SendReason.RETRY


# Backoff


def test_ready_8_trap_21_backoff_beats_flush_close_and_memory():
    bench = Bench()
    bench.append()
    bench.update(0)
    batch = bench.send(0)
    bench.retry(batch, 10, 100)
    bench.accumulator.begin_flush()
    bench.accumulator.close()
    bench.update(109)
    assert bench.due() == [] and bench.lanes.next_wake_ms == 110
    bench.update(110)
    assert bench.due() == [0] and bench.reason(110) is SendReason.RETRY


@pytest.mark.parametrize("change", ["leader", "epoch"])
def test_leader_1_b05_another_leader_ends_the_backoff_once(change):
    """trap 22: and a later attempt at the same leader backs off again."""
    bench = Bench()
    bench.append()
    bench.update(0)
    batch = bench.send(0)
    bench.retry(batch, 10, 1_000)
    bench.update(11)
    assert bench.due() == []
    moved = cluster_of({0: 1}) if change == "leader" else cluster_of({0: 0}, epochs={0: 6})
    node_id = 1 if change == "leader" else 0
    bench.update(12, moved)
    assert bench.due(node_id) == [0]
    batch = bench.send(12, node_id=node_id)
    bench.retry(batch, 20, 1_000)
    bench.update(21)
    assert bench.due(node_id) == [] and bench.lanes.next_wake_ms == 1_020


def test_leader_1_no_leader_is_no_other_leader():
    bench = Bench()
    bench.append()
    bench.update(0)
    bench.retry(bench.send(0), 10, 1_000)
    bench.update(11, cluster_of({0: -1}))
    assert bench.due(NO_LEADER) == [] and bench.listed(NO_LEADER) == [0]
    bench.update(12, cluster_of({0: 0}))
    assert bench.due() == [] and bench.listed() == [0]


# To whom


def test_ready_4_a_partition_without_a_leader_waits_apart():
    bench = Bench({0: -1, 1: 9, 2: 0}, batch_size=0)
    for partition in range(3):
        bench.append(0, partition)
    bench.append(0, 3)
    bench.update(0)
    assert bench.due(NO_LEADER) == [0, 1, 3] and bench.due(0) == [2]
    assert bench.state(3).leader_epoch == -1 and bench.state(2).leader_epoch == 5


def test_c09_all_that_is_queued_follows_the_leaders():
    bench = Bench(batch_size=0)
    for partition in range(3):
        bench.append(0, partition)
    bench.update(0)
    assert (bench.due(0), bench.due(1)) == ([0, 1], [2])
    bench.update(1, cluster_of({0: 1, 1: -1, 2: 0}))
    assert (bench.due(0), bench.due(1), bench.due(NO_LEADER)) == ([2], [0], [1])


def test_a_partition_with_nothing_queued_is_in_no_lane_and_finds_its_leader_anew():
    bench = Bench(batch_size=0)
    bench.append()
    bench.update(0)
    bench.send(0)
    assert bench.listed(0) == [] and bench.state().lane is None
    bench.update(1, cluster_of({0: 1}))
    bench.append(2)
    bench.update(2)
    assert bench.due(1) == [0]


def test_c07_a_topic_that_was_made_again_takes_one_batch_alone_first():
    bench = Bench(batch_size=0)
    bench.append()
    bench.update(0)
    sequences = bench.state().sequences
    sequences.acknowledged = True
    bench.update(1, cluster_of({0: 0}))
    assert sequences.acknowledged, "the same id"
    bench.update(2, cluster_of({0: 0}, topic_id=0))
    assert sequences.acknowledged, "no id: a broker that knows none"
    bench.update(3, cluster_of({0: 0}, topic_id=2))
    assert not sequences.acknowledged


# When to look again


def test_d05_trap_29_the_next_look_is_at_the_first_of_linger_backoff_and_expiry():
    bench = Bench(linger_ms=500)
    assert bench.lanes.next_wake_ms is None
    bench.append(0, 0)
    bench.update(0)
    assert bench.lanes.next_wake_ms == 500
    bench.append(3, 2)
    bench.update(3)
    assert bench.lanes.next_wake_ms == 500
    bench.update(500)
    assert bench.due(0) == [0] and bench.lanes.next_wake_ms == 503
    batch = bench.send(500)
    bench.update(503)
    bench.send(503, partition=2, node_id=1)
    assert bench.lanes.next_wake_ms == TIMEOUT_MS
    bench.retry(batch, 600, 50)
    assert bench.lanes.next_wake_ms == 650


def test_d05_of_what_is_due_there_is_nothing_to_be_told_but_its_expiry():
    bench = Bench(batch_size=0)
    bench.append(7)
    bench.update(7)
    assert bench.lanes.next_wake_ms == 7 + TIMEOUT_MS


def test_timers_stay_few_however_many_batches_come_and_go():
    """One for the delivery timeout of each batch would be 24,000 for each partition, at a linger of 5 ms."""
    bench = Bench(observed=False)
    for now_ms in range(0, 50_000, 2 * LINGER_MS):
        bench.append(now_ms)
        bench.update(now_ms)
        bench.update(now_ms + LINGER_MS)
        assert bench.due() == [0]
        batch = bench.send(now_ms + LINGER_MS)
        bench.state().sequences.answered(batch)
        bench.state().sequences.acked(batch)
        batch.succeed(0, -1)
        bench.lanes.look(bench.state(), now_ms + LINGER_MS)
        assert len(bench.lanes._timers) <= 2
    assert bench.looks <= 4 * 50_000 / (2 * LINGER_MS)


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from(["append", "send", "ack", "retry", "expire", "flush"])),
        max_size=40,
    )
)
def test_d05_nothing_is_ever_due_without_a_look_or_a_timer(history):
    """Whatever happened: what will be due by time alone has a timer that ends then or before, and none is overdue."""
    bench = Bench(linger_ms=30, delivery_timeout_ms=1_100, observed=False)
    now_ms, flying = 0, []
    for pause_ms, step in history:
        now_ms += pause_ms
        for state in bench.update(now_ms):
            for batch in bench.lanes.expired(state, now_ms):
                expire(bench, state, batch)
            bench.lanes.look(state, now_ms)
        head = bench.state().queue.head if bench.lanes.states else None
        if step == "append":
            bench.append(now_ms)
        elif step == "send" and head is not None and len(flying) < 4:
            flying.append(bench.send(now_ms))
        elif step in ("ack", "retry") and flying:
            batch = flying.pop(0)
            if step == "retry" and not batch.done:
                bench.retry(batch, now_ms, 50)
            else:
                bench.state().sequences.answered(batch)
                bench.state().sequences.acked(batch)
                if not batch.done:
                    batch.succeed(0, -1)
                else:  # settlement looks at those alone
                    bench.lanes.look(bench.state(), now_ms)
        elif step == "flush":
            bench.accumulator.flushes ^= 1
        bench.update(now_ms)
        if not bench.lanes.states:
            continue
        state = bench.state()
        wake_ms = bench.lanes.next_wake_ms
        assert wake_ms is None or wake_ms > now_ms
        for wanted in (bench.lanes._sooner_ms(state, now_ms), bench.lanes._end_ms(state, now_ms)):
            assert wanted is None or (wake_ms is not None and wake_ms <= wanted)
        assert len(state.wakes_ms) == len(bench.lanes._timers) <= 3
        if state.queue.head is not None and bench.reason(now_ms) is not None:
            assert bench.due() == [0]


def expire(bench, state, batch):
    bench.accumulator.remove(state.queue, batch)
    state.sequences.given_up(batch)
    batch.fail(failure())


# What it costs


def test_d13_a_pass_looks_at_what_has_news_and_at_nothing_else():
    bench = Bench({number: number % 2 for number in range(5_000)}, linger_ms=10_000, buffer_memory=2**30)
    bench.accumulator.topic("orders").choices = PartitionChoices(tuple(range(5_000)), tuple(range(5_000)))
    for number in range(5_000):
        bench.append(0, number)
    bench.update(0)
    assert bench.looks == 5_000
    for now_ms in range(1, 100):
        bench.update(now_ms)
    assert bench.looks == 5_000
    bench.append(100, 17)
    bench.update(100)
    assert bench.looks == 5_000, "a record in an open batch is no news"
    bench.state(17).queue.tail.close()
    bench.append(101, 17)
    bench.update(101)
    assert bench.looks == 5_001 and bench.due(1) == [17]


def test_trap_37_haste_looks_at_all_once_and_not_in_each_pass():
    bench = Bench(dict.fromkeys(range(1000), 0), buffer_memory=2**30)
    for number in range(1_000):
        bench.append(0, number)
    bench.update(0)
    bench.accumulator.begin_flush()
    bench.update(1)
    assert bench.looks == 2_000 and len(bench.due()) == 1_000
    for now_ms in range(2, 10):
        bench.update(now_ms)
    assert bench.looks == 2_000


def test_a_deep_queue_costs_no_more_than_a_short_one():
    """Its expiry looks at the head, not at what was opened later."""
    bench = Bench(batch_size=0)
    for now_ms in range(3_000):
        bench.append(now_ms)
    bench.update(3_000)
    reads = []

    class Counting(list):
        def __iter__(self):
            for item in list.__iter__(self):
                reads.append(item)
                yield item

    queue = bench.state().queue
    whole, queue.batches = queue.batches, Counting(queue.batches)
    assert bench.lanes.expired(bench.state(), 2 + TIMEOUT_MS) == [*whole][:3]
    assert len(reads) == 4


# Expiry


def test_exp_1_news_that_are_older_than_the_timeout_are_expired_before_anything_is_sent():
    bench = Bench(batch_size=0)
    bench.append(0, 0)
    bench.append(1, 1)
    bench.append(2, 2)
    assert [state.partition.partition for state in bench.update(1 + TIMEOUT_MS)] == [0, 1]


def test_exp_1_what_is_queued_in_flight_or_to_be_sent_again_expires_in_order_each_once():
    bench = Bench(batch_size=0)
    for now_ms in (0, 1, 2, 3):
        bench.append(now_ms)
    bench.update(3)
    first, second = bench.send(3), bench.send(3)
    bench.retry(first, 4, 10)
    state = bench.state()
    queued = [*state.queue.batches]
    assert bench.lanes.expired(state, TIMEOUT_MS - 1) == []
    assert bench.lanes.expired(state, TIMEOUT_MS + 2) == [first, second, queued[1]]
    assert bench.lanes.unfinished(state) == [first, second, *queued[1:]]


def test_unfinished_are_also_those_that_were_opened_after_the_pass_began():
    bench = Bench(batch_size=0)
    late = bench.append(50)
    bench.update(10)
    assert bench.lanes.unfinished(bench.state()) == [late]


def test_fail_only_unwritten_spares_what_may_be_written_and_sets_no_timer_for_it():
    bench = Bench(batch_size=0, fail_only_unwritten=True)
    for now_ms in (0, 1):
        bench.append(now_ms)
    bench.update(1)
    batch = bench.send(1)
    state = bench.state()
    assert bench.lanes.expired(state, TIMEOUT_MS) == [] and bench.lanes.next_wake_ms == TIMEOUT_MS
    bench.update(TIMEOUT_MS)
    assert bench.lanes.next_wake_ms == TIMEOUT_MS + 1, "that is when the one behind it expires"
    batch.open_outcome, batch.in_flight = True, False
    assert bench.lanes.expired(state, TIMEOUT_MS) == []
    batch.open_outcome = False
    assert bench.lanes.expired(state, TIMEOUT_MS) == [batch]


def test_trap_28_a_delivery_timeout_without_bound_is_no_bound_to_arithmetic():
    bench = Bench(delivery_timeout_ms=2**31 - 1, batch_size=0)
    bench.append(2**62)
    bench.update(2**62)
    assert bench.lanes.next_wake_ms == 2**62 + 2**31 - 1
    assert bench.lanes.expired(bench.state(), 2**62 + 2**31 - 2) == []


def test_trap_27_a_retry_does_not_restart_the_delivery_timeout():
    bench = Bench(batch_size=0)
    bench.append(5)
    bench.update(5)
    for now_ms in (10, 1_000, 59_000):
        batch = bench.send(now_ms)
        bench.retry(batch, now_ms + 1, 20)
        bench.update(now_ms + 21)
    assert bench.lanes.expired(bench.state(), 5 + TIMEOUT_MS) == [batch]
    assert bench.lanes.next_wake_ms == 5 + TIMEOUT_MS


def test_where_all_that_is_queued_is_to_be_sent_again_the_first_of_those_sent_expires():
    bench = Bench(batch_size=0)
    bench.append(0)
    bench.append(1)
    bench.update(1)
    for batch in (bench.send(1), bench.send(1)):
        bench.retry(batch, 2, 10)
    assert [batch.number for batch in bench.lanes._first_in_queue(bench.state())] == [1, 2]
    assert [batch.number for batch in queue_of(bench.accumulator).batches] == [1, 2]
    assert bench.lanes._end_ms(bench.state(), 12) == TIMEOUT_MS
