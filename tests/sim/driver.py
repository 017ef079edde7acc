"""Drives the producer's core on virtual time, step by step as `kproto.client.passes` does on real time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sim.world import World

__all__ = ["SimulatedDriver"]

DECISIONS_MAX: Final = 100
EMPTY_PASSES_MAX: Final = 100  # in one millisecond, without anything having happened


class SimulatedDriver:
    """See the module. collect: at the end of each pass, inside the guard; deliver: behind it."""

    def __init__(self, world: World, collect: Callable[[], None], deliver: Callable[[], None]) -> None:
        self.deadline_ms: int | None = 0
        self.closed = False
        self._world = world
        self._collect = collect
        self._deliver = deliver
        self._calls: list[Callable[[int], None]] = []
        self._inside = False
        self._busy = (0, 0)

    def call(self, action: Callable[[int], None]) -> None:
        """Have this done inside the guard, and a pass made."""
        self._calls.append(action)
        self.run_pass()

    def wake(self) -> None:
        """A pass is to come soon."""
        self._world.at(0, self.run_pass)

    def wake_by(self, at_ms: int) -> None:
        """A pass is to come at this time."""
        if self.deadline_ms is None or at_ms < self.deadline_ms:
            self.deadline_ms = at_ms

    def run_pass(self) -> None:
        """Let the core decide, write, and hand over what has ended; not inside another pass."""
        if self._inside or self.closed:
            return
        self._inside = True
        try:
            self._pass()
        finally:
            self._inside = False
        self._deliver()

    def _pass(self) -> None:
        world = self._world
        world.touched = False
        self._count()
        while self._calls:
            self._calls.pop(0)(world.now_ms)
        for _ in range(DECISIONS_MAX):
            effects = world.core.poll(world.now_ms)
            for effect in effects:
                world.network.perform(effect)
            written = [world.network.write(one) for one in [*world.network.connections.values()] if one.end is not None]
            self.deadline_ms = world.core.next_deadline_ms()
            again = effects or (any(written) and world.core.wants_poll_after_write(world.now_ms))
            if not again and (self.deadline_ms is None or self.deadline_ms > world.now_ms):
                break
        else:
            world.oracle.violated(5, f"the core wants {DECISIONS_MAX} decisions in one pass")
            self.closed = True
        world.oracle.passed()
        self._collect()

    def _count(self) -> None:
        """Nobody may run in circles."""
        world = self._world
        passes = self._busy[1] + 1 if self._busy[0] == world.now_ms else 0
        self._busy = (world.now_ms, passes)
        if passes > EMPTY_PASSES_MAX + 20 * world.happened_at(world.now_ms):
            world.oracle.violated(5, f"{passes} passes in one millisecond")
            self.closed = True
