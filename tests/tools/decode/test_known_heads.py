"""Headers that were seen before say what decoding them says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode.known_heads import HEADS_MAX, KnownHeads, answer_body_at
from kproto.wire import (
    REQUESTS,
    RESPONSES,
    DecodeError,
    RequestHeader,
    ResponseHeader,
    request_header_version,
    response_header_version,
)

CALLS = [(key, version) for key, cls in REQUESTS.items() for version in cls.versions]
CLIENT_IDS = st.one_of(st.none(), st.sampled_from(["", "app", "application", "\u00fcber"]))


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except DecodeError as error:
        return str(error)


def plain(data, cls, version):
    header, behind = RequestHeader.decode_prefix(data, request_header_version(cls, version))
    return header.client_id, behind


def plain_answer(data, cls, version):
    return ResponseHeader.decode_prefix(data, response_header_version(cls, version))[1]


@given(st.lists(st.tuples(st.sampled_from(CALLS[:8]), CLIENT_IDS, st.binary(max_size=6), st.integers(0, 40))))
def test_what_is_remembered_is_what_decoding_says(said):
    """Cut, damaged and tagged ones, too: what is behind the fixed part is any bytes now and then."""
    heads = KnownHeads()
    for number, ((key, version), client_id, more, cut) in enumerate(said):
        cls = REQUESTS[key]
        header = RequestHeader(
            request_api_key=key, request_api_version=version, correlation_id=number, client_id=client_id
        )
        data = (header.encode(request_header_version(cls, version)) + more)[: max(8, 40 - cut)]
        assert outcome(heads.read, data, cls, version) == outcome(plain, data, cls, version)


def test_memory_is_bounded():
    heads = KnownHeads()
    cls = REQUESTS[0]
    for number in range(HEADS_MAX + 5):
        data = RequestHeader(request_api_key=number, request_api_version=3, client_id=f"c{number}").encode(1)
        assert heads.read(data, cls, 3) == (f"c{number}", len(data))
    assert len(heads._heads) == HEADS_MAX


@pytest.mark.parametrize(("key", "version"), CALLS)
@given(st.one_of(st.binary(max_size=8), st.sampled_from([b"\0" * 4, b"\0" * 5, b"\0\0\0\1\1\0\1a"])))
def test_where_the_body_of_an_answer_begins(key, version, data):
    cls = RESPONSES[key]
    expected = outcome(plain_answer, data, cls, version)
    assert outcome(answer_body_at, data, cls, version) == expected
