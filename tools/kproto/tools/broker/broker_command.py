"""`kproto broker`: a judge for any client, in any language.

Layer: tools. Options, signals, exit codes; all else is in the modules beside it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from kproto.tools.broker.broker import LOG_BYTES_MAX, Broker
from kproto.tools.broker.plan import EMPTY, Plan, read_plan
from kproto.tools.broker.topic_json import parse_topics
from kproto.tools.console import notes
from kproto.tools.interrupts import Interrupted, Interrupts

__all__ = ["broker", "until_interrupted"]

FINDINGS: Final = 1
PAUSE_S: Final = 0.5  # where a wait without end cannot be interrupted
SHOWN: Final = 20  # violations
NODES_MAX: Final = 100
PORT_MAX: Final = 65_535


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--advertise", metavar="HOST", default="", help="How clients reach it, if not by --host.")
@click.option(
    "--port",
    type=click.IntRange(0, PORT_MAX),
    default=0,
    show_default=True,
    help="Of the first node; the others have the next ones. 0: free ones.",
)
@click.option("--nodes", type=click.IntRange(1, NODES_MAX), default=1, show_default=True, help="How many brokers.")
@click.option("--topics", metavar="NAME:N,...", default="", help="Topics and how many partitions they have.")
@click.option(
    "--faults", "plan_file", type=click.Path(path_type=Path), help="A plan in JSON: what goes wrong, and when."
)
@click.option("--control", type=click.IntRange(0, PORT_MAX), help="A port of the loopback for commands; 0: a free one.")
@click.option(
    "--auto-create",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Partitions of topics that clients ask for; 0: they are not made.",
)
@click.option(
    "--log-max",
    type=click.IntRange(1),
    default=LOG_BYTES_MAX >> 20,
    show_default=True,
    metavar="MIB",
    help="How much memory records may take; more are refused with POLICY_VIOLATION.",
)
@click.option("--json", "as_json", is_flag=True, help="Print where it listens, and what it found, as JSON.")
def broker(plan_file: Path | None, topics: str, as_json: bool, **given: Any) -> None:
    """Run brokers in memory that judge their clients, and break where they are told.

    Prints where they listen, for bootstrap.servers, and serves until Ctrl-C or SIGTERM. Ends with 1 if a client broke
    the protocol or a producer's promises, 2 for bad input; else with 130 for Ctrl-C, 143 for SIGTERM.

    \b
    Examples:
      kproto broker --port 9092
      kproto broker --port 9092 --nodes 3 --topics orders:6,payments:3
      kproto broker --faults plan.json --control 0 --json
    """
    judge = _judge(EMPTY if plan_file is None else read_plan(plan_file), topics, given)
    code = 0
    with Interrupts() as interrupts:
        try:
            with judge:
                _tell_where(judge, as_json)
                until_interrupted()
        except Interrupted as interrupted:
            code = interrupted.exit_code
        interrupts.quiet = True
        found = judge.violations()
        _tell_what(judge, found, as_json)
    click.get_current_context().exit(FINDINGS if found else code)


def _judge(plan: Plan, topics: str, given: Mapping[str, Any]) -> Broker:
    return Broker(
        plan=replace(plan, topics=(*parse_topics(topics), *plan.topics)),
        nodes=given["nodes"],
        host=given["host"],
        port=given["port"],
        advertised=given["advertise"],
        control=given["control"],
        strict=False,
        auto_create=given["auto_create"] or None,
        log_bytes_max=given["log_max"] << 20,
    )


def until_interrupted() -> None:
    """Wait for a signal, which raises."""
    forever = threading.Event()
    while not forever.wait(PAUSE_S):
        pass


def _tell_where(judge: Broker, as_json: bool) -> None:
    if as_json:
        where = {"bootstrap_servers": judge.bootstrap_servers, "control": judge.control_address or None}
        click.echo(json.dumps(where))
        return
    click.echo(judge.bootstrap_servers)
    if judge.control_address:
        notes().print(f"commands at {judge.control_address}")


def _tell_what(judge: Broker, found: list[str], as_json: bool) -> None:
    cluster = judge.cluster
    topics = cluster.image.topics.values()
    logs = [cluster.log_of(topic.topic_id, index) for topic in topics for index in range(len(topic.partitions))]
    records = sum(log.end_offset for log in logs)
    if as_json:
        click.echo(json.dumps({"records": records, "violations": found}))
        return
    console = notes()
    console.print(f"{records:,} records written, {len(found):,} violations", markup=False)
    for violation in found[:SHOWN]:
        console.print(f"  {violation}", markup=False)
    if len(found) > SHOWN:
        console.print(f"  and {len(found) - SHOWN:,} more", markup=False)
