"""`AsyncProducer.send_many` by columns: what `BlockingAppends.send_many` is for threads.

Layer: producer. Part of the face for asyncio.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kproto.client.driver import monotonic_ms
from kproto.producer.bulk import BulkDelivery
from kproto.producer.bulk_groups import BulkGroup, bulk_groups, places_left
from kproto.producer.queues import Appended, TopicQueues
from kproto.producer.record import Headers
from kproto.producer.record_path import ProducerRecord
from kproto.wire import KafkaError

if TYPE_CHECKING:
    from kproto.producer.async_engine import AsyncEngine

__all__ = ["send_columns"]


async def send_columns(
    engine: AsyncEngine,
    topic: str,
    values: Sequence[Any],
    keys: Sequence[Any] | None,
    partition: int | None,
    timestamp_ms: int | None,
    headers: Headers,
    bulk: BulkDelivery,
) -> bool:
    """Accept records as columns, and tell `bulk`; False where each has to go its own way, and nothing was done.

    Raises as `AsyncProducer.send_many`, and then none was accepted. Cancelled, it leaves those accepted until then.
    """
    core = engine.engine
    if core.observes_batches or not values:
        return False
    try:
        queues, left_ms = await engine.appends.topic(
            ProducerRecord(topic, partition=partition, timestamp_ms=timestamp_ms)
        )
    except KafkaError:
        core.metrics.record_refused(topic, monotonic_ms())
        raise
    groups = bulk_groups(core.config, queues, values, keys, partition, headers)
    if groups is None:
        return False
    at_ms = time.time_ns() // 1_000_000 if timestamp_ms is None else timestamp_ms
    await _append_all(engine, queues, groups, at_ms, left_ms, bulk)
    return True


async def _append_all(
    engine: AsyncEngine,
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
                appended = await _append(engine, queues, group, start, at_ms, left_ms)
                start += bulk.add_run(appended, group.places[start : start + appended.count])
                engine.push(appended)
        except Exception as error:
            engine.engine.metrics.record_refused(queues.name, monotonic_ms())
            if not bulk.accepted:
                raise
            bulk.refuse(queues.name, places_left(groups, number, start), error)
            return


async def _append(
    engine: AsyncEngine, queues: TopicQueues, group: BulkGroup, start: int, at_ms: int, left_ms: int
) -> Appended:
    accumulator = engine.accumulator
    return await engine.with_room(
        lambda wake, memory: accumulator.append_columns(
            queues, group.partition, group.columns, start, at_ms, now_ms=monotonic_ms(), wake=wake, memory=memory
        ),
        left_ms,
    )
