"""The table of APIs: against Kafka's own classes, the declared messages, and itself."""

from __future__ import annotations

import copy
import pickle

import pytest
from brokers.judge import Judge
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import REQUESTS, RESPONSES, ApiKey, request_header_version, response_header_version

INT16 = st.integers(-(2**15), 2**15 - 1)
RETIRED = [ApiKey.LEADER_AND_ISR, ApiKey.STOP_REPLICA, ApiKey.UPDATE_METADATA, ApiKey.CONTROLLED_SHUTDOWN]


@pytest.fixture(scope="module")
def kafkas():
    """Kafka's rows by key."""
    with Judge() as judge:
        return {row.key: row for row in judge.api_keys()}


def test_keys_are_a_run_without_gap_or_alias():
    assert [int(key) for key in ApiKey] == list(range(len(ApiKey)))
    assert len(ApiKey.__members__) == len(ApiKey)
    assert len({key.message_name for key in ApiKey}) == len(ApiKey)


@given(INT16)
def test_of_gives_a_member_or_the_number_itself(number):
    found = ApiKey.of(number)
    assert found == number
    assert (type(found) is ApiKey) == (number in list(ApiKey))
    assert type(found) in (ApiKey, int)


@given(st.sampled_from(ApiKey))
def test_copies_are_the_member_itself(key):
    assert ApiKey.of(int(key)) is key
    assert copy.deepcopy(key) is key
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(key, protocol)) is key


@pytest.mark.parametrize("key", ApiKey)
def test_versions_are_both_there_or_the_api_is_retired(key):
    assert (key.first_version is None) == (key.last_version is None) == (key in RETIRED)
    assert key in RETIRED or 0 <= key.first_version <= key.last_version


@pytest.mark.parametrize("key", REQUESTS)
def test_declared_messages_have_these_names_and_versions(key):
    for cls, kind in ((REQUESTS[key], "Request"), (RESPONSES[key], "Response")):
        assert cls.__name__ == ApiKey(key).message_name + kind
        assert ApiKey(key).first_version in cls.versions
        assert ApiKey(key).last_version == cls.versions[-1]


@pytest.mark.java
def test_kafka_says_the_same(kafkas):
    ours = [
        (
            key,
            key.name,
            key.message_name,
            range(0) if key in RETIRED else range(key.first_version, key.last_version + 1),
        )
        for key in ApiKey
    ]
    assert ours == [row[:4] for row in kafkas.values()]


@pytest.mark.java
@pytest.mark.parametrize("key", REQUESTS)
def test_kafka_has_the_same_header_versions(key, kafkas):
    theirs = kafkas[key].header_versions
    request, response = REQUESTS[key], RESPONSES[key]
    assert theirs
    assert theirs == {v: (request_header_version(request, v), response_header_version(response, v)) for v in theirs}
