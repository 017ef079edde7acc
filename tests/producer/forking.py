"""Runs a function in a child of this process, and tells what came of it."""

from __future__ import annotations

import os
import select
import signal
import sys
import traceback

import pytest

__all__ = ["WITH_FORK", "in_child"]

CHILD_S = 30
WITH_FORK = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


def in_child(function):
    """What it returned, as text; its traceback if it raised. A child that hangs is killed, and fails the test."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            said = str(function())
        except BaseException:
            said = traceback.format_exc()
        os.write(writing, said.encode() or b"\n")
        sys.stderr.flush()
        os._exit(0)
    os.close(writing)
    try:
        ready, _, _ = select.select([reading], [], [], CHILD_S)
        if not ready:
            os.kill(pid, signal.SIGKILL)
        assert ready, "the child hangs"
        return os.read(reading, 1 << 16).decode()
    finally:
        os.close(reading)
        os.waitpid(pid, 0)
