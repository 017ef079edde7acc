"""A failure that nobody looked at is told once, loudly.

Layer: producer. Part of the faces.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kproto.producer.batch import ProducerBatch

__all__ = ["UnseenFailure"]

logger = logging.getLogger("kproto.producer")


class UnseenFailure:
    """Lives as long as the failed batch does, which its futures keep alive; seen: whether somebody has looked."""

    __slots__ = ("_text", "seen")

    def __init__(self, batch: ProducerBatch) -> None:
        self.seen = False
        self._text = f"{batch.count} records were lost to {batch.error}"

    def __del__(self) -> None:
        if not self.seen:
            logger.warning("%s; nobody looked: keep the future, or pass on_delivery", self._text)
