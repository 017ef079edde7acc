"""One field of a struct: its type, and the versions in which it is there, nullable, tagged, compact.

Layer: wire. Knows declarations; knows no bytes.
Source: the message JSON of Kafka (clients/src/main/resources/common/message/README.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from construct import Construct

from kproto.wire.versions import NO_VERSIONS, VERSION_MAX, parse_versions
from kproto.wire.wire_type import Array, StructType, VersionedStruct, WireType

__all__ = ["Field", "element_struct", "field"]

BY_TYPE: Final = object()  # the default of the field is the default of its type


@dataclass(frozen=True, slots=True)
class Field:
    """A declared field. versions, nullable, tagged: ranges of message versions; flexible None: as the message is."""

    name: str
    type: WireType
    versions: range
    nullable: range
    tag: int | None
    tagged: range
    default: Any
    ignorable: bool
    map_key: bool
    flexible: range | None

    def is_nullable(self, version: int) -> bool:
        """Whether null may stand on the wire in this version."""
        return self.type.always_nullable or version in self.nullable

    def is_tagged(self, version: int) -> bool:
        """Whether the field stands among the tagged ones in this version."""
        return version in self.tagged

    def construct(self, version: int, *, flexible: bool) -> Construct:
        """The named construct of the field; `flexible` is the struct's."""
        if self.flexible is not None:
            flexible = version in self.flexible
        return self.name / self.type.at(version, flexible=flexible, nullable=version in self.nullable)


def field(
    wire_type: type[VersionedStruct] | WireType,
    *,
    since: int = 0,
    until: int = VERSION_MAX,
    nullable: str = "none",
    tag: int | None = None,
    tagged: str | None = None,
    default: Any = BY_TYPE,
    ignorable: bool = False,
    map_key: bool = False,
    flexible: str | None = None,
) -> Any:
    """Declare one field of a Struct.

    wire_type: a type of `kproto.wire.wire_type`, or a Struct class for a nested struct.
    since, until: the first and last version that has the field. nullable: the versions in which it may be None.
    tag: the tag; tagged: the versions in which it is tagged, by default all that have it.
    default: the value where a version lacks the field or the caller gives none; by default the type's.
    ignorable: whether another value than the default is dropped, not refused, in a version that lacks the field.
    map_key: Kafka keys its collection by this field; no bytes depend on it. flexible: versions with the compact form,
    where they are not the message's.
    """
    declared: WireType = StructType(wire_type) if isinstance(wire_type, type) else wire_type
    versions = range(since, until + 1)
    return Field(
        name="",  # set by the class that holds it
        type=declared,
        versions=versions,
        nullable=parse_versions(nullable),
        tag=tag,
        tagged=NO_VERSIONS if tag is None else versions if tagged is None else parse_versions(tagged),
        default=declared.default if default is BY_TYPE else default,
        ignorable=ignorable,
        map_key=map_key,
        flexible=None if flexible is None else parse_versions(flexible),
    )


def element_struct(wire_type: WireType) -> type[Any] | None:
    """The struct class that a field of this type holds, itself or as array elements; None for plain values."""
    if isinstance(wire_type, Array):
        wire_type = wire_type.element
    return wire_type.struct if isinstance(wire_type, StructType) else None
