"""The ledger by itself; test_audit.py has each of its rules, in captures."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode.ledger import CAUSES_MAX, SENT_MAX, Ledger
from kproto.tools.decode.sent_batch import SentBatch


def sent(base, count=5, epoch=0, frame=1, conn=1, content=0):
    return SentBatch(epoch, base, count, (base, content), (base, content, 0, 0), frame, conn, "b:1")


def test_what_it_counts():
    ledger = Ledger()
    batches = [sent(base, frame=base) for base in range(0, 20, 5)]
    for each in batches:
        assert list(ledger.put(each)) == []
    for each, error in zip(batches, (0, 7, 45, 0), strict=True):
        list(ledger.answer(each, error, 50))
    assert (ledger.batches, ledger.records, ledger.written, ledger.lost, ledger.refused) == (4, 20, 2, 1, 1)
    assert (ledger.first, ledger.next, ledger.epochs) == (0, 20, (0, 0))
    list(ledger.put(sent(10, frame=60)))
    assert ledger.again == 1


def test_an_answer_that_is_lost_twice_is_lost_once():
    ledger = Ledger()
    one = sent(0)
    list(ledger.put(one))
    ledger.lose(one, 3, "gone")
    ledger.lose(one, 4, "gone again")
    assert ledger.lost == 1 and len(ledger.causes) == 1


def test_memory_is_bounded():
    ledger = Ledger()
    for number in range(10_000):
        each = sent(number * 5, frame=number, epoch=number // 3000)
        list(ledger.put(each))
        list(ledger.answer(each, 7 if number % 2 else 6, number))
    assert len(ledger._sent) <= SENT_MAX and len(ledger._past) <= SENT_MAX and len(ledger.causes) == CAUSES_MAX


@pytest.mark.parametrize("seed", range(3))
def test_batches_that_wait_are_kept_before_others(seed):
    ledger = Ledger()
    waiting = sent(0)
    list(ledger.put(waiting))
    rng = Random(seed)
    base = 5
    for number in range(3 * SENT_MAX):
        each = sent(base, rng.randrange(1, 9), frame=number)
        base += each.count
        list(ledger.put(each))
        list(ledger.answer(each, 0, number))
    assert [each.code for each in ledger.put(sent(0, content=1))] == ["resent-differs"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([-1, 0, 1, 5, 10, 2**31 - 5, 2**31 - 1]),
            st.sampled_from([0, 1, 5, 2**31 - 1]),
            st.integers(-1, 3),
            st.integers(0, 1),
            st.sampled_from([None, 0, 6, 7, 10, 45, 46]),
            st.booleans(),
        )
    )
)
def test_whatever_a_producer_sends_is_judged(steps):
    ledger = Ledger()
    for frame, (base, count, epoch, content, error, certain) in enumerate(steps):
        each = sent(base, count, epoch, frame, content=content)
        found = list(ledger.put(each, certain))
        if error is None:
            ledger.lose(each, frame, "gone")
        else:
            found += ledger.answer(each, error, frame)
        assert all(one.code and one.text for one in found)
    assert ledger.batches == len(steps)
