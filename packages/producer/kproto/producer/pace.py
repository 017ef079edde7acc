"""How often those who fill batches make a pass for them: a request is to carry more than one.

Layer: producer. Part of the faces. Put off only while an answer is due, with which comes a pass anyway; and for longer
the longer passes take, so that a busy thread does not spend itself on them. No clock: it is told the time.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PassPace"]

GAP_NS: Final = 500_000
GAP_MAX_NS: Final = 8_000_000
LONG_NS: Final = 1_000_000  # passes for a dozen partitions; what they cost is shared by what gathers meanwhile
CALLS_MANY: Final = 2  # of the five that may be in flight: then answers are to be read soon


class PassPace:
    """See the module. Times are monotonic, in ns. Thread-safe: who comes in between costs or saves a pass."""

    __slots__ = ("_again_ns", "_soon_ns")

    def __init__(self) -> None:
        self._soon_ns = self._again_ns = 0

    def allows(self, calls: int, now_ns: int) -> bool:
        """Whether a full batch is reason enough. calls: requests that are unanswered."""
        return not calls or now_ns >= (self._soon_ns if calls >= CALLS_MANY else self._again_ns)

    def passed(self, began_ns: int, ended_ns: int) -> None:
        """A pass was made."""
        took_ns = ended_ns - began_ns
        gap_ns = took_ns * 3 // 2 if took_ns < LONG_NS else took_ns * 3
        self._soon_ns = ended_ns + GAP_NS
        self._again_ns = ended_ns + max(GAP_NS, min(gap_ns, GAP_MAX_NS))
