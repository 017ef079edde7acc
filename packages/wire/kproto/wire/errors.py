"""What can be wrong: one tree for every layer.

Layer: wire. Knows no I/O; the layers above add their branches to the same root.

KafkaError                      retriable: may the same operation succeed when repeated?
└─ WireError                    bytes and values; no input or output happened
   ├─ DecodeError               the bytes are not what the schema says: path, offset, expected, found
   │  ├─ Underrun                  more was promised than came
   │  ├─ TrailingBytes             more came than was promised
   │  ├─ BadVarint                 longer than its type allows, or not the shortest form
   │  ├─ BadCount                  a count or length that cannot be true
   │  ├─ UnexpectedNull            null where this version has none
   │  ├─ BadUtf8                   a string that is not UTF-8
   │  ├─ BadCrc                    a checksum that does not match
   │  └─ DecompressionError        a compressed body that does not decompress, or grows past the limit
   └─ EncodeError               a value does not fit the schema: path, value, why
      └─ FieldUnavailable          a value for a field that this version lacks
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "BadCount",
    "BadCrc",
    "BadUtf8",
    "BadVarint",
    "DecodeError",
    "DecompressionError",
    "EncodeError",
    "FieldUnavailable",
    "KafkaError",
    "TrailingBytes",
    "Underrun",
    "UnexpectedNull",
    "WireError",
]

SHOWN_VALUE_MAX = 80  # characters of a refused value that a message shows


class KafkaError(Exception):
    """The root. Hashable, picklable; `retriable` says whether repeating the operation can help."""

    retriable: ClassVar[bool] = False


class WireError(KafkaError):
    """Bytes or values are wrong; also raised for a version outside a message's range."""


class DecodeError(WireError):
    """Bytes that do not follow the schema.

    path: message, version and field, such as `MetadataResponse v12 topics[3].name`.
    offset: bytes from the start of the decoded buffer. expected, found: phrases for people.
    """

    def __init__(self, path: str, offset: int, expected: str, found: str) -> None:
        super().__init__(path, offset, expected, found)
        self.path = path
        self.offset = offset
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return f"{self.path} at byte {self.offset}: expected {self.expected}, found {self.found}"


class Underrun(DecodeError):
    """The buffer ends before the value does. `expected` and `found` are phrases such as "4 bytes" and "2"."""

    def __str__(self) -> str:
        return f"{self.path} at byte {self.offset}: need {self.expected}, {self.found} remain"


class TrailingBytes(DecodeError):
    """Bytes are left after the last field."""


class BadVarint(DecodeError):
    """A varint of more than 5 (varlong: 10) bytes, out of its type's range, or not in its shortest form."""


class BadCount(DecodeError):
    """A count or length below -1, above its limit, or above what the remaining bytes can hold."""


class UnexpectedNull(DecodeError):
    """A null length or marker in a field that is not nullable in this version."""


class BadUtf8(DecodeError):
    """A string whose bytes are not UTF-8."""


class BadCrc(DecodeError):
    """A record batch (CRC-32C) or legacy message (CRC-32) whose checksum does not match its bytes."""


class DecompressionError(DecodeError):
    """A compressed body that is damaged, or whose decompressed size passes the caller's limit."""


class EncodeError(WireError):
    """A value that the schema cannot carry. path: as in DecodeError; value: the refused value; why: a phrase."""

    def __init__(self, path: str, value: Any, why: str) -> None:
        super().__init__(path, value, why)
        self.path = path
        self.value = value
        self.why = why

    def __str__(self) -> str:
        shown = repr(self.value)
        if len(shown) > SHOWN_VALUE_MAX:
            shown = f"{shown[:SHOWN_VALUE_MAX]}..."
        return f"{self.path}: {self.why}, got {shown}"


class FieldUnavailable(EncodeError):
    """A value other than the default for a field that the version lacks, and that must not be dropped silently."""
