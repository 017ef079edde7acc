"""One future for many records: where each range of them was written, or both parts of a partial failure.

Layer: producer. Part of the faces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from kproto.client import TopicPartition
from kproto.producer.batch import ProducerBatch
from kproto.producer.completions import Unbroken
from kproto.producer.errors import BulkDeliveryError, DeliveryError
from kproto.producer.queues import Appended
from kproto.producer.record import NO_OFFSET, NO_PARTITION, RecordMetadata, WriteStatus

__all__ = ["BulkDelivery", "RecordRange"]


@dataclass(frozen=True, slots=True)
class RecordRange:
    """Records that went to one partition one after the other.

    base_offset: of the first, -1 where the broker does not say; count: of records; indices: their places among the
    values that were sent, in order.
    """

    topic: str
    partition: int
    base_offset: int
    count: int
    indices: Sequence[int]

    def metadata(self, at: int) -> tuple[int, int]:
        """Partition and offset of the record at this place of the range."""
        return self.partition, NO_OFFSET if self.base_offset < 0 else self.base_offset + at


class BulkDelivery:
    """Follows the batches that a `send_many` went into. finish: called once with the ranges, or with the error.

    Appends are made by one thread; batches end in any.
    """

    def __init__(self, finish: Callable[[tuple[RecordRange, ...], BulkDeliveryError | None], None]) -> None:
        self._finish = finish
        self._taken: dict[ProducerBatch, list[tuple[int, Sequence[int]]]] = {}  # runs: index there, places in the call
        self._refused: list[tuple[Sequence[int], DeliveryError]] = []
        self._pending = 1  # the call itself, until it is through

    @property
    def accepted(self) -> bool:
        """Whether any record is on its way."""
        return bool(self._taken)

    def add(self, batch: ProducerBatch, index: int, place: int) -> None:
        """A record was appended; its batch may have ended already."""
        self._add(batch, index, (place,))

    def add_run(self, appended: Appended, places: Sequence[int]) -> int:
        """The same of records side by side; how many."""
        self._add(appended.batch, appended.index, places)
        return appended.count

    def _add(self, batch: ProducerBatch, index: int, places: Sequence[int]) -> None:
        taken = self._taken.get(batch)
        if taken is not None:
            taken.append((index, places))
            return
        self._taken[batch] = [(index, places)]
        with batch.context.condition:
            self._pending += self._follow(batch)

    def refuse(self, topic: str, places: Sequence[int], error: Exception) -> None:
        """Records that were not accepted, after others were."""
        if not isinstance(error, DeliveryError):
            at = TopicPartition(topic, NO_PARTITION)
            error = DeliveryError(at, WriteStatus.NO, "was not accepted", None, error)
        self._refused.append((places, error))

    def through(self) -> None:
        """The call has appended all that it will."""
        with next(iter(self._taken)).context.condition if self._taken else nullcontext():
            self._pending -= 1
            over = not self._pending
        if over:
            self._settle()

    def _settle(self) -> None:
        """End the future, once all is over."""
        delivered: list[RecordRange] = []
        failed = [*self._refused]
        for batch, runs in self._taken.items():
            if not batch.parts and batch.error is None:
                delivered += _whole_ranges(batch, runs)
                continue
            taken = [(index + at, place) for index, places in runs for at, place in enumerate(places)]
            for part, records in self._by_part(batch, taken):
                errors = {part.error_of(index) for index, _ in records} if part.error is not None else {None}
                if errors == {None}:
                    delivered += _ranges(part, records)
                    continue
                for error in errors - {None}:
                    assert error is not None
                    failed.append(([place for index, place in records if part.error_of(index) is error], error))
        if failed:
            self._finish((), BulkDeliveryError(delivered, failed))
        else:
            self._finish(tuple(delivered), None)

    def _by_part(
        self, batch: ProducerBatch, taken: list[tuple[int, int]]
    ) -> list[tuple[ProducerBatch, list[tuple[int, int]]]]:
        if not batch.parts:
            return [(batch, taken)]
        found: dict[ProducerBatch, list[tuple[int, int]]] = {}
        for index, place in taken:
            part, at = batch.part_of(index)
            found.setdefault(part, []).append((at, place))
        return [*found.items()]

    def _ended(self, batch: ProducerBatch, _metadata: RecordMetadata, _error: Any) -> None:
        """A batch has ended, or the part of it with the first of our records; then the other parts are waited for."""
        with batch.context.condition:
            if self._follow(batch):
                return
            self._pending -= 1
            over = not self._pending
        if over:
            self._settle()

    def _follow(self, batch: ProducerBatch) -> bool:
        """Hear of the end of the batch, or of its first part that has not ended; False where all have."""
        undone = next((part for part in batch.parts or [batch] if not part.done), None)
        if undone is None:
            return False
        undone.call_back(0, Unbroken(self._ended, batch))
        return True


def _whole_ranges(batch: ProducerBatch, runs: list[tuple[int, Sequence[int]]]) -> list[RecordRange]:
    """Those of a batch that was delivered as it was: runs that lie side by side are one."""
    topic, partition = batch.partition
    joined: list[tuple[int, list[int]]] = []
    for index, places in runs:
        if joined and joined[-1][0] + len(joined[-1][1]) == index:
            joined[-1][1].extend(places)
        else:
            joined.append((index, [*places]))
    base = batch.base_offset
    return [
        RecordRange(topic, partition, NO_OFFSET if base < 0 else base + index, len(places), tuple(places))
        for index, places in joined
    ]


def _ranges(part: ProducerBatch, records: list[tuple[int, int]]) -> list[RecordRange]:
    """Runs of records that lie side by side in the batch."""
    topic, partition = part.partition
    ranges: list[RecordRange] = []
    first = 0
    for at in range(1, len(records) + 1):
        if at == len(records) or records[at][0] != records[at - 1][0] + 1:
            run = records[first:at]
            offset = part.metadata_of(run[0][0]).offset
            ranges.append(RecordRange(topic, partition, offset, len(run), tuple(place for _, place in run)))
            first = at
    return ranges
