"""Each declared message against Kafka's own definition of it: field by field, in every version. And the codec against
its definition, for every message of Kafka."""

from __future__ import annotations

import dataclasses
import re

import pytest
from brokers.jars import kafka_clients_jar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kproto.wire import REQUESTS, RESPONSES, MetadataRequest, RequestHeader, ResponseHeader, codec, oracle
from kproto.wire.definitions import DefinitionError, Definitions, load
from kproto.wire.field import element_struct
from kproto.wire.strategies import messages

pytestmark = pytest.mark.java

EXAMPLES = 4  # of each of 640 pairs of message and version
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


def structs(cls):
    """All structs within a class, by name."""
    nested = [struct for field in cls.fields if (struct := element_struct(field.type)) is not None]
    return {struct.__name__: struct for struct in nested} | {k: v for s in nested for k, v in structs(s).items()}


@pytest.mark.parametrize("cls", DECLARED)
def test_declared_structs_are_found_where_kafkas_are(cls, kafka):
    theirs = structs(kafka[cls.__name__])
    assert all(getattr(kafka[cls.__name__], name) is struct for name, struct in theirs.items())
    assert {name: getattr(cls, name) for name in theirs} == structs(cls)


@pytest.mark.parametrize("cls", DECLARED)
@given(data=st.data())
def test_declared_messages_have_the_bytes_of_kafkas(cls, data, kafka):
    theirs = kafka[cls.__name__]
    version = data.draw(st.sampled_from(common_versions(cls, theirs)))
    message = data.draw(messages(cls, version))
    encoded = message.encode(version)
    assert theirs.from_dict(message.to_dict()).encode(version) == encoded
    assert theirs.decode(encoded, version).encode(version) == encoded


@pytest.mark.parametrize(
    ("name", "pattern", "replacement", "text"),
    [
        (
            "MetadataResponse",
            r'"name": "Port", "type": "int32"',
            '"name": "Port", "type": "int16"',
            "MetadataResponse.brokers.port v0: type int32, Kafka says int16",
        ),
        ("MetadataResponse", r'"name": "Port"', '"name": "Harbour"', "fields .*'port'.*, Kafka has .*'harbour'"),
        (
            "MetadataResponse",
            r'"name": "(NodeId|Host)", "type": "(\w+)"',
            lambda m: '"name": "Host", "type": "string"' if m[1] == "NodeId" else '"name": "NodeId", "type": "int32"',
            r"fields \['node_id', 'host', 'port'\], Kafka has \['host', 'node_id', 'port'\]",
        ),
        (
            "MetadataResponse",
            "MetadataResponsePartition",
            "Partition",
            r"topics.partitions v0: type \[\]MetadataResponsePartition, Kafka says \[\]Partition",
        ),
        (
            "MetadataResponse",
            r'"nullableVersions": "12\+"',
            '"nullableVersions": "11+"',
            "topics.name v11: nullable False, Kafka says True",
        ),
        ("MetadataResponse", r'"versions": "5\+", "ignorable"', '"versions": "6+", "ignorable"', "v5: fields .*"),
        ("MetadataResponse", r'"flexibleVersions": "9\+"', '"flexibleVersions": "8+"', "v8: flexible differs"),
        ("MetadataResponse", r'"default": "-2147483648"', '"default": "-1"', "default -2147483648, Kafka says -1"),
        (
            "MetadataResponse",
            r'"ignorable": true,(\s+"about": "The topic id)',
            r'"ignorable": false,\1',
            "topic_id v10: ignorable True, Kafka says False",
        ),
        (
            "MetadataResponse",
            r'"mapKey": true, "entityType": "brokerId"',
            '"entityType": "brokerId"',
            "node_id v0: map_key True, Kafka says False",
        ),
        (
            "MetadataResponse",
            r'"name": "ErrorCode", "type": "int16", "versions": "13\+"',
            '"name": "ErrorCode", "type": "int16", "versions": "13+", "tag": 0, "taggedVersions": "13+"',
            "error_code v13: tag None, Kafka says 0",
        ),
        ("ProduceResponse", r'"tag": 0', '"tag": 1', None),
        (
            "ProduceResponse",
            r'"taggedVersions": "10\+"',
            '"taggedVersions": "11+"',
            "responses.partition_responses.current_leader v10: tag 0, Kafka says None",
        ),
        ("RequestHeader", r'"flexibleVersions": "none",', "", "client_id v1: flexible False, Kafka says None"),
        ("ProduceRequest", r'"default": "null",', '"default": "x",', "transactional_id: default None, Kafka says 'x'"),
        ("MetadataRequest", r'"default": "true"', '"default": "false"', "creation: default True, Kafka says False"),
    ],
)
def test_the_comparison_bites(kafka, name, pattern, replacement, text):
    changed, count = re.subn(pattern, replacement, kafka._texts[name])
    assert count
    if text is None:
        with pytest.raises(DefinitionError, match="tags 0, 1, 2"):
            Definitions({name: changed})[name]
        return
    theirs = Definitions({name: changed})[name]
    ours = next(cls for cls in DECLARED if cls.__name__ == name)
    found = "\n".join(found for version in ours.versions for found in differences(ours, theirs, version, name))
    assert re.search(text, found), found


def test_none_is_allowed_only_for_a_nullable_field_without_a_default(kafka):
    ours = {field.name: field for field in MetadataRequest.MetadataRequestTopic.fields}
    theirs = {field.name: field for field in kafka["MetadataRequest"].MetadataRequestTopic.fields}
    friendlier = dataclasses.replace(ours["name"], default=None)
    assert same_default(friendlier, theirs["name"])
    assert not same_default(friendlier, dataclasses.replace(theirs["name"], default="x"))
    assert not same_default(friendlier, dataclasses.replace(theirs["name"], nullable=range(0)))
    assert not same_default(dataclasses.replace(ours["name"], default="x"), theirs["name"])


def check(message, version):
    cls = type(message)
    encoded = codec.generated_encoder(cls, version)(message)
    assert encoded == oracle.encode(message, version)
    assert codec.generated_decoder(cls, version)(encoded, 0) == (message, len(encoded))
    assert oracle.decode_prefix(cls, encoded, version) == (message, len(encoded))


def pairs(kafka):
    return [(cls, version) for cls in kafka.values() for version in cls.versions]


def test_the_defaults_of_all_messages_pass_the_codec(kafka):
    assert len(kafka) >= 203
    assert len(pairs(kafka)) >= 640
    for cls, version in pairs(kafka):
        check(cls(), version)


def test_any_values_of_all_messages_pass_the_codec(kafka):
    """All messages in all versions; few values of each, for there are many."""
    for cls, version in pairs(kafka):
        few = settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
        few(given(messages(cls, version), st.just(version))(check))()


def test_requests_and_responses_by_key(kafka):
    assert kafka.requests[1].__name__ == "FetchRequest"
    assert kafka.responses[1].__name__ == "FetchResponse"
    assert set(kafka.requests) == set(kafka.responses)
    assert len(kafka.requests) > 80
