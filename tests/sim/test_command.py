"""`python -m tests.sim`: what it prints, writes and returns."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner
from sim import command
from sim.planted import PLANTED

ROOT = Path(__file__).parents[2]


def call(*arguments):
    return CliRunner().invoke(command.command, [str(one) for one in arguments])


def test_it_runs_from_the_root_of_the_project():
    arguments = [sys.executable, "-m", "tests.sim", "--seeds", "7:8"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 seeds" in done.stdout and "0 violations" in done.stdout


def test_seeds_are_counted_and_what_none_came_to_is_told():
    done = call("--seeds", "5:8", "--jobs", 1)
    assert done.exit_code == 0
    assert "3 seeds" in done.output and "never seen: " in done.output


def test_a_seed_alone_writes_its_trace(tmp_path):
    path = tmp_path / "trace.ndjson"
    done = call("--seed", 3, "--trace", path)
    assert done.exit_code == 0 and "seed 3: nothing found" in done.output
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(isinstance(line["is"], str) for line in lines)
    assert sha256(path.read_bytes()).hexdigest() in done.output.replace("\n", "")


def test_a_failure_is_cut_down_and_told_with_all_that_repeats_it(tmp_path):
    with PLANTED["always no"].planted():
        done = call("--seeds", "0:1", "--jobs", 1, "--out", tmp_path)
    assert done.exit_code == 1
    assert "seed 0: part 2" in done.output
    assert "repeat: python -m tests.sim --seed 0" in done.output
    assert (tmp_path / "seed-0.svg").read_text().startswith("<svg")
    assert "violation" in (tmp_path / "seed-0.ndjson").read_text()


def test_planted_bugs_are_looked_for(tmp_path):
    done = call("planted", "--jobs", 1, "--seeds", "0:20", "always no")
    assert done.exit_code == 0 and "part 2" in done.output
    done = call("planted", "--jobs", 1, "--seeds", "0:1", "unresolved", "--markdown")
    assert done.exit_code == 0, "it must not be found"
    assert "as it should be" in done.output and done.output.count("# The simulation") == 1
    done = call("planted", "--jobs", 1, "--seeds", "0:1", "renumber open")
    assert done.exit_code == 1 and "not found in 1 seeds" in done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("--seeds", "x"),
        ("--seeds", "5:5"),
        ("--seed", "1", "--seeds", "2"),
        ("--trace", "x"),
        ("planted", "no such bug"),
    ],
)
def test_bad_input_is_said(arguments):
    done = call(*arguments)
    assert done.exit_code == 2 and "Error" in done.output
