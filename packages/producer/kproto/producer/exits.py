"""The ways in which a producer ends: closed, forgotten, forked, or left over at the interpreter's exit.

Layer: producer. Part of the face for threads.
"""

from __future__ import annotations

import atexit
import warnings
import weakref
from typing import Any, Final

from kproto.producer.engine_thread import EngineThread
from kproto.producer.forks import ForkMark

__all__ = ["Exits"]

EXIT_S: Final = 2.0  # at the interpreter's exit, for what was accepted


class Exits:
    """See the module. owner: the face; it is not kept alive. Thread-safe."""

    def __init__(self, owner: Any, thread: EngineThread) -> None:
        self._fork = ForkMark(thread)
        self._thread = thread
        self._closed = False
        self._name = repr(owner)
        self._forgotten = weakref.finalize(owner, self._forget)
        self._forgotten.atexit = False
        # Now, not with the first record: handlers run in reverse, so what the application registers later runs before.
        atexit.register(self._leave)

    def check(self) -> None:
        """Raises ForkedProducerError in a child of the process that made the producer."""
        self._fork.check()

    def close(self, timeout_s: float | None) -> int:
        """See Producer.close."""
        if self._fork.forked:
            return 0
        thread = self._thread
        first, self._closed = not self._closed, True
        self._forgotten.detach()
        thread.close()
        inside = thread.completions.is_inside()
        empty = thread.wait_until_empty(0 if inside else timeout_s)
        abandoned = 0 if empty else thread.abort()
        thread.stop()
        if first and not inside:
            thread.join()
        atexit.unregister(self._leave)
        return abandoned

    def _leave(self) -> None:
        """The interpreter exits, and nobody has closed it. What is lost then is told by `UnseenFailure`."""
        self.close(EXIT_S)

    def _forget(self) -> None:
        """The owner is collected, and nobody has closed it: what was accepted is delivered all the same."""
        if self._fork.forked or self._closed:
            return
        atexit.unregister(self._leave)
        self._thread.abandon()
        warnings.warn(f"unclosed {self._name}: use with, or call close()", ResourceWarning, stacklevel=2)
