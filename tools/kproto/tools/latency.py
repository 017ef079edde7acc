"""Durations, counted by their length: percentiles of any number of them, in memory that does not grow.

Layer: tools. Buckets are a thirty-second of their power of two wide, so what is told is at most 3 % too long.
Source: HdrHistogram's idea.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LatencyHistogram"]

FINE_BITS: Final = 5
FINE: Final = 1 << FINE_BITS


class LatencyHistogram:
    """count, longest_us: so far. One thread adds at a time."""

    def __init__(self) -> None:
        self.count = 0
        self.longest_us = 0
        self._buckets: dict[int, int] = {}

    def add(self, duration_us: int) -> None:
        """Another one, in microseconds from 0."""
        self.count += 1
        if duration_us > self.longest_us:
            self.longest_us = duration_us
        shift = max(0, duration_us.bit_length() - FINE_BITS - 1)
        bucket = (shift << FINE_BITS) + (duration_us >> shift)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def percentile_us(self, percent: float) -> int:
        """At least so many percent took no longer, to 3 % above; 0 for none at all."""
        wanted = self.count * percent / 100
        seen = 0
        for bucket, many in sorted(self._buckets.items()):
            seen += many
            if seen >= wanted:
                return min(_longest_in(bucket), self.longest_us)
        return self.longest_us


def _longest_in(bucket: int) -> int:
    shift = max(0, (bucket >> FINE_BITS) - 1)
    return ((bucket - (shift << FINE_BITS) + 1) << shift) - 1
