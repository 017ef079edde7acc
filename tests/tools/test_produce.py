"""A run: each record is delivered, or written down with its reason; never both, never neither."""

from __future__ import annotations

import json
import signal
from time import monotonic
from types import SimpleNamespace

import pytest
from tools.judge_server import JudgeServer

from kproto.producer import BufferFullError, Producer, ProducerFatalError, ProducerRecord
from kproto.tools.judge import Fault, FaultPoint
from kproto.tools.produce import ProduceRun
from kproto.tools.produce_input import InputError
from kproto.tools.produce_tally import ProduceTally
from kproto.tools.undelivered import UndeliveredFile
from kproto.wire import ApiKey, ErrorCode

QUICK = {"linger_ms": 0, "retry_backoff_ms": 1, "max_block_ms": 5000, "reconnect_backoff_ms": 1}


@pytest.fixture
def server():
    with JudgeServer({"orders": 2}) as made:
        yield made


class Running:
    """A run with all around it. undelivered: the lines of the file at its end."""

    def __init__(self, server, path, **settings):
        self.path = path / "spare"
        self.tally = ProduceTally()
        self.places = {}
        self.notices = []
        self.producer = Producer(server.bootstrap_servers, batch_observer=self.tally, **{**QUICK, **settings})
        self.producer.wait_ready(10)

    def run(self, records):
        with UndeliveredFile(self.path, "orders") as spare:
            run = ProduceRun(
                self.producer, spare, self.tally, delivered=self.places.__setitem__, notice=self.notices.append
            )
            return run.run(records)

    @property
    def undelivered(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


def numbered(count, **fields):
    return [ProducerRecord("orders", b"%d" % number, **fields) for number in range(count)]


def test_all_is_delivered(server, tmp_path):
    running = Running(server, tmp_path)
    outcome = running.run(numbered(500, key=b"k", partition=1, headers=(("a", b"12"),)))
    assert (outcome.exit_code, outcome.undelivered, running.undelivered) == (0, 0, [])
    assert server.values("orders", 1) == [b"%d" % number for number in range(500)]
    assert [running.places[number].offset for number in range(1, 501)] == [*range(500)]
    tally = running.tally
    assert (tally.read, tally.delivered, tally.failed, tally.retries) == (500, 500, 0, 0)
    assert tally.size == sum(len(b"%d" % number) for number in range(500)) + 500 * 4
    assert tally.batches == len(server.cluster.batches("orders", 1))
    assert tally.latency.count == 500


def test_what_the_broker_refuses_is_written_down(server, tmp_path):
    fault = Fault.error(ErrorCode.TOPIC_AUTHORIZATION_FAILED, topic="orders", partition=0)
    server.loopback.call(lambda: server.cluster.fail(ApiKey.PRODUCE, fault, times=None))
    running = Running(server, tmp_path)
    records = [ProducerRecord("orders", b"%d" % number, partition=number % 2) for number in range(20)]
    outcome = running.run(records)
    assert outcome.exit_code == 1
    assert [line["value"] for line in running.undelivered] == [str(number) for number in range(0, 20, 2)]
    assert {line["written"] for line in running.undelivered} == {"not written"}
    assert "TOPIC_AUTHORIZATION_FAILED" in running.undelivered[0]["error"]
    assert len(server.values("orders", 1)) == running.tally.delivered == 10
    assert running.tally.failed == outcome.undelivered == 10


def test_what_may_be_written_is_told_so(server, tmp_path):
    silent = Fault.silence(FaultPoint.AFTER_APPEND)
    server.loopback.call(lambda: server.cluster.fail(ApiKey.PRODUCE, silent, times=None))
    running = Running(server, tmp_path, delivery_timeout_ms=400, request_timeout_ms=300)
    assert running.run(numbered(1)).exit_code == 1
    (line,) = running.undelivered
    assert (line["value"], line["written"]) == ("0", "possibly written")


def test_a_record_that_is_too_large_stops_no_other(server, tmp_path):
    running = Running(server, tmp_path, max_request_size=1000)
    large = ProducerRecord("orders", b"x" * 2000)
    outcome = running.run([*numbered(2), large, *numbered(2)])
    assert (outcome.exit_code, running.tally.delivered) == (1, 4)
    (line,) = running.undelivered
    assert (len(line["value"]), line["written"]) == (2000, "not written")
    assert "max_request_size=1000" in line["error"]


def test_each_topic_that_is_not_there_is_waited_for_once(server, tmp_path):
    running = Running(server, tmp_path, max_block_ms=100)
    strange = [ProducerRecord("strange", b"%d" % number) for number in range(50)]
    far = [ProducerRecord("orders", b"far", partition=9)] * 50
    send, sent = running.producer.send, []
    running.producer.send = lambda *given, **named: sent.append(given[1]) or send(*given, **named)
    outcome = running.run([*strange, *far, *numbered(1)])
    assert (outcome.exit_code, outcome.undelivered, running.tally.delivered) == (1, 100, 1)
    assert sent == [b"0", b"far", b"0"]


def test_what_finds_no_room_waits_until_there_is(server, tmp_path):
    delay = Fault.delay(0, FaultPoint.BEFORE_APPEND)
    server.loopback.call(lambda: server.cluster.fail(ApiKey.PRODUCE, delay, times=None))
    running = Running(server, tmp_path, buffer_memory=20_000, batch_size=1000)
    records = [ProducerRecord("orders", b"x" * 900, partition=0) for _ in range(200)]
    assert running.run(records).exit_code == 0
    assert len(server.records("orders", 0)) == 200


def test_a_send_without_room_is_tried_again(server, tmp_path):
    running = Running(server, tmp_path)
    send, refused = running.producer.send, []

    def full(*given, **named):
        if len(refused) < 3:
            refused.append(1)
            raise BufferFullError(1, 1, 1)
        return send(*given, **named)

    running.producer.send = full
    assert running.run(numbered(1)).exit_code == 0
    assert (len(refused), running.tally.delivered) == (3, 1)


def test_what_nothing_cures_ends_it(server, tmp_path):
    running = Running(server, tmp_path)
    send, came = running.producer.send, []

    def fatal(topic, value, *given, **named):
        if value == b"2":
            raise ProducerFatalError(RuntimeError("all is lost"))
        return send(topic, value, *given, **named)

    running.producer.send = fatal
    outcome = running.run(came.append(record.value) or record for record in numbered(10))
    assert isinstance(outcome.hopeless, ProducerFatalError)
    assert (outcome.exit_code, running.tally.delivered, len(came)) == (1, 2, 3)
    assert [line["value"] for line in running.undelivered] == ["2"]


def test_what_came_before_bad_input_is_delivered(server, tmp_path):
    def records():
        yield from numbered(3)
        raise InputError("stdin", "line 4", "is none")

    running = Running(server, tmp_path, linger_ms=50)
    outcome = running.run(records())
    assert (outcome.exit_code, str(outcome.bad_input)) == (2, "stdin, line 4: is none")
    assert sorted(server.values("orders")) == [b"0", b"1", b"2"]


def test_what_the_input_raises_else_is_raised_behind_the_delivery(server, tmp_path):
    def records():
        yield from numbered(3)
        raise RuntimeError("a bug")

    running = Running(server, tmp_path, linger_ms=50)
    with pytest.raises(RuntimeError, match="a bug"):
        running.run(records())
    assert len(server.records("orders")) == 3


def test_the_grace_after_a_signal_ends(server, tmp_path, monkeypatch):
    monkeypatch.setattr("kproto.tools.produce.GRACE_S", 0.2)
    silent = Fault.silence(FaultPoint.BEFORE_APPEND)
    server.loopback.call(lambda: server.cluster.fail(ApiKey.PRODUCE, silent, times=None))
    running = Running(server, tmp_path)

    def records():
        yield from numbered(3)
        signal.raise_signal(signal.SIGINT)

    assert running.run(records()).exit_code == 130
    assert sorted(line["value"] for line in running.undelivered) == ["0", "1", "2"]


def test_a_signal_while_the_last_records_are_under_way(server, tmp_path):
    """Nothing is left to read; it is an interruption all the same, and nothing is lost."""
    silent = Fault.silence(FaultPoint.BEFORE_APPEND)
    server.loopback.call(lambda: server.cluster.fail(ApiKey.PRODUCE, silent, times=None))
    running = Running(server, tmp_path)
    running.notices = SimpleNamespace(append=lambda notice: signal.raise_signal(signal.SIGINT))
    close = running.producer.close

    def closing(*timeout):
        if not timeout:
            signal.raise_signal(signal.SIGINT)
        return close(*timeout)

    running.producer.close = closing
    assert running.run(numbered(3)).exit_code == 130
    assert len(running.undelivered) == 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_reading_and_what_was_accepted_is_delivered(server, tmp_path, number, code):
    def records():
        yield from numbered(3)
        signal.raise_signal(number)
        raise AssertionError("it went on")

    running = Running(server, tmp_path, linger_ms=10_000)
    outcome = running.run(records())
    assert (outcome.exit_code, running.tally.delivered, running.undelivered) == (code, 3, [])


def test_a_second_signal_gives_up_what_is_left(server, tmp_path, monkeypatch):
    monkeypatch.setattr("kproto.tools.produce.GRACE_S", 60)
    began = monotonic()
    silent = Fault.silence(FaultPoint.BEFORE_APPEND)
    server.loopback.call(lambda: server.cluster.fail(ApiKey.PRODUCE, silent, times=None))
    running = Running(server, tmp_path)
    running.notices = SimpleNamespace(append=lambda notice: signal.raise_signal(signal.SIGINT))

    def records():
        yield from numbered(3)
        signal.raise_signal(signal.SIGINT)

    outcome = running.run(records())
    assert (outcome.exit_code, outcome.undelivered) == (130, 3)
    assert sorted(line["value"] for line in running.undelivered) == ["0", "1", "2"]
    assert monotonic() - began < 30


def test_an_interrupted_send_leaves_no_record_behind(server, tmp_path):
    """Whether it was accepted is not known: so it is either delivered or written down."""
    for accepted in (True, False):
        running = Running(server, tmp_path / str(accepted))
        running.path.parent.mkdir()
        send = running.producer.send

        def interrupted(*given, send=send, accepted=accepted, **named):
            if accepted:
                send(*given, **named)
            signal.raise_signal(signal.SIGINT)

        running.producer.send = interrupted
        outcome = running.run(numbered(5))
        assert (outcome.exit_code, running.tally.read) == (130, 1)
        assert running.tally.delivered == accepted
        assert len(running.undelivered) == (not accepted)
        assert all(line["written"] == "possibly written" for line in running.undelivered)


def test_a_signal_within_a_failure_waits_until_it_is_written_down(server, tmp_path):
    running = Running(server, tmp_path, max_request_size=1000)
    add = UndeliveredFile.add

    class Interrupting(UndeliveredFile):
        def add(self, *given):
            signal.raise_signal(signal.SIGINT)
            add(self, *given)

    with Interrupting(running.path, "orders") as spare:
        outcome = ProduceRun(running.producer, spare, running.tally).run([ProducerRecord("orders", b"x" * 2000)] * 3)
    assert (outcome.exit_code, outcome.undelivered, len(running.undelivered)) == (130, 1, 1)
