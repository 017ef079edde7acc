"""A signal ends what runs, but never inside what must be whole."""

from __future__ import annotations

import signal
import threading

import pytest

from kproto.tools.interrupts import Interrupted, Interrupts


@pytest.fixture
def interrupts():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as made:
        yield made
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_raised_with_its_exit_code(interrupts, number, code):
    with pytest.raises(Interrupted) as caught:
        signal.raise_signal(number)
    assert caught.value.exit_code == code
    assert isinstance(caught.value, KeyboardInterrupt)


def test_what_is_held_is_raised_behind(interrupts):
    steps = []

    def whole():
        with interrupts.held:
            signal.raise_signal(signal.SIGINT)
            steps.append("whole")

    with pytest.raises(Interrupted):
        whole()
    assert steps == ["whole"]
    signal.raise_signal(signal.SIGTERM)  # the first was raised, the others count
    with interrupts.held:
        signal.raise_signal(signal.SIGINT)
    assert interrupts.signals == [signal.SIGINT, signal.SIGTERM, signal.SIGINT]


def test_quiet_counts(interrupts):
    interrupts.quiet = True
    signal.raise_signal(signal.SIGINT)
    assert interrupts.signals == [signal.SIGINT]


def test_other_threads_hold_nothing(interrupts):
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with interrupts.held:
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(10)
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGINT)
    leave.set()
    thread.join()


def test_in_another_thread_nothing_changes():
    before, seen = signal.getsignal(signal.SIGINT), []

    def run():
        with Interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]
