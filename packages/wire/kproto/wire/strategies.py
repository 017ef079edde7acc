"""Hypothesis strategies for messages, frames and record batches, derived from the declarations.

Layer: wire. Needs hypothesis, which kproto does not install: it is a tool of tests.

    from kproto.wire import MetadataResponse
    from kproto.wire.strategies import messages

    @given(messages(MetadataResponse, 12))
    def test_my_decoder(message): ...

`st.from_type(MetadataResponse)` works too, for values of any version, once hypothesis and kproto are installed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

from construct import Construct
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from kproto.wire.compounds import ArrayOf, Fields, NullableFields, TaggedFields
from kproto.wire.envelope import encode_request, encode_response
from kproto.wire.messages import REQUESTS, RESPONSES
from kproto.wire.primitives import Blob, Fixed, Flag, Text, UuidBytes
from kproto.wire.records import Compression, Header, RecordBatchBuilder
from kproto.wire.schema import Message, Request, Response

__all__ = [
    "BuiltBatch",
    "RecordRow",
    "messages",
    "record_batches",
    "record_rows",
    "register",
    "request_frames",
    "response_frames",
    "versions",
]

M = TypeVar("M", bound=Message)

TEXT: Final = st.characters(exclude_categories=["Cs"])  # lone surrogates are not UTF-8
ARRAY_SIZE_MAX: Final = 4  # elements: nesting multiplies them
UNKNOWN_TAGS: Final = st.dictionaries(st.integers(100, 2**31 - 1), st.binary(max_size=20), max_size=2)
LONG_FIELD_MAX: Final = 20_000  # bytes: beyond varints of two bytes
RECENT_MS: Final = 1_700_000_000_000
BUNDLED_COMPRESSIONS: Final = st.sampled_from([codec for codec in Compression if codec is not Compression.SNAPPY])
BITS: Final = {"b": 8, "h": 16, "H": 16, "l": 32, "L": 32, "q": 64}


def versions(cls: type[Message]) -> SearchStrategy[int]:
    """Any version of the message."""
    return st.sampled_from(cls.versions)


def messages(cls: type[M], version: int, *, unknown_tags: bool = True) -> SearchStrategy[M]:
    """Messages that this version can carry: fields that it lacks have their defaults.

    unknown_tags: whether a flexible version may carry tags that no field has. Raises WireError for a version out of
    range.
    """
    strategy: SearchStrategy[M] = _whole(cls, version, unknown_tags)
    return strategy


@lru_cache(maxsize=1024)  # a test asks for the same one with each example
def _whole(cls: type[Message], version: int, unknown_tags: bool) -> SearchStrategy[Any]:
    return _struct(cls.construct(version), unknown_tags)


@st.composite
def request_frames(draw: st.DrawFn) -> tuple[Request, int, bytes]:
    """A declared request, its version, and its frame (with the length) as `encode_request` makes it."""
    cls = draw(st.sampled_from(list(REQUESTS.values())))
    version = draw(versions(cls))
    request = draw(messages(cls, version))
    client_id = draw(st.none() | st.text(TEXT, max_size=10))
    correlation_id = draw(st.integers(-(2**31), 2**31 - 1))
    return request, version, encode_request(request, version, correlation_id=correlation_id, client_id=client_id)


@st.composite
def response_frames(draw: st.DrawFn) -> tuple[Response, int, bytes]:
    """A declared response, its version, and its frame (with the length) as `encode_response` makes it."""
    cls = draw(st.sampled_from(list(RESPONSES.values())))
    version = draw(versions(cls))
    response = draw(messages(cls, version))
    return response, version, encode_response(response, version, correlation_id=draw(st.integers(0, 2**31 - 1)))


class RecordRow(NamedTuple):
    """What `RecordBatchBuilder.append` takes."""

    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]


class BuiltBatch(NamedTuple):
    """A batch of magic 2 as bytes, and what went into it; the three of its stamp are all -1 or none is."""

    data: bytes
    rows: list[RecordRow]
    compression: Compression
    producer_id: int
    producer_epoch: int
    base_sequence: int


def record_rows() -> SearchStrategy[RecordRow]:
    """Records with null, empty and long parts, and timestamps (ms since the epoch) near, far and going back."""
    field = st.none() | st.binary(max_size=40) | st.integers(0, LONG_FIELD_MAX).map(bytes)
    timestamp_ms = st.integers(RECENT_MS, RECENT_MS + 20_000) | st.integers(0, 2**62)
    headers = st.lists(st.tuples(st.text(TEXT, max_size=12), field), max_size=3).map(tuple)
    return st.builds(RecordRow, timestamp_ms, field, field, headers)


@st.composite
def record_batches(draw: st.DrawFn, compressions: SearchStrategy[Compression] = BUNDLED_COMPRESSIONS) -> BuiltBatch:
    """A batch as `RecordBatchBuilder` makes it, half of them stamped with a producer id.

    compressions: the codecs to draw from; snappy is left out unless given, as it needs the extra of that name.
    """
    rows = draw(st.lists(record_rows(), min_size=1, max_size=8))
    compression = draw(compressions)
    ids = st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**15 - 1), st.integers(0, 2**31 - 1))
    stamp = draw(st.just((-1, -1, -1)) | ids)
    builder = RecordBatchBuilder(compression)
    for row in rows:
        builder.append(*row)
    return BuiltBatch(builder.build(*stamp), rows, compression, *stamp)


def _struct(fields: Fields, unknown_tags: bool) -> SearchStrategy[Any]:
    values: dict[str, SearchStrategy[Any]] = {}
    for subcon in fields.subcons:
        if isinstance(subcon.subcon, TaggedFields):
            for tagged in subcon.subcon.known.values():
                values[tagged.name] = _value(tagged.subcon, unknown_tags)
            if unknown_tags:
                values["unknown_tags"] = st.just({}) | UNKNOWN_TAGS
        else:
            values[subcon.name] = _value(subcon.subcon, unknown_tags)
    return st.builds(fields.owner, **values)


def _value(construct: Construct, unknown_tags: bool) -> SearchStrategy[Any]:
    match construct:
        case Flag():
            return st.booleans()
        case Fixed(fmtstr=">d"):
            return st.floats(allow_nan=False)
        case Fixed():
            return _integers(construct.fmtstr[1:])
        case UuidBytes():
            return st.uuids()
        case Text():
            return _nullable(construct, st.text(TEXT, max_size=12))
        case Blob():
            return _nullable(construct, st.binary(max_size=40))
        case ArrayOf():
            elements = st.lists(_value(construct.subcon, unknown_tags), max_size=ARRAY_SIZE_MAX).map(tuple)
            return _nullable(construct, elements)
        case NullableFields():
            return st.none() | _struct(construct.subcon, unknown_tags)
        case Fields():
            return _struct(construct, unknown_tags)
    raise TypeError(f"no strategy for {construct!r}")


def _integers(fmt: str) -> SearchStrategy[int]:
    bits = BITS[fmt]
    if fmt.isupper():
        return st.integers(0, 2**bits - 1)
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _nullable(construct: Any, present: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.none() | present if construct.nullable else present


def _of_any_version(cls: type[M]) -> SearchStrategy[M]:
    return versions(cls).flatmap(lambda version: messages(cls, version))


def register() -> None:
    """Teach `st.from_type` the declared messages. Hypothesis calls this by itself, through its entry point."""
    for cls in (*REQUESTS.values(), *RESPONSES.values()):
        st.register_type_strategy(cls, _of_any_version)
