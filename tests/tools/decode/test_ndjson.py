"""The contract of the lines: names, order, and that nothing is lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.decoded import BROKER, CLIENT
from tools.decode.talk import Dialogue, codes
from tools.decode.test_line_frame import Partition, Topic, batch_of, line_of, produce

from kproto.tools.decode.log_segments import RawBatch
from kproto.tools.decode.model import Finding
from kproto.tools.decode.ndjson import NdjsonWriter, finding_text
from kproto.wire import (
    InitProducerIdRequest,
    InitProducerIdResponse,
    ProduceRequest,
    SaslAuthenticateRequest,
    SaslHandshakeRequest,
    decode_request,
)
from kproto.wire.records import RecordBatchBuilder, read_record_batches
from kproto.wire.strategies import record_batches, request_frames

REQUEST_NAMES = (
    "frame time conn client broker direction api api_key version correlation_id client_id size body findings"
)
RESPONSE_NAMES = (
    "frame time conn client broker direction api api_key version correlation_id size latency_ms body findings"
)
BATCH_NAMES = (
    "base_offset last_offset_delta partition_leader_epoch magic crc crc_valid compression timestamp_type transactional"
    " control base_timestamp max_timestamp producer_id producer_epoch base_sequence count records"
)


def test_the_names_of_a_line_are_the_contract():
    dialogue = Dialogue()
    asked = line_of(dialogue.ask(InitProducerIdRequest(transactional_id=None), 4, 7))
    assert list(asked) == REQUEST_NAMES.split()
    assert asked == {
        "frame": 1,
        "time": 1_700_000_000.001,
        "conn": 1,
        "client": CLIENT,
        "broker": BROKER,
        "direction": "request",
        "api": "InitProducerId",
        "api_key": 22,
        "version": 4,
        "correlation_id": 7,
        "client_id": "app",
        "size": 30,
        "body": InitProducerIdRequest().to_dict(),
        "findings": [],
    }
    heard = line_of(dialogue.answer(InitProducerIdResponse(producer_id=5), 4, 7))
    assert list(heard) == RESPONSE_NAMES.split()
    assert (heard["direction"], heard["latency_ms"], heard["body"]["producer_id"]) == ("response", 1.0, 5)


def test_a_records_field_is_batches_with_records():
    builder = RecordBatchBuilder()
    builder.append(1_000, b"k", b"text", [("trace", b"1"), ("bin", b"\xff"), ("null", None)])
    builder.append(1_005, None, b"\xff\xfe")
    builder.append(999, b"", None)
    line = line_of(Dialogue().ask(*produce(builder.build(7, 1, 40))))
    (batch,) = line["body"]["topic_data"][0]["partition_data"][0]["records"]["batches"]
    assert list(batch) == BATCH_NAMES.split()
    assert (batch["producer_id"], batch["producer_epoch"], batch["base_sequence"], batch["count"]) == (7, 1, 40, 3)
    assert (batch["crc_valid"], batch["compression"], batch["timestamp_type"]) == (True, "none", "create_time")
    assert batch["records"] == [
        {
            "offset_delta": 0,
            "timestamp": 1_000,
            "key": "k",
            "value": "text",
            "headers": [["trace", "1"], ["bin", {"base64": "/w=="}], ["null", None]],
        },
        {"offset_delta": 1, "timestamp": 1_005, "key": None, "value": {"base64": "//4="}, "headers": []},
        {"offset_delta": 2, "timestamp": 999, "key": "", "value": None, "headers": []},
    ]


@given(record_batches())
def test_records_of_all_codecs_are_those_that_were_written(built):
    line = line_of(Dialogue().ask(*produce(built.data)))
    (batch,) = line["body"]["topic_data"][0]["partition_data"][0]["records"]["batches"]
    (expected,) = read_record_batches(built.data)
    assert len(batch["records"]) == expected.count
    for shown, record in zip(batch["records"], expected, strict=True):
        assert (shown["offset_delta"], shown["timestamp"]) == (record.offset, record.timestamp)
        assert [name for name, _ in shown["headers"]] == [name for name, _ in record.headers]
        assert shown["value"] is None if record.value is None else shown["value"] is not None


@given(request_frames())
def test_every_line_is_json_and_tells_the_message(drawn):
    """Against `json` and `to_dict`, for all that is neither bytes nor records."""
    _, _, frame = drawn
    line = line_of(Dialogue(show_secrets=True).frame(frame[4:], request=True))
    _, message = decode_request(frame[4:])
    assert _comparable(line["body"]) == _comparable(message.to_dict())


def _comparable(value):
    if isinstance(value, dict):
        if list(value) in (["base64"], ["batches"], ["batches", "rest"]):
            return "bytes"
        return {str(name): _comparable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_comparable(each) for each in value]
    if isinstance(value, bytes):
        return "bytes"
    return str(value) if value.__class__.__name__ == "UUID" else value


def test_null_and_empty_records_differ():
    line = line_of(Dialogue().ask(*produce(None, b"")))
    first, second = line["body"]["topic_data"][0]["partition_data"]
    assert (first["records"], second["records"]) == (None, {"batches": []})


def test_a_wrong_checksum_is_a_finding_and_the_records_are_there():
    data = bytearray(batch_of("none"))
    data[17] ^= 1
    decoded = Dialogue().ask(*produce(bytes(data)))
    line = line_of(decoded)
    (batch,) = line["body"]["topic_data"][0]["partition_data"][0]["records"]["batches"]
    assert (batch["crc_valid"], batch["records"][0]["value"]) == (False, "value")
    (finding,) = line["findings"]
    assert (finding["code"], finding["notice"], finding["offset"]) == ("crc", False, 17)
    assert finding["path"] == "topic_data[0].partition_data[0].records"


def test_records_that_lie_leave_the_header_and_their_bytes():
    data = bytearray(batch_of("none"))
    data[60] = 9  # the count
    line = line_of(Dialogue().ask(*produce(bytes(data) + b"rest")))
    records = line["body"]["topic_data"][0]["partition_data"][0]["records"]
    (batch,) = records["batches"]
    assert (batch["count"], batch["records"]) == (9, None) and "base64" in batch["body"]
    assert records["rest"] == {"base64": "cmVzdA=="}
    assert [each["code"] for each in line["findings"]] == ["crc", "bad-records", "bad-records"]


def test_secrets_are_their_sizes():
    dialogue = Dialogue()
    line = line_of(dialogue.ask(SaslAuthenticateRequest(auth_bytes=b"secret"), 2), raw=True)
    assert line["body"]["auth_bytes"] == {"redacted": 6}
    assert b"secret" not in json.dumps(line).encode()
    dialogue.ask(SaslHandshakeRequest(mechanism="PLAIN"), 0)
    token = line_of(dialogue.frame(b"\0user\0password", request=True))
    assert (token["api"], token["api_key"], token["body"]) == ("SaslToken", None, {"token": {"redacted": 14}})
    shown = Dialogue(show_secrets=True).ask(SaslAuthenticateRequest(auth_bytes=b"secret"), 2)
    assert line_of(shown)["body"]["auth_bytes"] == {"base64": "c2VjcmV0"}


def test_undeclared_apis_have_no_body_and_their_bytes_on_request():
    decoded = Dialogue().frame(b"\0\1\0\5\0\0\0\7\xff\xff", request=True)
    assert line_of(decoded)["body"] is None and "raw" not in line_of(decoded)
    assert line_of(decoded, raw=True)["raw"] == {"base64": "AAEABQAAAAf//w=="}


def test_bare_frames_are_lines_if_they_have_findings():
    dialogue = Dialogue()
    line = line_of(dialogue.bare(Finding("gap", 'with "quotes" and \ud800', offset=5, path="a.b")))
    assert (line["frame"], line["conn"], line["api"], line["direction"], line["body"]) == (None, 1, None, None, None)
    assert line["findings"] == [
        {"code": "gap", "text": 'with "quotes" and ?', "notice": False, "offset": 5, "path": "a.b"}
    ]
    line = line_of(dialogue.bare(Finding("gzip", "damaged"), conn=0))
    assert (line["conn"], line["time"], line["client"]) == (None, None, None)
    written = []
    NdjsonWriter(written.append).add(dialogue.bare())
    assert written == []


def test_names_of_topic_ids_stand_beside_the_body():
    decoded = Dialogue().ask(ProduceRequest(topic_data=[Topic()]), 13)
    decoded.topics = {"0-1": "orders"}
    assert line_of(decoded)["topics"] == {"0-1": "orders"}


def test_a_long_line_is_written_in_portions():
    builder = RecordBatchBuilder("gzip")
    for _ in range(3_000):
        builder.append(1, None, b"x" * 1_000)
    written = []
    NdjsonWriter(written.append).add(Dialogue().ask(*produce(builder.build())))
    assert len(written) == 4 and all(len(piece) < 1_500_000 for piece in written)
    line = json.loads("".join(written))
    records = line["body"]["topic_data"][0]["partition_data"][0]["records"]["batches"][0]["records"]
    assert [record["offset_delta"] for record in records] == list(range(3_000))


def test_values_that_json_would_make_huge_stand_as_base64():
    builder = RecordBatchBuilder()
    builder.append(1, None, bytes(1_100_000))
    line = line_of(Dialogue().ask(*produce(builder.build())))
    records = line["body"]["topic_data"][0]["partition_data"][0]["records"]["batches"][0]["records"]
    assert list(records[0]["value"]) == ["base64"]


@pytest.mark.parametrize("text", ["", '\x7f\x00\u2028\n"\\', "äöü ✓ 🎉"])
def test_any_text_comes_back(text):
    builder = RecordBatchBuilder()
    builder.append(1, text.encode(), text.encode(), [(text, text.encode())])
    line = line_of(Dialogue().ask(*produce(builder.build()), client_id=text))
    record = line["body"]["topic_data"][0]["partition_data"][0]["records"]["batches"][0]["records"][0]
    assert (record["key"], record["value"], record["headers"], line["client_id"]) == (text, text, [[text, text]], text)


def test_a_batch_of_a_segment_is_a_line():
    written, findings = [], []
    data = batch_of("lz4")
    writer = NdjsonWriter(written.append, raw=True)
    writer.add_batch(3, RawBatch(100, 0, data), findings)
    writer.end()
    line = json.loads("".join(written))
    assert list(line) == ["batch", "position", "size", "body", "raw", "findings"]
    assert (line["batch"], line["position"], line["size"], findings) == (3, 100, len(data), [])
    assert line["body"]["batches"][0]["records"][0]["value"] == "value"


def test_a_finding_is_five_names():
    assert json.loads(finding_text(Finding("code", "text", notice=True))) == {
        "code": "code",
        "text": "text",
        "notice": True,
        "offset": None,
        "path": None,
    }


@given(st.lists(st.binary(max_size=80), max_size=3))
def test_hostile_records_never_raise_and_stay_json(fields):
    decoded = Dialogue().ask(*produce(*fields))
    assert len(line_of(decoded)["body"]["topic_data"][0]["partition_data"]) == len(fields)
    assert bool(codes(decoded)) == any(fields)


def test_the_fields_of_one_frame_share_its_bounds():
    partitions = [Partition(index=0, records=batch_of("none")), Partition(index=1, records=batch_of("zstd"))]
    message = ProduceRequest(topic_data=[Topic(name="a", partition_data=partitions)] * 2)
    line = line_of(Dialogue().ask(message, 9))
    assert [len(topic["partition_data"]) for topic in line["body"]["topic_data"]] == [2, 2]
    assert line["findings"] == []
