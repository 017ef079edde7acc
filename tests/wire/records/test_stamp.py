"""The header of a batch: packed as the declaration says, and changed for another producer without a look at records."""

from __future__ import annotations

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import DecodeError, EncodeError
from kproto.wire.records import RECORD_BATCH_OVERHEAD, Compression, RecordBatchBuilder, read_record_batches
from kproto.wire.records.schema import RECORD_BATCH
from kproto.wire.records.stamp import HEADER_GAP, check_stamp, pack_header, restamp

INT64 = st.integers(-1, 2**63 - 1)
STAMPS = st.one_of(
    st.just((-1, -1, -1)),
    st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**15 - 1), st.integers(0, 2**31 - 1)),
)
VALUES = st.lists(st.binary(max_size=40), min_size=1, max_size=5)


def declared(body, attributes, count, base_timestamp, max_timestamp, stamp):
    """The batch as the construct declaration builds it."""
    producer_id, producer_epoch, base_sequence = stamp
    covered = {
        "attributes": attributes,
        "last_offset_delta": count - 1,
        "base_timestamp": base_timestamp,
        "max_timestamp": max_timestamp,
        "producer_id": producer_id,
        "producer_epoch": producer_epoch,
        "base_sequence": base_sequence,
        "count": count,
        "body": body,
    }
    content = {"partition_leader_epoch": -1, "covered": {"value": covered}}
    return RECORD_BATCH.build({"base_offset": 0, "content": content})


def built(values, codec="none", stamp=(-1, -1, -1)):
    builder = RecordBatchBuilder(codec)
    for number, value in enumerate(values):
        builder.append(1_700_000_000_000 + number, None, value)
    return builder.build(*stamp)


@given(st.binary(max_size=200), st.integers(0, 0x7F), st.integers(1, 2**31 - 1), INT64, INT64, STAMPS)
def test_the_header_is_what_the_declaration_says(body, attributes, count, base_timestamp, max_timestamp, stamp):
    data = bytearray(HEADER_GAP + body)
    pack_header(data, attributes, count, base_timestamp, max_timestamp, *stamp)
    assert data == declared(body, attributes, count, base_timestamp, max_timestamp, stamp)


@given(st.binary(max_size=50), STAMPS, STAMPS)
def test_a_header_may_be_packed_again_over_another(body, one, other):
    """What stood there does not shine through, and its checksum counts for nothing."""
    data, fresh = bytearray(HEADER_GAP + body), bytearray(HEADER_GAP + body)
    pack_header(data, 0x12, 9, 5, 7, *one)
    pack_header(data, 0, 1, 1, 2, *other)
    pack_header(fresh, 0, 1, 1, 2, *other)
    assert data == fresh and data[RECORD_BATCH_OVERHEAD:] == body


def test_the_gap_is_as_long_as_the_header():
    assert len(HEADER_GAP) == RECORD_BATCH_OVERHEAD == 61 and not any(HEADER_GAP)


def test_packed_data_may_grow_afterwards():
    """No view of it is left behind, which would forbid that."""
    data = bytearray(HEADER_GAP + b"body")
    pack_header(data, 0, 1, 1, 1, -1, -1, -1)
    data += b"more"


@given(VALUES, st.sampled_from(Compression), STAMPS, STAMPS)
def test_another_stamp_is_that_of_a_batch_built_under_it(values, codec, one, other):
    first, second = built(values, codec, one), built(values, codec, other)
    assert restamp(first, *other) == second
    assert restamp(bytearray(first), *other) == second
    assert restamp(restamp(first, *other), *one) == first


@given(VALUES, STAMPS)
def test_a_stamp_changes_the_checksum_and_fourteen_bytes(values, stamp):
    before = built(values)
    kept = bytearray(before)
    after = restamp(kept, *stamp)
    assert kept == before, "it is a copy"
    assert type(after) is bytes
    changed = {at for at, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]}
    assert changed <= {*range(17, 21), *range(43, 57)}
    assert int.from_bytes(after[17:21], "big") == crc32c(after[21:])
    (batch,) = read_record_batches(after)
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == stamp
    assert [record.value for record in batch] == values


@given(STAMPS)
def test_batch_w6_all_three_or_none_is_a_stamp(stamp):
    check_stamp(*stamp)


@pytest.mark.parametrize(
    ("stamp", "name"),
    [
        ((-2, -1, -1), "producer_id"),
        ((2**63, 0, 0), "producer_id"),
        ((0, 2**15, 0), "producer_epoch"),
        ((0, -1, 0), "producer_epoch"),
        ((-1, 0, -1), "producer_epoch"),
        ((0, 0, 2**31), "base_sequence"),
        ((0, 0, -1), "base_sequence"),
        ((-1, -1, 0), "base_sequence"),
    ],
)
def test_batch_w6_anything_else_is_refused_by_name(stamp, name):
    for refuse in (lambda: check_stamp(*stamp), lambda: restamp(built([b"v"]), *stamp)):
        with pytest.raises(EncodeError, match=f"RecordBatch {name}"):
            refuse()


@pytest.mark.parametrize(
    "data", [b"", built([b""])[:60], built([b""])[:16] + b"\1" + built([b""])[17:], bytearray(100)], ids=len
)
def test_what_is_no_batch_is_not_stamped(data):
    with pytest.raises(DecodeError, match="a batch of magic 2"):
        restamp(data, 1, 0, 0)
