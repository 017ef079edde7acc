"""Every state of a connection with every event: it moves as the table says, or is a bug."""

from __future__ import annotations

from itertools import product

import pytest

from kproto.client.connection_state import TRANSITIONS, UNREADY, ConnectionEvent, ConnectionState
from kproto.client.transitions import IllegalTransition, step

S, E = ConnectionState, ConnectionEvent
PAIRS = list(product(S, E))
MOVES = {
    S.CONNECTING: {
        E.TLS_STARTED: S.TLS_HANDSHAKE,
        E.SASL_STARTED: S.AUTHENTICATING,
        E.API_VERSIONS_ASKED: S.CHECKING_API_VERSIONS,
    },
    S.TLS_HANDSHAKE: {E.SASL_STARTED: S.AUTHENTICATING, E.API_VERSIONS_ASKED: S.CHECKING_API_VERSIONS},
    S.AUTHENTICATING: {E.API_VERSIONS_ASKED: S.CHECKING_API_VERSIONS},
    S.CHECKING_API_VERSIONS: {E.API_VERSIONS_ASKED: S.CHECKING_API_VERSIONS, E.API_VERSIONS_LEARNED: S.READY},
    S.READY: {E.THROTTLE_STARTED: S.THROTTLED, E.REAUTHENTICATION_STARTED: S.REAUTHENTICATING},
    S.THROTTLED: {E.THROTTLE_STARTED: S.THROTTLED, E.THROTTLE_ENDED: S.READY},
    S.REAUTHENTICATING: {E.REAUTHENTICATED: S.READY},
    S.CLOSED: {},
}
"""What there is beside the end, which comes in every state but the last."""


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda value: value.name)
def test_conn_1_each_pair_moves_or_is_illegal(state, event):
    expected = MOVES[state] | ({E.ENDED: S.CLOSED} if state is not S.CLOSED else {})
    if event in expected:
        assert step(TRANSITIONS, state, event) is expected[event]
    else:
        with pytest.raises(IllegalTransition, match=f"in state {state.name} there is no step for {event.name}"):
            step(TRANSITIONS, state, event)


def test_every_state_can_be_reached_and_every_event_happens():
    reached = {S.CONNECTING}
    for _ in S:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    assert reached == set(S)
    assert {event for _, event in TRANSITIONS} == set(E)


def test_unready_are_those_that_must_not_last():
    assert set(S) - {S.READY, S.THROTTLED, S.CLOSED} == UNREADY
