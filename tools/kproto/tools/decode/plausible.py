"""Whether bytes look like Kafka's: where a request or response may begin, and where one may again after a gap.

Layer: tools. Guesses, for streams whose beginning nobody saw; a stream that is in step is cut by its lengths alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from struct import Struct
from typing import Final

from kproto.wire import FRAME_SIZE_MAX, REQUESTS, ApiKey, DecodeError, decode_request

__all__ = [
    "PREFIX_SIZE",
    "REQUEST_HEADER_SIZE",
    "begins_request",
    "find_request",
    "find_response",
    "is_chain",
    "request_at",
]

REQUEST_HEADER: Final = Struct(">ihhih")  # length, API key, version, correlation id, length of the client id
REQUEST_HEADER_SIZE: Final = REQUEST_HEADER.size
REQUEST_SIZE_MIN: Final = 10
RESPONSE_HEADER: Final = Struct(">ii")  # length, correlation id
RESPONSE_SIZE_MIN: Final = 6
PREFIX_SIZE: Final = 4
CLIENT_ID_MAX: Final = 255
API_KEY_MAX: Final = 1_000  # of an API that is not known yet
VERSION_MAX: Final = 127  # that a client may try: 99 has been seen
RETIRED_VERSION_MAX: Final = 10
LAST_VERSIONS: Final = {int(api): api.last_version or RETIRED_VERSION_MAX for api in ApiKey}
UNFINISHED_MAX: Final = 2 * 1024 * 1024  # bytes of a request that is believed though its end has not been seen
IDS_MAX: Final = 256

CANDIDATE: Final = re.compile(
    rb"(?s)(?=[\x00-\x06]...\x00[\x00-%c]\x00[\x00-\x1f]....(?:\x00.|\xff\xff))(?!\x00\x00\x00[\x00-\x09])"
    % max(ApiKey)
)

Bytes = bytes | bytearray | memoryview


def request_at(data: Bytes, at: int = 0, *, strict: bool = True, client_id: bytes | None = None) -> bool | None:
    """Whether a request may begin there; None where too little is there to tell.

    strict: the API and its version must be known. client_id: that the connection is known by; None for any.
    """
    if len(data) - at < REQUEST_HEADER_SIZE:
        return None
    size, key, version, _, length = REQUEST_HEADER.unpack_from(data, at)
    if not REQUEST_SIZE_MIN <= size <= FRAME_SIZE_MAX or not -1 <= length <= CLIENT_ID_MAX or length > size - 10:
        return False
    if strict:
        if not 0 <= version <= LAST_VERSIONS.get(key, -1):
            return False
    elif not 0 <= key <= API_KEY_MAX or not 0 <= version <= VERSION_MAX:
        return False
    at += REQUEST_HEADER_SIZE
    name = bytes(data[at : at + length]) if length > 0 else b""
    if client_id is not None and (length != len(client_id) or not client_id.startswith(name)):
        return False
    if len(name) < length:
        return None
    if not name:
        return True
    try:
        return name.decode().isprintable()
    except UnicodeDecodeError:
        return False


def begins_request(data: Bytes) -> bool:
    """Whether the first bytes can be a request's; it is decoded to see that, where it is whole and its API declared."""
    return request_at(data) is True and _is_credible(data, 0, 0, None, lambda: True)


def find_request(
    data: Bytes, piece_at: int, client_id: bytes | None, may_verify: Callable[[], bool]
) -> tuple[int | None, int]:
    """Where a request begins, None for nowhere; and from where on more bytes could change that.

    piece_at: where what came last begins, which requests often do as well. may_verify: asked before a request is
    decoded to see whether it is one, which takes its time.
    """
    for at in _candidates(data):
        found = request_at(data, at, client_id=client_id)
        if found is None:
            return None, at
        if found and _is_credible(data, at, piece_at, client_id, may_verify):
            return at, at
    return None, max(0, len(data) - REQUEST_HEADER_SIZE + 1)


def _candidates(data: Bytes) -> Iterator[int]:
    for match in CANDIDATE.finditer(data):
        yield match.start()


def _is_credible(data: Bytes, at: int, piece_at: int, client_id: bytes | None, may_verify: Callable[[], bool]) -> bool:
    size, key, version, _, length = REQUEST_HEADER.unpack_from(data, at)
    stop = at + PREFIX_SIZE + size
    if stop > len(data):
        return at == piece_at or (size <= UNFINISHED_MAX and (client_id is not None or length > 0))
    if request_at(data, stop, client_id=client_id) is False:
        return False
    cls = REQUESTS.get(key)
    if cls is None or version not in cls.versions:
        return True
    if not may_verify():
        return False
    try:
        decode_request(bytes(data[at + PREFIX_SIZE : stop]))
    except DecodeError:
        return False
    return True


def find_response(data: Bytes, piece_at: int, outstanding: Collection[int]) -> int | None:
    """Where a response begins that answers one of `outstanding`, correlation ids; None for nowhere."""
    ids = [number.to_bytes(4, "big", signed=True) for number in list(outstanding)[:IDS_MAX]]
    if not ids:
        return None
    for match in re.finditer(rb"(?s)(?=[\x00-\x06]...(?:%b))" % b"|".join(map(re.escape, ids)), data):
        at = match.start()
        size, _ = RESPONSE_HEADER.unpack_from(data, at)
        stop = at + PREFIX_SIZE + size
        if not RESPONSE_SIZE_MIN <= size <= FRAME_SIZE_MAX:
            continue
        if stop > len(data):
            if at == piece_at:
                return at
        elif (
            len(data) - stop < PREFIX_SIZE
            or 0 < int.from_bytes(data[stop : stop + PREFIX_SIZE], "big") <= FRAME_SIZE_MAX
        ):
            return at
    return None


def is_chain(data: Bytes) -> bool:
    """Whether it is a row of frames, no more and no less, as what one side writes at once mostly is."""
    at = 0
    while len(data) - at >= PREFIX_SIZE + RESPONSE_SIZE_MIN:
        size = int.from_bytes(data[at : at + PREFIX_SIZE], "big")
        if size < RESPONSE_SIZE_MIN:
            return False
        at += PREFIX_SIZE + size
    return at == len(data) and at > 0
