"""The fold of events into histories: the classic example by hand, legal histories of any shape, and broken ones."""

from __future__ import annotations

from collections import Counter
from random import Random
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.timeline_events import A0, A1, B0, PID, classic, invented, sent

from kproto.producer.events import (
    BatchCompleted,
    BatchHeld,
    BatchOpened,
    BatchReady,
    BatchRetried,
    BatchSent,
    BatchSplit,
    HeldReason,
    ProducerIdChanged,
    RecordAppended,
    SendReason,
)
from kproto.tools.timeline import EventLog, timeline_of
from kproto.tools.timeline_facts import facts, summary
from kproto.tools.timeline_model import Growth, Hold, Ready
from kproto.tools.timeline_svg import timeline_svg
from kproto.tools.timeline_text import timeline_text
from kproto.wire import KafkaError


def test_the_classic_example():
    timeline = timeline_of(classic())
    stays = {
        batch.name: [(stay.from_ms, stay.to_ms, stay.attempt.reason.name, stay.attempt.node_id) for stay in batch.stays]
        for batches in timeline.batches.values()
        for batch in batches
    }
    assert stays == {
        "A-0#1": [(0, 16, "FULL", 1)],
        "A-0#2": [(16, 36, "FULL", 1)],
        "A-0#3": [(30, 56, "LINGER", 1)],
        "A-1#1": [(4, 24, "LINGER", 2)],
        "B-0#1": [(12, 16, "PIGGYBACK", 1)],
        "B-0#2": [(40, 56, "PIGGYBACK", 1)],
    }
    limit = HeldReason.IN_FLIGHT_LIMIT
    assert [batch.holds for batch in timeline.batches[A0]] == [(), (Hold(30, 36, limit),), (Hold(50, 56, limit),)]
    requests = {
        node_id: [(each.at_ms, each.answered_ms, [batch.name for batch, _ in each.batches]) for each in sent]
        for node_id, sent in timeline.requests.items()
    }
    assert requests == {
        1: [(16, 36, ["A-0#1", "B-0#1"]), (36, 56, ["A-0#2"]), (56, 76, ["A-0#3", "B-0#2"])],
        2: [(24, 44, ["A-1#1"])],
    }
    assert (timeline.from_ms, timeline.to_ms, timeline.end_ms, timeline.dropped) == (0, 76, 76, 0)


def test_growth_and_readiness_are_kept():
    first = timeline_of(classic()).batches[A0][0]
    assert first.growth == (Growth(0, 1, 6070), Growth(8, 2, 12079))
    assert first.readies == (Ready(16, SendReason.FULL),)
    assert (first.ended_ms, first.error, first.offset, first.is_whole) == (36, None, 0, True)


@given(st.integers(-(2**62), 2**62))
def test_the_clock_may_begin_anywhere(origin):
    assert timeline_of(classic(origin)) == timeline_of(classic())


def test_nothing_happened():
    timeline = timeline_of([])
    assert (timeline.batches, timeline.requests, timeline.to_ms, timeline.end_ms) == ({}, {}, 1, 0)
    assert timeline_text(timeline).plain.startswith("0-1 ms, 0 partitions, 0 batches\n")
    assert timeline_svg(timeline).endswith("</svg>\n")


def test_a_batch_that_comes_back_stays_twice():
    error = KafkaError("not the leader")
    opening = [BatchOpened(0, A0, 1), RecordAppended(0, A0, 1, 1, 100)]
    first, again = sent(5, A0, 1, SendReason.LINGER, 1, 1, 0), sent(40, A0, 1, SendReason.RETRY, 2, 1, 0, attempt=2)
    held = BatchHeld(9, A0, 1, HeldReason.BACKOFF, 40)
    events = [*opening, first, BatchRetried(9, A0, 1, error, 40), held, again, BatchCompleted(50, A0, 1, None, 7)]
    (batch,) = timeline_of(events).batches[A0]
    assert [(stay.from_ms, stay.to_ms, stay.attempt.number) for stay in batch.stays] == [(0, 5, 1), (9, 40, 2)]
    assert [(each.answered_ms, each.error) for each in batch.attempts] == [(9, error), (50, None)]
    assert batch.holds == (Hold(9, 40, HeldReason.BACKOFF),)
    (still,) = timeline_of(events[:5]).batches[A0]
    assert [(stay.from_ms, stay.to_ms) for stay in still.stays] == [(0, 5), (9, None)]
    assert still.holds == (Hold(9, None, HeldReason.BACKOFF),)


def test_a_reason_to_hold_that_changes_begins_anew():
    holds = [BatchHeld(3, A0, 1, HeldReason.NO_LEADER), BatchHeld(8, A0, 1, HeldReason.NOT_CONNECTED)]
    events = [BatchOpened(0, A0, 1), BatchReady(3, A0, 1, SendReason.FULL), *holds, BatchCompleted(9, A0, 1, None, -1)]
    (batch,) = timeline_of(events).batches[A0]
    assert batch.holds == (Hold(3, 8, HeldReason.NO_LEADER), Hold(8, 9, HeldReason.NOT_CONNECTED))
    assert [stay[1:] for stay in batch.stays] == [(0, 9, None)]


def test_a_hold_that_is_over_at_once_is_none():
    events = [BatchOpened(0, A0, 1), BatchHeld(3, A0, 1, HeldReason.WRITING), sent(3, A0, 1, SendReason.FULL, 1, 1, 0)]
    assert timeline_of(events).batches[A0][0].holds == ()


def test_a_split_batch_ends_and_its_parts_wait():
    events = [BatchOpened(0, A0, 1), sent(3, A0, 1, SendReason.FULL, 1, 2, 0), BatchSplit(9, A0, 1, (2, 3))]
    events += [sent(15, A0, 2, SendReason.RETRY, 1, 1, 0)]
    batch, second, third = timeline_of(events).batches[A0]
    assert (batch.split_into, batch.ended_ms, batch.attempts[0].answered_ms) == ((2, 3), 9, 9)
    assert [stay[1:3] for stay in (*second.stays, *third.stays)] == [(9, 15), (9, None)]
    assert second.is_whole and third.is_whole
    assert [part.opened_ms for part in timeline_of(events[2:]).batches[A0]] == [0, 0], "also if the batch is not known"


def test_a_second_batch_of_a_partition_is_in_the_next_request():
    events = [sent(5, A0, 1, SendReason.FULL, 1, 1, 0), sent(5, A0, 2, SendReason.FULL, 1, 1, 1)]
    events += [sent(5, B0, 1, SendReason.PIGGYBACK, 1, 1, 0), sent(5, A1, 1, SendReason.FULL, 2, 1, 0)]
    requests = timeline_of(events).requests
    assert [[batch.name for batch, _ in each.batches] for each in requests[1]] == [["A-0#1", "B-0#1"], ["A-0#2"]]
    assert len(requests[2]) == 1


def test_what_began_before_the_first_event_is_known_in_part():
    last = [BatchCompleted(100, A0, 1, None, 0), sent(100, A0, 2, SendReason.FULL, 1, 2, 2)]
    last += [BatchRetried(101, A1, 9, KafkaError("gone"), 110), sent(110, A1, 9, SendReason.RETRY, 1, 1, 0, attempt=2)]
    timeline = timeline_of(last, dropped=70)
    assert timeline.dropped == 70
    assert [(batch.name, batch.is_whole) for batch in timeline.batches[A0]] == [("A-0#2", False)]
    (came_back,) = timeline.batches[A1]
    assert [(stay.from_ms, stay.to_ms, stay.attempt.number) for stay in came_back.stays] == [(1, 10, 2)]


def test_a_new_producer_id_is_kept():
    change = ProducerIdChanged(1005, PID, 1, "the epoch was bumped")
    assert timeline_of([BatchOpened(1000, A0, 1), change]).changes == (ProducerIdChanged(5, PID, 1, change.why),)


@pytest.mark.parametrize("seed", range(10))
def test_each_attempt_is_in_one_request(seed):
    events = invented(Random(seed))
    timeline = timeline_of(events)
    carried = Counter(
        (batch.partition, batch.number, each.number)
        for requests in timeline.requests.values()
        for request in requests
        for batch, each in request.batches
    )
    told = [(each.partition, each.batch, each.attempt) for each in events if isinstance(each, BatchSent)]
    assert carried == Counter(told) and set(carried.values()) == {1}
    for requests in timeline.requests.values():
        for request in requests:
            names = [batch.partition for batch, _ in request.batches]
            assert len(names) == len(set(names))
    assert summary(timeline).total.batches == len(told)


@given(st.integers(0, 2**32), st.integers(0, 100), st.booleans())
def test_nothing_raises_whatever_is_missing_or_out_of_order(seed, percent, shuffled):
    """Dropped at the front, or anywhere, or told out of order: it is drawn as well as it can be."""
    rng = Random(seed)
    events = invented(rng, partitions=3, until=120, records=5)
    kept = [event for event in events if rng.randrange(100) < percent]
    if shuffled:
        rng.shuffle(kept)
    timeline = timeline_of(kept, dropped=len(events) - len(kept))
    assert timeline_text(timeline).plain and timeline_svg(timeline) and str(summary(timeline))
    assert isinstance(facts(timeline), list)


def test_a_log_keeps_the_last_events_and_counts_the_others():
    log = EventLog(events_max=10)
    events = classic()
    for event in events:
        log(event)
    timeline = log.timeline()
    assert timeline == timeline_of(events[-10:], dropped=len(events) - 10)
    log(BatchOpened(80, A0, 4))
    assert timeline.dropped + 1 == log.timeline().dropped
    with pytest.raises(ValueError, match="events_max: at least 1, not 0"):
        EventLog(0)


def test_a_log_hears_many_threads():
    log = EventLog(events_max=1000)

    def tell(partition):
        for batch in range(1, 1001):
            log(BatchOpened(batch, partition, batch))

    threads = [Thread(target=tell, args=(partition,)) for partition in (A0, A1, B0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    timeline = log.timeline()
    assert timeline.dropped == 2000
    assert sum(map(len, timeline.batches.values())) == 1000
