"""Those who wait, between the driver's passes and the event loop: on which future each outcome ends.

Layer: client. Part of the face. It does not know the client, so that one who is dropped unclosed can be collected.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from itertools import chain
from typing import Any, Final, TypeVar

from kproto.client.errors import KafkaError
from kproto.client.metadata import Metadata
from kproto.client.metadata_state import IN_FLIGHT
from kproto.client.network import NetworkClient

__all__ = ["Outcome", "Waiters", "make_news_check"]

logger = logging.getLogger("kproto.client")
T = TypeVar("T")

LOGGED_MAX: Final = 32  # warnings that are not logged again

Outcome = tuple["asyncio.Future[Any]", Any, KafkaError | None]
"""A future, and the value or the error that it ends with."""


class Waiters:
    """A driver's `collect` and `deliver`. The tokens of the core's requests are futures of the loop.

    `collect` is called inside the driver's guard, `deliver` by any thread, the rest by the loop's.
    """

    def __init__(self, core: NetworkClient, loop: asyncio.AbstractEventLoop) -> None:
        self._core = core
        self._loop = loop
        self._thread = threading.get_ident()
        self._checks: dict[asyncio.Future[Any], Callable[[], Any]] = {}
        self._logged: deque[Any] = deque(maxlen=LOGGED_MAX)

    def __len__(self) -> int:
        return len(self._checks)

    def add(self, check: Callable[[], T | None]) -> asyncio.Future[T]:
        """Ends with what `check` gives after some pass, unless that is None; or with the KafkaError that it raises."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._checks[future] = check
        return future

    def discard(self, future: asyncio.Future[Any]) -> None:
        """Nobody waits for it any more."""
        self._checks.pop(future, None)

    def fail(self, error: KafkaError) -> None:
        """All of them end with this error."""
        for future in [*self._checks]:
            self.discard(future)
            _settle([(future, None, error)])

    def collect(self) -> list[Outcome]:
        """Who need wait no longer, and how it ended. What no waiting can cure ends the wait of all who wait now."""
        found: list[Outcome] = [(each.token, each.response, each.error) for each in self._core.take_completions()]
        fatal = self._core.metadata.take_fatal_error() if self._checks else None
        for future, check in [*self._checks.items()]:
            error = fatal
            try:
                value = check()
            except KafkaError as raised:
                value, error = None, raised
            if value is not None or error is not None:
                found.append((future, value, None if value is not None else error))
                self.discard(future)
        self._log_warnings()
        return found

    def deliver(self, found: list[Outcome]) -> None:
        """End the futures, in the loop's thread."""
        if not found:
            return
        if threading.get_ident() == self._thread:
            _settle(found)
        else:
            self._loop.call_soon_threadsafe(_settle, found)

    def _log_warnings(self) -> None:
        for warning in chain(self._core.metadata.warnings, self._core.connections.warnings):
            if warning not in self._logged:
                self._logged.append(warning)
                logger.warning("%s", warning)


def make_news_check(metadata: Metadata) -> Callable[[], bool]:
    """Made when an update is requested; tells whether an answer has come to a request that began after that.

    One that was in flight by then does not count, however it ends: it knows nothing of what is asked now.
    """
    version, error = metadata.update_version, metadata.last_error
    earlier = metadata.state in IN_FLIGHT

    def has_come() -> bool:
        nonlocal version, earlier
        if earlier:
            answered = metadata.update_version > version
            if answered or metadata.state not in IN_FLIGHT or metadata.last_error is not error:
                version, earlier = version + answered, False
        return not earlier and metadata.update_version > version

    return has_come


def _settle(found: list[Outcome]) -> None:
    for future, value, error in found:
        if future.done():
            continue  # cancelled: nobody waits any more
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
