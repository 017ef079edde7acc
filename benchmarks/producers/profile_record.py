"""What each part of accepting a record costs: the fast way into an open batch, with one part left out at a time.

The parts are cut out of the text of `fast_send.make_fast_send`, so that what is measured is what runs. Each text that
is cut has to stand there exactly as often as is said here: where the fast way has changed, this fails, and says where.
No broker takes part: one batch, open and with room for all, of the producer's own accumulator.
"""

from __future__ import annotations

import gc
import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from statistics import median, quantiles
from threading import RLock
from typing import Any, Final

from benchmarks.producers.payload import keys, values
from benchmarks.producers.runs import order
from kproto.producer import fast_send
from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.config import ProducerConfig
from kproto.producer.delivery import Delivery
from kproto.producer.partitioner import PartitionChoices
from kproto.producer.queues import Appended, PartitionQueue
from kproto.wire.records.record_heads import KEPT_DELTAS, record_heads

__all__ = ["PARTS", "Middle", "Part", "ProfileError", "RecordCosts", "World", "measure_record", "without"]

TOPIC: Final = "orders"
RECORDS: Final = 4_000  # of a batch, and of a stretch that is timed: about two milliseconds
VALUE_SIZE: Final = 100  # bytes
KEYS: Final = 1_000
BATCH_SIZE: Final = 1 << 20  # bytes: more than the records take
OTHER_WAY_MAX: Final = 40  # records that may go the slow way, because the machine has stood still, say
WARM_UP_ROUNDS: Final = 3


class ProfileError(Exception):
    """The figures would mean something else than is said; says what has changed, or what went wrong."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something that may be left out. cuts: a text, how often it stands there, and what is put in its place."""

    name: str
    cuts: tuple[tuple[str, int, str], ...]


ADDS: Final = "builder.count == index and size < batch.room"
NO_STEP: Final = ""

PARTS: Final = (
    Part(
        "the arguments that most records lack: partition, timestamp, headers",
        (
            ("timestamp_ms is None and ", 1, NO_STEP),
            ("if partition is None:", 1, "if True:"),
            ("if headers is None:", 1, "if True:"),
        ),
    ),
    Part("whether the value is bytes", ((" and type(value) is bytes:", 1, ":"),)),
    Part(
        "the way of the key: topic and key are looked up, the queue of the partition is found",
        (
            ("sizes, sized, no_headers = ", 1, "route = routes['orders'][next(iter(routes['orders']))]; "
             "sizes, sized, no_headers = "),
            ("= routes[topic][key]", 1, "= route"),
        ),
    ),
    Part("the clock", (("now_s = clock()", 1, "now_s = 0.0"),)),
    Part("whether the millisecond is over", (("ticks = now_s >= batch.tick_end_s", 1, "ticks = False"),)),
    Part("the first look: whether a batch is open", (("if batch.room > 0:", 1, "if True:"),)),
    Part("the head: deltas of timestamp and offset, from a table", (("head = heads[index]", 1, "head = no_headers"),)),
    Part(
        "the sizes: of value and record, and how long these are as varints",
        (
            ("value_size = len(value)", 1, "pass"),
            ("value_part = sized[value_size]", 1, "pass"),
            ("record_size = key_size + value_part + len(head)", 1, "pass"),
            ("added = sized[record_size]", 1, "added = 120"),
            ("sizes[record_size]", 1, "no_headers"),
            ("sizes[value_size]", 1, "no_headers"),
        ),
    ),
    Part(
        "the pieces: a tuple of six, and their place in the list",
        (
            ("record = (sizes[record_size], head, key_part, sizes[value_size], value, tail)", 1, "pass"),
            ("builder.parts += record; ", 3, NO_STEP),
        ),
    ),
    Part("the second look: whether the batch is as it was, and has room", ((f"if {ADDS}: ", 3, "if True: "),)),
    Part("the count and size of the batch", (("builder.size = size; builder.count = index + 1; ", 3, NO_STEP),)),
    Part(
        "the future, and its batch and index",
        (
            ("delivery = new()", 4, "delivery = True"),
            ("delivery._batch = batch", 1, "pass"),
            ("delivery._index = index", 1, "pass"),
        ),
    ),
    Part("whether it is in, or goes the slow way", (("if delivery is None:", 1, "if False:"),)),
    Part(
        "the largest record of the batch",
        (("if added > batch.largest_record:", 1, "if False:"),),
    ),
    Part("whether the partition is the sticky one", (("if unkeyed is not None:", 1, "if False:"),)),
)

Make = Callable[..., Callable[..., Any]]


def without(part: Part | None, source: str | None = None) -> Make:
    """`make_fast_send` without this part; with all of them for None. source: another text of it.

    Raises ProfileError where the text that is to be cut is not there, or elsewhere, too.
    """
    source = inspect.getsource(fast_send.make_fast_send) if source is None else source
    name = "nothing" if part is None else part.name
    for text, times, instead in () if part is None else part.cuts:
        found = source.count(text)
        if found != times:
            raise ProfileError(
                f"{text!r} stands {found} times in make_fast_send, not {times}: the fast way has changed, and so must "
                f"the cut for {name!r} in {__name__}"
            )
        source = source.replace(text, instead)
    namespace: dict[str, Any] = dict(vars(fast_send))
    exec(compile(f"from __future__ import annotations\n{source}", f"<without {name}>", "exec"), namespace)
    made: Make = namespace["make_fast_send"]
    return made


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
        if self.other_ways > OTHER_WAY_MAX:
            raise ProfileError(f"more than {OTHER_WAY_MAX} of {RECORDS} records did not go the fast way")
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
    that does nothing; parts: what is saved without each; rest: what of the whole no part accounts for; on_delivery,
    partitions: what the whole takes more with a callback, and with twelve batches in turn."""

    rounds: int
    whole: Middle
    loop: Middle
    call: Middle
    parts: Mapping[str, Middle]
    rest: Middle
    on_delivery: Middle
    partitions: Middle


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
    began = time.perf_counter_ns()
    for value, key in pairs:
        send(topic, value, key)
    return (time.perf_counter_ns() - began) / len(pairs)


def _called_back(send: Callable[..., Any], pairs: Pairs) -> float:
    topic, ended = TOPIC, _ended
    began = time.perf_counter_ns()
    for value, key in pairs:
        send(topic, value, key, on_delivery=ended)
    return (time.perf_counter_ns() - began) / len(pairs)


def _loop(pairs: Pairs) -> float:
    began = time.perf_counter_ns()
    for _value, _key in pairs:
        pass
    return (time.perf_counter_ns() - began) / len(pairs)


def _stretches(pairs: Pairs) -> dict[str, Callable[[], float]]:
    """What is timed in each round, by name: ns a record."""
    known, whole = sorted({key for _, key in pairs}), without(None)

    def of(make: Make) -> Callable[[], float]:
        return lambda: _plain(World(make, known).send, pairs)

    found: dict[str, Callable[[], float]] = {
        "whole": of(whole),
        "loop": lambda: _loop(pairs),
        "call": lambda: _plain(_nothing, pairs),
        "on_delivery": lambda: _called_back(World(whole, known).send, pairs),
        "partitions": lambda: _plain(World(whole, known, 12).send, pairs),
    }
    return {**found, **{part.name: of(without(part)) for part in PARTS}}


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
    """All stretches in turn, in reverse every other round; differences are of one round. Raises ProfileError."""
    pairs = list(zip(values(VALUE_SIZE, RECORDS), keys(KEYS, RECORDS), strict=True))
    for delta in range(KEPT_DELTAS):
        record_heads(delta, RECORDS)  # or records would go the slow way to make the tables
    stretches = _stretches(pairs)
    names, times = [*stretches], {name: list[float]() for name in stretches}
    with _no_collector():
        for number in range(-WARM_UP_ROUNDS, rounds):
            for at in order(len(names), number):
                taken = stretches[names[at]]()
                if number >= 0:
                    times[names[at]].append(taken)
            gc.collect()
            progress()
    return _costs(times)


def _costs(times: Mapping[str, Sequence[float]]) -> RecordCosts:
    """By name, the time of each round."""

    def more(one: str, other: str) -> list[float]:
        return [a - b for a, b in zip(times[one], times[other], strict=True)]

    saved = {part.name: more("whole", part.name) for part in PARTS}
    rest = [whole - sum(each) for whole, *each in zip(times["whole"], times["call"], *saved.values(), strict=True)]
    return RecordCosts(
        rounds=len(times["whole"]),
        whole=Middle.of(times["whole"]),
        loop=Middle.of(times["loop"]),
        call=Middle.of(more("call", "loop")),
        parts={name: Middle.of(figures) for name, figures in saved.items()},
        rest=Middle.of(rest),
        on_delivery=Middle.of(more("on_delivery", "whole")),
        partitions=Middle.of(more("partitions", "whole")),
    )
