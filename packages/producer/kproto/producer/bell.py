"""Wakes threads that wait until something holds, and may be interrupted at any moment.

Layer: producer. Part of the face for threads. `threading.Condition` and `Event` will not do: they are Python, and a
KeyboardInterrupt between two steps of theirs leaves their lock held for ever, and with it the producer's own thread.
Here a lock is only ever somebody's gate: one waits before it, and whoever opens it waits for nobody.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Bell"]


class Bell:
    """See the module. Thread-safe, without a lock that anybody holds."""

    __slots__ = ("_gates",)

    def __init__(self) -> None:
        self._gates: dict[threading.Lock, None] = {}

    def wait_for(self, wanted: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Whether it holds in time; looked at now, and after each `ring`. wanted: quick, and without effect."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        gate = threading.Lock()
        gate.acquire()
        self._gates[gate] = None  # before the look, or a ring between the two would be missed
        try:
            while not wanted():
                left_s = -1 if deadline_s is None else min(deadline_s - time.monotonic(), threading.TIMEOUT_MAX)
                if deadline_s is not None and left_s <= 0:
                    return False
                gate.acquire(timeout=left_s)
            return True
        finally:
            del self._gates[gate]

    def ring(self) -> None:
        """Something may have changed."""
        for gate in [*self._gates]:
            try:
                gate.release()
            except RuntimeError:  # it is open already
                continue
