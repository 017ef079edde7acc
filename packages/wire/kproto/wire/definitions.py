"""Kafka's own message JSON, read at run time: every API of a Kafka release, also of next year's.

Layer: wire. Builds the same kind of classes as a declaration does. The input is not trusted: sizes, depths and counts
are bounded, and each name is checked to be an identifier before any code is generated from it.
Source: the README of clients/src/main/resources/common/message in Apache Kafka.

    definitions = load("kafka-clients-4.4.0.jar")
    definitions["FetchRequest"].decode(body, 17)
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from kproto.wire.definition_files import read_definitions
from kproto.wire.definition_json import (
    DEPTH_MAX,
    Definition,
    DefinitionError,
    FieldDefinition,
    StructDefinition,
    parse_definition,
)
from kproto.wire.field import BY_TYPE, Field, element_struct
from kproto.wire.plain import did_you_mean
from kproto.wire.schema import Message, Request, Response, Struct, StructMeta
from kproto.wire.versions import show_versions
from kproto.wire.wire_type import PLAIN_TYPES, Array, StructType, WireType

__all__ = ["DefinitionError", "Definitions", "load", "snake_case"]

# Fields of a message when each struct is counted where it is used; Kafka 4.4.0 has 100. The generated code grows with
# it, and a few structs that hold each other ten times over would make it endless.
EXPANDED_FIELDS_MAX: Final = 1_000
KINDS: Final[dict[str, type[Message]]] = {
    "request": Request,
    "response": Response,
    "header": Message,
    "data": Message,
}
# `draft` is set on each class as it is made; the rest are names inside the constructor that is generated for it.
TAKEN: Final = frozenset(["array", "draft", "self", "set_tags", "tags"])
RESERVED: Final[dict[type[Struct], frozenset[str]]] = {
    base: TAKEN | {*keyword.kwlist} | {name for name in dir(base) if not name.startswith("_")}
    for base in (Struct, Message)
}

M = TypeVar("M", bound=Message)


def load(path: str | Path) -> Definitions:
    """The messages of a folder of JSON files, or of a `kafka-clients` jar.

    All files are read at once (0.5 MB in Kafka 4.4.0); each is parsed when its message is first asked for.
    Raises DefinitionError where there are no files, or too many; asking for a message raises it for what is wrong in
    its file.
    """
    return Definitions(read_definitions(Path(path)))


class Definitions(Mapping[str, type[Message]]):
    """Message class by Kafka's name, such as "FetchRequest". Each is built when it is first asked for.

    The classes behave as the declared ones, but neither they nor their values can be pickled: no module holds them.
    Safe to share between threads: two that ask for one message get one class.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        """texts: the JSON of each message, by the message's name."""
        self._texts = dict(texts)
        self._classes: dict[str, type[Message]] = {}

    def __getitem__(self, name: str) -> type[Message]:
        made = self._classes.get(name)
        if made is None:
            if name not in self._texts:
                raise KeyError(f"no message {name!r}: {did_you_mean(name, self._texts)}")
            made = self._classes.setdefault(name, self._build(name))
        return made

    def _build(self, name: str) -> type[Message]:
        definition = parse_definition(f"{name}.json", self._texts[name])
        if definition.root.name != name:
            raise DefinitionError(definition.file, "name", f"the name of its file, {name}", definition.root.name)
        return build(definition)

    def __contains__(self, name: object) -> bool:
        return name in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __repr__(self) -> str:
        return f"<Definitions of {len(self)} messages>"

    @cached_property
    def requests(self) -> Mapping[int, type[Request]]:
        """API key -> request class: `decode_request(payload, definitions.requests)`. The first use builds all."""
        return self._by_key(Request)

    @cached_property
    def responses(self) -> Mapping[int, type[Response]]:
        """API key -> response class. The first use builds all."""
        return self._by_key(Response)

    def _by_key(self, kind: type[M]) -> Mapping[int, type[M]]:
        found: dict[int, type[M]] = {}
        for name, cls in self.items():
            if issubclass(cls, kind) and cls.api_key is not None:
                other = found.setdefault(cls.api_key, cls)
                if other is not cls:
                    claim = f"{cls.api_key}, which {other.__name__} has"
                    raise DefinitionError(f"{name}.json", "apiKey", "a key of its own", claim)
        return MappingProxyType(found)


def snake_case(name: str, base: type[Struct] = Struct) -> str:
    """A JSON field name as an attribute: split before a capital behind a lower-case letter, and between that and digits
    which a capital follows; `_` is added to Python's words and the names that `base` has, Struct or Message.

    >>> [snake_case(name) for name in ("LogAppendTimeMs", "Enable2Pc", "V3AndBelow", "KRaftVersion", "From")]
    ['log_append_time_ms', 'enable_2pc', 'v3and_below', 'kraft_version', 'from_']
    """
    snake = re.sub(r"(?<=[a-z])(?=[0-9]*[A-Z])", "_", name).lower()
    return f"{snake}_" if snake in RESERVED[base] else snake


def build(definition: Definition) -> type[Message]:
    """The class of a parsed definition. Raises DefinitionError for types that are missing, cyclic or too large."""
    builder = _Builder(definition)
    body = builder.body(definition.root, Message)
    for name in definition.structs:
        builder.struct(name, "commonStructs")
    # Struct names begin with a capital, so they meet neither fields nor what a message has by itself.
    body |= builder.built
    body["__doc__"] = f"{definition.root.name}, as {definition.file} defines it."
    options = {
        "versions": show_versions(definition.versions),
        "flexible": show_versions(definition.flexible),
        "api_key": definition.api_key,
    }
    made = StructMeta(definition.root.name, (KINDS[definition.kind],), body, **options)
    assert issubclass(made, Message)
    return made


class _Builder:
    """The nested structs of one message, each built once, and what each adds where it is used."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.built: dict[str, type[Struct]] = {}
        self.building: list[str] = []
        self.depths: dict[type[Struct], int] = {}
        self.sizes: dict[type[Struct], int] = {}

    def refuse(self, path: str, expected: str, found: str) -> DefinitionError:
        return DefinitionError(self.definition.file, path, expected, found)

    def body(self, definition: StructDefinition, base: type[Struct]) -> dict[str, Any]:
        body: dict[str, Any] = {"__module__": __name__}
        size = 0
        for entry in definition.fields:
            name = snake_case(entry.name, base)
            if name in body:
                raise self.refuse(entry.path, "a name of its own", f"{name} twice")
            body[name] = made = self.field(name, entry)
            nested = element_struct(made.type)
            size += 1 if nested is None else 1 + self.sizes[nested]
            if size > EXPANDED_FIELDS_MAX:
                raise self.refuse(entry.path, f"at most {EXPANDED_FIELDS_MAX} fields with those of structs", "more")
        return body

    def field(self, name: str, definition: FieldDefinition) -> Field:
        wire_type = self.wire_type(definition.type_name, definition.path)
        return Field(
            name=name,
            type=wire_type,
            versions=definition.versions,
            nullable=definition.nullable,
            tag=definition.tag,
            tagged=definition.tagged,
            default=wire_type.default if definition.default is BY_TYPE else definition.default,
            ignorable=definition.ignorable,
            map_key=definition.map_key,
            flexible=definition.flexible,
        )

    def wire_type(self, name: str, path: str) -> WireType:
        if name.startswith("[]"):
            return Array(self.wire_type(name[2:], path))
        plain = PLAIN_TYPES.get(name)
        return StructType(self.struct(name, path)) if plain is None else plain

    def struct(self, name: str, path: str) -> type[Struct]:
        if name in self.built:
            return self.built[name]
        definition = self.definition.structs.get(name)
        if definition is None:
            known = [*PLAIN_TYPES, *self.definition.structs]
            raise self.refuse(path, f"a type, {did_you_mean(name, known)}", name)
        if name in self.building:
            raise self.refuse(path, "structs that do not hold themselves", " in ".join([name, *self.building[::-1]]))
        self.building.append(name)
        if len(self.building) > DEPTH_MAX:  # before the stack is deep
            raise self.refuse(path, f"at most {DEPTH_MAX} structs in one another", "more")
        self.built[name] = made = self.made_struct(name, definition)
        self.building.pop()
        nested = [struct for field in made.fields if (struct := element_struct(field.type)) is not None]
        self.sizes[made] = len(made.fields) + sum(self.sizes[struct] for struct in nested)
        self.depths[made] = 1 + max((self.depths[struct] for struct in nested), default=0)
        if self.depths[made] > DEPTH_MAX:
            raise self.refuse(path, f"at most {DEPTH_MAX} structs in one another", "more")
        return made

    def made_struct(self, name: str, definition: StructDefinition) -> type[Struct]:
        body = self.body(definition, Struct)
        body["__qualname__"] = f"{self.definition.root.name}.{name}"
        body["__doc__"] = f"{name} of {self.definition.root.name}, as {self.definition.file} defines it."
        made = StructMeta(name, (Struct,), body)
        assert issubclass(made, Struct)
        return made
