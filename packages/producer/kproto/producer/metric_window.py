"""What happened lately, in a few samples of equal length: rates, means and maxima are made of the newest of them.

Layer: producer. A core: one thread writes, any thread reads, and reading changes nothing. A reader may see the latest
event counted and its values not yet: a mean is then too low by that event's share.
Source: org.apache.kafka.common.metrics.stats.SampledStat, Rate, Avg, Max, Meter. Kafka's change as they are read: what
is obsolete begins anew at that moment, and later rates depend on who looked when. Here they do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Meter", "Sample", "Samples", "Sampling", "Tally"]


class Sampling(NamedTuple):
    """How long a sample lasts, how many are looked at, both from 1, and the time before which nothing happens.

    Kafka's metrics.sample.window.ms and metrics.num.samples. Times are monotonic milliseconds.
    """

    window_ms: int
    samples: int
    begins_ms: int


@dataclass(slots=True, eq=False)
class Sample:
    """What happened from `since_ms` on, for one window.

    Subclasses add sums and maxima, both from 0: nothing that is measured lies below. What always happens together
    shares a sample: it would be cut at the same moments anyway, as Kafka cuts its own.
    """

    since_ms: int
    last_ms: int
    """Of the latest event."""
    count: int = 0
    """Events."""


S = TypeVar("S", bound=Sample)


class Samples(Generic[S]):
    """See the module. make: an empty sample, from the time at which it begins, given twice."""

    __slots__ = ("_current", "_kept", "_make", "_sampling", "_until_ms")

    def __init__(self, make: Callable[[int, int], S], sampling: Sampling) -> None:
        self._make = make
        self._sampling = sampling
        self._kept: tuple[S, ...] = ()  # replaced, never changed: readers hold on to what they have
        self._current = make(sampling.begins_ms, sampling.begins_ms)  # never used: the first event begins its own
        self._until_ms = sampling.begins_ms

    def at(self, now_ms: int) -> S:
        """The sample of an event that happens now, with the event counted; the caller adds its values."""
        sample = self._current if now_ms < self._until_ms else self._begin(now_ms)
        sample.count += 1
        sample.last_ms = now_ms
        return sample

    def _begin(self, now_ms: int) -> S:
        sample = self._current = self._make(now_ms, now_ms)
        self._until_ms = now_ms + self._sampling.window_ms
        self._kept = (*self._live(now_ms), sample)
        return sample

    def _live(self, now_ms: int) -> tuple[S, ...]:
        """Those with an event in the time that is looked at, oldest first, though they may have begun before it."""
        span_ms = self._sampling.window_ms * self._sampling.samples
        return tuple(sample for sample in self._kept if now_ms - sample.last_ms < span_ms)

    def rate(self, of: Callable[[S], float], now_ms: int) -> float:
        """A sum for each second: 0.0 where nothing happened.

        Windows that have not been yet count as empty ones: the first events are no burst.
        """
        live = self._live(now_ms)
        if not live:
            return 0.0
        window_ms, samples, _ = self._sampling
        elapsed_ms = max(0, now_ms - live[0].since_ms)
        missing = samples - 1 - elapsed_ms // window_ms
        if missing > 0:
            elapsed_ms += missing * window_ms
        return 1000 * sum(map(of, live)) / max(1, elapsed_ms)

    def mean(self, of: Callable[[S], float], now_ms: int) -> float:
        """A sum for each event; nan where nothing happened."""
        live = self._live(now_ms)
        count = sum(sample.count for sample in live)
        return sum(map(of, live)) / count if count else nan

    def greatest(self, of: Callable[[S], float], now_ms: int) -> float:
        """The greatest maximum; nan where nothing happened."""
        return max(map(of, self._live(now_ms)), default=nan)


@dataclass(slots=True, eq=False)
class Tally(Sample):
    """A sample of one value."""

    value: int = 0


class Meter:
    """A rate, and what it comes to in all. Whoever writes is alone: one thread, or those that hold one lock."""

    __slots__ = ("_samples", "total")

    def __init__(self, sampling: Sampling) -> None:
        self._samples = Samples(Tally, sampling)
        self.total = 0

    def add(self, value: int, now_ms: int) -> None:
        """So much more."""
        self._samples.at(now_ms).value += value
        self.total += value

    def rate(self, now_ms: int) -> float:
        """So much a second, lately."""
        return self._samples.rate(_value, now_ms)


def _value(sample: Tally) -> int:
    return sample.value
