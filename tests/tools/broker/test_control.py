"""The control channel: lines in, lines out, whatever they say."""

from __future__ import annotations

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.broker.broker import Broker
from kproto.tools.broker.control import LINE_MAX, answer_line
from kproto.tools.broker.server import JudgeServer
from kproto.tools.judge import JudgeCluster

SECONDS = 20


class Lines:
    """One connection to the channel."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), SECONDS)
        self._file = self._socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *ended):
        self._file.close()
        self._socket.close()

    def send(self, data):
        self._socket.sendall(data)

    def answer(self):
        return json.loads(self._file.readline())

    def ask(self, **command):
        self.send(json.dumps(command).encode() + b"\n")
        return self.answer()


@pytest.fixture
def broker():
    with Broker({"orders": 1}, control=0) as made:
        yield made


@pytest.fixture
def lines(broker):
    with Lines(broker.control_address) as opened:
        yield opened


def test_commands_and_questions(broker, lines):
    assert lines.ask(do="fail", fault="close", api="Produce") == {"ok": True}
    assert broker.faults.waiting == 1
    assert lines.ask(do="violations") == {"ok": True, "violations": []}
    assert lines.ask(do="state")["topics"]["orders"][0]["end_offset"] == 0


def test_what_is_wrong_is_told_and_the_next_line_counts(lines):
    assert lines.ask(do="dance")["error"].startswith("do: not 'dance'")
    lines.send(b"\n  \n{\n")
    assert "this is no JSON" in lines.answer()["error"]
    assert lines.ask(do="clear_faults") == {"ok": True}


def test_a_line_without_end(lines):
    lines.send(b"x" * (LINE_MAX + 10))
    assert lines.answer() == {"ok": False, "error": f"a line has at most {LINE_MAX} bytes"}


def test_several_at_once(broker, lines):
    with Lines(broker.control_address) as other:
        assert other.ask(do="clear_faults") == lines.ask(do="clear_faults") == {"ok": True}


@given(st.one_of(st.binary(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)))
def test_any_line_has_an_answer(line):
    server = JudgeServer(JudgeCluster(1))
    line = line.encode() if isinstance(line, str) else line
    assert json.loads(answer_line(server, line))["ok"] is False
