"""Messages as plain dicts."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import (
    REQUESTS,
    RESPONSES,
    EncodeError,
    MetadataRequest,
    MetadataResponse,
    ProduceRequest,
    ProduceResponse,
    SaslHandshakeResponse,
)
from kproto.wire.strategies import messages, versions

ANY_MESSAGE = st.sampled_from([*REQUESTS.values(), *RESPONSES.values()]).flatmap(
    lambda cls: versions(cls).flatmap(lambda version: messages(cls, version))
)
PLAIN = (bool, int, float, str, bytes, uuid.UUID, type(None))


def assert_plain(value):
    if isinstance(value, dict):
        for element in value.values():
            assert_plain(element)
    elif isinstance(value, list):
        for element in value:
            assert_plain(element)
    else:
        assert type(value) in PLAIN


@given(ANY_MESSAGE)
def test_to_dict_is_plain_and_from_dict_reads_it_back(message):
    mapping = message.to_dict()
    assert_plain(mapping)
    assert set(mapping) - {"unknown_tags"} == {field.name for field in message.fields}
    assert ("unknown_tags" in mapping) == bool(message.unknown_tags)
    assert type(message).from_dict(mapping) == message


def test_fields_of_all_versions_and_nothing_else():
    assert MetadataRequest(topics=[MetadataRequest.MetadataRequestTopic(name="t")]).to_dict() == {
        "topics": [{"topic_id": uuid.UUID(int=0), "name": "t"}],
        "allow_auto_topic_creation": True,
        "include_cluster_authorized_operations": False,
        "include_topic_authorized_operations": False,
    }


def test_views_of_bytes_become_bytes():
    partition = ProduceRequest.PartitionProduceData(records=memoryview(b"abc"))
    assert partition.to_dict() == {"index": 0, "records": b"abc"}


def test_missing_keys_take_defaults():
    response = ProduceResponse.from_dict({"responses": [{"name": "t", "partition_responses": [{"index": 3}]}]})
    partition = response.responses[0].partition_responses[0]
    assert (partition.index, partition.log_append_time_ms) == (3, -1)
    assert ProduceResponse.PartitionProduceResponse.from_dict({"current_leader": {"leader_id": 4}}) == (
        ProduceResponse.PartitionProduceResponse(current_leader=ProduceResponse.LeaderIdAndEpoch(leader_id=4))
    )
    assert SaslHandshakeResponse.from_dict({"mechanisms": ["PLAIN"]}).mechanisms == ("PLAIN",)
    assert MetadataRequest.from_dict({"topics": None}).topics is None


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({"brokerz": []}, r"MetadataResponse: there is no such field, did you mean 'brokers'\?, got 'brokerz'"),
        ({"xyzzy": 1}, "known are brokers, cluster_authorized_operations, cluster_id"),
        ({"brokers": [{"hosst": "b"}]}, r"MetadataResponse.brokers\[0\]: there is no such field, did you mean 'host'"),
        ({"brokers": 5}, "MetadataResponse.brokers: an array is read from a list, got 5"),
        ({"brokers": [5]}, r"MetadataResponse.brokers\[0\]: a struct is read from a mapping, got 5"),
        ([], "MetadataResponse: a struct is read from a mapping"),
    ],
)
def test_wrong_mappings_say_where(mapping, text):
    with pytest.raises(EncodeError, match=text):
        MetadataResponse.from_dict(mapping)
