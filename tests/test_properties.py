"""The program behind `make properties`, run on a small tree of tests."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("properties.py")
PROPERTIES = """
import pytest
from hypothesis import assume, given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

@given(st.integers())
def test_holds(n):
    assume(n % 2)

@given(st.integers())
def test_fails(n):
    assert n < 1000

@given(st.lists(st.integers()))
def test_finds_one_of_many(numbers):
    assert sum(numbers) < 1000

@pytest.mark.parametrize("limit", [*range(9), 1000])
@given(n=st.integers(0, 50))
def test_cases(limit, n):
    assert limit != 1000 or n < 10

@pytest.mark.parametrize("number", range(16))
@given(n=st.integers())
def test_many_cases(number, n):
    pass

@settings(max_examples=3)
@given(st.booleans())
def test_few_values(value):
    pass

@given(st.integers().filter(lambda n: n % 1000 == 7))
def test_meets_a_health_check(n):
    pass

@pytest.mark.xfail(strict=True, reason="none")
@given(st.integers())
def test_should_fail(n):
    pass

@given(st.integers())
def test_skips(n):
    pytest.skip("not today")

@pytest.mark.java
@given(st.integers())
def test_of_kafka(n):
    pass

def test_plain():
    raise AssertionError("not a property")

class Machine(RuleBasedStateMachine):
    @rule(n=st.integers())
    def step(self, n):
        pass

TestMachine = Machine.TestCase
TestMachine.settings = settings(stateful_step_count=2)
"""
SLOW = """
import os, pathlib, time
from hypothesis import given, settings, strategies as st

@given(st.integers())
def test_quick(n):
    pass

@settings(deadline=None)
@given(st.integers())
def test_slow(n):
    pathlib.Path(__file__).with_name("pid").write_text(str(os.getpid()))
    with pathlib.Path(__file__).with_name("begun").open("a") as begun:
        begun.write(".")
    time.sleep(0.05)  # an example that lasts
"""
DEADLY = """
import os
from hypothesis import given, strategies as st

@given(st.none())
def test_dies(n):
    os._exit(3)
"""


@dataclass(frozen=True)
class Ended:
    """How a run ended. `told` is its JSON."""

    code: int
    output: str
    errors: str
    told: dict[str, Any]

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["property"].rpartition("::")[2]: row for row in self.told["properties"]}


def tree(folder: Path, source: str) -> Path:
    (folder / "layer").mkdir()
    (folder / "layer" / "test_small.py").write_text(source)
    return folder


def run(folder: Path, *arguments: str) -> Ended:
    file = folder / "report.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, str(PROGRAM), "--tests", str(folder), "--json", str(file), "--jobs", "1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    told = json.loads(file.read_text()) if file.exists() and file.stat().st_size else {}
    return Ended(done.returncode, done.stdout, done.stderr, told)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree(tmp_path_factory.mktemp("small"), PROPERTIES)


@pytest.fixture(scope="module")
def ended(small: Path) -> Ended:
    return run(small, "--examples", "300", "--seed", "7", "--jobs", "2")


def test_every_property_runs_as_often_as_asked(ended):
    assert ended.code == 1
    assert ended.rows["test_holds"]["examples"] == 300
    assert ended.rows["test_holds"]["state"] == "held"
    assert ended.rows["runTest"]["examples"] == 300
    assert ended.rows["test_few_values"]["examples"] == 2


def test_examples_are_divided_over_the_cases(ended):
    assert (ended.rows["test_cases"]["planned"], ended.rows["test_cases"]["cases"]) == (10, 10)
    assert {case["asked"] for case in ended.rows["test_cases"]["failures"]} == {300 / 10}
    assert ended.rows["test_many_cases"]["examples"] == 16 * 25


def test_only_properties_run(ended):
    assert set(ended.rows) == {
        *("test_holds", "test_fails", "test_finds_one_of_many", "test_cases", "test_many_cases", "test_few_values"),
        *("test_meets_a_health_check", "test_skips", "test_should_fail", "runTest"),
    }


def test_counterexamples_are_the_smallest(ended):
    assert ended.rows["test_fails"]["finding"] == "test_fails(n=1000)"
    assert ended.rows["test_finds_one_of_many"]["finding"] == "test_finds_one_of_many(numbers=[1000])"
    (failure,) = ended.rows["test_cases"]["failures"]
    assert failure["case"] == "1000"
    assert "n=10," in failure["counterexample"]
    assert failure["error"].endswith("AssertionError: assert (1000 != 1000 or 10 < 10)")


def test_a_failure_that_did_not_come_is_one(ended):
    assert ended.rows["test_should_fail"]["state"] == "failed"
    assert ended.rows["test_should_fail"]["finding"] == "[XPASS(strict)] none"


def test_what_did_not_run_as_asked_is_no_failure(ended):
    assert ended.rows["test_meets_a_health_check"]["state"] == "stopped"
    assert ended.rows["test_meets_a_health_check"]["finding"].startswith("health check: ")
    assert ended.rows["test_skips"]["finding"] == "skipped: not today"
    assert not ended.rows["test_skips"]["failures"]


def test_the_table_has_a_line_for_each_property(ended):
    assert ended.output.startswith("seed: 7, examples: 300, processes: 2\n")
    assert re.search(r"^ layer +$", ended.output, re.MULTILINE)
    assert re.search(r"^ test_small::test_holds +1 +300 +\d+\.\d +7 +$", ended.output, re.MULTILINE)
    assert re.search(
        r"^ test_small::test_fails +1 +\d+ +\d+\.\d +7 +test_fails\(n=1000\) +$", ended.output, re.MULTILINE
    )
    assert re.search(r"^4 failed, 4 held, 1 skipped, 1 stopped; cases: 34, ", ended.output, re.MULTILINE)
    assert "\x1b" not in ended.output


def test_a_failure_tells_the_command_that_repeats_it(small, ended):
    words = shlex.split(ended.rows["test_cases"]["reproduce"])
    assert " ".join(words[2:]) == f"-k test_cases --seed 7 --examples 300 --tests {small}"
    assert f"reproduce: {ended.rows['test_cases']['reproduce']}\n" in ended.output
    again = run(small, *words[2:])
    assert again.code == 1
    for name in ("counterexample", "error", "examples"):
        assert again.rows["test_cases"]["failures"][0][name] == ended.rows["test_cases"]["failures"][0][name]


def test_all_hold_and_java_is_asked_for(small):
    ended = run(small, "-k", "test_holds or kafka", "--examples", "30", "--with-java")
    assert (ended.code, ended.errors) == (0, "")
    assert [row["examples"] for row in ended.told["properties"]] == [30, 30]
    assert re.search(r"^2 held; cases: 2, examples: 60, ", ended.output, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-k", "and and"], "error: Wrong expression passed to '-k': and and: .*\n-k takes parts of names"),
        (["-k", "hols"], r"error: no property matches -k 'hols'; did you mean holds\?"),
        (["-k", "of_kafka"], "error: layer/test_small::test_of_kafka needs Java: add --with-java"),
        (["--examples", "0"], "Invalid value for '--examples'"),
        (["--json", "nowhere/report.json"], "Invalid value for '--json': 'nowhere/report.json': No such file"),
    ],
)
def test_bad_input(small, arguments, message):
    ended = run(small, *arguments)
    assert ended.code == 2
    assert re.search(message, ended.errors)


def test_a_file_that_can_not_be_imported_is_shown(tmp_path):
    (tree(tmp_path, SLOW) / "test_broken.py").write_text("import nowhere_to_be_found")
    ended = run(tmp_path)
    assert ended.code == 2
    assert "test_quick" not in ended.output
    assert "ModuleNotFoundError: No module named 'nowhere_to_be_found'" in ended.errors


def test_a_process_that_dies_fails_the_property_that_it_ran(tmp_path):
    ended = run(tree(tmp_path, DEADLY))
    assert ended.code == 1
    assert ended.rows["test_dies"]["finding"] == "the process ended in the middle of it, with exit code 3"


def test_an_interrupted_run_shows_what_ran_and_leaves_no_process(tmp_path):
    folder = tree(tmp_path, SLOW) / "layer"
    pid, begun = folder / "pid", folder / "begun"
    command = [sys.executable, str(PROGRAM), "--tests", str(tmp_path), "--examples", "1000", "--jobs", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 20
        pause = threading.Event()
        while not (begun.exists() and begun.stat().st_size > 3) and time.monotonic() < end:
            pause.wait(0.01)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "interrupted\n")
    assert re.search(r"^ test_small::test_quick +1 +1000 ", output, re.MULTILINE)
    assert re.search(r"^ test_small::test_slow +0 of 1 +\d+ ", output, re.MULTILINE)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
