"""What the sticky partitioners hear of the queues: how long they are, and which brokers to leave out."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from producer.queueing import append, config_of, queue_of
from producer.simulated_producer import ProducerWorld
from producer.test_lanes import SMALL, Bench, cluster_of

from kproto.producer.load import INTERVAL_MS, LoadReport
from kproto.producer.partitioner import PartitionChoices
from kproto.producer.record import NO_PARTITION
from kproto.producer.sticky import PartitionLoad

THREE = {0: 0, 1: 0, 2: 1}


class Reports(Bench):
    """Lanes over an accumulator, and reports on them; the topic has had records without a key."""

    def __init__(self, leaders=None, **settings):
        super().__init__(leaders or THREE, batch_size=0, linger_ms=0, delivery_timeout_ms=60_000)
        self.load = LoadReport(config_of(**{**SMALL, **settings}), self.accumulator, self.lanes)
        self.topic = self.accumulator.topic("orders")
        self.topic.sticky.current = 0
        for number in range(3):
            self.topic.queue(number)
        self.told = Counter()
        for name in ("orders", "other"):
            self.watch(self.accumulator.topic(name).sticky, name)

    def watch(self, sticky, name):
        report = self
        make = type(sticky)

        class Watched(make):
            __slots__ = ()

            def update_load(self, *arguments):
                report.told[name] += 1
                make.update_load(self, *arguments)

        sticky.__class__ = Watched

    def fill(self, lengths, now_ms=0):
        for number, length in lengths.items():
            for _ in range(length):
                append(self.accumulator, partition=number, now_ms=now_ms)
        self.update(now_ms)

    def weights(self):
        """Partition -> weight; None for equal chances."""
        load = self.topic.sticky._load
        if load is None:
            return None
        sums = (0, *load.sums)
        return {number: after - before for number, before, after in zip(load.partitions, sums, sums[1:], strict=False)}


def test_part_13_short_queues_are_preferred():
    reports = Reports()
    reports.fill({0: 3, 1: 0, 2: 1})
    reports.load.update(0)
    assert reports.weights() == {0: 1, 1: 4, 2: 3}


def test_part_13_equal_queues_are_equal_chances():
    reports = Reports()
    reports.fill({0: 2, 1: 2, 2: 2})
    reports.load.update(0)
    assert reports.told["orders"] and reports.weights() is None


def test_part_13_before_every_partition_had_a_batch_chances_are_equal():
    reports = Reports()
    del reports.topic.partitions[2]
    reports.fill({0: 3})
    reports.load.update(0)
    assert reports.weights() is None


def test_a_report_is_made_now_and_then_not_in_each_pass():
    reports = Reports()
    reports.fill({0: 3})
    reports.load.update(5)
    reports.fill({1: 9})
    reports.load.update(5 + INTERVAL_MS - 1)
    assert reports.weights() == {0: 1, 1: 4, 2: 4}
    reports.load.update(5 + INTERVAL_MS)
    assert reports.weights() == {0: 7, 1: 1, 2: 10}


def test_part_14_it_can_be_switched_off():
    reports = Reports(partitioner_adaptive_partitioning_enable=False)
    reports.fill({0: 3})
    reports.load.update(0)
    assert not reports.told


@pytest.mark.parametrize("reason", ["no record without a key", "one partition"])
def test_a_topic_without_a_choice_hears_nothing(reason):
    reports = Reports()
    if reason == "one partition":
        reports.topic.choices = PartitionChoices((0,), (0,))
    else:
        reports.topic.sticky.current = None
    reports.fill({0: 3})
    reports.load.update(0)
    assert not reports.told


def test_a_partition_without_a_leader_is_left_out():
    reports = Reports({0: 0, 1: -1, 2: 1})
    reports.topic.choices = PartitionChoices((0, 1, 2), (0, 2))
    reports.fill({0: 1})
    reports.load.update(0)
    assert reports.weights() == {0: 1, 2: 2}
    reports.update(1, cluster_of({0: -1, 1: -1, 2: 1}))  # and the choices are behind
    reports.load.update(20)
    assert reports.weights() == {2: 1}


def test_a_topic_that_was_made_again_with_other_partitions_does_not_break_the_pass():
    """More queues than partitions, and yet not one for each: the old numbers stay, as queues are never removed."""
    reports = Reports()
    for number in (3, 4):
        reports.topic.queue(number)
    del reports.topic.partitions[0]
    reports.fill({1: 3})
    reports.load.update(0)
    assert reports.told["orders"] and reports.weights() is None


def test_part_13_d08_a_broker_that_is_not_ready_for_too_long_is_left_out_with_all_its_partitions():
    """testNodeLatencyStats. Also those with nothing queued: Java would go on to fill those."""
    reports = Reports(partitioner_availability_timeout_ms=100)
    reports.fill({0: 1})
    lane = reports.lanes.lanes[0]
    lane.blocked_since_ms = 50
    reports.load.update(150)
    assert reports.weights() == {0: 1, 1: 2, 2: 2}, "not yet"
    reports.load.update(161)
    assert reports.weights() == {2: 1}
    lane.blocked_since_ms = None
    reports.load.update(171)
    assert reports.weights() == {0: 1, 1: 2, 2: 2}


def test_without_an_availability_timeout_no_broker_is_left_out():
    reports = Reports()
    reports.fill({0: 1})
    reports.lanes.lanes[0].blocked_since_ms = 0
    reports.load.update(2**40)
    assert reports.weights() == {0: 1, 1: 2, 2: 2}


def test_d13_idle_topics_cost_nothing():
    """Of 5,000 topics, those are reported on that have something queued, or had at the last report."""
    reports = Reports()
    reports.fill({0: 3})
    idle = [reports.accumulator.topic(f"idle-{number}") for number in range(5_000)]
    for topic in idle:
        topic.choices = PartitionChoices((0, 1), (0, 1))
        topic.sticky.current = 0
        reports.watch(topic.sticky, "idle")
    reports.load.update(0)
    assert reports.told == {"orders": 1, "idle": 5_000}, "once, as the cluster was unknown before"
    for turn in range(1, 6):
        reports.load.update(turn * INTERVAL_MS)
    assert reports.told == {"orders": 6, "idle": 5_000}
    queue_of(reports.accumulator).batches.clear()
    reports.lanes.look(reports.state(), 100)
    reports.load.update(100)
    assert reports.told["orders"] == 7 and reports.weights() is None, "the last report is of the empty queues"
    for turn in range(11, 20):
        reports.load.update(turn * INTERVAL_MS)
    assert reports.told == {"orders": 7, "idle": 5_000}
    reports.update(200, cluster_of(THREE))
    reports.load.update(200)
    assert reports.told == {"orders": 8, "idle": 10_000}


def world_with_load(**settings):
    world = ProducerWorld(nodes=2, topics={"orders": 2}, linger_ms=0, batch_size=0, **settings)
    world.settle_in(("orders", 0), ("orders", 1))
    world.load = LoadReport(world.config, world.accumulator, world.sender.lanes)
    return world


def spread(world, records):
    """Where so many records without a key go."""
    seen = Counter()
    for number in range(records):
        sent = world.append("orders", b"spread %d %d" % (world.now_ms, number), partition=NO_PARTITION)
        seen[sent.partition] += 1
        world.advance(1)
        world.load.update(world.now_ms)
    return seen


def test_d08_a_broker_that_was_left_out_is_tried_again_once_nothing_waits_for_it():
    """Else it would be left out for ever: without records there is nothing to find out by that it is back."""
    world = world_with_load(
        partitioner_availability_timeout_ms=200, request_timeout_ms=500, delivery_timeout_ms=2_000, retry_backoff_ms=10
    )
    slow, other = world.leader("orders", 0), world.leader("orders", 1)
    assert slow != other
    world.down(slow)
    spread(world, 300)
    world.advance(300)
    world.load.update(world.now_ms)
    assert spread(world, 100) == {1: 100}
    world.run_until(lambda: all(sent.done for sent in world.sent))
    world.up(slow)
    world.advance(20)
    world.load.update(world.now_ms)
    assert set(spread(world, 200)) == {0, 1}
    world.flush()
    world.check()


def test_part_13_frequencies_follow_the_inverted_queues():
    """testAdaptiveBuiltInPartitioner."""
    reports = Reports()
    reports.fill({0: 0, 1: 3, 2: 1})
    reports.load.update(0)
    sticky = reports.topic.sticky
    assert sticky._load == PartitionLoad((0, 1, 2), (4, 5, 8))
    sticky._rng = Random(7)
    drawn = Counter()
    for _ in range(8_000):
        sticky._choose((0, 1, 2))
        drawn[sticky.current] += 1
    for number, weight in {0: 4, 1: 1, 2: 3}.items():
        assert drawn[number] == pytest.approx(weight * 1_000, rel=0.1)
