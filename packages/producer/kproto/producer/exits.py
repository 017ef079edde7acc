"""The ways in which a producer ends: closed, forgotten, forked, or left over at the interpreter's exit.

Layer: producer. Part of the face for threads.
"""

from __future__ import annotations

import atexit
import os
import warnings
import weakref
from typing import Any, Final

from kproto.producer.engine_thread import EngineThread
from kproto.producer.errors import ForkedProducerError

__all__ = ["Exits"]

EXIT_S: Final = 2.0  # at the interpreter's exit, for what was accepted


class Exits:
    """See the module. owner: the face; it is not kept alive. Thread-safe."""

    def __init__(self, owner: Any, thread: EngineThread) -> None:
        self.forked = False
        self._thread = thread
        self._closed = False
        self._name = repr(owner)
        self._forgotten = weakref.finalize(owner, self._forget)
        self._forgotten.atexit = False
        # Now, not with the first record: handlers run in reverse, so what the application registers later runs before.
        atexit.register(self._leave)
        LIVING.add(self)

    def check(self) -> None:
        """Raises ForkedProducerError in a child of the process that made the producer."""
        if self.forked:
            raise ForkedProducerError

    def close(self, timeout_s: float | None) -> int:
        """See Producer.close."""
        if self.forked:
            return 0
        thread = self._thread
        first, self._closed = not self._closed, True
        self._forgotten.detach()
        thread.close()
        inside = thread.completions.inside
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
        if self.forked or self._closed:
            return
        atexit.unregister(self._leave)
        self._thread.abandon()
        warnings.warn(f"unclosed {self._name}: use with, or call close()", ResourceWarning, stacklevel=2)


LIVING: Final[weakref.WeakSet[Exits]] = weakref.WeakSet()
"""Those that a fork concerns: the hook cannot be taken back, so it looks here."""
FORKED: Final[list[Exits]] = []
"""In a child: kept, so that nothing of the parent's is closed here."""


def _after_fork() -> None:
    for exits in [*LIVING]:
        exits.forked = True
        FORKED.append(exits)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
