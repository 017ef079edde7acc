"""The types that a declaration names: each answers with the construct that it is at one version.

Layer: wire. Knows that flexible versions (KIP-482) have compact forms; knows no message.

    topics: Sequence[Topic] = field(Array(Topic), nullable="1+")
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, Protocol
from uuid import UUID

from construct import Construct

from kproto.wire.compounds import ArrayOf, NullableFields
from kproto.wire.primitives import FIXED, Blob, CompactLength, Fixed, FixedLength, Text, UuidBytes

__all__ = [
    "NO_TAGS",
    "NO_UUID",
    "PLAIN_TYPES",
    "Array",
    "Boolean",
    "Bytes",
    "FixedType",
    "Float64",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "NullableBytes",
    "NullableString",
    "Records",
    "SecretBytes",
    "String",
    "StructType",
    "UInt16",
    "UInt32",
    "Uuid",
    "VersionedStruct",
    "WireType",
]

NO_UUID: Final = UUID(int=0)
NO_TAGS: Final[Mapping[int, bytes]] = MappingProxyType({})

SHORT_LENGTH: Final = FixedLength(FIXED["int16"])
LONG_LENGTH: Final = FixedLength(FIXED["int32"])
COMPACT_LENGTH: Final = CompactLength()


class VersionedStruct(Protocol):
    """A class whose fields have a construct at each version: `kproto.wire.schema.Struct`."""

    @classmethod
    def construct(cls, version: int) -> Construct: ...


class WireType(Protocol):
    """What `field()` takes. name: as Kafka's message JSON says it; default: the value of a field that is absent."""

    @property
    def name(self) -> str: ...

    @property
    def always_nullable(self) -> bool: ...

    @property
    def default(self) -> Any: ...

    def at(self, version: int, *, flexible: bool, nullable: bool) -> Construct:
        """The construct of this type at one version."""


class FixedType:
    """A number, bool or uuid: the same bytes in every version, never null."""

    always_nullable: ClassVar = False

    def __init__(self, name: str, construct: Construct, default: Any) -> None:
        self.name = name
        self.default = default
        self._construct = construct

    def at(self, version: int, *, flexible: bool, nullable: bool) -> Construct:
        return self._construct


class LengthPrefixedType:
    """A string, bytes or records, compact where flexible. secret: its value is never shown."""

    def __init__(self, name: str, default: Any, *, always_nullable: bool = False, secret: bool = False) -> None:
        self.name = name
        self.default = default
        self.always_nullable = always_nullable
        self.secret = secret

    def at(self, version: int, *, flexible: bool, nullable: bool) -> Construct:
        nullable = nullable or self.always_nullable
        if self.name == "string":
            return Text(COMPACT_LENGTH if flexible else SHORT_LENGTH, nullable)
        length = COMPACT_LENGTH if flexible else LONG_LENGTH
        return Blob(length, nullable, type_name=self.name, secret=self.secret)


class StructType:
    """A nested struct: its fields in place, or behind a marker where nullable."""

    always_nullable: ClassVar = False

    def __init__(self, struct: type[VersionedStruct]) -> None:
        self.struct = struct
        self.name = struct.__name__

    @property
    def default(self) -> Any:
        return self.struct()

    def at(self, version: int, *, flexible: bool, nullable: bool) -> Construct:
        fields = self.struct.construct(version)
        return NullableFields(fields) if nullable else fields


class Array:
    """An array of structs (give the class) or of plain values (give the type). A value is a tuple."""

    always_nullable: ClassVar = False
    default: ClassVar[tuple[()]] = ()

    def __init__(self, element: type[VersionedStruct] | WireType) -> None:
        self.element: WireType = StructType(element) if isinstance(element, type) else element
        self.name = f"[]{self.element.name}"

    def at(self, version: int, *, flexible: bool, nullable: bool) -> Construct:
        element = self.element.at(version, flexible=flexible, nullable=False)
        return ArrayOf(element, COMPACT_LENGTH if flexible else LONG_LENGTH, nullable)


def _fixed(name: str, default: Any) -> FixedType:
    fixed: Fixed = FIXED[name]
    return FixedType(name, fixed, default)


Boolean: Final = _fixed("bool", False)
Int8: Final = _fixed("int8", 0)
Int16: Final = _fixed("int16", 0)
UInt16: Final = _fixed("uint16", 0)
Int32: Final = _fixed("int32", 0)
UInt32: Final = _fixed("uint32", 0)
Int64: Final = _fixed("int64", 0)
Float64: Final = _fixed("float64", 0.0)
Uuid: Final = FixedType("uuid", UuidBytes(), NO_UUID)
String: Final = LengthPrefixedType("string", "")
NullableString: Final = LengthPrefixedType("string", None, always_nullable=True)
Bytes: Final = LengthPrefixedType("bytes", b"")
NullableBytes: Final = LengthPrefixedType("bytes", None, always_nullable=True)
SecretBytes: Final = LengthPrefixedType("bytes", b"", secret=True)
Records: Final = LengthPrefixedType("records", None)

PLAIN_TYPES: Final[dict[str, WireType]] = {
    plain.name: plain
    for plain in (Boolean, Int8, Int16, UInt16, Int32, UInt32, Int64, Float64, Uuid, String, Bytes, Records)
}
"""Kafka's name of a type -> the type, for all but structs and arrays."""
