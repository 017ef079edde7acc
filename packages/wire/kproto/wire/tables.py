"""Tables of the declared messages, for the documentation: `python -m kproto.wire.tables > docs/messages.md`.

Layer: wire. Everything here is read off the declarations.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from kproto.wire.changes import changes
from kproto.wire.field import element_struct
from kproto.wire.header import RequestHeader, ResponseHeader
from kproto.wire.messages import REQUESTS, RESPONSES
from kproto.wire.schema import Message, Struct
from kproto.wire.versions import VERSION_MAX, show_versions

__all__ = ["FieldRow", "fields_table", "main", "markdown", "page"]


class FieldRow(NamedTuple):
    """One line of a message's table, all as text."""

    path: str
    type: str
    versions: str
    nullable: str
    tag: str
    default: str


def fields_table(cls: type[Message]) -> list[FieldRow]:
    """A row for each field, nested ones behind their struct, in wire order."""
    return list(_rows(cls, cls.versions, ""))


def _rows(cls: type[Struct], versions: range, prefix: str) -> Iterator[FieldRow]:
    for field in cls.fields:
        present = _within(field.versions, versions)
        nested = element_struct(field.type)
        nullable = field.versions if field.type.always_nullable else field.nullable
        yield FieldRow(
            path=f"{prefix}{field.name}",
            type=field.type.name,
            versions=show_versions(present),
            nullable=show_versions(_within(nullable, present)) if nullable else "",
            tag="" if field.tag is None else str(field.tag),
            default="" if nested is not None else repr(field.default),
        )
        if nested is not None:
            yield from _rows(nested, present, f"{prefix}{field.name}{'[]' * field.type.name.startswith('[]')}.")


def _within(inner: range, outer: range) -> range:
    """The common versions; open at the end where they reach the outer one's."""
    stop = VERSION_MAX + 1 if inner.stop >= outer.stop else inner.stop
    return range(max(inner.start, outer.start), stop)


def markdown(cls: type[Message]) -> str:
    """One message as a section: what it is, its fields, what each version changed."""
    first_line = (cls.__doc__ or "").strip().splitlines()[0]
    key = "" if cls.api_key is None else f" (API {int(cls.api_key)})"
    versions = f"Versions {show_versions(cls.versions)}{key}, flexible {show_versions(cls.flexible_versions)}."
    lines = [f"## {cls.__name__}", "", first_line, "", versions, ""]
    lines += ["| field | type | versions | nullable | tag | default |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(f'`{cell}`' if cell else '' for cell in row)} |" for row in fields_table(cls)]
    changed = changes(cls)
    if changed:
        lines += ["", "Changes:", ""]
        lines += [f"- {version}: {', '.join(f'`{line}`' for line in found)}" for version, found in changed.items()]
    return "\n".join(lines) + "\n"


def page() -> str:
    """All declared messages, headers first, then by API key."""
    messages: list[type[Message]] = [RequestHeader, ResponseHeader]
    for key in sorted(REQUESTS):
        messages += [REQUESTS[key], RESPONSES[key]]
    head = (
        "# Messages\n\nGenerated from the declarations by `make docs`; a test holds it to them. A field path with `[]` "
        "stands in each element of an array.\n"
    )
    return "\n".join([head, *map(markdown, messages)])


def main() -> int:
    """Write the page to standard output."""
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
