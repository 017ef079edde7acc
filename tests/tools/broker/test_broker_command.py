"""`kproto broker`: where it listens, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner
from tools.broker.talking import SocketTalk
from tools.judge.judging import batch, metadata_request, produce_request

from kproto.tools.broker import broker_command
from kproto.tools.cli import kproto

COMMAND = [sys.executable, "-m", "kproto.tools", "broker"]
SECONDS = 30


def ended(monkeypatch, *arguments):
    monkeypatch.setattr(broker_command, "until_interrupted", lambda: None)
    return CliRunner().invoke(kproto, ["broker", *arguments], prog_name="kproto")


def test_it_prints_where_it_listens(monkeypatch):
    done = ended(monkeypatch, "--nodes", "2", "--topics", "orders:3")
    assert done.exit_code == 0
    assert len(done.stdout.strip().split(",")) == 2
    assert "0 records written, 0 violations" in done.stderr


def test_json(monkeypatch):
    done = ended(monkeypatch, "--json", "--control", "0")
    where, what = map(json.loads, done.stdout.splitlines())
    assert where["control"].startswith("127.0.0.1:")
    assert what == {"records": 0, "violations": []}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--topics", "orders:x"), "a number of partitions"),
        (("--faults", "none.json"), "none.json cannot be read"),
        (("--host", "198.51.100.7"), "nobody can listen at 198.51.100.7:0"),
    ],
)
def test_bad_input(arguments, text):
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, encoding="utf-8", timeout=SECONDS)
    assert done.returncode == 2
    assert text in done.stderr


@pytest.fixture
def started(tmp_path, request):
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"faults": [{"fault": "throttle", "ms": 3, "api": "Metadata"}]}))
    arguments = ["--topics", "orders:2", "--faults", str(plan), *getattr(request, "param", [])]
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        yield process
        process.kill()


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_a_summary(started, number, code):
    with SocketTalk(started.stdout.readline().strip()) as talk:
        answer = talk.ask(metadata_request("orders"), 12)
        assert (answer.throttle_time_ms, len(answer.topics[0].partitions)) == (3, 2)
        talk.ask(produce_request({"orders": {0: batch(0, 5)}}), 12)
        started.send_signal(number)
        out, error = started.communicate(timeout=SECONDS)
    assert (started.returncode, out) == (code, "")
    assert "5 records written, 0 violations" in error


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_violations_end_it_with_1(started):
    with SocketTalk(started.stdout.readline().strip()) as talk:
        talk.ask(produce_request({"orders": {0: batch(7)}}), 12)
        started.send_signal(signal.SIGINT)
        _, error = started.communicate(timeout=SECONDS)
    assert started.returncode == 1
    assert "1 records written, 1 violations" in error
    assert "sequence 7, where 0 is next" in error
