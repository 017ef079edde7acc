"""Input that `decode` cannot begin with, or go on with.

Layer: tools.
"""

from __future__ import annotations

from kproto.wire import KafkaError

__all__ = ["BadInput"]


class BadInput(KafkaError):
    """What was given is no input, or of a kind that is not read. why: with what to do; offset: in bytes, of the cause.

    Exit code 2. Damage within an input that is otherwise read is a finding.
    """

    def __init__(self, why: str, offset: int = 0) -> None:
        super().__init__(why, offset)
        self.why = why
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.why} (at byte {self.offset})"
