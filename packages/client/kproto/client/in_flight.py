"""The requests of one connection that were sent and not answered, in order, with their deadlines.

Layer: client. A connection answers in the order it was asked: the oldest request is the only one that may be answered.
Source: org.apache.kafka.clients.InFlightRequests (CONN-9, CONN-10, CONN-12).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import auto
from typing import Any

from kproto.client.transitions import State
from kproto.wire import KafkaError, Response

__all__ = ["Completion", "InFlightRequest", "InFlightRequests", "Internal"]


class Internal(State):
    """The tokens of a connection's own requests."""

    API_VERSIONS = auto()
    SASL = auto()


@dataclass(slots=True, eq=False)
class InFlightRequest:
    """A request on its way.

    response: the class of its answer, None where the broker sends none (acks=0); api: its name for errors; token: the
    caller's own, given back with the answer; deadline_ms: moves when the broker throttles.
    """

    correlation_id: int
    api: str
    version: int
    response: type[Response] | None
    token: Any
    sent_ms: int
    deadline_ms: int

    @property
    def waits_for(self) -> str:
        """What it needs to be complete, for people."""
        return f"room to send {self.api}" if self.response is None else f"an answer to {self.api}"


@dataclass(frozen=True, slots=True)
class Completion:
    """How a request ended: with an answer (None where the broker sends none) or an error. token: the caller's."""

    token: Any
    response: Response | None
    error: KafkaError | None
    version: int


class InFlightRequests:
    """First in, first out. Not thread-safe."""

    __slots__ = ("_requests",)

    def __init__(self) -> None:
        self._requests: deque[InFlightRequest] = deque()

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def oldest(self) -> InFlightRequest | None:
        """The one that is answered next."""
        return self._requests[0] if self._requests else None

    def add(self, request: InFlightRequest) -> None:
        """The newest of all."""
        self._requests.append(request)

    def complete_oldest(self) -> InFlightRequest:
        """Take out the one that was answered; there must be one."""
        return self._requests.popleft()

    def next_deadline_ms(self) -> int | None:
        """The earliest deadline: timeouts differ, so it need not be the oldest request's."""
        return min([request.deadline_ms for request in self._requests]) if self._requests else None

    def overdue(self, now_ms: int) -> InFlightRequest | None:
        """The oldest request whose deadline has passed."""
        for request in self._requests:
            if request.deadline_ms <= now_ms:
                return request
        return None

    def extend(self, throttle_ms: int) -> None:
        """The broker answers nothing for so long: that is not the requests' fault (KIP-219)."""
        for request in self._requests:
            request.deadline_ms += throttle_ms

    def clear(self) -> list[InFlightRequest]:
        """All of them, oldest first; none remains."""
        requests = list(self._requests)
        self._requests.clear()
        return requests
