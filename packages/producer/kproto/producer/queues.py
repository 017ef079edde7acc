"""The queues of the accumulator: batches by partition, partitions by topic.

Layer: producer. Values that the accumulator guards with its lock; see there who may change what.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from kproto.client import TopicPartition
from kproto.producer.batch import ProducerBatch
from kproto.producer.batch_state import BatchState
from kproto.producer.bulk_groups import KeyPartitions
from kproto.producer.partitioner import PartitionChoices
from kproto.producer.routes import TopicRoutes
from kproto.producer.sticky import StickyPartitioner
from kproto.wire.records import RecordBatchBuilder

__all__ = ["Appended", "Fields", "PartitionQueue", "TopicQueues"]

RATIO_STEP_UP = 0.05  # how the estimate of compression follows what is seen: fast where batches turn out too large,
RATIO_STEP_DOWN = 0.005  # slowly where they turn out too small
RATIO_MARGIN = 1.05
RATIO_MIN = 1 / 8  # so that an open batch is at most so many times batch_size before compression
NEVER_OPEN: Final = ProducerBatch(TopicPartition("", -1), 0, RecordBatchBuilder(), limit=-1, reserved=0, created_ms=0)


class PartitionQueue:
    """The batches of one partition that are not in a request, the oldest first; only the last may be open."""

    __slots__ = ("batches", "open", "opened", "partition", "topic")

    def __init__(self, topic: TopicQueues, partition: TopicPartition) -> None:
        self.topic = topic
        self.partition = partition
        self.batches: deque[ProducerBatch] = deque()
        self.open: ProducerBatch = NEVER_OPEN
        """The one that `fast_send` looks at; it may have been closed meanwhile, and then it says so itself."""
        self.opened = 0
        """Batches opened so far: the number of the last one."""

    @property
    def head(self) -> ProducerBatch | None:
        """The one that leaves next."""
        return self.batches[0] if self.batches else None

    @property
    def tail(self) -> ProducerBatch | None:
        """The one that takes records; None where none does."""
        last = self.batches[-1] if self.batches else None
        return last if last is not None and last.state is BatchState.OPEN else None

    def forget_open(self) -> None:
        """Its last batch is closed: nobody is to keep it alive."""
        self.open = NEVER_OPEN

    @property
    def full(self) -> bool:
        """Whether its head takes no more records (READY-3)."""
        return bool(self.batches) and self.batches[0].state is not BatchState.OPEN


class TopicQueues:
    """The partitions of one topic that records were sent to, and what is decided for the topic as a whole.

    choices: what the metadata offers, renewed by the face; ratio: the size of a compressed body over the plain one, as
    expected of the next batch; routes: for `fast_send`, see there;
    key_partitions: for `bulk_groups`.
    """

    __slots__ = ("choices", "key_partitions", "name", "partitions", "ratio", "routes", "sticky")

    def __init__(self, name: str, sticky: StickyPartitioner, lock: AbstractContextManager[Any]) -> None:
        self.name = name
        self.sticky = sticky
        self.partitions: dict[int, PartitionQueue] = {}
        self.choices = PartitionChoices(())
        self.routes = TopicRoutes(self, lock)
        self.key_partitions = KeyPartitions(1)
        self.ratio = 1.0

    def queue(self, partition: int) -> PartitionQueue:
        """The queue of a partition, made on first use and never removed (ACC-1)."""
        queue = self.partitions.get(partition)
        if queue is None:
            queue = self.partitions[partition] = PartitionQueue(self, TopicPartition(self.name, partition))
        return queue

    def learn_ratio(self, observed: float) -> None:
        """A batch has turned out so small (ACC-10)."""
        if observed > self.ratio:
            self.ratio = max(self.ratio + RATIO_STEP_UP, observed)
        else:
            self.ratio = max(self.ratio - RATIO_STEP_DOWN, observed, RATIO_MIN)

    def plain_limit(self, batch_size: int, overhead: int) -> int:
        """Bytes before compression of a batch that is to have batch_size after it (ACC-9); 1 where none can."""
        return overhead + int((batch_size - overhead) / (self.ratio * RATIO_MARGIN)) if batch_size > overhead else 1


Fields = tuple[int, bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]
"""What a record is made of: timestamp in ms since the epoch, key, value, headers."""


class Appended:
    """A record was accepted.

    batch, index: where it is; opened: it opened a batch; ready: a batch takes no more, or has grown by a step, so that
    a pass of the sender has something to do; closed: a batch that takes no more, for the caller to `seal` outside the
    lock. Where he does not come to that, the sender does it. count: records, from `index` on.
    """

    __slots__ = ("batch", "closed", "count", "index", "opened", "ready")

    def __init__(
        self,
        batch: ProducerBatch,
        index: int,
        *,
        opened: bool,
        ready: bool,
        closed: ProducerBatch | None,
        count: int = 1,
    ) -> None:
        self.batch = batch
        self.index = index
        self.opened = opened
        self.ready = ready
        self.closed = closed
        self.count = count
