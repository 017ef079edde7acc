"""An observer that cannot harm what it observes.

Layer: client.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from kproto.client.effects import ConnectionObserver

__all__ = ["GuardedObserver"]

logger = logging.getLogger("kproto.client")


class GuardedObserver:
    """Passes everything on until the observer raises; then says so once, and passes nothing on any more."""

    def __init__(self, observer: ConnectionObserver) -> None:
        self._observer: ConnectionObserver | None = observer

    def opened(self, connection_id: int, local: tuple[str, int], remote: tuple[str, int]) -> None:
        """See ConnectionObserver."""
        self._tell(lambda observer: observer.opened(connection_id, local, remote))

    def frame(self, connection_id: int, sent: bool, frame: bytes) -> None:
        """See ConnectionObserver."""
        self._tell(lambda observer: observer.frame(connection_id, sent, frame))

    def closed(self, connection_id: int) -> None:
        """See ConnectionObserver."""
        self._tell(lambda observer: observer.closed(connection_id))

    def _tell(self, call: Callable[[ConnectionObserver], None]) -> None:
        observer = self._observer
        if observer is None:
            return
        try:
            call(observer)
        except Exception:  # a full disk, a bug: whatever it is, the connection goes on
            self._observer = None
            logger.warning("the observer %s raised, and hears nothing any more", type(observer).__name__, exc_info=True)
