"""The next delay from the number of failures: exponential, with jitter, never above its maximum.

Layer: client.
Source: KIP-144, KIP-580, KIP-601; org.apache.kafka.common.utils.ExponentialBackoff.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Final

__all__ = ["ExponentialBackoff"]

JITTER: Final = 0.2


@dataclass(frozen=True, slots=True)
class ExponentialBackoff:
    """Delays from initial_ms, doubled with each attempt, up to max_ms; 20 % of jitter either way.

    Where max_ms is not above initial_ms, the delay is constant and has no jitter, as in Kafka.
    """

    initial_ms: int
    max_ms: int

    def delay_ms(self, attempts: int, rng: Random) -> int:
        """attempts: failures before this delay, from 0. The maximum holds after the jitter."""
        if self.max_ms <= self.initial_ms:
            return self.max_ms
        exponent = min(attempts, math.log2(self.max_ms / max(self.initial_ms, 1)))
        jitter = 1 + JITTER * (2 * rng.random() - 1)
        return min(self.max_ms, int(self.initial_ms * 2**exponent * jitter))
