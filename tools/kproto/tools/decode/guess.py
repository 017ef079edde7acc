"""What an answer can be whose request nobody saw: each declared answer that consumes its frame exactly.

Layer: tools. Only decoders are asked, which refuse quickly; nothing words an error here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kproto.tools.decode.message_errors import error_codes
from kproto.wire import RESPONSES, ApiKey, DecodeError, ErrorCode, Response, ResponseHeader, response_header_version
from kproto.wire.codec import DECODE_REFUSALS, generated_decoder

__all__ = ["GUESSED_SIZE_MAX", "Guess", "guess_response"]

GUESSED_SIZE_MAX: Final = 64 * 1024  # bytes: larger ones would take their time
ORDER: Final = (ApiKey.PRODUCE, ApiKey.METADATA, ApiKey.API_VERSIONS, ApiKey.INIT_PRODUCER_ID)


class Guess(NamedTuple):
    """An answer that fits. fits, candidates: how many versions do, of how many; apis: those that they belong to."""

    api_key: int
    version: int
    message: Response
    fits: int
    candidates: int
    apis: tuple[int, ...]


def guess_response(payload: bytes) -> Guess | None:
    """The likeliest, of its highest version that fits; None where none does. payload: a frame without its length.

    Answers with secrets are not tried. Raises nothing.
    """
    if len(payload) > GUESSED_SIZE_MAX:
        return None
    found: list[tuple[int, int, Response]] = []
    candidates = 0
    for key in ORDER:
        cls = RESPONSES[key]
        for version in reversed(cls.versions):
            candidates += 1
            message = _decoded(payload, cls, version)
            if message is not None:
                found.append((int(key), version, message))
    if not found:
        return None
    apis = tuple(dict.fromkeys(key for key, _, _ in found))
    return Guess(*found[0], len(found), candidates, apis)


def _decoded(payload: bytes, cls: type[Response], version: int) -> Response | None:
    """The message, if it consumes the frame and every error code in it is Kafka's."""
    try:
        _, at = ResponseHeader.decode_prefix(payload, response_header_version(cls, version))
        message, behind = generated_decoder(cls, version)(payload, at)
    except (*DECODE_REFUSALS, DecodeError):
        return None
    if behind != len(payload) or message is None:
        return None
    fits = all(isinstance(ErrorCode.of(code), ErrorCode) for code in error_codes(message))
    return message if fits else None
