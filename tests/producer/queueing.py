"""What the tests of the accumulator's parts share: settings without a network, accumulators, records, batches."""

from __future__ import annotations

from contextlib import nullcontext
from random import Random

from kproto.client import TopicPartition
from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.batch import ProducerBatch
from kproto.producer.config import ProducerConfig
from kproto.producer.errors import DeliveryError
from kproto.producer.partitioner import PartitionChoices
from kproto.producer.record import WriteStatus
from kproto.wire.records import RecordBatchBuilder, read_record_batches

AT_MS = 1_700_000_000_000
ORDERS = TopicPartition("orders", 0)
PLAIN = b"abcdefgh"


def config_of(**settings):
    return ProducerConfig.of(bootstrap_servers="judge:9092", **settings)


def accumulator_of(*, lock=None, observer=None, seed=1, **settings):
    """An accumulator, with topic orders of three partitions."""
    accumulator = RecordAccumulator(
        config_of(**settings), lock=nullcontext() if lock is None else lock, rng=Random(seed), observer=observer
    )
    accumulator.topic("orders").choices = PartitionChoices((0, 1, 2), (0, 1, 2))
    return accumulator


def fields(value=PLAIN, key=None, headers=(), at_ms=AT_MS):
    return (at_ms, key, value, headers)


def append(accumulator, value=PLAIN, partition=0, *, now_ms=0, **options):
    return accumulator.append(accumulator.topic("orders"), partition, fields(value), now_ms=now_ms, **options)


def queue_of(accumulator, partition=0):
    return accumulator.topic("orders").queue(partition)


def batch_of(*values, partition=ORDERS, number=1, limit=16_384, compression="none", created_ms=0, reserved=0):
    """An open batch with these values."""
    batch = ProducerBatch(
        partition, number, RecordBatchBuilder(compression), limit=limit, reserved=reserved, created_ms=created_ms
    )
    for value in values:
        batch.append(AT_MS, None, value, (), None)
    return batch


def sealed(*values, **options):
    batch = batch_of(*values, **options)
    batch.close()
    batch.claimed = True
    batch.seal()
    return batch


def failure(partition=ORDERS, why="of no use"):
    return DeliveryError(partition, WriteStatus.NO, why)


def seal(accumulator, batch):
    """Compressed by some thread, and charged by the sender's next pass."""
    accumulator.seal(batch)
    accumulator.charge_all_sealed()


def records_of(data):
    (whole,) = read_record_batches(data)
    return [record.value for record in whole]
