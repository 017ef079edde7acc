"""What is compared with what: groups of contenders, how many records each sends, and what kproto aims at beside a peer.

A row is a contender of a group; its name is `group/contender`, without commas. growth: batch_growth_max_bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

__all__ = ["BROKER_WARM_UP", "GROUPS", "Contender", "Figure", "Group", "Target", "external", "row_name"]

GROWTH: Final = 262_144  # bytes, of elastic batches
CONFLUENT: Final = "confluent-kafka"
SECOND: Final = 500_000  # records, of the fast ones: about a second


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of each turn. more_is_better: or less."""

    name: str
    unit: str
    more_is_better: bool

    def better(self, one: float, other: float) -> bool:
        """Whether the one is as good as the other, or better."""
        return one >= other if self.more_is_better else one <= other


RATE: Final = Figure("rate", "k records/s", True)
CPU: Final = Figure("cpu_us", "CPU us a record", False)
P50: Final = Figure("p50_ms", "ms p50", False)
P99: Final = Figure("p99_ms", "ms p99", False)


@dataclass(frozen=True, slots=True)
class Target:
    """What a contender's figure is held against: a peer's of the same round, or None for the figure itself.

    floor, aim: of the ratio, or of the figure; None where it is only told.
    """

    figure: Figure
    peer: str | None
    floor: float | None = None
    aim: float | None = None


@dataclass(frozen=True, slots=True)
class Contender:
    """A way of a client, with settings of its own. command: of an external program, which has no client.

    partitions: where they differ from the group's.
    """

    name: str
    client: str
    way: str
    records: int = SECOND
    settings: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    threads: int = 1
    partitions: int | None = None
    command: str | None = None

    @property
    def ours(self) -> bool:
        """Whether it is kproto."""
        return self.client == "kproto"


@dataclass(frozen=True, slots=True)
class Group:
    """Contenders that send the same records and take turns. figure: what its bars show.

    size: bytes of a value. cardinality: of the keys; run: how many records in a row have the same one. linger_ms: of
    all clients.
    """

    name: str
    about: str
    contenders: tuple[Contender, ...]
    size: int = 100
    partitions: int = 12
    compression: str = "none"
    cardinality: int = 1_000
    run: int = 1
    linger_ms: int = 5
    figure: Figure = RATE

    def scaled(self, scale: float) -> Group:
        """With fewer records, at least a hundred of each."""
        fewer = (replace(one, records=max(100, round(one.records * scale))) for one in self.contenders)
        return replace(self, contenders=tuple(fewer))

    def contender(self, name: str) -> Contender:
        """By its name."""
        return next(one for one in self.contenders if one.name == name)

    def only(self, names: set[str]) -> Group:
        """These, and the peers that they are held against."""
        peers = {target.peer for one in self.contenders if one.name in names for target in one.targets}
        return replace(self, contenders=tuple(one for one in self.contenders if one.name in names | peers))


def row_name(group: Group, contender: Contender) -> str:
    """As --rows takes it."""
    return f"{group.name}/{contender.name}"


def external(group: Group, name: str, command: str) -> Group:
    """The group with one more contender, held against kproto's first and the first peer."""
    ours = [one for one in group.contenders if one.ours][:1]
    peers = [one for one in group.contenders if not one.ours][:1]
    targets = tuple(Target(group.figure, one.name) for one in (*ours, *peers))
    records = max(one.records for one in group.contenders)
    added = Contender(name, "external", "external", records, targets=targets, command=command)
    return replace(group, contenders=(*group.contenders, added))


def _kproto(
    way: str, *targets: Target, records: int = SECOND, growths: tuple[int, ...] = (0, GROWTH), name: str = ""
) -> Iterator[Contender]:
    """A way of kproto, once for each setting of batch_growth_max_bytes."""
    for growth in growths:
        told = f"{growth // 1024}K" if growth else "0"
        yield Contender(
            f"kproto {name or way} (growth {told})", "kproto", way, records, {"batch_growth_max_bytes": growth}, targets
        )


def _confluent(records: int = SECOND, way: str = "on_delivery") -> Contender:
    return Contender(CONFLUENT, CONFLUENT, way, records)


def _aiokafka(records: int, way: str = "send") -> Contender:
    return Contender("aiokafka", "aiokafka", way, records)


def _beside(figure: Figure, peer: str, floor: float | None = None, aim: float | None = None) -> Target:
    return Target(figure, peer, floor, aim)


def _codec(name: str, floor: float, aim: float, records: int, *others: Contender) -> Group:
    return Group(
        f"1KiB-{name}",
        f"1 KiB, 12 partitions, {name}",
        (
            *_kproto("on_delivery", _beside(RATE, CONFLUENT, floor, aim), records=records),
            *_kproto("send_many", _beside(RATE, CONFLUENT), records=records, growths=(0,)),
            _confluent(records),
            *others,
        ),
        size=1024,
        compression=name,
    )


BROKER_WARM_UP: Final = Group(
    "warm-up", "for a broker that was just started: its first seconds are slow", (_confluent(),)
)

_MANY_PARTITIONS: Final = {"batch_size": 2_048, "linger_ms": 1_000}
"""A batch has room for the 16 records of a key that come in a row, and leaves when more come, so each holds as many."""


def _partitions(name: str, partitions: int, settings: Mapping[str, Any], *targets: Target) -> Contender:
    return Contender(name, "kproto", "on_delivery", 300_000, settings, targets, partitions=partitions)


GROUPS: Final[tuple[Group, ...]] = (
    Group(
        "12p",
        "100 B, 12 partitions",
        (
            *_kproto("on_delivery", _beside(RATE, CONFLUENT, 0.8, 1.05)),
            *_kproto("send", _beside(RATE, CONFLUENT, 0.7, 0.95), _beside(RATE, "aiokafka", 5, 7)),
            *_kproto("send_many", _beside(RATE, CONFLUENT, 1.8, 2.5)),
            *_kproto(
                "enqueue",
                _beside(RATE, "aiokafka", 5, 7.5),
                _beside(RATE, "AIOProducer", 5, 7),
                name="AsyncProducer.enqueue",
            ),
            _confluent(),
            Contender("AIOProducer", CONFLUENT, "enqueue", 80_000),
            _aiokafka(80_000),
            Contender("kafka-python", "kafka-python", "send", 25_000),
        ),
    ),
    Group(
        "1p",
        "100 B, 1 partition",
        (
            *_kproto("on_delivery", _beside(RATE, CONFLUENT)),
            *_kproto("send", _beside(RATE, CONFLUENT), _beside(RATE, "aiokafka"), growths=(GROWTH,)),
            *_kproto("send_many", _beside(RATE, CONFLUENT), growths=(GROWTH,)),
            _confluent(),
            _aiokafka(80_000),
        ),
        partitions=1,
    ),
    _codec("none", 0.8, 1.1, 200_000),
    _codec(
        "zstd",
        0.5,
        0.65,
        200_000,
        *_kproto(
            "enqueue", _beside(RATE, "aiokafka", 4, 6), name="AsyncProducer.enqueue", records=150_000, growths=(0,)
        ),
        _aiokafka(30_000),
    ),
    _codec("lz4", 0.8, 1.0, 200_000),
    Group(
        "idle",
        "one record after the other, each delivered, 1 partition, linger 0",
        (
            *_kproto("idle", _beside(P50, CONFLUENT, 1.6, 1.1), records=2_000, growths=(0,), name="send().result()"),
            *_kproto("async_idle", _beside(P50, CONFLUENT), records=2_000, growths=(0,), name="await send()"),
            _confluent(2_000, "idle"),
            _aiokafka(2_000, "idle"),
            Contender("kafka-python", "kafka-python", "idle", 1_000),
        ),
        partitions=1,
        linger_ms=0,
        figure=P50,
    ),
    Group(
        "busy",
        "3 us of work for each record, 1 partition: time to the delivery",
        (
            *_kproto(
                "busy", Target(P50, None, 3, 1), Target(P99, None, 20, 3), _beside(P50, CONFLUENT), records=200_000
            ),
            _confluent(200_000, "busy"),
        ),
        partitions=1,
        figure=P50,
    ),
    Group(
        "threads",
        "100 B, 12 partitions, one callback for all",
        (
            Contender("kproto 1 thread (growth 0)", "kproto", "threads"),
            Contender(
                "kproto 4 threads (growth 0)",
                "kproto",
                "threads",
                targets=(_beside(RATE, "kproto 1 thread (growth 0)", 0.7, 0.9),),
                threads=4,
            ),
        ),
    ),
    Group(
        "1000p",
        "100 B, runs of 16 records with the same of 10,000 keys; equal: each is a batch",
        (
            _partitions("kproto 12p equal (growth 0)", 12, _MANY_PARTITIONS),
            _partitions(
                "kproto 1000p equal (growth 0)",
                1_000,
                _MANY_PARTITIONS,
                _beside(CPU, "kproto 12p equal (growth 0)", 1.6, 1.2),
            ),
            _partitions(
                "kproto 1000p default (growth 0)",
                1_000,
                {},
                _beside(CPU, "kproto 12p equal (growth 0)"),
            ),
        ),
        cardinality=10_000,
        run=16,
        figure=CPU,
    ),
    Group(
        "1M-keys",
        "100 B, 12 partitions, a key of its own for each record, out of 1 M",
        (
            *_kproto("on_delivery", _beside(RATE, CONFLUENT), growths=(0,)),
            *_kproto("send_many", _beside(RATE, CONFLUENT), growths=(0,)),
            _confluent(),
        ),
        cardinality=1_000_000,
    ),
)
