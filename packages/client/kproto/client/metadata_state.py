"""When an update of the metadata is wanted, on its way, or not needed: the states and the table of `Metadata`.

Layer: client.
Source: org.apache.kafka.clients.Metadata (needFullUpdate, needPartialUpdate, requestVersion), KIP-526.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import auto
from typing import Final

from kproto.client.transitions import State

__all__ = ["IN_FLIGHT", "TRANSITIONS", "WANTED", "MetadataEvent", "MetadataState"]


class MetadataState(State):
    """What is asked and what is wanted. X_THEN_Y: the request in flight is of kind X; since it went, Y is wanted."""

    FRESH = auto()
    PARTIAL_WANTED = auto()
    FULL_WANTED = auto()
    PARTIAL_IN_FLIGHT = auto()
    PARTIAL_THEN_PARTIAL = auto()
    PARTIAL_THEN_FULL = auto()
    FULL_IN_FLIGHT = auto()
    FULL_THEN_PARTIAL = auto()
    FULL_THEN_FULL = auto()


class MetadataEvent(State):
    """What happens: an update becomes necessary (of new topics alone, or of all), goes out, is answered, or fails."""

    NEED_PARTIAL = auto()
    NEED_FULL = auto()
    SEND = auto()
    ANSWER = auto()
    FAIL = auto()


_S, _E = MetadataState, MetadataEvent

TRANSITIONS: Final[Mapping[tuple[MetadataState, MetadataEvent], MetadataState]] = {
    (_S.FRESH, _E.NEED_PARTIAL): _S.PARTIAL_WANTED,
    (_S.FRESH, _E.NEED_FULL): _S.FULL_WANTED,
    (_S.FRESH, _E.FAIL): _S.FULL_WANTED,  # no node could be asked when it was due by age
    (_S.PARTIAL_WANTED, _E.NEED_PARTIAL): _S.PARTIAL_WANTED,
    (_S.PARTIAL_WANTED, _E.NEED_FULL): _S.FULL_WANTED,
    (_S.PARTIAL_WANTED, _E.SEND): _S.PARTIAL_IN_FLIGHT,
    (_S.PARTIAL_WANTED, _E.FAIL): _S.PARTIAL_WANTED,
    (_S.FULL_WANTED, _E.NEED_PARTIAL): _S.FULL_WANTED,
    (_S.FULL_WANTED, _E.NEED_FULL): _S.FULL_WANTED,
    (_S.FULL_WANTED, _E.SEND): _S.FULL_IN_FLIGHT,
    (_S.FULL_WANTED, _E.FAIL): _S.FULL_WANTED,
    (_S.PARTIAL_IN_FLIGHT, _E.NEED_PARTIAL): _S.PARTIAL_THEN_PARTIAL,
    (_S.PARTIAL_IN_FLIGHT, _E.NEED_FULL): _S.PARTIAL_THEN_FULL,
    (_S.PARTIAL_IN_FLIGHT, _E.ANSWER): _S.FRESH,
    (_S.PARTIAL_IN_FLIGHT, _E.FAIL): _S.PARTIAL_WANTED,
    (_S.PARTIAL_THEN_PARTIAL, _E.NEED_PARTIAL): _S.PARTIAL_THEN_PARTIAL,
    (_S.PARTIAL_THEN_PARTIAL, _E.NEED_FULL): _S.PARTIAL_THEN_FULL,
    (_S.PARTIAL_THEN_PARTIAL, _E.ANSWER): _S.PARTIAL_WANTED,
    (_S.PARTIAL_THEN_PARTIAL, _E.FAIL): _S.PARTIAL_WANTED,
    (_S.PARTIAL_THEN_FULL, _E.NEED_PARTIAL): _S.PARTIAL_THEN_FULL,
    (_S.PARTIAL_THEN_FULL, _E.NEED_FULL): _S.PARTIAL_THEN_FULL,
    (_S.PARTIAL_THEN_FULL, _E.ANSWER): _S.FULL_WANTED,
    (_S.PARTIAL_THEN_FULL, _E.FAIL): _S.FULL_WANTED,
    (_S.FULL_IN_FLIGHT, _E.NEED_PARTIAL): _S.FULL_THEN_PARTIAL,
    (_S.FULL_IN_FLIGHT, _E.NEED_FULL): _S.FULL_THEN_FULL,
    (_S.FULL_IN_FLIGHT, _E.ANSWER): _S.FRESH,
    (_S.FULL_IN_FLIGHT, _E.FAIL): _S.FULL_WANTED,
    (_S.FULL_THEN_PARTIAL, _E.NEED_PARTIAL): _S.FULL_THEN_PARTIAL,
    (_S.FULL_THEN_PARTIAL, _E.NEED_FULL): _S.FULL_THEN_FULL,
    (_S.FULL_THEN_PARTIAL, _E.ANSWER): _S.PARTIAL_WANTED,
    (_S.FULL_THEN_PARTIAL, _E.FAIL): _S.FULL_WANTED,
    (_S.FULL_THEN_FULL, _E.NEED_PARTIAL): _S.FULL_THEN_FULL,
    (_S.FULL_THEN_FULL, _E.NEED_FULL): _S.FULL_THEN_FULL,
    (_S.FULL_THEN_FULL, _E.ANSWER): _S.FULL_WANTED,
    (_S.FULL_THEN_FULL, _E.FAIL): _S.FULL_WANTED,
}

WANTED: Final = frozenset({_S.PARTIAL_WANTED, _S.FULL_WANTED})
"""The states in which a request should go out."""

IN_FLIGHT: Final = frozenset(state for state, event in TRANSITIONS if event is _E.ANSWER)
"""The states in which one is unanswered."""
