"""A batch as it stands in the log: the same records, at its offset, with a checksum that is right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tools.judge.judging import AT_MS, batch, changed

from kproto.tools.judge.stored_bytes import stored_bytes
from kproto.wire.records import TimestampType, read_record_batches

LATE_MS = AT_MS + 50_000


def kept(data, by_broker=False, latest_ms=AT_MS + 1):
    (one,) = read_record_batches(stored_bytes(data, 7, 3, latest_ms, by_broker=by_broker))
    one.check_crc()
    return one


@given(st.sampled_from(["none", "gzip", "lz4", "zstd"]), st.booleans())
def test_only_the_place_and_the_time_change(compression, by_broker):
    data = batch(4, 2, compression=compression)
    one = kept(data, by_broker, LATE_MS if by_broker else AT_MS + 1)
    (sent,) = read_record_batches(data)
    assert (one.base_offset, one.partition_leader_epoch) == (7, 3)
    assert [(r.offset, r.key, r.value) for r in one] == [(7 + r.offset, r.key, r.value) for r in sent]
    assert (one.producer_id, one.producer_epoch, one.base_sequence) == (77, 0, 4)
    assert (one.crc == sent.crc) is not by_broker


def test_the_brokers_time_is_that_of_all_records():
    one = kept(batch(records=3), by_broker=True, latest_ms=LATE_MS)
    assert one.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert [record.timestamp for record in one] == [LATE_MS] * 3


def test_a_wrong_greatest_timestamp_is_put_right():
    """As LogValidator does, so that offsets are found by time."""
    assert kept(changed(batch(records=2), 35, ">q", 5)).max_timestamp == AT_MS + 1
