"""Waiting that may be interrupted anywhere, and wakes nobody too late."""

from __future__ import annotations

import signal
import threading

import pytest
from producer.endings import WAIT_S, running

from kproto.producer.bell import Bell


def never():
    return False


def test_what_holds_already_is_not_waited_for():
    assert Bell().wait_for(lambda: True, 0)
    assert Bell().wait_for(lambda: True, -1)
    assert Bell().wait_for(lambda: True)


def test_what_does_not_hold_in_time_is_false_and_nobody_is_left():
    bell = Bell()
    assert not bell.wait_for(never, 0)
    assert not bell.wait_for(never, -1)
    assert not bell.wait_for(never, 0.001)
    assert not bell._gates


def test_a_timeout_that_no_lock_takes_is_cut():
    bell, seen = Bell(), []

    def wanted():
        seen.append(1)
        if len(seen) == 1:
            bell.ring()  # between the look and the wait
        return len(seen) > 1

    assert bell.wait_for(wanted, 1e30)


def test_a_ring_between_the_look_and_the_wait_is_not_missed():
    bell, looks = Bell(), []

    def wanted():
        looks.append(bell.ring())
        return len(looks) == 3

    assert bell.wait_for(wanted)
    assert len(looks) == 3


def test_a_ring_wakes_all_and_each_looks_again():
    bell, state = Bell(), {"value": 0}
    looked = threading.Semaphore(0)

    def waits_for(number):
        def wanted():
            looked.release()
            return state["value"] >= number

        def wait():
            assert bell.wait_for(wanted, WAIT_S)

        return wait

    with running(*(waits_for(number) for number in (1, 1, 2))):
        for _ in range(3):
            assert looked.acquire(timeout=WAIT_S)
        state["value"] = 1
        bell.ring()
        for _ in range(3):
            assert looked.acquire(timeout=WAIT_S)
        state["value"] = 2
        bell.ring()
        bell.ring()  # nobody minds, or their gates are open already
    assert not bell._gates


def test_two_that_ring_at_once_do_not_stumble_over_each_other():
    bell, rung = Bell(), []
    both = threading.Barrier(2)

    def ring():
        for _ in range(200):
            both.wait(WAIT_S)
            bell.ring()
        rung.append(1)

    with running(ring, ring):
        assert bell.wait_for(lambda: len(rung) == 2 or (bell.ring() and False), WAIT_S)


def test_who_is_interrupted_leaves_no_lock_behind():
    bell = Bell()

    def interrupted(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupted)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(KeyboardInterrupt):
            bell.wait_for(never, WAIT_S)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not bell._gates
    with running(bell.ring):
        pass
