"""The first of several deadlines, some of which may not be.

Layer: client. Asked several times in each pass; plain, as `min` over a generator takes twice the time.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["earliest"]


def earliest(deadlines: Iterable[int | None]) -> int | None:
    """The smallest; None where there is none."""
    first: int | None = None
    for deadline in deadlines:
        if deadline is not None and (first is None or deadline < first):
            first = deadline
    return first
