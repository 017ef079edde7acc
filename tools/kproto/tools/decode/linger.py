"""Batches of one record that come so fast one behind the other that a linger would have joined them.

Layer: tools. Memory: four numbers for each of PARTITIONS_MAX partitions and clients.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kproto.tools.decode.model import Finding

__all__ = ["LingerOfOne"]

PARTITIONS_MAX: Final = 4_096
BATCHES_MIN: Final = 100
SHARE_MIN: Final = 0.9
APART_MAX_NS: Final = 50_000_000
"""On average: a linger that joins what is farther apart would be felt."""


class LingerOfOne:
    """Add each batch, then ask for the notices."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, int], list[int]] = {}

    def add(self, client: str, topic: str, partition: int, count: int, time_ns: int) -> None:
        """A batch of `count` records was sent."""
        key = client, topic, partition
        seen = self._seen.get(key)
        if seen is None:
            if len(self._seen) >= PARTITIONS_MAX:
                return
            seen = self._seen[key] = [0, 0, time_ns, time_ns]
        seen[0] += 1
        seen[1] += count == 1
        seen[3] = time_ns

    def notices(self) -> Iterator[Finding]:
        """One for each client and partition for which it holds."""
        for (client, topic, partition), (batches, ones, first_ns, last_ns) in self._seen.items():
            apart_ns = (last_ns - first_ns) / max(1, batches - 1)
            if batches >= BATCHES_MIN and ones >= SHARE_MIN * batches and 0 <= apart_ns <= APART_MAX_NS:
                text = (
                    f"{client} sent {ones:,} of {batches:,} batches to {topic}-{partition} with one record, "
                    f"{apart_ns / 1_000_000:.1f} ms apart on average: a larger linger.ms would join them"
                )
                yield Finding("linger-of-one", text, notice=True)
