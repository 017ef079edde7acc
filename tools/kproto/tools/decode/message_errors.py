"""The error codes that stand anywhere in a message, found by its declaration.

Layer: tools. Works for any message class, also for those that were defined at run time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from kproto.wire import ErrorCode
from kproto.wire.field import element_struct
from kproto.wire.schema import Struct
from kproto.wire.wire_type import Array

__all__ = ["error_codes", "error_name"]

ERROR_CODE = "error_code"

Plan = tuple[bool, tuple[tuple[str, bool, "Plan"], ...]]
"""Whether the struct has a code of its own, and the fields that lead to others: name, whether an array, its plan."""


def error_codes(message: Struct) -> list[int]:
    """Each code but 0, in the order of the fields."""
    codes: list[int] = []
    _collect(message, _plan(type(message)), codes)
    return codes


def error_name(code: int) -> str:
    """Kafka's name, or the number where it has none."""
    known = ErrorCode.of(code)
    return known.name if isinstance(known, ErrorCode) else str(code)


@lru_cache(maxsize=512)
def _plan(cls: type[Struct]) -> Plan:
    own = False
    ways = []
    for field in cls.fields:
        if field.name == ERROR_CODE:
            own = True
            continue
        struct: type[Struct] | None = element_struct(field.type)
        if struct is not None:
            plan = _plan(struct)
            if plan[0] or plan[1]:
                ways.append((field.name, isinstance(field.type, Array), plan))
    return own, tuple(ways)


def _collect(value: Any, plan: Plan, codes: list[int]) -> None:
    own, ways = plan
    if own and value.error_code:
        codes.append(value.error_code)
    for name, is_array, way in ways:
        inner = getattr(value, name)
        if inner is None:
            continue
        for element in inner if is_array else (inner,):
            _collect(element, way, codes)
