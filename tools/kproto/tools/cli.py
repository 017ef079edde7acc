"""The `kproto` command: see the protocol.

Layer: tools. Owns no protocol fact: it prints what the layers below say. A command is imported when it is called for:
none waits for what only others need.
Exit codes: 0 fine, 1 findings, 2 bad input.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

import click

from kproto.tools.pipes import ReaderLeft, silence

__all__ = ["COMMANDS", "kproto", "main"]

BAD_INPUT: Final = 2
INTERRUPTED: Final = 130  # as a shell says it: 128 and the signal

COMMANDS: Final = {
    "api-versions": "kproto.tools.cluster_command",
    "broker": "kproto.tools.broker.broker_command",
    "decode": "kproto.tools.decode.decode_command",
    "demo": "kproto.tools.demo_command",
    "metadata": "kproto.tools.cluster_command",
    "produce": "kproto.tools.produce_command",
    "schema": "kproto.tools.schema_command",
}
"""Name of each command -> its module, where it has the same name, with `_` for `-`."""


class _Commands(click.Group):
    """The commands of COMMANDS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See click."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See click."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(import_module(module), cmd_name.replace("-", "_"))
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kproto", prog_name="kproto")
def kproto() -> None:
    """See Kafka's protocol: what is on the wire, and what each version is made of.

    \b
    Examples:
      kproto demo
      kproto broker --topics orders:3
      kproto produce orders access.log -b localhost:9092
      kproto metadata localhost:9092 orders
      kproto api-versions localhost:9092
      kproto decode capture.pcap
      kproto schema show Produce 9
      kproto schema diff Metadata 8 10
    """


def main() -> None:
    """Run the command; a reader who leaves early, such as `head`, ends it silently."""
    try:
        code = kproto(prog_name="kproto", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        sys.exit(BAD_INPUT)
    except click.Abort:
        sys.exit(INTERRUPTED)
    except (ReaderLeft, BrokenPipeError, SystemExit):  # click exits where its own output finds no reader
        silence()
        sys.exit(0)
    except Exception as error:
        if not _is_refusal(error):
            raise
        click.echo(f"Error: {error}", err=True)
        sys.exit(BAD_INPUT)
    sys.exit(code if isinstance(code, int) else 0)


def _is_refusal(error: Exception) -> bool:
    """Whether it is one of kproto's own errors. They have not been imported if none of it is running."""
    errors = sys.modules.get("kproto.wire.errors")
    return errors is not None and isinstance(error, errors.KafkaError)
