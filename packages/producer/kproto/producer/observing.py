"""An observer of batches that cannot harm what it observes.

Layer: producer. What `kproto.client.observing` is for connections.
"""

from __future__ import annotations

import logging

from kproto.producer.events import BatchEvent, BatchObserver

__all__ = ["GuardedBatchObserver"]

logger = logging.getLogger("kproto.producer")


class GuardedBatchObserver:
    """Passes everything on until the observer raises; then says so once, and passes nothing on any more."""

    def __init__(self, observer: BatchObserver) -> None:
        self._observer: BatchObserver | None = observer

    def __call__(self, event: BatchEvent) -> None:
        if self._observer is None:
            return
        try:
            self._observer(event)
        except Exception:  # whatever it is, records go on
            name = getattr(self._observer, "__qualname__", type(self._observer).__name__)
            self._observer = None
            logger.warning("the batch observer %s raised, and hears nothing any more", name, exc_info=True)
