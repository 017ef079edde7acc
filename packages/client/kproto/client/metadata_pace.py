"""How soon metadata may be asked for again: slower after failures, and while the answers bring nothing new.

Layer: client.
Source: KIP-580; org.apache.kafka.clients.Metadata#timeToAllowUpdate.
"""

from __future__ import annotations

from random import Random
from typing import Final

from kproto.client.backoff import ExponentialBackoff

__all__ = ["RefreshPace"]

LONG_AGO_MS: Final = -(2**63)


class RefreshPace:
    """Two backoffs side by side; the later one holds. Each draws its jitter once, so a deadline does not wander.

    Not thread-safe.
    """

    def __init__(self, backoff: ExponentialBackoff, rng: Random) -> None:
        self.backoff = backoff
        self.rng = rng
        self.failures = 0
        """Failed requests since the last answer."""
        self.equivalents = 0
        """Answers in a row that brought no leader epoch that was not known."""
        self._retry_at_ms = LONG_AGO_MS
        self._equivalent_at_ms = LONG_AGO_MS

    def failed(self, now_ms: int) -> None:
        """A request failed."""
        self.failures += 1
        self.forget_equivalents()
        self._retry_at_ms = now_ms + self.backoff.delay_ms(self.failures - 1, self.rng)

    def answered(self, progressed: bool, now_ms: int) -> None:
        """An answer came; progressed: whether it brought anything new."""
        self.failures = 0
        self._retry_at_ms = now_ms + self.backoff.delay_ms(0, self.rng)
        if progressed:
            self.forget_equivalents()
        else:
            self._equivalent_at_ms = now_ms + self.backoff.delay_ms(self.equivalents, self.rng)
            self.equivalents += 1

    def forget_equivalents(self) -> None:
        """There is a reason to expect something new."""
        self.equivalents = 0
        self._equivalent_at_ms = LONG_AGO_MS

    def release(self) -> None:
        """The next request need not wait for anything; how many failed is not forgotten."""
        self.forget_equivalents()
        self._retry_at_ms = LONG_AGO_MS

    def allowed_at_ms(self, periodic: bool) -> int:
        """From when the next request may go. periodic: it is due by age, so that answers without news do not count."""
        return self._retry_at_ms if periodic else max(self._retry_at_ms, self._equivalent_at_ms)
