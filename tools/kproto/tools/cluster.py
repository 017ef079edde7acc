"""`kproto metadata` and `kproto api-versions`: a cluster as it answers now.

Layer: tools. Owns no protocol fact: it prints what a Client learns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.table import Table

from kproto.client import ApiVersions, Client, Cluster
from kproto.wire import REQUESTS, ApiKey, ApiVersionsRequest, ApiVersionsResponse, ErrorCode
from kproto.wire.versions import show_versions

__all__ = ["api_versions", "cluster_tables", "learn_cluster", "versions_table"]

ASKED_VERSION: Final = 0  # of ApiVersions: every broker answers it, and it says all that is shown


async def learn_cluster(servers: str, topics: Sequence[str], settings: dict[str, Any], timeout_s: float) -> Cluster:
    """The cluster behind the servers, with these topics, or all if none are named. Raises KafkaError."""
    client = Client(servers, **settings)
    try:
        await client.start(timeout_s)
        return await client.metadata(topics or None, timeout_s)
    finally:
        await client.close()


async def api_versions(servers: str, settings: dict[str, Any], timeout_s: float) -> dict[str, ApiVersions]:
    """Of each node, by its address, in the order of ids. Raises KafkaError where one cannot be asked."""
    client = Client(servers, **settings)
    try:
        await client.start(timeout_s)
        found = {}
        for node in sorted(client.cluster.nodes.values(), key=lambda node: node.node_id):
            answer = await client.send(ApiVersionsRequest(), node=node, version=ASKED_VERSION, timeout=timeout_s)
            assert isinstance(answer, ApiVersionsResponse)
            found[node.address] = ApiVersions.of(answer)
        return found
    finally:
        await client.close()


def cluster_tables(cluster: Cluster) -> Iterator[Table]:
    """Nodes, then topics with their partitions."""
    nodes = Table(title=f"cluster {cluster.cluster_id or '(no id)'}", title_justify="left")
    for column in ("node", "address", "rack", ""):
        nodes.add_column(column)
    for node_id, node in sorted(cluster.nodes.items()):
        role = "controller" if node_id == cluster.controller_id else ""
        nodes.add_row(str(node_id), node.address, node.rack or "", role)
    yield nodes
    for name, topic in sorted(cluster.topics.items()):
        internal = ", internal" if topic.is_internal else ""
        table = Table(title=f"topic {name} ({topic.topic_id}{internal})", title_justify="left")
        for column in ("partition", "leader", "epoch", "replicas", "in sync", "offline", ""):
            table.add_column(column)
        for partition in topic.partitions.values():
            table.add_row(
                str(partition.partition),
                "none" if partition.leader_id < 0 else str(partition.leader_id),
                "" if partition.leader_epoch < 0 else str(partition.leader_epoch),
                *(", ".join(map(str, ids)) for ids in (partition.replicas, partition.isr, partition.offline_replicas)),
                "" if not partition.error else _error(partition.error),
            )
        yield table
    if cluster.topic_errors:
        errors = Table("topic", "error")
        for name, code in sorted(cluster.topic_errors.items()):
            errors.add_row(name, _error(code))
        yield errors


def _error(code: ErrorCode | int) -> str:
    return f"{code.name} ({int(code)}): {code.description}" if isinstance(code, ErrorCode) else f"error {code}"


def versions_table(found: dict[str, ApiVersions]) -> Table:
    """An API a line: its versions at each node, ours, and the one that would be used."""
    table = Table("key", "API", *found, "kproto", "used")
    keys = sorted({key for versions in found.values() for key in versions.ranges})
    for key in keys:
        api = ApiKey.of(key)
        name = api.message_name if isinstance(api, ApiKey) else "?"
        theirs = [versions.ranges.get(key, range(0)) for versions in found.values()]
        ours = REQUESTS[key].versions if key in REQUESTS else range(0)
        common = range(max(each.start for each in [ours, *theirs]), min(each.stop for each in [ours, *theirs]))
        used = str(common[-1]) if ours and common else ""
        table.add_row(str(key), name, *map(show_versions, theirs), show_versions(ours) if ours else "", used)
    return table
