"""OAUTHBEARER tokens from the user's provider, kept for as long as they are good.

Layer: client. Part of the driver: it runs the user's code, in a thread of its own where that is sync, on the loop where
it is async. A token never stands in a repr, log or error.
Source: KIP-255; sasl.login.refresh.window.factor of org.apache.kafka.clients.CommonClientConfigs.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any, Final

from kproto.client.config import TokenProvider
from kproto.client.errors import KafkaError, SaslAuthenticationError

__all__ = ["TokenSource"]

REFRESH_WINDOW: Final = 0.8  # of a token's lifetime, in which it is used again

Done = Callable[[str | KafkaError], None]


class TokenSource:
    """Asks the provider when no token is good any more. clock: monotonic ms. Thread-safe."""

    def __init__(self, provider: TokenProvider, clock: Callable[[], int]) -> None:
        self._provider = provider
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[str, float] | None = None  # a token, and the ms until which it is used

    def fetch(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        """`done` is called once, with a token or why there is none: at once, or by another thread."""
        with self._lock:
            kept = self._kept
        if kept is not None and self._clock() < kept[1]:
            done(kept[0])
            return
        threading.Thread(target=self._fetch, args=(loop, done), name="kproto-token", daemon=True).start()

    def _fetch(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        try:
            given = self._provider()
            if inspect.isawaitable(given):
                given = asyncio.run_coroutine_threadsafe(_awaited(given), loop).result()
            token, lifetime_s = given if isinstance(given, tuple) else (given, 0.0)
            if not isinstance(token, str):
                raise TypeError("a token is a str")
            with self._lock:
                self._kept = (token, self._clock() + float(lifetime_s) * 1000 * REFRESH_WINDOW)
        except Exception as error:
            # Not its text: a provider's error may well quote the token.
            found = SaslAuthenticationError("sasl_oauth_token_provider", f"the provider raised {type(error).__name__}")
            found.__cause__ = error
            done(found)
            return
        done(token)


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
