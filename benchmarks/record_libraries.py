"""Record batches through each library: records to bytes, and bytes to what its user gets.

Building is a loop over the library's `append`, then its `build`, with the checksum. Reading ends in the objects of the
consumer's API, checksum verified; the checks that a peer's consumer does on its way belong to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, Final

from aiokafka.consumer.fetcher import READ_UNCOMMITTED
from aiokafka.consumer.fetcher import PartitionRecords as AiokafkaPartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder as AiokafkaBuilder
from aiokafka.record.memory_records import MemoryRecords as AiokafkaRecords
from aiokafka.structs import TopicPartition as AiokafkaPartition
from kafka.consumer.fetcher import Fetcher as KafkaPythonFetcher
from kafka.record.default_records import DefaultRecordBatchBuilder as KafkaPythonBuilder
from kafka.record.memory_records import MemoryRecords as KafkaPythonRecords
from kafka.structs import TopicPartition as KafkaPythonPartition
from kio.records.readers import read_batch as kio_read_batch

from benchmarks.workloads import Records
from kproto.wire.records import Compression, RawRecord, RecordBatchBuilder, read_record_batches

__all__ = [
    "BUILD",
    "READ",
    "build_by_kproto",
    "read_raw_by_kproto",
    "shown_batch",
    "shown_records",
    "touch",
    "touch_raw",
]

# Without its C extension, aiokafka would be another contender.
assert AiokafkaBuilder.__module__ == "aiokafka.record._crecords.default_records", AiokafkaBuilder
assert AiokafkaRecords.__module__ == "aiokafka.record._crecords.memory_records", AiokafkaRecords

MAGIC: Final = 2
BATCH_SIZE: Final = 1 << 30  # bytes: no batch here gets full
TOPIC: Final = "orders"
LEADER_EPOCH: Final = slice(12, 16)  # of a batch: the broker's to write, so each library has its own placeholder


def build_by_kproto(records: Records, codec: Compression = Compression.NONE, level: int | None = None) -> bytes:
    """level: None for kproto's default."""
    builder = RecordBatchBuilder(codec, level)
    append = builder.append
    for timestamp, key, value, headers in records:
        append(timestamp, key, value, headers)
    return builder.build()


def build_by_kafka_python(records: Records, codec: Compression = Compression.NONE) -> Any:
    """A bytearray, as its sender takes it."""
    builder = KafkaPythonBuilder(MAGIC, int(codec), False, -1, -1, -1, BATCH_SIZE)
    append = builder.append
    for offset, (timestamp, key, value, headers) in enumerate(records):
        append(offset, timestamp, key, value, headers)
    return builder.build()


def build_by_aiokafka(records: Records, codec: Compression = Compression.NONE) -> Any:
    """A bytearray, as its sender takes it."""
    builder = AiokafkaBuilder(MAGIC, int(codec), False, -1, -1, -1, BATCH_SIZE)
    append = builder.append
    for offset, (timestamp, key, value, headers) in enumerate(records):
        append(offset, timestamp, key, value, headers)
    return builder.build()


BUILD: Final[dict[str, Callable[..., Any]]] = {
    "kproto": build_by_kproto,
    "kafka-python": build_by_kafka_python,
    "aiokafka": build_by_aiokafka,
}


def shown_batch(batch: bytes | bytearray) -> bytes:
    """An uncompressed batch without the field in which libraries may differ."""
    shown = bytearray(batch)
    shown[LEADER_EPOCH] = bytes(4)
    return bytes(shown)


def read_by_kproto(data: bytes) -> Iterable[Any]:
    """Record."""
    return chain.from_iterable(read_record_batches(data))


def read_raw_by_kproto(data: bytes) -> Iterable[RawRecord]:
    """RawRecord: the headers are decoded when they are asked for."""
    return chain.from_iterable(batch.raw_records() for batch in read_record_batches(data))  # type: ignore[union-attr]  # all are v2


def read_by_kafka_python(data: bytes) -> Iterable[Any]:
    """ConsumerRecord, in lists, as its `poll` returns them."""
    partition = KafkaPythonPartition(TOPIC, 0)
    taken: list[Any] = KafkaPythonFetcher.PartitionRecords(0, partition, KafkaPythonRecords(data)).take()
    return taken


def read_by_aiokafka(data: bytes) -> Iterable[Any]:
    """ConsumerRecord, one at a time."""
    partition = AiokafkaPartition(TOPIC, 0)
    made: Iterable[Any] = AiokafkaPartitionRecords(
        partition, AiokafkaRecords(data), None, 0, None, None, True, READ_UNCOMMITTED
    )
    return made


def read_by_kio(data: bytes) -> Iterable[Any]:
    """Its Record, of the one batch that it reads; it has no consumer."""
    batch, _ = kio_read_batch(data, 0)
    return batch.records


READ: Final[dict[str, Callable[[bytes], Iterable[Any]]]] = {
    "kproto": read_by_kproto,
    "kafka-python": read_by_kafka_python,
    "aiokafka": read_by_aiokafka,
    "kio": read_by_kio,
}


def touch(records: Iterable[Any]) -> None:
    """Read what a user reads of each record."""
    for record in records:
        _ = record.offset
        _ = record.timestamp
        _ = record.key
        _ = record.value
        _ = record.headers


def touch_raw(records: Iterable[RawRecord]) -> None:
    """As `touch`, but leave the headers undecoded."""
    for record in records:
        _ = record.offset
        _ = record.timestamp
        _ = record.key
        _ = record.value
        _ = record.header_bytes


def shown_records(found: Iterable[Any], built: Records) -> list[tuple[Any, ...]]:
    """What was read, as plain tuples. built: the records that the batch was made of."""
    return [
        (record.offset, _milliseconds(record.timestamp, timestamp), record.key, record.value, _headers(record.headers))
        for record, (timestamp, *_) in zip(found, built, strict=True)
    ]


def _milliseconds(found: Any, built: int) -> int:
    """kio gives a datetime, and drops the milliseconds: they are added again where the seconds are right."""
    if isinstance(found, int):
        return found
    seconds = int(found.timestamp())
    return built if seconds == built // 1000 else seconds * 1000


def _headers(headers: Iterable[Any]) -> list[tuple[str, bytes | None]]:
    """kio leaves the keys bytes."""
    return [header if isinstance(header, tuple) else (header.key.decode(), header.value) for header in headers]
