"""Signals that come while something must not be left half done."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest
from producer.endings import running

from kproto.producer import interrupts
from kproto.producer.interrupts import SIGNALS, HeldSignals


class Raised(Exception):
    """By a handler."""


class Handlers:
    """Those of all signals that are held, for one test. raising: the numbers whose handler raises."""

    def __init__(self):
        self.heard = []
        self.raising = set()
        self.then = {}

    def __call__(self, number, frame):
        self.heard.append(number)
        self.then.pop(number, lambda: None)()
        if number in self.raising:
            raise Raised(number)

    def here(self):
        """Whether each signal has its handler."""
        return [signal.getsignal(number) for number in SIGNALS] == [self] * len(SIGNALS)


@pytest.fixture
def handlers():
    ours = Handlers()
    before = {number: signal.signal(number, ours) for number in SIGNALS}
    yield ours
    for number, handler in before.items():
        signal.signal(number, handler)


def test_what_comes_is_handled_on_the_way_out_in_its_order(handlers):
    with HeldSignals():
        assert not handlers.here()
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)  # one that is pending does not pend twice
        assert handlers.heard == []
    assert handlers.heard == [signal.SIGTERM, signal.SIGINT]
    assert handlers.here()


def test_keyboard_interrupt_comes_behind_the_block():
    reached = []
    with pytest.raises(KeyboardInterrupt), HeldSignals():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        reached.append(1)
    assert reached == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_of_the_block_goes_on(handlers):
    with pytest.raises(ZeroDivisionError), HeldSignals():
        raise ZeroDivisionError
    assert handlers.here()


def test_in_other_threads_it_does_nothing(handlers):
    def other():
        with HeldSignals():
            assert handlers.here()

    with running(other):
        pass


def test_signals_without_a_handler_of_pythons_are_left_alone():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with HeldSignals():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_blocks_may_be_nested(handlers):
    with HeldSignals():
        with HeldSignals():
            signal.raise_signal(signal.SIGINT)
        assert handlers.heard == []
    assert handlers.heard == [signal.SIGINT]
    assert handlers.here()


def test_each_that_came_is_handled_though_the_one_before_raises(handlers):
    handlers.raising = {signal.SIGINT, signal.SIGTERM}
    with pytest.raises(Raised) as raised, HeldSignals():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
    assert handlers.heard == [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    assert raised.value.args == (signal.SIGTERM,) and raised.value.__context__.args == (signal.SIGINT,)
    assert handlers.here()


class Disturbed:
    """`_signal`, with a signal that comes once, when the handler of another is taken or put back."""

    def __init__(self, at, number, times=1):
        self._at = at
        self._number = number
        self._times = times
        self.calls = 0

    getsignal = staticmethod(signal.getsignal)

    def signal(self, number, handler):
        self.calls += 1
        if self._at <= self.calls < self._at + self._times:
            signal.raise_signal(self._number)
        return signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("at", range(1, 2 * len(SIGNALS) + 1))
def test_a_handler_that_raises_while_others_are_taken_or_put_back_leaves_none_behind(handlers, monkeypatch, at, number):
    """One that is not held, or not held any more, may raise between any two of them."""
    handlers.raising = {number}
    monkeypatch.setattr(interrupts, "_signal", Disturbed(at, number))
    with pytest.raises(Raised), HeldSignals():
        pass
    assert handlers.heard == [number]
    assert handlers.here()


def test_one_that_cannot_be_put_back_is_handed_on(handlers, monkeypatch):
    """Whatever raises again and again: no signal is lost."""
    first = SIGNALS[-1]  # of those that are put back
    handlers.raising = {first}
    monkeypatch.setattr(interrupts, "_signal", Disturbed(len(SIGNALS) + 2, first, times=2))
    with pytest.raises(Raised), HeldSignals():
        pass
    left = [number for number in SIGNALS if signal.getsignal(number) is not handlers]
    assert left, "the test has lost its point"
    handlers.heard.clear()
    for number in left:
        signal.raise_signal(number)
    assert handlers.heard == left
    with HeldSignals():
        signal.raise_signal(left[0])
        assert handlers.heard == left
    assert handlers.heard == [*left, left[0]]


def test_a_handler_that_its_own_handler_has_changed_is_not_put_back(handlers):
    """As a first Ctrl-C often does, so that the second one ends the program."""
    handlers.raising = {signal.SIGINT}
    handlers.then[signal.SIGINT] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    with pytest.raises(Raised), HeldSignals():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


def test_an_event_loop_that_watches_for_the_signal_hears_of_it_once():
    """Its wake-up comes with the signal itself: to raise the signal again would be to count it twice."""

    async def main():
        heard, loop, over = [], asyncio.get_running_loop(), asyncio.Event()

        def on_signal():
            heard.append(1)
            loop.call_later(0.02, over.set)

        loop.add_signal_handler(signal.SIGTERM, on_signal)
        try:
            with HeldSignals():
                signal.raise_signal(signal.SIGTERM)
            await asyncio.wait_for(over.wait(), 30)
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
        return heard

    assert asyncio.run(main()) == [1]


def test_the_frame_that_was_interrupted_is_told():
    frames = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: frames.append(frame))
    try:
        with HeldSignals():
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert frames == [sys._getframe()]


def test_at_any_step_of_another_signal_it_holds_or_does_not_and_never_half(handlers):
    """SIGALRM comes in earnest, at some moment of many blocks: it is always handled, and nothing is left."""
    for turn in range(300):
        signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + turn % 60))
        while len(handlers.heard) <= turn:
            with HeldSignals():
                pass
        assert handlers.here()
