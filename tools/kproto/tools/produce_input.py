"""Records out of files and pipes, as they come: lines, JSON, or values behind their lengths.

Layer: tools. Reads no further than the record that is asked for, but for what a pipe gives at once; keeps none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, Final, NamedTuple

from kproto.producer import ProducerRecord
from kproto.tools.record_json import RecordFormatError, record_from_json
from kproto.wire import KafkaError

__all__ = ["InputError", "InputForm", "InputFormat", "RecordReader", "Source"]

LENGTH_SIZE: Final = 4
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
JSON_PER_BYTE: Final = 6  # characters that a byte may need there: \u0000
JSON_SPARE: Final = 65_536  # for names, commas and blanks


class InputFormat(Enum):
    """How records follow each other."""

    LINES = "lines"
    """A value a line, or key and value. A line ends with a line feed, with or without a carriage return."""
    NDJSON = "ndjson"
    """A record a line, see `record_json`; empty lines are passed over."""
    LENGTH = "length"
    """A big-endian number of 4 bytes, and so many bytes of a value."""


@dataclass(frozen=True, slots=True)
class InputForm:
    """What the input looks like, and what its records have in common.

    default: topic, key, partition and headers of those that name none. key_separator: between key and value of a line;
    null: the key or value of a line that stands for none; size_max: bytes of a value, beyond which it is no record.
    """

    format: InputFormat
    default: ProducerRecord
    key_separator: bytes | None = None
    null: bytes | None = None
    size_max: int = 1_048_576


class Source(NamedTuple):
    """A path, opened when its turn comes, or a file that is open. size: in bytes, None for a pipe."""

    name: str
    file: BinaryIO | Path
    size: int | None = None

    @classmethod
    def of(cls, path: Path) -> Source:
        """A path; what is not a regular file, such as a named pipe, has no size. Raises OSError."""
        found = path.stat()
        return cls(str(path), path, found.st_size if S_ISREG(found.st_mode) else None)


class InputError(KafkaError, ValueError):
    """Something in the input is no record. source: its name; place: as in "line 7"; why: what was expected."""

    def __init__(self, source: str, place: str, why: str) -> None:
        super().__init__(source, place, why)
        self.source = source
        self.place = place
        self.why = why

    def __str__(self) -> str:
        return f"{self.source}, {self.place}: {self.why}"


class RecordReader:
    """The records of sources one after the other: iterate once.

    bytes_read: of all sources, line ends included. place: of the record that was read last. Raises InputError; what
    came before it was right. Not thread-safe, but its numbers may be read.
    """

    def __init__(self, sources: Sequence[Source], form: InputForm) -> None:
        self._sources = sources
        self._form = form
        self._source = sources[0].name if sources else ""
        self._number = 0
        self.bytes_read = 0

    @property
    def size(self) -> int | None:
        """Bytes in all sources; None where one is a pipe."""
        sizes = [source.size for source in self._sources]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def place(self) -> str:
        """As in "stdin, line 7"; line 0 before the first."""
        return f"{self._source}, {self._unit} {self._number}"

    @property
    def _unit(self) -> str:
        return "record" if self._form.format is InputFormat.LENGTH else "line"

    def __iter__(self) -> Iterator[ProducerRecord]:
        read = {
            InputFormat.LINES: self._lines,
            InputFormat.NDJSON: self._ndjson,
            InputFormat.LENGTH: self._lengths,
        }[self._form.format]
        for source in self._sources:
            self._source, self._number = source.name, 0
            try:
                with source.file.open("rb") if isinstance(source.file, Path) else nullcontext(source.file) as file:
                    yield from read(file)
            except OSError as error:
                raise self._wrong(f"it cannot be read on: {error.strerror or error}") from None

    def _wrong(self, why: str) -> InputError:
        return InputError(self._source, f"{self._unit} {self._number}", why)

    def _each_line(self, file: BinaryIO, size_max: int) -> Iterator[bytes]:
        """Without its end."""
        longest = size_max + 2  # with both characters of an end
        while line := file.readline(longest + 1):
            self._number += 1
            self.bytes_read += len(line)
            if len(line) > longest:
                raise self._wrong(f"a line of at most {size_max} bytes was expected: see --format")
            if line.endswith(b"\n"):
                line = line[: -2 if line.endswith(b"\r\n") else -1]
            yield line

    def _lines(self, file: BinaryIO) -> Iterator[ProducerRecord]:
        form = self._form
        separator, null = form.key_separator, form.null
        for line in self._each_line(file, form.size_max):
            key, value = form.default.key, line
            if separator is not None:
                key, found, value = line.partition(separator)
                if not found:
                    between = repr(separator.decode(errors="replace"))
                    raise self._wrong(f"key and value with {between} between were expected")
            yield replace(
                form.default,
                key=None if key == null and separator is not None else key,
                value=None if value == null else value,
            )

    def _ndjson(self, file: BinaryIO) -> Iterator[ProducerRecord]:
        for line in self._each_line(file, self._form.size_max * JSON_PER_BYTE + JSON_SPARE):
            if self._number == 1:
                line = line.removeprefix(BYTE_ORDER_MARK)
            if not line.strip():
                continue
            try:
                yield record_from_json(line, self._form.default)
            except RecordFormatError as error:
                raise self._wrong(error.why) from None

    def _lengths(self, file: BinaryIO) -> Iterator[ProducerRecord]:
        while prefix := file.read(LENGTH_SIZE):
            self._number += 1
            self.bytes_read += len(prefix)
            if len(prefix) < LENGTH_SIZE:
                raise self._wrong(f"a length of {LENGTH_SIZE} bytes was expected, the input ends after {len(prefix)}")
            length = int.from_bytes(prefix, "big")
            if length > self._form.size_max:
                raise self._wrong(f"a length of at most {self._form.size_max} was expected, not {length}: see --format")
            value = file.read(length)
            self.bytes_read += len(value)
            if len(value) < length:
                raise self._wrong(f"{length} bytes were expected, the input ends after {len(value)}")
            yield replace(self._form.default, value=value)
