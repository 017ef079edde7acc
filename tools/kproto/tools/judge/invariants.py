"""What has to hold of every log and every producer, as far as a broker can see it.

Layer: tools. Finds what is wrong; judges no single request.
Source: KIP-98: sequences begin with 0 for each id and epoch of a partition, and a batch sent again is the same batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final

from kproto.tools.judge.image import TopicImage
from kproto.tools.judge.partition_log import StoredBatch, StoredRecord
from kproto.tools.judge.producer_state import next_sequence
from kproto.wire import KafkaError
from kproto.wire.records import RecordBatch

__all__ = ["JudgeViolation", "Resends", "log_violations", "repeated_records"]

REMEMBERED: Final = 100_000  # batches
SHOWN: Final = 10  # violations in an error's text

_Key = tuple[Hashable, int, int, int, int]


class JudgeViolation(KafkaError):
    """A producer broke what it promises. violations: each in a sentence."""

    def __init__(self, violations: tuple[str, ...]) -> None:
        super().__init__(violations)
        self.violations = violations

    def __str__(self) -> str:
        more = f"\nand {len(self.violations) - SHOWN} more" if len(self.violations) > SHOWN else ""
        return "\n".join(self.violations[:SHOWN]) + more


class Resends:
    """Sees that a batch is the same bytes each time that it comes under one id, epoch and sequence.

    A batch that was refused may change: its producer knows that it is not written. Bounded: the oldest are forgotten.
    """

    def __init__(self, violated: Callable[[str], None]) -> None:
        self._violated = violated
        self._crcs: OrderedDict[_Key, tuple[int, bool]] = OrderedDict()

    def came(self, topic: TopicImage, index: int, batch: RecordBatch) -> None:
        """A batch was read from a request."""
        key = self._key(topic, index, batch)
        if batch.producer_id < 0:
            return
        crc, written = self._crcs.setdefault(key, (batch.crc, False))
        if crc != batch.crc:
            name = f"{topic.name}-{index}"
            stamp = f"producer {key[2]}, epoch {key[3]}, sequence {key[4]}"
            before = "were written" if written else "came"
            self._violated(f"{name}: {stamp}: other bytes than those that {before} before")
        if len(self._crcs) > REMEMBERED:
            self._crcs.popitem(last=False)

    def judged(self, topic: TopicImage, index: int, batch: RecordBatch, *, refused: bool) -> None:
        """The batch is written, or it is refused."""
        key = self._key(topic, index, batch)
        crc, written = self._crcs.get(key, (batch.crc, False))
        if not refused and batch.producer_id >= 0:
            self._crcs[key] = (crc, True)
        elif not written:
            self._crcs.pop(key, None)

    def _key(self, topic: TopicImage, index: int, batch: RecordBatch) -> _Key:
        return topic.topic_id, index, batch.producer_id, batch.producer_epoch, batch.base_sequence


def log_violations(name: str, history: Iterable[StoredBatch], *, from_zero: bool) -> Iterator[str]:
    """What is wrong in one log: offsets with gaps, sequences with gaps, an epoch behind a newer one.

    from_zero: whether the first sequence of each id and epoch has to be 0.
    """
    offset = 0
    last: dict[tuple[int, int], int] = {}
    epochs: dict[int, int] = {}
    for batch in history:
        if batch.base_offset != offset:
            yield f"{name}: offset {batch.base_offset}, where {offset} is next"
        offset = batch.last_offset + 1
        if batch.producer_id < 0:
            continue
        stamp = (batch.producer_id, batch.producer_epoch)
        shown = f"{name} offset {batch.base_offset}: producer {stamp[0]}, epoch {stamp[1]}"
        if batch.producer_epoch < epochs.get(batch.producer_id, 0):
            yield f"{shown} comes behind epoch {epochs[batch.producer_id]}"
        first = 0 if from_zero else batch.base_sequence
        wanted = next_sequence(last[stamp]) if stamp in last else first
        if batch.base_sequence != wanted:
            yield f"{shown}: sequence {batch.base_sequence}, where {wanted} is next: records are lost or out of order"
        last[stamp] = batch.last_sequence
        epochs[batch.producer_id] = max(batch.producer_epoch, epochs.get(batch.producer_id, 0))


def repeated_records(
    name: str, history: Iterable[StoredBatch], identity: Callable[[StoredRecord], Hashable]
) -> Iterator[str]:
    """Records that stand in a log more than once. identity: what tells records apart, such as their value."""
    offsets: dict[Hashable, int] = {}
    for batch in history:
        for record in batch.records:
            first = offsets.setdefault(identity(record), record.offset)
            if first != record.offset:
                yield f"{name}: {identity(record)!r} stands at offset {first} and at {record.offset}"
