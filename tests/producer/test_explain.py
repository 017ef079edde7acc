"""The classic example of linger and batch size, made by the accumulator and the sender, not by hand.

Two topics, three partitions, two brokers; batch_size 15 kB, linger_ms 20, one request in flight a broker, answers after
20 ms. What each batch waits for, and why it leaves, is told by events alone.
"""

from __future__ import annotations

from dataclasses import replace

from producer.simulated_producer import ProducerWorld
from tools.timeline_events import A0, A1, B0, EPOCH, PID, classic

from kproto.producer.events import BatchEvent, BatchHeld, BatchSent, HeldReason, ProducerIdChanged, SendReason
from kproto.tools.timeline import timeline_of
from kproto.tools.timeline_text import timeline_text

ANSWER_MS = 20
RECORDS = [  # at which ms, to which partition: of 6 kB each
    (0, A0),
    (4, A1),
    (8, A0),
    (12, B0),
    (16, A0),
    (20, A0),
    (30, A0),
    (40, B0),
]
LEADERS = {A0: 1, A1: 2, B0: 1}
END_MS = 100


def classic_world() -> tuple[ProducerWorld, int]:
    """The world when all is known and connected, and when that is."""
    world = ProducerWorld(
        topics={"A": 2, "B": 1},
        learns=False,
        network={"latency_ms": 0},
        batch_size=15_000,
        linger_ms=20,
        max_in_flight_requests_per_connection=1,
    )
    for (topic, number), node_id in LEADERS.items():
        world.cluster.move_leader(topic, number, node_id)
    world.learn("A", "B")
    for node_id in (1, 2):
        world.run_until(lambda node_id=node_id: world.client.ready(node_id, world.now_ms))
        world.cluster.brokers[node_id].latency_ms = ANSWER_MS
    return world, world.now_ms


def run_classic() -> tuple[ProducerWorld, list[BatchEvent]]:
    """The world afterwards, and its events under the clock and the producer id of the hand-written ones."""
    world, origin = classic_world()
    world.events.clear()
    for at_ms, (topic, number) in RECORDS:
        world.advance(origin + at_ms - world.now_ms)
        world.send(topic, b"%02d" % at_ms * 3000, partition=number)
    world.advance(origin + END_MS - world.now_ms)
    renamed = []
    for event in world.events:
        assert not isinstance(event, ProducerIdChanged)
        event = replace(event, at_ms=event.at_ms - origin)
        renamed.append(replace(event, producer_id=PID) if isinstance(event, BatchSent) else event)
    return world, renamed


def test_the_example_is_what_it_is_by_hand():
    world, events = run_classic()
    sent = [
        (each.at_ms, str(each.partition), each.batch, each.reason, each.node_id, each.count)
        for each in events
        if isinstance(each, BatchSent)
    ]
    assert sent == [
        (16, "A-0", 1, SendReason.FULL, 1, 2),
        (16, "B-0", 1, SendReason.PIGGYBACK, 1, 1),
        (24, "A-1", 1, SendReason.LINGER, 2, 1),
        (36, "A-0", 2, SendReason.FULL, 1, 2),
        (56, "A-0", 3, SendReason.LINGER, 1, 1),
        (56, "B-0", 2, SendReason.PIGGYBACK, 1, 1),
    ]
    held = [
        (each.at_ms, str(each.partition), each.batch, each.reason) for each in events if isinstance(each, BatchHeld)
    ]
    assert held == [(30, "A-0", 2, HeldReason.IN_FLIGHT_LIMIT), (50, "A-0", 3, HeldReason.IN_FLIGHT_LIMIT)]
    assert [each.producer_epoch for each in events if isinstance(each, BatchSent)] == [EPOCH] * 6
    world.check()
    world.check_at_rest()


def test_its_picture_is_that_of_the_events_written_by_hand():
    _, events = run_classic()
    assert timeline_text(timeline_of(events)).plain == timeline_text(timeline_of(classic())).plain


def test_its_events_are_those_written_by_hand():
    _, events = run_classic()
    key = repr  # within one millisecond, partitions are free to take turns otherwise
    assert sorted(events, key=key) == sorted(classic(), key=key)
    assert timeline_of(events) == timeline_of(classic())
