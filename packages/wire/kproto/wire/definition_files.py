"""Finds the texts of message definitions: in a folder, or in a jar.

Layer: wire. Knows files and archives; knows no JSON. Neither is trusted: what an archive claims is checked against what
it holds, and everything read is bounded.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Final

from kproto.wire.definition_json import DefinitionError

__all__ = ["read_definitions"]

FILES_MAX: Final = 2_000  # Kafka 4.4.0 has 203
FILE_SIZE_MAX: Final = 1 << 20  # bytes; the largest of Kafka 4.4.0 has 13 kB
TOTAL_SIZE_MAX: Final = 16 << 20  # bytes of all files; Kafka 4.4.0 has 0.5 MB
JAR_SIZE_MAX: Final = 32 << 20  # bytes; that of Kafka 4.4.0 has 11 MB. Bounds the table of contents, too
JAR_FOLDER: Final = "common/message/"
SUFFIX: Final = ".json"
# What zipfile raises for archives that are damaged, encrypted, or compressed in ways it lacks.
BROKEN: Final = (OSError, EOFError, RuntimeError, ValueError, struct.error, zipfile.BadZipFile, zlib.error)
# The other methods decompress a block of any size at once, before a limit is looked at.
METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_definitions(path: Path) -> dict[str, str]:
    """File name without suffix -> text, of the folder's `*.json` or the jar's `common/message/*.json`.

    Raises DefinitionError where there are none, too many or too large ones, or what is there cannot be read.
    """
    texts: dict[str, str] = {}
    total = 0
    for name, data in _read_folder(path) if path.is_dir() else _read_jar(path):
        stem = name.removesuffix(SUFFIX)
        if stem in texts:
            raise DefinitionError(str(path), "", "one file of each name", f"{name} twice")
        total += len(data)
        if len(texts) == FILES_MAX or total > TOTAL_SIZE_MAX:
            limits = f"at most {FILES_MAX} files of together {TOTAL_SIZE_MAX} bytes"
            raise DefinitionError(str(path), "", limits, "more")
        texts[stem] = _text(name, data)
    if not texts:
        raise DefinitionError(str(path), "", f"message JSON, in the folder or in a jar's {JAR_FOLDER}", "none")
    return texts


def _read_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(islice(path.glob(f"*{SUFFIX}"), FILES_MAX + 1)):
        if not file.is_file():  # a pipe would block, a device might never end
            raise DefinitionError(file.name, "", "a file", "something else")
        try:
            with file.open("rb") as stream:
                yield file.name, _bounded(file.name, stream)
        except OSError as error:
            raise DefinitionError(file.name, "", "a readable file", str(error)) from None


def _read_jar(path: Path) -> Iterator[tuple[str, bytes]]:
    if not path.is_file():
        raise DefinitionError(str(path), "", "a folder of message JSON, or a kafka-clients jar", "neither")
    try:
        size = path.stat().st_size
        if size > JAR_SIZE_MAX:
            raise DefinitionError(str(path), "", f"a jar of at most {JAR_SIZE_MAX} bytes", str(size))
        with zipfile.ZipFile(path) as jar:
            for entry in jar.infolist():
                name = entry.filename.removeprefix(JAR_FOLDER)
                if name == entry.filename or "/" in name or not name.endswith(SUFFIX):
                    continue
                if entry.compress_type not in METHODS:
                    raise DefinitionError(name, "", "a deflated or stored entry", f"method {entry.compress_type}")
                with jar.open(entry) as stream:
                    yield name, _bounded(name, stream)
    except BROKEN as error:
        raise DefinitionError(str(path), "", "a kafka-clients jar", str(error)) from None


def _bounded(name: str, stream: IO[bytes]) -> bytes:
    data = stream.read(FILE_SIZE_MAX + 1)  # whatever size the archive claims
    if len(data) > FILE_SIZE_MAX:
        raise DefinitionError(name, "", f"at most {FILE_SIZE_MAX} bytes", "more")
    return data


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DefinitionError(name, "", "UTF-8", f"byte {data[error.start]:#04x} at {error.start}") from None
