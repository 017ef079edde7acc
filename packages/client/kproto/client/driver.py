"""The one driver: non-blocking sockets on an asyncio loop, for any core.

Layer: client. Its pass (read what is there, let the core decide, write) has entrances for the loop, when a socket is
ready or a deadline comes, and for any other thread, which calls `run_pass`. A guard lets one in at a time, and nobody
waits for it: who finds it taken leaves what he wants in `call`, and whoever is inside looks again before he goes. So a
busy thread that never yields still gets its answers read, by itself. Only `close` waits, for a pass that is under way.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from itertools import islice
from typing import Any, Final

from kproto.client.effects import Close, ConnectionObserver, Effect, FetchToken, Open, Resolve, SansIO
from kproto.client.link import Link, check_loop, reason_of
from kproto.client.lookup import look_up
from kproto.client.tokens import TokenSource
from kproto.client.waiting_reads import CAN_WAIT, wait_readable

__all__ = ["Driver", "monotonic_ms"]

READ_SIZE: Final = 1 << 18  # bytes
READS_MAX: Final = 8  # of one socket in a pass: then the others have their turn
DECISIONS_MAX: Final = 100  # of a core in a pass: then the loop has its turn
HELP_NS: Final = 5_000_000  # after another thread has helped, the loop leaves the work to it for so long
DELIVERY_NS: Final = 5_000_000  # for so long who delivers is expected back
DRIVE_MS: Final = 2  # that a thread waits for a socket at most before it looks around
DRIVEN_NS: Final = 4_000_000  # after it was seen to
NAP_S: Final = 0.002  # until it looks again
BUFFERS_MAX: Final = 512  # of one sendmsg; systems take 1024


def monotonic_ms() -> int:
    """The clock that cores are given."""
    return time.monotonic_ns() // 1_000_000


class Driver:
    """Drives one core on one loop.

    collect: called inside the guard at the end of each pass; deliver: called with what it gave, outside the guard, by
    the thread that made the pass. send_buffer_bytes, receive_buffer_bytes: of sockets, -1 as the system has it.
    tokens: for OAUTHBEARER. observer: must not raise. shield: what a pass is made within, where it may be made by a
    thread that is interrupted. `run_pass`, `call` and `wake` are for any thread, the rest is for
    the loop's. Raises ConfigError on a loop without `add_reader`.
    """

    def __init__(
        self,
        core: SansIO,
        *,
        loop: asyncio.AbstractEventLoop,
        collect: Callable[[], Any],
        deliver: Callable[[Any], None],
        send_buffer_bytes: int = -1,
        receive_buffer_bytes: int = -1,
        tokens: TokenSource | None = None,
        observer: ConnectionObserver | None = None,
        clock: Callable[[], int] = monotonic_ms,
        shield: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        check_loop(loop)
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
        self._woken = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms: int | None = None
        self._deadline_ms: int | None = None
        self._delivering_ns = 0  # since when somebody is in `deliver`
        self._napping = False
        self._driving = False  # whether some thread is in `drive`, and when it was seen there
        self._driven_ns = 0
        self._closed = False
        self.helped_ns = 0
        """When another thread has found something to do last, and has made a pass, or is about to; monotonic."""
        self.awaited = 0
        """How many threads wait for what passes bring: meanwhile the loop leaves them to nobody."""

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
            self._deliver(collected)
            self._delivering_ns = 0

    def wake(self) -> None:
        """Have the loop make a pass soon. One wake-up is pending at most."""
        if self._napping and (self._driving or not self.awaited):
            return  # others make passes, or the loop does in a moment
        if not self._woken and not self._closed:
            with self._shield(), suppress(RuntimeError):  # the loop is closed: nobody is left to be woken
                self._woken = True
                self._loop.call_soon_threadsafe(self._on_wake)

    def drive(self, wanted: Callable[[], bool], until_s: float) -> None:
        """Make the passes in this thread, which waits for something anyway, until it holds or the time has come: an
        answer comes to it without another thread in between. Returns at once where somebody else does so already.

        until_s: of time.monotonic. Calls `deliver` as every pass does.
        """
        if self._driving or self._closed or not CAN_WAIT:
            return
        self._driving = True
        try:
            while not wanted() and not self._closed:
                now_s = time.monotonic()
                if now_s >= until_s:
                    return
                self._driven_ns = time.monotonic_ns()
                deadline_ms = self._deadline_ms
                left_ms = min(int((until_s - now_s) * 1000) + 1, DRIVE_MS)
                if deadline_ms is not None:
                    left_ms = max(0, min(left_ms, deadline_ms - self._clock()))
                wait_readable(list(self._links.values()), left_ms)
                self.run_pass()
        finally:
            self._driving = False

    def end_nap(self) -> None:
        """Somebody waits: see that the loop looks by itself. Once `awaited` says so."""
        if self._napping:
            self.wake()

    def wake_by(self, at_ms: int) -> None:
        """Have the loop make a pass at this time at the latest; nothing to do where its timer is set for earlier."""
        timer_ms = self._timer_ms
        if timer_ms is None or timer_ms > at_ms:
            self.wake()

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
                if link.connected and (link.readable or link.owed):
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

    # What only the loop's thread may do: change what the loop watches.

    def _has_news_for_loop(self) -> bool:
        news = bool(self._closing) or self._deadline_is_earlier()
        return news or any(not link.watched for link in self._links.values())

    def _deadline_is_earlier(self) -> bool:
        """Than the timer; where it is later, the timer only finds out, instead of being set again in each pass."""
        deadline_ms, timer_ms = self._deadline_ms, self._timer_ms
        return deadline_ms is not None and (timer_ms is None or deadline_ms < timer_ms)

    def _watch_links(self) -> None:
        while self._closing:
            self._closing.popleft().close(self._loop)
        for link in self._links.values():
            if not link.watched:
                link.watch(self._loop, partial(self._on_readable, link), partial(self._on_writable, link))

    def _tell_loop(self) -> None:
        self._watch_links()
        if self._timer is not None and (self._closed or self._deadline_is_earlier()):
            self._timer.cancel()
            self._timer = self._timer_ms = None
        deadline_ms = self._deadline_ms
        if deadline_ms is not None and self._timer is None and not self._closed:
            self._timer_ms = deadline_ms
            self._timer = self._loop.call_later(max(0, deadline_ms - self._clock()) / 1000, self._on_timer)

    # While other threads make passes, the loop keeps away: for it would wait for the interpreter inside the guard, and
    # so keep them from making any.

    def _is_helped(self) -> bool:
        now_ns = time.monotonic_ns()
        if now_ns - self._driven_ns < DRIVEN_NS:
            return not self._closed
        helped = now_ns - self.helped_ns < HELP_NS or self._guard.locked()
        helped = helped or now_ns - self._delivering_ns < DELIVERY_NS
        return helped and not self.awaited and not self._closed

    def _keep_away(self) -> None:
        """Do what only the loop can, and look again in a moment."""
        if self._guard.acquire(blocking=False):
            try:
                self._rest(True)
                self._watch_links()
            finally:
                self._guard.release()
            if self._calls:  # somebody has come meanwhile, and found it taken
                self.run_pass()
        if not self._napping:
            self._napping = True
            self._loop.call_later(NAP_S, self._on_nap_over)

    def _rest(self, resting: bool) -> None:
        for link in list(self._links.values()):
            link.resting = resting

    def _on_nap_over(self) -> None:
        self._napping = False
        self._look()

    def _look(self) -> None:
        """Make a pass, unless others do."""
        if self._is_helped():
            self._keep_away()
        else:
            self._rest(False)
            self.run_pass()

    def _on_readable(self, link: Link) -> None:
        link.readable = True
        self._look()

    def _on_timer(self) -> None:
        self._timer = self._timer_ms = None
        self._look()

    def _on_wake(self) -> None:
        self._woken = False
        self._look()

    def _on_writable(self, link: Link) -> None:
        if not link.connected:
            self.call(partial(self._connected, link))
        else:
            self._look()


def _nothing(now_ms: int) -> None:
    """A call that asks for a pass and no more."""
