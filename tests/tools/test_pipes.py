"""Readers that leave: see also test_console.py and test_cli.py."""

from __future__ import annotations

import sys

from kproto.tools.pipes import silence


def test_what_is_no_file_is_silent_anyway(monkeypatch):
    class Closed:
        def fileno(self):
            raise ValueError("it has none")

    monkeypatch.setattr(sys, "stdout", Closed())
    silence()
