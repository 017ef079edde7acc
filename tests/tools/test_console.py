"""Consoles whose reader may leave."""

from __future__ import annotations

import os
import sys

import pytest

from kproto.tools.console import ReaderLeft, notes, output, silence


def test_lines_in_a_pipe_stay_whole(capsys):
    output().print("x" * 240)
    assert capsys.readouterr().out == "x" * 240 + "\n"


def test_notes_go_to_stderr(capsys):
    notes().print("[1] of 2", markup=False)
    assert capsys.readouterr() == ("", "[1] of 2\n")


@pytest.mark.skipif(os.name != "posix", reason="pipes end differently")
def test_a_reader_who_left_is_an_exception_and_can_be_silenced(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(ReaderLeft):
            output().print("x" * 100_000)
        silence()
