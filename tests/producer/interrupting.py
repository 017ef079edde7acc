"""Ctrl-C at every moment at which it can come.

CPython lets a signal's handler run only behind a call, at the start of a function, and where a loop goes back. A trace
function finds these places in the code of kproto, one opcode after the other, and raises the signal at the one that is
asked for. Where the code holds signals back there is no such place.

    for place in places(lambda: producer.flush()):
        with raises_or_not(KeyboardInterrupt): ...
"""

from __future__ import annotations

import _signal  # quicker than `signal`, which makes enums of handlers
import dis
import signal
import sys
from pathlib import Path

import kproto.client.driver
import kproto.producer.batch

FOLDERS = tuple(
    str(Path(module.__file__).parent)
    for module in (kproto.producer.batch, kproto.client.driver, kproto.wire.records.builder)
)
CHECKED = frozenset(
    code for name, code in dis.opmap.items() if name.startswith("CALL") or name in ("RESUME", "JUMP_BACKWARD")
)


TELLS_ALL = sys.version_info < (3, 13)  # later ones tell of the opcodes of what was traced before only: of fewer places


def are_held():
    """Whether SIGINT has another handler than Ctrl-C's, now."""
    return _signal.getsignal(signal.SIGINT) is not signal.default_int_handler


class Interruption:
    """A trace function: SIGINT at the place with this number, from 1; 0 only counts them. struck: whether it came.

    within: names of files, where places in other files do not count."""

    def __init__(self, at: int = 0, within: tuple[str, ...] = ("",)) -> None:
        self.at = at
        self.within = within
        self.places = 0
        self.struck = False
        self.where = ""

    def __enter__(self):
        self._before = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # 3.12 tells of opcodes only if a frame wants it before
        sys.settrace(self._on_call)
        return self

    def __exit__(self, *exception):
        sys.settrace(self._before)

    def _on_call(self, frame, event, argument):
        if self.struck or not frame.f_code.co_filename.startswith(FOLDERS) or are_held():
            return None
        if not frame.f_code.co_filename.endswith(self.within):
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        code, last = frame.f_code.co_code, None

        def on_opcode(frame, event, argument):
            nonlocal last
            if event == "exception":
                last = None  # on the way to who catches it nothing is looked at
            elif event == "opcode":
                checked, last = last in CHECKED, code[frame.f_lasti]
                if checked and not self.struck and not are_held():
                    self._arrive(frame)
            return on_opcode

        return on_opcode

    def _arrive(self, frame):
        self.places += 1
        if self.places == self.at:
            self.struck = True
            self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} in {frame.f_code.co_name}"
            signal.raise_signal(signal.SIGINT)


def interrupt(function, at, within=("",)):
    """Call it, with Ctrl-C at this place; where that was, or "" if it ended before. It may swallow nothing."""
    interruption = Interruption(at, within)
    interrupted = False
    try:
        with interruption:
            function()
    except KeyboardInterrupt:
        interrupted = True
    assert interrupted == interruption.struck, f"KeyboardInterrupt at {interruption.where} was swallowed"
    return interruption.where
