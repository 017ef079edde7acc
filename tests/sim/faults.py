"""What can go wrong, by name: how each is drawn, and what it does to a world."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sim.plan import Draw, Fault, Surroundings, TopicPlan

from kproto.tools.judge import NO_LEADER, FaultPoint
from kproto.tools.judge import Fault as Judged
from kproto.wire import ApiKey, ErrorCode

if TYPE_CHECKING:
    from sim.world import World

__all__ = ["FATAL", "FAULTS", "draw_fault"]

E = ErrorCode
Happens = Callable[["World", Fault], None]

BEFORE: Final = (
    # What a broker answers without having written anything.
    *(E.CORRUPT_MESSAGE, E.NOT_ENOUGH_REPLICAS, E.UNKNOWN_TOPIC_OR_PARTITION, E.LEADER_NOT_AVAILABLE),
    *(E.NOT_LEADER_OR_FOLLOWER, E.REQUEST_TIMED_OUT, E.KAFKA_STORAGE_ERROR, E.FENCED_LEADER_EPOCH),
    *(E.THROTTLING_QUOTA_EXCEEDED, E.UNKNOWN_TOPIC_ID, E.NETWORK_EXCEPTION),
)
FAILS: Final = (
    *(E.MESSAGE_TOO_LARGE, E.INVALID_TOPIC_EXCEPTION, E.RECORD_LIST_TOO_LARGE, E.TOPIC_AUTHORIZATION_FAILED),
    *(E.INVALID_TIMESTAMP, E.INVALID_REQUEST, E.POLICY_VIOLATION, E.INVALID_RECORD, E.UNKNOWN_SERVER_ERROR, 9_999),
)
AFTER: Final = (
    # What a broker may also answer when it has written the batch.
    *(E.NOT_LEADER_OR_FOLLOWER, E.REQUEST_TIMED_OUT, E.NOT_ENOUGH_REPLICAS_AFTER_APPEND, E.KAFKA_STORAGE_ERROR),
    *(E.UNKNOWN_SERVER_ERROR, E.LEADER_NOT_AVAILABLE, E.UNKNOWN_TOPIC_OR_PARTITION, 9_999),
)
FATAL: Final = (E.CLUSTER_AUTHORIZATION_FAILED, E.UNSUPPORTED_VERSION, E.PRODUCER_FENCED)
OTHER_APIS: Final = (ApiKey.METADATA, ApiKey.INIT_PRODUCER_ID, ApiKey.API_VERSIONS)
RETRIED: Final = (E.UNKNOWN_SERVER_ERROR, E.LEADER_NOT_AVAILABLE, E.REQUEST_TIMED_OUT)
ID_RETRIED: Final = (E.COORDINATOR_NOT_AVAILABLE, E.COORDINATOR_LOAD_IN_PROGRESS, E.CLUSTER_AUTHORIZATION_FAILED)


# The network


def _cut(world: World, fault: Fault) -> None:
    world.network.cut(fault.node, "Connection reset by peer" if fault.code else None)


def _cut_after(world: World, fault: Fault) -> None:
    world.network.cut_after(fault.node, to_broker=bool(fault.code), size=fault.count)


def _stall(world: World, fault: Fault) -> None:
    world.network.stall(fault.node, to_broker=bool(fault.code), ms=fault.ms)


def _half_close(world: World, fault: Fault) -> None:
    world.network.half_close(fault.node)


def _unplug(world: World, fault: Fault) -> None:
    world.network.unplug(fault.node, both=not fault.code)


def _down(world: World, fault: Fault) -> None:
    world.network.down(fault.node)
    world.at(fault.ms, lambda: world.network.up(fault.node))


def _hang(world: World, fault: Fault) -> None:
    world.network.hang(fault.node)
    world.at(fault.ms, lambda: world.network.up(fault.node))


def _freeze(world: World, fault: Fault) -> None:
    world.freeze(fault.ms)


def _no_names(world: World, fault: Fault) -> None:
    world.network.names_fail = True

    def back() -> None:
        world.network.names_fail = False

    world.at(fault.ms, back)


def _wall(world: World, fault: Fault) -> None:
    world.wall_ms += fault.ms


# Brokers


def _on(what: Callable[[Fault], Judged], api: int | None = ApiKey.PRODUCE) -> Happens:
    def happens(world: World, fault: Fault) -> None:
        about = fault.partition if api is None else api
        node = None if fault.node < 0 else fault.node
        world.cluster.fail(about, what(fault), node=node, times=fault.count)

    return happens


def _scope(fault: Fault) -> dict[str, Any]:
    return {"topic": fault.topic, "partition": fault.partition} if fault.topic else {}


_A, _B, _M, _P = FaultPoint.AFTER_APPEND, FaultPoint.BEFORE_APPEND, FaultPoint.MID_REPLY, FaultPoint.BEFORE_PARSE


# The cluster


def _move(world: World, fault: Fault) -> None:
    if world.has(fault):
        world.cluster.move_leader(fault.topic, fault.partition, fault.node)


def _no_leader(world: World, fault: Fault) -> None:
    if not world.has(fault):
        return
    before = world.cluster.image.topics[fault.topic].partitions[fault.partition].leader
    world.cluster.no_leader(fault.topic, fault.partition)

    def elected() -> None:
        if world.cluster.image.topics[fault.topic].partitions[fault.partition].leader == NO_LEADER:
            world.cluster.move_leader(fault.topic, fault.partition, max(0, before))

    world.at(fault.ms, elected)


def _roll(world: World, fault: Fault) -> None:
    """A broker goes, and what it led with it."""
    world.network.down(fault.node)
    others = [node for node in world.cluster.image.nodes if node != fault.node]
    if others:
        for name, topic in world.cluster.image.topics.items():
            for index, one in enumerate(topic.partitions):
                if one.leader == fault.node:
                    world.cluster.move_leader(name, index, others[index % len(others)])
    world.at(fault.ms, lambda: world.network.up(fault.node))


def _late_news(world: World, fault: Fault) -> None:
    world.cluster.brokers[fault.node].metadata_delay_ms = fault.ms


def _isr(world: World, fault: Fault) -> None:
    if world.has(fault):
        world.cluster.configure(fault.topic, min_insync_replicas=2)
        leader = world.cluster.image.topics[fault.topic].partitions[fault.partition].leader
        world.cluster.set_isr(fault.topic, fault.partition, leader)
        world.at(fault.ms, lambda: world.cluster.configure(fault.topic, min_insync_replicas=1))


def _forget(world: World, fault: Fault) -> None:
    if world.has(fault):
        world.forget_producers(fault.topic, fault.partition)


def _grow(world: World, fault: Fault) -> None:
    topic = world.cluster.image.topics.get(fault.topic)
    if topic is not None:
        world.cluster.add_partitions(fault.topic, len(topic.partitions) + 1)


def _again(world: World, fault: Fault) -> None:
    if fault.topic in world.cluster.image.topics:
        world.cluster.recreate_topic(fault.topic)


FAULTS: Final[dict[str, Happens]] = {
    "cut": _cut,
    "cut after bytes": _cut_after,
    "stall": _stall,
    "half close": _half_close,
    "unplug": _unplug,
    "down": _down,
    "hang": _hang,
    "freeze": _freeze,
    "no names": _no_names,
    "wall clock": _wall,
    "close before parse": _on(lambda fault: Judged.close(_P)),
    "close before append": _on(lambda fault: Judged.close(_B)),
    "lost ack": _on(lambda fault: Judged.close(_A)),
    "half reply": _on(lambda fault: Judged.close(_M, reply_bytes=fault.ms)),
    "silence before": _on(lambda fault: Judged.silence(_B)),
    "silence after": _on(lambda fault: Judged.silence(_A)),
    "slow append": _on(lambda fault: Judged.delay(fault.ms, _B)),
    "slow answer": _on(lambda fault: Judged.delay(fault.ms, _A)),
    "error before": _on(lambda fault: Judged.error(fault.code, _B, **_scope(fault))),
    "refusal": _on(lambda fault: Judged.error(fault.code, _B, **_scope(fault))),
    "error after": _on(lambda fault: Judged.error(fault.code, _A, **_scope(fault))),
    "throttle": _on(lambda fault: Judged.throttle(fault.ms)),
    "other api lost": _on(lambda fault: Judged.close(_A if fault.code else _P), None),
    "other api silent": _on(lambda fault: Judged.silence(_A), None),
    "metadata error": _on(lambda fault: Judged.error(fault.code, _B), ApiKey.METADATA),
    "id error": _on(lambda fault: Judged.error(fault.code, _B), ApiKey.INIT_PRODUCER_ID),
    "move leader": _move,
    "no leader": _no_leader,
    "roll": _roll,
    "late news": _late_news,
    "isr": _isr,
    "forget producers": _forget,
    "more partitions": _grow,
    "topic again": _again,
    "fatal": _on(lambda fault: Judged.error(fault.code, _B, **_scope(fault))),
}
"""Name -> what happens. A fault's fields: code for which error, or which direction or way; count for how many requests
or bytes; ms for how long; partition, of faults for other APIs, is the key of the API."""

CODES: Final = {
    "error before": BEFORE,
    "refusal": FAILS,
    "error after": AFTER,
    "metadata error": RETRIED,
    "id error": ID_RETRIED,
    "fatal": FATAL,
}
RARE: Final = {"fatal": 0.05, "topic again": 0.3}
"""Those that end much of what else could be seen: how often they stay in the plan."""


def draw_fault(
    draw: Draw,
    what: str,
    around: Surroundings,
    topics: tuple[TopicPlan, ...],
    settings: dict[str, Any],
    quiet_ms: int,
) -> Fault:
    """One of this kind; one that has no sense here is another kind."""
    topic = draw.one_of(topics)
    timeout_ms = settings["request_timeout_ms"]
    at_ms, node, partition = draw.below(quiet_ms), draw.below(around.nodes), draw.below(topic.partitions)
    ms = int(draw.pick(0.1, 0.5, 1.2, 3.0) * timeout_ms)
    if not draw.chance(RARE.get(what, 1.0)) or (what == "fatal" and not settings["enable_idempotence"]):
        what = "lost ack"
    fault = Fault(at_ms, what, node, ms=min(ms, 4_000), code=draw.below(2), count=draw.pick(1, 1, 2, 5))
    if what in CODES:
        fault = fault._replace(code=int(draw.one_of(CODES[what])))
    if what in ("error before", "error after", "refusal", "fatal"):
        scoped = draw.chance(0.7)
        return fault._replace(node=-1, topic=topic.name, partition=partition) if scoped else fault._replace(node=-1)
    if what.startswith("other api"):
        return fault._replace(node=-1, partition=int(draw.one_of(OTHER_APIS)))
    if what in ("move leader", "no leader", "isr", "forget producers", "more partitions", "topic again"):
        return fault._replace(topic=topic.name, partition=partition)
    if what == "cut after bytes":
        return fault._replace(count=draw.pick(1, 3, draw.between(4, 80), draw.between(80, 1_000)))
    if what == "half reply":
        return fault._replace(ms=draw.between(0, 60))
    if what == "freeze":
        return fault._replace(ms=draw.pick(1, 10, 100, int(timeout_ms * 1.5)))
    if what == "wall clock":
        return fault._replace(ms=draw.pick(-3_600_000, -1_000, -1, 1, 500, 3_600_000))
    if what == "metadata error":
        return fault._replace(node=-1)
    return fault
