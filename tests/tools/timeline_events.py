"""The classic example's events, written by hand, and the pictures that they must give.

Two topics, three partitions, two brokers; batch_size 15 kB, linger_ms 20, one request in flight a broker, answers after
20 ms. `python tests/tools/timeline_events.py` draws the pictures anew.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kproto.client import TopicPartition
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
from kproto.wire import KafkaError

A0, A1, B0 = TopicPartition("A", 0), TopicPartition("A", 1), TopicPartition("B", 0)
ONE, TWO = 6070, 12079  # bytes of a batch with so many records of 6000
PID, EPOCH = 4000, 0


def opened(at, partition, batch):
    return [BatchOpened(at, partition, batch), RecordAppended(at, partition, batch, 1, ONE)]


def second(at, partition, batch):
    return RecordAppended(at, partition, batch, 2, TWO)


def sent(at, partition, batch, reason, node, count, sequence, attempt=1):
    size = ONE if count == 1 else TWO
    return BatchSent(at, partition, batch, reason, node, count, size, attempt, PID, EPOCH, sequence)


def classic(origin=0):
    """Made for a clock that shows origin when the first record comes."""
    full, linger, piggyback = SendReason.FULL, SendReason.LINGER, SendReason.PIGGYBACK
    events = [
        *opened(0, A0, 1),
        *opened(4, A1, 1),
        second(8, A0, 1),
        *opened(12, B0, 1),
        BatchReady(16, A0, 1, full),
        *opened(16, A0, 2),
        sent(16, A0, 1, full, 1, 2, 0),
        sent(16, B0, 1, piggyback, 1, 1, 0),
        second(20, A0, 2),
        BatchReady(24, A1, 1, linger),
        sent(24, A1, 1, linger, 2, 1, 0),
        BatchReady(30, A0, 2, full),
        *opened(30, A0, 3),
        BatchHeld(30, A0, 2, HeldReason.IN_FLIGHT_LIMIT),
        BatchCompleted(36, A0, 1, None, 0),
        BatchCompleted(36, B0, 1, None, 0),
        sent(36, A0, 2, full, 1, 2, 2),
        *opened(40, B0, 2),
        BatchCompleted(44, A1, 1, None, 0),
        BatchReady(50, A0, 3, linger),
        BatchHeld(50, A0, 3, HeldReason.IN_FLIGHT_LIMIT),
        BatchCompleted(56, A0, 2, None, 2),
        sent(56, A0, 3, linger, 1, 1, 4),
        sent(56, B0, 2, piggyback, 1, 1, 1),
        BatchCompleted(76, A0, 3, None, 4),
        BatchCompleted(76, B0, 2, None, 1),
    ]
    return [replace(event, at_ms=event.at_ms + origin) for event in events]


def invented(rng, partitions=5, nodes=2, until=400, records=20, backlog=False):
    """Legal histories of any shape: retries, failures, expiry, splits, holds, batches that never end."""
    events = []
    for partition in (TopicPartition(f"topic{n % 3}", n // 3) for n in range(partitions)):
        at = rng.randrange(30)
        number = 1
        while at < until:
            events += one_batch(rng, at, partition, number, rng.randrange(nodes), records)
            number += 1
            at += rng.randrange(3 if backlog else 10, 60)
    events.append(ProducerIdChanged(until // 2, 4000, 1, "the epoch was bumped"))
    return sorted(events, key=lambda event: event.at_ms)


def one_batch(rng, at, partition, number, node, records):
    where = partition, number
    yield BatchOpened(at, *where)
    count = rng.randrange(1, records + 1)
    for n in range(count):
        at += rng.randrange(3)
        yield RecordAppended(at, *where, n + 1, 61 + 500 * (n + 1))
    reason = rng.choice([each for each in SendReason if each is not SendReason.RETRY])
    for attempt in range(1, 4):
        if rng.random() < 0.7:
            yield BatchReady(at, *where, reason)
        if rng.random() < 0.4:
            yield BatchHeld(at, *where, rng.choice(list(HeldReason)))
            at += rng.randrange(40)
        end = rng.random()
        if end < 0.1:
            yield BatchCompleted(at, *where, KafkaError(f"{partition}: <expired> & gone\n"), -1)
            return
        yield BatchSent(at, *where, reason, node, count, 61 + 400 * count, attempt, PID, EPOCH, 0)
        at += rng.randrange(50)
        if end < 0.2:
            yield BatchSplit(at, *where, (number + 1000, number + 1001))
            return
        if end > 0.3:
            yield BatchCompleted(at, *where, None, number)
            return
        yield BatchRetried(at, *where, KafkaError("not the leader"), at + 20)
        reason = SendReason.RETRY


def pictures():
    """Each golden file's name, and its text."""
    from kproto.tools.timeline import timeline_of
    from kproto.tools.timeline_svg import timeline_svg
    from kproto.tools.timeline_text import timeline_text

    timeline = timeline_of(classic())
    return {
        "timeline.txt": timeline_text(timeline).plain,
        "timeline_ascii.txt": timeline_text(timeline, ascii_only=True).plain,
        "timeline.svg": timeline_svg(timeline),
    }


if __name__ == "__main__":
    for name, text in pictures().items():
        Path(__file__).with_name(name).write_text(text, encoding="utf-8")
