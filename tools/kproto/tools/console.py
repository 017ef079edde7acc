"""Consoles for what a command prints.

Layer: tools.
"""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console

from kproto.tools.pipes import ReaderLeft, silence

__all__ = ["PipedConsole", "ReaderLeft", "notes", "output", "silence"]

LINE_MAX: Final = 250  # characters of a line in a pipe


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
