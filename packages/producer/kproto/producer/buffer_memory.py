"""The bytes that records on their way may take, and who waits for some, first come first served.

Layer: producer. A core: who waits is told through a callable. Charges and releases are made under the accumulator's
lock. Waiters go first: whoever comes later queues behind them, so a large request is not starved by small ones.
Source: org.apache.kafka.clients.producer.internals.BufferPool (POOL-1 to POOL-12); the buffers themselves are Python's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

__all__ = ["BufferMemory", "MemoryWaiter"]


class MemoryWaiter:
    """One who waits. size: bytes that he needs; granted: whether they are his now; closed: no more will be given."""

    __slots__ = ("closed", "granted", "size", "wake")

    def __init__(self, size: int, wake: Callable[[], None]) -> None:
        self.size = size
        self.granted = False
        self.closed = False
        self.wake = wake


class BufferMemory:
    """See the module. capacity: bytes, buffer_memory. Not thread-safe: its owner holds a lock."""

    __slots__ = ("_closed", "_line", "capacity", "used")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.used = 0
        """Bytes that are charged; for a moment more than `capacity`, see `charge`."""
        self._line: deque[MemoryWaiter] = deque()
        self._closed = False

    @property
    def available(self) -> int:
        """Bytes that are free; 0 where more is charged than there is."""
        return max(0, self.capacity - self.used)

    @property
    def waiting(self) -> int:
        """How many wait: batches must leave now, whatever they linger for (READY-7, POOL-10)."""
        return len(self._line)

    def try_reserve(self, size: int) -> bool:
        """Charge so many bytes if they are free and nobody waits."""
        if self._line or self.used + size > self.capacity:
            return False
        self.used += size
        return True

    def charge(self, size: int) -> None:
        """Charge what is taken anyway, such as the overhead that a batch turns out to have."""
        self.used += size

    def release(self, size: int) -> None:
        """Give bytes back; those who wait get them in their order."""
        self.used -= size
        assert self.used >= 0, f"{-self.used} bytes more were given back than taken"
        self._grant()

    def wait(self, size: int, wake: Callable[[], None]) -> MemoryWaiter:
        """Get in line. wake: called once, under the owner's lock, when the bytes are granted or there is no hope."""
        waiter = MemoryWaiter(size, wake)
        if self._closed:
            waiter.closed = True
        else:
            self._line.append(waiter)
            self._grant()
        return waiter

    def leave(self, waiter: MemoryWaiter) -> None:
        """Wait no longer, and give back what was granted and not used. May be called for who has left already."""
        if waiter.granted:
            waiter.granted = False
            self.release(waiter.size)
        elif waiter in self._line:
            self._line.remove(waiter)
            self._grant()

    def take(self, waiter: MemoryWaiter) -> int:
        """The bytes that were granted: from now on they are the caller's to release."""
        assert waiter.granted
        waiter.granted = False
        return waiter.size

    def close(self) -> None:
        """Nobody gets any more: those who wait are told."""
        self._closed = True
        while self._line:
            waiter = self._line.popleft()
            waiter.closed = True
            waiter.wake()

    def _grant(self) -> None:
        line = self._line
        while line and (self.used + line[0].size <= self.capacity or not self.used):
            waiter = line.popleft()
            self.used += waiter.size
            waiter.granted = True
            waiter.wake()
