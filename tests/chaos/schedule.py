"""What goes wrong in a round, and when: drawn from its seed alone, so every contender meets the same faults."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

NODES = 3
LOAD_MS = 12_000  # of a round that is not told otherwise
QUIET_MS = 500  # at the start: the faults hit a producer that is at work


class NodeFault(Enum):
    """What happens to the process of a broker."""

    KILL = "kill -9"
    PAUSE = "pause"
    RESTART = "restart"


class LinkFault(Enum):
    """What happens between the clients and a broker."""

    LOSE_ACKS = "lose acks"  # what the broker answers is swallowed, then the connections are reset
    CUT_ANSWER = "cut answer"  # the next answer ends in the middle, and the connection with it
    RESET = "reset"
    STALL = "stall"  # nothing passes, in both directions; then all of it
    REFUSE = "refuse"  # no new connections, and the old ones are reset
    DRIBBLE = "dribble"  # a few bytes at a time


SPANS_MS = {  # how long a fault of a link lasts
    LinkFault.LOSE_ACKS: (300, 2500),
    LinkFault.CUT_ANSWER: (0, 0),
    LinkFault.RESET: (0, 0),
    LinkFault.STALL: (100, 2500),
    LinkFault.REFUSE: (200, 2000),
    LinkFault.DRIBBLE: (300, 1500),
}
GAP_MS = (150, 900)  # from one fault of a link to the next
CUT_AFTER_BYTES = (1, 40)  # the smallest answer to a Produce request is longer
FIRST_NODE_FAULT = (0.1, 0.3)  # parts of the load's time
NODE_FAULT_SPAN = (0.2, 0.5)


@dataclass(frozen=True, slots=True)
class Disaster:
    """A node that goes down at `at_ms` and comes back `span_ms` later."""

    at_ms: int
    span_ms: int
    node: int
    fault: NodeFault

    def __str__(self) -> str:
        return f"{self.at_ms} ms: {self.fault.value} node {self.node}, back after {self.span_ms} ms"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault of the link to a node, from `at_ms` for `span_ms`; amount: bytes that still pass, where some do."""

    at_ms: int
    span_ms: int
    node: int
    fault: LinkFault
    amount: int

    def __str__(self) -> str:
        return f"{self.at_ms} ms: {self.fault.value} at node {self.node} for {self.span_ms} ms"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A round: one disaster, and many troubles in the order of their time."""

    seed: int
    load_ms: int
    disaster: Disaster
    troubles: tuple[Trouble, ...]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}, load {self.load_ms} ms", str(self.disaster), *map(str, self.troubles)]
        return "\n  ".join(lines)


def schedule_of(seed: int, load_ms: int = LOAD_MS) -> Schedule:
    """The faults of a seed. Three seeds in a row have each fault of a node once. load_ms: at least 1,000."""
    rng = random.Random(seed)
    disaster = Disaster(
        at_ms=round(rng.uniform(*FIRST_NODE_FAULT) * load_ms),
        span_ms=round(rng.uniform(*NODE_FAULT_SPAN) * load_ms),
        node=rng.randrange(NODES),
        fault=tuple(NodeFault)[seed % len(NodeFault)],
    )
    troubles = []
    at_ms = QUIET_MS
    while at_ms < load_ms:
        fault = rng.choice(tuple(LinkFault))
        span_ms = min(rng.randint(*SPANS_MS[fault]), load_ms - at_ms)
        troubles.append(Trouble(at_ms, span_ms, rng.randrange(NODES), fault, rng.randint(*CUT_AFTER_BYTES)))
        at_ms += rng.randint(*GAP_MS)
    return Schedule(seed, load_ms, disaster, tuple(troubles))
