"""`kproto schema`: the declared messages.

Layer: tools. Owns no protocol fact: it prints what the layers below say.
"""

from __future__ import annotations

import click
from rich.table import Table

from kproto.tools.console import output
from kproto.wire import REQUESTS, RESPONSES, ApiKey, Message
from kproto.wire.changes import changes, fields_at
from kproto.wire.plain import did_you_mean
from kproto.wire.tables import fields_table
from kproto.wire.versions import show_versions

__all__ = ["schema"]


@click.group()
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
