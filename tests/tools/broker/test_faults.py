"""Faults by name: what a client meets."""

from __future__ import annotations

import pytest
from tools.broker.talking import SocketTalk
from tools.judge.judging import batch, produce_request

from kproto.tools.broker import Broker, PlanError
from kproto.wire import DecodeError, ErrorCode

ASKED = produce_request({"orders": {0: batch(0)}})


@pytest.fixture
def broker():
    with Broker({"orders": 1}) as made:
        yield made


@pytest.fixture
def talk(broker):
    with SocketTalk(broker.bootstrap_servers) as opened:
        yield opened


def code(talk):
    return talk.ask(ASKED, 12).responses[0].partition_responses[0].error_code


def test_an_error(broker, talk):
    broker.faults.error("REQUEST_TIMED_OUT", at="after_append", times=2)
    assert [code(talk) for _ in range(3)] == [7, 7, 0]
    assert len(broker.records("orders")) == 1


@pytest.mark.parametrize(("at", "written"), [("before_parse", 0), ("before_append", 0), ("after_append", 1)])
def test_a_close(broker, talk, at, written):
    broker.faults.close(at=at)
    with pytest.raises(ConnectionError):
        code(talk)
    assert len(broker.records("orders")) == written


def test_half_an_answer(broker, talk):
    broker.faults.close(at="mid_reply", reply_bytes=6)
    talk.tell(ASKED, 12)
    received = b""
    while data := talk.socket.recv(100):
        received += data
    assert len(received) == 6
    assert int.from_bytes(received[:4], "big") > 20


def test_silence(broker, talk):
    broker.faults.silence()
    talk.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        code(talk)
    assert len(broker.records("orders")) == 1


def test_throttling(broker, talk):
    broker.faults.throttle(5)
    assert talk.ask(ASKED, 12).throttle_time_ms == 5


def test_garbage(broker, talk):
    broker.faults.garbage(hex="00ff")
    with pytest.raises(DecodeError):
        code(talk)


def test_another_number(broker, talk):
    broker.faults.misnumber()
    talk.tell(ASKED, 12, number=8)
    assert talk.payload()[:4] == b"\0\0\0\x09"


def test_until_they_are_taken_back(broker, talk):
    broker.faults.error("NOT_LEADER_OR_FOLLOWER", times=None)
    assert [code(talk), broker.faults.waiting] == [ErrorCode.NOT_LEADER_OR_FOLLOWER, 1]
    broker.faults.clear()
    assert [code(talk), broker.faults.waiting] == [0, 0]


def test_a_name_that_is_none(broker):
    with pytest.raises(PlanError, match="did you mean"):
        broker.faults.error("NOT_LEADER")
