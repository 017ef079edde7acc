"""Values as JSON text, fast: messages, bytes, texts, record batches.

Layer: tools. A function is put together once for each message class; `docs/decode.md` is the contract.
"""

from __future__ import annotations

import math
from binascii import b2a_base64
from collections.abc import Callable
from functools import lru_cache
from json import encoder
from typing import Any, Final, Protocol
from uuid import UUID

from kproto.tools.decode.records_view import BatchView
from kproto.wire import Struct
from kproto.wire.field import Field, element_struct
from kproto.wire.records import Compression, LegacyBatch, TimestampType
from kproto.wire.wire_type import Array, LengthPrefixedType

__all__ = ["MessageContext", "batch_head", "bytes_text", "message_writer", "quoted", "text_or_bytes"]

quoted: Final[Callable[[str], str]] = encoder.encode_basestring
"""A text as JSON writes it, in quotes; letters of all languages stay as they are."""
quoted_ascii: Final[Callable[[str], str]] = encoder.encode_basestring_ascii
"""The same for ASCII, faster."""
TEXT_SIZE_MAX: Final = 1 << 20  # bytes: a longer key or value stands as base64, which cannot grow to six times its size
KNOWN_ATTRIBUTES: Final = 0x3F  # bits that the other fields tell: codec, timestamp type, transactional, control

Write = Callable[[Any, list[str], "MessageContext"], None]
Leaf = Callable[[Any], str]


class MessageContext(Protocol):
    """What the writing of a message asks for. redacted: whether secrets were overwritten."""

    redacted: bool

    def records(self, data: bytes | None, out: list[str]) -> None:
        """Write the next field with records, in the order of `records_fields`."""


def bytes_text(data: bytes | bytearray | memoryview | None) -> str:
    """As base64."""
    return "null" if data is None else '{"base64": "' + b2a_base64(data, newline=False).decode() + '"}'


def text_or_bytes(data: bytes | None) -> str:
    """A key, or a value of a record or header: as text if it is UTF-8 and not huge."""
    if data is None:
        return "null"
    if len(data) <= TEXT_SIZE_MAX:
        if data.isascii():
            return quoted_ascii(data.decode("ascii"))
        try:
            return quoted(data.decode())
        except UnicodeDecodeError:
            pass
    return bytes_text(data)


def message_writer(cls: type[Struct]) -> Write:
    """What writes a message of this class: appends pieces of its text to a list."""
    return _struct_writer(cls)


@lru_cache(maxsize=512)
def _struct_writer(cls: type[Struct]) -> Write:
    parts: list[tuple[Leaf, str, Write]] = []  # text of leaves, up to a field that is written piece by piece
    leaves = _Leaves()
    for field in cls.fields:
        leaf, write = _field(field)
        leaves.add(field.name, leaf)
        if write is not None:
            parts.append((leaves.made(), field.name, write))
    last = leaves.made()
    between = ", " if cls.fields else ""

    def write_struct(value: Any, out: list[str], context: MessageContext) -> None:
        for text, name, write in parts:
            out.append(text(value))
            write(getattr(value, name), out, context)
        out.append(last(value))
        if value.unknown_tags:
            tags = (f'"{tag}": {bytes_text(data)}' for tag, data in value.unknown_tags.items())
            out.append(between + '"unknown_tags": {' + ", ".join(tags) + "}")
        out.append("}")

    return write_struct


class _Leaves:
    """Puts together functions that give the text of several fields at once; half the time of one by one."""

    def __init__(self) -> None:
        self._source = "{{"
        self._scope: dict[str, Any] = {}
        self._between = ""

    def add(self, name: str, leaf: Leaf | None) -> None:
        """The next field, which has an identifier's name. leaf: None where somebody else writes its value."""
        self._source += f'{self._between}"{name}": '
        self._between = ", "
        if leaf is int.__repr__:
            self._source += f"{{value.{name}:d}}"
        elif leaf is not None:
            self._scope[f"leaf_{name}"] = leaf
            self._source += f"{{leaf_{name}(value.{name})}}"

    def made(self) -> Leaf:
        """The function for what was added since the last one."""
        text: Leaf = eval(f"lambda value: f'{self._source}'", self._scope)
        self._source, self._scope = "", {}
        return text


def _field(field: Field) -> tuple[Leaf | None, Write | None]:
    """What writes its values: a leaf by itself, others piece by piece."""
    if isinstance(field.type, Array):
        struct: type[Struct] | None = element_struct(field.type)
        if struct is not None:
            return None, _array_writer(message_writer(struct))
        return _array_leaf(_leaf(field.type.element)), None
    struct = element_struct(field.type)
    if struct is not None:
        return None, _nullable(message_writer(struct))
    if field.type.name == "records":
        return None, lambda value, out, context: context.records(value, out)
    if isinstance(field.type, LengthPrefixedType) and field.type.secret:
        return None, _write_secret
    return _leaf(field.type), None


def _array_writer(write: Write) -> Write:
    def write_array(value: Any, out: list[str], context: MessageContext) -> None:
        if value is None:
            out.append("null")
            return
        out.append("[")
        for index, element in enumerate(value):
            if index:
                out.append(", ")
            write(element, out, context)
        out.append("]")

    return write_array


def _array_leaf(leaf: Leaf) -> Leaf:
    return lambda value: "null" if value is None else "[" + ", ".join(map(leaf, value)) + "]"


def _nullable(write: Write) -> Write:
    def write_nullable(value: Any, out: list[str], context: MessageContext) -> None:
        if value is None:
            out.append("null")
        else:
            write(value, out, context)

    return write_nullable


def _write_secret(value: bytes | None, out: list[str], context: MessageContext) -> None:
    if context.redacted and value is not None:
        out.append(f'{{"redacted": {len(value)}}}')
    else:
        out.append(bytes_text(value))


def _leaf(wire_type: Any) -> Leaf:
    name = wire_type.name
    if name == "string":
        return lambda value: "null" if value is None else quoted(value)
    if name == "bytes":
        return bytes_text
    if name == "bool":
        return lambda value: "true" if value else "false"
    if name == "uuid":
        return _uuid
    return _float if name == "float64" else int.__repr__


@lru_cache(maxsize=1024)
def _uuid(value: UUID | None) -> str:
    return "null" if value is None else f'"{value}"'


def _float(value: float) -> str:
    """JSON has no word for what is no number: it stands as a text."""
    return repr(value) if math.isfinite(value) else quoted(str(value))


def batch_head(view: BatchView) -> str:
    """The fields of a batch's header, from `{` on, up to where its records, or its body, follow."""
    batch = view.batch
    legacy = isinstance(batch, LegacyBatch)
    if legacy and view.records:
        offsets = [record.offset for record in view.records]
        times = [record.timestamp for record in view.records]
        base, last, first_time, last_time, count = offsets[0], offsets[-1], times[0], max(times), len(offsets)
    elif isinstance(batch, LegacyBatch):
        base = last = batch.wrapper_offset
        first_time = last_time = batch.timestamp
        count = 0
    else:
        base, last, count = batch.base_offset, batch.last_offset, batch.count
        first_time, last_time = batch.base_timestamp, batch.max_timestamp
    more = "" if legacy or not batch.attributes & ~KNOWN_ATTRIBUTES else f'"attributes": {batch.attributes}, '
    return (
        f'{{"base_offset": {base}, "last_offset_delta": {last - base}, '
        f'"partition_leader_epoch": {batch.partition_leader_epoch}, "magic": {batch.magic}, "crc": {batch.crc}, '
        f'"crc_valid": {"true" if view.crc_valid else "false"}, "compression": {COMPRESSIONS[batch.attributes & 7]}, '
        f'"timestamp_type": {TIMESTAMP_TYPES[batch.timestamp_type]}, '
        f'"transactional": {"true" if batch.transactional else "false"}, '
        f'"control": {"true" if batch.control else "false"}, '
        f'"base_timestamp": {first_time}, "max_timestamp": {last_time}, "producer_id": {batch.producer_id}, '
        f'"producer_epoch": {batch.producer_epoch}, "base_sequence": {batch.base_sequence}, {more}"count": {count}, '
    )


COMPRESSIONS: Final = {int(codec): quoted(str(codec)) for codec in Compression}
TIMESTAMP_TYPES: Final = {
    TimestampType.CREATE_TIME: '"create_time"',
    TimestampType.LOG_APPEND_TIME: '"log_append_time"',
}
