"""Texts of JSON: what `json` reads from them is what went in."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode.json_text import batch_head, bytes_text, message_writer, quoted, text_or_bytes
from kproto.tools.decode.records_view import RecordsField, RecordsReader
from kproto.wire import REQUESTS, MetadataResponse, SaslAuthenticateRequest, Struct
from kproto.wire.field import field
from kproto.wire.records import RecordBatchBuilder
from kproto.wire.strategies import messages
from kproto.wire.wire_type import Array, Boolean, Bytes, Float64, Int32


class Context:
    redacted = False

    def records(self, data, out):
        out.append("0")


def text_of(message, context=None):
    out = []
    message_writer(type(message))(message, out, context or Context())
    return json.loads("".join(out))


@given(st.text())
def test_any_text(text):
    text = text.encode("utf-8", "replace").decode()
    assert json.loads(quoted(text)) == text
    assert json.loads(text_or_bytes(text.encode())) == text


@given(st.binary())
def test_any_bytes(data):
    assert json.loads(bytes_text(data)) == {"base64": b64encode(data).decode()}
    shown = json.loads(text_or_bytes(data))
    assert shown == {"base64": b64encode(data).decode()} or shown.encode() == data


def test_null():
    assert (bytes_text(None), text_or_bytes(None)) == ("null", "null")


@given(st.data())
def test_a_message_is_its_to_dict(data):
    message = data.draw(messages(MetadataResponse, 12, unknown_tags=False))
    expected = json.loads(json.dumps(message.to_dict(), default=str))
    assert text_of(message) == expected


@pytest.mark.parametrize("cls", REQUESTS.values(), ids=lambda cls: cls.__name__)
def test_every_class_has_a_writer(cls):
    assert list(text_of(cls())) == [field.name for field in cls.fields]


class Odd(Struct):
    """What declared messages do not have."""

    class Inner(Struct):
        """Nullable."""

        blob: bytes | None = field(Bytes, nullable="0+")

    ratio: float = field(Float64)
    flag: bool = field(Boolean)
    inner: Inner | None = field(Inner, nullable="0+", default=None)
    inners: tuple[Inner, ...] | None = field(Array(Inner), nullable="0+")
    numbers: tuple[int, ...] | None = field(Array(Int32), nullable="0+")


class Empty(Struct):
    """Without fields."""


def test_odd_values():
    assert text_of(Odd(ratio=float("nan"), flag=True, inners=None, numbers=None)) == {
        "ratio": "nan",
        "flag": True,
        "inner": None,
        "inners": None,
        "numbers": None,
    }
    odd = Odd(ratio=1.5, inner=Odd.Inner(blob=b"\xff"), inners=[Odd.Inner(), Odd.Inner()], numbers=[1, 2])
    assert text_of(odd)["inner"] == {"blob": {"base64": "/w=="}} and text_of(odd)["numbers"] == [1, 2]
    assert text_of(Empty()) == {}
    assert text_of(Empty(unknown_tags={3: b"\xff"})) == {"unknown_tags": {"3": {"base64": "/w=="}}}
    assert text_of(Odd(unknown_tags={3: b"", 4: b"a"}))["unknown_tags"] == {
        "3": {"base64": ""},
        "4": {"base64": "YQ=="},
    }


def test_secrets_that_were_overwritten_are_sizes():
    context = Context()
    assert text_of(SaslAuthenticateRequest(auth_bytes=b"***"), context)["auth_bytes"] == {"base64": "Kioq"}
    context.redacted = True
    assert text_of(SaslAuthenticateRequest(auth_bytes=b"***"), context)["auth_bytes"] == {"redacted": 3}


def test_attributes_are_told_where_nothing_else_tells_them():
    builder = RecordBatchBuilder()
    builder.append(1, None, None)
    data = bytearray(builder.build())
    for attributes, told in ((0x3F & ~7, None), (0x40, 0x40), (-0x8000, -0x8000)):
        data[21:23] = attributes.to_bytes(2, "big", signed=True)
        (view,) = RecordsReader(0).read(RecordsField("records", bytes(data)), [])
        assert json.loads(batch_head(view) + '"records": []}').get("attributes") == told
