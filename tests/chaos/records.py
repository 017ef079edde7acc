"""The records of a round, and what each one's producer says became of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from enum import Enum

PARTITIONS = 6
VALUE_SIZE = 100
UNKNOWN_OFFSET = -1  # of a record that the broker knew already, but no longer where


class Written(Enum):
    """What the error of a failed record says about the log."""

    NO = "not written"
    POSSIBLY = "possibly written"


class SentRecord:
    """One record: filled in by the contender's thread, read by others once `ended` is 1.

    ended: how often its producer has told the outcome; anything but 1 is a finding.
    refused: why `send` took no responsibility for it.
    hung: no outcome in time, whatever came later, such as at the end of its producer.
    """

    __slots__ = ("ended", "error", "hung", "index", "offset", "partition", "refused", "written")

    def __init__(self, partition: int, index: int) -> None:
        self.partition = partition
        self.index = index  # within its partition, in the order of sending
        self.offset: int | None = None
        self.error: str | None = None
        self.written: Written | None = None
        self.refused: str | None = None
        self.ended = 0
        self.hung = False

    @property
    def value(self) -> bytes:
        """Says which record it is, so that the log can be read without help."""
        return f"{self.partition}:{self.index}:".encode().ljust(VALUE_SIZE, b".")

    @property
    def is_open(self) -> bool:
        """Whether its outcome is still to come."""
        return self.refused is None and not self.ended

    @property
    def is_acked(self) -> bool:
        """Whether its producer says that it is in the log."""
        return bool(self.ended) and self.error is None

    def acked(self, offset: int) -> None:
        """It is in the log at the offset, says the producer."""
        self.offset = offset
        self.ended += 1

    def failed(self, error: str, written: Written | None = None) -> None:
        """It was given up. written: where the producer says it."""
        self.error = error
        self.written = written
        self.ended += 1


def identity_of(value: bytes) -> tuple[int, int] | None:
    """Partition and index of a record, from its value in the log; None for a value that no record has."""
    partition, _, rest = value.partition(b":")
    index, _, _ = rest.partition(b":")
    if not partition.isdigit() or not index.isdigit():
        return None
    made = SentRecord(int(partition), int(index))
    return (made.partition, made.index) if made.value == value else None


def wait_until_ended(records: Iterable[SentRecord], seconds: float) -> bool:
    """Whether every record that was accepted has got its outcome in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    for record in records:
        while record.is_open:
            if time.monotonic() >= deadline:
                return False
            pause.wait(0.02)
    return True
