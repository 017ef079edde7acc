"""`kproto metadata` and `kproto api-versions`: the commands around `cluster.py`.

Layer: tools. Exit codes: 0 fine, 1 a topic cannot be shown, 2 bad input.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import click

from kproto.tools.cluster import api_versions as ask_versions
from kproto.tools.cluster import cluster_tables, learn_cluster, versions_table
from kproto.tools.console import output
from kproto.tools.options import client_settings, of_the_settings

__all__ = ["api_versions", "metadata"]

FINDINGS: Final = 1


def of_a_cluster(command: Any) -> Any:
    """The arguments and options of a command that asks a cluster."""
    command = of_the_settings(command)
    timeout = click.option(
        "--timeout", "timeout_s", type=float, default=10.0, show_default=True, help="Seconds to wait."
    )
    return click.argument("servers")(timeout(command))


@click.command()
@of_a_cluster
@click.argument("topics", nargs=-1)
def metadata(
    servers: str,
    topics: tuple[str, ...],
    settings: tuple[str, ...],
    files_of_settings: tuple[Path, ...],
    timeout_s: float,
) -> None:
    """Show the nodes and topics of a cluster, or certain TOPICS. Ends with 1 where one cannot be shown.

    \b
    Examples:
      kproto metadata localhost:9092
      kproto metadata localhost:9092 orders payments
      kproto metadata localhost:9092 -X client_id=me
      kproto metadata localhost:9092 -F client.properties
    """
    cluster = asyncio.run(learn_cluster(servers, topics, client_settings(settings, files_of_settings), timeout_s))
    console = output()
    for table in cluster_tables(cluster):
        console.print(table)
    if cluster.topic_errors:
        click.get_current_context().exit(FINDINGS)


@click.command()
@of_a_cluster
def api_versions(
    servers: str, settings: tuple[str, ...], files_of_settings: tuple[Path, ...], timeout_s: float
) -> None:
    """Show which versions of which APIs each node of a cluster speaks.

    \b
    Examples:
      kproto api-versions localhost:9092
      kproto api-versions localhost:9092 -F client.properties
    """
    found = asyncio.run(ask_versions(servers, client_settings(settings, files_of_settings), timeout_s))
    output().print(versions_table(found))
