"""A broker in a test's own process, with a producer that does not know it from a real one."""

from __future__ import annotations

import threading

import pytest
from tools.broker.talking import SocketTalk
from tools.judge.judging import batch, produce_request

from kproto.producer import Producer
from kproto.tools.broker import Broker, JudgeViolation, PlanError, parse_plan
from kproto.wire import ApiVersionsRequest

SECONDS = 20


def test_lost_acknowledgements_double_nothing():
    with Broker({"orders": 1}, nodes=3) as broker, Producer(broker.bootstrap_servers) as producer:
        broker.faults.close(at="after_append", times=3)
        futures = [producer.send("orders", b"%d" % number) for number in range(100)]
        assert [future.result(SECONDS).offset for future in futures] == list(range(100))
        assert [one.value for one in broker.records("orders")] == [b"%d" % number for number in range(100)]


def test_what_the_judge_finds_is_raised_at_the_end():
    def run():
        with Broker({"orders": 1}) as broker, SocketTalk(broker.bootstrap_servers) as talk:
            for value in (b"a", b"b"):
                talk.ask(produce_request({"orders": {0: batch(0, value=value)}}), 12)

    with pytest.raises(JudgeViolation, match="other bytes than those that were written"):
        run()


def test_an_error_of_the_block_goes_first():
    def run():
        with Broker({"orders": 1}) as broker, SocketTalk(broker.bootstrap_servers) as talk:
            talk.ask(produce_request({"orders": {0: batch(7)}}), 12)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()


def test_without_a_verdict():
    with Broker({"orders": 1}, strict=False) as broker, SocketTalk(broker.bootstrap_servers) as talk:
        talk.ask(produce_request({"orders": {0: batch(7)}}), 12)
    assert "sequence 7, where 0 is next" in broker.violations()[0]
    assert len(broker.records("orders")) == 1, "the log stays"
    with pytest.raises(JudgeViolation):
        broker.check()


def test_records_of_all_partitions_or_of_one():
    with Broker({"orders": 2}) as broker, SocketTalk(broker.bootstrap_servers) as talk:
        talk.ask(produce_request({"orders": {0: batch(value=b"a"), 1: batch(value=b"b")}}), 12)
        assert [one.value for one in broker.records("orders")] == [b"a", b"b"]
        assert [one.value for one in broker.records("orders", 1)] == [b"b"]
        with pytest.raises(KeyError):
            broker.records("lost")
        with pytest.raises(IndexError):
            broker.records("orders", 2)


def test_commands():
    with Broker({"orders": 1}, nodes=2) as broker:
        assert broker.do("move_leader", topic="orders", partition=0, to=1) == {}
        assert broker.do("state")["topics"]["orders"][0]["leader"] == 1
        with pytest.raises(PlanError, match="did you mean 'move_leader'"):
            broker.do("move_leaders")


def test_a_plan():
    plan = {"topics": {"small": {"max_message_bytes": 100}}, "faults": [{"fault": "close"}]}
    for given in (plan, parse_plan(plan)):
        with Broker({"orders": 1}, plan=given) as broker:
            assert set(broker.do("state")["topics"]) == {"orders", "small"}
            assert broker.faults.waiting == 1
    with pytest.raises(PlanError, match="topic"):
        Broker(plan={"topic": {}})


def test_nothing_is_left():
    before = threading.active_count()
    with Broker(control=0) as broker, SocketTalk(broker.bootstrap_servers) as talk:
        assert threading.active_count() == before + 1
        assert broker.control_address.startswith("127.0.0.1:")
        talk.ask(ApiVersionsRequest(), 0)
        broker.close()
        broker.close()
        assert threading.active_count() == before
        with pytest.raises(ConnectionError):
            talk.payload()


def test_what_is_kept_is_bounded():
    with Broker({"orders": 1}, log_bytes_max=1_000) as broker, SocketTalk(broker.bootstrap_servers) as talk:
        answers = [talk.ask(produce_request({"orders": {0: batch(number)}}), 12) for number in range(4)]
        assert [one.responses[0].partition_responses[0].error_code for one in answers] == [0, 0, 44, 45]
        assert broker.cluster.requests[-1].request is None


def test_a_function_may_call_what_the_broker_has():
    with Broker({"orders": 1}) as broker:
        assert broker.call(lambda: broker.violations()) == []


def test_what_a_function_raises_is_raised_here():
    with Broker() as broker, pytest.raises(ZeroDivisionError):
        broker.call(lambda: 1 // 0)
