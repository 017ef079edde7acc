"""Each declared message against Kafka's own definition of it: field by field, in every version."""

from __future__ import annotations

import re

import pytest
from brokers.jars import kafka_clients_jar

from kproto.wire import REQUESTS, RESPONSES, RequestHeader, ResponseHeader, codec, oracle
from kproto.wire.definitions import Definitions, load
from kproto.wire.field import element_struct

pytestmark = pytest.mark.java

DECLARED = (RequestHeader, ResponseHeader, *REQUESTS.values(), *RESPONSES.values())


@pytest.fixture(scope="module")
def kafka():
    return load(kafka_clients_jar())


def facts(field, version):
    """What can be said of a field at a version, but for its default."""
    return {
        "type": field.type.name,
        "nullable": field.is_nullable(version),
        "tag": field.tag if field.is_tagged(version) else None,
        "flexible": None if field.flexible is None else version in field.flexible,
        "ignorable": field.ignorable,
        "map_key": field.map_key,
    }


def differences(ours, theirs, version, path):
    """Sentences about where two structs differ at a version."""
    mine = {field.name: field for field in ours.fields if version in field.versions}
    kafkas = {field.name: field for field in theirs.fields if version in field.versions}
    if list(mine) != list(kafkas):
        yield f"{path} v{version}: fields {list(mine)}, Kafka has {list(kafkas)}"
        return
    if (version in ours.flexible_versions) != (version in theirs.flexible_versions):
        yield f"{path} v{version}: flexible differs"
    for name, field in mine.items():
        here = f"{path}.{name}"
        other = kafkas[name]
        said, kafka_said = facts(field, version), facts(other, version)
        yield from (
            f"{here} v{version}: {k} {said[k]}, Kafka says {kafka_said[k]}" for k in said if said[k] != kafka_said[k]
        )
        if not same_default(field, other):
            yield f"{here}: default {field.default!r}, Kafka says {other.default!r}"
        nested, kafkas_nested = element_struct(field.type), element_struct(other.type)
        if nested is not None and kafkas_nested is not None:
            yield from differences(nested, kafkas_nested, version, here)


def same_default(field, other):
    """Where the JSON names no default for a nullable field, Kafka's class has "" or b""; None is friendlier."""
    if field.default is None and other.default in ("", b""):
        return bool(other.nullable)
    if element_struct(field.type) is not None and field.default is not None and other.default is not None:
        return True  # compared field by field
    return field.default == other.default


def common_versions(ours, theirs):
    return range(max(ours.versions.start, theirs.versions.start), min(ours.versions.stop, theirs.versions.stop))


@pytest.mark.parametrize("cls", DECLARED)
def test_declared_messages_are_kafkas(cls, kafka):
    theirs = kafka[cls.__name__]
    assert cls.api_key == theirs.api_key
    versions = common_versions(cls, theirs)
    assert versions.stop == theirs.versions.stop == cls.versions.stop
    found = [text for version in versions for text in differences(cls, theirs, version, cls.__name__)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("pattern", "replacement", "text"),
    [
        (
            r'"name": "Port", "type": "int32"',
            '"name": "Port", "type": "int16"',
            "brokers.port v0: type int32, Kafka says int16",
        ),
        (r'"name": "Port"', '"name": "Harbour"', "fields .*'port'"),
        (
            r'"nullableVersions": "12\+"',
            '"nullableVersions": "11+"',
            "topics.name v11: nullable False, Kafka says True",
        ),
        (r'"versions": "5\+", "ignorable"', '"versions": "6+", "ignorable"', "fields .*'offline_replicas'"),
        (r'"flexibleVersions": "9\+"', '"flexibleVersions": "8+"', "v8: flexible differs"),
        (r'"default": "-2147483648"', '"default": "-1"', "default -2147483648, Kafka says -1"),
        (r'"ignorable": true,(\s+"about": "The topic id)', r'"ignorable": false,\1', "topic_id v10: ignorable True"),
        (r'"mapKey": true, "entityType": "brokerId"', '"entityType": "brokerId"', "node_id v0: map_key True"),
        (
            r'"name": "ErrorCode", "type": "int16", "versions": "13\+"',
            '"name": "ErrorCode", "type": "int16", "versions": "13+", "tag": 0, "taggedVersions": "13+"',
            "error_code v13: tag None, Kafka says 0",
        ),
    ],
)
def test_the_comparison_bites(kafka, pattern, replacement, text):
    original = kafka._texts["MetadataResponse"]
    changed, count = re.subn(pattern, replacement, original)
    assert count
    theirs = Definitions({"MetadataResponse": changed})["MetadataResponse"]
    ours = RESPONSES[3]
    found = "\n".join(t for version in ours.versions for t in differences(ours, theirs, version, "MetadataResponse"))
    assert re.search(text, found), found


def test_every_message_of_kafka_has_a_codec_that_is_its_definition(kafka):
    """All 203 messages in all their versions: defaults, and the same with unknown tags."""
    assert len(kafka) >= 203
    pairs = 0
    for cls in map(kafka.__getitem__, kafka):
        for version in cls.versions:
            tags = {999: b"kept"} if version in cls.flexible_versions else {}
            message = cls(unknown_tags=tags)
            encoded = codec.generated_encoder(cls, version)(message)
            assert encoded == oracle.encode(message, version)
            assert codec.generated_decoder(cls, version)(encoded, 0) == (message, len(encoded))
            assert oracle.decode_prefix(cls, encoded, version) == (message, len(encoded))
            pairs += 1
    assert pairs > 600


def test_requests_and_responses_by_key(kafka):
    assert kafka.requests[1].__name__ == "FetchRequest"
    assert kafka.responses[1].__name__ == "FetchResponse"
    assert set(kafka.requests) == set(kafka.responses)
    assert len(kafka.requests) > 80
