"""A network on virtual time: drives any `SansIO` core against scripted brokers, the same way for the same seed.

    broker = ScriptedBroker(ScriptedCluster(topics={"orders": 3}))
    network = SimulatedNetwork(client, names={"broker-0.test": ["10.0.0.1"]}, seed=7)
    network.serve("10.0.0.1", 9092, broker)
    network.run_until(lambda: client.ready, limit_ms=10_000)

Time stands still but in `run_until` and `advance`, which jump to the next event or deadline of the core. What happened
is in `log`, and in the text of every failure.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from client.other_ends import End
from client.scripted_broker import ScriptedBroker
from client.simulated_link import Chunking, Limits, Link

from kproto.client.effects import Close, Effect, FetchToken, Open, Resolve, SansIO
from kproto.client.errors import KafkaConnectionError, KafkaError

__all__ = ["SimulatedNetwork", "SimulationFailure"]

Port = ScriptedBroker | Literal["refuse", "hang"] | Callable[[], End]
Name = Sequence[str] | KafkaError | Literal["hang"]
RESET = "Connection reset by peer"
LOG_SHOWN = 60  # lines of the log that a failure shows
EMPTY_POLLS_MAX = 100  # at one millisecond, without anything having happened between them
EVENTS_MAX = 1_000_000  # at one millisecond: single bytes are events


class SimulationFailure(AssertionError):
    """The core broke its contract, ran in circles, or never did what was waited for; with the end of the log."""


@dataclass(order=True, slots=True)
class Event:
    """What happens at a time. Those of one time happen in the order in which they were made."""

    at_ms: int
    order: int
    happen: Callable[[], None] = field(compare=False)


class SimulatedNetwork:
    """One core, and the world as it sees it. Everything public may be changed while it runs. Not thread-safe.

    names: what a look-up finds; a numeric address is found as itself, any other name is unknown. "hang": no answer.
    seed: of all that is drawn here. latency_ms: one way, for bytes, connecting and look-ups; a function draws it.
    chunking: "whole", "bytes" (one by one), or "random" pieces, for what the core reads, writes, and the broker reads.
    window: bytes that the core may have sent and the server not got, on each connection; None for no bound.
    tokens: what OAUTHBEARER's provider gives, in turn, the last one ever after.
    """

    def __init__(
        self,
        core: SansIO,
        *,
        names: Mapping[str, Name] | None = None,
        seed: int = 0,
        latency_ms: int | Callable[[Random], int] = 1,
        chunking: Chunking = "whole",
        window: int | None = None,
        tokens: Sequence[str | KafkaError] = (),
    ) -> None:
        self.core = core
        self.now_ms = 0
        self.names = dict(names or {})
        self.rng = Random(seed)
        self.latency_ms = latency_ms
        self.chunking = chunking
        self.window = window
        self.tokens = list(tokens)
        self.log: list[str] = []
        self.links: dict[int, Link] = {}
        """Connection id -> link, of those that are open or opening."""
        self._ports: dict[tuple[str, int], Port] = {}
        self._down: set[tuple[str, int]] = set()
        self._limits: dict[tuple[str, int], list[Limits]] = {}
        self._asked: set[str] = set()
        self._opened: set[int] = set()
        self._events: list[Event] = []
        self._order = 0
        self._busy = (0, 0, 0)  # at which time, how many polls without an event between, how many events

    # The world

    def serve(self, address: str, port: int, server: Port) -> None:
        """Who accepts connections there: a broker, or what makes an `End` for each. "hang": nobody answers at all."""
        self._ports[address, port] = server

    def down(self, address: str, port: int) -> None:
        """The server dies: its connections are reset, new ones refused."""
        self._down.add((address, port))
        self.cut(address, port)

    def up(self, address: str, port: int) -> None:
        """It is back."""
        self._down.discard((address, port))

    def cut(self, address: str, port: int, reason: str | None = RESET) -> None:
        """End all connections to a server now, with what is under way in them; None for an orderly end."""
        for link in [link for link in self.links.values() if link.remote == (address, port)]:
            link.break_now(reason)

    def cut_after(
        self, address: str, port: int, *, sent: int | None = None, received: int | None = None, how: str | None = RESET
    ) -> None:
        """End the next connection to a server after so many bytes from or to the core; each call is for one more."""
        self._limits.setdefault((address, port), []).append((sent, received, how))

    def unplug(self, address: str, port: int) -> None:
        """Bytes to and from a server vanish, on all its connections of now, and nobody is told."""
        for link in self.links.values():
            link.unplugged = link.unplugged or link.remote == (address, port)

    # Time

    def run_until(self, condition: Callable[[], object], limit_ms: int = 60_000) -> None:
        """Until the condition holds. Raises SimulationFailure after limit_ms, and where nothing can happen any more."""
        deadline_ms = self.now_ms + limit_ms
        self._begin()
        while not condition():
            next_ms = self._next_ms()
            if next_ms is None:
                raise self.failure("hang: no event and no deadline is left")
            if next_ms > deadline_ms:
                raise self.failure(f"hang: it did not come within {limit_ms} ms; next would be {next_ms} ms")
            self._go_to(next_ms)

    def advance(self, ms: int) -> None:
        """So much time passes."""
        until_ms = self.now_ms + ms
        self._begin()
        while (next_ms := self._next_ms()) is not None and next_ms <= until_ms:
            self._go_to(next_ms)
        self.now_ms = until_ms
        self._settle()

    def failure(self, why: str) -> SimulationFailure:
        """What to raise: with the time, and the end of the log."""
        shown = "\n".join(self.log[-LOG_SHOWN:])
        return SimulationFailure(f"{why}\nat {self.now_ms} ms, after:\n{shown}")

    def note(self, text: str) -> None:
        """A line for the log."""
        self.log.append(f"{self.now_ms:>7} {text}")

    def at(self, delay_ms: int, happen: Callable[[], None]) -> None:
        """Something of the test's happens in so many milliseconds."""
        self.at_time(self.now_ms + delay_ms, happen)

    def at_time(self, at_ms: int, happen: Callable[[], None]) -> None:
        """Something happens at a time, behind all else of that time so far."""
        self._order += 1
        heapq.heappush(self._events, Event(at_ms, self._order, happen))

    def latency(self) -> int:
        """The next one-way delay."""
        return self.latency_ms if isinstance(self.latency_ms, int) else self.latency_ms(self.rng)

    def _next_ms(self) -> int | None:
        deadline_ms = self.core.next_deadline_ms()
        times = [self._events[0].at_ms] if self._events else []
        if deadline_ms is not None:
            times.append(deadline_ms)
        return max(self.now_ms, min(times)) if times else None

    def _go_to(self, at_ms: int) -> None:
        self.now_ms = at_ms
        if self._events and self._events[0].at_ms <= at_ms:
            self._count(event=True)
            heapq.heappop(self._events).happen()
        self._settle()

    def _count(self, *, event: bool) -> None:
        at_ms, polls, events = self._busy if self._busy[0] == self.now_ms else (self.now_ms, 0, 0)
        self._busy = (at_ms, 0, events + 1) if event else (at_ms, polls + 1, events)
        if polls >= EMPTY_POLLS_MAX:
            raise self.failure(f"livelock: polled {polls} times with nothing to do, deadline {self._deadline()}")
        if events >= EVENTS_MAX:
            raise self.failure(f"livelock: {events} events at one millisecond")

    def _deadline(self) -> str:
        return f"{self.core.next_deadline_ms()} ms"

    def _begin(self) -> None:
        self._busy = (self.now_ms, 0, 0)
        self._settle()

    def _settle(self) -> None:
        """Poll and move bytes until the core has said all that it has to say at this time."""
        while True:
            self._count(event=False)
            effects = self.core.poll(self.now_ms)
            for effect in effects:
                self._perform(effect)
            moved = [link.pump() for link in list(self.links.values())]
            if not effects and not any(moved):
                return

    # Effects

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Resolve(host, port):
                self._resolve(host, port)
            case Open(connection_id, address, port):
                self._open(connection_id, (address, port))
            case Close(connection_id, goodbye):
                link = self.links.pop(connection_id, None)
                self.note(f"#{connection_id} close" if link else f"#{connection_id} close, already gone")
                if link is not None:
                    link.close(goodbye)
            case FetchToken(connection_id):
                self._fetch_token(connection_id)

    def _resolve(self, host: str, port: int) -> None:
        if host in self._asked:
            raise self.failure(f"{host} is asked for again before it was answered")
        self._asked.add(host)
        numeric = ":" in host or host.replace(".", "").isdigit()
        unknown = KafkaConnectionError(f"{host}:{port}", "the name is not known")
        found = self.names.get(host, [host] if numeric else unknown)
        self.note(f"resolve {host}: {found if isinstance(found, (str, KafkaError)) else list(found)}")

        def answer() -> None:
            assert not isinstance(found, str)
            self._asked.discard(host)
            self.core.resolved(host, found, self.now_ms)

        if found != "hang":
            self.at(self.latency(), answer)

    def _open(self, connection_id: int, remote: tuple[str, int]) -> None:
        if connection_id in self._opened:
            raise self.failure(f"connection #{connection_id} is opened a second time")
        self._opened.add(connection_id)
        link = self.links[connection_id] = Link(self, connection_id, remote)
        self.note(f"#{connection_id} open {remote[0]}:{remote[1]}")
        if self._ports.get(remote) != "hang":
            self.at(self.latency(), lambda: self._arrive(link))

    def _arrive(self, link: Link) -> None:
        if self.links.get(link.connection_id) is not link:
            return
        server = "refuse" if link.remote in self._down else self._ports.get(link.remote, "refuse")
        if isinstance(server, str):
            link.break_now("Connection refused")
            return
        limits = self._limits.get(link.remote)
        end = server.connect() if isinstance(server, ScriptedBroker) else server()
        link.made(end, limits.pop(0) if limits else None)

    def _fetch_token(self, connection_id: int) -> None:
        if not self.tokens:
            raise self.failure(f"#{connection_id} fetches a token, and the test has none")
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        self.note(f"#{connection_id} fetch a token")
        self.at(self.latency(), lambda: self.core.token_fetched(connection_id, token, self.now_ms))
