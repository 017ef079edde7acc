"""Record batches: built by appending, read by iterating.

Layer: wire. `schema.py` declares the format; `builder.py` and `reader.py`, proven equal to it, are what serves.
"""

from kproto.wire.records.builder import RecordBatchBuilder
from kproto.wire.records.columns import RecordColumns
from kproto.wire.records.legacy import LegacyBatch
from kproto.wire.records.model import (
    NO_SEQUENCE,
    NO_TIMESTAMP,
    RECORD_BATCH_OVERHEAD,
    Compression,
    ControlType,
    Header,
    RawRecord,
    Record,
    TimestampType,
)
from kproto.wire.records.reader import DECOMPRESSED_SIZE_MAX, ControlRecord, RecordBatch, read_record_batches
from kproto.wire.records.record_heads import record_heads, sized_bytes
from kproto.wire.records.stamp import restamp

__all__ = [
    "DECOMPRESSED_SIZE_MAX",
    "NO_SEQUENCE",
    "NO_TIMESTAMP",
    "RECORD_BATCH_OVERHEAD",
    "Compression",
    "ControlRecord",
    "ControlType",
    "Header",
    "LegacyBatch",
    "RawRecord",
    "Record",
    "RecordBatch",
    "RecordBatchBuilder",
    "RecordColumns",
    "TimestampType",
    "read_record_batches",
    "record_heads",
    "restamp",
    "sized_bytes",
]
