"""`kproto decode`: options, outputs, exit codes, and what happens when it is stopped."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.kafka_bytes import metadata, request, response, versions
from tools.decode.packets import Talk, pcap, pcapng
from tools.decode.test_line_frame import batch_of, produce

from kproto.tools import console
from kproto.tools.cli import kproto
from kproto.tools.decode import decode_command
from kproto.tools.decode.line_frame import frame_from_line
from kproto.wire import (
    MetadataResponse,
    ProduceResponse,
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    encode_request,
    encode_response,
)


def answered_produce(talk, *records, correlation_id=2, error=0):
    message, version = produce(*records)
    talk.ask(encode_request(message, version, correlation_id=correlation_id, client_id="app"))
    partitions = [
        ProduceResponse.PartitionProduceResponse(index=index, error_code=error) for index in range(len(records))
    ]
    topic = ProduceResponse.TopicProduceResponse(name="orders", partition_responses=partitions)
    return talk.answer(encode_response(ProduceResponse(responses=[topic]), 9, correlation_id=correlation_id))


def clean():
    talk = Talk().open()
    asked, heard = versions(1)
    talk.ask(asked).answer(heard)
    answered_produce(talk, batch_of("none"), correlation_id=2)
    answered_produce(talk, batch_of("gzip"), correlation_id=3, error=6)
    talk.ask(metadata(4)).answer(encode_response(MetadataResponse(), 12, correlation_id=4))
    return talk.close().packets


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(clean()))
    return str(path)


def run(*arguments, data=None):
    return CliRunner().invoke(kproto, ["decode", *map(str, arguments)], input=data, prog_name="kproto")


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_clean_capture_is_shown_and_ends_with_0(capture):
    result = run(capture)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("ApiVersions 3") == 2 and result.stdout.count("Produce 9") == 4
    assert "<5 bytes>" in result.stdout and "FINDING" not in result.stdout
    assert "value" not in run(capture).stdout.replace("  value ", "")
    assert "  value value" in run(capture, "--show-values").stdout


@pytest.mark.parametrize("packed", ["pcap", "pcapng", "gzip", "stdin"])
def test_inputs(packed, tmp_path, capture):
    data = pcap(clean())
    if packed == "stdin":
        result = run("-", "--format", "ndjson", data=data)
    else:
        path = tmp_path / packed
        path.write_bytes({"pcap": data, "pcapng": pcapng(clean()), "gzip": gzip.compress(data)}[packed])
        result = run(path, "--format", "ndjson")
    assert result.exit_code == 0
    expected = lines(run(capture, "--format", "ndjson"))
    assert [line["api"] for line in lines(result)] == [line["api"] for line in expected]
    assert len(expected) == 8


def test_ndjson_lines_become_their_frames_again(capture):
    result = run(capture, "--format", "ndjson", "--raw")
    for line in lines(result):
        if '"compression": "gzip"' in json.dumps(line):
            continue
        import base64

        assert frame_from_line(line) == base64.b64decode(line["raw"]["base64"])


@pytest.mark.parametrize(
    ("options", "apis"),
    [
        (["--api", "metadata"], ["Metadata", "Metadata"]),
        (["--api", "3", "--api", "ApiVersions"], ["ApiVersions"] * 2 + ["Metadata"] * 2),
        (["--topic", "orders", "--partition", "0", "--corr", "2"], ["Produce", "Produce"]),
        (["--error", "any"], ["Produce"]),
        (["--error", "NOT_LEADER_OR_FOLLOWER", "--error", "7"], ["Produce"]),
        (["--error", "7"], []),
        (["--client-id", "nobody"], []),
        (["--conn", "1", "--corr", "4"], ["Metadata", "Metadata"]),
        (["--slow", "50ms"], []),
        (["--slow", "0us"], ["ApiVersions", "Produce", "Produce", "Metadata"]),
        (["--since", "2100-01-01"], []),
        (["--until", "2100-01-01", "--api", "metadata"], ["Metadata", "Metadata"]),
        (["--port", "9092", "--api", "metadata"], ["Metadata", "Metadata"]),
        (["--port", "9093"], []),
    ],
    ids=" ".join,
)
def test_filters(capture, options, apis):
    result = run(capture, "--format", "ndjson", *options)
    assert result.exit_code == 0, result.output
    assert [line["api"] for line in lines(result)] == apis


def test_hex_shows_fields(capture):
    result = run(capture, "--format", "hex", "--corr", 2)
    assert result.exit_code == 0 and "producer_epoch" in result.stdout and "<5 bytes>" in result.stdout


def test_stats_audit_and_report_take_the_place_of_frames(capture, tmp_path):
    result = run(capture, "--stats", "--audit")
    assert result.exit_code == 0 and "8 frames" in result.stdout and "Produce 9 request" not in result.stdout
    stats, audit = lines(run(capture, "--stats", "--audit", "--format", "ndjson"))
    assert stats["stats"]["frames"] == 8 and "findings" in audit["audit"]
    assert lines(run(capture, "--stats", "--format", "ndjson", "--api", "metadata"))[0]["stats"]["frames"] == 2
    page = tmp_path / "page.html"
    result = run(capture, "--report", page)
    assert (result.exit_code, result.stdout) == (0, "") and page.read_text().startswith("<!")
    result = run(capture, "--report", page, "--stats")
    assert "8 frames" in result.stdout


def test_findings_end_with_1(tmp_path):
    damaged = bytearray(batch_of("none"))
    damaged[17] ^= 1
    talk = answered_produce(Talk().open(), bytes(damaged)).close()
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(talk.packets))
    for options in ([], ["--format", "ndjson"], ["--format", "hex"], ["--stats"], ["--audit"]):
        assert run(path, *options).exit_code == 1, options
    assert run(path, "--report", tmp_path / "page.html").exit_code == 1
    assert run(path, "--api", "metadata").exit_code == 0
    path.write_bytes(pcap(Talk().open().ask(request(1)).close().packets))
    result = run(path)
    assert result.exit_code == 1 and "FINDING unanswered" in result.stdout


def test_an_audit_violation_ends_with_1(tmp_path):
    from kproto.wire.records import RecordBatchBuilder

    def batch(sequence):
        builder = RecordBatchBuilder()
        builder.append(1, None, b"v")
        return builder.build(7, 0, sequence)

    talk = Talk().open()
    for number, sequence in enumerate((0, 0)):
        answered_produce(talk, batch(sequence), correlation_id=number)
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(talk.close().packets))
    assert run(path).exit_code == 0
    assert run(path, "--audit").exit_code == 1


def test_a_mid_stream_capture_ends_with_0(tmp_path):
    talk = Talk().answer(response(1)).ask(request(2)).answer(response(2)).ask(request(3))
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(talk.packets))
    result = run(path)
    assert result.exit_code == 0, result.output
    assert "FINDING" not in result.stdout


@pytest.mark.parametrize("data", [b"", b"\xd4\xc3\xb2\xa1", b"no capture at all, but long enough to be one " * 3])
def test_bad_input_ends_with_2(data, tmp_path):
    path = tmp_path / "capture.pcap"
    path.write_bytes(data)
    assert ended(path).returncode == 2
    assert ended(tmp_path / "nothing").returncode == 2


@pytest.mark.parametrize(
    "options",
    [
        ["--api", "Produc"],
        ["--slow", "soon"],
        ["--format", "ndjson", "--redact"],
        ["--raw"],
        ["--since", "yesterday"],
        ["--definitions", "nowhere"],
    ],
    ids=" ".join,
)
def test_bad_usage_ends_with_2(capture, options):
    assert run(capture, *options).exit_code == 2


def ended(*arguments, **options):
    command = [sys.executable, "-m", "kproto.tools", "decode", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)


def test_a_closed_pipe_ends_silently(tmp_path):
    talk = Talk().open()
    for number in range(400):
        answered_produce(talk, batch_of("none") * 20, correlation_id=number)
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(talk.close().packets))
    command = [sys.executable, "-m", "kproto.tools", "decode", str(path), "--format", "ndjson"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()
        assert (process.wait(60), complaint) == (0, b"")


@pytest.mark.parametrize("options", [["--format", "ndjson"], ["--stats"]])
def test_ctrl_c_ends_with_what_is_known(capture, options, monkeypatch):
    feed = decode_command.Conversations.feed

    def interrupted(self, frame):
        if frame.number == 4:
            raise KeyboardInterrupt
        return feed(self, frame)

    monkeypatch.setattr(decode_command.Conversations, "feed", interrupted)
    result = run(capture, *options)
    assert result.exit_code == 130 and "Interrupted" in result.stderr
    assert len(result.stdout.splitlines()) == 3 or "3 frames" in result.stdout


def test_secrets_are_hidden_unless_asked_for(tmp_path):
    talk = Talk().open()
    asked = SaslAuthenticateRequest(auth_bytes=b"\0user\0password")
    talk.ask(encode_request(asked, 2, correlation_id=1, client_id="app"))
    talk.answer(encode_response(SaslAuthenticateResponse(), 2, correlation_id=1))
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(talk.close().packets))
    for options in (["--format", "ndjson", "--raw"], ["--show-values"], ["--format", "hex", "--show-values"]):
        result = run(path, *options)
        assert result.exit_code == 0 and "password" not in result.stdout and b"user".hex(" ") not in result.stdout
    shown = run(path, "--show-secrets", "--show-values")
    assert "password" in shown.stdout


def test_definitions_decode_what_is_not_declared(tmp_path):
    folder = tmp_path / "messages"
    folder.mkdir()
    for kind in ("request", "response"):
        name = f"Fetch{kind.title()}"
        (folder / f"{name}.json").write_text(
            json.dumps(
                {
                    "apiKey": 1,
                    "type": kind,
                    "name": name,
                    "validVersions": "4-5",
                    "flexibleVersions": "none",
                    "fields": [{"name": "MaxWaitMs", "type": "int32", "versions": "0+"}],
                }
            )
        )
    talk = Talk().open().ask(b"\0\0\0\x0e\0\1\0\5\0\0\0\7\xff\xff\0\0\0\5").answer(b"\0\0\0\x08\0\0\0\7\0\0\0\6")
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(talk.close().packets))
    assert [line["body"] for line in lines(run(path, "--format", "ndjson"))] == [None, None]
    decoded = lines(run(path, "--format", "ndjson", "--definitions", folder))
    assert [line["body"] for line in decoded] == [{"max_wait_ms": 5}, {"max_wait_ms": 6}]


@pytest.mark.parametrize("form", ["tree", "ndjson", "hex"])
def test_segments_of_kafkas_log(form, tmp_path):
    path = tmp_path / "00000000000000000000.log"
    path.write_bytes(batch_of("none") + batch_of("lz4"))
    result = run(path, "--format", form)
    assert result.exit_code == 0, result.output
    if form == "ndjson":
        assert [line["batch"] for line in lines(result)] == [1, 2]
    path.write_bytes(batch_of("none") + batch_of("lz4")[:-1])
    assert run(path, "--format", form).exit_code == 1
    assert ended(path, "--stats").returncode == 2


@given(st.binary(max_size=200), st.sampled_from(["tree", "ndjson", "hex"]))
def test_fuzzed_captures_never_crash(noise, form):
    talk = Talk().open().ask(request(1)).ask(noise or b"\0").answer(noise or b"\0").answer(response(1)).close()
    result = run("-", "--format", form, data=pcap(talk.packets))
    assert result.exit_code in (0, 1), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_a_bar_moves_where_somebody_sits(capture, monkeypatch):
    monkeypatch.setattr(decode_command, "_somebody_sits_there", lambda: True)
    monkeypatch.setattr(console, "notes", lambda: console.PipedConsole(stderr=True, force_terminal=True))
    result = run(capture, "--stats")
    assert result.exit_code == 0 and Path(capture).name in result.stderr
