"""Takes a lock without waiting in line for it.

Layer: producer. Part of the face for threads. CPython hands a lock that threads wait for from one to the next, each
time with a switch of threads: several that send through one producer are then three times slower than one. Whoever
finds it taken lets the others run, and tries again.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

__all__ = ["Spinning"]


class Spinning:
    """A context manager around a lock that is held for microseconds. One for each use."""

    __slots__ = ("_lock",)

    def __init__(self, lock: Any) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        while not self._lock.acquire(blocking=False):
            time.sleep(0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
