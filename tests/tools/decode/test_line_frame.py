"""Lines become frames again, byte for byte, wherever the frame is canonical and nothing is compressed."""

from __future__ import annotations

import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.talk import Dialogue, codes

from kproto.tools.decode.apis import Apis
from kproto.tools.decode.line_frame import frame_from_line, message_from_json, records_from_json
from kproto.tools.decode.ndjson import NdjsonWriter
from kproto.wire import (
    RESPONSES,
    ApiKey,
    EncodeError,
    MetadataRequest,
    ProduceRequest,
    RequestHeader,
    SaslAuthenticateRequest,
)
from kproto.wire.definitions import Definitions
from kproto.wire.records import Compression
from kproto.wire.strategies import messages, record_batches, request_frames

Topic = ProduceRequest.TopicProduceData
Partition = Topic.PartitionProduceData
UNCOMPRESSED = record_batches(st.just(Compression.NONE))


def line_of(decoded, **options):
    written = []
    writer = NdjsonWriter(written.append, **options)
    writer.add(decoded)
    text = "".join(written)
    assert text.endswith("\n") and text.count("\n") == 1
    return json.loads(text)


def produce(*records, version=9):
    partitions = [Partition(index=index, records=data) for index, data in enumerate(records)]
    return ProduceRequest(acks=-1, topic_data=[Topic(name="orders", partition_data=partitions)]), version


@given(st.data())
def test_every_declared_request_and_answer_comes_back(data):
    request, version, frame = data.draw(request_frames())
    dialogue = Dialogue(show_secrets=True)
    asked = dialogue.frame(frame[4:], request=True)
    assert frame_from_line(line_of(asked)) == frame[4:]
    if isinstance(request, ProduceRequest) and request.acks == 0:
        return
    answer = data.draw(messages(RESPONSES[ApiKey(request.api_key)], version))
    heard = dialogue.answer(answer, version, asked.correlation_id)
    assert frame_from_line(line_of(heard)) == heard.frame.data


@given(st.lists(st.lists(UNCOMPRESSED, min_size=1, max_size=3), min_size=1, max_size=3))
def test_uncompressed_batches_come_back(fields):
    joined = [b"".join(batch.data for batch in batches) for batches in fields]
    decoded = Dialogue().ask(*produce(*joined))
    line = line_of(decoded)
    assert line["findings"] == []
    assert frame_from_line(line) == decoded.frame.data


@given(UNCOMPRESSED, st.data())
def test_batches_that_brokers_have_changed_come_back(batch, data):
    """Offset, leader epoch, and the time of the append, which makes all records' own times moot."""
    changed = bytearray(batch.data)
    changed[0:8] = data.draw(st.integers(0, 2**60)).to_bytes(8, "big")
    changed[12:16] = data.draw(st.integers(-1, 2**31 - 1)).to_bytes(4, "big", signed=True)
    changed[22] |= data.draw(st.sampled_from([0, 8, 0x10, 0x20, 0x40, 0x48]))
    changed[21] |= data.draw(st.sampled_from([0, 1]))
    decoded = Dialogue().ask(*produce(bytes(changed)))
    assert frame_from_line(line_of(decoded)) == decoded.frame.data


@given(UNCOMPRESSED, st.data())
def test_damaged_batches_come_back_as_they_are(batch, data):
    """Wherever a byte is wrong, the line tells it or keeps the bytes: unless the damage says that it is compressed."""
    changed = bytearray(batch.data)
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    decoded = Dialogue().ask(*produce(bytes(changed)))
    line = line_of(decoded)
    batches = line["body"]["topic_data"][0]["partition_data"][0]["records"]["batches"]
    if any(each["magic"] < 2 or each["compression"] != "none" for each in batches):
        return
    rebuilt, frame = frame_from_line(line), decoded.frame.data
    if rebuilt != frame:  # readers pass over the attributes of a record, which mean nothing
        (differs,) = (index for index, (ours, theirs) in enumerate(zip(rebuilt, frame, strict=True)) if ours != theirs)
        assert at >= 61 and rebuilt[differs] == 0 and codes(decoded) == ["crc"]


def legacy(magic, key, value, attributes=0, offset=3, timestamp=5):
    def sized(data):
        return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data

    covered = bytes([magic, attributes]) + (struct.pack(">q", timestamp) if magic else b"") + sized(key) + sized(value)
    message = struct.pack(">I", zlib.crc32(covered)) + covered
    return struct.pack(">qi", offset, len(message)) + message


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize(("key", "value"), [(None, b"value"), (b"key", None), (b"\xff", b"")])
def test_message_sets_come_back(magic, key, value):
    data = legacy(magic, key, value) + legacy(magic, key, value, attributes=8 * magic, offset=4)
    damaged = bytearray(legacy(magic, key, value))
    damaged[12] ^= 1
    decoded = Dialogue().ask(*produce(data, bytes(damaged), version=2))
    line = line_of(decoded)
    assert codes(decoded) == ["crc"]
    assert frame_from_line(line) == decoded.frame.data


def test_tags_of_headers_come_back():
    header = RequestHeader(
        request_api_key=3, request_api_version=9, correlation_id=5, client_id=None, unknown_tags={7: b"\xff"}
    )
    data = header.encode(2) + MetadataRequest().encode(9)
    decoded = Dialogue().frame(data, request=True)
    line = line_of(decoded)
    assert line["header_tags"] == {"7": {"base64": "/w=="}} and line["client_id"] is None
    assert frame_from_line(line) == data


def test_definitions_serve_for_undeclared_apis():
    text = (
        '{"apiKey": 1, "type": "%s", "name": "%s", "validVersions": "4-5", "flexibleVersions": "5+", "fields":'
        ' [{"name": "Ratio", "type": "float64", "versions": "0+"}, {"name": "Ids", "type": "[]uuid", "versions": "0+"},'
        ' {"name": "Inner", "type": "Inner", "versions": "0+", "nullableVersions": "0+", "default": "null", "fields":'
        ' [{"name": "Blob", "type": "bytes", "versions": "0+", "nullableVersions": "0+"}]}]}'
    )
    apis = Apis(
        Definitions(
            {
                "FetchRequest": text % ("request", "FetchRequest"),
                "FetchResponse": text % ("response", "FetchResponse"),
            }
        )
    )
    for ratio in (1.5, float("inf"), float("-inf"), 0.1):
        body = struct.pack(">d", ratio) + b"\2" + bytes(15) + b"\7" + b"\1\3\xff\xfe\0\0"
        decoded = Dialogue(apis).frame(struct.pack(">hhih", 1, 5, 9, -1) + b"\0" + body, request=True)
        assert codes(decoded) == []
        assert frame_from_line(line_of(decoded), apis) == decoded.frame.data


def test_what_is_not_in_the_line_is_refused():
    compressed = Dialogue().ask(*produce(batch_of("gzip")))
    with pytest.raises(EncodeError, match="compressed"):
        frame_from_line(line_of(compressed))
    secret = Dialogue().ask(SaslAuthenticateRequest(auth_bytes=b"secret"), 2)
    with pytest.raises(EncodeError, match="a secret was overwritten"):
        frame_from_line(line_of(secret))
    undeclared = Dialogue().frame(struct.pack(">hhih", 1, 5, 9, -1), request=True)
    with pytest.raises(EncodeError, match="was not decoded"):
        frame_from_line(line_of(undeclared))
    with pytest.raises(EncodeError, match="no such field"):
        message_from_json(MetadataRequest, {"topicz": []})
    with pytest.raises(EncodeError, match="compressed sets"):
        records_from_json(
            {"batches": [{"magic": 1, "compression": "gzip", "records": [{}], "base_offset": 0, "crc": 0}]}
        )


def batch_of(codec):
    from kproto.wire.records import RecordBatchBuilder

    builder = RecordBatchBuilder(codec)
    builder.append(1, b"key", b"value")
    return builder.build()
