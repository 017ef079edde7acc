"""The file of records that were not delivered, which `kproto produce --format ndjson` takes again.

Layer: tools. Made before the first record is sent, so that what fails has a place to go; gone again if it stays empty.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import FileIO
from itertools import count
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING

from kproto.producer import ProducerRecord, WriteStatus
from kproto.tools.record_json import record_to_json
from kproto.wire import KafkaError

if TYPE_CHECKING:
    from typing import Self

__all__ = ["UndeliveredFile", "UndeliveredFileError"]


class UndeliveredFileError(KafkaError):
    """There is no place for records that are not delivered. path; why: a phrase."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(path, why)
        self.path = path
        self.why = why

    def __str__(self) -> str:
        return f"{self.path}: {self.why}; choose another place with --undelivered, nothing was sent"


class UndeliveredFile:
    """One line a record, each on disk before the next. Use `with`, or call `close`. Thread-safe.

    path: None for TOPIC.undelivered.ndjson here, with a number if that exists. Nothing is ever overwritten: it may be
    what an earlier run left, or the very input. A line that cannot be written, as on a full disk, goes to stderr.
    topic: of the command; records: how many were added; spilled: how many of them are on stderr. Raises
    UndeliveredFileError.
    """

    def __init__(self, path: Path | None, topic: str) -> None:
        self.topic = topic
        self.records = 0
        self.spilled = 0
        self._size = 0
        self._lock = Lock()
        self.path, self._file = _create(path) if path is not None else _create_numbered(topic)

    def add(self, record: ProducerRecord, written: WriteStatus, error: BaseException) -> None:
        """Write a record, with what is known of it."""
        line = f"{record_to_json(record, written, error)}\n".encode()
        with self._lock:
            self.records += 1
            if not self._written(line):
                self.spilled += 1
                sys.stderr.write(line.decode())

    def _written(self, line: bytes) -> bool:
        """Whether it is whole in the file; if not, nothing of it is."""
        try:
            if self._file.write(line) == len(line):
                self._size += len(line)
                return True
        except OSError:
            pass
        with suppress(OSError):
            self._file.truncate(self._size)
            self._file.seek(self._size)
        return False

    def close(self) -> None:
        """End the file; remove it where nothing is in it. May be called again."""
        with self._lock:
            if self._file.closed:
                return
            self._file.close()
            if not self.records:
                self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _create(path: Path) -> tuple[Path, FileIO]:
    try:
        return path, path.open("xb", buffering=0)
    except FileExistsError:
        raise UndeliveredFileError(path, "exists, and may hold what an earlier run could not deliver") from None
    except OSError as error:
        raise UndeliveredFileError(path, f"cannot be made: {error.strerror or error}") from None


def _create_numbered(topic: str) -> tuple[Path, FileIO]:
    for number in count(1):
        path = Path(f"{topic}.undelivered{f'-{number}' if number > 1 else ''}.ndjson")
        if not os.path.lexists(path):
            with suppress(FileExistsError):  # another run was faster
                return _create(path)
    raise AssertionError("count ends never")
