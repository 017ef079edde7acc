"""Our bytes against Kafka's own classes, both ways: every message and version that Kafka 4.4.0 still has.

Three questions: does Kafka write the same bytes for the same values, does it read the same values from our bytes, and
does it understand all that we take. Kafka's JSON carries no unknown tags and no content of records; bytes that Kafka
reads and writes again carry both.
"""

from __future__ import annotations

import pytest
from brokers.jars import kafka_clients_jar
from brokers.judge import Judge, JudgeDied, JudgeError
from brokers.kafka_json import RETIRED as RETIRED_VERSIONS
from brokers.kafka_json import kafka_json
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import (
    REQUESTS,
    RESPONSES,
    DecodeError,
    MetadataRequest,
    RequestHeader,
    ResponseHeader,
)
from kproto.wire.definitions import load
from kproto.wire.strategies import messages

pytestmark = pytest.mark.java

MESSAGES = (RequestHeader, ResponseHeader, *REQUESTS.values(), *RESPONSES.values())
RETIRED = {(cls, version) for cls in MESSAGES for version in RETIRED_VERSIONS.get(cls.__name__, ())}
JUDGED = [(cls, version) for cls in MESSAGES for version in cls.versions if (cls, version) not in RETIRED]

TAG_MAX = 2**31 - 1


def name(value):
    """A test id: the class's name, or the version."""
    return getattr(value, "__name__", value)


EACH_VERSION = pytest.mark.parametrize(("cls", "version"), JUDGED, ids=name)


@pytest.fixture(scope="module")
def judge():
    with Judge() as opened:
        yield opened


def rewritten(judge, cls, version, encoded):
    """What Kafka writes after it has read; None for the one tag that it reads, but refuses to write."""
    try:
        return judge.recode(cls.__name__, version, encoded)
    except JudgeError as error:
        assert error.message == f"Attempted to use tag {TAG_MAX} as an undefined tag."
        return None


@EACH_VERSION
@given(data=st.data())
def test_kafka_writes_the_same_bytes(judge, cls, version, data):
    message = data.draw(messages(cls, version, unknown_tags=False))
    assert judge.encode(cls.__name__, version, kafka_json(message, version)) == message.encode(version)


@EACH_VERSION
@given(data=st.data())
def test_kafka_reads_the_same_values(judge, cls, version, data):
    message = data.draw(messages(cls, version))
    encoded = message.encode(version)
    assert judge.decode(cls.__name__, version, encoded) == kafka_json(message, version, content=False)
    assert rewritten(judge, cls, version, encoded) in (encoded, None)


@st.composite
def damaged(draw, cls, version):
    """The bytes of a message, a few of them changed, cut out or put in."""
    data = bytearray(draw(messages(cls, version)).encode(version))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 2))
        data[start : start + size] = draw(st.binary(min_size=0, max_size=2))
    return bytes(data)


@EACH_VERSION
@given(data=st.data())
def test_kafka_understands_what_we_take(judge, cls, version, data):
    """The other way round it is not so: Kafka takes trailing bytes, long varints and broken UTF-8, too."""
    encoded = data.draw(damaged(cls, version))
    try:
        message = cls.decode(encoded, version)
    except DecodeError:
        return
    assert judge.decode(cls.__name__, version, encoded) == kafka_json(message, version, content=False)
    assert rewritten(judge, cls, version, encoded) in (message.encode(version), None)


def test_kafka_reads_the_last_tag_but_does_not_write_it(judge):
    encoded = MetadataRequest(unknown_tags={TAG_MAX: b"kept"}).encode(9)
    assert judge.decode("MetadataRequest", 9, encoded)["allowAutoTopicCreation"] is True
    assert rewritten(judge, MetadataRequest, 9, encoded) is None
    encoded = MetadataRequest(unknown_tags={TAG_MAX - 1: b"kept"}).encode(9)
    assert rewritten(judge, MetadataRequest, 9, encoded) == encoded


def test_nothing_is_left_out_but_what_kafka_has_retired():
    """Its classes do not refuse a retired version: they read it as if it were the first that is left."""
    kafka = load(kafka_clients_jar())
    assert {(cls, v) for cls in MESSAGES for v in cls.versions if v not in kafka[cls.__name__].versions} == RETIRED


def test_the_judge_bites(judge):
    """A wrong name, a missing field, another value: each is seen."""
    message = MetadataRequest(topics=[MetadataRequest.MetadataRequestTopic(name="t")])
    fields = kafka_json(message, 12)
    assert judge.encode("MetadataRequest", 12, fields) == message.encode(12)
    assert judge.encode("MetadataRequest", 12, {**fields, "allowAutoTopicCreation": False}) != message.encode(12)
    with pytest.raises(JudgeError, match="unable to locate field 'topics'"):
        judge.encode("MetadataRequest", 12, {"Topics": fields["topics"]})
    with pytest.raises(JudgeError, match="TrailingBytes: 1 bytes remain"):
        judge.decode("MetadataRequest", 12, message.encode(12) + b"x")
    with pytest.raises(JudgeError, match="BufferUnderflowException"):
        judge.decode("MetadataRequest", 12, message.encode(12)[:-1])
    with pytest.raises(JudgeError, match="ClassNotFoundException"):
        judge.decode("NoRequest", 0, b"")


def test_a_dead_judge_says_so():
    with Judge() as judge:
        judge._jvm.kill()
        with pytest.raises(JudgeDied, match="ended with -9, asked: errors"):
            judge.errors()
    with pytest.raises(JudgeDied, match="the judge is closed"):
        judge.errors()
