"""Bytes as Python writes them are read back from the lines of a log, with what the line says of them."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.kafka_bytes import metadata

from kproto.tools.decode.log_lines import has_literals, read_log


def read(*lines):
    findings = []
    return list(read_log(iter(lines), findings.append)), findings


@given(st.binary(max_size=100), st.booleans(), st.booleans())
def test_literals_are_read_back(data, sent, array):
    value = bytearray(data) if array else data
    line = f"DEBUG kafka.protocol.parser:<KafkaConnection 7> {'Send' if sent else 'Recv'}: {value!r}\n"
    assert has_literals(line)
    (found,), findings = read(line)
    assert (found.data, found.sent, found.connection, found.line) == (data, sent, "<KafkaConnection 7>", 1)
    assert findings == []


@pytest.mark.parametrize(
    ("before", "sent"),
    [
        ("Sending request", True),
        ("wrote 5 bytes", True),
        (">>", True),
        ("Received response for request", True),
        ("request, response:", False),
        ("received", False),
        ("<-", False),
        ("", None),
        ("payload=", None),
    ],
)
def test_the_last_word_tells_the_direction(before, sent):
    (found,), _ = read(f"{before} b'x'")
    assert found.sent is sent


def test_times_and_several_literals_in_a_line():
    found, _ = read("no bytes here", "2025-01-02 03:04:05,123 got b'a' and b\"it's\"\n")
    assert [(each.data, each.line) for each in found] == [(b"a", 2), (b"it's", 2)]
    assert {each.time_ns for each in found} == {1_735_787_045_123_000_000}


@pytest.mark.parametrize("line", ["Send: b'cut off", "Send: b'\\x0", "Send: b'\\xzz'", "Send: b'ä'"])
def test_what_cannot_be_read_is_a_finding(line):
    found, [finding] = read("first", line)
    assert found == []
    assert (finding.code, finding.offset, finding.notice) == ("log-line", 2, False)


@pytest.mark.parametrize("text", ["", "verb'x'", "b 'x'", "b`x`"])
def test_what_holds_no_literals(text):
    assert not has_literals(text)


def test_what_kafka_python_writes_is_read(caplog):
    """Its own parser is the judge."""
    from kafka.protocol.metadata import MetadataRequest
    from kafka.protocol.parser import KafkaProtocol

    protocol = KafkaProtocol(client_id="a client", ident="<connection 1>")
    caplog.set_level(logging.DEBUG, "kafka.protocol.parser")
    protocol.send_request(MetadataRequest[12](topics=None))
    sent = protocol.send_bytes()
    (found,), findings = read(*(f"{record.levelname} {record.getMessage()}" for record in caplog.records))
    assert (found.data, found.sent, found.connection) == (bytes(sent), True, "<connection 1>")
    assert found.data[:4] == metadata(1)[:4] and findings == []


@given(st.text(alphabet="b'\"\\x0 aäSend:<>\n", max_size=80))
def test_any_line_gives_bytes_or_findings(text):
    found, findings = read(*text.splitlines())
    assert all(type(each.data) is bytes for each in found)
    assert all(finding.code == "log-line" for finding in findings)
