"""Parses one message definition of Kafka: JSON with `//` comments into checked values.

Layer: wire. Knows the JSON's shape; builds no class. Refuses what Kafka's own generator refuses, so far as bytes depend
on it; keys that it does not know are left to the Kafka that wrote them.
Source: the README of clients/src/main/resources/common/message in Apache Kafka, and MessageSpec, StructSpec and
FieldSpec of its generator.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from kproto.wire.errors import WireError
from kproto.wire.field import BY_TYPE
from kproto.wire.primitives import STRING_BYTES_MAX
from kproto.wire.versions import NO_VERSIONS, parse_versions, show_versions
from kproto.wire.wire_type import PLAIN_TYPES

__all__ = ["Definition", "DefinitionError", "FieldDefinition", "StructDefinition", "parse_definition"]

DEPTH_MAX: Final = 16  # of structs in one another; Kafka 4.4.0 has 5
FIELDS_MAX: Final = 1_000  # of one message
TAG_MAX: Final = 1_000
KINDS: Final = ("request", "response", "header", "data")
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,99}")
TYPE: Final = re.compile(rf"(\[\])?{NAME.pattern}")
NULLABLE: Final = ("string", "bytes", "records")  # of the plain types; arrays and structs are, too
# A string is left as it is, a comment goes: whichever comes first. A string that does not end still matches, else each
# quote within it would be tried anew.
COMMENT: Final = re.compile(r'("(?:[^"\\\n]|\\.)*+"?)|//[^\n]*')
INTEGER: Final = re.compile(r"-?[0-9]{1,20}|0x[0-9a-fA-F]{1,16}")
NUMBER: Final = re.compile(r"-?[0-9]{1,30}([.][0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
BASE64_UUID: Final = re.compile(r"[A-Za-z0-9_-]{22}(==)?")

_shown = reprlib.Repr()  # what is refused may be large, and nested as deep as the stack allows
_shown.maxstring = _shown.maxother = _shown.maxlong = 80


class DefinitionError(WireError):
    """A definition that is none. file, path: where; path is a JSON path such as `fields[2].type`."""

    def __init__(self, file: str, path: str, expected: str, found: str) -> None:
        super().__init__(file, path, expected, found)
        self.file = file
        self.path = path
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return f"{self.file}{' ' if self.path else ''}{self.path}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class FieldDefinition:
    """One entry of `fields`. default: BY_TYPE where the JSON names none; path: where it stands."""

    name: str
    type_name: str
    path: str
    versions: range
    nullable: range
    tag: int | None
    tagged: range
    flexible: range | None
    default: Any
    ignorable: bool
    map_key: bool


@dataclass(frozen=True, slots=True)
class StructDefinition:
    """A name and its fields."""

    name: str
    fields: tuple[FieldDefinition, ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """A whole file. structs: the nested and common structs by name, each of which may be used more than once."""

    file: str
    kind: str
    api_key: int | None
    versions: range
    flexible: range
    root: StructDefinition
    structs: dict[str, StructDefinition]


def parse_definition(file: str, text: str) -> Definition:
    """The definition that a file's text holds. Raises DefinitionError."""
    try:
        data = json.loads(COMMENT.sub(lambda match: match[1] or "", text), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise DefinitionError(file, "", "JSON with // comments", str(error)) from None
    return _Parser(file, data).definition()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Without keys that are null: to Kafka, they are as if absent."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {_shown.repr(key)} twice in one object")
        found[key] = value
    return {key: value for key, value in found.items() if value is not None}


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _contains(outer: range, inner: range) -> bool:
    return not inner or (outer.start <= inner.start and inner.stop <= outer.stop)


class _Parser:
    """Holds what the parts of a file share: its name for errors, its versions, and the structs met so far."""

    def __init__(self, file: str, data: Any) -> None:
        self.file = file
        if not isinstance(data, dict):
            raise self.refuse("", "an object", data)
        self.data = data
        self.valid = self.versions(data, "validVersions", "")
        # Absent in Kafka before 2.4, and for APIs that were removed.
        self.flexible = self.versions(data, "flexibleVersions", "", NO_VERSIONS)
        self.structs: dict[str, StructDefinition] = {}
        self.field_count = 0

    def refuse(self, path: str, expected: str, found: Any) -> DefinitionError:
        return DefinitionError(self.file, path, expected, _shown.repr(found))

    def definition(self) -> Definition:
        data = self.data
        kind = data.get("type")
        if kind not in KINDS:
            raise self.refuse("type", f"one of {', '.join(KINDS)}", kind)
        api_key = data.get("apiKey")
        if api_key is not None and (api_key.__class__ is not int or not 0 <= api_key < 2**15):
            raise self.refuse("apiKey", "a key of 0 to 32767", api_key)
        name = self.name(data, "name", "", NAME)
        self.flag(data, "latestVersionUnstable", "")  # changes no bytes
        for index, common in enumerate(self.listed(data, "commonStructs", "")):
            path = f"commonStructs[{index}]"
            self.versions(common, "versions", path)  # those of its fields say the same
            self.add(self.name(common, "name", path, NAME), common, path, 1)
        return Definition(
            file=self.file,
            kind=kind,
            api_key=api_key,
            versions=self.valid,
            flexible=self.flexible,
            root=StructDefinition(name, self.fields(data, "", 0)),
            structs=self.structs,
        )

    def name(self, data: dict[str, Any], key: str, path: str, pattern: re.Pattern[str]) -> str:
        value = data.get(key)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.refuse(_at(path, key), "a name of ASCII letters and digits", value)
        return value

    def listed(self, data: dict[str, Any], key: str, path: str) -> list[dict[str, Any]]:
        value = data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(element, dict) for element in value):
            raise self.refuse(_at(path, key), "a list of objects", value)
        return value

    def versions(self, data: dict[str, Any], key: str, path: str, default: range | None = None) -> range:
        """default: where the key is absent; None refuses that."""
        text = data.get(key)
        if text is None and default is not None:
            return default
        try:
            return parse_versions(text)  # type: ignore[arg-type]  # it may be anything; the regex says TypeError
        except (WireError, TypeError):
            raise self.refuse(_at(path, key), 'versions such as "0-5", "3+" or "none"', text) from None

    def flag(self, data: dict[str, Any], key: str, path: str) -> bool:
        value = data.get(key, False)
        if value is not True and value is not False:
            raise self.refuse(_at(path, key), "true or false", value)
        return value

    def add(self, name: str, data: dict[str, Any], path: str, depth: int) -> None:
        """Enter a struct. A capital first, as Kafka has it, keeps its name apart from those of fields and methods."""
        if not name[0].isupper():
            raise self.refuse(path, "a struct with a capital first", name)
        fields = self.fields(data, path, depth)
        if name in self.structs:
            raise self.refuse(path, "a struct with a name of its own", name)
        self.structs[name] = StructDefinition(name, fields)

    def fields(self, data: dict[str, Any], path: str, depth: int) -> tuple[FieldDefinition, ...]:
        if depth > DEPTH_MAX:
            raise self.refuse(path, f"at most {DEPTH_MAX} levels of fields", "more")
        fields = []
        for index, entry in enumerate(self.listed(data, "fields", path)):
            self.field_count += 1
            if self.field_count > FIELDS_MAX:
                raise self.refuse(path, f"at most {FIELDS_MAX} fields", "more")
            fields.append(self.field(entry, _at(path, f"fields[{index}]"), depth))
        tags = sorted(field.tag for field in fields if field.tag is not None)
        if tags != list(range(len(tags))):
            raise self.refuse(_at(path, "fields"), "tags 0, 1, 2 ...", tags)
        return tuple(fields)

    def field(self, data: dict[str, Any], path: str, depth: int) -> FieldDefinition:
        type_name = self.name(data, "type", path, TYPE)
        if "fields" in data:
            self.add(type_name.removeprefix("[]"), data, path, depth + 1)
        tag, tagged = self.tag(data, path)
        versions = self.versions(data, "versions", path, tagged or None)
        if not _contains(versions, tagged):
            raise self.refuse(_at(path, "taggedVersions"), "some of the field's versions", data["taggedVersions"])
        nullable = self.versions(data, "nullableVersions", path, NO_VERSIONS)
        if nullable and type_name in PLAIN_TYPES and type_name not in NULLABLE:
            raise self.refuse(
                _at(path, "nullableVersions"), f"none, as {type_name} is never null", show_versions(nullable)
            )
        flexible = self.versions(data, "flexibleVersions", path) if "flexibleVersions" in data else None
        if flexible is not None and type_name not in NULLABLE:
            raise self.refuse(
                _at(path, "flexibleVersions"), f"none, as {type_name} has no length", show_versions(flexible)
            )
        return FieldDefinition(
            name=self.name(data, "name", path, NAME),
            type_name=type_name,
            path=path,
            versions=versions,
            nullable=nullable,
            tag=tag,
            tagged=tagged,
            flexible=flexible,
            default=self.default(data, type_name, path, nullable=_contains(nullable, versions)),
            ignorable=self.flag(data, "ignorable", path),
            map_key=self.flag(data, "mapKey", path),
        )

    def tag(self, data: dict[str, Any], path: str) -> tuple[int | None, range]:
        tag = data.get("tag")
        tagged = self.versions(data, "taggedVersions", path, NO_VERSIONS)
        if (tag is None) != (not tagged):
            raise self.refuse(path, "tag and taggedVersions together", "one of them")
        if tag is not None and (tag.__class__ is not int or not 0 <= tag <= TAG_MAX):
            raise self.refuse(_at(path, "tag"), f"a tag of 0 to {TAG_MAX}", tag)
        used = range(max(tagged.start, self.valid.start), min(tagged.stop, self.valid.stop))
        if not _contains(self.flexible, used):
            raise self.refuse(_at(path, "taggedVersions"), "flexible versions of the message", data["taggedVersions"])
        return tag, tagged

    def default(self, data: dict[str, Any], type_name: str, path: str, *, nullable: bool) -> Any:
        """Stands as a string or bare: "-1", -1, "0x7f", "true", "null"."""
        default = data.get("default", "")
        if not isinstance(default, (str, int, float)):
            raise self.refuse(_at(path, "default"), "a string, number or bool", default)
        text = str(default).lower() if isinstance(default, bool) else str(default)
        if not text:
            return BY_TYPE
        if text == "null":
            if not nullable:
                raise self.refuse(_at(path, "default"), "null only where nullable in each version", text)
            return None
        try:
            return _plain_default(text, type_name)
        except ValueError:
            raise self.refuse(_at(path, "default"), f"a default of {type_name}", default) from None


def _plain_default(text: str, type_name: str) -> Any:
    """Raises ValueError for a text that says no value of the type."""
    if type_name == "string":
        if len(text.encode()) <= STRING_BYTES_MAX:
            return text
    elif type_name == "bool":
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
    elif type_name == "float64":
        if NUMBER.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
    elif type_name == "uuid":
        if BASE64_UUID.fullmatch(text):
            return UUID(bytes=urlsafe_b64decode(text[:22] + "=="))
    elif type_name in PLAIN_TYPES and "int" in type_name and INTEGER.fullmatch(text):
        bits = int(type_name.lstrip("uint"))
        least = 0 if type_name.startswith("u") else -(2 ** (bits - 1))
        number = int(text, 16 if text.startswith("0x") else 10)
        if least <= number < least + 2**bits:
            return number
    raise ValueError
