"""The histories of batches as values, and the part of them that a picture has room for.

Layer: tools. Times are milliseconds since the first event that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from kproto.client import TopicPartition
from kproto.producer.events import HeldReason, ProducerIdChanged, SendReason
from kproto.wire import KafkaError

__all__ = ["Attempt", "BatchHistory", "Growth", "Hold", "Ready", "Request", "Stay", "Timeline", "lanes", "tick_ms"]

_T = TypeVar("_T")


class Growth(NamedTuple):
    """A record came: the batch has so many records, and size bytes before compression."""

    at_ms: int
    records: int
    size: int


class Ready(NamedTuple):
    """It might leave from then on."""

    at_ms: int
    reason: SendReason


class Hold(NamedTuple):
    """It was ready and did not leave. to_ms: None while that lasts."""

    from_ms: int
    to_ms: int | None
    reason: HeldReason


class Attempt(NamedTuple):
    """It was in a request. size: bytes as sent; answered_ms: None for not yet; error: None for none so far."""

    at_ms: int
    reason: SendReason
    node_id: int
    records: int
    size: int
    number: int
    answered_ms: int | None
    error: KafkaError | None


class Stay(NamedTuple):
    """A batch waits in the accumulator. to_ms: None while that lasts; attempt: what ended it, None for no request."""

    batch: BatchHistory
    from_ms: int
    to_ms: int | None
    attempt: Attempt | None


@dataclass(frozen=True, slots=True)
class BatchHistory:
    """All that is known of one batch. is_whole: False where its first events were dropped."""

    partition: TopicPartition
    number: int
    opened_ms: int
    is_whole: bool = True
    growth: tuple[Growth, ...] = ()
    readies: tuple[Ready, ...] = ()
    holds: tuple[Hold, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    returned_ms: tuple[int, ...] = ()
    """When it came back to be sent again."""
    ended_ms: int | None = None
    error: KafkaError | None = None
    offset: int = -1
    split_into: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """As in `orders-3#7`: its partition, and its number there."""
        return f"{self.partition}#{self.number}"

    @property
    def stays(self) -> tuple[Stay, ...]:
        """From its opening, and from each return, until it was sent."""
        starts = (self.opened_ms, *self.returned_ms)
        stays = [Stay(self, start, sent.at_ms, sent) for start, sent in zip(starts, self.attempts, strict=False)]
        return (*stays, *(Stay(self, start, self.ended_ms, None) for start in starts[len(stays) :][:1]))


class Request(NamedTuple):
    """Batches that went to a node together. answered_ms: None while one of them is unanswered."""

    node_id: int
    at_ms: int
    answered_ms: int | None
    batches: tuple[tuple[BatchHistory, Attempt], ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened from from_ms to to_ms. batches: of each partition, in order; requests: of each node id, in order.

    end_ms: of all that is known; dropped: events of which nothing is known any more; partitions_left_out: by `window`.
    """

    from_ms: int
    to_ms: int
    end_ms: int
    batches: Mapping[TopicPartition, tuple[BatchHistory, ...]]
    requests: Mapping[int, tuple[Request, ...]]
    changes: tuple[ProducerIdChanged, ...] = ()
    dropped: int = 0
    partitions_left_out: int = 0

    def window(
        self, from_ms: int = 0, to_ms: int | None = None, *, partitions_max: int = 12, batches_max: int = 200
    ) -> Timeline:
        """The part that a picture has room for: the first partitions, by name, with something in it.

        to_ms: None for the end, or where so many batches have been opened. All requests are kept.
        """
        to = self.to_ms if to_ms is None else min(to_ms, self.to_ms)
        kept = self._batches_between(from_ms, to)
        chosen = dict(list(kept.items())[:partitions_max])
        opened = sorted(batch.opened_ms for batches in chosen.values() for batch in batches)
        if to_ms is None and len(opened) > batches_max:
            to = max(from_ms, opened[batches_max])
            kept = self._batches_between(from_ms, to)
            chosen = dict(list(kept.items())[:partitions_max])
        requests = {
            node_id: found
            for node_id, sent in self.requests.items()
            if (found := tuple(each for each in sent if _overlaps(each.at_ms, each.answered_ms, from_ms, to)))
        }
        changes = tuple(change for change in self.changes if from_ms <= change.at_ms <= to)
        left_out = len(kept) - len(chosen)
        return replace(
            self,
            from_ms=from_ms,
            to_ms=max(to, from_ms + 1),
            batches=chosen,
            requests=requests,
            changes=changes,
            partitions_left_out=left_out,
        )

    def _batches_between(self, from_ms: int, to_ms: int) -> dict[TopicPartition, tuple[BatchHistory, ...]]:
        between = {
            partition: tuple(each for each in batches if _overlaps(each.opened_ms, each.ended_ms, from_ms, to_ms))
            for partition, batches in self.batches.items()
        }
        return {partition: batches for partition, batches in between.items() if batches}


def _overlaps(start_ms: int, stop_ms: int | None, from_ms: int, to_ms: int) -> bool:
    return start_ms <= to_ms and (stop_ms is None or stop_ms >= from_ms)


def lanes(
    items: Iterable[_T], extent: Callable[[_T], tuple[int, int]], lanes_max: int
) -> tuple[list[list[_T]], list[_T]]:
    """Rows in which no two items overlap, and the items for which there is none: each takes the first row that is free.

    extent: of an item, from and up to but without.
    """
    rows: list[list[_T]] = []
    stops: list[int] = []
    left_out: list[_T] = []
    for item in sorted(items, key=extent):
        start, stop = extent(item)
        row = next((row for row, taken in enumerate(stops) if taken <= start), len(rows))
        if row == lanes_max:
            left_out.append(item)
            continue
        if row == len(rows):
            rows.append([])
            stops.append(0)
        rows[row].append(item)
        stops[row] = stop
    return rows, left_out


def tick_ms(span_ms: int, ticks_max: int) -> int:
    """Between two marks of an axis: 1, 2 or 5 times a power of ten, so that there are at most so many and one."""
    step = 1
    while step * ticks_max < span_ms:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return step
