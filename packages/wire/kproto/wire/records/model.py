"""What a record is, and the numbers of its batch.

Layer: wire. Knows no bytes.
Source: KIP-98, KIP-82 (headers), KIP-32 (timestamps); org.apache.kafka.common.record.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, NamedTuple

from kproto.wire.errors import EncodeError
from kproto.wire.messages.init_producer_id import NO_PRODUCER_EPOCH, NO_PRODUCER_ID
from kproto.wire.plain import did_you_mean

__all__ = [
    "NO_PRODUCER_EPOCH",
    "NO_PRODUCER_ID",
    "NO_SEQUENCE",
    "NO_TIMESTAMP",
    "RECORD_BATCH_OVERHEAD",
    "Compression",
    "ControlType",
    "Header",
    "RawRecord",
    "Record",
    "TimestampType",
]

NO_SEQUENCE: Final = -1
NO_TIMESTAMP: Final = -1  # what a magic 0 message has
RECORD_BATCH_OVERHEAD: Final = 61  # bytes before the first record

Header = tuple[str, bytes | None]


class Record(NamedTuple):
    """A record as it is read. timestamp: milliseconds since the epoch, -1 for none; headers in their order."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]


class RawRecord(NamedTuple):
    """A record whose headers are still bytes: their count, then each; `headers` decodes them when it is asked.

    The other fields are Record's. Raises DecodeError from `headers`, whose offsets count from the header bytes' start.
    """

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    header_bytes: bytes

    @property
    def headers(self) -> tuple[Header, ...]:
        """The headers in their order, decoded anew each time."""
        from kproto.wire.records.record_loop import loop_whole_headers

        return loop_whole_headers(self.header_bytes)


class Compression(IntEnum):
    """A codec by its number in the attributes. `str()` of a member is the name that `of` takes."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, codec: Any) -> Compression:
        """The codec of a name ("zstd"), a number or a member; None is none. Raises EncodeError for anything else."""
        if codec is None:
            return cls.NONE
        if codec.__class__ is cls:
            return codec
        if isinstance(codec, str):
            if codec.upper() in cls.__members__:
                return cls[codec.upper()]
            raise EncodeError("compression", codec, f"is no codec, {did_you_mean(codec, map(str, cls))}")
        try:
            return cls(codec)
        except ValueError:
            raise EncodeError("compression", codec, f"is no codec, known are {', '.join(map(str, cls))}") from None


class TimestampType(IntEnum):
    """Who set a batch's timestamps: its producer, or the broker when it was appended."""

    CREATE_TIME = 0
    LOG_APPEND_TIME = 1


class ControlType(IntEnum):
    """What a control batch says. Source: org.apache.kafka.common.record.ControlRecordType."""

    ABORT = 0
    COMMIT = 1
    LEADER_CHANGE = 2
    SNAPSHOT_HEADER = 3
    SNAPSHOT_FOOTER = 4
    KRAFT_VERSION = 5
    KRAFT_VOTERS = 6
