"""Each way in which a batch can be wrong; tests/brokers/test_judge_differential.py asks Kafka the same."""

from __future__ import annotations

from struct import pack
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.judge.judging import AT_MS, batch, changed

from kproto.tools.judge import TopicConfig
from kproto.tools.judge.validator import Refused, only_batch, validated_records
from kproto.wire import ErrorCode
from kproto.wire.records import Compression
from kproto.wire.records.compression import compress

TWO = batch(0, 2)


def refusal(data, config=TopicConfig(), version=12, wall_ms=AT_MS):  # noqa: B008 - frozen
    with pytest.raises(Refused) as caught:
        validated_records(only_batch(data, version), config, wall_ms)
    return caught.value


INVALID, CORRUPT, UNKNOWN = ErrorCode.INVALID_RECORD, ErrorCode.CORRUPT_MESSAGE, ErrorCode.UNKNOWN_SERVER_ERROR


def message_of_magic_1():
    """What brokers before 0.11 took."""
    covered = pack(">bbqi4si5s", 1, 0, AT_MS, 4, b"keys", 5, b"value")
    return pack(">qiI", 0, 4 + len(covered), crc32(covered)) + covered


WRONG = {
    "null": (INVALID, None),
    "empty": (INVALID, b""),
    "cut": (INVALID, TWO[:-1]),
    "two": (INVALID, TWO + TWO),
    "something behind": (INVALID, TWO + b"behind"),
    "a message of magic 1": (INVALID, message_of_magic_1()),
    "magic 1": (INVALID, changed(TWO, 16, ">b", 1)),
    "magic 1, one record": (INVALID, changed(batch(), 16, ">b", 1)),
    "magic 3": (CORRUPT, changed(TWO, 16, ">b", 3)),
    "length": (CORRUPT, changed(TWO, 8, ">i", 20)),
    "crc": (CORRUPT, TWO[:17] + b"\0\0\0\0" + TWO[21:]),
    "base offset": (INVALID, changed(TWO, 0, ">q", 5)),
    "control": (INVALID, changed(TWO, 21, ">h", 0x20)),
    "log append time": (INVALID, changed(TWO, 21, ">h", 0x08)),
    "last offset delta": (INVALID, changed(TWO, 23, ">i", 5)),
    "more records": (INVALID, changed(changed(TWO, 57, ">i", 5), 23, ">i", 4)),
    "fewer records": (INVALID, changed(changed(TWO, 57, ">i", 1), 23, ">i", 0)),
    "no records": (INVALID, changed(changed(TWO, 57, ">i", 0), 23, ">i", -1)),
    "no sequence": (INVALID, changed(TWO, 53, ">i", -1)),
    "gap in offsets": (INVALID, changed(TWO, 64, ">b", 2)),
    "broken record": (INVALID, changed(TWO, 61, ">b", 2)),
    "no gzip": (UNKNOWN, changed(TWO, 21, ">h", 1)),
}


@pytest.mark.parametrize("name", WRONG)
def test_batch_w8_one_whole_batch_of_magic_2(name):
    """BATCH-W8"""
    code, data = WRONG[name]
    assert refusal(data).code == code


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_a_good_batch_is_taken(compression):
    found = validated_records(only_batch(batch(0, 3, compression=compression), 12), TopicConfig(), AT_MS)
    assert [(one.offset, one.timestamp, one.value) for one in found] == [(n, AT_MS + n, b"v") for n in range(3)]


def test_batch_w8_zstd_needs_version_7():
    """BATCH-W8"""
    data = batch(compression="zstd")
    assert only_batch(data, 7).count == 1
    assert refusal(data, version=6).code == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE


def test_a_gap_in_a_compressed_batch_is_an_error_of_the_brokers():
    """Kafka would build it anew, from records whose keys it has not read: see test_judge_differential.py."""
    data = changed(batch(records=2), 64, ">b", 2)
    packed = compress(Compression.GZIP, data[61:], None)
    assert refusal(changed(changed(data[:61] + packed, 8, ">i", 49 + len(packed)), 21, ">h", 1)).code == UNKNOWN


def test_the_size_is_looked_at_before_the_checksum():
    small = TopicConfig(max_message_bytes=len(TWO) - 1)
    assert refusal(TWO, small).code == ErrorCode.MESSAGE_TOO_LARGE
    assert refusal(TWO[:17] + b"\0\0\0\0" + TWO[21:], small).code == ErrorCode.MESSAGE_TOO_LARGE
    assert len(validated_records(only_batch(TWO, 12), TopicConfig(max_message_bytes=len(TWO)), AT_MS)) == 2


def test_a_compacted_topic_names_each_record_without_key():
    error = refusal(batch(0, 3, key=None), TopicConfig(compacted=True))
    assert (error.code, [index for index, _ in error.record_errors]) == (INVALID, [0, 1, 2])


def test_timestamps_may_be_limited():
    limited = TopicConfig(timestamp_after_max_ms=10)
    error = refusal(batch(0, 12, at_ms=AT_MS), limited)
    assert (error.code, [index for index, _ in error.record_errors]) == (ErrorCode.INVALID_TIMESTAMP, [11])
    assert len(validated_records(only_batch(batch(0, 11), 12), limited, AT_MS)) == 11
    stamped = TopicConfig(timestamp_after_max_ms=10, log_append_time=True)
    assert len(validated_records(only_batch(batch(0, 12), 12), stamped, AT_MS)) == 12


@given(st.integers(0, len(TWO) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_never_taken_unseen(at, flip):
    """Base offset, length, magic and checksum guard all but the leader epoch, which is the broker's to write."""
    damaged = bytearray(TWO)
    damaged[at] ^= flip
    if not 12 <= at < 16:
        refusal(bytes(damaged))
