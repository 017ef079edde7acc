"""The ways in which a producer ends: closed, forgotten, forked, or left over at the interpreter's exit.

Layer: producer. Part of the face for threads.
"""

from __future__ import annotations

import atexit
import warnings
import weakref
from typing import Any, Final

from kproto.producer.engine_thread import EngineThread

__all__ = ["Exits"]

EXIT_S: Final = 2.0  # at the interpreter's exit, for what was accepted


class Exits:
    """See the module. owner: the face; it is not kept alive. Thread-safe."""

    def __init__(self, owner: Any, thread: EngineThread) -> None:
        self._thread = thread
        self._name = repr(owner)
        self._forgotten = weakref.finalize(owner, self._forget)
        self._forgotten.atexit = False
        # Now, not with the first record: handlers run in reverse, so what the application registers later runs before.
        atexit.register(self._leave)
        thread.at_end = self._at_end

    def check(self) -> None:
        """Raises ForkedProducerError in a child of the process that made the producer."""
        self._thread.fork.check()

    def close(self, timeout_s: float | None) -> int:
        """See Producer.close."""
        thread = self._thread
        if thread.fork.forked:
            return 0
        self._forgotten.detach()
        inside = thread.completions.is_inside()
        thread.close()
        if thread.entered() or (inside and timeout_s != 0):  # what holds it up goes on only behind this
            return 0
        incomplete = thread.engine.accumulator.incomplete
        empty = thread.wait_until_over(lambda: not incomplete, timeout_s)
        abandoned = 0 if empty else thread.abort()
        thread.stop()
        if not inside:
            thread.join()
        return abandoned

    def _leave(self) -> None:
        """The interpreter exits, and the thread has not ended. What is lost then is told by `UnseenFailure`."""
        self.close(EXIT_S)

    def _forget(self) -> None:
        """The owner is collected, and nobody has closed it: what was accepted is delivered all the same."""
        if not self._thread.fork.forked:
            self._thread.abandon()
            warnings.warn(f"unclosed {self._name}: use with, or call close()", ResourceWarning, stacklevel=2)

    def _at_end(self) -> None:
        atexit.unregister(self._leave)
