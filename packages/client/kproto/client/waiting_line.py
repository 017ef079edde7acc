"""Requests that wait for a connection: in order, each with its deadline.

Layer: client.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kproto.client.errors import KafkaTimeoutError
from kproto.wire import KafkaError, Request, Response

__all__ = ["Waiting", "WaitingLine"]


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A request in line. node_id: whom to ask, None for any; deadline_ms: for being sent.

    version: the one to use, None for the highest that both sides speak; response: the class of the answer, None where
    the broker sends none.
    """

    request: Request
    response: type[Response] | None
    node_id: int | None
    version: int | None
    token: Any
    since_ms: int
    deadline_ms: int

    @property
    def within(self) -> range | None:
        """The bounds of the version to use; None for none."""
        return None if self.version is None else range(self.version, self.version + 1)

    def timeout(self, now_ms: int, cause: KafkaError | None) -> KafkaTimeoutError:
        """The error for one whose deadline has passed."""
        whom = "any node" if self.node_id is None else f"node {self.node_id}"
        what = f"a connection to send {type(self.request).__name__} to {whom}"
        return KafkaTimeoutError(what, now_ms - self.since_ms, cause)


class WaitingLine:
    """First come, first served, but nobody waits behind one whose node is not ready. Not thread-safe."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, waiting: Waiting) -> None:
        """At the end."""
        self._waiting.append(waiting)

    def take_all(self) -> list[Waiting]:
        """All of them, in order; those that still wait are to be put back."""
        taken, self._waiting = self._waiting, []
        return taken

    def take(self, which: Callable[[Waiting], bool]) -> list[Waiting]:
        """Some of them, in order; the rest waits on."""
        taken = [waiting for waiting in self._waiting if which(waiting)]
        self._waiting = [waiting for waiting in self._waiting if waiting not in taken]
        return taken

    def put_back(self, waiting: list[Waiting]) -> None:
        """In their order, before any that came meanwhile."""
        self._waiting[:0] = waiting

    def next_deadline_ms(self) -> int | None:
        """The earliest; None where nobody waits."""
        return min([waiting.deadline_ms for waiting in self._waiting]) if self._waiting else None
