"""What each version of a message changed, read off its declaration.

Layer: wire.

    >>> from kproto.wire import InitProducerIdRequest
    >>> changes(InitProducerIdRequest)
    {2: ['flexible'], 3: ['+producer_id', '+producer_epoch'], 6: ['+enable_2pc', '+keep_prepared_txn']}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kproto.wire.field import element_struct
from kproto.wire.schema import Message, Struct

__all__ = ["FieldFacts", "changes", "fields_at"]


class FieldFacts(NamedTuple):
    """What a version says of one field. type: Kafka's name; tag: None for a field in its place."""

    type: str
    nullable: bool
    tag: int | None


def fields_at(cls: type[Struct], version: int, path: str = "") -> Iterator[tuple[str, FieldFacts]]:
    """Path and facts of each field of a version, nested ones too, in wire order; `[]` stands behind arrays."""
    for field in cls.fields:
        if version not in field.versions:
            continue
        here = f"{path}{field.name}"
        tag = field.tag if field.is_tagged(version) else None
        yield here, FieldFacts(field.type.name, field.is_nullable(version), tag)
        nested = element_struct(field.type)
        if nested is not None:
            yield from fields_at(nested, version, f"{here}{'[]' * field.type.name.startswith('[]')}.")


def changes(cls: type[Message]) -> dict[int, list[str]]:
    """Version -> what it changed against the one before; versions that changed no bytes are left out.

    `+path` and `-path` for fields, `nullable path`, `not nullable path`, `tagged path`, `flexible`.
    """
    found = {}
    for before, version in zip(cls.versions, cls.versions[1:], strict=False):
        lines = list(_differences(cls, before, version))
        if lines:
            found[version] = lines
    return found


def _differences(cls: type[Message], before: int, version: int) -> Iterator[str]:
    if version in cls.flexible_versions and before not in cls.flexible_versions:
        yield "flexible"
    old, new = dict(fields_at(cls, before)), dict(fields_at(cls, version))
    yield from (f"-{path}" for path in _roots(path for path in old if path not in new))
    yield from (f"+{path}" for path in _roots(path for path in new if path not in old))
    for path in (path for path in old if path in new):
        if old[path].nullable != new[path].nullable:
            yield f"{'' if new[path].nullable else 'not '}nullable {path}"
        if old[path].tag != new[path].tag:
            yield f"tagged {path}" if new[path].tag is not None else f"not tagged {path}"


def _roots(paths: Iterable[str]) -> Iterator[str]:
    """The paths without those inside another of them: a struct comes and goes with its fields."""
    seen: list[str] = []
    for path in paths:
        if not any(path.startswith((f"{root}.", f"{root}[].")) for root in seen):
            seen.append(path)
            yield path
