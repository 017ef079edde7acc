"""What goes wrong, where in a request's way, and for which requests: told in advance, or decided by a function.

Layer: tools. Knows no broker: `judge.connection` does what a fault says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kproto.tools.judge.broker import SeenRequest

__all__ = ["Fault", "FaultPoint", "FaultRules", "Faults"]


class FaultPoint(Enum):
    """Where in a request's way."""

    BEFORE_PARSE = auto()
    """The bytes are there, and nothing is done with them. Scopes of topics cannot be known yet."""
    BEFORE_APPEND = auto()
    """The request is read; nothing is written yet."""
    AFTER_APPEND = auto()
    """What was asked is done; the client does not know it."""
    MID_REPLY = auto()
    """The answer is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong; `error`, `close`, `silence`, `delay`, `throttle`, `garbage` and `misnumber` make them.

    error_code: of the answer; behind AFTER_APPEND what was asked is done all the same, and the offset told, as Kafka
    does for 7 and 20. close: the connection ends at the point, in MID_REPLY after reply_bytes. silent: no answer, and
    no later request of the connection is served, as the answers keep their order. delay_ms: before the request is
    served (BEFORE_APPEND: also if the connection has ended by then), or before it is answered. throttle_time_ms: told,
    and the connection is not read for so long. body: what stands behind the correlation id instead of the answer.
    correlation_shift: how far the answer's correlation id is from the request's.
    topic, partition: None for the whole request; else only a request that has it meets the fault, and an error code is
    for that partition (of Metadata: that topic) alone.
    """

    point: FaultPoint = FaultPoint.BEFORE_APPEND
    error_code: int = 0
    closes: bool = False
    silent: bool = False
    reply_bytes: int = 0
    delay_ms: int = 0
    throttle_time_ms: int = 0
    body: bytes | None = None
    correlation_shift: int = 0
    topic: str | None = None
    partition: int | None = None

    @classmethod
    def error(
        cls,
        code: int,
        point: FaultPoint = FaultPoint.BEFORE_APPEND,
        *,
        topic: str | None = None,
        partition: int | None = None,
    ) -> Fault:
        """An answer with an error: instead of what was asked, or AFTER_APPEND. Raises ValueError for another point."""
        if point not in (FaultPoint.BEFORE_APPEND, FaultPoint.AFTER_APPEND):
            raise ValueError(f"an error is answered BEFORE_APPEND or AFTER_APPEND, not {point.name}")
        return cls(point=point, error_code=code, topic=topic, partition=partition)

    @classmethod
    def close(
        cls, point: FaultPoint, *, reply_bytes: int = 0, topic: str | None = None, partition: int | None = None
    ) -> Fault:
        """The connection ends; reply_bytes: of the answer, its length included, that still go out MID_REPLY."""
        return cls(point=point, closes=True, reply_bytes=reply_bytes, topic=topic, partition=partition)

    @classmethod
    def silence(cls, point: FaultPoint, *, topic: str | None = None, partition: int | None = None) -> Fault:
        """No answer to this request, and to none behind it; the connection stays."""
        return cls(point=point, silent=True, topic=topic, partition=partition)

    @classmethod
    def delay(
        cls,
        ms: int,
        point: FaultPoint = FaultPoint.AFTER_APPEND,
        *,
        topic: str | None = None,
        partition: int | None = None,
    ) -> Fault:
        """Served (BEFORE_APPEND) or answered later."""
        return cls(point=point, delay_ms=ms, topic=topic, partition=partition)

    @classmethod
    def throttle(cls, ms: int) -> Fault:
        """The client is told to be quiet for so long (KIP-219)."""
        return cls(point=FaultPoint.AFTER_APPEND, throttle_time_ms=ms)

    @classmethod
    def garbage(cls, body: bytes = b"\xff" * 64) -> Fault:
        """What was asked is done, but the answer is nonsense behind its length and correlation id."""
        return cls(point=FaultPoint.MID_REPLY, body=body)

    @classmethod
    def misnumber(cls, by: int = 1) -> Fault:
        """The answer to another request, as its correlation id says."""
        return cls(point=FaultPoint.MID_REPLY, correlation_shift=by)

    def meets(self, seen: SeenRequest) -> bool:
        """Whether the request has what the fault is for."""
        if self.topic is None:
            return True
        return any(
            self.topic == topic and (self.partition is None or self.partition == partition)
            for topic, partition in seen.partitions
        )


class Faults(tuple[Fault, ...]):
    """All that one request meets."""

    __slots__ = ()

    def end(self, point: FaultPoint) -> Fault | None:
        """What ends the exchange at a point: a close, or silence."""
        return next((one for one in self if one.point is point and (one.closes or one.silent)), None)

    def error_code(self, point: FaultPoint, topic: str | None = None, partition: int | None = None) -> int:
        """The error of a partition, of a topic, or (without topic) of the whole request; 0 for none."""
        for one in self:
            scoped = one.topic is None or (one.topic == topic and one.partition in (None, partition))
            if one.error_code and one.point is point and scoped:
                return one.error_code
        return 0

    def delay_ms(self, point: FaultPoint) -> int:
        """How long the request waits at a point."""
        return sum(one.delay_ms for one in self if one.point is point)

    @property
    def body(self) -> bytes | None:
        """What is said instead of the answer."""
        return next((one.body for one in self if one.body is not None), None)

    @property
    def correlation_shift(self) -> int:
        """How far the correlation id is off."""
        return sum(one.correlation_shift for one in self)

    @property
    def throttle_time_ms(self) -> int:
        """The longest that is told."""
        return max((one.throttle_time_ms for one in self), default=0)


@dataclass(slots=True)
class _Rule:
    api: int
    fault: Fault
    node: int | None
    left: int | None  # requests that it is still for; None for all that come


class FaultRules:
    """The faults that wait for their requests. Not thread-safe.

    injector: asked for each request that could be read, None for no fault; for those that need no counting.
    """

    def __init__(self) -> None:
        self.injector: Callable[[SeenRequest], Fault | Iterable[Fault] | None] | None = None
        self._rules: list[_Rule] = []

    def add(self, api: int, fault: Fault, node: int | None, times: int | None) -> None:
        """For the next `times` requests that it meets; None: for all."""
        self._rules.append(_Rule(api, fault, node, times))

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._rules.clear()
        self.injector = None

    @property
    def waiting(self) -> int:
        """Rules that have not met all their requests yet."""
        return len(self._rules)

    def before_parse(self, api: int, node: int) -> Fault | None:
        """What ends the request before it is read."""
        for rule in self._rules:
            if rule.fault.point is FaultPoint.BEFORE_PARSE and rule.api == api and rule.node in (None, node):
                self._use(rule)
                return rule.fault
        return None

    def take(self, seen: SeenRequest) -> Faults:
        """What a request meets: of the rules of one scope the oldest, and what the injector says."""
        taken: dict[tuple[str | None, int | None], _Rule] = {}
        for rule in self._rules:
            fault = rule.fault
            fits = rule.api == seen.api_key and rule.node in (None, seen.node_id) and fault.meets(seen)
            if fits and fault.point is not FaultPoint.BEFORE_PARSE:
                taken.setdefault((fault.topic, fault.partition), rule)
        for rule in taken.values():
            self._use(rule)
        decided = self.injector(seen) if self.injector is not None else None
        decided = () if decided is None else (decided,) if isinstance(decided, Fault) else decided
        return Faults([*(rule.fault for rule in taken.values()), *(one for one in decided if one.meets(seen))])

    def _use(self, rule: _Rule) -> None:
        if rule.left is not None:
            rule.left -= 1
            if rule.left <= 0:
                self._rules.remove(rule)
