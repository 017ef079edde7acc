"""From the producer's events to the histories of its batches, which `timeline_text` and `timeline_svg` draw.

Layer: tools. Nothing here raises for events that are missing, or that threads told out of order.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Final

from kproto.client import TopicPartition
from kproto.producer.events import (
    BatchCompleted,
    BatchEvent,
    BatchHeld,
    BatchOpened,
    BatchReady,
    BatchRetried,
    BatchSent,
    BatchSplit,
    ProducerIdChanged,
    RecordAppended,
)
from kproto.tools.timeline_model import Attempt, BatchHistory, Growth, Hold, Ready, Request, Timeline
from kproto.wire import KafkaError

__all__ = ["EventLog", "timeline_of"]

EVENTS_MAX: Final = 100_000  # some 20 MB


class EventLog:
    """A BatchObserver that keeps the last events_max events, and counts those that it dropped. Thread-safe."""

    def __init__(self, events_max: int = EVENTS_MAX) -> None:
        if events_max < 1:
            raise ValueError(f"events_max: at least 1, not {events_max}")
        self._events: deque[BatchEvent] = deque(maxlen=events_max)
        self._seen = 0
        self._lock = Lock()

    def __call__(self, event: BatchEvent) -> None:
        with self._lock:
            self._seen += 1
            self._events.append(event)

    def timeline(self) -> Timeline:
        """Of the events so far; those that come later do not change it."""
        with self._lock:
            events, seen = tuple(self._events), self._seen
        return timeline_of(events, seen - len(events))


@dataclass(slots=True)
class _Draft:
    """A history in the making."""

    history: BatchHistory
    growth: list[Growth] = field(default_factory=list)
    readies: list[Ready] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    returned_ms: list[int] = field(default_factory=list)

    def add(self, event: BatchEvent) -> None:
        """The next event of this batch."""
        match event:
            case RecordAppended(at_ms, _, _, records, size):
                self.growth.append(Growth(at_ms, records, size))
            case BatchReady(at_ms, _, _, reason):
                self.readies.append(Ready(at_ms, reason))
            case BatchHeld(at_ms, _, _, held):
                self._release(at_ms)
                self.holds.append(Hold(at_ms, None, held))
            case BatchSent():
                self._release(event.at_ms)
                sent = (event.at_ms, event.reason, event.node_id, event.count, event.size, event.attempt)
                self.attempts.append(Attempt(*sent, answered_ms=None, error=None))
            case BatchRetried(at_ms, _, _, error):
                self._answer(at_ms, error)
                self.returned_ms.append(at_ms)
            case BatchSplit(at_ms, _, _, into):
                self._answer(at_ms, None)
                self.history = replace(self.history, ended_ms=at_ms, split_into=into)
            case BatchCompleted(at_ms, _, _, failure, offset):
                self._release(at_ms)
                self._answer(at_ms, failure)
                self.history = replace(self.history, ended_ms=at_ms, error=failure, offset=offset)
            case _:
                pass

    def _release(self, at_ms: int) -> None:
        """A hold that is over within its millisecond is none."""
        if self.holds and self.holds[-1].to_ms is None:
            hold = self.holds.pop()
            if at_ms > hold.from_ms:
                self.holds.append(hold._replace(to_ms=at_ms))

    def _answer(self, at_ms: int, error: KafkaError | None) -> None:
        if self.attempts and self.attempts[-1].answered_ms is None:
            self.attempts[-1] = self.attempts[-1]._replace(answered_ms=at_ms, error=error)

    def finished(self) -> BatchHistory:
        return replace(
            self.history,
            growth=tuple(self.growth),
            readies=tuple(self.readies),
            holds=tuple(self.holds),
            attempts=tuple(self.attempts),
            returned_ms=tuple(self.returned_ms),
        )


def timeline_of(events: Iterable[BatchEvent], dropped: int = 0) -> Timeline:
    """Fold the events, in the order in which they were told. dropped: how many came before them."""
    known = list(events)
    origin_ms = min((event.at_ms for event in known), default=0)
    end_ms = max((event.at_ms for event in known), default=0) - origin_ms
    drafts: dict[tuple[TopicPartition, int], _Draft] = {}
    changes: list[ProducerIdChanged] = []
    for told in known:
        event = replace(told, at_ms=told.at_ms - origin_ms)
        if isinstance(event, ProducerIdChanged):
            changes.append(event)
            continue
        key = event.partition, event.batch
        if key in drafts:
            drafts[key].add(event)
        elif not isinstance(event, BatchCompleted | BatchSplit):  # its end alone is nothing that could be drawn
            drafts[key] = draft = _Draft(BatchHistory(*key, event.at_ms, isinstance(event, BatchOpened)))
            if not isinstance(event, BatchRetried):  # it returns from a request of which nothing is known
                draft.add(event)
        if isinstance(event, BatchSplit):
            for part in event.into:  # nobody opens them: they wait from here on
                drafts.setdefault((event.partition, part), _Draft(BatchHistory(event.partition, part, event.at_ms)))
    batches: defaultdict[TopicPartition, list[BatchHistory]] = defaultdict(list)
    for key in sorted(drafts):
        batches[key[0]].append(drafts[key].finished())
    frozen = {partition: tuple(histories) for partition, histories in batches.items()}
    return Timeline(0, max(end_ms, 1), end_ms, frozen, _requests(frozen), tuple(changes), dropped)


def _requests(batches: Mapping[TopicPartition, Iterable[BatchHistory]]) -> dict[int, tuple[Request, ...]]:
    """The attempts of one millisecond and node are one request, but for a second batch of a partition: the next one."""
    together: defaultdict[tuple[int, int, int], list[tuple[BatchHistory, Attempt]]] = defaultdict(list)
    for histories in batches.values():
        taken: Counter[tuple[int, int]] = Counter()
        for history in histories:
            for sent in history.attempts:
                place = sent.node_id, sent.at_ms
                together[*place, taken[place]].append((history, sent))
                taken[place] += 1
    requests: defaultdict[int, list[Request]] = defaultdict(list)
    for (node_id, at_ms, _), carried in sorted(together.items(), key=lambda item: item[0]):
        answers = [sent.answered_ms for _, sent in carried]
        known = [answer for answer in answers if answer is not None]
        answered_ms = max(known) if len(known) == len(answers) else None
        requests[node_id].append(Request(node_id, at_ms, answered_ms, tuple(carried)))
    return {node_id: tuple(sent) for node_id, sent in requests.items()}
