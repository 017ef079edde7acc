"""Questions of the control channel: what came, what is written, what clients did wrong. JSON in, JSON out.

Layer: tools. No I/O; docs/broker.md has a table of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from kproto.producer import ProducerRecord
from kproto.tools.broker.fault_json import APIS
from kproto.tools.broker.fields import Fields
from kproto.tools.broker.topic_json import Command, taken_partition
from kproto.tools.judge import JudgeCluster, JudgeViolation
from kproto.tools.record_json import record_to_json
from kproto.wire import ApiKey, ErrorCode

__all__ = ["QUESTIONS", "found_violations"]

NAMES: Final = {key: name for name, key in APIS.items()}
LAST: Final = 100  # requests, batches or refusals told, unless more are asked for
LAST_MAX: Final = 100_000


def found_violations(cluster: JudgeCluster, *, from_zero: bool = True) -> list[str]:
    """What clients did wrong, and what must not be in a log; each a sentence. from_zero: see `JudgeCluster.check`."""
    try:
        cluster.check(from_zero=from_zero)
    except JudgeViolation as error:
        return list(error.violations)
    return []


def _violations(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    from_zero = fields.truth("from_zero", True)
    fields.done()
    return {"violations": found_violations(cluster, from_zero=from_zero)}


def _requests(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    api = fields.choice("api", APIS) if fields.has("api") else None
    last = fields.number("last", LAST, low=1, high=LAST_MAX)
    fields.done()
    chosen = (one for one in reversed(cluster.requests) if api in (None, one.api_key))
    rows = [
        {
            "at_ms": one.at_ms,
            "node": one.node_id,
            "connection": one.connection_id,
            "api": NAMES.get(one.api_key) or str(ApiKey.of(one.api_key)),
            "version": one.version,
            "correlation_id": one.correlation_id,
            "client_id": one.client_id,
            "partitions": [list(partition) for partition in one.partitions],
        }
        for one in islice(chosen, last)
    ]
    return {"requests": rows[::-1]}


def _batches(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    topic, partition = taken_partition(cluster, fields)
    last = fields.number("last", LAST, low=1, high=LAST_MAX)
    fields.done()
    rows = [
        {
            "base_offset": one.base_offset,
            "records": len(one.records),
            "producer_id": one.producer_id,
            "producer_epoch": one.producer_epoch,
            "base_sequence": one.base_sequence,
            "size": one.size,
            "compression": one.compression.name.lower(),
            "at_ms": one.at_ms,
            "node": one.node,
            "leader_epoch": one.leader_epoch,
        }
        for one in cluster.batches(topic, partition)[-last:]
    ]
    return {"batches": rows}


def _records(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    """In the one format for records, with their offsets."""
    topic, partition = taken_partition(cluster, fields)
    last = fields.number("last", LAST, low=1, high=LAST_MAX)
    fields.done()
    rows = []
    for one in cluster.log(topic, partition)[-last:]:
        record = ProducerRecord(topic, one.value, one.key, partition, one.timestamp, one.headers)
        rows.append({"offset": one.offset, **json.loads(record_to_json(record))})
    return {"records": rows}


def _refusals(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    last = fields.number("last", LAST, low=1, high=LAST_MAX)
    fields.done()
    rows = [
        {"at_ms": at_ms, "node": node, "topic": topic, "partition": partition, "error": _error(code), "why": why}
        for at_ms, node, topic, partition, code, why in list(cluster.refusals)[-last:]
    ]
    return {"refusals": rows}


def _error(code: int) -> str | int:
    known = ErrorCode.of(code)
    return known.name if isinstance(known, ErrorCode) else known


def _state(cluster: JudgeCluster, fields: Fields) -> Mapping[str, Any]:
    fields.done()
    topics = {
        name: [
            {
                "leader": one.leader,
                "leader_epoch": one.leader_epoch,
                "start_offset": log.start_offset,
                "end_offset": log.end_offset,
            }
            for index, one in enumerate(topic.partitions)
            for log in [cluster.log_of(topic.topic_id, index)]
        ]
        for name, topic in cluster.image.topics.items()
    }
    return {
        "topics": topics,
        "nodes": {str(key): f"{one.host}:{one.port}" for key, one in cluster.image.nodes.items()},
        "connections": sum(not one.done for broker in cluster.brokers.values() for one in broker.connections),
        "faults_waiting": cluster.faults.waiting,
        "log_bytes": cluster.log_bytes,
    }


QUESTIONS: Final[Mapping[str, Command]] = {
    "violations": _violations,
    "requests": _requests,
    "batches": _batches,
    "records": _records,
    "refusals": _refusals,
    "state": _state,
}
