"""Kafka's own message JSON, read at run time: every API of a Kafka release, also of next year's.

Layer: wire. Builds the same kind of classes as a declaration does. The input is not trusted: sizes, depths and counts
are bounded, and each name is checked to be an identifier before any code is generated from it.
Source: the README of clients/src/main/resources/common/message in Apache Kafka.

    definitions = load("kafka-clients-4.4.0.jar")
    definitions["FetchRequest"].decode(body, 17)
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from kproto.wire.definition_json import Definition, DefinitionError, StructDefinition, parse_definition
from kproto.wire.field import BY_TYPE, Field
from kproto.wire.plain import did_you_mean
from kproto.wire.schema import Message, Request, Response, Struct, StructMeta
from kproto.wire.versions import show_versions
from kproto.wire.wire_type import (
    PLAIN_TYPES,
    Array,
    StructType,
    WireType,
)

__all__ = ["DefinitionError", "Definitions", "load", "snake_case"]

FILES_MAX: Final = 2_000
FILE_SIZE_MAX: Final = 1 << 20  # bytes; the largest of Kafka 4.4.0 has 27 kB
JAR_FOLDER: Final = "common/message/"
KINDS: Final[dict[str, type[Message]]] = {
    "request": Request,
    "response": Response,
    "header": Message,
    "data": Message,
}
WORDS: Final = frozenset(
    [
        "False",
        "None",
        "True",
        "and",
        "as",
        "assert",
        "async",
        "await",
        "break",
        "class",
        "continue",
        "def",
        "del",
        "elif",
        "else",
        "except",
        "finally",
        "for",
        "from",
        "global",
        "if",
        "import",
        "in",
        "is",
        "lambda",
        "nonlocal",
        "not",
        "or",
        "pass",
        "raise",
        "return",
        "try",
        "while",
        "with",
        "yield",
    ]
)
RESERVED: Final[dict[type[Struct], frozenset[str]]] = {
    base: WORDS | {"self", *(name for name in dir(base) if not name.startswith("_"))} for base in (Struct, Message)
}


def load(path: str | Path) -> Definitions:
    """The messages of a folder of JSON files, or of a `kafka-clients` jar.

    Files are parsed when their message is first asked for. Raises DefinitionError where there are none, or too many;
    a message that is asked for raises it for what is wrong in its file.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(path.glob("*.json"))[: FILES_MAX + 1]
        texts = {file.stem: _read_file(file) for file in files}
    else:
        texts = _read_jar(path)
    if not texts:
        raise DefinitionError(str(path), "", "message JSON, in the folder or in a jar's common/message/", "none")
    if len(texts) > FILES_MAX:
        raise DefinitionError(str(path), "", f"at most {FILES_MAX} files", f"{len(texts)} or more")
    return Definitions(texts)


def _read_file(file: Path) -> str:
    size = file.stat().st_size
    if size > FILE_SIZE_MAX:
        raise DefinitionError(file.name, "", f"at most {FILE_SIZE_MAX} bytes", str(size))
    return _text(file.name, file.read_bytes())


def _read_jar(path: Path) -> dict[str, str]:
    texts = {}
    try:
        with zipfile.ZipFile(path) as jar:
            names = [name for name in jar.namelist() if name.startswith(JAR_FOLDER) and name.endswith(".json")]
            for name in names[: FILES_MAX + 1]:
                with jar.open(name) as file:
                    data = file.read(FILE_SIZE_MAX + 1)  # whatever size the archive claims
                if len(data) > FILE_SIZE_MAX:
                    raise DefinitionError(name, "", f"at most {FILE_SIZE_MAX} bytes", "more")
                texts[Path(name).stem] = _text(name, data)
    except (OSError, zipfile.BadZipFile) as error:
        raise DefinitionError(str(path), "", "a folder of message JSON, or a kafka-clients jar", str(error)) from None
    return texts


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DefinitionError(name, "", "UTF-8", f"byte {data[error.start]:#04x} at {error.start}") from None


class Definitions(Mapping[str, type[Message]]):
    """Message class by Kafka's name, such as "FetchRequest". Each is built when it is first asked for.

    The classes behave as the declared ones; they cannot be pickled, because no module holds them.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = dict(texts)
        self._classes: dict[str, type[Message]] = {}

    def __getitem__(self, name: str) -> type[Message]:
        if name not in self._classes:
            if name not in self._texts:
                raise KeyError(f"no message {name!r}: {did_you_mean(name, self._texts)}")
            self._classes[name] = build(parse_definition(f"{name}.json", self._texts[name]))
        return self._classes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __repr__(self) -> str:
        return f"<Definitions of {len(self)} messages>"

    @property
    def requests(self) -> dict[int, type[Request]]:
        """API key -> request class, of all requests: `decode_request(payload, definitions.requests)`. Parses them."""
        found = (self[name] for name in self if name.endswith("Request"))
        return {cls.api_key: cls for cls in found if issubclass(cls, Request) and cls.api_key is not None}

    @property
    def responses(self) -> dict[int, type[Response]]:
        """API key -> response class, of all responses. Parses them."""
        found = (self[name] for name in self if name.endswith("Response"))
        return {cls.api_key: cls for cls in found if issubclass(cls, Response) and cls.api_key is not None}


def snake_case(name: str, base: type[Struct] = Struct) -> str:
    """A JSON field name as an attribute: split before a capital behind a lower-case letter, and between that and digits
    which a capital follows; `_` is added to Python's words and the names that `base` has, Struct or Message.

    >>> [snake_case(name) for name in ("LogAppendTimeMs", "Enable2Pc", "V3AndBelow", "KRaftVersion")]
    ['log_append_time_ms', 'enable_2pc', 'v3and_below', 'kraft_version']
    """
    snake = re.sub(r"(?<=[a-z])(?=[0-9]*[A-Z])", "_", name).lower()
    return f"{snake}_" if snake in RESERVED[base] else snake


def build(definition: Definition) -> type[Message]:
    """The class of a parsed definition."""
    builder = _Builder(definition)
    options = {
        "versions": show_versions(definition.versions),
        "flexible": show_versions(definition.flexible),
        "api_key": definition.api_key,
    }
    body = builder.body(definition.root, Message)
    body |= {struct.__name__: struct for struct in builder.built.values()}
    body["__doc__"] = f"{definition.root.name}, as {definition.file} defines it."
    base = KINDS[definition.kind]
    made = StructMeta(definition.root.name, (base,), body, **options)
    assert issubclass(made, Message)
    return made


class _Builder:
    """The nested structs of one message, each built once."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.built: dict[str, type[Struct]] = {}
        self.building: list[str] = []

    def body(self, definition: StructDefinition, base: type[Struct]) -> dict[str, Any]:
        body: dict[str, Any] = {"__module__": __name__}
        for field in definition.fields:
            name = snake_case(field.name, base)
            if name in body:
                raise DefinitionError(self.definition.file, field.path, "a name of its own", f"{name} twice")
            wire_type = self.wire_type(field.type_name, field.path)
            body[name] = Field(
                name=name,
                type=wire_type,
                versions=field.versions,
                nullable=field.nullable,
                tag=field.tag,
                tagged=field.tagged,
                default=self.default(wire_type, field.default),
                ignorable=field.ignorable,
                map_key=field.map_key,
                flexible=field.flexible,
            )
        return body

    def default(self, wire_type: WireType, default: Any) -> Any:
        return wire_type.default if default is BY_TYPE else default

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
            raise DefinitionError(self.definition.file, path, f"a type, {did_you_mean(name, known)}", name)
        if name in self.building:
            cycle = " in ".join([*self.building, name])
            raise DefinitionError(self.definition.file, path, "structs that do not hold themselves", cycle)
        self.building.append(name)
        made = StructMeta(
            name, (Struct,), {**self.body(definition, Struct), "__qualname__": f"{self.definition.root.name}.{name}"}
        )
        self.building.pop()
        assert issubclass(made, Struct)
        self.built[name] = made
        return made
