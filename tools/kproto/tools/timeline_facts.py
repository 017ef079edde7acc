"""What the histories of batches say, in sentences: why each left, why it was held, and why batches are small.

Layer: tools. The pictures put these sentences below and behind what they draw.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from kproto.producer.events import HeldReason, SendReason
from kproto.tools.timeline_model import Attempt, BatchHistory, Hold, Request, Stay, Timeline
from kproto.wire import KafkaError

__all__ = [
    "ADVICE",
    "HELD_ADVICE",
    "Departures",
    "Summary",
    "batch_facts",
    "clean",
    "facts",
    "no_room",
    "plural",
    "request_facts",
    "size_text",
    "summary",
    "title",
]

ERROR_MAX: Final = 160  # characters of an error's text

ADVICE: Final[Mapping[SendReason, str]] = {
    SendReason.FULL: "batch_size is what bounds them",
    SendReason.LINGER: "raise linger_ms or send more per partition",
    SendReason.PIGGYBACK: "a request to their node went out anyway, so they cost none of their own",
    SendReason.FLUSH: "call flush less often",
    SendReason.CLOSE: "the producer is closed soon after the records are sent",
    SendReason.MEMORY: "raise buffer_memory, or send slower",
    SendReason.RETRY: "see the errors that were answered",
}
"""For each reason: why batches that leave by it are no larger, or what would make them so."""

HELD_ADVICE: Final[Mapping[HeldReason, str]] = {
    HeldReason.NO_LEADER: "partitions were without a leader",
    HeldReason.NOT_CONNECTED: "connections were slow to be ready",
    HeldReason.THROTTLED: "the brokers asked for pauses: the client's quota is used up",
    HeldReason.WRITING: "the network takes less than is sent",
    HeldReason.IN_FLIGHT_LIMIT: "the brokers answer slower than batches fill",
    HeldReason.FIRST_ACKNOWLEDGEMENT: "the first batch of each partition is alone until it is answered",
    HeldReason.OLD_LEADER: "leaders moved",
    HeldReason.NO_PRODUCER_ID: "the producer id was slow to come",
    HeldReason.BACKOFF: "attempts failed: see the errors",
    HeldReason.EARLIER_RETRY: "attempts failed: see the errors",
    HeldReason.OLD_EPOCH: "the producer epoch changed: see the errors",
    HeldReason.UNRESOLVED: "batches were given up: see the errors",
    HeldReason.COMPRESSING: "compression is slower than sending: choose a lower level or another codec",
    HeldReason.REQUEST_FULL: "raise max_request_size",
}
"""For each reason: what it tells of the brokers, the network or the settings."""


def clean(text: str) -> str:
    """One line of printable text, whatever an error or a name holds."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def size_text(size: int) -> str:
    """Bytes as a person says them, by powers of 1000: `12.1 kB`."""
    for unit, bytes_of in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)):
        if size >= bytes_of:
            return f"{size / bytes_of:.1f} {unit}"
    return f"{size} B"


def no_room(left_out: int, noun: str) -> str:
    """What is said of things that are not drawn, or \"\" for none."""
    if not left_out:
        return ""
    return f"and {plural(left_out, f'more {noun}')} for which there is no room: choose a shorter window"


def plural(number: int, noun: str) -> str:
    """As in `1 batch`, `2 batches`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}es" if noun.endswith("ch") else f"{number} {noun}s"


def _error_text(error: KafkaError) -> str:
    text = clean(str(error)) or type(error).__name__
    return text if len(text) <= ERROR_MAX else text[: ERROR_MAX - 3] + "..."


def title(timeline: Timeline) -> str:
    """One line: how much there is, and of how much."""
    batches = sum(map(len, timeline.batches.values()))
    whole = "" if timeline.to_ms - timeline.from_ms >= timeline.end_ms else f" of {timeline.end_ms}"
    parts = [
        f"{timeline.from_ms}-{timeline.to_ms}{whole} ms",
        plural(len(timeline.batches), "partition"),
        plural(batches, "batch"),
    ]
    if timeline.dropped:
        parts.append(f"{plural(timeline.dropped, 'earlier event')} dropped")
    return ", ".join(parts)


def facts(timeline: Timeline) -> list[str]:
    """All that happened in the window, in the order of time: departures, holds, returns, failures, new producer ids."""
    told: list[tuple[int, str]] = []
    for batches in timeline.batches.values():
        for batch in batches:
            told += _batch_facts(batch)
    for change in timeline.changes:
        why = f"producer id {change.producer_id}, epoch {change.producer_epoch}: {clean(change.why)}"
        told.append((change.at_ms, f"at {change.at_ms} ms {why}"))
    told.sort(key=itemgetter(0))
    return [text for at_ms, text in told if timeline.from_ms <= at_ms <= timeline.to_ms]


def batch_facts(batch: BatchHistory) -> list[str]:
    """What happened to one batch, in the order of time."""
    return [text for _, text in sorted(_batch_facts(batch), key=itemgetter(0))]


def _batch_facts(batch: BatchHistory) -> Iterator[tuple[int, str]]:
    """When each thing was over, and the sentence; things of one millisecond are in the order in which they happened."""
    name = clean(batch.name)
    holds = deque(batch.holds)
    for stay in batch.stays:
        while holds and (stay.to_ms is None or holds[0].from_ms <= stay.to_ms):
            hold = holds.popleft()
            yield hold.from_ms if hold.to_ms is None else hold.to_ms, _held(name, hold)
        if (sent := stay.attempt) is not None:
            yield sent.at_ms, _left(name, stay, sent)
            if sent.error is not None and sent.answered_ms is not None and sent.answered_ms in batch.returned_ms:
                came = f"at {sent.answered_ms} ms {name} came back from node {sent.node_id}"
                yield sent.answered_ms, f"{came}, to be sent again: {_error_text(sent.error)}"
    if batch.ended_ms is None:
        return
    if batch.split_into:
        into = ", ".join(f"#{number}" for number in batch.split_into)
        yield batch.ended_ms, f"at {batch.ended_ms} ms {name} was too large, and went on as {into}"
    if batch.error is not None:
        yield batch.ended_ms, f"at {batch.ended_ms} ms {name} failed: {_error_text(batch.error)}"


def _held(name: str, hold: Hold) -> str:
    if hold.to_ms is None:
        return f"{name} is held since {hold.from_ms} ms: {hold.reason.name}"
    return f"{name} was held {hold.from_ms}-{hold.to_ms} ms: {hold.reason.name}"


def _left(name: str, stay: Stay, sent: Attempt) -> str:
    known = [plural(sent.records, "record"), size_text(sent.size)]
    if stay.batch.is_whole or stay.from_ms != stay.batch.opened_ms:
        known.append(f"waited {sent.at_ms - stay.from_ms} ms")
    if sent.answered_ms is not None:
        known.append(f"answered after {sent.answered_ms - sent.at_ms} ms")
    again = "" if sent.number == 1 else f", attempt {sent.number}"
    return f"at {sent.at_ms} ms {name} left for node {sent.node_id}: {sent.reason.name}{again} ({', '.join(known)})"


def request_facts(request: Request) -> list[str]:
    """What one request carried, and when it was answered."""
    size = sum(sent.size for _, sent in request.batches)
    answer = "unanswered" if request.answered_ms is None else f"answered at {request.answered_ms} ms"
    carried = f"{plural(len(request.batches), 'batch')}, {size_text(size)}"
    lines = [f"request to node {request.node_id} at {request.at_ms} ms, {answer}: {carried}"]
    for batch, sent in request.batches:
        end = "" if sent.error is None else f", failed: {_error_text(sent.error)}"
        lines.append(f"{clean(batch.name)}: {sent.reason.name}, {plural(sent.records, 'record')}{end}")
    return lines


@dataclass(frozen=True, slots=True)
class Departures:
    """Those that left for one reason. waited_ms: in the accumulator, of those of which it is known."""

    batches: int = 0
    records: int = 0
    size: int = 0
    waited_ms: int = 0

    def __add__(self, other: Departures) -> Departures:
        return Departures(
            self.batches + other.batches,
            self.records + other.records,
            self.size + other.size,
            self.waited_ms + other.waited_ms,
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """Why batches left, how often, and how long they were held. str() is one line that says why they are small."""

    sent: Mapping[SendReason, Departures]
    held_ms: Mapping[HeldReason, int]

    @property
    def total(self) -> Departures:
        """Of all reasons."""
        return sum(self.sent.values(), Departures())

    def __str__(self) -> str:
        total = self.total
        if not total.batches:
            return "no batch left" + self._held()
        reason, most = max(self.sent.items(), key=lambda item: item[1].batches)
        share = round(100 * most.batches / total.batches)
        records = most.records / most.batches
        average = f"{records:.1f} {'record' if records == 1 else 'records'}, {size_text(most.size // most.batches)}"
        left = f"{share} % of {plural(total.batches, 'batch')} left by {reason.name} with {average} on average"
        return f"{left}: {ADVICE[reason]}{self._held()}"

    def _held(self) -> str:
        if not self.held_ms:
            return ""
        reason, most_ms = max(self.held_ms.items(), key=itemgetter(1))
        of_all = "" if len(self.held_ms) == 1 else f", {most_ms} ms of them"
        return f"; held for {sum(self.held_ms.values())} ms in all{of_all} by {reason.name}: {HELD_ADVICE[reason]}"

    def lines(self) -> list[str]:
        """Each reason with its numbers, the commonest first, as a table of plain text."""
        rows: list[tuple[str, ...]] = [("left by", "batches", "records each", "size each", "waited each")]
        for reason, left in sorted(self.sent.items(), key=lambda item: -item[1].batches):
            records, waited_ms = left.records / left.batches, left.waited_ms / left.batches
            size = size_text(left.size // left.batches)
            rows.append((reason.name, str(left.batches), f"{records:.1f}", size, f"{waited_ms:.1f} ms"))
        held: list[tuple[str, ...]] = [("held by", "in all")]
        held += [(reason.name, f"{ms} ms") for reason, ms in sorted(self.held_ms.items(), key=lambda item: -item[1])]
        return [*_columns(rows), *(_columns(held) if self.held_ms else [])]


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def summary(timeline: Timeline) -> Summary:
    """Of all batches in the timeline, whether or not they have been answered. Holds that last count up to its end."""
    sent: dict[SendReason, Departures] = {}
    held_ms: dict[HeldReason, int] = {}
    for batch in _all(timeline):
        for stay in batch.stays:
            if (left := stay.attempt) is not None:
                one = Departures(1, left.records, left.size, max(0, left.at_ms - stay.from_ms))
                sent[left.reason] = sent.get(left.reason, Departures()) + one
        for hold in batch.holds:
            until_ms = timeline.end_ms if hold.to_ms is None else hold.to_ms
            held_ms[hold.reason] = held_ms.get(hold.reason, 0) + max(0, until_ms - hold.from_ms)
    return Summary(sent, held_ms)


def _all(timeline: Timeline) -> Iterable[BatchHistory]:
    return (batch for batches in timeline.batches.values() for batch in batches)
