"""Which requests meet which faults."""

from __future__ import annotations

import pytest

from kproto.tools.judge import Fault, FaultPoint, SeenRequest
from kproto.tools.judge.faults import FaultRules, Faults
from kproto.wire import ApiKey

PARSE, BEFORE, AFTER, REPLY = FaultPoint


def seen(*partitions, api=ApiKey.PRODUCE, node=0):
    return SeenRequest(0, node, 1, api, 9, 1, partitions=partitions)


ORDERS = seen(("orders", 0), ("orders", 1))


@pytest.fixture
def rules():
    return FaultRules()


def codes(faults, point=BEFORE):
    return [faults.error_code(point, "orders", index) for index in (0, 1)]


def test_faults_of_one_scope_take_turns(rules):
    rules.add(ApiKey.PRODUCE, Fault.error(6), None, 2)
    rules.add(ApiKey.PRODUCE, Fault.error(7), None, 1)
    assert [rules.take(ORDERS).error_code(BEFORE) for _ in range(4)] == [6, 6, 7, 0]
    assert rules.waiting == 0


def test_faults_of_several_partitions_happen_together(rules):
    rules.add(ApiKey.PRODUCE, Fault.error(6, topic="orders", partition=0), None, 1)
    rules.add(ApiKey.PRODUCE, Fault.error(7, topic="orders", partition=1), None, 1)
    assert codes(rules.take(ORDERS)) == [6, 7]


def test_a_fault_waits_for_its_partition_node_and_api(rules):
    rules.add(ApiKey.PRODUCE, Fault.error(6, topic="orders", partition=1), 2, 1)
    for other in (ORDERS, seen(("orders", 0), node=2), seen(("paid", 1), node=2), seen(api=ApiKey.METADATA, node=2)):
        assert rules.take(other) == ()
    faults = rules.take(seen(("orders", 1), node=2))
    assert codes(faults) == [0, 6]
    assert faults.error_code(BEFORE) == 0


def test_a_topic_stands_for_its_partitions(rules):
    rules.add(ApiKey.PRODUCE, Fault.error(6, topic="orders"), None, 1)
    assert codes(rules.take(ORDERS)) == [6, 6]


def test_without_end(rules):
    rules.add(ApiKey.PRODUCE, Fault.error(6), None, None)
    assert [rules.take(ORDERS).error_code(BEFORE) for _ in range(3)] == [6, 6, 6]
    rules.clear()
    assert rules.take(ORDERS) == ()


def test_an_injector_decides_for_each_request(rules):
    rules.injector = lambda one: Fault.error(7) if one.node_id == 1 else None
    assert rules.take(ORDERS) == ()
    assert rules.take(seen(("orders", 0), node=1)).error_code(BEFORE) == 7
    rules.injector = lambda one: [Fault.throttle(5), Fault.error(3, topic="paid")]
    assert rules.take(ORDERS) == (Fault.throttle(5),)


def test_before_parsing_only_api_and_node_are_known(rules):
    fault = Fault.close(PARSE)
    rules.add(ApiKey.PRODUCE, fault, 1, 1)
    assert rules.take(seen(node=1)) == ()
    assert rules.before_parse(ApiKey.PRODUCE, 0) is None
    assert rules.before_parse(ApiKey.METADATA, 1) is None
    assert rules.before_parse(ApiKey.PRODUCE, 1) is fault
    assert rules.before_parse(ApiKey.PRODUCE, 1) is None


def test_points_are_apart():
    faults = Faults([Fault.error(7, AFTER), Fault.close(REPLY, reply_bytes=3), Fault.delay(4, BEFORE), Fault.delay(9)])
    assert (faults.error_code(BEFORE), faults.error_code(AFTER)) == (0, 7)
    assert (faults.end(BEFORE), faults.end(REPLY).reply_bytes) == (None, 3)
    assert (faults.delay_ms(BEFORE), faults.delay_ms(AFTER), faults.throttle_time_ms) == (4, 9, 0)


@pytest.mark.parametrize("point", [PARSE, REPLY])
def test_an_error_is_no_fault_of_these_points(point):
    with pytest.raises(ValueError, match=point.name):
        Fault.error(7, point)


def test_answers_that_are_none():
    faults = Faults([Fault.garbage(b"abc"), Fault.misnumber(), Fault.misnumber(2)])
    assert (faults.body, faults.correlation_shift) == (b"abc", 3)
    assert (Faults().body, Faults().correlation_shift) == (None, 0)
