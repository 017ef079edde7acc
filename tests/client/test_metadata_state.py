"""Every state with every event: it moves as the table says, or is a bug."""

from __future__ import annotations

from itertools import product

import pytest

from kproto.client.metadata_state import IN_FLIGHT, TRANSITIONS, WANTED, MetadataEvent, MetadataState
from kproto.client.transitions import IllegalTransition, step

PAIRS = list(product(MetadataState, MetadataEvent))


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda value: value.name)
def test_each_pair_moves_or_is_illegal(state, event):
    if (state, event) in TRANSITIONS:
        assert step(TRANSITIONS, state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransition, match=f"in state {state.name} there is no step for {event.name}"):
            step(TRANSITIONS, state, event)


def test_the_illegal_steps_are_these():
    illegal = {(state, event) for state, event in PAIRS if (state, event) not in TRANSITIONS}
    assert {state for state, event in illegal if event is MetadataEvent.SEND} == set(MetadataState) - WANTED
    assert {state for state, event in illegal if event is MetadataEvent.ANSWER} == set(MetadataState) - IN_FLIGHT
    assert {event for _, event in illegal} == {MetadataEvent.SEND, MetadataEvent.ANSWER}


@pytest.mark.parametrize("state", MetadataState, ids=lambda state: state.name)
def test_meta_7_what_is_needed_while_a_request_is_out_outlives_its_answer(state):
    if state in IN_FLIGHT:
        full = TRANSITIONS[state, MetadataEvent.NEED_FULL]
        assert TRANSITIONS[full, MetadataEvent.ANSWER] is MetadataState.FULL_WANTED
        partial = TRANSITIONS[state, MetadataEvent.NEED_PARTIAL]
        assert TRANSITIONS[partial, MetadataEvent.ANSWER] in WANTED


@pytest.mark.parametrize("state", MetadataState, ids=lambda state: state.name)
def test_meta_12_after_a_failure_an_update_is_wanted(state):
    assert TRANSITIONS[state, MetadataEvent.FAIL] in WANTED


def test_every_state_can_be_reached():
    reached = {MetadataState.FULL_WANTED}
    for _ in MetadataState:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    assert reached == set(MetadataState)
