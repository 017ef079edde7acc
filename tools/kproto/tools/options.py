"""Options that several commands have: settings of the client or the producer.

Layer: tools.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kproto.tools.settings import parse_settings, producer_settings, read_settings

__all__ = ["client_settings", "of_a_producer", "of_the_settings", "settings_of_a_producer"]


def of_the_settings(command: Any) -> Any:
    """-X and -F."""
    for decorate in (
        click.option(
            "-F",
            "--config",
            "files_of_settings",
            multiple=True,
            type=click.Path(path_type=Path),
            help="A file of settings, name=value a line; passwords are better kept there than on the command line.",
        ),
        click.option(
            "-X",
            "settings",
            multiple=True,
            metavar="NAME=VALUE",
            help="A setting of the client, such as security_protocol=SSL; Java's names with dots will do, too.",
        ),
    ):
        command = decorate(command)
    return command


def client_settings(settings: tuple[str, ...], files: tuple[Path, ...]) -> dict[str, Any]:
    """Those of -F, then those of -X. Raises ConfigError."""
    return parse_settings([*(line for path in files for line in read_settings(path)), *settings])


def of_a_producer(command: Any) -> Any:
    """--bootstrap, -X and -F."""
    command = of_the_settings(command)
    return click.option(
        "-b",
        "--bootstrap",
        metavar="HOST:PORT",
        help="A broker, or several with commas; else bootstrap.servers of -F.",
    )(command)


def settings_of_a_producer(
    bootstrap: str | None, settings: tuple[str, ...], files: tuple[Path, ...], **defaults: Any
) -> dict[str, Any]:
    """For `Producer`: defaults, then those of -F, of -X, and --bootstrap. Raises ConfigError."""
    found = producer_settings(*map(read_settings, files), settings)
    return {**defaults, **found, **({} if bootstrap is None else {"bootstrap_servers": bootstrap})}
