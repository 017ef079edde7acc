"""Bytes with their fields: all of them, in order, and none that should not be seen."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from tools.decode.talk import Dialogue, codes
from tools.decode.test_conversation import FETCH
from tools.decode.test_line_frame import batch_of, produce

from kproto.tools.decode import hex as hex_view
from kproto.tools.decode.apis import Apis
from kproto.tools.decode.hex import HexWriter
from kproto.tools.decode.log_segments import RawBatch
from kproto.tools.decode.model import Finding
from kproto.wire import (
    InitProducerIdRequest,
    InitProducerIdResponse,
    SaslAuthenticateRequest,
    SaslHandshakeRequest,
)
from kproto.wire.records import RecordBatchBuilder
from kproto.wire.strategies import request_frames


def shown(decoded, apis=None, **options):
    lines = []
    writer = HexWriter(lambda line: lines.append(line.plain), apis, **options)
    writer.add(decoded)
    writer.end()
    return lines


def offsets(lines):
    return [int(match[1], 16) for line in lines if (match := re.match(r"  ([0-9a-f]{4,})  ", line))]


def test_each_range_has_its_field_and_value():
    dialogue = Dialogue()
    lines = shown(dialogue.ask(InitProducerIdRequest(transactional_id="t", producer_id=5), 4, 7))
    assert "InitProducerId 4 request #7" in lines[0]
    assert any(re.search(r"0008  00 03 61 70 70 +header.client_id +string +'app'", line) for line in lines)
    assert any(re.search(r"producer_id +int64 +5", line) for line in lines)
    lines = shown(dialogue.answer(InitProducerIdResponse(producer_id=9), 4, 7))
    assert any(re.search(r"producer_id +int64 +9", line) for line in lines)


@given(request_frames())
def test_the_ranges_are_in_order_and_begin_at_0(drawn):
    _, _, frame = drawn
    found = offsets(shown(Dialogue().frame(frame[4:], request=True), show_values=True))
    assert found[0] == 0 and found == sorted(found)


def test_values_are_sizes_unless_asked_for():
    builder = RecordBatchBuilder()
    builder.append(1, b"a key", b"a value", [("trace", b"an id")])
    decoded = Dialogue().ask(*produce(builder.build()))
    hidden, open_ = "\n".join(shown(decoded)), "\n".join(shown(decoded, show_values=True))
    for value in (b"a key", b"a value", b"an id"):
        assert value.hex(" ") not in hidden and value.decode() not in hidden
        assert value.hex(" ") in open_
        assert f"<{len(value)} bytes>" in hidden
    assert b"trace".hex(" ") in hidden


def test_compressed_records_are_one_range_that_is_hidden():
    data = batch_of("gzip")
    text = "\n".join(shown(Dialogue().ask(*produce(data))))
    assert data[61:71].hex(" ") not in text and re.search(r"\.body +bytes +<[0-9]+ bytes>", text)


def test_secrets_are_never_shown():
    dialogue = Dialogue()
    text = "\n".join(shown(dialogue.ask(SaslAuthenticateRequest(auth_bytes=b"secret"), 2), show_values=True))
    assert b"secret".hex(" ") not in text and "<secret>" in text and "2a 2a" not in text
    dialogue.ask(SaslHandshakeRequest(mechanism="PLAIN"), 0)
    text = "\n".join(shown(dialogue.frame(b"\0user\0password", request=True), show_values=True))
    assert "token of SASL" in text and b"user".hex(" ") not in text
    decoded = Dialogue(show_secrets=True).ask(SaslAuthenticateRequest(auth_bytes=b"secret"), 2)
    assert b"secret".hex(" ") in "\n".join(shown(decoded, show_values=True))


def test_what_is_not_declared_is_bytes():
    decoded = Dialogue().frame(b"\0\1\0\5\0\0\0\7\xff\xff" + bytes(range(20)), request=True)
    lines = shown(decoded)
    assert offsets(lines) == [0, 16] and "00 01 00 05" in lines[1]
    apis = Apis(FETCH)
    decoded = Dialogue(apis).frame(b"\0\1\0\4\0\0\0\7\xff\xff\0\0\0\5", request=True)
    assert any("max_wait_ms" in line for line in shown(decoded, apis))


def test_behind_a_lie_the_bytes_go_on():
    decoded = Dialogue().ask(InitProducerIdRequest(), 4)
    lying = Dialogue().frame(bytes(decoded.frame.data) + b"more", request=True)
    lines = shown(lying)
    assert "6d 6f 72 65" in "\n".join(lines) and "FINDING bad-body" in lines[-1]


def test_findings_of_records_are_told():
    damaged = bytearray(batch_of("none"))
    damaged[17] ^= 1
    decoded = Dialogue().ask(*produce(bytes(damaged)))
    assert "FINDING crc" in shown(decoded)[-1] and codes(decoded) == ["crc"]
    assert "FINDING gap" in shown(Dialogue().bare(Finding("gap", "10 bytes")))[-1]
    assert shown(Dialogue().bare()) == []


@pytest.mark.parametrize("bound", ["SPANS_MAX", "ANNOTATED_SIZE_MAX"])
def test_huge_frames_are_bounded(bound, monkeypatch):
    monkeypatch.setattr(hex_view, bound, 10)
    lines = shown(Dialogue().ask(*produce(batch_of("none") * 3)))
    assert len(lines) <= 24


def test_a_batch_of_a_segment_has_fields_too():
    lines, findings = [], []
    data = batch_of("none")
    damaged = bytearray(data)
    damaged[17] ^= 1
    writer = HexWriter(lambda line: lines.append(line.plain))
    writer.add_batch(3, RawBatch(100, 0, bytes(damaged)), findings)
    assert "at byte 100" in lines[0] and any("producer_epoch" in line for line in lines)
    assert b"value".hex(" ") not in "\n".join(lines)
    assert [each.code for each in findings] == ["crc"] and "FINDING crc" in lines[-1]
    lines.clear()
    writer.add_batch(4, RawBatch(100, 0, data[:30]), [])
    assert "00 00" in lines[1]
