"""Commands of the control channel, which change a judge's cluster. JSON in, JSON out.

    run_command(cluster, {"do": "move_leader", "topic": "orders", "partition": 0, "to": 2}) -> {}

Layer: tools. No I/O; docs/broker.md has a table of the commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kproto.tools.broker.fault_json import APIS, NODE_MAX, fault_of
from kproto.tools.broker.fields import Fields, PlanError
from kproto.tools.broker.questions import QUESTIONS
from kproto.tools.broker.topic_json import Command, taken_config, taken_partition, taken_topic, topic_of
from kproto.tools.judge import JudgeBroker, JudgeCluster
from kproto.tools.judge.apis import SERVED
from kproto.tools.judge.topics import PARTITIONS_MAX

__all__ = ["CHANGES", "run_command"]

MS_MAX: Final = 3_600_000
VERSION_MAX: Final = 99


def run_command(cluster: JudgeCluster, value: object) -> Mapping[str, Any]:
    """What the command finds; {} for a change. Raises PlanError for one that cannot be, and changes nothing then."""
    fields = Fields(value, "")
    return fields.choice("do", {**CHANGES, **QUESTIONS})(cluster, fields)


def _brokers(cluster: JudgeCluster, fields: Fields) -> list[JudgeBroker]:
    """One, or all of them."""
    node = fields.number("node", None, high=NODE_MAX)
    if node is not None and node not in cluster.brokers:
        raise PlanError(f"{fields.at('node')}: there are the nodes {sorted(cluster.brokers)}, not {node}")
    return [one for node_id, one in cluster.brokers.items() if node in (None, node_id)]


def _fail(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    fault_of(fields).give(cluster)
    return {}


def _clear_faults(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    fields.done()
    cluster.faults.clear()
    return {}


def _create_topic(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    name = fields.text("topic")
    topic_of(name, fields.rest(), "topic").make(cluster)
    return {}


def _delete_topic(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    topic = taken_topic(cluster, fields)
    fields.done()
    cluster.delete_topic(topic)
    return {}


def _recreate_topic(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    topic = taken_topic(cluster, fields)
    fields.done()
    cluster.recreate_topic(topic)
    return {}


def _add_partitions(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    topic = taken_topic(cluster, fields)
    total = fields.number("total", low=len(cluster.image.topics[topic].partitions), high=PARTITIONS_MAX)
    fields.done()
    cluster.add_partitions(topic, total)
    return {}


def _configure(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    topic = taken_topic(cluster, fields)
    settings = taken_config(fields)
    fields.done()
    cluster.configure(topic, **settings)
    return {}


def _move_leader(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    topic, partition = taken_partition(cluster, fields)
    to = fields.number("to", low=-1, high=max(cluster.brokers))
    fields.done()
    cluster.move_leader(topic, partition, to)
    return {}


def _set_isr(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    topic, partition = taken_partition(cluster, fields)
    isr = [Fields({"isr": one}, path).number("isr", high=NODE_MAX) for one, path in fields.elements("isr")]
    fields.done()
    cluster.set_isr(topic, partition, *isr)
    return {}


def _delete_records(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    topic, partition = taken_partition(cluster, fields)
    log = cluster.log_of(cluster.image.topics[topic].topic_id, partition)
    before = fields.number("before", log.end_offset, low=log.start_offset, high=log.end_offset)
    forget = fields.truth("forget_producers", False)
    fields.done()
    cluster.delete_records(topic, partition, before, forget_producers=forget)
    return {}


def _forget_producers(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    topic, partition = taken_partition(cluster, fields)
    producer_id = fields.number("producer_id", None)
    fields.done()
    cluster.forget_producers(topic, partition, producer_id)
    return {}


def _close_connections(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    brokers = _brokers(cluster, fields)
    fields.done()
    for one in brokers:
        one.close_connections()
    return {}


def _broker(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    """Settings of one node, or of all."""
    brokers = _brokers(cluster, fields)
    found: dict[str, Any] = {
        name: fields.number(name, high=MS_MAX) for name in ("latency_ms", "throttle_time_ms") if fields.has(name)
    }
    if fields.has("metadata_delay_ms"):
        found["metadata_delay_ms"] = fields.number_or_null("metadata_delay_ms")
    versions = dict(_versions(name, value, path) for name, value, path in fields.entries("versions"))
    fields.done()
    for one in brokers:
        for name, value in found.items():
            setattr(one, name, value)
        for api, spoken in versions.items():
            one.versions.pop(api, None)
            if spoken:
                one.versions[api] = spoken
    return {}


def _versions(name: str, value: object, path: str) -> tuple[int, range]:
    """An API with [first, last], or null where it is not served at all."""
    api = Fields({"api": name}, path).choice("api", APIS)
    if value is None:
        return api, range(0)
    served = SERVED[api].versions
    if not isinstance(value, list) or len(value) != 2:
        raise PlanError(f"{path}: [first, last] has to stand here, or null")
    first, last = (Fields({"version": one}, path).number("version", high=VERSION_MAX) for one in value)
    if not served.start <= first <= last < served.stop:
        raise PlanError(f"{path}: {first} to {last} is not within {served.start} to {served.stop - 1}")
    return api, range(first, last + 1)


CHANGES: Final[Mapping[str, Command]] = {
    "fail": _fail,
    "clear_faults": _clear_faults,
    "create_topic": _create_topic,
    "delete_topic": _delete_topic,
    "recreate_topic": _recreate_topic,
    "add_partitions": _add_partitions,
    "configure": _configure,
    "move_leader": _move_leader,
    "set_isr": _set_isr,
    "delete_records": _delete_records,
    "forget_producers": _forget_producers,
    "close_connections": _close_connections,
    "broker": _broker,
}
