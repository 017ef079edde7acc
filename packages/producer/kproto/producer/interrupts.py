"""Holds signals back while something must not be left half done.

Layer: producer. Part of the faces. A signal's handler runs in the main thread, between any two steps of whatever runs
there, and Ctrl-C's raises KeyboardInterrupt: inside a pass that would leave a batch in no list at all. So the handlers
wait until the pass is over, which is well under a millisecond.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` makes enums of what it gives: 5 us a call, and these 0.05
import signal
from threading import get_ident, main_thread
from types import FrameType, TracebackType
from typing import Any, Final

__all__ = ["HeldSignals"]

SIGNALS: Final = tuple(
    int(getattr(signal, name))
    for name in ("SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)


class HeldSignals:
    """A context manager; in any thread but the main one it does nothing. What came meanwhile is handled on the way out.

    One for each use: not to be shared.
    """

    __slots__ = ("_came", "_handlers", "_held", "_over")

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._held: list[int] = []  # those of them that are to be put back
        self._came: dict[int, FrameType | None] = {}
        self._over = False

    def __enter__(self) -> None:
        if get_ident() != main_thread().ident or _is_held():
            return
        try:
            for number in SIGNALS:
                handler = _signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    self._held.append(number)
                    _signal.signal(number, self._note)
        except BaseException:  # a handler that is not held yet has raised
            self.__exit__()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        if not self._handlers:
            return
        self._over = True
        try:
            self._put_back()
        finally:
            self._put_back()  # what is back already may have raised
            self._handle()

    def _put_back(self) -> None:
        held = self._held
        while held:
            number = held[-1]
            if _signal.getsignal(number) == self._note:
                _signal.signal(number, self._handlers[number])
            held.pop()

    def _handle(self) -> None:
        """Called, not raised again: an event loop that watches for the signal has heard of it when it came."""
        for number in self._came:
            try:
                self._handlers[number](number, self._came[number])
            finally:
                del self._came[number]
                self._handle()
            return

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._over:  # left behind, where what was put back has raised again and again
            self._handlers[number](number, frame)
        else:
            self._came[number] = frame


def _is_held() -> bool:
    """Whether another one around this one holds them already: to do so again would cost as much again."""
    outer = getattr(_signal.getsignal(signal.SIGINT), "__self__", None)
    return type(outer) is HeldSignals and not outer._over
