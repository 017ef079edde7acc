"""A lock that is not waited for in line: one at a time all the same, and let go whatever happens inside."""

from __future__ import annotations

import sys
import threading

import pytest

from kproto.producer.spinning import Spinning


class CountedLock:
    """Is found taken so often."""

    def __init__(self, taken=0):
        self.taken = taken
        self.asked = []
        self.released = 0

    def acquire(self, blocking=True):
        self.asked.append(blocking)
        return len(self.asked) > self.taken

    def release(self):
        self.released += 1


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_it_never_waits_in_line(taken):
    lock = CountedLock(taken)
    with Spinning(lock):
        assert lock.asked == [False] * (taken + 1)
        assert lock.released == 0
    assert lock.released == 1


def test_what_is_raised_inside_lets_it_go_and_goes_on():
    lock = CountedLock()
    with pytest.raises(ValueError, match="of no use"), Spinning(lock):
        raise ValueError("of no use")
    assert lock.released == 1


def test_who_is_interrupted_while_he_tries_has_nothing_to_let_go(monkeypatch):
    lock = CountedLock(taken=2)

    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("kproto.producer.spinning.time.sleep", interrupted)
    with pytest.raises(KeyboardInterrupt), Spinning(lock):
        raise AssertionError("it was never had")
    assert lock.released == 0


def test_who_has_it_already_comes_in_again_where_the_lock_lets_him():
    lock = threading.RLock()
    with Spinning(lock), Spinning(lock):
        assert lock._is_owned()
    assert not lock._is_owned()


def test_one_at_a_time_beside_those_who_wait_in_line():
    lock = threading.RLock()
    inside, most, total = 0, 0, 0

    def work(context):
        nonlocal inside, most, total
        for _ in range(300):
            with context():
                inside += 1
                most = max(most, inside)
                total += 1
                inside -= 1

    threads = [threading.Thread(target=work, args=[way]) for way in (lambda: Spinning(lock), lambda: lock) * 2]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert (most, total, inside) == (1, 1200, 0)
