"""Guesses: what fits exactly, and only that."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode.guess import GUESSED_SIZE_MAX, guess_response
from kproto.tools.decode.message_errors import error_codes
from kproto.wire import (
    RESPONSES,
    ApiKey,
    ErrorCode,
    InitProducerIdResponse,
    MetadataResponse,
    ProduceResponse,
    encode_response,
)
from kproto.wire.strategies import response_frames


@given(response_frames())
def test_what_was_sent_is_among_what_fits(drawn):
    response, _, frame = drawn
    key = ApiKey(response.api_key)
    plausible = all(isinstance(ErrorCode.of(code), ErrorCode) for code in error_codes(response))
    guess = guess_response(frame[4:])
    if key in (ApiKey.SASL_HANDSHAKE, ApiKey.SASL_AUTHENTICATE) or not plausible or len(frame) > GUESSED_SIZE_MAX:
        return
    assert guess is not None and key in guess.apis and 0 < guess.fits <= guess.candidates
    assert type(guess.message) is RESPONSES[ApiKey(guess.api_key)]


def test_the_highest_version_that_fits_is_told():
    partition = ProduceResponse.PartitionProduceResponse(index=1, base_offset=5)
    topic = ProduceResponse.TopicProduceResponse(name="orders", partition_responses=[partition])
    frame = encode_response(ProduceResponse(responses=[topic]), 6, correlation_id=1)[4:]
    guess = guess_response(frame)
    assert (guess.api_key, guess.version, guess.fits, guess.apis) == (0, 7, 3, (0,))  # 5, 6 and 7 are the same


def test_an_error_that_kafka_does_not_have_fits_nothing():
    frame = encode_response(InitProducerIdResponse(error_code=29_000), 1, correlation_id=1)[4:]
    assert guess_response(frame) is None


def test_what_fits_nothing_or_is_large_is_none():
    assert guess_response(b"\0\0\0\1\xff\xff\xff") is None
    assert guess_response(b"") is None
    broker = MetadataResponse.MetadataResponseBroker(host="h" * 30_000)
    frame = encode_response(MetadataResponse(brokers=[broker] * 3), 1, correlation_id=1)[4:]
    assert guess_response(frame) is None


@given(st.binary(max_size=100))
def test_nothing_is_raised(data):
    guess_response(data)
