"""The steps of a batch: those of the table, and no other."""

from __future__ import annotations

from itertools import product

import pytest

from kproto.client.transitions import IllegalTransition, step
from kproto.producer.batch_state import DONE, TRANSITIONS, BatchEvent, BatchState


def test_batch_5_every_step_that_the_table_lacks_is_refused():
    for state, event in product(BatchState, BatchEvent):
        if (state, event) in TRANSITIONS:
            assert step(TRANSITIONS, state, event) is TRANSITIONS[state, event]
        else:
            with pytest.raises(IllegalTransition, match=state.name):
                step(TRANSITIONS, state, event)


def test_batch_5_nothing_leads_out_of_an_end():
    ends = {state for state in BatchState if not [one for one, _ in TRANSITIONS if one is state]}
    assert ends == {*DONE, BatchState.SPLIT}


def test_every_state_is_reached_and_every_state_that_is_no_end_reaches_one():
    reached = {BatchState.OPEN}
    for _ in BatchState:
        reached |= {then for (state, _), then in TRANSITIONS.items() if state in reached}
    assert reached == set(BatchState)
    ending = {*DONE, BatchState.SPLIT}
    for _ in BatchState:
        ending |= {state for (state, _), then in TRANSITIONS.items() if then in ending}
    assert ending == set(BatchState)


def test_a_batch_that_is_not_in_flight_cannot_succeed_nor_be_split():
    for event in (BatchEvent.SUCCEED, BatchEvent.SPLIT, BatchEvent.RETRY):
        assert [state for state, one in TRANSITIONS if one is event] == [BatchState.IN_FLIGHT]
