"""Sequences, epochs and duplicates of one partition; tests/brokers/test_judge_differential.py asks Kafka the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.judge.producer_state import RETAINED_BATCHES, FirstSequence, ProducerStates, Stamp, next_sequence
from kproto.wire import ErrorCode

LAST = 2**31 - 1
GAP = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def stamp(first, count=1, *, epoch=0, producer_id=1):
    return Stamp(producer_id, epoch, first, next_sequence(first, count - 1))


def states_with(*stamps, **options):
    states = ProducerStates(**options)
    for offset, one in enumerate(stamps):
        assert states.error_of(one) == 0
        states.add(one, offset, 1000 + offset)
    return states


@given(st.integers(0, LAST), st.integers(0, LAST))
def test_a_sequence_after_the_last_is_0(sequence, count):
    found = next_sequence(sequence, count)
    assert found == (sequence + count if sequence + count <= LAST else sequence + count - LAST - 1)


@pytest.mark.parametrize("first", [0, 7, LAST])
def test_any_first_sequence_is_taken_from_an_unknown_producer(first):
    assert ProducerStates().error_of(stamp(first)) == 0


@pytest.mark.parametrize(
    ("policy", "code"), [(FirstSequence.ZERO, GAP), (FirstSequence.UNKNOWN_PRODUCER_ID, ErrorCode.UNKNOWN_PRODUCER_ID)]
)
def test_other_policies_of_the_first_sequence(policy, code):
    states = states_with(first_sequence=policy)
    assert states.error_of(stamp(1)) == code
    assert states.error_of(stamp(0)) == 0


def test_what_follows_and_what_does_not():
    states = states_with(stamp(0, 3))
    assert states.error_of(stamp(3)) == 0
    assert [states.error_of(stamp(first)) for first in (4, 2, 0)] == [GAP] * 3
    assert states.error_of(stamp(0, producer_id=2)) == 0


def test_sequences_wrap():
    states = states_with(stamp(LAST - 1, 2))
    assert states.error_of(stamp(0)) == 0
    assert states.error_of(stamp(1)) == GAP
    assert states_with(stamp(LAST - 1, 4)).error_of(stamp(2)) == 0


def test_idem_10_the_last_five_are_known_by_both_ends():
    """IDEM-10"""
    states = states_with(*(stamp(first) for first in range(7)))
    known = [states.duplicate_of(stamp(first)) for first in range(7)]
    assert known[:2] == [None, None]
    assert [one.base_offset for one in known[2:]] == [2, 3, 4, 5, 6]
    assert len(known[2:]) == RETAINED_BATCHES
    assert states.duplicate_of(stamp(6, 2)) is None
    assert states.duplicate_of(stamp(6, epoch=1)) is None
    assert states.duplicate_of(stamp(6, producer_id=2)) is None


def test_idem_10_a_late_duplicate_is_out_of_order_or_as_old_brokers_have_it():
    """IDEM-10"""
    stamps = [stamp(first) for first in range(7)]
    assert states_with(*stamps).error_of(stamp(0)) == GAP
    old = states_with(*stamps, late_duplicate=ErrorCode.DUPLICATE_SEQUENCE_NUMBER)
    assert old.error_of(stamp(0)) == ErrorCode.DUPLICATE_SEQUENCE_NUMBER
    assert old.error_of(stamp(9)) == GAP


def test_epochs():
    states = states_with(stamp(0), stamp(0, epoch=2))
    assert states.error_of(stamp(1, epoch=1)) == ErrorCode.INVALID_PRODUCER_EPOCH
    assert states.error_of(stamp(1, epoch=3)) == GAP
    assert states.error_of(stamp(0, epoch=3)) == 0
    assert states.error_of(stamp(1, epoch=2)) == 0
    assert states.duplicate_of(stamp(0, epoch=0)) is None, "a new epoch forgets the old batches"


def test_what_is_forgotten_is_unknown():
    states = states_with(stamp(0), stamp(0, producer_id=2))
    states.forget(1)
    assert len(states) == 1
    assert states.error_of(stamp(9)) == 0
    assert states.error_of(stamp(9, producer_id=2)) == GAP
    states.forget()
    assert len(states) == 0


def test_who_sends_old_records_is_forgotten_early():
    """ProducerStateManager: the time that counts is that of the last batch's records."""
    states = states_with(stamp(0), stamp(0, producer_id=2), expiration_ms=100)  # at 1000 and 1001
    states.expire(1099)
    assert len(states) == 2
    states.expire(1100)
    assert states.error_of(stamp(9)) == 0
    assert states.error_of(stamp(9, producer_id=2)) == GAP


def test_an_empty_partition_has_forgotten_nobody():
    """KAFKA-15591"""
    states = ProducerStates(FirstSequence.ZERO_WHERE_EMPTY)
    assert (states.error_of(stamp(1)), states.error_of(stamp(0))) == (GAP, 0)
    states.empty = False
    assert states.error_of(stamp(1)) == 0
