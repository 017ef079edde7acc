"""`kproto produce` as it is used: exit codes, what it prints, and where the records are."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tools.judge_server import JudgeServer

from kproto.producer import ProducerRecord
from kproto.tools.cli import kproto
from kproto.tools.judge import Fault
from kproto.tools.record_json import record_from_json
from kproto.wire import ApiKey, ErrorCode

COMMAND = [sys.executable, "-m", "kproto.tools"]


@pytest.fixture
def server():
    with JudgeServer({"orders": 3, "payments": 1}) as made:
        yield made


@pytest.fixture(autouse=True)
def _in_its_own_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(server):
    def invoke(*arguments, data=b""):
        return CliRunner().invoke(kproto, ["produce", "-b", server.bootstrap_servers, *arguments], input=data)

    return invoke


def names():
    return sorted(path.name for path in Path().iterdir())


def refuse(server, partition=None):
    fault = Fault.error(ErrorCode.TOPIC_AUTHORIZATION_FAILED, topic="orders", partition=partition)
    server.loopback.call(lambda: server.cluster.fail(ApiKey.PRODUCE, fault, times=None))


def test_lines_of_stdin(run, server):
    done = run("orders", "-p", "1", "-k", "k", "-H", "a=1=2", "-H", "b=", data=b"one\ntwo\n")
    assert (done.exit_code, done.stderr) == (0, "")
    found = server.records("orders", 1)
    assert [(record.value, record.key, record.headers) for record in found] == [
        (value, b"k", (("a", b"1=2"), ("b", b""))) for value in (b"one", b"two")
    ]
    lines = done.stdout.splitlines()
    assert lines[0].startswith("2 records delivered: 18 B in ")
    assert " on average as sent; no retries" in lines[1]
    assert lines[2].startswith("from send to acknowledgement: 50 % ")
    assert len(lines) == 3
    assert names() == []


def test_files_and_stdin_in_their_order(run, server):
    Path("a").write_bytes(b"1\n2\n")
    Path("b").write_bytes(b"4\n")
    assert run("payments", "a", "-", "b", data=b"3\n").exit_code == 0
    assert server.values("payments") == [b"1", b"2", b"3", b"4"]


def test_keys_and_nothing(run, server):
    assert run("payments", "-K", r"\t", "--null", "", data=b"a\t1\na\t\n").exit_code == 0
    assert [(record.key, record.value) for record in server.records("payments")] == [(b"a", b"1"), (b"a", None)]


def test_json_objects(run, server):
    lines = [
        '{"key": "a", "value": {"base64": "/w=="}, "headers": [["t", null]], "partition": 2, "timestamp": 77}',
        '{"topic": "payments", "value": "elsewhere", "written": "not written", "error": "of an earlier run"}',
    ]
    assert run("orders", "--format", "ndjson", data="\n".join(lines).encode()).exit_code == 0
    (found,) = server.records("orders", 2)
    assert (found.key, found.value, found.headers, found.timestamp) == (b"a", b"\xff", (("t", None),), 77)
    assert server.values("payments") == [b"elsewhere"]


def test_lengths(run, server):
    assert run("payments", "--format", "length", data=b"\0\0\0\2a\n\0\0\0\0").exit_code == 0
    assert server.values("payments") == [b"a\n", b""]


def test_any_setting_in_any_spelling(run, server):
    Path("client.properties").write_text("compression.type=gzip\nclient.id=file\n")
    assert run("payments", "-F", "client.properties", "-X", "client_id=me", data=b"1\n").exit_code == 0
    (batch,) = server.cluster.batches("payments", 0)
    assert str(batch.compression) == "gzip"
    assert {seen.client_id for seen in server.cluster.requests} == {"me"}


def test_bad_input_names_its_line_and_what_was_before_is_delivered(run, server):
    done = run("payments", "-K", ":", data=b"a:1\nb:2\nc\nd:4\n")
    assert done.exit_code == 2
    assert done.stderr == (
        "Error: stdin, line 3: key and value with ':' between were expected; what follows was not read\n"
    )
    assert done.stdout.startswith("2 records delivered")
    assert server.values("payments") == [b"1", b"2"]


def test_what_is_not_delivered_can_be_sent_again(run, server):
    refuse(server)
    data = b"".join(b'{"value": "%d", "partition": %d}\n' % (number, number % 3) for number in range(9))
    done = run("orders", "--format", "ndjson", data=data)
    assert done.exit_code == 1
    spare = "orders.undelivered.ndjson"
    assert done.stderr == (
        f"Error: 9 records were not delivered; see {spare} for the reasons. To send them again: "
        f"kproto produce orders {spare} --format ndjson\n"
    )
    server.loopback.call(server.cluster.faults.clear)
    assert run("orders", spare, "--format", "ndjson").exit_code == 0
    assert [server.values("orders", partition) for partition in range(3)] == [
        [b"%d" % number for number in range(partition, 9, 3)] for partition in range(3)
    ]
    assert names() == [spare]


def test_the_file_of_the_undelivered_can_be_named_but_not_overwritten(run, server):
    refuse(server)
    assert run("orders", "--undelivered", "spare", data=b"1\n").exit_code == 1
    assert record_from_json(Path("spare").read_bytes(), ProducerRecord("x")).value == b"1"
    done = CliRunner().invoke(
        kproto, ["produce", "orders", "-b", server.bootstrap_servers, "--undelivered", "spare"], input=b"2\n"
    )
    assert "spare: exists" in str(done.exception)
    assert server.values("orders") == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-p", "3"], "topic orders has partitions 0 to 2"),
        (["-H", "a"], "a header is written name=value, not 'a'"),
        (["-H", "=a"], "a header is written name=value"),
        (["-K", ""], "at least one character"),
        (["no-such-file"], "does not exist"),
        (["--format", "xml"], "is not one of"),
    ],
)
def test_bad_arguments(run, arguments, says):
    done = run("orders", *arguments, data=b"1\n")
    assert done.exit_code == 2
    assert says in done.stderr


def test_a_cluster_that_is_not_there_costs_no_input():
    done = CliRunner().invoke(kproto, ["produce", "orders", "-b", "127.0.0.1:1", "--timeout", "0.2"], input=b"1\n")
    assert done.exit_code == 1
    assert "127.0.0.1:1" in done.stderr
    assert done.stderr.endswith("; nothing was read\n")
    assert names() == []


def test_a_topic_that_is_not_there_costs_no_input(run):
    done = run("strange", "-X", "max_block_ms=100", data=b"1\n")
    assert (done.exit_code, names()) == (1, [])
    assert "strange" in done.stderr


def test_quiet(run, server):
    done = run("orders", "-q", data=b"1\n")
    assert (done.exit_code, done.output) == (0, "")


def test_explain(run, server):
    done = run("orders", "--explain", "--explain-svg", "t.svg", "-X", "linger_ms=1", data=b"1\n2\n3\n")
    assert done.exit_code == 0
    assert "#n batch of a partition" in done.stdout
    assert " left by " in done.stdout
    assert done.stdout.splitlines()[-3].startswith("3 records delivered")
    assert Path("t.svg").read_text().startswith("<svg")
    Path("folder").mkdir()
    done = run("orders", "--explain-svg", "folder/no/t.svg", data=b"1\n")
    assert (done.exit_code, done.stderr) == (0, "Error: folder/no/t.svg cannot be written: No such file or directory\n")


def start(server, *arguments, **pipes):
    command = [*COMMAND, "produce", "orders", "-b", server.bootstrap_servers, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **pipes)


def wait_for(server, count):
    """Until so many records are there; the judge tells nobody, so it is asked."""
    while len(server.records("orders")) < count:
        pass


@pytest.mark.skipif(os.name != "posix", reason="signals differ")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_records_go_out_while_the_pipe_pauses_and_a_signal_ends_it(server, number, code):
    with start(server) as process:
        for count in (1, 2):
            process.stdin.write(b"%d\n" % count)
            process.stdin.flush()
            wait_for(server, count)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert stderr.endswith(b"Error: interrupted behind stdin, line 2; what follows was not sent\n")
    assert stdout.startswith(b"2 records delivered")


@pytest.mark.skipif(os.name != "posix", reason="signals differ")
def test_what_a_signal_cuts_off_is_in_the_file(server):
    silent = Fault.silence(Fault.delay(0).point)
    server.loopback.call(lambda: server.cluster.fail(ApiKey.PRODUCE, silent, times=None))
    with start(server) as process:
        process.stdin.write(b"1\n2\n")
        process.stdin.flush()
        while not any(
            seen.api_key == ApiKey.PRODUCE for seen in server.loopback.call(lambda: [*server.cluster.requests])
        ):
            pass
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline().startswith(b"stopping: 2 under way have 5 s")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    lines = [json.loads(line) for line in Path("orders.undelivered.ndjson").read_text().splitlines()]
    assert sorted(line["value"] for line in lines) == ["1", "2"]
    assert {line["written"] for line in lines if line["value"] == "1"} == {"possibly written"}


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_a_reader_who_leaves_changes_no_exit_code(server):
    refuse(server)
    command = shlex.join([*COMMAND, "produce", "orders", "-b", server.bootstrap_servers])
    for redirected in ("", " 2>&1"):
        line = f"echo 1 | {command}{redirected} | head -c 0; exit ${{PIPESTATUS[1]}}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"Traceback" not in done.stderr
