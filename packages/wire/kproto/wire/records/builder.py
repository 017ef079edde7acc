"""Builds a v2 record batch, record by record: each is encoded when it is appended, so the size is always exact.

Layer: wire. Knows records and bytes; knows no partition, limit or time. Proven equal to RECORD_BATCH in schema.py.
Source: KIP-98; org.apache.kafka.common.record.MemoryRecordsBuilder, DefaultRecord.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kproto.wire.errors import EncodeError
from kproto.wire.records.columns import RecordColumns
from kproto.wire.records.compression import check_level, compress
from kproto.wire.records.header_writer import NULL, ZIGZAG, encode_headers, nullable_bytes
from kproto.wire.records.model import (
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    RECORD_BATCH_OVERHEAD,
    Compression,
)
from kproto.wire.records.stamp import HEADER_GAP, check_stamp, pack_header
from kproto.wire.varint import encode_varint, encode_varlong

__all__ = ["RecordBatchBuilder"]

TIMESTAMP_MAX: Final = 2**63 - 2  # ms: so that its distance from any first timestamp, -1 included, fits 64 bits
BATCH_SIZE_MAX: Final = 2**31 - 1 + 12  # the length field does not count the offset and itself
TRANSACTIONAL: Final = 0x10

# Look-ups in place of arithmetic: a length, count or delta below 8192 has a varint of one or two bytes.
ZIGZAG_PLUS_SIZE: Final = tuple(range(1, 65)) + tuple(range(66, 8194))  # a length and the bytes of its varint
HEADS: Final = tuple(b"\0" + delta for delta in ZIGZAG)  # attributes, and the timestamp delta
HEADS_SIZE: Final = len(HEADS)
NOT_YET: Final = -(2**63)  # further from any timestamp than HEADS reach
NO_HEADERS: Final = b"\0"


class RecordBatchBuilder:
    """One batch under construction.

    compression: "none", "gzip", "snappy", "lz4", "zstd", or a Compression; compression_level: None for the codec's
    default, else a level of `LEVELS`. Raises EncodeError for a codec or level that does not exist.
    Not thread-safe: one thread at a time.

    >>> builder = RecordBatchBuilder()
    >>> builder.append(1_500_000_000_000, b"k", b"v")
    >>> builder.size, len(builder.build())
    (71, 71)
    """

    __slots__ = (
        "_base",
        "_data",
        "_data_count",
        "_discarded",
        "_head",
        "_sealed",
        "_timestamp",
        "base_timestamp",
        "compression",
        "compression_level",
        "count",
        "max_timestamp",
        "parts",
        "size",
    )

    def __init__(
        self, compression: Compression | str | int | None = "none", compression_level: int | None = None
    ) -> None:
        self.compression = Compression.of(compression)
        check_level(self.compression, compression_level)
        self.compression_level = compression_level
        self.count = 0
        """Records appended."""
        self.size = RECORD_BATCH_OVERHEAD
        """Bytes of the batch without compression, its header included."""
        self.base_timestamp = NO_TIMESTAMP
        """The first record's timestamp, in ms since the epoch; -1 while the batch is empty."""
        self.max_timestamp = NO_TIMESTAMP
        self.parts: list[bytes] = [HEADER_GAP]
        """What is appended, in pieces; who adds a record here counts it in `count` and `size`, too."""
        self._timestamp = NOT_YET  # the last one, and its head: records of one millisecond come together
        self._head = NULL
        self._base = NOT_YET
        self._data = bytearray()  # the batch, as far as it was built: with a header that `build` packs
        self._data_count = 0
        self._sealed = False
        self._discarded = False

    def append(
        self,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes | None]] = (),
    ) -> None:
        """Add a record, or raise EncodeError and add nothing.

        timestamp_ms: since the epoch, or -1 for none; it may go back. key, value: any buffer of bytes, copied unless it
        is bytes, or None. headers: pairs of str and bytes or None, in order.
        """
        if value.__class__ is bytes and (key is None or key.__class__ is bytes):
            if headers:
                tail = encode_headers(headers)
                tail_size = len(tail)
            else:
                tail = NO_HEADERS
                tail_size = 1
            try:
                if timestamp_ms == self._timestamp and timestamp_ms.__class__ is int:
                    head = self._head
                else:
                    delta = timestamp_ms - self._base
                    if 0 <= delta < HEADS_SIZE and timestamp_ms.__class__ is int:
                        head = HEADS[delta]
                        if timestamp_ms > self.max_timestamp:
                            self.max_timestamp = timestamp_ms
                    else:
                        head = self._new_head(timestamp_ms)
                    self._timestamp = timestamp_ms
                    self._head = head
                count = self.count
                offset = ZIGZAG[count]
                value_size = len(value)
                if key is None:
                    size = len(head) + len(offset) + ZIGZAG_PLUS_SIZE[value_size] + tail_size + 1
                    parts = self.parts
                    parts += (ZIGZAG[size], head, offset, NULL, ZIGZAG[value_size], value, tail)
                else:
                    key_size = len(key)
                    size = (
                        len(head) + len(offset) + ZIGZAG_PLUS_SIZE[key_size] + ZIGZAG_PLUS_SIZE[value_size] + tail_size
                    )
                    parts = self.parts
                    parts += (ZIGZAG[size], head, offset, ZIGZAG[key_size], key, ZIGZAG[value_size], value, tail)
                self.count = count + 1
                self.size += ZIGZAG_PLUS_SIZE[size]
                return
            except (IndexError, TypeError):  # a length or number that no table holds, or no number at all
                pass
        self._append(timestamp_ms, nullable_bytes(key, "key"), nullable_bytes(value, "value"), headers)

    def extend(
        self,
        timestamp_ms: int,
        columns: RecordColumns,
        start: int = 0,
        stop: int | None = None,
        *,
        size_limit: int = BATCH_SIZE_MAX,
    ) -> int:
        """Add the records of the columns from `start` up to `stop`, as many as leave `size` within the limit; how many.

        The bytes are those of as many calls of `append`. timestamp_ms: of all of them, as in `append`. Raises
        EncodeError, and then nothing is added.
        """
        if timestamp_ms.__class__ is not int:
            self._new_head(timestamp_ms)  # which says what is wrong
        count, base = self.count, self._base if self.count else timestamp_ms
        taken, data = columns.take(start, stop, size_limit - self.size, count, timestamp_ms - base)
        if not taken:
            return 0
        self._new_head(timestamp_ms)
        parts, size = (data,), self.size + len(data)
        # No call between these: as in `_append`.
        self.parts += parts
        self.count = count + taken
        self.size = size
        return taken

    def _append(
        self,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes | None]],
    ) -> None:
        """Any record, also a large one, one with headers, or one of other buffers: the plain twin of the code above."""
        tail = encode_headers(headers)
        head = self._new_head(timestamp_ms) + encode_varint(self.count)
        key_size = NULL if key is None else encode_varint(len(key))
        value_size = NULL if value is None else encode_varint(len(value))
        record = b"".join((head, key_size, key or b"", value_size, value or b"", tail))
        record_size = encode_varint(len(record))
        size = self.size + len(record_size) + len(record)
        # No call between these: a signal handler that raises finds the record appended as a whole, or not at all.
        self.parts += (record_size, record)
        self.count += 1
        self.size = size

    def _new_head(self, timestamp_ms: int) -> bytes:
        """Attributes and timestamp delta; the first timestamp becomes the base."""
        if self._sealed:
            raise EncodeError("RecordBatch", self.count, "is sealed: it takes no more records")
        if timestamp_ms.__class__ is not int or not NO_TIMESTAMP <= timestamp_ms <= TIMESTAMP_MAX:
            raise EncodeError("Record timestamp_ms", timestamp_ms, f"is no int from -1 to {TIMESTAMP_MAX}")
        if not self.count:
            self.base_timestamp = self._base = self.max_timestamp = timestamp_ms
        elif timestamp_ms > self.max_timestamp:
            self.max_timestamp = timestamp_ms
        return b"\0" + encode_varlong(timestamp_ms - self._base)

    def size_after(
        self,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes | None]] = (),
    ) -> int:
        """What `size` would be after this record, which is not appended. Raises as `append`; headers: a sequence."""
        if self._sealed:
            raise EncodeError("RecordBatch", self.count, "is sealed: it takes no more records")
        trial = RecordBatchBuilder()
        trial.count = self.count
        trial._base = self._base
        trial.append(timestamp_ms, key, value, headers)
        return self.size + trial.size - RECORD_BATCH_OVERHEAD

    def seal(self) -> int:
        """Compress what was appended, and take no more: `append` raises from now on. The size of the batch as built.

        May be called again. The memory of the single records is given back.
        """
        if not self._sealed:
            self._compress()
            self.parts = []
            self._base = self._timestamp = NOT_YET  # so that `append` comes to where it is refused
            self._sealed = True
        size = len(self._data)
        if self._discarded:
            self._data = bytearray()
        return size

    def discard(self) -> None:
        """Give the memory of the records back: it is not to be appended to or built any more. `count` and `size` stay.

        By another thread than that in `seal`, too.
        """
        self._discarded = self._sealed = True
        self._base = self._timestamp = NOT_YET
        self.parts = []
        self._data = bytearray()

    def build(
        self,
        producer_id: int = NO_PRODUCER_ID,
        producer_epoch: int = NO_PRODUCER_EPOCH,
        base_sequence: int = NO_SEQUENCE,
        transactional: bool = False,
    ) -> bytes:
        """The batch: base offset 0, partition leader epoch -1.

        May be called again, with other producer ids too: the records are neither encoded nor compressed again.
        Raises EncodeError for an empty batch, a batch above 2**31 bytes, a producer id without epoch and sequence, and
        a transactional batch without a producer id.
        """
        return bytes(self._build(producer_id, producer_epoch, base_sequence, transactional))

    def finish(
        self,
        producer_id: int = NO_PRODUCER_ID,
        producer_epoch: int = NO_PRODUCER_EPOCH,
        base_sequence: int = NO_SEQUENCE,
        transactional: bool = False,
    ) -> bytearray:
        """As `build`, but in the memory of the builder, not copied; then it is discarded."""
        data = self._build(producer_id, producer_epoch, base_sequence, transactional)
        self.discard()
        return data

    def _build(self, producer_id: int, producer_epoch: int, base_sequence: int, transactional: bool) -> bytearray:
        check_stamp(producer_id, producer_epoch, base_sequence)
        if transactional and producer_id == NO_PRODUCER_ID:
            raise EncodeError("RecordBatch producer_id", producer_id, "a transactional batch needs one")
        if not self.count:
            raise EncodeError("RecordBatch", 0, "a batch holds at least one record")
        if self._discarded:
            raise EncodeError("RecordBatch", self.count, "was discarded")
        if self.size > BATCH_SIZE_MAX:
            raise EncodeError("RecordBatch", self.size, f"a batch has at most {BATCH_SIZE_MAX} bytes")
        data = self._compress()
        attributes = self.compression | (TRANSACTIONAL if transactional else 0)
        base, newest = self.base_timestamp, self.max_timestamp
        pack_header(data, attributes, self.count, base, newest, producer_id, producer_epoch, base_sequence)
        return data

    def _compress(self) -> bytearray:
        if self._data_count != self.count or not self._data:
            if self.compression is Compression.NONE:
                self._data = bytearray().join(self.parts)
            else:
                body = b"".join(self.parts[1:])
                self._data = bytearray().join((HEADER_GAP, compress(self.compression, body, self.compression_level)))
            self._data_count = self.count
        return self._data
