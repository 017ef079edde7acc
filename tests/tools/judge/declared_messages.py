"""What holds of each message that the judge declares by itself: it comes back, and is as Kafka has it."""

from __future__ import annotations

from functools import cache

from brokers.jars import kafka_clients_jar
from hypothesis import strategies as st

from kproto.wire import oracle
from kproto.wire.definitions import Definitions, load
from kproto.wire.strategies import messages

__all__ = ["check_bytes_of_kafka", "check_round_trip"]


def drawn(data, cls):
    version = data.draw(st.sampled_from(cls.versions))
    return data.draw(messages(cls, version)), version


def check_round_trip(cls, data):
    message, version = drawn(data, cls)
    encoded = message.encode(version)
    assert encoded == oracle.encode(message, version)
    assert cls.decode(encoded, version) == message


@cache
def kafka() -> Definitions:
    return load(kafka_clients_jar())


def check_bytes_of_kafka(cls, data):
    message, version = drawn(data, cls)
    theirs = kafka()[cls.__name__]
    encoded = message.encode(version)
    assert (cls.api_key, version in cls.flexible_versions) == (theirs.api_key, version in theirs.flexible_versions)
    assert theirs.from_dict(message.to_dict()).encode(version) == encoded
    assert theirs.decode(encoded, version).encode(version) == encoded
