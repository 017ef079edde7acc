"""`kproto demo`: the command around `demo.py` and `session.py`.

Layer: tools.
"""

from __future__ import annotations

from pathlib import Path

import click

from kproto.tools.console import output
from kproto.tools.demo import BROKERS, RECORDS, Demo
from kproto.tools.options import of_a_producer, settings_of_a_producer
from kproto.tools.session import shipped_session, show_session

__all__ = ["demo"]


@click.command()
@of_a_producer
@click.option(
    "--broker",
    type=click.Choice(BROKERS),
    help="Which one to start; else Tansu, or the judge where Tansu is not installed.",
)
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
    broker: str | None,
    recorded: bool,
    records: int,
    record: Path | None,
    plain: bool,
    every: bool,
) -> None:
    """Send an access log to a broker, look at the wire, and prove that each record arrived once and in order.

    Starts Tansu or the judge, brokers in memory, unless --bootstrap names a cluster; the topic it makes is deleted
    afterwards.
    Needs pip install 'kproto[demo]'. Ends with 0 if every check holds, 1 if not.

    \b
    Examples:
      kproto demo
      kproto demo --bootstrap localhost:9092 --records 1000
      kproto demo --broker judge
      kproto demo --recorded
      kproto demo --recorded --plain --all | less
    """
    console = output(plain)
    if recorded:
        show_session(shipped_session(), console, every=every)
        return
    given = settings_of_a_producer(bootstrap, settings, files_of_settings)
    if broker is not None and "bootstrap_servers" in given:
        raise click.UsageError("--broker starts one, --bootstrap names one: give one of them")
    click.get_current_context().exit(Demo(console, given, records, record, every, broker).run())
