"""Parses one message definition of Kafka: JSON with `//` comments into checked values.

Layer: wire. Knows the JSON's shape; builds no class.
Source: the README of clients/src/main/resources/common/message in Apache Kafka.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from kproto.wire.errors import WireError
from kproto.wire.field import BY_TYPE
from kproto.wire.versions import NO_VERSIONS, parse_versions
from kproto.wire.wire_type import PLAIN_TYPES

__all__ = ["Definition", "DefinitionError", "FieldDefinition", "StructDefinition", "parse_definition"]

DEPTH_MAX: Final = 16  # of nested fields; Kafka 4.4.0 has 5
FIELDS_MAX: Final = 1_000  # of one message
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,99}")
TYPE: Final = re.compile(r"(\[\])?[A-Za-z][A-Za-z0-9]{0,99}")
TAG_MAX: Final = 1_000
KINDS: Final = ("request", "response", "header", "data")
# A string is left as it is, a comment goes: whichever comes first.
COMMENT: Final = re.compile(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*')


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
        data = json.loads(COMMENT.sub(lambda match: match[1] or "", text))
    except (ValueError, RecursionError) as error:
        raise DefinitionError(file, "", "JSON with // comments", str(error)) from None
    return _Parser(file).definition(data)


class _Parser:
    """Holds the file's name for errors, and the structs met so far."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.structs: dict[str, StructDefinition] = {}
        self.field_count = 0

    def refuse(self, path: str, expected: str, found: Any) -> DefinitionError:
        return DefinitionError(self.file, path, expected, repr(found)[:80])

    def definition(self, data: Any) -> Definition:
        if not isinstance(data, dict):
            raise self.refuse("", "an object", data)
        kind = data.get("type")
        if kind not in KINDS:
            raise self.refuse("type", f"one of {', '.join(KINDS)}", kind)
        api_key = data.get("apiKey")
        if api_key is not None and (api_key.__class__ is not int or not -1 <= api_key < 2**15):
            raise self.refuse("apiKey", "an int16", api_key)
        name = self.matching(data, "name", "", NAME)
        for index, common in enumerate(self.listed(data, "commonStructs", "")):
            self.struct(common, f"commonStructs[{index}]", 1)
        return Definition(
            file=self.file,
            kind=kind,
            api_key=api_key,
            versions=self.versions(data, "validVersions", "", "none"),
            flexible=self.versions(data, "flexibleVersions", "", "none"),
            root=StructDefinition(name, self.fields(data, "", 0)),
            structs=self.structs,
        )

    def matching(self, data: dict[str, Any], key: str, path: str, pattern: re.Pattern[str]) -> str:
        value = data.get(key)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.refuse(f"{path}.{key}".lstrip("."), "a name of ASCII letters and digits", value)
        return value

    def listed(self, data: dict[str, Any], key: str, path: str) -> list[dict[str, Any]]:
        value = data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(element, dict) for element in value):
            raise self.refuse(f"{path}.{key}".lstrip("."), "a list of objects", value)
        return value

    def versions(self, data: dict[str, Any], key: str, path: str, default: str) -> range:
        text = data.get(key, default)
        try:
            return parse_versions(text)
        except (WireError, TypeError):
            raise self.refuse(f"{path}.{key}".lstrip("."), 'versions such as "0-5", "3+" or "none"', text) from None

    def struct(self, data: dict[str, Any], path: str, depth: int) -> None:
        name = self.matching(data, "name", path, NAME)
        self.add(StructDefinition(name, self.fields(data, path, depth)), path)

    def add(self, struct: StructDefinition, path: str) -> None:
        if struct.name in PLAIN_TYPES or struct.name in self.structs:
            raise self.refuse(path, "a struct with a name of its own", struct.name)
        self.structs[struct.name] = struct

    def fields(self, data: dict[str, Any], path: str, depth: int) -> tuple[FieldDefinition, ...]:
        if depth > DEPTH_MAX:
            raise self.refuse(path, f"at most {DEPTH_MAX} levels of fields", "more")
        fields = []
        for index, entry in enumerate(self.listed(data, "fields", path)):
            self.field_count += 1
            if self.field_count > FIELDS_MAX:
                raise self.refuse(path, f"at most {FIELDS_MAX} fields", "more")
            fields.append(self.field(entry, f"{path}.fields[{index}]".lstrip("."), depth))
        tags = sorted(field.tag for field in fields if field.tag is not None)
        if tags != list(range(len(tags))):
            raise self.refuse(path or "fields", "tags 0, 1, 2 ...", tags)
        return tuple(fields)

    def field(self, data: dict[str, Any], path: str, depth: int) -> FieldDefinition:
        name = self.matching(data, "name", path, NAME)
        type_name = self.matching(data, "type", path, TYPE)
        if "fields" in data:
            self.add(StructDefinition(type_name.removeprefix("[]"), self.fields(data, path, depth + 1)), path)
        tag = data.get("tag")
        if tag is not None and (tag.__class__ is not int or not 0 <= tag <= TAG_MAX):
            raise self.refuse(f"{path}.tag", f"a tag of 0 to {TAG_MAX}", tag)
        if (tag is None) != ("taggedVersions" not in data):
            raise self.refuse(path, "tag and taggedVersions together", "one of them")
        nullable = self.versions(data, "nullableVersions", path, "none")
        return FieldDefinition(
            name=name,
            type_name=type_name,
            path=path,
            versions=self.versions(data, "versions", path, "none"),
            nullable=nullable,
            tag=tag,
            tagged=NO_VERSIONS if tag is None else self.versions(data, "taggedVersions", path, "none"),
            flexible=self.versions(data, "flexibleVersions", path, "none") if "flexibleVersions" in data else None,
            default=self.default(data, type_name, path, nullable=bool(nullable)),
            ignorable=self.flag(data, "ignorable", path),
            map_key=self.flag(data, "mapKey", path),
        )

    def flag(self, data: dict[str, Any], key: str, path: str) -> bool:
        value = data.get(key, False)
        if value is not True and value is not False:
            raise self.refuse(f"{path}.{key}", "true or false", value)
        return value

    def default(self, data: dict[str, Any], type_name: str, path: str, *, nullable: bool) -> Any:
        """Stands as a string or bare: "-1", -1, "0x7f", "true", "null"."""
        if "default" not in data or data["default"] == "":
            return BY_TYPE
        text = str(data["default"]).strip()
        if text in ("null", "None"):
            if not nullable:
                raise self.refuse(f"{path}.default", "null only where nullable", text)
            return None
        try:
            return _plain_default(text, type_name)
        except (ValueError, OverflowError):
            raise self.refuse(f"{path}.default", f"a default of {type_name}", data["default"]) from None


def _plain_default(text: str, type_name: str) -> Any:
    if type_name == "string":
        return text
    if type_name == "bool":
        return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else int("")
    if type_name == "float64":
        return float(text)
    if type_name in PLAIN_TYPES and "int" in type_name:
        bits = int(type_name.lstrip("uint"))
        number = int(text, 0)
        least = 0 if type_name.startswith("u") else -(2 ** (bits - 1))
        if not least <= number < least + 2**bits:
            raise OverflowError
        return number
    raise ValueError("only null, numbers, strings and bools have defaults in JSON")
