"""What each part of accepting a record costs: the fast way into an open batch, with one part left out at a time.

No broker takes part: there is one batch, open and with room for all, of the producer's own accumulator. Times are of
the thread, so that what else the machine does counts only where it slows it down.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from random import Random
from statistics import median, quantiles
from threading import RLock
from typing import Any, Final

from benchmarks.producers.payload import keys, values
from benchmarks.producers.profile_parts import PARTS, Make, ProfileError, without
from benchmarks.producers.runs import order
from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.config import ProducerConfig
from kproto.producer.delivery import Delivery
from kproto.producer.partitioner import PartitionChoices
from kproto.producer.queues import Appended, PartitionQueue
from kproto.wire.records.record_heads import KEPT_DELTAS, record_heads

__all__ = ["Middle", "RecordCosts", "World", "measure_record"]

TOPIC: Final = "orders"
RECORDS: Final = 4_000  # of a batch, and of a stretch that is timed: about two milliseconds
VALUE_SIZE: Final = 100  # bytes
KEYS: Final = 1_000
PARTITIONS: Final = 12
BATCH_SIZE: Final = 1 << 20  # bytes: more than the records take
TRIES: Final = 30  # of a stretch in which records went another way, because the machine stood still, say
WARM_UP_ROUNDS: Final = 3


class World:
    """A batch that is open, with routes for these keys, and a `send` into it. partitions: as many batches."""

    def __init__(self, make: Make, known: Sequence[bytes], partitions: int = 1) -> None:
        config = ProducerConfig.of(bootstrap_servers="localhost:9092", batch_size=BATCH_SIZE)
        accumulator = self._accumulator = RecordAccumulator(config, lock=RLock(), rng=Random(1))
        topic = self.topic = accumulator.topic(TOPIC)
        topic.choices = PartitionChoices((*range(partitions),), (*range(partitions),))
        accumulator.routes[TOPIC] = topic.routes
        self.other_ways = 0
        for partition in range(partitions):
            self._append(topic.queue(partition), int(time.time() * 1000), known[0], b"", None)
        for key in known:
            topic.routes[key]
        self.send = make(
            accumulator.routes,
            slow=self._slow,
            new=Delivery,
            roll=self._roll,
            clock=time.time,
            turn=accumulator.turn_sticky,
            sticky_bytes_max=2 * BATCH_SIZE,
        )

    def _slow(self, *arguments: object) -> None:
        raise ProfileError(f"a record went the slow way, which is not measured: {arguments!r:.200}")

    def _roll(self, queue: PartitionQueue, at_ms: int, key: bytes, value: bytes, call: Any) -> tuple[Any, int, int]:
        self.other_ways += 1
        appended = self._append(queue, at_ms, key, value, call)
        return appended.batch, appended.index, appended.batch.largest_record

    def _append(self, queue: PartitionQueue, at_ms: int, key: bytes, value: bytes, call: Any) -> Appended:
        partition, fields = queue.partition.partition, (at_ms, key, value, ())
        appended = self._accumulator.append(self.topic, partition, fields, call, now_ms=0, clocked=True)
        if not isinstance(appended, Appended):
            raise ProfileError("there is no memory for the batches")
        return appended


@dataclass(frozen=True, slots=True)
class Middle:
    """Of the rounds: the median, the middle half of them, and the ends."""

    median: float
    first_quarter: float
    last_quarter: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Middle:
        """At least one figure."""
        quarters = quantiles(figures, n=4, method="inclusive") if len(figures) > 1 else [*figures] * 3
        return cls(median(figures), quarters[0], quarters[2], min(figures), max(figures))


@dataclass(frozen=True, slots=True)
class RecordCosts:
    """All in ns a record. loop: over the records, and nothing else; call: of a function with the arguments of `send`
    that does nothing; parts: what is saved without each; on_delivery, partitions: what the whole takes more with a
    callback, and with twelve batches in turn."""

    rounds: int
    whole: Middle
    loop: Middle
    call: Middle
    parts: Mapping[str, Middle]
    on_delivery: Middle
    partitions: Middle

    @property
    def rest(self) -> float:
        """What of the whole no part accounts for."""
        known = (self.loop, self.call, *self.parts.values())
        return self.whole.median - sum(each.median for each in known)


def _nothing(
    topic: str,
    value: Any = None,
    key: Any = None,
    *,
    partition: int | None = None,
    timestamp_ms: int | None = None,
    headers: Any = None,
    on_delivery: Any = None,
) -> Any:
    return None


def _ended(metadata: object, error: object) -> None:
    """Nothing ends here."""


Pairs = Sequence[tuple[bytes, bytes]]


def _plain(send: Callable[..., Any], pairs: Pairs) -> float:
    topic = TOPIC
    began = time.thread_time_ns()
    for value, key in pairs:
        send(topic, value, key)
    return (time.thread_time_ns() - began) / len(pairs)


def _called_back(send: Callable[..., Any], pairs: Pairs) -> float:
    topic, ended = TOPIC, _ended
    began = time.thread_time_ns()
    for value, key in pairs:
        send(topic, value, key, on_delivery=ended)
    return (time.thread_time_ns() - began) / len(pairs)


def _loop(pairs: Pairs) -> float:
    began = time.thread_time_ns()
    for _value, _key in pairs:
        pass
    return (time.thread_time_ns() - began) / len(pairs)


def _in_a_world(
    way: Callable[..., float], make: Make, known: Sequence[bytes], pairs: Pairs, partitions: int = 1
) -> float:
    """Again, where a record went another way than it should. Raises ProfileError where that does not end."""
    for _ in range(TRIES):
        world = World(make, known, partitions)
        taken = way(world.send, pairs)
        if not world.other_ways:
            return taken
    raise ProfileError(f"in each of {TRIES} stretches records went another way: is the machine too busy?")


Stretch = Callable[[], float]
"""ns a record."""


def _pairs_of_stretches(pairs: Pairs) -> dict[str, tuple[Stretch, Stretch]]:
    """What is timed side by side, by name: the second less the first is the figure."""
    known = sorted({key for _, key in pairs})

    def of(make: Make, way: Callable[..., float] = _plain, partitions: int = 1) -> Stretch:
        return partial(_in_a_world, way, make, known, pairs, partitions)

    whole = of(without(None))
    return {
        "call": (partial(_loop, pairs), partial(_plain, _nothing, pairs)),
        "on_delivery": (whole, of(without(None), _called_back)),
        "partitions": (whole, of(without(None), partitions=PARTITIONS)),
        **{part.name: (of(without(part)), whole) for part in PARTS},
    }


@contextmanager
def _no_collector() -> Iterator[None]:
    """Nothing that is timed keeps anything that the collector would look at; its whims are none of ours."""
    enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


def measure_record(rounds: int, progress: Callable[[], None] = lambda: None) -> RecordCosts:
    """Each part beside the whole, in turn, all in reverse every other round. Raises ProfileError."""
    pairs = list(zip(values(VALUE_SIZE, RECORDS), keys(KEYS, RECORDS), strict=True))
    for delta in range(KEPT_DELTAS):
        record_heads(delta, RECORDS)  # or records would go the slow way to make the tables
    stretches = _pairs_of_stretches(pairs)
    names, times = [*stretches], {name: list[tuple[float, float]]() for name in stretches}
    with _no_collector():
        for number in range(-WARM_UP_ROUNDS, rounds):
            for at in order(len(names), number):
                pair = stretches[names[at]]
                first, second = (pair[side]() for side in order(2, number))
                if number >= 0:
                    times[names[at]].append((second, first) if number % 2 else (first, second))
            gc.collect()
            progress()
    return _costs(times)


def _costs(times: Mapping[str, Sequence[tuple[float, float]]]) -> RecordCosts:
    """By name, what both sides took in each round."""
    more = {name: Middle.of([second - first for first, second in taken]) for name, taken in times.items()}
    parts = {part.name: more[part.name] for part in PARTS}
    return RecordCosts(
        rounds=len(times["call"]),
        whole=Middle.of([whole for name in parts for _, whole in times[name]]),
        loop=Middle.of([loop for loop, _ in times["call"]]),
        call=more["call"],
        parts=parts,
        on_delivery=more["on_delivery"],
        partitions=more["partitions"],
    )
