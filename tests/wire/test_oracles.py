"""Our bytes against those of kio and kafka-python, both ways, for values of every message and version.

Each peer reads Kafka's message JSON by itself and shares no code with us. What it cannot say or read stands in MASKS,
what it does not know at all in ABSENT; nothing else is left out.
"""

from __future__ import annotations

import struct as binary
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kio.schema.errors import ErrorCode as KioErrorCode
from kio.serial.errors import OutOfBoundValue
from peers import EPOCH, MILLISECOND, KafkaPython, Kio, each_struct, present
from properties_case import CASE_EXAMPLES_MIN

from kproto.wire import (
    REQUESTS,
    RESPONSES,
    ApiVersionsRequest,
    ApiVersionsResponse,
    InitProducerIdResponse,
    Message,
    MetadataResponse,
    ProduceRequest,
    ProduceResponse,
    Request,
    RequestHeader,
    ResponseHeader,
    SaslAuthenticateResponse,
    Struct,
    encode_request,
    encode_response,
    request_header_version,
    response_header_version,
)
from kproto.wire.field import element_struct
from kproto.wire.strategies import messages

KIO, KAFKA_PYTHON = PEERS = Kio(), KafkaPython()
BODIES = (*REQUESTS.values(), *RESPONSES.values())
MESSAGES = (RequestHeader, ResponseHeader, *BODIES)

ABSENT = {
    (KIO, RequestHeader): {0},
    (KIO, ApiVersionsRequest): {5},
    (KIO, ApiVersionsResponse): {5},
    (KIO, ProduceRequest): {0, 1, 2},
    (KIO, ProduceResponse): {0, 1, 2},
    (KAFKA_PYTHON, RequestHeader): {0},
    (KAFKA_PYTHON, ApiVersionsRequest): {5},
    (KAFKA_PYTHON, ApiVersionsResponse): {5},
}
"""The versions, of those that we have, that a peer lacks."""


def name(value):
    """A test id: the name of a class or peer, or the version."""
    return getattr(value, "__name__", None) or getattr(value, "name", value)


def knows(peer, cls, version):
    return version not in ABSENT.get((peer, cls), ())


def each_version(classes, *, of=None):
    """Parametrizes by class and version, those that the peer `of` knows if one is given."""
    versions = [(cls, version) for cls in classes for version in cls.versions if of is None or knows(of, cls, version)]
    return pytest.mark.parametrize(("cls", "version"), versions, ids=name)


def encodes_alike(peer, message, version):
    """The peer makes our bytes of this value, and we read the value from its bytes."""
    encoded = peer.encode(message, version)
    assert encoded == message.encode(version)
    assert type(message).decode(encoded, version) == message


def decodes_alike(peer, message, version):
    """The peer reads this value from our bytes."""
    assert peer.decode(type(message), message.encode(version), version) == message


BOTH_WAYS = (encodes_alike, decodes_alike)


@dataclass(frozen=True)
class Mask:
    """What a peer cannot do in a check.

    narrow: the changes that make a struct of a version one it can do; witness: a message and version that it cannot,
    and how it `fails`.
    """

    peer: Kio | KafkaPython
    check: Callable[..., None]
    why: str
    narrow: Callable[[Struct, int], dict[str, Any]]
    witness: tuple[Message, int]
    fails: type[Exception]


def only_in(cls, narrow):
    """The narrowing, for structs of one class."""
    return lambda struct, version: narrow(struct, version) if isinstance(struct, cls) else {}


def within(field, low, high, *, beside=None):
    """Another value within the bounds for one that is not, nor is the one value `beside` them."""

    def narrow(struct, version):
        value = getattr(struct, field)
        return {} if low <= value <= high or value == beside else {field: low + (value - low) % (high - low + 1)}

    return narrow


def without_tags(struct, version):
    return {"unknown_tags": {}}


def without_tags_in_tags(struct, version):
    return {
        field.name: each_struct(field, getattr(struct, field.name), lambda nested: nested.replace(unknown_tags={}))
        for field in present(struct, version)
        if field.is_tagged(version)
    }


def known_error(struct, version):
    if "error_code" not in struct.__slots__ or struct.error_code in KIO_ERRORS:
        return {}
    return {"error_code": KIO_ERRORS[struct.error_code % len(KIO_ERRORS)]}


def no_error(struct, version):
    return {"error_code": 0} if version else {}


KIO_ERRORS = [int(code) for code in KioErrorCode]
FIRST_MS, LAST_MS = (
    (moment.replace(tzinfo=UTC) - EPOCH) // MILLISECOND for moment in (datetime.min, datetime.max)
)  # of the calendar that datetime has
FLOAT_MS_MAX = 2**51  # up to here, rounding finds the millisecond in float seconds again; not up to 2**52
MICROSECOND_MS_MAX = (2**63 - 1) // 1000

PartitionProduceResponse = ProduceResponse.PartitionProduceResponse


def produced(**partition):
    """A ProduceResponse for one partition."""
    partitions = [PartitionProduceResponse(**partition)]
    return ProduceResponse(responses=[ProduceResponse.TopicProduceResponse(partition_responses=partitions)])


def append_time(low, high):
    return only_in(PartitionProduceResponse, within("log_append_time_ms", low, high, beside=-1))


def lifetime(bound):
    return only_in(SaslAuthenticateResponse, within("session_lifetime_ms", -bound, bound))


NEW_TAG = InitProducerIdResponse(unknown_tags={100: b"new"}), 2
NEW_TAG_IN_TAG = produced(current_leader=ProduceResponse.LeaderIdAndEpoch(unknown_tags={100: b"new"})), 10
NEW_ERROR = MetadataResponse(error_code=-2), 13
BEFORE_CALENDAR = produced(log_append_time_ms=FIRST_MS - 1), 3
AFTER_CALENDAR = produced(log_append_time_ms=LAST_MS + 1), 3
BEFORE_EPOCH = produced(log_append_time_ms=-2), 3
LONG_LIFE = SaslAuthenticateResponse(session_lifetime_ms=4_490_371_373_361_523), 1
LONGER_LIFE = SaslAuthenticateResponse(session_lifetime_ms=MICROSECOND_MS_MAX + 1), 1
REFUSAL = ApiVersionsResponse(error_code=35), 3

AS_V0 = "reads an answer with an error as version 0"
DATETIME = "an append time is a datetime"
MASKS = [
    Mask(KIO, encodes_alike, "has no unknown tags", without_tags, NEW_TAG, AssertionError),
    Mask(KIO, decodes_alike, "refuses unknown tags", without_tags, NEW_TAG, KeyError),
    Mask(KIO, encodes_alike, "an error is of an enum", known_error, NEW_ERROR, ValueError),
    Mask(KIO, decodes_alike, "an error is of an enum", known_error, NEW_ERROR, ValueError),
    Mask(KIO, encodes_alike, DATETIME, append_time(FIRST_MS, LAST_MS), BEFORE_CALENDAR, OverflowError),
    Mask(KIO, encodes_alike, DATETIME, append_time(FIRST_MS, LAST_MS), AFTER_CALENDAR, OverflowError),
    Mask(KIO, decodes_alike, "none is before 1970", append_time(0, LAST_MS), BEFORE_EPOCH, OutOfBoundValue),
    Mask(KIO, decodes_alike, DATETIME, append_time(0, LAST_MS), AFTER_CALENDAR, ValueError),
    Mask(KIO, encodes_alike, "reckons in float seconds", lifetime(FLOAT_MS_MAX), LONG_LIFE, AssertionError),
    Mask(KIO, decodes_alike, "in int64 microseconds", lifetime(MICROSECOND_MS_MAX), LONGER_LIFE, ValueError),
    Mask(KAFKA_PYTHON, encodes_alike, "drops unknown tags", without_tags, NEW_TAG, AssertionError),
    Mask(KAFKA_PYTHON, decodes_alike, "refuses tags in tags", without_tags_in_tags, NEW_TAG_IN_TAG, AssertionError),
    Mask(KAFKA_PYTHON, decodes_alike, AS_V0, only_in(ApiVersionsResponse, no_error), REFUSAL, binary.error),
]


def narrowed(struct, version, masks):
    """The struct after these masks, its nested structs first."""
    changes = {
        field.name: each_struct(field, getattr(struct, field.name), lambda nested: narrowed(nested, version, masks))
        for field in present(struct, version)
        if element_struct(field.type) is not None
    }
    struct = struct.replace(**changes)
    for mask in masks:
        changes = mask.narrow(struct, version)
        struct = struct.replace(**changes) if changes else struct
    return struct


@each_version(MESSAGES)
@settings(max_examples=CASE_EXAMPLES_MIN)  # of each of nearly 100 versions
@given(data=st.data())
def test_peers_agree_both_ways(cls, version, data):
    message = data.draw(messages(cls, version))
    for peer in PEERS:
        for check in BOTH_WAYS if knows(peer, cls, version) else ():
            masks = [mask for mask in MASKS if mask.peer is peer and mask.check is check]
            check(peer, narrowed(message, version, masks), version)


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: f"{mask.peer.name} {mask.check.__name__}: {mask.why}")
def test_each_mask_is_needed_and_is_enough(mask):
    message, version = mask.witness
    with pytest.raises(mask.fails):
        mask.check(mask.peer, message, version)
    mask.check(mask.peer, narrowed(message, version, [mask]), version)


@pytest.mark.parametrize("cls", MESSAGES, ids=name)
@pytest.mark.parametrize("peer", PEERS, ids=name)
def test_a_peer_lacks_the_versions_of_the_table_and_no_others(peer, cls):
    lacking = {version for version in cls.versions if peer.schema(cls, version) is None}
    assert lacking == ABSENT.get((peer, cls), set())


@each_version(BODIES, of=KIO)
def test_kio_puts_the_same_header_before_each_version(cls, version):
    choose = request_header_version if issubclass(cls, Request) else response_header_version
    assert choose(cls, version) == KIO.header_version(cls, version)


@each_version(BODIES, of=KAFKA_PYTHON)
def test_kafka_python_frames_each_version_alike(cls, version):
    message = cls()
    if issubclass(cls, Request):
        header = {"correlation_id": 7, "client_id": "me"}
        frame = encode_request(message, version, **header)
    else:
        header = {"correlation_id": 7}
        frame = encode_response(message, version, **header)
    assert KAFKA_PYTHON.encode_frame(message, version, **header) == frame
    found, read = KAFKA_PYTHON.decode_frame(cls, frame, version)
    assert found.items() >= header.items()
    assert read == message
