"""test_audit.py has the rule, in captures; here are its bounds."""

from __future__ import annotations

import pytest

from kproto.tools.decode.linger import BATCHES_MIN, PARTITIONS_MAX, LingerOfOne

MS = 1_000_000


def noticed(batches=BATCHES_MIN, ones=None, apart_ms=1):
    linger = LingerOfOne()
    for number in range(batches):
        linger.add("app", "orders", 0, 1 if ones is None or number < ones else 2, number * apart_ms * MS)
    return [each.code for each in linger.notices()]


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, True),
        ({"batches": BATCHES_MIN - 1}, False),
        ({"ones": 90}, True),
        ({"ones": 89}, False),
        ({"apart_ms": 50}, True),
        ({"apart_ms": 51}, False),
    ],
)
def test_audit_12_when_it_is_told(facts, told):
    assert noticed(**facts) == ["linger-of-one"] * told


def test_each_client_and_partition_by_itself():
    linger = LingerOfOne()
    for number in range(BATCHES_MIN):
        linger.add("app", "orders", number % 2, 1, number)
    assert list(linger.notices()) == []


def test_memory_is_bounded():
    linger = LingerOfOne()
    for number in range(PARTITIONS_MAX + 50):
        linger.add("app", "orders", number, 1, 0)
    assert len(linger._seen) == PARTITIONS_MAX
