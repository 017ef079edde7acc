"""Answers along the time: how many, how late, how many failed; in as many steps as a plot has room for.

Layer: tools. Memory: STEPS_MAX histograms; the steps grow with the capture.
"""

from __future__ import annotations

from typing import Final

from kproto.tools.decode.histogram import Histogram

__all__ = ["STEPS_MAX", "Trend"]

STEPS_MAX: Final = 240
STEP_NS: Final = 1_000_000  # of the first ones


class Trend:
    """origin_ns: of the first step, None before anything was added; step_ns: what one lasts; failed: for each step."""

    def __init__(self) -> None:
        self.origin_ns: int | None = None
        self.step_ns = STEP_NS
        self.steps: list[Histogram] = []
        self.failed: list[int] = []

    def add(self, time_ns: int, latency_us: int, failed: bool) -> None:
        """An answer came. What is earlier than the first belongs to the first step."""
        if self.origin_ns is None:
            self.origin_ns = time_ns
        while (step := max(0, time_ns - self.origin_ns) // self.step_ns) >= STEPS_MAX:
            self._halve()
        while len(self.steps) <= step:
            self.steps.append(Histogram())
            self.failed.append(0)
        self.steps[step].add(latency_us)
        self.failed[step] += failed

    @property
    def count(self) -> int:
        """Answers so far."""
        return sum(step.count for step in self.steps)

    def coarse(self, steps: int) -> Trend:
        """The same answers, in no more steps than this."""
        found = Trend()
        found.origin_ns, found.step_ns, found.failed = self.origin_ns, self.step_ns, list(self.failed)
        for step in self.steps:
            copy = Histogram()
            copy.merge(step)
            found.steps.append(copy)
        while len(found.steps) > steps:
            found._halve()
        return found

    def _halve(self) -> None:
        """Two steps become one."""
        for kept, gone in zip(self.steps[::2], self.steps[1::2], strict=False):
            kept.merge(gone)
        self.steps = self.steps[::2]
        self.failed = [sum(self.failed[at : at + 2]) for at in range(0, len(self.failed), 2)]
        self.step_ns *= 2
