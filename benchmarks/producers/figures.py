"""What the turns come to: medians, ranges, ratios of the same round, and whether floors and aims are met. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from benchmarks.producers.rows import Contender, Figure, Group, Target
from benchmarks.producers.runs import TurnResult

__all__ = ["Comparison", "GroupResult", "Spread", "Verdict"]


class Spread(NamedTuple):
    """Over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """At least one value."""
        return cls(median(values), min(values), max(values))


class Verdict(NamedTuple):
    """None where there is no such bound."""

    floor: bool | None
    aim: bool | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A target, and what came of it: the ratio, or the figure itself where the target has no peer."""

    target: Target
    spread: Spread

    @property
    def verdict(self) -> Verdict:
        """Of the median."""

        def met(bound: float | None) -> bool | None:
            return None if bound is None else self.target.figure.better(self.spread.median, bound)

        return Verdict(met(self.target.floor), met(self.target.aim))


@dataclass(frozen=True, slots=True)
class GroupResult:
    """turns: contender -> one for each round, in their order."""

    group: Group
    turns: Mapping[str, Sequence[TurnResult]]

    def values(self, name: str, figure: Figure) -> list[float]:
        """Of each round; empty where the contender does not tell it."""
        found = [turn.figure(figure.name) for turn in self.turns[name]]
        return [value for value in found if value is not None]

    def spread(self, name: str, figure: Figure) -> Spread | None:
        """None where the contender does not tell it."""
        values = self.values(name, figure)
        return Spread.of(values) if values else None

    def comparisons(self, contender: Contender) -> list[Comparison]:
        """Of its targets, those whose peer took part and told the figure, too."""
        found = []
        for target in contender.targets:
            ours = self.values(contender.name, target.figure)
            if target.peer is not None:
                if target.peer not in self.turns:
                    continue
                theirs = self.values(target.peer, target.figure)
                if len(theirs) != len(ours):
                    continue
                ours = [one / other for one, other in zip(ours, theirs, strict=True)]
            if ours:
                found.append(Comparison(target, Spread.of(ours)))
        return found
