"""The builder against the declaration, the golden vectors, and what it refuses."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import DecodeError, EncodeError
from kproto.wire.records import (
    Compression,
    Record,
    RecordBatchBuilder,
    RecordColumns,
    read_record_batches,
    restamp,
)
from kproto.wire.records.compression import decompress
from kproto.wire.records.schema import RECORD, RECORD_BATCH

TIMESTAMPS = st.one_of(
    st.integers(-1, 2**63 - 2),
    st.integers(1_700_000_000_000, 1_700_000_000_200),
    st.integers(1_700_000_000_000, 1_700_000_020_000),
)
FIELDS = st.one_of(st.none(), st.binary(max_size=80), st.integers(0, 20_000).map(bytes))
HEADERS = st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=70), FIELDS), max_size=3)
RECORDS = st.lists(st.tuples(TIMESTAMPS, FIELDS, FIELDS, HEADERS), min_size=1, max_size=8)
STAMPS = st.one_of(
    st.just((-1, -1, -1)),
    st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**15 - 1), st.integers(0, 2**31 - 1)),
)
CODECS = st.sampled_from(Compression)


def built(records, compression="none"):
    builder = RecordBatchBuilder(compression)
    for record in records:
        builder.append(*record)
    return builder


def declared(records, stamp, transactional, body=None, codec=0):
    """The batch as the construct declaration builds it."""
    base = records[0][0]
    if body is None:
        body = b"".join(
            RECORD.build(
                {
                    "attributes": 0,
                    "timestamp_delta": timestamp - base,
                    "offset_delta": index,
                    "key": key,
                    "value": value,
                    "headers": [{"key": name, "value": data} for name, data in headers],
                }
            )
            for index, (timestamp, key, value, headers) in enumerate(records)
        )
    producer_id, producer_epoch, base_sequence = stamp
    covered = {
        "attributes": codec | (0x10 if transactional else 0),
        "last_offset_delta": len(records) - 1,
        "base_timestamp": base,
        "max_timestamp": max(record[0] for record in records),
        "producer_id": producer_id,
        "producer_epoch": producer_epoch,
        "base_sequence": base_sequence,
        "count": len(records),
        "body": body,
    }
    return RECORD_BATCH.build(
        {"base_offset": 0, "content": {"partition_leader_epoch": -1, "covered": {"value": covered}}}
    )


@given(RECORDS, STAMPS, st.booleans())
def test_builder_writes_what_the_declaration_says(records, stamp, transactional):
    transactional = transactional and stamp[0] >= 0
    builder = built(records)
    batch = builder.build(*stamp, transactional=transactional)
    assert batch == declared(records, stamp, transactional)
    assert len(batch) == builder.size
    assert builder.count == len(records)
    assert (builder.base_timestamp, builder.max_timestamp) == (records[0][0], max(record[0] for record in records))


@given(RECORDS, CODECS, STAMPS)
def test_a_compressed_body_is_the_plain_one(records, codec, stamp):
    batch = built(records, codec).build(*stamp)
    plain = declared(records, stamp, False)
    assert decompress(codec, batch[61:], 1 << 24) == plain[61:]
    assert batch == declared(records, stamp, False, batch[61:], int(codec))


@given(RECORDS, CODECS)
def test_what_is_built_is_read_back(records, codec):
    (batch,) = read_record_batches(built(records, codec).build())
    expected = [
        Record(offset, timestamp, key, value, tuple(headers))
        for offset, (timestamp, key, value, headers) in enumerate(records)
    ]
    assert list(batch) == expected
    assert [(*raw[:4], raw.headers) for raw in batch.raw_records()] == [tuple(record) for record in expected]


@given(RECORDS)
def test_the_size_is_known_before_and_after_each_record(records):
    builder = RecordBatchBuilder()
    for record in records:
        expected = builder.size_after(*record)
        count = builder.count
        builder.append(*record)
        assert builder.size == expected
        assert builder.count == count + 1


@given(RECORDS, STAMPS, STAMPS, CODECS)
def test_another_stamp_changes_nothing_else(records, one, other, codec):
    builder = built(records, codec)
    first, second = builder.build(*one), builder.build(*other)
    assert restamp(first, *other) == second
    assert first[61:] == second[61:]


def test_records_may_be_added_after_a_build():
    builder = built([(1, b"k", b"v", ())])
    builder.build()
    builder.append(2, b"k", b"w")
    (batch,) = read_record_batches(builder.build())
    assert [record.value for record in batch] == [b"v", b"w"]


@pytest.mark.parametrize(
    ("records", "stamp", "batch"),
    [
        (
            [(1_500_000_000_000, b"k", b"v", ()), (1_500_000_000_005, None, b"v2", [("h", b"x"), ("n", None)])],
            (-1, -1, -1),
            "00000000000000000000004affffffff025b3505cc0000000000010000015d3ef798000000015d3ef79805ffffffffffffffffffff"
            "ffffffff0000000210000000026b0276001e000a02010476320402680278026e01",
        ),
        (
            [(1_500_000_000_000, b"k", b"v", ())],
            (4000, 3, 7),
            "00000000000000000000003affffffff02ddaa0dde0000000000000000015d3ef798000000015d3ef798000000000000000fa00003"
            "000000070000000110000000026b027600",
        ),
    ],
)
def test_golden_batches(records, stamp, batch):
    assert built(records).build(*stamp).hex() == batch
    (read,) = read_record_batches(bytes.fromhex(batch))
    assert [(record.timestamp, record.key, record.value, list(record.headers)) for record in read] == [
        (timestamp, key, value, list(headers)) for timestamp, key, value, headers in records
    ]


def test_buffers_are_copied_when_they_are_appended():
    key, value, header = bytearray(b"key"), bytearray(b"value"), bytearray(b"header")
    builder = RecordBatchBuilder()
    builder.append(1, memoryview(key), value, [("h", header)])
    for buffer in (key, value, header):
        buffer[:] = b"X" * len(buffer)
    (batch,) = read_record_batches(builder.build())
    assert list(batch) == [Record(0, 1, b"key", b"value", (("h", b"header"),))]


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ((1, "key", b"v"), "Record key: is neither bytes nor None, got 'key'"),
        ((1, b"k", "value"), "Record value: is neither bytes nor None, got 'value'"),
        ((1, b"k", 5), "Record value: is neither bytes nor None, got 5"),
        ((-2, b"k", b"v"), "Record timestamp_ms: is no int from -1"),
        ((2**63 - 1, b"k", b"v"), "Record timestamp_ms: is no int"),
        ((1.5, b"k", b"v"), "Record timestamp_ms: is no int"),
        ((None, b"k", b"v"), "Record timestamp_ms: is no int"),
        ((True, b"k", b"v"), "Record timestamp_ms: is no int"),
        ((9, b"k", b"v", [("h",)]), r"Record headers\[0\]: is no pair of str and bytes"),
        ((9, b"k", b"v", [5]), r"Record headers\[0\]: is no pair"),
        ((9, b"k", b"v", [("a", b""), (b"h", b"x")]), r"Record headers\[1\].key: is not a str, got b'h'"),
        ((9, b"k", b"v", [("h", "x")]), r"Record headers\[0\].value: is neither bytes nor None, got 'x'"),
        ((9, b"k", b"v", [("\ud800", b"x")]), r"Record headers\[0\].key: has a lone surrogate"),
    ],
)
def test_a_refused_record_leaves_no_trace(record, text):
    builder = built([(5, b"k", b"v", ())])
    before = builder.build(), builder.size, builder.count, builder.max_timestamp
    with pytest.raises(EncodeError, match=text):
        builder.append(*record)
    with pytest.raises(EncodeError, match=text):
        builder.size_after(*record)
    assert (builder.build(), builder.size, builder.count, builder.max_timestamp) == before


@pytest.mark.parametrize(
    ("stamp", "transactional", "text"),
    [
        ((5, -1, 0), False, "producer_epoch: producer id, epoch and sequence come together, got -1"),
        ((5, 0, -1), False, "base_sequence: producer id, epoch and sequence come together"),
        ((-1, 0, -1), False, "producer_epoch: producer id"),
        ((-1, -1, 0), False, "base_sequence: producer id"),
        ((2**63, 0, 0), False, r"producer_id: lies between -1 and 2\*\*63 - 1"),
        ((5, 2**15, 0), False, "producer_epoch: lies between"),
        ((5, 0, 2**31), False, "base_sequence: lies between"),
        ((-2, 0, 0), False, "producer_id: lies between"),
        ((-1, -1, -1), True, "producer_id: a transactional batch needs one"),
    ],
)
def test_batch_w6_stamps_that_no_broker_takes(stamp, transactional, text):
    builder = built([(1, b"k", b"v", ())])
    with pytest.raises(EncodeError, match=text):
        builder.build(*stamp, transactional=transactional)
    if not transactional:
        with pytest.raises(EncodeError, match=text):
            restamp(builder.build(), *stamp)


def test_an_empty_or_too_large_batch_is_refused():
    builder = RecordBatchBuilder()
    with pytest.raises(EncodeError, match="at least one record"):
        builder.build()
    builder.append(1, None, None)
    builder.size = 2**31 + 12
    with pytest.raises(EncodeError, match="at most 2147483659 bytes"):
        builder.build()
    builder.size = 2**31 + 11
    assert builder.build()


@pytest.mark.parametrize("data", [b"", b"\0" * 60, b"\0" * 16 + b"\1" + b"\0" * 60])
def test_only_v2_batches_are_restamped(data):
    with pytest.raises(DecodeError, match="a batch of magic 2"):
        restamp(data, 1, 0, 0)


@pytest.mark.parametrize(
    ("compression", "level", "text"),
    [
        ("zst", None, "compression: is no codec, did you mean 'zstd'"),
        ("xx", None, "known are gzip, lz4, none, snappy, zstd"),
        (5, None, "is no codec, known are none, gzip, snappy, lz4, zstd, got 5"),
        (1.5, None, "is no codec"),
        ("gzip", 10, "compression_level: gzip has levels -1 to 9, got 10"),
        ("gzip", 0, "compression_level: gzip has levels"),
        ("lz4", 18, "lz4 has levels 1 to 17"),
        ("lz4", 0, "lz4 has levels 1 to 17"),
        ("zstd", 23, "zstd has levels -131072 to 22"),
        ("none", 1, "none has no levels"),
        ("snappy", 1, "snappy has no levels"),
    ],
)
def test_codecs_and_levels_are_checked(compression, level, text):
    with pytest.raises(EncodeError, match=text):
        RecordBatchBuilder(compression, level)


def test_a_codec_has_many_spellings():
    for spelling in ("lz4", "LZ4", 3, Compression.LZ4):
        assert RecordBatchBuilder(spelling).compression is Compression.LZ4
    assert RecordBatchBuilder(None).compression is Compression.NONE


def test_numbers_beyond_every_table():
    builder = RecordBatchBuilder()
    for index in range(8_200):
        builder.append(1_000 + index, None, b"")
    builder.append(1_000, b"k" * 8_191, b"v" * 8_192, [("h" * 8_192, b"x" * 8_192)] * 70)
    (batch,) = read_record_batches(builder.build())
    records = list(batch)
    assert [record.offset for record in records] == list(range(8_201))
    assert records[8_199].timestamp == 9_199
    assert records[-1].headers == (("h" * 8_192, b"x" * 8_192),) * 70


def test_header_names_are_kept_within_bounds():
    builder = RecordBatchBuilder()
    for index in range(2_000):
        builder.append(1, None, b"", [(f"name-{index}", b"x"), ("y" * 300, b"")])
    (batch,) = read_record_batches(builder.build())
    assert [record.headers[0][0] for record in batch] == [f"name-{index}" for index in range(2_000)]


def test_timestamps_as_far_apart_as_they_can_be():
    (batch,) = read_record_batches(
        built([(-1, None, b"", ()), (2**63 - 2, None, b"", ()), (-1, None, b"", ())]).build()
    )
    assert [record.timestamp for record in batch] == [-1, 2**63 - 2, -1]


@given(RECORDS, CODECS, STAMPS)
def test_a_sealed_batch_is_built_as_it_was_and_takes_no_more(records, codec, stamp):
    plain, sealed = built(records, codec), built(records, codec)
    size = sealed.seal()
    assert sealed.seal() == size == len(sealed.build(*stamp))
    for record in (records[0], (records[-1][0], b"", b""), (5, None, memoryview(b"v"))):
        with pytest.raises(EncodeError, match="is sealed"):
            sealed.append(*record)
        with pytest.raises(EncodeError, match="is sealed"):
            sealed.size_after(*record)
    assert sealed.build(*stamp) == plain.build(*stamp)
    assert (sealed.count, sealed.size, sealed.max_timestamp) == (plain.count, plain.size, plain.max_timestamp)


@given(RECORDS, CODECS, STAMPS, st.booleans())
def test_finish_is_build_without_the_copy_and_nothing_is_kept(records, codec, stamp, sealed):
    plain, finished = built(records, codec), built(records, codec)
    if sealed:
        finished.seal()
    data = finished.finish(*stamp)
    assert type(data) is bytearray and data == plain.build(*stamp)
    assert (finished.count, finished.size) == (plain.count, plain.size)
    assert not finished.parts and not finished._data and finished._data is not data
    is_gone(finished)


def is_gone(builder):
    """Nothing can be appended to it or built of it, whoever tries."""
    for refused in (
        builder.build,
        builder.finish,
        lambda: builder.append(1, b"k", b"v"),
        lambda: builder.append(1, None, memoryview(b"v")),
        lambda: builder.extend(1, RecordColumns(None, [b"v"])),
        lambda: builder.size_after(1, None, b""),
    ):
        with pytest.raises(EncodeError, match=r"was discarded|is sealed"):
            refused()


def test_finish_with_a_stamp_that_no_broker_takes_keeps_the_records():
    builder = built([(1, b"k", b"v", ())])
    expected = builder.build(5, 0, 7)
    with pytest.raises(EncodeError, match="come together"):
        builder.finish(5, 0, -1)
    assert builder.finish(5, 0, 7) == expected


@pytest.mark.parametrize("codec", ["none", "gzip"])
@pytest.mark.parametrize("sealed", [False, True])
def test_discard_gives_the_memory_back_and_keeps_the_numbers(codec, sealed):
    builder = built([(1, None, bytes(100_000), ())], codec)
    size = builder.size
    if sealed:
        builder.seal()
    for _ in range(2):
        builder.discard()
        assert not builder.parts and not builder._data
        assert (builder.count, builder.size) == (1, size)
        is_gone(builder)
    assert builder.seal() == 0, "there is nothing to compress"


def test_discarded_while_another_thread_seals_it_keeps_nothing(monkeypatch):
    """He has begun before, and is still told the size."""
    builder = built([(1, None, bytes(1_000), ())], "gzip")
    expected = len(builder.build())
    builder._data_count = 0  # so that it is compressed again
    module = sys.modules[RecordBatchBuilder.__module__]
    compress = module.compress

    def interrupted(*arguments):
        builder.discard()
        return compress(*arguments)

    monkeypatch.setattr(module, "compress", interrupted)
    assert builder.seal() == expected
    assert not builder.parts and not builder._data
    is_gone(builder)


@pytest.mark.parametrize("timestamp_ms", [1.5, None, True, "1"])
def test_columns_at_no_time_are_refused_and_leave_no_trace(timestamp_ms):
    builder = built([(5, b"k", b"v", ())])
    before = builder.build(), builder.size, builder.count
    with pytest.raises(EncodeError, match="Record timestamp_ms: is no int"):
        builder.extend(timestamp_ms, RecordColumns(None, [b"v"]))
    assert (builder.build(), builder.size, builder.count) == before
