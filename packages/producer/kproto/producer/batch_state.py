"""The states of a batch, and every step between them.

Layer: producer.
Source: org.apache.kafka.clients.producer.internals.ProducerBatch (ARCH-4, BATCH-5).
"""

from __future__ import annotations

from enum import auto
from typing import Final

from kproto.client.transitions import State

__all__ = ["DONE", "TRANSITIONS", "BatchEvent", "BatchState"]


class BatchState(State):
    """Where a batch is on its way."""

    OPEN = auto()
    WAITING = auto()
    IN_FLIGHT = auto()
    SUCCEEDED = auto()
    FAILED = auto()
    SPLIT = auto()


class BatchEvent(State):
    """What moves it on."""

    CLOSE = auto()
    SEND = auto()
    RETRY = auto()
    SUCCEED = auto()
    FAIL = auto()
    SPLIT = auto()


_S, _E = BatchState, BatchEvent

TRANSITIONS: Final = {
    (_S.OPEN, _E.CLOSE): _S.WAITING,
    (_S.WAITING, _E.SEND): _S.IN_FLIGHT,
    (_S.IN_FLIGHT, _E.RETRY): _S.WAITING,
    (_S.IN_FLIGHT, _E.SUCCEED): _S.SUCCEEDED,
    (_S.IN_FLIGHT, _E.SPLIT): _S.SPLIT,
    (_S.OPEN, _E.FAIL): _S.FAILED,  # too old, or the producer closes
    (_S.WAITING, _E.FAIL): _S.FAILED,
    (_S.IN_FLIGHT, _E.FAIL): _S.FAILED,  # its answer, should it come, changes nothing for its records
}

DONE: Final = frozenset({_S.SUCCEEDED, _S.FAILED})
