"""Byte ranges of record batches: all bytes, once, in order, with the values that the reader gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import DecodeError
from kproto.wire.annotate_records import record_ranges
from kproto.wire.records import RecordBatch, RecordBatchBuilder, read_record_batches
from kproto.wire.varint import encode_varlong

BLOBS = st.none() | st.binary(max_size=200)
HEADERS = st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), BLOBS), max_size=3)
RECORDS = st.lists(st.tuples(st.integers(0, 2**40), BLOBS, BLOBS, HEADERS), min_size=1, max_size=4)
ATTRIBUTES_AT = 22  # with another codec, the body that was built is one that does not decompress
CODECS = st.sampled_from(["none", "gzip"])


def built(records, codec="none"):
    builder = RecordBatchBuilder(codec)
    for record in records:
        builder.append(*record)
    return builder.build(9, 1, 2)


def by_path(data, offset=0):
    ranges = record_ranges(data, offset, "records")
    assert [start for start, *_ in ranges] == [offset, *(stop for _, stop, *_ in ranges[:-1])]
    assert ranges[-1][1] == offset + len(data)
    assert all(start < stop for start, stop, *_ in ranges)
    found = {path.removeprefix("records"): value for _, _, path, _, value in ranges}
    assert len(found) == len(ranges)
    return found


@given(st.lists(st.tuples(RECORDS, CODECS), min_size=1, max_size=3), st.integers(0, 100))
def test_ranges_cover_every_byte_once_and_hold_what_the_reader_reads(made, offset):
    data = b"".join(built(records, codec) for records, codec in made)
    found = by_path(data, offset)
    for number, ((_, codec), batch) in enumerate(zip(made, read_record_batches(data), strict=True)):
        for name in ("base_offset", "crc", "attributes", "producer_id", "producer_epoch", "base_sequence", "count"):
            assert found[f"[{number}].{name}"] == getattr(batch, name)
        records = [path for path in found if path.startswith(f"[{number}].records[") and path.count(".") == 2]
        if codec != "none":
            assert not records
            assert f"[{number}].body" in found
            continue
        assert f"[{number}].body" not in found
        for index, record in enumerate(batch):
            path = f"[{number}].records[{index}]"
            assert found[f"{path}.key"] == record.key
            assert found[f"{path}.value"] == record.value
            assert found[f"{path}.offset_delta"] == record.offset - batch.base_offset
            assert found[f"{path}.timestamp_delta"] == record.timestamp - found[f"[{number}].base_timestamp"]
            assert found[f"{path}.headers"] == len(record.headers)
            assert record.headers == tuple(
                (found[f"{path}.headers[{at}].key"], found[f"{path}.headers[{at}].value"])
                for at in range(len(record.headers))
            )


def test_types_are_named():
    ranges = record_ranges(built([(0, b"k", b"v", [("h", b"1")])]), 0, "r")
    types = {path.removeprefix("r[0]."): type_ for _, _, path, type_, _ in ranges}
    assert types == {
        "base_offset": "int64",
        "length": "int32",
        "partition_leader_epoch": "int32",
        "magic": "int8",
        "crc": "uint32",
        "attributes": "int16",
        "last_offset_delta": "int32",
        "base_timestamp": "int64",
        "max_timestamp": "int64",
        "producer_id": "int64",
        "producer_epoch": "int16",
        "base_sequence": "int32",
        "count": "int32",
        "records[0].length": "varint",
        "records[0].attributes": "int8",
        "records[0].timestamp_delta": "varlong",
        "records[0].offset_delta": "varint",
        "records[0].key": "bytes",
        "records[0].value": "bytes",
        "records[0].headers": "array",
        "records[0].headers[0].key": "string",
        "records[0].headers[0].value": "bytes",
    }


@given(RECORDS, st.data())
def test_damage_leaves_no_ranges_or_all_of_them(records, data):
    whole = built(records)
    kind = data.draw(st.sampled_from(["cut", "more", "flip"]))
    if kind == "cut":
        damaged = whole[: data.draw(st.integers(1, len(whole) - 1))]
    elif kind == "more":
        damaged = whole + data.draw(st.binary(min_size=1, max_size=60))
    else:
        mutant = bytearray(whole)
        position = data.draw(st.integers(0, len(whole) - 1).filter(lambda at: at != ATTRIBUTES_AT))
        mutant[position] ^= data.draw(st.integers(1, 255))
        damaged = bytes(mutant)
    try:
        read(damaged)
    except DecodeError:
        assert record_ranges(damaged, 0, "records") is None
    else:
        by_path(damaged)


def read(data):
    """As the reader sees it; a wrong checksum would hide what else is wrong."""
    for batch in read_record_batches(data, verify_crc=False):
        if not isinstance(batch, RecordBatch):
            raise DecodeError("records", 0, "magic 2", "a legacy set")
        batch.records()


def patched(whole, position, new):
    return whole[:position] + new + whole[position + len(new) :]


@pytest.mark.parametrize(
    ("position", "new"),
    [
        (8, b"\xff" * 4),  # the batch's length, negative
        (16, b"\x01"),  # magic
        (57, bytes(4)),  # count: fewer than there are
        (57, b"\x7f\xff\xff\xff"),  # count: more than there are
        (61, encode_varlong(-1)),  # a record's length, negative
        (65, encode_varlong(-2)),  # a key's length
        (69, encode_varlong(-1)),  # a count of headers
        (69, encode_varlong(60)),  # more headers than bytes
        (71, b"\xff"),  # a header's name: not UTF-8
    ],
)
def test_each_kind_of_damage(position, new):
    whole = built([(0, b"k", b"v", [("h", b"1")])])
    assert by_path(whole)["[0].records[0].headers[0].key"] == "h"
    damaged = patched(whole, position, new)
    assert record_ranges(damaged, 0, "records") is None
    with pytest.raises(DecodeError):
        read(damaged)


def test_a_checksum_is_shown_not_checked():
    whole = built([(0, b"k", b"v", [])])
    assert by_path(patched(whole, 17, bytes(4)))["[0].crc"] == 0


def test_a_batch_without_records():
    empty = patched(built([(0, None, None, [])])[:61], 8, (49).to_bytes(4, "big"))
    empty = patched(empty, 57, bytes(4))
    assert by_path(empty)["[0].count"] == 0
    assert record_ranges(patched(empty, 57, b"\xff" * 4), 0, "records") is None
    assert record_ranges(b"", 0, "records") == []
