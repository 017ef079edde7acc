"""Whether a partition takes the bytes that a Produce request has for it.

Layer: tools. Knows one batch and its topic's settings; knows no producer state.
Source: org.apache.kafka.common.requests.ProduceRequest.validateRecords; UnifiedLog.analyzeAndValidateRecords and
LogValidator of org.apache.kafka.storage.internals.log.

Stricter than Kafka on purpose, so that a producer's mistakes show: bytes behind the batch are refused (Kafka cuts off
what is shorter than a batch), and so are offset deltas with gaps in an uncompressed batch (Kafka looks at them only
where it decompresses) and the attribute of LogAppendTime (Kafka overwrites it).
"""

from __future__ import annotations

from typing import Final

from kproto.tools.judge.image import TopicConfig
from kproto.wire import DecodeError, DecompressionError, ErrorCode, KafkaError, Underrun
from kproto.wire.records import (
    Compression,
    LegacyBatch,
    Record,
    RecordBatch,
    TimestampType,
    read_record_batches,
)

__all__ = ["RecordErrors", "Refused", "only_batch", "validated_records"]

ZSTD_SINCE: Final = 7  # KIP-110
MAGIC_AT: Final = 16
MAGIC: Final = 2
RecordErrors = tuple[tuple[int, str], ...]
"""(index in the batch, why), of each record that is refused (KIP-467)."""


class Refused(KafkaError):
    """A batch that is not taken: the code of the answer, and why."""

    def __init__(self, code: int, why: str, record_errors: RecordErrors = ()) -> None:
        super().__init__(code, why, record_errors)
        self.code = code
        self.why = why
        self.record_errors = record_errors


def only_batch(data: bytes | None, version: int) -> RecordBatch:
    """The one batch of magic 2 that each partition of Produce 3 and later has. Raises Refused."""
    try:
        batches = list(read_record_batches(data or b"", verify_crc=False))
    except Underrun as error:
        raise Refused(ErrorCode.INVALID_RECORD, str(error)) from error
    except DecodeError as error:
        # For a codec that does not exist Kafka answers -1 to the whole request; a magic above 2 is corrupt. Below 2 it
        # does not look further (ProduceRequest.validateRecords).
        legacy = data is not None and len(data) > MAGIC_AT and data[MAGIC_AT] < MAGIC
        code = ErrorCode.INVALID_RECORD if legacy else ErrorCode.CORRUPT_MESSAGE
        raise Refused(code, str(error)) from error
    if len(batches) != 1:
        raise Refused(ErrorCode.INVALID_RECORD, f"{len(batches)} batches for a partition, where one has to be")
    (batch,) = batches
    if isinstance(batch, LegacyBatch):
        raise Refused(ErrorCode.INVALID_RECORD, f"magic {batch.magic}, where 2 has to be")
    if batch.compression is Compression.ZSTD and version < ZSTD_SINCE:
        raise Refused(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"zstd in Produce {version}: {ZSTD_SINCE} brought it")
    return batch


def validated_records(batch: RecordBatch, config: TopicConfig, wall_ms: int) -> list[Record]:
    """The records, once nothing is wrong with them. wall_ms: the broker's clock, since the epoch. Raises Refused."""
    _check_envelope(batch, config)
    _check_header(batch)
    try:
        records = batch.records()
    except DecompressionError as error:
        # Kafka's codecs raise what its API layer has no code for.
        raise Refused(ErrorCode.UNKNOWN_SERVER_ERROR, str(error)) from error
    except DecodeError as error:
        raise Refused(ErrorCode.INVALID_RECORD, str(error)) from error
    _check_offsets(batch, records)
    errors = [(index, why) for index, record in enumerate(records) if (why := _key_error(record, config))]
    if errors:
        raise _refused_records(errors)
    if config.timestamp_after_max_ms is not None and not config.log_append_time:
        limit_ms = wall_ms + config.timestamp_after_max_ms
        late = [(index, f"timestamp {one.timestamp}") for index, one in enumerate(records) if one.timestamp > limit_ms]
        if late:
            raise Refused(ErrorCode.INVALID_TIMESTAMP, f"timestamps beyond {limit_ms}", tuple(late))
    return records


def _check_envelope(batch: RecordBatch, config: TopicConfig) -> None:
    """UnifiedLog.analyzeAndValidateRecords: the size before the checksum."""
    if batch.base_offset != 0:
        raise Refused(ErrorCode.INVALID_RECORD, f"base offset {batch.base_offset}, where 0 has to be")
    if batch.size > config.max_message_bytes:
        raise Refused(ErrorCode.MESSAGE_TOO_LARGE, f"{batch.size} bytes, the topic takes {config.max_message_bytes}")
    if not batch.crc_valid:
        raise Refused(ErrorCode.CORRUPT_MESSAGE, f"checksum {batch.crc:#010x} is not that of the bytes")


def _check_header(batch: RecordBatch) -> None:
    """LogValidator.validateBatch."""
    if batch.count <= 0 or batch.last_offset_delta + 1 != batch.count:
        why = f"{batch.count} records, last offset delta {batch.last_offset_delta}"
    elif batch.control:
        why = "control records are the broker's"
    elif batch.producer_id >= 0 and batch.base_sequence < 0:
        why = f"producer id {batch.producer_id} with sequence {batch.base_sequence}"
    elif batch.timestamp_type is TimestampType.LOG_APPEND_TIME:
        why = "the log append time is the broker's to set"
    else:
        return
    raise Refused(ErrorCode.INVALID_RECORD, why)


def _check_offsets(batch: RecordBatch, records: list[Record]) -> None:
    for index, record in enumerate(records):
        if record.offset != index:
            # LogValidator would build a compressed batch anew, from records that it has skipped the keys of: error -1.
            packed = batch.compression is not Compression.NONE
            code = ErrorCode.UNKNOWN_SERVER_ERROR if packed else ErrorCode.INVALID_RECORD
            raise Refused(code, f"offset delta {record.offset}, where {index} has to be")


def _key_error(record: Record, config: TopicConfig) -> str:
    return "Compacted topic cannot accept message without key" if config.compacted and record.key is None else ""


def _refused_records(errors: list[tuple[int, str]]) -> Refused:
    shown = "; ".join(f"record {index}: {why}" for index, why in errors[:3])
    return Refused(ErrorCode.INVALID_RECORD, f"{len(errors)} records refused: {shown}", tuple(errors))
