"""A step that the table has is taken; any other is a bug, and says which."""

from __future__ import annotations

import pickle
from enum import Enum
from itertools import product

import pytest

from kproto.client.transitions import IllegalTransition, step
from kproto.wire import KafkaError


class Door(Enum):
    OPEN = 0
    SHUT = 1


class Hand(Enum):
    PUSH = 0
    PULL = 1


TABLE = {(Door.OPEN, Hand.PUSH): Door.SHUT, (Door.SHUT, Hand.PULL): Door.OPEN, (Door.SHUT, Hand.PUSH): Door.SHUT}


@pytest.mark.parametrize(("state", "event"), list(product(Door, Hand)), ids=lambda value: value.name)
def test_each_pair_moves_or_is_illegal(state, event):
    if (state, event) in TABLE:
        assert step(TABLE, state, event) is TABLE[state, event]
    else:
        with pytest.raises(IllegalTransition) as caught:
            step(TABLE, state, event)
        assert str(caught.value) == "in state OPEN there is no step for PULL"
        assert (caught.value.state, caught.value.event) == ("OPEN", "PULL")


def test_an_illegal_step_is_one_of_kprotos_errors_and_not_to_be_repeated():
    error = IllegalTransition("OPEN", "PULL")
    assert isinstance(error, KafkaError)
    assert not error.retriable
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_lookup_leaves_no_key_error_behind():
    with pytest.raises(IllegalTransition) as caught:
        step(TABLE, Door.OPEN, Hand.PULL)
    assert caught.value.__suppress_context__
