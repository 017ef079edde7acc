"""Batches for tests, made without an accumulator."""

from __future__ import annotations

from kproto.client import TopicPartition
from kproto.producer.batch import ProducerBatch
from kproto.wire.records import RecordBatchBuilder, read_record_batches

AT = TopicPartition("orders", 0)
START_MS = 1_700_000_000_000


def batch_of(*values, partition=AT, number=1, compression="none", created_ms=0, limit=16_384):
    """A sealed batch; a value may be bytes, or (timestamp, key, value, headers)."""
    builder = RecordBatchBuilder(compression)
    batch = ProducerBatch(partition, number, builder, limit=limit, reserved=0, created_ms=created_ms)
    for index, value in enumerate(values or (b"value",)):
        fields = value if isinstance(value, tuple) else (START_MS + index, None, value, ())
        batch.append(*fields, None)
    batch.close()
    batch.claimed = True
    batch.seal()
    return batch


def records_of(batch):
    """Timestamp, key, value and headers of each record, as a broker would read them."""
    (whole,) = read_record_batches(batch.bytes())
    return [(record.timestamp, record.key, record.value, tuple(record.headers)) for record in whole]
