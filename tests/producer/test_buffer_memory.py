"""Memory: exact, first come first served, and nobody is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kproto.producer.buffer_memory import BufferMemory


class Woken(list):
    """Who was woken, in order."""

    def by(self, name):
        return lambda: self.append(name)


def test_pool_1_what_is_charged_and_what_is_free_make_the_whole():
    memory = BufferMemory(100)
    assert memory.try_reserve(60) and not memory.try_reserve(41) and memory.try_reserve(40)
    assert (memory.used, memory.available) == (100, 0)
    memory.release(60)
    memory.release(40)
    assert (memory.used, memory.available, memory.waiting) == (0, 100, 0)


def test_pool_3_who_can_be_served_at_once_never_waits():
    memory, woken = BufferMemory(100), Woken()
    waiter = memory.wait(100, woken.by("a"))
    assert waiter.granted and woken == ["a"] and memory.waiting == 0
    assert memory.take(waiter) == 100 and not waiter.granted
    with pytest.raises(AssertionError):
        memory.take(waiter)


def test_pool_4_a_large_request_gathers_memory_while_small_ones_wait_behind_it():
    """Not to be starved is the point: Java gives it bit by bit, here nobody overtakes."""
    memory, woken = BufferMemory(100), Woken()
    assert memory.try_reserve(50) and memory.try_reserve(50)
    large = memory.wait(80, woken.by("large"))
    small = memory.wait(10, woken.by("small"))
    memory.release(50)
    assert not large.granted and not small.granted
    assert not memory.try_reserve(1), "somebody waits: who comes later gets in line"
    memory.release(50)
    assert large.granted and small.granted and woken == ["large", "small"]
    assert memory.used == 90


def test_pool_5_what_was_granted_and_not_used_goes_to_the_next():
    memory, woken = BufferMemory(100), Woken()
    assert memory.try_reserve(100)
    first, second = memory.wait(100, woken.by("first")), memory.wait(100, woken.by("second"))
    memory.release(100)
    assert first.granted and not second.granted
    memory.leave(first)
    assert second.granted and not first.granted and woken == ["first", "second"]
    memory.leave(first)  # he has left already
    memory.leave(second)
    assert memory.used == 0


def test_pool_5_who_leaves_the_head_of_the_line_lets_the_next_one_go():
    """trap 40: a wait that is interrupted or times out."""
    memory, woken = BufferMemory(100), Woken()
    assert memory.try_reserve(90)
    large, small = memory.wait(50, woken.by("large")), memory.wait(10, woken.by("small"))
    assert memory.waiting == 2 and not woken
    memory.leave(large)
    assert woken == ["small"] and small.granted and memory.waiting == 0


def test_pool_6_only_as_many_are_woken_as_there_is_room_for():
    """trap 38: no herd."""
    memory, woken = BufferMemory(100), Woken()
    assert memory.try_reserve(100)
    waiters = [memory.wait(30, woken.by(index)) for index in range(10)]
    memory.release(100)
    assert woken == [0, 1, 2] and [waiter.granted for waiter in waiters] == [True] * 3 + [False] * 7
    assert memory.waiting == 7


def test_pool_7_nobody_barges_ahead_of_those_who_wait():
    memory, woken = BufferMemory(100), Woken()
    assert memory.try_reserve(100)
    memory.wait(60, woken.by("waits"))
    memory.release(50)
    assert not memory.try_reserve(50)


def test_a_request_for_more_than_there_is_is_served_alone():
    """A producer with a small buffer_memory is slow, not stuck."""
    memory, woken = BufferMemory(100), Woken()
    assert memory.try_reserve(10)
    waiter = memory.wait(500, woken.by("huge"))
    other = memory.wait(1, woken.by("other"))
    memory.release(10)
    assert waiter.granted and memory.used == 500 and memory.available == 0 and not other.granted
    memory.leave(waiter)
    assert other.granted and memory.used == 1


def test_a_charge_is_made_whatever_there_is_and_delays_the_others():
    memory, woken = BufferMemory(100), Woken()
    assert memory.try_reserve(90)
    memory.charge(30)
    assert (memory.used, memory.available) == (120, 0)
    waiter = memory.wait(20, woken.by("a"))
    memory.release(30)
    assert not waiter.granted
    memory.release(10)
    assert waiter.granted


def test_pool_11_closing_tells_all_who_wait_and_those_who_come_later():
    memory, woken = BufferMemory(100), Woken()
    assert memory.try_reserve(100)
    waiters = [memory.wait(10, woken.by(index)) for index in range(3)]
    memory.close()
    late = memory.wait(10, woken.by("late"))
    assert woken == [0, 1, 2] and all(waiter.closed and not waiter.granted for waiter in (*waiters, late))
    memory.leave(late)
    memory.release(100)
    assert (memory.used, memory.waiting) == (0, 0)
    memory.close()
    assert woken == [0, 1, 2]


def test_pool_11_what_was_granted_before_the_end_is_given_back_after_it():
    memory, woken = BufferMemory(100), Woken()
    waiter = memory.wait(10, woken.by("a"))
    memory.close()
    assert waiter.granted and not waiter.closed
    memory.leave(waiter)
    assert memory.used == 0


def test_pool_12_more_than_32_bits():
    memory = BufferMemory(2**40)
    assert memory.try_reserve(2**35) and memory.available == 2**40 - 2**35


def test_giving_back_more_than_was_taken_is_a_bug_and_is_told():
    """trap 41: a batch that is given back at another size than it was charged."""
    memory = BufferMemory(100)
    assert memory.try_reserve(10)
    with pytest.raises(AssertionError, match="1 bytes more"):
        memory.release(11)


class MemoryMachine(RuleBasedStateMachine):
    """Any order of charges, waits, timeouts and ends, against a line that is kept by hand."""

    @initialize(capacity=st.integers(1, 50))
    def begin(self, capacity):
        self.memory = BufferMemory(capacity)
        self.held = []  # charges that are ours to give back
        self.line = []  # waiters, in order, that were told nothing yet
        self.granted = []
        self.woken = []
        self.closed = False

    def wake(self, at):
        return lambda: self.woken.append(at)

    def told(self):
        """Whoever was woken, stood first."""
        for at in self.woken:
            waiter, number = self.line.pop(0)
            assert number == at, "not in the order in which they came"
            assert waiter.granted != waiter.closed
            if waiter.granted:
                self.granted.append(waiter)
        self.woken.clear()

    @rule(size=st.integers(0, 60))
    def reserve(self, size):
        free = self.memory.capacity - self.memory.used
        got = self.memory.try_reserve(size)
        assert got == (not self.line and size <= free)
        if got:
            self.held.append(size)

    @rule(size=st.integers(0, 9))
    def charge(self, size):
        self.memory.charge(size)
        self.held.append(size)

    @rule(size=st.integers(0, 60), number=st.uuids())
    def wait(self, size, number):
        woken = []
        waiter = self.memory.wait(size, lambda: (woken.append(1), self.woken.append(number)))
        if self.closed:
            assert waiter.closed and not woken
        else:
            self.line.append((waiter, number))
            self.told()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data):
        at = data.draw(st.integers(0, len(self.held) - 1))
        self.memory.release(self.held.pop(at))
        self.told()

    @precondition(lambda self: self.granted)
    @rule(take=st.booleans())
    def granted_one(self, take):
        waiter = self.granted.pop(0)
        if take:
            self.held.append(self.memory.take(waiter))
        else:
            self.memory.leave(waiter)
            self.told()

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def give_up(self, data):
        waiter, _ = self.line.pop(data.draw(st.integers(0, len(self.line) - 1)))
        self.memory.leave(waiter)
        self.told()

    @precondition(lambda self: not self.closed)
    @rule()
    def close(self):
        self.memory.close()
        self.closed = True
        self.told()
        assert not self.line

    @invariant()
    def adds_up(self):
        if not hasattr(self, "memory"):
            return
        memory = self.memory
        assert memory.used == sum(self.held) + sum(waiter.size for waiter in self.granted)
        assert memory.waiting == len(self.line)
        assert memory.available == max(0, memory.capacity - memory.used)
        if self.line:
            first = self.line[0][0].size
            assert memory.used and memory.used + first > memory.capacity, "the first one is forgotten"

    def teardown(self):
        if not hasattr(self, "memory"):
            return
        while self.held or self.granted or self.line:
            if self.granted:
                self.granted_one(True)
            elif self.held:
                self.memory.release(self.held.pop())
                self.told()
            else:
                raise AssertionError(f"{len(self.line)} wait, and nobody has anything")
        assert self.memory.used == 0


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=60, stateful_step_count=30)
