"""Byte ranges: all bytes, once, in order; secrets hidden; what came before the damage kept."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import (
    ApiKey,
    DecodeError,
    ErrorCode,
    Message,
    MetadataRequest,
    MetadataResponse,
    ProduceRequest,
    ProduceResponse,
    SaslAuthenticateRequest,
    Struct,
    WireError,
    encode_request,
    encode_response,
)
from kproto.wire.annotate import SECRET, annotate, annotate_request, annotate_response, hexdump
from kproto.wire.field import field
from kproto.wire.records import RecordBatchBuilder
from kproto.wire.strategies import request_frames, response_frames
from kproto.wire.wire_type import Array, Int8, Int16, Int32, SecretBytes


class Logins(Message, versions="0-1", flexible="1+"):
    """Secrets where no declared message has them, and fields that look like an error code."""

    class Login(Struct):
        """Of one user."""

        token: bytes = field(SecretBytes)
        last_error_code: int = field(Int16)
        error_code: int = field(Int32)

    logins: list[Login] = field(Array(Login))
    tokens: list[bytes] = field(Array(SecretBytes))
    login: Login = field(Login, nullable="0+", default=None)
    late: bytes = field(SecretBytes, tag=0, since=1)
    rest: int = field(Int8)


def assert_covers(spans, start, stop):
    assert [span.start for span in spans] == [start, *(span.stop for span in spans[:-1])]
    assert spans[-1].stop == stop
    assert all(span.start <= span.stop for span in spans)


@given(request_frames())
def test_spans_of_requests_cover_every_byte_once(made):
    _, _, frame = made
    spans = annotate_request(frame[4:], secrets=True)
    assert spans.error is None
    assert_covers(spans, 0, len(frame) - 4)


@given(response_frames())
def test_spans_of_responses_cover_every_byte_once(made):
    response, version, frame = made
    spans = annotate_response(frame[4:], type(response), version, secrets=True)
    assert spans.error is None
    assert_covers(spans, 0, len(frame) - 4)


@given(response_frames())
def test_values_are_those_of_decode(made):
    response, version, _ = made
    spans = annotate(type(response), version, response.encode(version), secrets=True)
    for declared in response.fields:
        value = getattr(response, declared.name)
        if version in declared.versions and not declared.is_tagged(version) and not isinstance(value, tuple):
            (span,) = [span for span in spans if span.path == declared.name]
            assert span.value == value
            assert span.type == declared.type.name


@given(response_frames(), st.data())
def test_what_precedes_the_damage_is_kept(made, data):
    response, version, _ = made
    encoded = response.encode(version)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    spans = annotate(type(response), version, encoded[:cut])
    assert spans.error is not None
    assert spans.error.offset <= cut
    whole = annotate(type(response), version, encoded)
    assert spans == whole[: len(spans)]


def test_a_request_by_hand():
    request = MetadataRequest(topics=[MetadataRequest.MetadataRequestTopic(name="t")])
    payload = encode_request(request, 12, correlation_id=2, client_id="p")[4:]
    lines = list(hexdump(payload, annotate_request(payload)))
    assert [re.split(" {2,}", line) for line in lines] == [
        ["0000", "00 03", "header.request_api_key", "int16", "3 Metadata"],
        ["0002", "00 0c", "header.request_api_version", "int16", "12"],
        ["0004", "00 00 00 02", "header.correlation_id", "int32", "2"],
        ["0008", "00 01 70", "header.client_id", "string", "'p'"],
        ["000b", "00", "header.tagged_fields", "tags", "0"],
        ["000c", "02", "topics", "array", "1"],
        ["000d", "00 " * 15 + "00", "topics[0].topic_id", "uuid", str(uuid.UUID(int=0))],
        ["001d", "02 74", "topics[0].name", "string", "'t'"],
        ["001f", "00", "topics[0].tagged_fields", "tags", "0"],
        ["0020", "01", "allow_auto_topic_creation", "bool", "True"],
        ["0021", "00", "include_topic_authorized_operations", "bool", "False"],
        ["0022", "00", "tagged_fields", "tags", "0"],
    ]


def test_error_codes_and_tags_have_names():
    leader = ProduceResponse.LeaderIdAndEpoch(leader_id=1, leader_epoch=2)
    partition = ProduceResponse.PartitionProduceResponse(error_code=6, current_leader=leader, unknown_tags={7: b"?"})
    topic = ProduceResponse.TopicProduceResponse(name="t", partition_responses=[partition])
    other = ProduceResponse.TopicProduceResponse(partition_responses=[partition.replace(error_code=999)])
    payload = encode_response(ProduceResponse(responses=[topic, other]), 10, correlation_id=1)[4:]
    spans = {span.path: span for span in annotate_response(payload, ProduceResponse, 10)}
    path = "responses[0].partition_responses[0]"
    assert spans[f"{path}.error_code"].value is ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert spans["responses[1].partition_responses[0].error_code"].value == 999
    assert spans[f"{path}.current_leader.leader_epoch"].value == 2
    assert spans[f"{path}.tagged_fields[7]"].value == b"?"
    text = "\n".join(hexdump(payload, list(spans.values())))
    assert "6 NOT_LEADER_OR_FOLLOWER" in text
    assert ApiKey.PRODUCE == 0


def test_secrets_are_hidden_unless_asked_for():
    payload = encode_request(SaslAuthenticateRequest(auth_bytes=b"\0u\0password"), 2, correlation_id=1, client_id="p")[
        4:
    ]
    spans = annotate_request(payload)
    assert [span.value for span in spans if span.path == "auth_bytes"] == [SECRET]
    text = "\n".join(hexdump(payload, spans))
    assert "password" not in text
    assert b"password".hex(" ") not in text
    assert "<secret>" in text
    shown = annotate_request(payload, secrets=True)
    assert [span.value for span in shown if span.path == "auth_bytes"] == [b"\0u\0password"]
    empty = annotate(SaslAuthenticateRequest, 2, SaslAuthenticateRequest().encode(2))
    assert empty[0].value == b""


def test_secrets_are_hidden_wherever_they_stand():
    login = Logins.Login(token=b"hunter2", last_error_code=3, error_code=3)
    made = Logins(logins=[login, login], tokens=[b"hunter2", b""], login=login, late=b"hunter2")
    encoded = made.encode(1)
    spans = annotate(Logins, 1, encoded)
    assert_covers(spans, 0, len(encoded))
    hidden = ["logins[0].token", "logins[1].token", "tokens[0]", "login.token", "late"]
    assert [span.path for span in spans if span.value == SECRET] == hidden
    text = "\n".join(hexdump(encoded, spans))
    assert "hunter2" not in text
    assert b"hunter2".hex(" ") not in text
    shown = annotate(Logins, 1, encoded, secrets=True)
    assert [span.value for span in shown if span.path in hidden] == [b"hunter2"] * 5
    assert [span._replace(value=None) for span in spans] == [span._replace(value=None) for span in shown]
    assert not any(isinstance(span.value, ErrorCode) for span in shown)


def test_a_batch_is_shown_record_by_record():
    builder = RecordBatchBuilder("none")
    builder.append(1_700_000_000_000, b"k", b"v", [("h", None)])
    partition = ProduceRequest.PartitionProduceData(records=builder.build(7, 1, 5))
    topic = ProduceRequest.TopicProduceData(name="t", partition_data=[partition])
    encoded = ProduceRequest(topic_data=[topic]).encode(9)
    spans = annotate(ProduceRequest, 9, encoded)
    assert_covers(spans, 0, len(encoded))
    path = "topic_data[0].partition_data[0].records"
    found = {span.path.removeprefix(path): span for span in spans if span.path.startswith(path)}
    assert found[""].value == len(partition.records)
    assert encoded[found[""].start : found[""].stop] == bytes([len(partition.records) + 1])
    assert encoded[found[""].stop :].startswith(partition.records)
    assert found["[0].producer_id"].value == 7
    assert found["[0].records[0].key"].value == b"k"
    assert found["[0].records[0].headers[0].key"].value == "h"


def test_trailing_bytes_and_wrong_versions():
    encoded = MetadataResponse().encode(12)
    assert "found 2 more bytes" in str(annotate(MetadataResponse, 12, encoded + b"xx").error)
    for refused in (annotate, lambda cls, version, data: annotate_response(data, cls, version)):
        with pytest.raises(WireError, match="has versions 0-13"):
            refused(MetadataResponse, 14, b"")
    with pytest.raises(DecodeError, match="expected a declared API, found 99"):
        annotate_request(b"\0\x63" + bytes(6))
    with pytest.raises(DecodeError, match="need 2 bytes, 1 remain"):
        annotate_request(b"\0")
    assert "need" in str(annotate_response(b"\0\0", MetadataResponse, 12).error)


def test_long_values_are_shortened():
    partition = ProduceRequest.PartitionProduceData(records=b"x" * 100)
    topic = ProduceRequest.TopicProduceData(name="t" * 100, partition_data=[partition])
    encoded = ProduceRequest(topic_data=[topic]).encode(9)
    lines = list(hexdump(encoded, annotate(ProduceRequest, 9, encoded)))
    assert any(line.endswith("records   <100 bytes>") for line in lines)
    assert any(line.endswith("t...") for line in lines)
    assert max(map(len, lines)) < 200
