"""The worker's side of `tests/properties.py`: a pytest plugin that runs its share of the properties and writes events.

See properties_case.py for what workers and parent tell each other.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import wraps
from itertools import chain, pairwise, takewhile
from pathlib import Path
from typing import Any, Final, TypeGuard

import hypothesis
import pytest
from hypothesis.errors import FailedHealthCheck, StopTest, UnsatisfiedAssumption
from properties_case import OPTION, Case, Task, case_examples

FIRST_NOTES: Final = ("Falsifying ", "Failing ")  # hypothesis before and since 6.159
LAST_NOTES: Final = ("Explanation:", "You can reproduce")  # what follows is no part of the counterexample
ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")  # of an object: another one in each run

Test = Callable[..., Any]


def property_of(item: pytest.Function, tests: Path) -> str:
    """`wire/test_varint::test_round_trip`, or with the class between them."""
    file = item.path.relative_to(tests).with_suffix("").as_posix()
    names = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
    return "::".join([file, *names, item.originalname])


def case_of(item: pytest.Function) -> str:
    return item.callspec.id if hasattr(item, "callspec") else ""


def smallest(error: BaseException) -> tuple[str, BaseException]:
    """The shortest counterexample in the notes of an error or its group, and the error that it leads to."""
    found = []
    for each in _leaves(error):
        notes = list(getattr(each, "__notes__", ()))
        starts = [index for index, note in enumerate(notes) if note.startswith(FIRST_NOTES)]
        if starts:
            shown = list(takewhile(lambda note: not note.strip().startswith(LAST_NOTES), notes[starts[0] :]))
            shown[0] = shown[0].partition(": ")[2] or shown[0]
            found.append((ADDRESS.sub("", "\n".join(shown)), each))
    return min(found, key=lambda pair: len(pair[0]), default=("", error))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    yield error


@contextmanager
def prepared(item: pytest.Function, seed: int, case: Case, check: Callable[[], None]) -> Iterator[None]:
    """Within it the item has the seed and the number of examples, counts them in the case, and calls the check before.

    A state machine counts its runs.
    """
    function: Any = item.function
    machine = getattr(function, "_hypothesis_state_machine_class", None)
    wanted: dict[str, Any] = {"max_examples": case.asked, "database": None, "derandomize": False}
    with pytest.MonkeyPatch.context() as patch:
        if machine is not None:
            assert item.cls is not None
            patch.setattr(item.cls, "settings", hypothesis.settings(item.cls.settings, **wanted))
            patch.setattr(machine, "teardown", counted(machine.teardown, case, check))
        else:
            # settings() as a decorator refuses what has @settings. hypothesis' own pytest plugin sets this one, too.
            name = "_hypothesis_internal_use_settings"
            patch.setattr(function, name, hypothesis.settings(getattr(function, name), **wanted))
            patch.setattr(function.hypothesis, "inner_test", counted(function.hypothesis.inner_test, case, check))
        hypothesis.seed(seed)(machine or function)
        yield


def counted(inner: Test, case: Case, check: Callable[[], None]) -> Test:
    """The same test; examples that an assumption threw away do not count."""

    @wraps(inner)
    def count(*args: Any, **kwargs: Any) -> Any:
        check()
        case.examples += 1
        try:
            return inner(*args, **kwargs)
        except (UnsatisfiedAssumption, StopTest):
            case.examples -= 1
            raise

    return count


class Worker:
    """Runs the cases that no other worker has claimed."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._tests = Path(task.tests)
        self._plan: dict[str, tuple[int, int]] = {}
        self._case = Case("", "")  # the one that runs
        self._running = self._stopped = False
        signal.signal(signal.SIGINT, self._interrupt)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None]:
        known = sorted({property_of(item, self._tests) for item in items if is_property(item)})
        result = yield  # pytest's own hooks leave out by -k and -m
        kept = [item for item in items if is_property(item)]
        cases = Counter(property_of(item, self._tests) for item in kept)
        examples = self._task.examples
        self._plan = {name: (count, case_examples(examples, count)) for name, count in cases.items()}
        # The long ones first, so that all workers end at about the same time.
        kept.sort(key=lambda item: -self._plan[property_of(item, self._tests)][1])
        items[:] = kept
        self._write({"event": "plan", "known": known, "plan": self._plan})
        return result

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted("errors during collection")
        for item, following in pairwise(chain(self._claimed(session.items), [None])):
            assert item is not None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self._check()
        return True

    def _claimed(self, items: list[pytest.Item]) -> Iterator[pytest.Item]:
        for item in items:
            name = hashlib.sha256(item.nodeid.encode()).hexdigest()
            try:
                (Path(self._task.folder) / name).touch(exist_ok=False)
            except FileExistsError:
                continue
            yield item

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Function) -> Generator[None, object, object]:
        name = property_of(item, self._tests)
        self._case = Case(name, case_of(item), self._plan[name][1])
        self._write({"event": "start", "property": name})
        self._running = True
        try:
            return (yield)
        except KeyboardInterrupt:
            self._case.outcome = "unfinished"
            raise
        finally:
            self._running = False
            self._write({"event": "case"} | asdict(self._case))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Function) -> Generator[None]:
        # Each case searches somewhere else, and finds the same whichever other cases run.
        text = f"{self._task.seed} {self._case.property} {self._case.case}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        start = time.perf_counter()
        try:
            with prepared(item, seed, self._case, self._check):
                return (yield)
        finally:
            self._case.seconds = time.perf_counter() - start

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        case = self._case
        if case.outcome == "failed":
            return report
        if call.excinfo is None:
            if report.failed:  # an expected failure that did not come
                case.outcome, case.error = "failed", str(report.longrepr)
            return report
        error = call.excinfo.value
        if isinstance(error, FailedHealthCheck):
            case.outcome, case.error = "stopped", f"health check: {str(error).partition('. ')[0]}"
        elif report.skipped:
            case.outcome, case.error = "skipped", f"skipped: {error}"
        else:
            case.outcome = "failed"
            case.counterexample, error = smallest(error)
            crash = getattr(report.longrepr, "reprcrash", None)
            place = f"{Path(crash.path).name}:{crash.lineno}: " if crash else ""
            case.error = f"{place}{type(error).__name__}: {error}".rstrip()
        return report

    def _interrupt(self, *_: object) -> None:
        """A KeyboardInterrupt in a callback of the garbage collector is lost: a case is ended by its next example."""
        self._stopped = True
        if not self._running:
            raise KeyboardInterrupt

    def _check(self) -> None:
        """Before each example: go on only while the parent wants it, and lives."""
        if self._stopped or os.getppid() != self._task.parent:
            raise KeyboardInterrupt

    def _write(self, event: dict[str, Any]) -> None:
        with self._task.events.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


def is_property(item: pytest.Item) -> TypeGuard[pytest.Function]:
    return isinstance(item, pytest.Function) and hypothesis.is_hypothesis_test(item.function)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, help="for tests/properties.py alone")


def pytest_configure(config: pytest.Config) -> None:
    if text := config.getoption(OPTION):
        config.pluginmanager.register(Worker(Task(**json.loads(text))), "property-worker")
