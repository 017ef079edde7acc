"""Splits a batch that a broker finds too large.

Layer: producer. A core.
Source: KIP-126; org.apache.kafka.clients.producer.internals.ProducerBatch.split, RecordAccumulator.splitAndReenqueue
(SPLIT-1 to SPLIT-4).
"""

from __future__ import annotations

from collections.abc import Callable

from kproto.producer.batch import ProducerBatch
from kproto.producer.record_size import record_size_bound
from kproto.wire.records import RECORD_BATCH_OVERHEAD, RecordBatchBuilder, read_record_batches

__all__ = ["split"]


def split(
    batch: ProducerBatch, batch_size: int, next_number: Callable[[], int], compression_level: int | None
) -> list[ProducerBatch]:
    """The records of a batch in at least two batches, in order, sealed, with its codec, age and identity of records.

    batch_size: bytes of each, as compressed as the batch is; a batch that has been split already, or is no larger, is
    halved, or a broker with a lower limit would have it split for ever. A batch has at least one record.
    """
    (whole,) = read_record_batches(batch.bytes(), max_size=batch.plain_size)
    records = list(whole)
    bounds = [record_size_bound(record.key, record.value, record.headers) for record in records]
    halve = batch.root is not batch or batch.size <= batch_size
    limit = max(max(bounds), (sum(bounds) + 1) // 2 if halve else batch_size - RECORD_BATCH_OVERHEAD)
    parts: list[ProducerBatch] = []
    room = 0
    for record, bound in zip(records, bounds, strict=True):
        last = len(parts) == 1 and parts[0].count == len(records) - 1
        if not parts or bound > room or last:
            builder = RecordBatchBuilder(whole.compression, compression_level)
            parts.append(
                ProducerBatch(
                    batch.partition, next_number(), builder, limit=limit, reserved=0, created_ms=batch.created_ms
                )
            )
            room = limit
        parts[-1].append(record.timestamp, record.key, record.value, record.headers, None)
        room -= bound
    for part in parts:
        part.close()
        part.claimed = True
        part.seal()
    return parts
