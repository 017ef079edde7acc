"""Encode and decode: the generated function where it says yes, the oracle where it says no.

Layer: wire. The generated codec only accepts or refuses; what it refuses is read again by the interpreted declaration
(`oracle.py`), which words the error with path and offset. So the fast path holds no error text, and a refusal that the
oracle does not share costs time, never a wrong answer. tests/wire/test_codec.py proves that they agree.

Functions are generated on first use and kept in the class, one for each version and direction. Thread-safe: two threads
may generate the same function, and either serves.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from kproto.wire import oracle
from kproto.wire.codegen.decoder import decoder_source
from kproto.wire.codegen.encoder import encoder_source
from kproto.wire.codegen.runtime import Refused
from kproto.wire.errors import DecodeError, TrailingBytes

if TYPE_CHECKING:
    from kproto.wire.schema import Message

    M = TypeVar("M", bound=Message)

__all__ = [
    "Decoder",
    "Encoder",
    "decode",
    "decode_prefix",
    "encode",
    "generated_decoder",
    "generated_encoder",
    "source",
]

Decoder = Callable[[bytes, int], tuple[Any, int]]
Encoder = Callable[..., Any]

DECODE_REFUSALS = (Refused, DecodeError, IndexError, struct.error, ValueError, OverflowError)
ENCODE_REFUSALS = (*DECODE_REFUSALS, TypeError, AttributeError, KeyError)


def decode(cls: type[M], buffer: bytes | bytearray | memoryview, version: int) -> M:
    """See `Message.decode`."""
    decoder = cls._decoders.get(version) or generated_decoder(cls, version)
    data = buffer if buffer.__class__ is bytes else bytes(memoryview(buffer))
    try:
        message, behind = decoder(data, 0)
        if behind == len(data):
            return message  # type: ignore[no-any-return]  # generated code is untyped
    except DECODE_REFUSALS:
        pass
    return _decode_by_oracle(cls, data, version)


def _decode_by_oracle(cls: type[M], data: bytes, version: int) -> M:
    message, behind = oracle.decode_prefix(cls, data, version)
    if behind != len(data):
        raise TrailingBytes(f"{cls.__name__} v{version}", behind, "the end", f"{len(data) - behind} more bytes")
    return message


def decode_prefix(cls: type[M], buffer: bytes | bytearray | memoryview, version: int, offset: int = 0) -> tuple[M, int]:
    """See `Message.decode_prefix`."""
    decoder = cls._decoders.get(version) or generated_decoder(cls, version)
    data = buffer if buffer.__class__ is bytes else bytes(memoryview(buffer))
    if offset < 0:
        raise ValueError(f"an offset is not negative, got {offset}")
    try:
        message, behind = decoder(data, offset)
        if behind <= len(data):
            return message, behind
    except DECODE_REFUSALS:
        pass
    return oracle.decode_prefix(cls, data, version, offset)


def encode(message: Message, version: int) -> bytes:
    """See `Message.encode`."""
    encoder = message._encoders.get(version) or generated_encoder(type(message), version)
    try:
        return encoder(message)  # type: ignore[no-any-return]
    except ENCODE_REFUSALS:
        pass
    return oracle.encode(message, version)


def encode_parts(message: Message, version: int) -> list[bytes | memoryview]:
    """See `Message.encode_parts`."""
    encoder = message._encoders.get(version) or generated_encoder(type(message), version)
    try:
        return encoder(message, list)  # type: ignore[no-any-return]
    except ENCODE_REFUSALS:
        pass
    return [oracle.encode(message, version)]


def generated_decoder(cls: type[Message], version: int) -> Decoder:
    """The function behind `decode`: (bytes, offset) to (message, offset behind it). Raises any of DECODE_REFUSALS."""
    decoder = cls._decoders.get(version)
    if decoder is None:
        decoder = _compiled(*decoder_source(cls.construct(version)), f"{cls.__name__} v{version} decoder")
        cls._decoders[version] = decoder
    return decoder


def generated_encoder(cls: type[Message], version: int) -> Encoder:
    """The function behind `encode`: message to bytes, or with `list` behind it to parts. Raises any of
    ENCODE_REFUSALS."""
    encoder = cls._encoders.get(version)
    if encoder is None:
        encoder = _compiled(*encoder_source(cls.construct(version), version), f"{cls.__name__} v{version} encoder")
        cls._encoders[version] = encoder
    return encoder


def _compiled(text: str, scope: dict[str, Any], title: str) -> Any:
    exec(compile(text, f"<{title}>", "exec"), scope)
    return scope["codec"]


def source(cls: type[Message], version: int, direction: Literal["decode", "encode"]) -> str:
    """The generated Python of one direction, to read."""
    fields = cls.construct(version)
    text, _ = decoder_source(fields) if direction == "decode" else encoder_source(fields, version)
    return text
