"""Consoles for what a command prints, and what happens when its reader leaves.

Layer: tools.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final

from rich.console import Console

__all__ = ["PipedConsole", "ReaderLeft", "notes", "output", "silence"]

LINE_MAX: Final = 250  # characters of a line in a pipe


class ReaderLeft(Exception):
    """Whoever read the output has closed it."""


class PipedConsole(Console):
    """A console whose reader may leave: where rich would end the process with 1, which means findings, this raises."""

    def on_broken_pipe(self) -> None:
        """Raises ReaderLeft."""
        raise ReaderLeft


def output(plain: bool = False) -> Console:
    """For what was asked for. plain: no colour, also on a terminal."""
    # A pipe gets long lines whole: whoever reads them cuts them as they like.
    width = None if sys.stdout.isatty() else LINE_MAX
    return PipedConsole(color_system=None if plain else "auto", width=width, highlight=False, soft_wrap=True)


def notes() -> Console:
    """For progress and complaints, on stderr."""
    return PipedConsole(stderr=True, highlight=False, soft_wrap=True)


def silence() -> None:
    """Nobody reads the output any more: the flush at the end finds nothing to complain of."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
