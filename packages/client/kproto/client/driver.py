"""The one driver: non-blocking sockets on an asyncio loop, for any core.

Layer: client. Its passes have entrances for the loop, when a socket is ready or a deadline comes, and for any other
thread, which calls `run_pass`, or `drive` where it waits. While other threads make passes, the loop keeps away: for it
would wait for the interpreter inside the guard, and so keep them from making any.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any, Final

from kproto.client.effects import ConnectionObserver, SansIO
from kproto.client.link import Link, check_loop
from kproto.client.passes import Passes, monotonic_ms
from kproto.client.tokens import TokenSource
from kproto.client.waiting_reads import CAN_WAIT, wait_readable

__all__ = ["Driver", "monotonic_ms"]

HELP_NS: Final = 5_000_000  # after another thread has helped, the loop leaves the work to it for so long
DELIVERY_NS: Final = 5_000_000  # for so long who delivers is expected back
DRIVE_MS: Final = 2  # that a thread waits for a socket at most before it looks around
DRIVEN_NS: Final = 4_000_000  # after it was seen to
NAP_S: Final = 0.002  # until the loop looks again


class Driver(Passes):
    """Drives one core on one loop.

    collect: called inside the guard at the end of each pass; deliver: called with what it gave, outside the guard, by
    the thread that made the pass. send_buffer_bytes, receive_buffer_bytes: of sockets, -1 as the system has it.
    tokens: for OAUTHBEARER. observer: must not raise. shield: what a pass is made within, where it may be made by a
    thread that is interrupted. `run_pass`, `call`, `drive` and `wake` are for any thread, the rest is for the loop's.
    Raises ConfigError on a loop without `add_reader`.
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
        super().__init__(
            core,
            loop=loop,
            collect=collect,
            deliver=deliver,
            send_buffer_bytes=send_buffer_bytes,
            receive_buffer_bytes=receive_buffer_bytes,
            tokens=tokens,
            observer=observer,
            clock=clock,
            shield=shield,
        )
        self._woken = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms: int | None = None
        self._napping = False
        self._driving = False  # whether some thread is in `drive`, and when it was seen there
        self._driven_ns = 0
        self.helped_ns = 0
        """When another thread has found something to do last, and has made a pass, or is about to; monotonic."""
        self.awaited = 0
        """How many threads wait for what passes bring: meanwhile the loop leaves them to nobody."""

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
            if self.awaited > 1:  # the others wait for the loop now, not for what this thread does next
                self._driven_ns = 0
                self.wake()

    def end_nap(self) -> None:
        """Somebody waits: see that the loop looks by itself. Once `awaited` says so."""
        if self._napping:
            self.wake()

    def wake_by(self, at_ms: int) -> None:
        """Have the loop make a pass at this time at the latest; nothing to do where its timer is set for earlier."""
        timer_ms = self._timer_ms
        if timer_ms is None or timer_ms > at_ms:
            self.wake()

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
        for link in list(self._links.values()):  # others may be inside
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

    # Whether the loop makes passes itself, or leaves them to others

    def _is_helped(self) -> bool:
        now_ns = time.monotonic_ns()
        if now_ns - self._driven_ns < DRIVEN_NS:
            return not self._closed
        helped = now_ns - self.helped_ns < HELP_NS or self._guard.locked()
        helped = helped or now_ns - self._delivering_ns < DELIVERY_NS
        return helped and not self.awaited and not self._closed

    def _keep_away(self) -> None:
        """Do what only the loop can, and look again in a moment.

        Whoever is inside the guard: a socket that stayed watched until he is out would call the loop again and again.
        """
        if not self._napping:
            self._napping = True
            self._loop.call_later(NAP_S, self._on_nap_over)
        self._rest(True)
        self._watch_links()

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
