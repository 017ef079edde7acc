"""Frames without their secrets: what SASL carries is overwritten, everything else stays byte for byte.

Layer: client. Knows which fields are secret from their declaration; knows no mechanism and no connection.
Source: KIP-43, KIP-152. The tokens that follow a SaslHandshake of version 0 have no header: they are no frames to this.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from kproto.wire import REQUESTS, DecodeError, Response
from kproto.wire.annotate import SECRET, Annotation, annotate_request, annotate_response
from kproto.wire.field import element_struct
from kproto.wire.schema import Struct
from kproto.wire.wire_type import Array

__all__ = ["holds_secret", "redact_request", "redact_response"]

FILLER: Final = b"*"
PREFIX_SIZE: Final = 4  # the length of a frame
REQUEST_FIXED_SIZE: Final = PREFIX_SIZE + 8  # and the API key, its version, the correlation id
RESPONSE_FIXED_SIZE: Final = PREFIX_SIZE + 4  # and the correlation id


@lru_cache(maxsize=256)  # beyond the APIs that there are
def holds_secret(cls: type[Struct]) -> bool:
    """Whether a field of the message, at any depth, is declared secret. Thread-safe."""
    return any(_is_secret(field.type) for field in cls.fields)


def _is_secret(wire_type: Any) -> bool:
    struct: type[Struct] | None = element_struct(wire_type)
    if struct is not None:
        return holds_secret(struct)
    element = wire_type.element if isinstance(wire_type, Array) else wire_type
    return getattr(element, "secret", False) is True


SECRET_KEYS: Final = frozenset(key.to_bytes(2, "big") for key, request in REQUESTS.items() if holds_secret(request))


def redact_request(frame: bytes) -> bytes:
    """The frame, with its length, as it may be kept: same size, each secret overwritten with `*`.

    A request without secrets is returned as it is, the same object. One that should have some and does not decode
    loses everything behind its correlation id: damage may have moved the secret. Raises nothing; thread-safe.
    """
    if frame[PREFIX_SIZE : PREFIX_SIZE + 2] not in SECRET_KEYS:
        return frame
    payload = frame[PREFIX_SIZE:]
    try:
        hidden, shown = annotate_request(payload), annotate_request(payload, secrets=True)
    except DecodeError:  # cut in its header, or of a version that is not declared
        return _overwritten(frame, [(REQUEST_FIXED_SIZE, len(frame))])
    return _redacted(frame, hidden, shown, REQUEST_FIXED_SIZE)


def redact_response(frame: bytes, cls: type[Response], version: int) -> bytes:
    """As `redact_request`; cls, version: of the request that it answers.

    Raises WireError for a version that `cls` lacks, where `cls` has secrets. Thread-safe.
    """
    if not holds_secret(cls):
        return frame
    payload = frame[PREFIX_SIZE:]
    hidden, shown = annotate_response(payload, cls, version), annotate_response(payload, cls, version, secrets=True)
    return _redacted(frame, hidden, shown, RESPONSE_FIXED_SIZE)


def _redacted(frame: bytes, hidden: Annotation, shown: Annotation, fixed_size: int) -> bytes:
    """hidden, shown: the same spans without and with the secrets. A span holds the value behind the value's length."""
    if hidden.error is not None:
        return _overwritten(frame, [(fixed_size, len(frame))])
    ranges = [
        (PREFIX_SIZE + span.stop - len(known.value), PREFIX_SIZE + span.stop)
        for span, known in zip(hidden, shown, strict=True)
        if span.value is SECRET
    ]
    return _overwritten(frame, ranges) if ranges else frame


def _overwritten(frame: bytes, ranges: list[tuple[int, int]]) -> bytes:
    kept = bytearray(frame)
    for start, stop in ranges:
        kept[start:stop] = FILLER * max(0, stop - start)
    return bytes(kept)
