"""Whole numbers of any unit, counted by their size: percentiles and bars, in memory that does not grow.

Layer: tools.
"""

from __future__ import annotations

from typing import NamedTuple

from kproto.tools.latency import FINE, FINE_BITS, LatencyHistogram

__all__ = ["Bar", "Histogram"]


class Bar(NamedTuple):
    """How many numbers there were from `low` to `high`, both included."""

    low: int
    high: int
    many: int


class Histogram(LatencyHistogram):
    """As LatencyHistogram, with a sum; others can be added to it. The numbers are 0 or more; less counts as 0."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def add(self, duration_us: int) -> None:
        """Another one. As the inherited, without a call: statistics count several numbers of each frame."""
        number = duration_us if duration_us > 0 else 0
        self.count += 1
        self.total += number
        if number > self.longest_us:
            self.longest_us = number
        if number >= 2 * FINE:
            shift = number.bit_length() - FINE_BITS - 1
            number = (shift << FINE_BITS) + (number >> shift)
        buckets = self._buckets
        buckets[number] = buckets.get(number, 0) + 1

    def merge(self, other: Histogram) -> None:
        """All of the other's, too."""
        self.count += other.count
        self.total += other.total
        self.longest_us = max(self.longest_us, other.longest_us)
        for bucket, many in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + many

    @property
    def most(self) -> int:
        """The greatest; 0 for none at all."""
        return self.longest_us

    @property
    def mean(self) -> float:
        """0 for none at all."""
        return self.total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> int:
        """At least so many percent are no greater, to 3 % above; 0 for none at all."""
        return self.percentile_us(percent)

    def bars(self) -> list[Bar]:
        """One for each power of two from the least number to the greatest: at most 64 for numbers of 63 bits."""
        counts: dict[int, int] = {}
        for bucket, many in self._buckets.items():
            bits = bucket.bit_length() if bucket < 2 * FINE else (bucket >> FINE_BITS) + FINE_BITS
            counts[bits] = counts.get(bits, 0) + many
        if not counts:
            return []
        powers = range(min(counts), max(counts) + 1)
        return [Bar(1 << bits >> 1, (1 << bits) - 1, counts.get(bits, 0)) for bits in powers]
