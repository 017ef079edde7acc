"""Tells a producer that it is in a child of the process that made it.

Layer: producer. Part of the faces. A fork copies objects, but no threads, and shares the sockets: whoever goes on with
such a producer hangs, or writes into the parent's connections.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import MutableMapping
from typing import Any, Final

from kproto.producer.errors import ForkedProducerError

__all__ = ["ForkMark"]


class ForkMark:
    """Of one producer. forked: whether this is a child; kept: what must not be collected there, so that nothing of the
    parent's is closed; routes: emptied there, for `fast_send` asks nobody else."""

    def __init__(self, kept: object, routes: MutableMapping[str, Any]) -> None:
        self.forked = False
        self.kept = kept
        self.routes = routes
        LIVING.add(self)

    def check(self) -> None:
        """Raises ForkedProducerError in a child."""
        if self.forked:
            raise ForkedProducerError


LIVING: Final[weakref.WeakSet[ForkMark]] = weakref.WeakSet()
"""Those that a fork concerns: the hook cannot be taken back, so it looks here."""
FORKED: Final[list[ForkMark]] = []
"""Those of the parent, in a child."""


def _after_fork() -> None:
    for mark in [*LIVING]:
        mark.forked = True
        mark.routes.clear()
        FORKED.append(mark)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
