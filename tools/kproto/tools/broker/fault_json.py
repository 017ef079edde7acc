"""One fault of the judge as JSON: which requests it is for, and what becomes of them.

    {"fault": "close", "api": "Produce", "at": "after_append", "topic": "orders", "partition": 0, "times": 2}

Layer: tools. The names are those of `kproto.tools.judge.Fault`; docs/broker.md has a table of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kproto.tools.broker.fields import REQUIRED, Fields, PlanError
from kproto.tools.judge import Fault, FaultPoint, JudgeCluster
from kproto.tools.judge.apis import SERVED
from kproto.wire import ApiKey, ErrorCode

__all__ = ["APIS", "FAULTS", "FaultOrder", "fault_of"]

MS_MAX: Final = 3_600_000
BODY_MAX: Final = 1 << 20
NODE_MAX: Final = 2**31 - 1
APIS: Final = {ApiKey(key).message_name: int(key) for key in SERVED}
POINTS: Final = {point.name.lower(): point for point in FaultPoint}
ERRORS: Final = {code.name: int(code) for code in ErrorCode}
ERROR_POINTS: Final = {name: POINTS[name] for name in ("before_append", "after_append")}


@dataclass(frozen=True, slots=True)
class FaultOrder:
    """A fault, and how many requests of an API it is for. times: None for all; node: None for any."""

    api: int
    fault: Fault
    node: int | None
    times: int | None

    def give(self, cluster: JudgeCluster) -> None:
        """From now on it waits for its requests."""
        cluster.fail(self.api, self.fault, node=self.node, times=self.times)


def _scope(fields: Fields, point: FaultPoint) -> dict[str, Any]:
    topic = fields.text("topic", None)
    partition = fields.number("partition", None)
    if partition is not None and topic is None:
        raise PlanError(f"{fields.at('partition')}: a partition goes with a topic")
    if topic is not None and point is FaultPoint.BEFORE_PARSE:
        raise PlanError(f"{fields.at('topic')}: before_parse nobody knows the topics of a request yet")
    return {"topic": topic, "partition": partition}


def _error(fields: Fields) -> Fault:
    point = fields.choice("at", ERROR_POINTS, "before_append")
    return Fault.error(fields.choice("error", ERRORS), point, **_scope(fields, point))


def _close(fields: Fields) -> Fault:
    point = fields.choice("at", POINTS, "after_append")
    reply_bytes = fields.number("reply_bytes", 0)
    if reply_bytes and point is not FaultPoint.MID_REPLY:
        raise PlanError(f'{fields.at("reply_bytes")}: goes with "at": "mid_reply" alone')
    return Fault.close(point, reply_bytes=reply_bytes, **_scope(fields, point))


def _silence(fields: Fields) -> Fault:
    point = fields.choice("at", POINTS, "after_append")
    return Fault.silence(point, **_scope(fields, point))


def _delay(fields: Fields) -> Fault:
    point = fields.choice("at", ERROR_POINTS, "after_append")
    return Fault.delay(fields.number("ms", high=MS_MAX), point, **_scope(fields, point))


def _throttle(fields: Fields) -> Fault:
    return Fault.throttle(fields.number("ms", high=MS_MAX))


def _garbage(fields: Fields) -> Fault:
    text = fields.text("hex", "ff" * 64)
    try:
        body = bytes.fromhex(text)
    except ValueError:
        raise PlanError(f"{fields.at('hex')}: pairs of hexadecimal digits have to stand here") from None
    if len(body) > BODY_MAX:
        raise PlanError(f"{fields.at('hex')}: {len(body)} bytes, at most {BODY_MAX} can be")
    return Fault.garbage(body)


def _misnumber(fields: Fields) -> Fault:
    return Fault.misnumber(fields.number("by", 1, low=1, high=NODE_MAX))


FAULTS: Final[Mapping[str, Callable[[Fields], Fault]]] = {
    "error": _error,
    "close": _close,
    "silence": _silence,
    "delay": _delay,
    "throttle": _throttle,
    "garbage": _garbage,
    "misnumber": _misnumber,
}


def fault_of(fields: Fields) -> FaultOrder:
    """Takes all the fields of a fault. Raises PlanError."""
    make = fields.choice("fault", FAULTS, REQUIRED)
    api = fields.choice("api", APIS, "Produce")
    node = fields.number("node", None, high=NODE_MAX)
    times = fields.number_or_null("times", 1)
    if times == 0:
        raise PlanError(f"{fields.at('times')}: from 1 on, or null for all requests")
    order = FaultOrder(api, make(fields), node, times)
    fields.done()
    return order
