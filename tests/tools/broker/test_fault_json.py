"""Faults in JSON: each by its name, with what it needs, and nothing else."""

from __future__ import annotations

import pytest

from kproto.tools.broker.fault_json import FAULTS, FaultOrder, fault_of
from kproto.tools.broker.fields import Fields, PlanError
from kproto.tools.judge import Fault, FaultPoint, JudgeCluster
from kproto.wire import ApiKey, ErrorCode

PRODUCE = ApiKey.PRODUCE
PARSE, BEFORE, AFTER, REPLY = FaultPoint


def order(**fields):
    return fault_of(Fields(fields, "faults[0]"))


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"fault": "error", "error": "NOT_LEADER_OR_FOLLOWER"}, Fault.error(ErrorCode.NOT_LEADER_OR_FOLLOWER)),
        ({"fault": "error", "error": "REQUEST_TIMED_OUT", "at": "after_append"}, Fault.error(7, AFTER)),
        ({"fault": "close"}, Fault.close(AFTER)),
        ({"fault": "close", "at": "mid_reply", "reply_bytes": 6}, Fault.close(REPLY, reply_bytes=6)),
        ({"fault": "close", "topic": "a", "partition": 2}, Fault.close(AFTER, topic="a", partition=2)),
        ({"fault": "silence", "at": "before_parse"}, Fault.silence(PARSE)),
        ({"fault": "delay", "ms": 5}, Fault.delay(5)),
        ({"fault": "delay", "ms": 5, "at": "before_append", "topic": "a"}, Fault.delay(5, BEFORE, topic="a")),
        ({"fault": "throttle", "ms": 5}, Fault.throttle(5)),
        ({"fault": "garbage"}, Fault.garbage()),
        ({"fault": "garbage", "hex": "00ff"}, Fault.garbage(b"\0\xff")),
        ({"fault": "misnumber", "by": 3}, Fault.misnumber(3)),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_each_fault(fields, fault):
    assert order(**fields) == FaultOrder(PRODUCE, fault, None, 1)


def test_which_requests():
    assert order(fault="close", api="Metadata", node=2, times=None) == FaultOrder(3, Fault.close(AFTER), 2, None)
    cluster = JudgeCluster(1)
    order(fault="close", times=2).give(cluster)
    assert cluster.faults.waiting == 1


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "faults[0].fault is missing"),
        ({"fault": "clos"}, "faults[0].fault: not 'clos': did you mean 'close'?"),
        ({"fault": "close", "api": "Produze"}, "faults[0].api: not 'Produze': did you mean 'Produce'?"),
        ({"fault": "close", "api": "JoinGroup"}, "faults[0].api: not 'JoinGroup'"),
        ({"fault": "close", "at": "after"}, "faults[0].at: not 'after': known are after_append, before_append, "),
        ({"fault": "close", "times": 0}, "faults[0].times: from 1 on, or null for all requests"),
        ({"fault": "close", "ms": 5}, "faults[0].ms: no such field"),
        ({"fault": "close", "reply_bytes": 5}, 'faults[0].reply_bytes: goes with "at": "mid_reply" alone'),
        ({"fault": "close", "partition": 5}, "faults[0].partition: a partition goes with a topic"),
        ({"fault": "close", "at": "before_parse", "topic": "a"}, "faults[0].topic: before_parse nobody knows"),
        ({"fault": "error"}, "faults[0].error is missing"),
        ({"fault": "error", "error": "NOT_LEADER"}, "did you mean 'NOT_LEADER_OR_FOLLOWER'?"),
        ({"fault": "error", "error": "NONE", "at": "mid_reply"}, "faults[0].at: not 'mid_reply'"),
        ({"fault": "delay"}, "faults[0].ms is missing"),
        ({"fault": "delay", "ms": 10**9}, "faults[0].ms: an integer from 0 to 3600000"),
        ({"fault": "throttle", "ms": 5, "topic": "a"}, "faults[0].topic: no such field"),
        ({"fault": "garbage", "hex": "xy"}, "faults[0].hex: pairs of hexadecimal digits"),
        ({"fault": "garbage", "hex": "00" * (1 << 20) + "00"}, "faults[0].hex: 1048577 bytes, at most 1048576"),
        ({"fault": "misnumber", "by": 0}, "faults[0].by: an integer from 1"),
    ],
    ids=lambda value: str(value)[:80],
)
def test_what_is_no_fault(fields, text):
    with pytest.raises(PlanError) as raised:
        order(**fields)
    assert text in str(raised.value)


def test_every_name_is_a_method_of_the_tests_face():
    from kproto.tools.broker.faults import BrokerFaults

    assert set(FAULTS) <= set(vars(BrokerFaults))
