"""What can be a request or response is found where it begins, and hardly anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.kafka_bytes import CLIENT_ID, metadata, opaque, request, response, versions

from kproto.tools.decode.plausible import begins_request, find_request, find_response, is_chain, request_at
from kproto.wire import REQUESTS, encode_request
from kproto.wire.strategies import messages

NOISE = st.binary(max_size=300).map(lambda data: data.replace(b"\0", b"\x99"))


def always():
    return True


def never():
    return False


@pytest.mark.parametrize("request_class", REQUESTS.values())
@pytest.mark.parametrize("client_id", [None, "", "x", "ünï"])
def test_each_request_can_be_one(request_class, client_id):
    for version in request_class.versions:
        frame = encode_request(request_class(), version, correlation_id=-1, client_id=client_id)
        assert request_at(frame) is True
        assert begins_request(frame) and not begins_request(b"x" + frame) and not begins_request(frame[:13])
        assert find_request(frame, 0, None, always)[0] == 0


@given(st.data())
def test_a_request_is_found_behind_noise(data):
    cls = data.draw(st.sampled_from(list(REQUESTS.values())))
    version = data.draw(st.sampled_from(cls.versions))
    message = data.draw(messages(cls, version))
    frame = encode_request(message, version, correlation_id=data.draw(st.integers(0, 2**31 - 1)), client_id=CLIENT_ID)
    noise = data.draw(NOISE)
    assert find_request(noise + frame + metadata(3), 0, CLIENT_ID.encode(), always)[0] == len(noise)


@given(NOISE, st.integers(0, 20))
def test_what_is_not_all_there_is_kept(noise, have):
    frame = metadata(1)
    found, keep = find_request(noise + frame[:have], 0, CLIENT_ID.encode(), always)
    assert found is None and keep <= len(noise)
    assert find_request((noise + frame)[keep:], 0, CLIENT_ID.encode(), always)[0] == len(noise) - keep


@pytest.mark.parametrize(
    ("damage", "strict", "expected"),
    [
        ({}, True, True),
        ({0: 0x70}, True, False),
        ({2: 0, 3: 5}, True, False),
        ({4: 0x70}, True, False),
        ({5: 99}, True, False),
        ({5: 99}, False, True),
        ({4: 0x70}, False, False),
        ({7: 99}, True, False),
        ({7: 99}, False, True),
        ({12: 0x40}, True, False),
        ({12: 0xFF}, True, False),
        ({14: 0x01}, True, False),
        ({14: 0xFF}, True, False),
    ],
)
def test_a_header_that_cannot_be(damage, strict, expected):
    frame = bytearray(metadata(1))
    for at, value in damage.items():
        frame[at] = value
    assert request_at(bytes(frame), strict=strict) is expected


def test_the_known_client_id_must_be_there():
    frame = metadata(1)
    assert request_at(frame, client_id=b"a client") is True
    assert request_at(frame, client_id=b"another") is False
    assert request_at(frame[:18], client_id=b"a client") is None
    assert request_at(frame[:18], client_id=b"a xlient") is False
    assert request_at(frame[:13]) is None


def test_a_body_that_does_not_decode_is_no_request():
    frame = bytearray(request(1))
    frame[-1] = 0xFF
    assert find_request(bytes(frame), 0, None, always)[0] is None
    assert find_request(request(1), 0, None, never)[0] is None
    assert find_request(opaque(400), 0, None, never)[0] == 0


def test_half_a_request_must_say_who_asks_or_begin_a_piece():
    nameless = opaque(400, client_id=b"")[:200]
    assert find_request(nameless, 0, None, always)[0] == 0
    assert find_request(b"x" + nameless, 0, None, always)[0] is None
    assert find_request(b"x" + opaque(400)[:200], 0, None, always)[0] == 1
    assert find_request(b"x" + opaque(3_000_000)[:200], 0, None, always)[0] is None


def test_what_follows_a_request_must_be_one():
    assert find_request(opaque(100) + metadata(2), 0, None, always)[0] == 0
    assert find_request(opaque(100) + b"z" * 30, 0, None, always)[0] is None


def test_responses_are_no_requests():
    for correlation_id in range(40):
        assert find_request(response(correlation_id), 0, None, always)[0] is None
        assert find_request(versions(correlation_id)[1], 0, None, always)[0] is None


@given(NOISE, st.integers(0, 1_000), st.booleans())
def test_a_response_is_found_by_what_waits_for_it(noise, correlation_id, more):
    data = noise + response(correlation_id) + (response(correlation_id + 1) if more else b"")
    assert find_response(data, 0, {correlation_id}) == len(noise)
    assert find_response(data, 0, ()) is None


def test_half_a_response_must_begin_a_piece():
    half = response(5)[:12]
    assert find_response(half, 0, [5]) == 0
    assert find_response(b"xx" + half, 2, [5]) == 2
    assert find_response(b"xx" + half, 0, [5]) is None


def test_what_waits_longest_is_looked_for():
    assert find_response(response(3), 0, range(10_000)) == 0


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (response(1), True),
        (response(1) + response(2), True),
        (response(1)[:-1], False),
        (response(1) + b"\0", False),
        (b"", False),
        (bytes(40), False),
    ],
)
def test_a_chain_of_frames(data, expected):
    assert is_chain(data) is expected
