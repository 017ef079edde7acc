"""What happens when the reader of a command's output leaves.

Layer: tools.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

__all__ = ["ReaderLeft", "silence"]


class ReaderLeft(Exception):
    """Whoever read the output has closed it."""


def silence() -> None:
    """Nobody reads the output any more: the flush at the end finds nothing to complain of."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
