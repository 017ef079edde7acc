"""What `decode` does not show unless it is asked to: tokens and credentials, overwritten in the bytes themselves.

Layer: tools. Which fields of the declared messages are secret, their declaration says; `kproto.client.redaction`
overwrites them, and is imported when there are some: it brings the whole client.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from kproto.wire import REQUESTS, RESPONSES, ApiKey, Struct, WireError
from kproto.wire.field import element_struct
from kproto.wire.wire_type import Array

__all__ = ["FILLER", "SECRET_REQUESTS", "SECRET_RESPONSES", "is_secret", "without_secrets"]

FILLER: Final = b"*"
PREFIX: Final = bytes(4)  # of the length, which says nothing here
REQUEST_HEAD_SIZE: Final = 8
RESPONSE_HEAD_SIZE: Final = 4

# Messages that are not declared, with passwords' hashes or the keys of delegation tokens in them.
SECRET_REQUESTS: Final = frozenset(
    {ApiKey.ALTER_USER_SCRAM_CREDENTIALS, ApiKey.RENEW_DELEGATION_TOKEN, ApiKey.EXPIRE_DELEGATION_TOKEN}
)
SECRET_RESPONSES: Final = frozenset({ApiKey.CREATE_DELEGATION_TOKEN, ApiKey.DESCRIBE_DELEGATION_TOKEN})


@lru_cache(maxsize=512)
def _holds_secret(cls: type[Struct]) -> bool:
    """As `kproto.client.redaction.holds_secret`; a test proves them equal."""
    return any(_is_secret(field.type) for field in cls.fields)


def _is_secret(wire_type: Any) -> bool:
    struct: type[Struct] | None = element_struct(wire_type)
    if struct is not None:
        return _holds_secret(struct)
    element = wire_type.element if isinstance(wire_type, Array) else wire_type
    return getattr(element, "secret", False) is True


_DECLARED_REQUESTS: Final = frozenset(key for key, cls in REQUESTS.items() if _holds_secret(cls))
_DECLARED_RESPONSES: Final = frozenset(key for key, cls in RESPONSES.items() if _holds_secret(cls))


def is_secret(key: int, request: bool) -> bool:
    """Whether messages of this API hold secrets."""
    if request:
        return key in _DECLARED_REQUESTS or key in SECRET_REQUESTS
    return key in _DECLARED_RESPONSES or key in SECRET_RESPONSES


def without_secrets(payload: bytes, key: int, version: int, request: bool) -> bytes:
    """A frame without its length, of the same size, with `*` for each byte of a secret. Raises nothing.

    Of what does not decode, and of undeclared messages with secrets, everything behind the header's fixed part goes.
    """
    if request:
        if key in _DECLARED_REQUESTS:
            from kproto.client.redaction import redact_request

            return redact_request(PREFIX + payload)[len(PREFIX) :]
        head = REQUEST_HEAD_SIZE
    else:
        if key in _DECLARED_RESPONSES:
            from kproto.client.redaction import redact_response

            try:
                return redact_response(PREFIX + payload, RESPONSES[ApiKey(key)], version)[len(PREFIX) :]
            except WireError:  # of a version that is not declared
                pass
        head = RESPONSE_HEAD_SIZE
    return payload[:head] + FILLER * max(0, len(payload) - head)
