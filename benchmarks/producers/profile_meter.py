"""Counts what threads spend in methods, from outside: each is wrapped, and what wrapped ones below it take is theirs.

Times are of the thread, not of the clock on the wall. What the wrapping itself takes is measured first, and left out.
Made for a process that does nothing else: what is wrapped stays so.
"""

from __future__ import annotations

import functools
import gc
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from benchmarks.producers.profile_parts import ProfileError

__all__ = ["COLLECTOR", "Book", "Meter", "Methods", "Taken"]

COLLECTOR: Final = "the garbage collector"
TRIAL: Final = "trial"
TRIALS: Final = 31
TRIAL_CALLS: Final = 500

Methods = Mapping[str, Sequence[tuple[type, str]]]


@dataclass(frozen=True, slots=True)
class Taken:
    """ns of a thread, by part, without what measuring took; calls, by part; measuring: ns."""

    times: Mapping[str, float]
    calls: Mapping[str, int]
    measuring: float

    def since(self, before: Taken) -> Taken:
        """What has come since."""
        times = {part: taken - before.times[part] for part, taken in self.times.items()}
        calls = {part: count - before.calls[part] for part, count in self.calls.items()}
        return Taken(times, calls, self.measuring - before.measuring)


class Book:
    """What one thread has spent. Only it may enter and leave."""

    def __init__(self, parts: Sequence[str]) -> None:
        self.times: dict[str, float] = dict.fromkeys(parts, 0.0)
        self.calls = dict.fromkeys(parts, 0)
        self.began: list[int] = []
        self.below: list[float] = []

    def enter(self) -> None:
        """Something that is measured begins."""
        self.below.append(0.0)
        self.began.append(time.thread_time_ns())

    def leave(self, part: str, outside: float) -> None:
        """It ends. outside: ns that measuring it has taken and that it did not see itself."""
        spent = time.thread_time_ns() - self.began.pop()
        self.times[part] += spent - self.below.pop()
        self.calls[part] += 1
        if self.below:
            self.below[-1] += spent + outside


class Meter:
    """See the module. methods: by part, the classes and their methods; a part may have several.

    Raises ProfileError for a method that a class does not have itself.
    """

    def __init__(self, methods: Methods) -> None:
        self.parts = (*methods, COLLECTOR, TRIAL)
        self._books: dict[int, Book] = {}
        self._inside = self._outside = 0.0
        self._calibrate()
        for part, found in methods.items():
            for owner, name in found:
                self._wrap(owner, name, part)
        gc.callbacks.append(self._on_collector)

    def close(self) -> None:
        """The collector is left alone again."""
        gc.callbacks.remove(self._on_collector)

    def taken(self, thread: int) -> Taken:
        """By the thread with this identifier so far."""
        book = self._book(thread)
        calls = dict(book.calls)
        times = {part: taken - calls[part] * self._inside for part, taken in dict(book.times).items()}
        return Taken(times, calls, sum(calls.values()) * (self._inside + self._outside))

    def _book(self, thread: int) -> Book:
        book = self._books.get(thread)
        if book is None:
            book = self._books[thread] = Book(self.parts)
        return book

    def _wrap(self, owner: type, name: str, part: str) -> None:
        function = vars(owner).get(name)
        if not callable(function):
            raise ProfileError(f"{owner.__name__} has no method {name} any more: say where {part!r} is to be measured")
        book_of, ident = self._book, threading.get_ident

        @functools.wraps(function)
        def measured(*arguments: Any, **options: Any) -> Any:
            book = book_of(ident())
            book.enter()
            try:
                return function(*arguments, **options)
            finally:
                book.leave(part, self._outside)

        setattr(owner, name, measured)

    def _on_collector(self, phase: str, _info: object) -> None:
        book = self._book(threading.get_ident())
        if phase == "start":
            book.enter()
        elif book.began:  # else it had begun before there was a meter
            book.leave(COLLECTOR, self._outside)

    def _calibrate(self) -> None:
        """What measuring a call takes, as seen from inside, and beside that."""

        class Trial:
            def plain(self, argument: object) -> None:
                """Takes no time."""

            def measured(self, argument: object) -> None:
                """Takes none, either."""

        self._wrap(Trial, "measured", TRIAL)
        trial, book = Trial(), self._book(threading.get_ident())
        inside, whole = [], []
        for _ in range(TRIALS):
            before = book.times[TRIAL]
            began = time.thread_time_ns()
            for _ in range(TRIAL_CALLS):
                trial.plain(None)
            between = time.thread_time_ns()
            for _ in range(TRIAL_CALLS):
                trial.measured(None)
            whole.append((time.thread_time_ns() - between - (between - began)) / TRIAL_CALLS)
            inside.append((book.times[TRIAL] - before) / TRIAL_CALLS)
        self._inside = median(inside)
        self._outside = max(0.0, median(whole) - self._inside)
        self._books.clear()
