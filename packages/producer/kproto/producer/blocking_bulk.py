"""`Producer.send_many` by columns: as many records at a time as go into a batch.

Layer: producer. Part of the face for threads.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from kproto.client.driver import monotonic_ms
from kproto.producer.blocking import BlockingAppends
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
        start = 0
        try:
            while start < len(group.columns):
                appended = _append(appends, queues, group, start, at_ms, left_ms)
                start += bulk.add_run(appended, group.places[start : start + appended.count])
                appends.pushed(appended)
        except Exception as error:
            appends.interrupted()  # a signal's handler may have raised it
            appends.refused(queues.name)
            if not bulk.accepted:
                raise
            bulk.refuse(queues.name, places_left(groups, number, start), error)
            return
        except BaseException:
            appends.interrupted()
            raise


def _append(
    appends: BlockingAppends, queues: TopicQueues, group: BulkGroup, start: int, at_ms: int, left_ms: int
) -> Appended:
    accumulator = appends.engine.accumulator
    return appends.with_room(
        lambda wake, memory: accumulator.append_columns(
            queues, group.partition, group.columns, start, at_ms, now_ms=monotonic_ms(), wake=wake, memory=memory
        ),
        left_ms,
    )
