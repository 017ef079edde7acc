"""Requests that wait for their answers, connection by connection; bounded.

Layer: tools. Brokers answer in order, so that who is overtaken will hardly be answered any more.
Source: https://kafka.apache.org/protocol#protocol_network
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from kproto.tools.decode.known_heads import KnownHeads
from kproto.tools.decode.model import DecodedFrame, Frame
from kproto.tools.decode.sasl_phase import SaslPhase

__all__ = ["ConversationState", "Waiting", "slim"]

WAITING_MAX: Final = 4_096  # requests of a connection; the oldest are forgotten
KEPT_SIZE_MAX: Final = 1_024  # bytes of a request that is kept whole until its answer comes

_new: Final = tuple.__new__  # half the time of calling the class


@dataclass(slots=True)
class Waiting:
    """A request. certain: an answer is due, and its absence would be seen; overtaken: a later one was answered."""

    asked: DecodedFrame
    certain: bool = True
    overtaken: bool = False


@dataclass(slots=True)
class ConversationState:
    """Of one connection. guesses: answers without a request that may still be looked at."""

    waiting: dict[int, Waiting] = field(default_factory=dict)
    sasl: SaslPhase = field(default_factory=SaslPhase)
    guesses: int = 32
    heads: KnownHeads = field(default_factory=KnownHeads)

    def ask(self, asked: DecodedFrame, *, certain: bool) -> DecodedFrame | None:
        """Remember a request; the one under whose correlation id it waits from now on, if there was one."""
        assert asked.correlation_id is not None
        before = self.waiting.pop(asked.correlation_id, None)
        if len(self.waiting) >= WAITING_MAX:
            del self.waiting[next(iter(self.waiting))]
        self.waiting[asked.correlation_id] = Waiting(slim(asked), certain)
        return None if before is None else before.asked

    def answer(self, correlation_id: int) -> tuple[DecodedFrame | None, DecodedFrame | None]:
        """The request that is answered, and the first one that is overtaken by that; None for none."""
        found = self.waiting.pop(correlation_id, None)
        if found is None:
            return None, None
        overtaken = None
        if not found.overtaken:
            for each in self.waiting.values():
                if each.asked.frame.number > found.asked.frame.number:
                    break
                if not each.overtaken:
                    each.overtaken = True
                    overtaken = overtaken or each.asked
        return found.asked, overtaken

    def fade(self) -> None:
        """Something was lost: answers to what waits may have passed unseen."""
        for each in self.waiting.values():
            each.certain = False

    def unanswered(self) -> list[DecodedFrame]:
        """The requests to which an answer is due."""
        return [each.asked for each in self.waiting.values() if each.certain]

    def outstanding(self) -> Collection[int]:
        """Their correlation ids, the oldest first."""
        return self.waiting.keys()


def slim(asked: DecodedFrame) -> DecodedFrame:
    """What an answer has to know of its request: a large one without its bytes and message."""
    frame = asked.frame
    if frame.size <= KEPT_SIZE_MAX:
        return asked
    small = frame.number, frame.time_ns, frame.conn, frame.client, frame.broker, True, b"", frame.size, (), False, False
    says = asked.api_key, asked.api, asked.version, asked.correlation_id, asked.client_id
    return DecodedFrame(_new(Frame, small), *says, topics=asked.topics)
