"""Sentences, and the summary that says why batches are small."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.timeline_events import A0, PID, classic, invented, sent

from kproto.client import TopicPartition
from kproto.producer.events import (
    BatchCompleted,
    BatchHeld,
    BatchOpened,
    BatchRetried,
    BatchSplit,
    HeldReason,
    ProducerIdChanged,
    SendReason,
)
from kproto.tools.timeline import timeline_of
from kproto.tools.timeline_facts import (
    ADVICE,
    HELD_ADVICE,
    Departures,
    batch_facts,
    clean,
    facts,
    request_facts,
    size_text,
    summary,
    title,
)
from kproto.wire import KafkaError


def test_the_classic_example_in_sentences():
    assert facts(timeline_of(classic())) == [
        "at 16 ms A-0#1 left for node 1: FULL (2 records, 12.1 kB, waited 16 ms, answered after 20 ms)",
        "at 16 ms B-0#1 left for node 1: PIGGYBACK (1 record, 6.1 kB, waited 4 ms, answered after 20 ms)",
        "at 24 ms A-1#1 left for node 2: LINGER (1 record, 6.1 kB, waited 20 ms, answered after 20 ms)",
        "A-0#2 was held 30-36 ms: IN_FLIGHT_LIMIT",
        "at 36 ms A-0#2 left for node 1: FULL (2 records, 12.1 kB, waited 20 ms, answered after 20 ms)",
        "A-0#3 was held 50-56 ms: IN_FLIGHT_LIMIT",
        "at 56 ms A-0#3 left for node 1: LINGER (1 record, 6.1 kB, waited 26 ms, answered after 20 ms)",
        "at 56 ms B-0#2 left for node 1: PIGGYBACK (1 record, 6.1 kB, waited 16 ms, answered after 20 ms)",
    ]


def test_failures_in_sentences():
    events = [
        BatchOpened(0, A0, 1),
        sent(5, A0, 1, SendReason.LINGER, 1, 1, 0),
        BatchRetried(9, A0, 1, KafkaError("no\tleader"), 40),
        BatchHeld(9, A0, 1, HeldReason.BACKOFF),
        sent(40, A0, 1, SendReason.RETRY, 2, 1, 0, attempt=2),
        BatchCompleted(50, A0, 1, KafkaError("x" * 500), -1),
        sent(51, A0, 2, SendReason.FULL, 1, 2, 1),
        BatchSplit(60, A0, 2, (3, 4)),
        ProducerIdChanged(70, PID, 1, "batches were given up"),
        BatchHeld(80, A0, 3, HeldReason.NO_LEADER),
    ]
    assert facts(timeline_of(events)) == [
        "at 5 ms A-0#1 left for node 1: LINGER (1 record, 6.1 kB, waited 5 ms, answered after 4 ms)",
        "at 9 ms A-0#1 came back from node 1, to be sent again: no?leader",
        "A-0#1 was held 9-40 ms: BACKOFF",
        "at 40 ms A-0#1 left for node 2: RETRY, attempt 2 (1 record, 6.1 kB, waited 31 ms, answered after 10 ms)",
        f"at 50 ms A-0#1 failed: {'x' * 157}...",
        "at 51 ms A-0#2 left for node 1: FULL (2 records, 12.1 kB, answered after 9 ms)",
        "at 60 ms A-0#2 was too large, and went on as #3, #4",
        "at 70 ms producer id 4000, epoch 1: batches were given up",
        "A-0#3 is held since 80 ms: NO_LEADER",
    ]


def test_only_facts_of_the_window_are_told():
    assert [fact[:8] for fact in facts(timeline_of(classic()).window(20, 36))] == ["at 24 ms", "A-0#2 wa", "at 36 ms"]


def test_facts_of_one_batch_and_of_one_request():
    timeline = timeline_of([*classic(), sent(90, A0, 4, SendReason.FULL, 1, 2, 5)])
    assert [fact[:8] for fact in batch_facts(timeline.batches[A0][1])] == ["A-0#2 wa", "at 36 ms"]
    assert request_facts(timeline.requests[1][0]) == [
        "request to node 1 at 16 ms, answered at 36 ms: 2 batches, 18.1 kB",
        "A-0#1: FULL, 2 records",
        "B-0#1: PIGGYBACK, 1 record",
    ]
    assert request_facts(timeline.requests[1][-1])[0] == "request to node 1 at 90 ms, unanswered: 1 batch, 12.1 kB"
    failed = [sent(5, A0, 1, SendReason.LINGER, 1, 1, 0), BatchCompleted(9, A0, 1, KafkaError("gone"), -1)]
    assert request_facts(timeline_of(failed).requests[1][0])[1] == "A-0#1: LINGER, 1 record, failed: gone"


@given(st.integers(0, 2**32))
def test_facts_are_in_the_order_of_time(seed):
    timeline = timeline_of(invented(Random(seed), partitions=3, until=150, records=5))
    told = [int(fact.split("at ")[1].split(" ")[0]) for fact in facts(timeline) if fact.startswith("at ")]
    assert told == sorted(told)


def test_titles_say_how_much_there_is_of_how_much():
    timeline = timeline_of(classic(), dropped=1)
    assert title(timeline) == "0-76 ms, 3 partitions, 6 batches, 1 earlier event dropped"
    assert title(timeline.window(0, 3)) == "0-3 of 76 ms, 1 partition, 1 batch, 1 earlier event dropped"


def test_the_summary_is_one_line():
    one = summary(timeline_of(classic()))
    assert one.sent == {
        SendReason.FULL: Departures(2, 4, 24158, 36),
        SendReason.PIGGYBACK: Departures(2, 2, 12140, 20),
        SendReason.LINGER: Departures(2, 2, 12140, 46),
    }
    assert one.held_ms == {HeldReason.IN_FLIGHT_LIMIT: 12}
    assert str(one) == (
        "33 % of 6 batches left by FULL with 2.0 records, 12.1 kB on average: batch_size is what bounds them; held for "
        "12 ms in all by IN_FLIGHT_LIMIT: the brokers answer slower than batches fill"
    )


def test_the_summary_names_what_would_make_batches_larger():
    events = [sent(at, A0, at, SendReason.LINGER, 1, 3, at) for at in range(1, 88)]
    events += [sent(at, A0, at, SendReason.FULL, 1, 30, at) for at in range(88, 101)]
    assert str(summary(timeline_of(events))).startswith(
        "87 % of 100 batches left by LINGER with 3.0 records, 12.1 kB on average: raise linger_ms or send more per"
    )


def test_the_summary_as_a_table():
    assert summary(timeline_of(classic())).lines() == [
        "left by    batches  records each  size each  waited each",
        "FULL             2           2.0    12.1 kB      18.0 ms",
        "LINGER           2           1.0     6.1 kB      23.0 ms",
        "PIGGYBACK        2           1.0     6.1 kB      10.0 ms",
        "held by          in all",
        "IN_FLIGHT_LIMIT   12 ms",
    ]


def test_what_is_still_held_counts_up_to_the_end():
    events = [BatchOpened(0, A0, 1), BatchHeld(5, A0, 1, HeldReason.NO_LEADER), BatchOpened(25, A0, 2)]
    events += [BatchHeld(26, A0, 2, HeldReason.BACKOFF), BatchOpened(30, A0, 3)]
    assert str(summary(timeline_of(events))) == (
        "no batch left; held for 29 ms in all, 25 ms of them by NO_LEADER: partitions were without a leader"
    )
    assert summary(timeline_of([])).lines() == ["left by  batches  records each  size each  waited each"]
    assert str(summary(timeline_of([]))) == "no batch left"


def test_each_reason_has_its_advice():
    assert set(ADVICE) == set(SendReason)
    assert set(HELD_ADVICE) == set(HeldReason)


@pytest.mark.parametrize(
    ("size", "says"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12079, "12.1 kB"), (10**6, "1.0 MB"), (25 * 10**8, "2.5 GB")],
)
def test_sizes(size, says):
    assert size_text(size) == says


def test_names_and_errors_are_one_printable_line():
    assert clean("a\x1b[31m\n\u202e") == "a?[31m??"
    name = TopicPartition("evil\x00", 0)
    assert "\x00" not in "".join(facts(timeline_of([sent(0, name, 1, SendReason.FULL, 1, 1, 0)])))
    nameless = [sent(0, A0, 1, SendReason.FULL, 1, 1, 0), BatchCompleted(1, A0, 1, KafkaError(), -1)]
    assert facts(timeline_of(nameless))[-1] == "at 1 ms A-0#1 failed: KafkaError"
