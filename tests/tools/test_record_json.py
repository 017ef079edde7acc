"""One format for input and for what was not delivered: whatever is written is read again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client import TopicPartition
from kproto.producer import DeliveryError, ProducerRecord, WriteStatus
from kproto.tools.record_json import RecordFormatError, record_from_json, record_to_json

EMPTY = ProducerRecord("default")
BYTES = st.none() | st.binary(max_size=20) | st.text(max_size=10).map(str.encode)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
RECORDS = st.builds(
    ProducerRecord,
    topic=NAMES.filter(bool),
    value=BYTES,
    key=BYTES,
    partition=st.none() | st.integers(0, 2**31 - 1),
    timestamp_ms=st.none() | st.integers(0, 2**63 - 1),
    headers=st.lists(st.tuples(NAMES, BYTES), max_size=3).map(tuple),
)
REASON = DeliveryError(TopicPartition("a", 1), WriteStatus.POSSIBLY, 'why "so"\nand on')


@given(RECORDS, st.sampled_from([(), (WriteStatus.NO, REASON)]))
def test_what_is_written_is_read_again(record, ending):
    line = record_to_json(record, *ending)
    assert "\n" not in line
    assert record_from_json(line.encode(), EMPTY) == record


def test_how_a_line_looks():
    record = ProducerRecord("orders", b"\xff", "k\u00e4y".encode(), 0, 7, (("trace", b"1"), ("none", None)))
    assert record_to_json(record) == (
        '{"topic": "orders", "partition": 0, "timestamp": 7, "key": "k\u00e4y", "value": {"base64": "/w=="}, '
        '"headers": [["trace", "1"], ["none", null]]}'
    )
    ending = json.loads(record_to_json(record, WriteStatus.POSSIBLY, REASON))
    assert (ending["written"], ending["error"]) == ("possibly written", str(REASON))


def test_an_error_without_words_is_told_by_its_name():
    assert json.loads(record_to_json(EMPTY, WriteStatus.NO, TimeoutError()))["error"] == "TimeoutError"


def test_what_a_line_leaves_out_comes_from_the_default():
    default = ProducerRecord("orders", None, b"k", 2, None, (("a", b"1"),))
    assert record_from_json(b"{}", default) == default
    named = record_from_json(b'{"key": null, "partition": null, "headers": [["b", null]], "topic": "t"}', default)
    assert named == ProducerRecord("t", None, None, None, None, (("a", b"1"), ("b", None)))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"", "expected; at character 1: Expecting value"),
        (b"hello", 'an object of JSON, such as {"value": "text"}, was expected; at character 1: Expecting value'),
        (b"[1]", "was expected, not [1]"),
        (b'{"value": "\xff"}', "in UTF-8 was expected; byte 11 is not UTF-8"),
        (b'{"vlaue": "x"}', "there is no 'vlaue' in a record: did you mean 'value'?"),
        (b'{"key": "a", "key": "b"}', "'key' stands there twice"),
        (b'{"value": NaN}', "NaN is no JSON"),
        (b'{"value": 5}', 'value: a text, {"base64": "..."} or null was expected, not 5'),
        (b'{"value": "\\ud800"}', "value: a text"),
        (b'{"key": {"base64": "!"}}', "key: a text"),
        (b'{"key": {"base64": 5}}', "key: a text"),
        (b'{"key": {"base64": "", "x": 1}}', "key: a text"),
        (b'{"partition": -1}', "partition: a whole number from 0 to 2147483647 or null was expected, not -1"),
        (b'{"partition": true}', "partition: a whole number"),
        (b'{"partition": 2147483648}', "partition: a whole number"),
        (b'{"timestamp": 1.5}', "timestamp: a whole number"),
        (b'{"timestamp": ' + b"9" * 5000 + b"}", "nested too deep, or has a huge number"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"topic": ""}', 'topic: a name was expected, not ""'),
        (b'{"topic": null}', "topic: a name was expected, not null"),
        (b'{"headers": {}}', "headers: a list of [name, value] was expected, not {}"),
        (b'{"headers": [["a"]]}', 'headers: [name, value] was expected, with a text as name, not ["a"]'),
        (b'{"headers": [[1, "b"]]}', "headers: [name, value] was expected"),
        (b'{"headers": [["\\ud800", "b"]]}', "the name of a header: a text"),
        (b'{"headers": [["a", 1]]}', "header 'a': a text"),
        (b'{"value": [' + b"1," * 100 + b"1]}", "1, 1,..."),
    ],
)
def test_what_is_no_record(line, says):
    with pytest.raises(RecordFormatError) as caught:
        record_from_json(line, EMPTY)
    assert says in str(caught.value)
