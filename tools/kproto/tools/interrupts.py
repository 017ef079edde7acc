"""Ctrl-C and SIGTERM while records are under way: they end the run, but never between a record's failure and its file.

Layer: tools. For the main thread; in another one nothing is changed.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Interrupted", "Interrupts"]

SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM") if hasattr(signal, name))


class Interrupted(KeyboardInterrupt):
    """A signal came. number: which; 128 and it is the exit code, as a shell says it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C."""
        return 128 + self.number


class Interrupts:
    """While its block lasts, the first signal raises Interrupted in the main thread; inside `held`, behind that.

    signals: all that came, in order. quiet: whether one only counts, as it does after the first has been raised.
    `with interrupts.held:` costs little; it may not be nested.
    """

    def __init__(self) -> None:
        self.held = _Held(self)
        self.signals: list[int] = []
        self.quiet = False
        self._before: list[tuple[int, Any]] = []

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before.append((number, signal.getsignal(number)))
                signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        while self._before:
            signal.signal(*self._before.pop())

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signals.append(number)
        if not self.held.active:
            self.tell()

    def tell(self) -> None:
        """Raises Interrupted if a signal came and none was raised yet."""
        if self.signals and not self.quiet:
            self.quiet = True
            raise Interrupted(self.signals[0])


class _Held:
    """See `Interrupts.held`. In any thread but the main one it does nothing: no handler runs there."""

    __slots__ = ("_interrupts", "_main", "active")

    def __init__(self, interrupts: Interrupts) -> None:
        self.active = False
        self._interrupts = interrupts
        self._main = threading.main_thread().ident

    def __enter__(self) -> None:
        if threading.get_ident() == self._main:
            self.active = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if threading.get_ident() == self._main:
            self.active = False
            self._interrupts.tell()
