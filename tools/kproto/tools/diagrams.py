"""State machines as diagrams and tables, for the documentation: `python -m kproto.tools.diagrams > docs/states.md`.

Layer: tools. Everything here is read off the transition tables that the code runs by.
Source: https://mermaid.js.org/syntax/stateDiagram.html
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from kproto.client import connection_state, metadata_state, tls
from kproto.client.connection_state import ConnectionState
from kproto.client.metadata_state import MetadataState
from kproto.client.sasl import authenticator, oauthbearer, plain, scram
from kproto.client.sasl.authenticator import SaslState
from kproto.client.sasl.exchange import ExchangeState
from kproto.client.tls import TlsState
from kproto.producer import batch_state, producer_id
from kproto.producer.batch_state import BatchState
from kproto.producer.producer_id import ProducerIdPhase

__all__ = ["MACHINES", "Machine", "Transitions", "main", "mermaid", "page"]

Transitions = Mapping[tuple[Any, Any], Enum]
"""(state, event) -> the next state, each an Enum."""

OTHERS_MIN: Final = 3  # states that "any other state" stands for; fewer have arrows of their own


class Machine(NamedTuple):
    """What the page shows of a table. initial: None where the table's user decides."""

    title: str
    sentence: str
    transitions: Transitions
    initial: Enum | None


MACHINES: Final = (
    Machine(
        "Connection",
        "From the TCP connection to its end; TLS and SASL are passed by where they are not set.",
        connection_state.TRANSITIONS,
        ConnectionState.CONNECTING,
    ),
    Machine(
        "TLS stream",
        "Below the connection, where TLS is set.",
        tls.TRANSITIONS,
        TlsState.NEW,
    ),
    Machine(
        "SASL login",
        "The requests of one login; a re-authentication begins with the handshake, as the versions are known.",
        authenticator.TRANSITIONS,
        SaslState.SEND_APIVERSIONS_REQUEST,
    ),
    Machine(
        "SASL PLAIN",
        "The tokens of one login, RFC 4616.",
        plain.TRANSITIONS,
        ExchangeState.SEND_CLIENT_FIRST_MESSAGE,
    ),
    Machine(
        "SASL SCRAM",
        "The tokens of one login, RFC 5802.",
        scram.TRANSITIONS,
        ExchangeState.SEND_CLIENT_FIRST_MESSAGE,
    ),
    Machine(
        "SASL OAUTHBEARER",
        "The tokens of one login, RFC 7628; a refusal is acknowledged before it counts.",
        oauthbearer.TRANSITIONS,
        ExchangeState.SEND_CLIENT_FIRST_MESSAGE,
    ),
    Machine(
        "Metadata",
        "Whether an update is wanted, and of what. THEN: what became necessary since the request in flight was sent.",
        metadata_state.TRANSITIONS,
        MetadataState.FULL_WANTED,
    ),
    Machine(
        "Producer batch",
        "From the first record to the offset or the error. A failed one may still be in flight: its answer counts only "
        "for the sequence numbers.",
        batch_state.TRANSITIONS,
        BatchState.OPEN,
    ),
    Machine(
        "Producer id",
        "How a producer gets its identity. A new epoch needs no step: it is taken without asking.",
        producer_id.TRANSITIONS,
        ProducerIdPhase.UNINITIALIZED,
    ),
)


def mermaid(title: str, transitions: Transitions, initial: Enum | None = None) -> str:
    """The table as a Mermaid `stateDiagram-v2`, without a fence; equal tables in equal order give equal text.

    Events between the same two states share an arrow. A step that all other states have, to one state, is drawn once,
    from "any other state". A state that none leaves for another is an end.
    """
    states = _states(transitions)
    common = {(event, after) for (_, event), after in transitions.items() if _is_common(event, after, transitions)}
    own = {pair: after for pair, after in transitions.items() if pair[0] is after or (pair[1], after) not in common}
    lines = ["---", f"title: {json.dumps(title, ensure_ascii=False)}", "---", "stateDiagram-v2"]
    if initial is not None:
        lines.append(f"    [*] --> {initial.name}")
    lines += _arrows((before.name, after.name, event.name) for (before, event), after in own.items())
    if common:
        lines.append('    state "any other state" as any_other_state')
    shared = ((event, after) for (_, event), after in transitions.items() if (event, after) in common)
    lines += _arrows(("any_other_state", after.name, event.name) for event, after in dict.fromkeys(shared))
    left = {before for (before, _), after in transitions.items() if before is not after}
    lines += [f"    {state.name} --> [*]" for state in states if state not in left]
    return "\n".join(lines) + "\n"


def _states(transitions: Transitions) -> list[Enum]:
    """Each once, as the table first names them."""
    return list(dict.fromkeys(state for (before, _), after in transitions.items() for state in (before, after)))


def _is_common(event: Enum, after: Enum, transitions: Transitions) -> bool:
    others = [state for state in _states(transitions) if state is not after]
    return len(others) >= OTHERS_MIN and all(transitions.get((state, event)) is after for state in others)


def _arrows(steps: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """A line for each two states: before, after and all events between them."""
    events: dict[tuple[str, str], list[str]] = {}
    for before, after, event in steps:
        events.setdefault((before, after), []).append(event)
    for (before, after), names in events.items():
        yield f"    {before} --> {after}: {', '.join(names)}"


def page(machines: Iterable[Machine] = MACHINES) -> str:
    """A Markdown page: each machine's sentence, diagram and table."""
    head = (
        "# States\n\nGenerated from the transition tables by `make docs`; a test holds it to them. A step that is not "
        "in a table raises `IllegalTransition`.\n"
    )
    return "\n".join([head, *map(_section, machines)])


def _section(machine: Machine) -> str:
    steps = machine.transitions.items()
    rows = [f"| `{before.name}` | `{event.name}` | `{after.name}` |" for (before, event), after in steps]
    diagram = mermaid(machine.title, machine.transitions, machine.initial)
    head = f"## {machine.title}\n\n{machine.sentence}\n\n```mermaid\n{diagram}```\n\n"
    return head + "\n".join(["| state | event | next state |", "| --- | --- | --- |", *rows]) + "\n"


def main() -> int:
    """Write the page to standard output."""
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
