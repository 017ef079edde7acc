"""`Producer.send_many` by columns: as many records at a time as go into a batch.

Layer: producer. Part of the face for threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from kproto.client.driver import monotonic_ms
from kproto.producer.blocking import BlockingAppends
from kproto.producer.buffer_memory import MemoryWaiter
from kproto.producer.bulk import BulkDelivery
from kproto.producer.bulk_groups import BulkGroup, bulk_groups, places_left
from kproto.producer.queues import Appended, TopicQueues
from kproto.producer.record import Headers
from kproto.wire import KafkaError

__all__ = ["send_columns"]


def send_columns(
    appends: BlockingAppends,
    topic: str,
    values: Sequence[Any],
    keys: Sequence[Any] | None,
    partition: int | None,
    timestamp_ms: int | None,
    headers: Headers,
    bulk: BulkDelivery,
) -> bool:
    """Accept records as columns, and tell `bulk`; False where each has to go its own way, and nothing was done.

    Raises as `Producer.send_many`, and then none was accepted.
    """
    appends.check_process()
    engine = appends.engine
    if engine.observes_batches or not values:
        return False
    try:
        queues, left_ms = appends.topic(topic, partition, timestamp_ms)
    except KafkaError:
        appends.refused(topic)
        raise
    groups = bulk_groups(engine.config, queues, values, keys, partition, headers)
    if groups is None:
        return False
    at_ms = time.time_ns() // 1_000_000 if timestamp_ms is None else timestamp_ms
    _append_all(appends, queues, groups, at_ms, left_ms, bulk)
    return True


def _append_all(
    appends: BlockingAppends,
    queues: TopicQueues,
    groups: Sequence[BulkGroup],
    at_ms: int,
    left_ms: int,
    bulk: BulkDelivery,
) -> None:
    for number, group in enumerate(groups):
        taken = _Taken(group, bulk)
        try:
            while taken.count < len(group.columns):
                appends.pushed(_append(appends, queues, taken, at_ms, left_ms))
        except Exception as error:
            appends.interrupted()  # a signal's handler may have raised it
            appends.refused(queues.name)
            if not bulk.accepted:
                raise
            bulk.refuse(queues.name, places_left(groups, number, taken.count), error)
            return
        except BaseException:
            appends.interrupted()
            raise


class _Taken:
    """How many records of a group are in: counted, and told to `bulk`, while signals are held back, so that none that
    is in is ever said not to be."""

    def __init__(self, group: BulkGroup, bulk: BulkDelivery) -> None:
        self.group = group
        self.count = 0
        self._bulk = bulk

    def add(self, appended: Appended) -> None:
        self.count += self._bulk.add_run(appended, self.group.places[self.count : self.count + appended.count])


def _append(appends: BlockingAppends, queues: TopicQueues, taken: _Taken, at_ms: int, left_ms: int) -> Appended:
    accumulator, group = appends.engine.accumulator, taken.group

    def attempt(wake: Callable[[], None], memory: MemoryWaiter | None) -> Appended | MemoryWaiter | None:
        appended = accumulator.append_columns(
            queues,
            group.partition,
            group.columns,
            taken.count,
            at_ms,
            now_ms=monotonic_ms(),
            wake=wake,
            memory=memory,
        )
        if isinstance(appended, Appended):
            taken.add(appended)
        return appended

    return appends.with_room(attempt, left_ms)
