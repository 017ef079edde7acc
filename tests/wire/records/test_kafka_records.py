"""Record batches against Kafka's own classes: it reads what we build, and we read what it builds."""

from __future__ import annotations

import pytest
from brokers.judge import Judge, JudgeError
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import DecodeError
from kproto.wire.records import Compression, Record, RecordBatchBuilder, TimestampType, read_record_batches

pytestmark = pytest.mark.java

FIELDS = st.none() | st.binary(max_size=60) | st.integers(0, 70_000).map(bytes)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
HEADERS = st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=20)), max_size=3)
TIMESTAMPS = st.integers(0, 2**62)
ROWS = st.lists(st.tuples(TIMESTAMPS, FIELDS, FIELDS, HEADERS), min_size=1, max_size=6)
NO_STAMP = (-1, -1, -1)
STAMPS = st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**15 - 1), st.integers(0, 2**31 - 1))
EACH_CODEC = pytest.mark.parametrize("codec", list(map(str, Compression)))


@pytest.fixture(scope="module")
def judge():
    with Judge() as opened:
        yield opened


def built(rows, codec="none", stamp=NO_STAMP, transactional=False):
    builder = RecordBatchBuilder(codec)
    for row in rows:
        builder.append(*row)
    return builder.build(*stamp, transactional)


def header(batch):
    """What our reader says of a batch, in the judge's words."""
    return {
        "base_offset": batch.base_offset,
        "last_offset": batch.last_offset,
        "size": batch.size,
        "partition_leader_epoch": batch.partition_leader_epoch,
        "magic": batch.magic,
        "crc": batch.crc,
        "timestamp_type": {0: "CreateTime", 1: "LogAppendTime"}[batch.timestamp_type],
        "control": batch.control,
        "delete_horizon": None,
        "producer_id": batch.producer_id,
        "producer_epoch": batch.producer_epoch,
        "base_sequence": batch.base_sequence,
        "transactional": batch.transactional,
        "compression": str(batch.compression),
        "max_timestamp": batch.max_timestamp,
    }


@EACH_CODEC
@given(rows=ROWS, stamp=STAMPS | st.just(NO_STAMP), transactional=st.booleans())
def test_kafka_reads_what_we_build(judge, codec, rows, stamp, transactional):
    data = built(rows, codec, stamp, transactional and stamp != NO_STAMP)
    (ours,) = read_record_batches(data)
    (theirs,) = judge.batch(data)
    assert theirs.pop("records") == [[index, *row] for index, row in enumerate(rows)]
    assert theirs == header(ours)
    assert (ours.producer_id, ours.producer_epoch, ours.base_sequence) == stamp


@given(rows=ROWS, stamp=STAMPS, transactional=st.booleans())
def test_kafka_builds_the_same_bytes(judge, rows, stamp, transactional):
    records = [(index, *row) for index, row in enumerate(rows)]
    stamped = dict(zip(("producer_id", "producer_epoch", "base_sequence"), stamp, strict=True))
    theirs = judge.write(records, transactional=transactional, **stamped)
    assert theirs == built(rows, "none", stamp, transactional)


@EACH_CODEC
@given(
    rows=ROWS, base=st.integers(0, 2**40), gaps=st.lists(st.integers(1, 1000), min_size=6, max_size=6), late=TIMESTAMPS
)
@pytest.mark.parametrize("appended", [False, True])
def test_we_read_what_kafka_builds(judge, codec, appended, rows, base, gaps, late):
    """Offsets with gaps, as compaction leaves them, and both kinds of timestamp."""
    records = [(base + sum(gaps[:index]), *row) for index, row in enumerate(rows)]
    append_time = late if appended else None
    data = judge.write(
        records, compression=codec, base_offset=base, log_append_time=append_time, partition_leader_epoch=5
    )
    (batch,) = read_record_batches(data)
    assert list(batch) == [
        Record(offset, late if appended else timestamp, key, value, tuple(headers))
        for offset, timestamp, key, value, headers in records
    ]
    assert batch.timestamp_type is TimestampType(appended)
    assert header(batch) == {name: held for name, held in judge.batch(data)[0].items() if name != "records"}


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4"])
@pytest.mark.parametrize("magic", [0, 1])
@given(rows=ROWS)
def test_we_read_kafkas_old_message_sets(judge, codec, magic, rows):
    records = [(index, timestamp, key, value, ()) for index, (timestamp, key, value, _) in enumerate(rows)]
    data = judge.write(records, magic=magic, compression=codec)
    found = [record for batch in read_record_batches(data) for record in batch]
    assert found == [
        Record(index, timestamp if magic else -1, key, value, ()) for index, timestamp, key, value, _ in records
    ]


@EACH_CODEC
@given(rows=ROWS, data=st.data())
def test_both_refuse_a_changed_byte_behind_the_crc(judge, codec, rows, data):
    changed = bytearray(built(rows, codec))
    changed[data.draw(st.integers(21, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DecodeError):  # BadCrc, or what is wrong with a header that cannot be true
        list(read_record_batches(bytes(changed)))
    with pytest.raises(JudgeError, match="CorruptRecordException"):
        judge.batch(bytes(changed))
