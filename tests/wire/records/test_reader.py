"""The reader against the declaration and other implementations; what it refuses, and how it says so."""

from __future__ import annotations

import itertools

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder as AiokafkaBuilder
from aiokafka.record.memory_records import MemoryRecords as AiokafkaRecords
from construct import ConstructError
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatchBuilder as KafkaPythonBuilder
from kafka.record.memory_records import MemoryRecords as KafkaPythonRecords

from kproto.wire import BadCount, BadCrc, BadUtf8, BadVarint, DecodeError, TrailingBytes, Underrun, UnexpectedNull
from kproto.wire.records import (
    Compression,
    ControlType,
    RawRecord,
    Record,
    RecordBatchBuilder,
    TimestampType,
    read_record_batches,
)
from kproto.wire.records.crc import crc32c
from kproto.wire.records.header_writer import encode_headers
from kproto.wire.records.record_loop import LOOP_REFUSALS, loop_headers, loop_records
from kproto.wire.records.record_reader import read_headers, read_records, read_whole_headers
from kproto.wire.records.record_runs import run_records
from kproto.wire.records.schema import RECORD
from kproto.wire.varint import encode_varlong

TIMESTAMPS = st.integers(1_700_000_000_000, 1_700_000_020_000) | st.integers(0, 2**62)
FIELDS = st.none() | st.binary(max_size=40) | st.integers(0, 20_000).map(bytes)
HEADERS = st.lists(st.tuples(st.text("abcé", max_size=70), FIELDS), max_size=3)
RECORDS = st.lists(st.tuples(TIMESTAMPS, FIELDS, FIELDS, HEADERS), min_size=1, max_size=8)


@st.composite
def uniform_records(draw):
    """Records of one layout, now and then with one that differs."""
    key_size, value_size = draw(st.none() | st.integers(0, 70)), draw(st.integers(0, 200))
    step = draw(st.sampled_from([0, 0, 1, 3, 100, -1, 9_000]))
    records = [
        (
            max(0, 1_700_000_000_000 + index * step),
            None if key_size is None else bytes([index % 251]) * key_size,
            bytes([index % 241]) * value_size,
            [],
        )
        for index in range(draw(st.integers(1, 200)))
    ]
    if draw(st.booleans()):
        odd = draw(st.integers(0, len(records) - 1))
        records[odd] = draw(st.tuples(TIMESTAMPS, FIELDS, FIELDS, HEADERS))
    return records


def built(records, compression="none", **stamp):
    builder = RecordBatchBuilder(compression)
    for record in records:
        builder.append(*record)
    return builder.build(**stamp)


def resealed(batch):
    """The same bytes under a checksum that matches."""
    data = bytearray(batch)
    data[17:21] = crc32c(data[21:]).to_bytes(4, "big")
    return bytes(data)


def patched(batch, at, data):
    return resealed(batch[:at] + data + batch[at + len(data) :])


def of_body(body, count):
    """A batch around any body."""
    batch = bytearray(built([(0, b"", b"", [])])[:61]) + body
    batch[8:12] = (len(batch) - 12).to_bytes(4, "big")
    batch[57:61] = count.to_bytes(4, "big", signed=True)
    return resealed(batch)


def record(delta=0, number=0, key=b"\x02k", value=b"\x02v", headers=b"\0", length=None):
    content = b"\0" + encode_varlong(delta) + encode_varlong(number) + key + value + headers
    return encode_varlong(len(content) if length is None else length) + content


def by_declaration(body, count):
    """(timestamp delta, offset delta, key, value, headers) of each record, by construct; None for a refusal."""
    records = []
    try:
        for _ in range(count):
            parsed = RECORD.parse(body)
            body = body[len(RECORD.build(parsed)) :]
            headers = tuple((header.key, header.value) for header in parsed.headers)
            records.append((parsed.offset_delta, parsed.timestamp_delta, parsed.key, parsed.value, headers))
    except (ConstructError, DecodeError, UnicodeDecodeError):
        return None
    return records if not body else None


def by_plain_reader(body, count):
    try:
        return [tuple(record) for record in read_records(body, 0, len(body), count, 0, 0, "batch")]
    except DecodeError:
        return None


def by_fast_paths(body, count):
    try:
        records, behind = run_records(body, 0, len(body), count, 0, 0)
        if behind != len(body) or len(records) != count:
            records += loop_records(body, behind, len(body), count, 0, 0, len(records))
        return [tuple(record) for record in records]
    except (*LOOP_REFUSALS, DecodeError):
        return None


def by_loop(body, count):
    try:
        return [tuple(record) for record in loop_records(body, 0, len(body), count, 0, 0)]
    except (*LOOP_REFUSALS, DecodeError):
        return None


@given(RECORDS | uniform_records())
def test_all_readers_agree_on_good_bytes(records):
    body = built(records)[61:]
    expected = by_declaration(body, len(records))
    assert expected is not None
    assert by_plain_reader(body, len(records)) == expected
    assert by_fast_paths(body, len(records)) == expected
    assert by_loop(body, len(records)) == expected


@given(RECORDS | uniform_records(), st.data())
def test_all_readers_agree_on_damaged_bytes(records, data):
    body = bytearray(built(records)[61:])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255) | st.sampled_from([body[at] ^ 1, body[at] ^ 0x80]))
    damaged = bytes(body[: data.draw(st.integers(0, len(body)))] if data.draw(st.booleans()) else body)
    count = len(records) + data.draw(st.sampled_from([0, 0, 0, 1, -1]))
    expected = by_plain_reader(damaged, count)
    assert by_declaration(damaged, count) == expected
    assert by_fast_paths(damaged, count) == expected
    assert by_loop(damaged, count) == expected
    batch = of_body(damaged, count)
    if expected is None:
        with pytest.raises(DecodeError, match=r"RecordBatch\[0\]"):
            list(next(read_record_batches(batch)))
    else:
        assert [tuple(record)[2:] for record in next(read_record_batches(batch))] == [r[2:] for r in expected]


@given(st.binary(max_size=60))
def test_header_readers_agree(data):
    def outcome(read):
        try:
            return read()
        except (DecodeError, IndexError, UnicodeDecodeError):
            return None

    fast = outcome(lambda: loop_headers(data, 0, len(data)))
    plain = outcome(lambda: read_headers(data, 0, len(data), "headers"))
    assert (fast if fast is None or fast[1] <= len(data) else None) == plain


def test_runs_take_what_machines_write():
    """Else the fast path could be dead without any test noticing."""
    for size, step in itertools.product((None, 10), (0, 1)):
        records = [(1_700_000_000_000 + i * step, size and bytes(size), bytes([i % 7]) * 100, []) for i in range(1_000)]
        body = built(records)[61:]
        found, behind = run_records(body, 0, len(body), 1_000, 0, 0)
        assert (len(found), behind) == (1_000, len(body))


BATCH = built([(1_000, b"k", b"v", [("h", b"x")]), (1_005, None, b"w", [])])


@pytest.mark.parametrize("codec", [codec for codec in Compression if codec is not Compression.SNAPPY], ids=str)
@given(records=RECORDS)
def test_kafka_python_and_aiokafka_read_what_is_built(codec, records):
    batch = built(records, codec)
    expected = [(index, *rest) for index, rest in enumerate(records)]
    for peer in (KafkaPythonRecords(batch), AiokafkaRecords(batch)):
        found = [
            (read.offset, read.timestamp, read.key, read.value, [tuple(header) for header in read.headers])
            for read in peer.next_batch()
        ]
        assert found == [(o, t, k, v, list(h)) for o, t, k, v, h in expected]


CODES = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


@pytest.mark.parametrize("codec", CODES)
@pytest.mark.parametrize("builder", [AiokafkaBuilder, KafkaPythonBuilder], ids=["aiokafka", "kafka-python"])
@given(records=RECORDS)
def test_what_kafka_python_and_aiokafka_build_is_read(builder, codec, records):
    peer = builder(
        magic=2,
        compression_type=CODES[codec],
        is_transactional=0,
        producer_id=7,
        producer_epoch=1,
        base_sequence=3,
        batch_size=1 << 30,
    )
    for index, (timestamp, key, value, headers) in enumerate(records):
        peer.append(index, timestamp=timestamp, key=key, value=value, headers=headers)
    theirs = bytes(peer.build())
    (batch,) = read_record_batches(theirs)
    expected = [Record(i, t, k, v, tuple(h)) for i, (t, k, v, h) in enumerate(records)]
    assert list(batch) == expected
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (7, 1, 3)
    if codec == "none":
        ours = built(records, producer_id=7, producer_epoch=1, base_sequence=3)
        mask = slice(12, 16) if builder is KafkaPythonBuilder else slice(0, 0)  # kafka-python writes leader epoch 0
        assert ours[: mask.start] + ours[mask.stop :] == theirs[: mask.start] + theirs[mask.stop :]


def test_batch_w1_the_crc_covers_all_from_the_attributes_on():
    (batch,) = read_record_batches(BATCH)
    assert batch.crc_valid
    for at in range(len(BATCH)):
        damaged = BATCH[:at] + bytes([BATCH[at] ^ 0x40]) + BATCH[at + 1 :]
        if at < 8 or 12 <= at < 16:  # base offset and leader epoch, which a broker restamps
            assert next(read_record_batches(damaged)).crc_valid
        elif at >= 17:
            with pytest.raises(BadCrc, match=r"RecordBatch\[0\] crc at byte 17: expected the CRC-32C of the batch"):
                list(read_record_batches(damaged))
            if at not in (21, 22, 57):
                (batch,) = read_record_batches(damaged, verify_crc=False)
                assert not batch.crc_valid


def test_batch_w2_nothing_is_lost_between_null_and_empty():
    records = [(1, None, b"", [("", None), ("e", b"")]), (1, b"", None, [])]
    assert [tuple(found)[2:] for found in next(read_record_batches(built(records)))] == [
        (None, b"", (("", None), ("e", b""))),
        (b"", None, ()),
    ]


def test_batch_w3_timestamps_may_go_back():
    (batch,) = read_record_batches(built([(1_000, None, b"", []), (10, None, b"", []), (999, None, b"", [])]))
    assert [found.timestamp for found in batch] == [1_000, 10, 999]
    assert (batch.base_timestamp, batch.max_timestamp) == (1_000, 1_000)


def test_batch_w4_log_append_time_is_every_records():
    (batch,) = read_record_batches(patched(BATCH, 21, b"\0\x08"))
    assert batch.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert {found.timestamp for found in batch} == {1_005}
    assert {found.timestamp for found in batch.raw_records()} == {1_005}


@pytest.mark.parametrize(
    ("body", "count", "error", "text"),
    [
        (record(), 2, Underrun, r"records\[1\] at byte 70: need 2 records, 0 bytes after 1 remain"),
        (record() + record(number=1), 1, TrailingBytes, "expected the end after 1 records, found 9 more bytes"),
        (record() + b"\0", 1, TrailingBytes, "found 1 more bytes"),
        (record(length=7), 1, DecodeError, "expected a record of 7 bytes, found one of 8"),
        (record(length=9), 1, Underrun, r"records\[0\] at byte 62: need 9 bytes, 8 remain"),
        (record(length=-1), 1, BadCount, r"records\[0\].length at byte 61: expected a length of 0 or more, found -1"),
        (b"\0", 1, Underrun, r"records\[0\].attributes at byte 62: need 1 byte, 0 remain"),
        (record(key=b"\x03"), 1, BadCount, r"records\[0\].key at byte 65: expected a length of -1 or more, found -2"),
        (record(key=b"\x7e"), 1, Underrun, r"records\[0\].key at byte 66: need 63 bytes, 3 remain"),
        (record(value=b"\x03"), 1, BadCount, r"records\[0\].value at byte 67: expected a length of -1 or more"),
        (record(headers=b"\x01"), 1, BadCount, r"records\[0\].headers at byte 69: expected 0 to 0 headers, found -1"),
        (record(headers=b"\xfe\xff\x03"), 1, BadCount, "expected 0 to 0 headers, found 32767"),
        (record(headers=b"\x02\x01\x01"), 1, UnexpectedNull, r"headers\[0\].key at byte 70: expected a header key"),
        (record(headers=b"\x02\x02\xff\x01"), 1, BadUtf8, r"headers\[0\].key at byte 70: expected UTF-8, found byte"),
        (record(headers=b"\x02\x02a\x03"), 1, BadCount, r"headers\[0\].value at byte 72"),
        (b"\x80\x00" + record()[1:], 1, BadVarint, r"records\[0\].length at byte 61: expected a varint in its short"),
        (b"\xff" * 12, 1, BadVarint, r"records\[0\].length at byte 61: expected a varint of at most 5 bytes"),
        (b"\x80", 1, Underrun, r"records\[0\].length at byte 61: need a whole varint, 1 remain"),
    ],
)
def test_batch_w5_records_that_are_none(body, count, error, text):
    (batch,) = read_record_batches(of_body(body, count))
    with pytest.raises(error, match=text) as caught:
        list(batch)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (BATCH[:5], Underrun, r"RecordBatch\[0\] at byte 0: need 12 bytes, 5 remain"),
        (BATCH[:-1], Underrun, rf"RecordBatch\[0\] at byte 0: need {len(BATCH)} bytes, {len(BATCH) - 1} remain"),
        (BATCH + b"\0", Underrun, rf"RecordBatch\[1\] at byte {len(BATCH)}: need 12 bytes, 1 remain"),
        (b"\0" * 8 + b"\xff" * 4, BadCount, "length at byte 8: expected a length of 0 or more, found -1"),
        (b"\0" * 11 + b"\x04" + b"\0" * 4, BadCount, "length at byte 8: expected a batch with a magic, found 4 bytes"),
        (
            b"\0" * 11 + b"\x30" + b"\0" * 4 + b"\2" + b"\0" * 43,
            BadCount,
            "length at byte 8: expected 49 bytes or more",
        ),
        (BATCH[:16] + b"\3" + BATCH[17:], DecodeError, "magic at byte 16: expected magic 0, 1 or 2, found 3"),
        (patched(BATCH, 21, b"\0\5"), DecodeError, "attributes at byte 21: expected a codec of 0 to 4, found 5"),
        (patched(BATCH, 57, b"\xff" * 4), BadCount, "count at byte 57: expected 0 records or more, found -1"),
    ],
)
def test_batch_w5_batches_that_are_none(data, error, text):
    with pytest.raises(error, match=text):
        list(read_record_batches(data))


def test_batch_w5_a_cut_last_batch_may_be_allowed():
    for cut in (5, 40, len(BATCH) - 1):
        batches = list(read_record_batches(BATCH + BATCH[:cut], allow_truncated=True))
        assert [batch.size for batch in batches] == [len(BATCH)]


def test_batch_w5_a_huge_count_costs_nothing():
    (batch,) = read_record_batches(of_body(record(), 2**31 - 1))
    with pytest.raises(Underrun, match="need 2147483647 records"):
        list(batch)


def test_batch_w7_control_batches_say_what_they_are():
    def control(key, value):
        return patched(built([(1, key, value, [])]), 21, b"\0\x30")

    (abort,) = read_record_batches(control(b"\0\0\0\0", b"\0\0\0\0\0\7"))
    assert abort.control
    assert abort.transactional
    said = abort.control_record()
    assert (said.version, said.type, said.coordinator_epoch) == (0, ControlType.ABORT, 7)
    assert repr(said) == "ControlRecord(version=0, type=<ControlType.ABORT: 0>, coordinator_epoch=7)"
    (leader,) = read_record_batches(control(b"\0\1\0\2", b""))
    assert (leader.control_record().type, leader.control_record().coordinator_epoch) == (
        ControlType.LEADER_CHANGE,
        None,
    )
    (unknown,) = read_record_batches(control(b"\0\0\0\x63", None))
    assert unknown.control_record().type == 99
    for key in (None, b"\0\0\0"):
        (broken,) = read_record_batches(control(key, b""))
        with pytest.raises(DecodeError, match="one record with a key of 4 bytes"):
            broken.control_record()
    (data,) = read_record_batches(BATCH)
    assert data.control_record() is None


def test_attributes_of_a_batch():
    (batch,) = read_record_batches(
        patched(
            built([(1_000, b"k", b"v", [])] * 3, producer_id=9, producer_epoch=1, base_sequence=4), 0, b"\0" * 7 + b"\5"
        )
    )
    assert (batch.magic, batch.base_offset, batch.last_offset_delta, batch.last_offset, batch.count) == (2, 5, 2, 7, 3)
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (9, 1, 4)
    assert (batch.partition_leader_epoch, batch.compression, batch.timestamp_type) == (-1, Compression.NONE, 0)
    assert not (batch.transactional or batch.control or batch.has_delete_horizon)
    assert [found.offset for found in batch] == [5, 6, 7]
    assert repr(batch) == (
        "RecordBatch(base_offset=5, count=3, compression='none', producer_id=9, producer_epoch=1, base_sequence=4, "
        f"size={batch.size})"
    )
    (horizon,) = read_record_batches(patched(BATCH, 21, b"\0\x40"))
    assert horizon.has_delete_horizon


def test_offsets_of_a_compacted_batch_have_gaps():
    body = b"".join(record(number=number) for number in (0, 3, 4, 100, 9_000))
    (batch,) = read_record_batches(of_body(body, 5))
    assert [found.offset for found in batch] == [0, 3, 4, 100, 9_000]
    runs = b"".join(record(number=number) for number in [*range(20), *range(25, 60)])
    (batch,) = read_record_batches(of_body(runs, 55))
    assert [found.offset for found in batch] == [*range(20), *range(25, 60)]


def test_several_batches_and_any_buffer():
    data = BATCH + built([(7, b"z", None, [])], "zstd") + BATCH
    for buffer in (data, bytearray(data), memoryview(data)):
        batches = list(read_record_batches(buffer))
        assert [batch.offset for batch in batches] == [0, len(BATCH), len(data) - len(BATCH)]
        assert [batch.compression for batch in batches] == [0, 4, 0]
    assert list(read_record_batches(b"")) == []


def test_the_error_of_a_compressed_batch_names_the_codec():
    from kproto.wire.records.compression import compress

    batch = of_body(compress(Compression.ZSTD, record() + b"x"), 1)
    (read,) = read_record_batches(patched(batch, 21, b"\0\4"))
    with pytest.raises(TrailingBytes, match=r"RecordBatch\[0\] \(zstd\) at byte 9"):
        list(read)


def test_lazy_headers_are_judged_when_they_are_read():
    body = record(headers=b"\x02\x02\xff\x01")
    (batch,) = read_record_batches(of_body(body, 1))
    (raw,) = batch.raw_records()
    assert raw.value == b"v"
    with pytest.raises(BadUtf8, match=r"Record headers\[0\].key at byte 1"):
        assert raw.headers
    assert raw._replace(header_bytes=b"\x02\x02h\x01").headers == (("h", None),)
    with pytest.raises(TrailingBytes, match="Record headers at byte 1"):
        assert raw._replace(header_bytes=b"\0\0").headers


def test_header_names_are_kept_within_bounds():
    records = [(1, None, b"", [(f"reader-{index}", b"x")]) for index in range(1_500)]
    (batch,) = read_record_batches(built(records))
    assert [found.headers[0][0] for found in batch] == [f"reader-{index}" for index in range(1_500)]


@pytest.mark.parametrize("value", [None, b"", b"x" * 63, b"x" * 64])
@pytest.mark.parametrize("name", ["", "n" * 63, "n" * 64])
def test_headers_at_the_edge_of_the_fast_path(name, value):
    """Names and values below 64 bytes are read in place, and null ones; a length below -1 is for the plain reader."""
    (batch,) = read_record_batches(built([(1, None, b"", [(name, value)])]))
    assert next(iter(batch)).headers == ((name, value),)
    with pytest.raises(BadCount, match="a length of -1 or more"):
        loop_headers(b"\x02\x00\x03\x00\x00", 0, 5)


@pytest.mark.parametrize("body", [b"\x02\x01\x01", b"\x01", b"\x7e"])
def test_the_declaration_refuses_what_the_readers_refuse_of_headers(body):
    """A null key, a negative count, and more headers than there are bytes for."""
    record = b"\0\0\0\x01\x01" + body
    with pytest.raises((DecodeError, ConstructError)):
        RECORD.parse(encode_varlong(len(record)) + record)


def test_a_run_that_ends_with_the_batch_or_before_it():
    rows = [(1_700_000_000_000, b"key", b"value", [])] * 20
    for records in (rows, [*rows, (1_700_000_000_000, b"key", None, [])]):
        (batch,) = read_record_batches(built(records))
        assert [found.value for found in batch] == [record[2] for record in records]


def test_a_gap_whose_first_byte_is_the_dense_ones():
    """Record 70 with the offset delta 134: both varints begin 0x8c, and only the second byte differs."""
    deltas = [*range(70), 134, 135, 200]
    body = b"".join(
        RECORD.build(
            {"attributes": 0, "timestamp_delta": 0, "offset_delta": delta, "key": None, "value": b"v", "headers": []}
        )
        for delta in deltas
    )
    assert [record.offset for record in next(read_record_batches(of_body(body, len(deltas))))] == deltas
    assert [record.offset for record in loop_records(body, 0, len(body), len(deltas), 0, 0)] == deltas


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"", Underrun), (b"\x02\x02k", Underrun), (b"\x00x", TrailingBytes), (b"\x02\x02\xff\x00", BadUtf8)],
)
def test_raw_headers_that_are_none_say_so(data, error):
    with pytest.raises(error, match="Record headers"):
        assert RawRecord(0, 0, None, None, data).headers


@given(HEADERS)
def test_raw_headers_are_what_the_plain_reader_reads(headers):
    data = encode_headers(headers)
    assert RawRecord(0, 0, None, None, data).headers == read_whole_headers(data) == tuple(headers)
