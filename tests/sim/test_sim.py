"""Some seeds of the simulation, as part of every test run. A seed that fails is the whole report: `python -m tests.sim
--seed N`. `make simulate` runs more."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sim.drawing import draw_plan
from sim.planted import PLANTED
from sim.simulate import run_plan, run_seed, run_seeds, shrunk
from sim.trace import Trace

ROOT = Path(__file__).parents[2]
DIGESTS = """
from sim.simulate import run_seed
from sim.trace import Trace
for seed in range(40, 46):
    trace = Trace()
    run_seed(seed, trace)
    print(seed, trace.digest())
"""


@pytest.mark.parametrize("seed", range(20))
def test_sim_1_a_seed_holds_what_the_producer_promises(seed):
    assert run_seed(seed).violation is None, f"python -m tests.sim --seed {seed}"


def test_many_at_once_come_out_as_they_do_alone():
    seeds = range(100, 104)
    assert sorted(run_seeds(seeds, jobs=2), key=lambda one: one.seed) == [run_seed(seed) for seed in seeds]


def digests(hash_seed):
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_trace_is_the_same_to_the_byte_whatever_the_hash_seed():
    first = digests("1")
    assert len(set(first.split())) == 12, "six seeds, and six traces"
    assert digests("2") == first


def test_a_run_is_the_same_whether_it_is_traced_or_not():
    trace = Trace()
    assert run_seed(3, trace) == run_seed(3)
    assert trace.lines and trace.events


def test_a_plan_that_fails_is_cut_down_to_what_the_failure_needs():
    seed = next(seed for seed in range(50) if len(draw_plan(seed).faults) > 4 and finds("always no", seed))
    plan = draw_plan(seed)
    small = shrunk(plan, "always no")
    assert len(small.faults) <= 2 < len(plan.faults)
    assert len(small.steps) <= 2
    assert run_plan(small, bug="always no").violation.part == 2
    assert run_plan(small).violation is None
    for at in range(len(small.faults)):
        fewer = small.faults[:at] + small.faults[at + 1 :]
        assert run_plan(replace(small, faults=fewer), bug="always no").violation is None, "it needs each fault"


def finds(bug, seed):
    assert bug in PLANTED
    return run_seed(seed, bug=bug).violation is not None
