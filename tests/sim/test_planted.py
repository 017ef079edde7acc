"""The simulation bites: it finds bugs that are put into the producer. These are the ones that a few seeds find; `python
-m tests.sim planted` looks for all of them."""

from __future__ import annotations

from types import ModuleType

import pytest
from sim.planted import PLANTED, Bug
from sim.simulate import first_found, run_seed

SEEDS = range(40)
QUICK = {
    "wrap": (5,),
    "count batches": (3,),
    "stamp again": (3,),
    "same epoch": (3, 6),
    "to the end": (1, 3, 5),
    "parts reversed": (1,),
    "sent is written": (2,),
    "always no": (2,),
    "certain timeout": (2,),
    "certain loss": (2,),
    "fail is final": (2,),
    "wrong offset": (2,),
    "bulk from the base": (2,),
    "called twice": (2,),
    "failed unheard": (2, 5),
    "never expire": (5,),
    "expired is queued": (5,),
    "wait for ever": (5,),
    "more in flight": (4,),
    "release twice": (5,),
    "release never": (5,),
    "no limit": (5,),
    "sleep on": (5,),
    "flush and go": (5,),
    "sealed, yet open": (2, 5),
}
"""Bug -> the parts of the oracle that may find it first."""


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_found_and_the_seed_is_clean_without_it(name):
    outcome = first_found(name, SEEDS)
    assert outcome is not None, f"{PLANTED[name].guard}: nobody misses it in {len(SEEDS)} seeds"
    assert outcome.violation.part in QUICK[name], outcome.violation
    assert run_seed(outcome.seed).violation is None


def test_there_are_enough_of_them_and_each_says_what_it_takes_away():
    bugs = [bug for bug in PLANTED.values() if not bug.thrift]
    assert len(bugs) >= 20
    assert set(QUICK) <= {bug.name for bug in bugs}
    assert len({bug.guard for bug in PLANTED.values()}) == len(PLANTED)


@pytest.mark.parametrize("bug", PLANTED.values(), ids=lambda bug: bug.name)
def test_what_is_planted_is_gone_afterwards(bug: Bug):
    before = watched()
    with bug.planted():
        assert watched() != before, "it changes something"
    assert watched() == before


def watched():
    """The functions and tables that bugs replace."""
    from sim import planted

    owners = [one for one in vars(planted).values() if isinstance(one, (type, ModuleType))]
    ours = [one for one in owners if getattr(one, "__module__", one.__name__).startswith("kproto.")]
    found = {(str(owner), name): id(value) for owner in ours for name, value in vars(owner).items()}
    return found, dict(planted.outcome.OUTCOMES)
