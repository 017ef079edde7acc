"""Message sets of magic 0 and 1, as kafka-python still writes them."""

from __future__ import annotations

import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.legacy_records import LegacyRecordBatchBuilder

from kproto.wire import BadCount, BadCrc, DecodeError, TrailingBytes, Underrun
from kproto.wire.records import Compression, Record, RecordBatchBuilder, TimestampType, read_record_batches

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3}
FIELDS = st.none() | st.binary(max_size=30)
RECORDS = st.lists(st.tuples(st.integers(0, 2**62), FIELDS, FIELDS), min_size=1, max_size=6)


def built(magic, records, codec="none"):
    builder = LegacyRecordBatchBuilder(magic, CODECS[codec], 1 << 30)
    for offset, (timestamp, key, value) in enumerate(records):
        builder.append(offset, timestamp, key, value)
    return bytes(builder.build())


def with_crc(message):
    import zlib

    return message[:12] + zlib.crc32(message[16:]).to_bytes(4, "big") + message[16:]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("magic", [0, 1])
@given(records=RECORDS)
def test_leg_1_and_2_what_kafka_python_writes(magic, codec, records):
    batches = list(read_record_batches(built(magic, records, codec)))
    found = [record for batch in batches for record in batch]
    assert found == [
        Record(offset, timestamp if magic else -1, key, value, ())
        for offset, (timestamp, key, value) in enumerate(records)
    ]
    assert len(batches) == (len(records) if codec == "none" else 1)
    for batch in batches:
        assert batch.magic == magic
        assert batch.crc_valid
        assert str(batch.compression) == codec
        assert (batch.producer_id, batch.producer_epoch, batch.base_sequence, batch.partition_leader_epoch) == (-1,) * 4
        assert not (batch.transactional or batch.control or batch.has_delete_horizon)


def test_attributes_come_from_the_records():
    (batch,) = read_record_batches(built(1, [(5, b"a", b"b"), (3, None, None)], "gzip"))
    assert (batch.count, batch.base_offset, batch.last_offset, batch.last_offset_delta) == (2, 0, 1, 1)
    assert (batch.base_timestamp, batch.max_timestamp, batch.timestamp_type) == (5, 5, TimestampType.CREATE_TIME)
    assert repr(batch) == "LegacyBatch(magic=1, offset=0, compression='gzip')"


def test_leg_2_relative_offsets_count_back_from_the_wrapper():
    wrapper = built(1, [(5, b"a", b"b"), (6, b"c", b"d")], "gzip")
    (batch,) = read_record_batches((101).to_bytes(8, "big") + wrapper[8:])
    assert [record.offset for record in batch] == [100, 101]


def test_leg_3_log_append_time_is_the_wrappers():
    wrapper = bytearray(built(1, [(5, b"a", b"b"), (6, b"c", b"d")], "gzip"))
    wrapper[17] |= 8
    wrapper[18:26] = (99).to_bytes(8, "big")
    (batch,) = read_record_batches(with_crc(bytes(wrapper)))
    assert batch.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert [record.timestamp for record in batch] == [99, 99]


def test_leg_3_formats_may_follow_one_another():
    builder = RecordBatchBuilder()
    builder.append(7, b"k", b"v2")
    data = built(0, [(5, None, b"v0")]) + built(1, [(6, None, b"v1")]) + builder.build()
    assert [(batch.magic, next(iter(batch)).value) for batch in read_record_batches(data)] == [
        (0, b"v0"),
        (1, b"v1"),
        (2, b"v2"),
    ]


def test_lz4_of_magic_0_has_a_wrong_header_checksum():
    inner = built(0, [(5, None, b"v")])
    frame = lz4.frame.compress(inner, block_linked=False, store_size=False)
    broken = frame[:6] + bytes([frame[6] ^ 0x55]) + frame[7:]
    content = b"\0\3" + b"\xff" * 4 + len(broken).to_bytes(4, "big") + broken
    message = b"\0" * 8 + (len(content) + 4).to_bytes(4, "big") + b"\0" * 4 + content
    (batch,) = read_record_batches(with_crc(message))
    assert [record.value for record in batch] == [b"v"]
    content = b"\1\3" + b"\0" * 8 + content[2:]
    message = with_crc(b"\0" * 8 + (len(content) + 4).to_bytes(4, "big") + b"\0" * 4 + content)
    (batch,) = read_record_batches(message)
    with pytest.raises(DecodeError, match="lz4"):
        list(batch)


MESSAGE = built(1, [(5, b"key", b"value")])


def test_every_truncation_and_damaged_byte():
    for size in range(1, len(MESSAGE)):
        with pytest.raises(DecodeError):
            list(read_record_batches(MESSAGE[:size]))
    for at in range(12, len(MESSAGE)):
        damaged = MESSAGE[:at] + bytes([MESSAGE[at] ^ 1]) + MESSAGE[at + 1 :]
        with pytest.raises(DecodeError):
            list(read_record_batches(damaged))


@pytest.mark.parametrize(
    ("at", "data", "error", "text"),
    [
        (12, b"\1\2\3\4", BadCrc, "crc at byte 12: expected the CRC-32 of the message"),
        (17, b"\4", DecodeError, "attributes at byte 17: expected a codec of 0 to 3, found 4"),
        (26, b"\xff\xff\xff\xfe", BadCount, "key at byte 26: expected a length of -1 or more, found -2"),
        (26, b"\0\0\0\x7f", Underrun, "key at byte 30: need 127 bytes, 12 remain"),
        (33, b"\0\0\0\4", TrailingBytes, "at byte 41: expected the end of the message, found 1 more bytes"),
    ],
)
def test_wrong_messages_say_where(at, data, error, text):
    with pytest.raises(error, match=rf"RecordBatch\[0\] ?{text}"):
        list(read_record_batches(MESSAGE[:at] + data + MESSAGE[at + len(data) :]))


@pytest.mark.parametrize("size", [5, 9])
def test_messages_too_short_for_their_head(size):
    message = b"\0" * 8 + size.to_bytes(4, "big") + b"\0" * 4 + b"\1" + b"\0" * (size - 5)
    with pytest.raises(Underrun):
        list(read_record_batches(message))


def wrapped(inner):
    import gzip

    compressed = gzip.compress(inner or b"", mtime=0)  # the ids of the cases hold the bytes: no clock in them
    value = b"\xff" * 4 if inner is None else len(compressed).to_bytes(4, "big") + compressed
    content = b"\1\1" + b"\0" * 8 + b"\xff" * 4 + value
    return with_crc(b"\0" * 8 + (len(content) + 4).to_bytes(4, "big") + b"\0" * 4 + content)


@pytest.mark.parametrize(
    ("inner", "error", "text"),
    [
        (None, DecodeError, "value at byte 0: expected a compressed message set, found null"),
        (b"", DecodeError, "value at byte 0: expected one message or more, found none"),
        (b"\0" * 5, Underrun, "at byte 0: need 12 bytes, 5 remain"),
        (b"\0" * 8 + b"\xff" * 4, BadCount, "expected a message size of 0 or more, found -1"),
        (MESSAGE[:-1], Underrun, "at byte 0: need 42 bytes, 41 remain"),
        (MESSAGE[:12] + b"\0\0\0\0" + MESSAGE[16:], BadCrc, "CRC-32 of the message"),
        (built(0, [(5, b"k", b"v")]), DecodeError, "expected a plain message of magic 1, found another kind"),
        (wrapped(MESSAGE), DecodeError, "expected a plain message of magic 1, found another kind"),
    ],
)
def test_wrong_inner_sets_say_what(inner, error, text):
    (batch,) = read_record_batches(wrapped(inner))
    with pytest.raises(error, match=text):
        list(batch)


def test_an_inner_set_may_not_outgrow_the_limit():
    (batch,) = read_record_batches(wrapped(MESSAGE), max_size=10)
    assert batch.compression is Compression.GZIP
    with pytest.raises(DecodeError, match="at most 10 bytes decompressed"):
        list(batch)
