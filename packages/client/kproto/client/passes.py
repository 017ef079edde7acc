"""The driver's passes: read what is there, let the core decide, write; one at a time, by any thread.

Layer: client. The half of the driver that does not care which loop there is. A guard lets one in at a time, and nobody
waits for it: who finds it taken leaves what he wants in `call`, and whoever is inside looks again before he goes. So a
busy thread that never yields still gets its answers read, by itself. Only `close` waits, for a pass that is under way.
"""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, Final

from kproto.client.effects import Close, ConnectionObserver, Effect, FetchToken, Open, Resolve, SansIO
from kproto.client.link import Link, reason_of
from kproto.client.lookup import look_up
from kproto.client.tokens import TokenSource

__all__ = ["Passes", "monotonic_ms"]

READ_SIZE: Final = 1 << 18  # bytes
READS_MAX: Final = 8  # of one socket in a pass: then the others have their turn
DECISIONS_MAX: Final = 100  # of a core in a pass: then the loop has its turn
BUFFERS_MAX: Final = 512  # of one sendmsg; systems take 1024


def monotonic_ms() -> int:
    """The clock that cores are given."""
    return time.monotonic_ns() // 1_000_000


class Passes(ABC):
    """See the module, and Driver for the arguments."""

    def __init__(
        self,
        core: SansIO,
        *,
        loop: asyncio.AbstractEventLoop,
        collect: Callable[[], Any],
        deliver: Callable[[Any], None],
        send_buffer_bytes: int,
        receive_buffer_bytes: int,
        tokens: TokenSource | None,
        observer: ConnectionObserver | None,
        clock: Callable[[], int],
        shield: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._core = core
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._collect = collect
        self._deliver = deliver
        self._buffer_bytes = (send_buffer_bytes, receive_buffer_bytes)
        self._tokens = tokens
        self._observer = observer
        self._clock = clock
        self._shield = shield
        self._guard = threading.Lock()
        self._calls: deque[Callable[[int], None]] = deque()
        self._links: dict[int, Link] = {}
        self._closing: deque[Link] = deque()
        self._deadline_ms: int | None = None
        self._delivering_ns = 0  # since when somebody is in `deliver`
        self._closed = False

    @abstractmethod
    def wake(self) -> None:
        """Have the loop make a pass soon."""

    @abstractmethod
    def _tell_loop(self) -> None:
        """What is to be watched from now on, and when the next deadline is; in the loop's thread."""

    @abstractmethod
    def _has_news_for_loop(self) -> bool:
        """Whether there is anything to tell it."""

    def call(self, action: Callable[[int], None]) -> None:
        """Have `action(now_ms)` done inside the guard, and a pass made: at once, by this thread or by who is inside."""
        self._calls.append(action)
        self.run_pass()

    def run_pass(self) -> None:
        """Make a pass over all connections, unless somebody is making one: then he makes another."""
        calls = self._calls
        calls.append(_nothing)  # seen by whoever holds the guard, however late he looks
        while calls:
            with self._shield():
                if not self._guard.acquire(blocking=False):
                    return
                try:
                    collected = self._pass()
                finally:
                    self._guard.release()
            self._delivering_ns = time.monotonic_ns()
            try:
                self._deliver(collected)
            finally:
                self._delivering_ns = 0

    def close(self) -> None:
        """Close all sockets and forget the timer; calls made before are done first, and no socket is opened any more.

        Waits until nobody is inside the guard, so it must not be called inside. May be called again.
        """
        self._calls.append(self._end)
        with self._guard:
            collected = self._pass()
        self._deliver(collected)
        self.run_pass()

    def _end(self, now_ms: int) -> None:
        self._closed = True
        for link in list(self._links.values()):
            self._close(link.connection_id)

    def _pass(self) -> Any:
        now_ms = self._clock()
        calls = self._calls
        while calls:
            calls.popleft()(now_ms)
        if not self._closed:
            for link in list(self._links.values()):
                idle = now_ms != link.looked_ms  # it may be closed, and then no request is to be written to it
                if link.connected and (link.readable or link.owed or idle):
                    self._read(link, now_ms)
            self._decide(now_ms)
        if threading.get_ident() == self._loop_thread or self._loop.is_closed():
            self._tell_loop()
        elif self._has_news_for_loop():
            self.wake()
        return self._collect()

    def _decide(self, now_ms: int) -> None:
        """Let the core decide, and write what it wants to, until it wants nothing more."""
        for _ in range(DECISIONS_MAX):
            effects = self._core.poll(now_ms)
            for effect in effects:
                self._perform(effect, now_ms)
            written = [self._write(link, now_ms) for link in list(self._links.values()) if link.connected]
            self._deadline_ms = self._core.next_deadline_ms()
            again = effects or (any(written) and self._core.wants_poll_after_write(now_ms))
            if not again and (self._deadline_ms is None or self._deadline_ms > now_ms):
                return
        self._deadline_ms = now_ms  # there is more: the timer comes back to it

    def _read(self, link: Link, now_ms: int) -> None:
        link.looked_ms = now_ms
        link.readable = False  # if there is more than is read now, the loop says so again
        for _ in range(READS_MAX):
            try:
                data = link.socket.recv(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._lost(link, reason_of(error), now_ms)
                return
            if not data:
                self._lost(link, None, now_ms)
                return
            link.owed = False
            self._core.data_received(link.connection_id, data, now_ms)
            if len(data) < READ_SIZE:
                return

    def _write(self, link: Link, now_ms: int) -> bool:
        """Whether the core was told anything, and so has to decide again."""
        told = False
        while buffers := self._core.data_to_send(link.connection_id):
            try:
                size = link.send(list(islice(buffers, BUFFERS_MAX)))
            except (BlockingIOError, InterruptedError):
                link.wants_write = True
                return told
            except OSError as error:
                self._lost(link, reason_of(error), now_ms)
                return True
            self._core.data_sent(link.connection_id, size, now_ms)
            told = link.owed = True
        link.wants_write = False
        return told

    def _perform(self, effect: Effect, now_ms: int) -> None:
        match effect:
            case Open():
                self._open(effect, now_ms)
            case Close(connection_id, goodbye):
                self._close(connection_id, goodbye)
            case Resolve(host, port):
                look_up(host, port, lambda found: self._later(lambda at_ms: self._core.resolved(host, found, at_ms)))
            case _:
                self._fetch_token(effect)

    def _fetch_token(self, effect: FetchToken) -> None:
        assert self._tokens is not None
        told = self._core.token_fetched
        self._tokens.fetch(
            self._loop,
            lambda token: self._later(lambda now_ms: told(effect.connection_id, token, now_ms)),
        )

    def _later(self, action: Callable[[int], None]) -> None:
        self._calls.append(action)
        self.wake()

    def _open(self, effect: Open, now_ms: int) -> None:
        try:
            link = Link(effect, *self._buffer_bytes)
        except OSError as error:
            self._core.connection_lost(effect.connection_id, reason_of(error), now_ms)
            return
        self._links[effect.connection_id] = link

    def _connected(self, link: Link, now_ms: int) -> None:
        """A socket that was connecting is writable: it has connected, or failed, or was closed meanwhile."""
        if link.connected or self._links.get(link.connection_id) is not link:
            return
        try:
            addresses = link.finish()
        except OSError as error:
            self._lost(link, reason_of(error), now_ms)
            return
        if self._observer is not None:
            self._observer.opened(link.connection_id, *addresses)
        link.owed = True  # the broker may speak first, or may have closed it
        self._core.connection_made(link.connection_id, now_ms)

    def _lost(self, link: Link, reason: str | None, now_ms: int) -> None:
        self._close(link.connection_id)
        self._core.connection_lost(link.connection_id, reason, now_ms)

    def _close(self, connection_id: int, goodbye: bytes = b"") -> None:
        link = self._links.pop(connection_id, None)
        if link is None:
            return
        link.say_goodbye(goodbye)
        self._closing.append(link)
        if self._observer is not None and link.connected:
            self._observer.closed(connection_id)
        link.connected = False


def _nothing(now_ms: int) -> None:
    """A call that asks for a pass and no more."""
