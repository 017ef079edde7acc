"""The `kproto` command: see the protocol.

Layer: tools. Owns no protocol fact: it prints what the layers below say.
Exit codes: 0 fine, 1 findings, 2 bad input.
"""

from __future__ import annotations

import asyncio
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click
from rich.table import Table

from kproto.tools.cluster import api_versions as ask_versions
from kproto.tools.cluster import cluster_tables, learn_cluster, versions_table
from kproto.tools.console import ReaderLeft, output, silence
from kproto.tools.decode.decode_command import decode
from kproto.tools.demo import RECORDS, Demo
from kproto.tools.options import client_settings, of_a_producer, of_the_settings, settings_of_a_producer
from kproto.tools.produce_command import produce
from kproto.tools.session import shipped_session, show_session
from kproto.wire import REQUESTS, RESPONSES, ApiKey, KafkaError, Message
from kproto.wire.changes import changes, fields_at
from kproto.wire.plain import did_you_mean
from kproto.wire.tables import fields_table
from kproto.wire.versions import show_versions

__all__ = ["kproto", "main"]

FINDINGS: Final = 1
BAD_INPUT: Final = 2
INTERRUPTED: Final = 130  # as a shell says it: 128 and the signal


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("kproto"), prog_name="kproto")
def kproto() -> None:
    """See Kafka's protocol: what is on the wire, and what each version is made of.

    \b
    Examples:
      kproto demo
      kproto produce orders access.log -b localhost:9092
      kproto metadata localhost:9092 orders
      kproto api-versions localhost:9092
      kproto decode capture.pcap
      kproto schema show Produce 9
      kproto schema diff Metadata 8 10
    """


@kproto.command()
@of_a_producer
@click.option("--recorded", is_flag=True, help="Decode a recorded session with Apache Kafka instead: needs no broker.")
@click.option("--records", type=click.IntRange(min=1), default=RECORDS, show_default=True, help="How many to send.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A pcapng file to keep the frames in, for Wireshark.",
)
@click.option("--plain", is_flag=True, help="No colour, also on a terminal.")
@click.option("--all", "every", is_flag=True, help="All elements of long arrays.")
def demo(
    bootstrap: str | None,
    settings: tuple[str, ...],
    files_of_settings: tuple[Path, ...],
    recorded: bool,
    records: int,
    record: Path | None,
    plain: bool,
    every: bool,
) -> None:
    """Send an access log to a broker, look at the wire, and prove that each record arrived once and in order.

    Starts Tansu, a broker in memory, unless --bootstrap names a cluster; the topic it makes is deleted afterwards.
    Needs pip install 'kproto[demo]'. Ends with 0 if every check holds, 1 if not.

    \b
    Examples:
      kproto demo
      kproto demo --bootstrap localhost:9092 --records 1000
      kproto demo --recorded
      kproto demo --recorded --plain --all | less
    """
    console = output(plain)
    if recorded:
        show_session(shipped_session(), console, every=every)
        return
    given = settings_of_a_producer(bootstrap, settings, files_of_settings)
    click.get_current_context().exit(Demo(console, given, records, record, every).run())


def of_a_cluster(command: Any) -> Any:
    """The arguments and options of a command that asks a cluster."""
    command = of_the_settings(command)
    timeout = click.option(
        "--timeout", "timeout_s", type=float, default=10.0, show_default=True, help="Seconds to wait."
    )
    return click.argument("servers")(timeout(command))


@kproto.command()
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


@kproto.command()
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


kproto.add_command(produce)
kproto.add_command(decode)


@kproto.group()
def schema() -> None:
    """Show the declared messages.

    \b
    Examples:
      kproto schema matrix
      kproto schema show InitProducerId 4
      kproto schema diff Produce 12 13
    """


@schema.command()
@click.argument("api")
@click.argument("version", type=int, required=False)
def show(api: str, version: int | None) -> None:
    """The fields of an API's messages, at one VERSION or with all versions.

    \b
    Examples:
      kproto schema show Produce
      kproto schema show Produce 9
    """
    console = output()
    for cls in _messages(api):
        if version is not None:
            _check(cls, version)
        table = Table(title=f"{cls.__name__} {'' if version is None else version}".strip(), title_justify="left")
        if version is None:
            for column in ("field", "type", "versions", "nullable", "tag", "default"):
                table.add_column(column)
            for row in fields_table(cls):
                table.add_row(*row)
        else:
            for column in ("field", "type", "nullable", "tag"):
                table.add_column(column)
            for path, facts in fields_at(cls, version):
                tag = "" if facts.tag is None else str(facts.tag)
                table.add_row(path, facts.type, "yes" if facts.nullable else "", tag)
        console.print(table)


@schema.command()
@click.argument("api")
@click.argument("first", type=int)
@click.argument("last", type=int)
def diff(api: str, first: int, last: int) -> None:
    """What changed in an API's messages behind version FIRST, up to LAST.

    \b
    Examples:
      kproto schema diff Produce 8 9
      kproto schema diff Metadata 0 13
    """
    console = output()
    for cls in _messages(api):
        _check(cls, first)
        _check(cls, last)
        if first > last:
            raise click.BadParameter(f"{first} comes behind {last}", param_hint="FIRST")
        console.print(f"[bold]{cls.__name__}[/bold]")
        for changed, lines in changes(cls).items():
            if first < changed <= last:
                for line in lines:
                    console.print(f"  {changed:2}  {line}", markup=False, highlight=False)


@schema.command()
def matrix() -> None:
    """The versions of all declared APIs.

    \b
    Examples:
      kproto schema matrix
    """
    table = Table("key", "API", "versions", "flexible")
    for key, cls in sorted(REQUESTS.items()):
        name = cls.__name__.removesuffix("Request")
        table.add_row(str(int(key)), name, show_versions(cls.versions), show_versions(cls.flexible_versions))
    output().print(table)


def _messages(api: str) -> tuple[type[Message], type[Message]]:
    """Request and response of an API, by Kafka's name in any case, or by key."""
    names = {cls.__name__.removesuffix("Request").lower(): key for key, cls in REQUESTS.items()}
    names |= {str(int(key)): key for key in REQUESTS}
    key = names.get(api.lower().removesuffix("request").removesuffix("response"))
    if key is None:
        known = [ApiKey(key).message_name for key in REQUESTS]
        raise click.BadParameter(f"no declared API {api!r}: {did_you_mean(api, known)}", param_hint="API")
    return REQUESTS[key], RESPONSES[key]


def _check(cls: type[Message], version: int) -> None:
    if version not in cls.versions:
        message = f"{cls.__name__} has versions {show_versions(cls.versions)}, not {version}"
        raise click.BadParameter(message, param_hint="VERSION")


def main() -> None:
    """Run the command; a reader who leaves early, such as `head`, ends it silently."""
    try:
        code = kproto(prog_name="kproto", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        sys.exit(BAD_INPUT)
    except KafkaError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(BAD_INPUT)
    except click.Abort:
        sys.exit(INTERRUPTED)
    except (ReaderLeft, BrokenPipeError, SystemExit):  # click exits where its own output finds no reader
        silence()
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
