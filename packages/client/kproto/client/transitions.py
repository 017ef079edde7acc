"""State machines as tables: look a step up, or fail as a bug.

Layer: client. Knows nothing of Kafka. `kproto.tools.diagrams` draws the tables for the docs.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from kproto.wire import KafkaError

__all__ = ["IllegalTransition", "State", "step"]


class State(Enum):
    """The states of a machine, its events, and whatever else tables are looked up by.

    The name, by which Enum hashes in Python code, is ten times slower than the member itself.
    """

    __hash__ = object.__hash__


S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


class IllegalTransition(KafkaError):
    """A step that the table does not have: a bug of ours, never of a peer."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(state, event)
        self.state = state
        self.event = event

    def __str__(self) -> str:
        return f"in state {self.state} there is no step for {self.event}"


def step(table: Mapping[tuple[S, E], S], state: S, event: E) -> S:
    """The state after the event. Raises IllegalTransition where the table has none."""
    try:
        return table[state, event]
    except KeyError:
        raise IllegalTransition(state.name, event.name) from None
