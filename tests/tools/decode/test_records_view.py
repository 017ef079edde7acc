"""Batches of a field: all kinds are read, within bounds, and what is wrong is told with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.test_line_frame import legacy, produce

from kproto.tools.decode import records_view
from kproto.tools.decode.records_view import Allowance, RecordsField, RecordsReader, has_records, records_fields
from kproto.wire import MetadataResponse, ProduceRequest
from kproto.wire.records import RecordBatchBuilder, read_record_batches
from kproto.wire.strategies import record_batches


def read(data, *, reader=None, **options):
    """The views, and the codes of the findings."""
    findings = []
    views = list((reader or RecordsReader(len(data))).read(RecordsField("records", data), findings, **options))
    return views, findings


def built(count=1, codec="none", value=b"value"):
    builder = RecordBatchBuilder(codec)
    for _ in range(count):
        builder.append(5, None, value)
    return builder.build()


@given(st.lists(record_batches(), min_size=1, max_size=4))
def test_all_batches_of_a_field_are_read(batches):
    data = b"".join(batch.data for batch in batches)
    views, findings = read(data)
    assert findings == []
    for view, batch in zip(views, read_record_batches(data), strict=True):
        assert (view.crc_valid, view.records) == (True, batch.records())


def test_with_log_append_time_records_keep_their_own_times():
    data = bytearray(built())
    data[22] |= 8
    data[35:43] = (99).to_bytes(8, "big")
    ((view,), _) = read(bytes(data))
    assert (view.batch.max_timestamp, view.records[0].timestamp) == (99, 5)
    assert view.batch.attributes & 8


@pytest.mark.parametrize("magic", [0, 1])
def test_message_sets_are_batches_of_one(magic):
    views, findings = read(legacy(magic, b"k", b"v") * 2)
    assert findings == [] and [view.records[0].value for view in views] == [b"v", b"v"]


def test_nothing_is_nothing():
    assert read(b"") == ([], [])
    assert list(RecordsReader(0).read(RecordsField("records", None), [])) == []


@pytest.mark.parametrize("damage", ["bytes behind", "a cut batch", "another magic", "a negative length"])
def test_what_is_no_batch_is_given_as_it_stands(damage):
    good, bad = built(), bytearray(built())
    if damage == "another magic":
        bad[16] = 3
    elif damage == "a negative length":
        bad[8] = 0xFF
    else:
        bad = bad[: 9 if damage == "bytes behind" else -1]
    views, findings = read(good + bytes(bad))
    assert len(views) == 2 and views[1] == bytes(bad)
    (finding,) = findings
    assert finding.code == "bad-records" and finding.path == "records" and finding.offset >= len(good)


def test_an_answer_to_fetch_may_end_in_a_cut_batch():
    views, findings = read(built() + built()[:-1], may_be_cut=True)
    assert (len(views), views[1], findings) == (2, built()[:-1], [])


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_bomb_is_not_lit(codec, monkeypatch):
    monkeypatch.setattr(records_view, "DECOMPRESSED_SIZE_MAX", 100_000)
    bomb = built(codec=codec, value=bytes(3_000_000))
    views, findings = read(bomb)
    assert views[0].records is None and views[0].body == bomb[61:]
    assert findings[0].code == "bad-records" and "decompressed" in findings[0].text


def test_a_frame_full_of_bombs_takes_no_more_than_one(monkeypatch):
    """Each that does not come out is counted as if it had been as large as it may."""
    tried = []
    decompress = records_view.RecordsReader._records

    def spy(self, batch):
        tried.append(self._size_left)
        return decompress(self, batch)

    monkeypatch.setattr(records_view.RecordsReader, "_records", spy)
    monkeypatch.setattr(records_view, "DECOMPRESSED_SIZE_MAX", 100_000)
    monkeypatch.setattr(records_view, "FAILURE_COSTS", 50_000)
    views, findings = read(built(codec="lz4", value=bytes(200_000)) * 20, reader=RecordsReader(0))
    assert [view.records for view in views] == [None] * 20 and len(findings) == 20
    assert sum(left > 0 for left in tried) == 2


def test_the_records_of_compressed_batches_are_counted(monkeypatch):
    monkeypatch.setattr(records_view, "RECORDS_MAX", 100)
    data = built(80, "gzip", b"")
    views, findings = read(data * 2, reader=RecordsReader(0))
    assert [view.records is None for view in views] == [False, True]
    assert "at most 20 records more" in findings[0].text
    views, findings = read(built(500, "none", b""), reader=RecordsReader(0))
    assert findings == []


def test_a_set_that_would_be_too_large_is_not_read(monkeypatch):
    import gzip

    inner = legacy(1, b"k", b"v", offset=0) + legacy(1, b"k", b"v", offset=1)
    wrapper = legacy(1, None, gzip.compress(inner), attributes=1)
    views, findings = read(wrapper)
    assert findings == [] and [record.value for record in views[0].records] == [b"v", b"v"]
    monkeypatch.setattr(records_view, "DECOMPRESSED_SIZE_MAX", 0)
    views, findings = read(wrapper, reader=RecordsReader(0))
    assert views[0].records is None and views[0].body == wrapper[12:] and "bytes more" in findings[0].text


def test_a_codec_without_its_library_is_a_notice(monkeypatch):
    from kproto.wire import EncodeError
    from kproto.wire.records import reader

    def missing(*_):
        raise EncodeError("snappy", None, "cramjam is not installed")

    monkeypatch.setattr(reader, "decompress", missing)
    views, findings = read(built(codec="gzip"))
    assert views[0].records is None and [(each.code, each.notice) for each in findings] == [("codec", True)]


def test_fields_are_found_by_the_declaration():
    message, _ = produce(b"a", None)
    assert list(records_fields(message)) == [
        RecordsField("topic_data[0].partition_data[0].records", b"a"),
        RecordsField("topic_data[0].partition_data[1].records", None),
    ]
    assert has_records(ProduceRequest) and not has_records(MetadataResponse)
    assert list(records_fields(MetadataResponse())) == []


def test_a_capture_that_expands_without_end_is_left_compressed(monkeypatch):
    """Each frame by itself would do; it is a notice, since it may be as it should be."""
    monkeypatch.setattr(records_view, "ALLOWED_AT_ONCE", 1_000_000)
    data = built(codec="lz4", value=bytes(400_000))
    allowance = Allowance()
    found = [read(data, reader=RecordsReader(len(data), allowance)) for _ in range(20)]
    read_ = [views[0].records is not None for views, _ in found]
    assert read_[:3] == [True] * 3 and not all(read_) and any(read_[4:])  # what comes earns some
    assert {(each.code, each.notice) for _, findings in found for each in findings} == {("expansion", True)}
    assert all(views[0].body == data[61:] for views, _ in found if views[0].records is None)
    fresh = built(500, value=b"x" * 900)
    assert read(fresh, reader=RecordsReader(0, allowance))[1] == []
