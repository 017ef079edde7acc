"""How long an answer asks us to send nothing more.

Layer: client.
Source: KIP-219; the throttle flags of org.apache.kafka.common.protocol.ApiKeys (CONN-14).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kproto.wire import ApiKey, Response

__all__ = ["THROTTLE_MS_MAX", "Throttle", "throttle_ms_of"]

# Below these versions the broker has waited by itself before it answered: to wait again would double it.
CLIENT_WAITS_SINCE: Final[Mapping[int, int]] = {
    ApiKey.PRODUCE: 6,
    ApiKey.METADATA: 6,
    ApiKey.API_VERSIONS: 2,
    ApiKey.INIT_PRODUCER_ID: 1,
    ApiKey.FIND_COORDINATOR: 2,
}
THROTTLE_MS_MAX: Final = 3_600_000  # an hour: what a broker may ask of us, whatever it says


def throttle_ms_of(response: Response, version: int) -> int:
    """Milliseconds in which the broker reads nothing more of this connection; 0 where it does, or waited itself."""
    throttle_ms = getattr(response, "throttle_time_ms", 0)
    if throttle_ms <= 0 or version < CLIENT_WAITS_SINCE.get(int(response.api_key or 0), 0):
        return 0
    return min(throttle_ms, THROTTLE_MS_MAX)


class Throttle:
    """Until when nothing may be sent. A later answer with a smaller value does not shorten it."""

    __slots__ = ("until_ms",)

    def __init__(self) -> None:
        self.until_ms = 0

    def apply(self, throttle_ms: int, now_ms: int) -> int:
        """An answer asks for so long; how many milliseconds that adds to what was asked before."""
        extension_ms = max(0, now_ms + throttle_ms - max(self.until_ms, now_ms))
        if extension_ms:
            self.until_ms = now_ms + throttle_ms
        return extension_ms

    def holds(self, now_ms: int) -> bool:
        """Whether it is not over yet."""
        return now_ms < self.until_ms
