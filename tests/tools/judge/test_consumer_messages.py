"""The judge's Fetch and ListOffsets: round trips, and Kafka's own definitions and bytes."""

from __future__ import annotations

import pytest
from brokers.jars import kafka_clients_jar
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.judge.consumer_messages import FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse
from kproto.wire import oracle
from kproto.wire.definitions import load
from kproto.wire.strategies import messages

MESSAGES = (FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse)


def drawn(data, cls):
    version = data.draw(st.sampled_from(cls.versions))
    return data.draw(messages(cls, version)), version


@pytest.mark.parametrize("cls", MESSAGES)
@given(data=st.data())
def test_round_trips(cls, data):
    message, version = drawn(data, cls)
    encoded = message.encode(version)
    assert encoded == oracle.encode(message, version)
    assert cls.decode(encoded, version) == message


@pytest.mark.java
@pytest.mark.parametrize("cls", MESSAGES)
@given(data=st.data())
def test_the_bytes_are_those_of_kafkas_definition(cls, data, kafka):
    message, version = drawn(data, cls)
    theirs = kafka[cls.__name__]
    encoded = message.encode(version)
    assert (cls.api_key, version in cls.flexible_versions) == (theirs.api_key, version in theirs.flexible_versions)
    assert theirs.from_dict(message.to_dict()).encode(version) == encoded
    assert theirs.decode(encoded, version).encode(version) == encoded


@pytest.fixture(scope="module")
def kafka():
    return load(kafka_clients_jar())
