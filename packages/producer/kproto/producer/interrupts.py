"""Holds signals back while something must not be left half done.

Layer: producer. Part of the faces. A signal's handler runs in the main thread, between any two steps of whatever runs
there, and Ctrl-C's raises KeyboardInterrupt: inside a pass that would leave a batch in no list at all. So the handlers
wait until the pass is over, which is well under a millisecond.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Final

__all__ = ["HeldSignals"]

SIGNALS: Final = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)


class HeldSignals:
    """A context manager; in any thread but the main one it does nothing. What came meanwhile is raised on the way out.

    One for each use: not to be shared.
    """

    __slots__ = ("_came", "_handlers")

    def __init__(self) -> None:
        self._handlers: list[tuple[int, Any]] = []
        self._came: list[int] = []

    def __enter__(self) -> None:
        if threading.get_ident() != threading.main_thread().ident:
            return
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers.append((number, handler))
                signal.signal(number, self._note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._handlers:
            number, handler = self._handlers[-1]
            signal.signal(number, handler)
            self._handlers.pop()
        for number in self._came:
            signal.raise_signal(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number not in self._came:
            self._came.append(number)
