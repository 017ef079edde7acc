"""The table of errors: against Kafka's own classes, kio's reading of them, and itself."""

from __future__ import annotations

import copy
import pickle

import pytest
from brokers.judge import Judge
from hypothesis import given
from hypothesis import strategies as st
from kio.schema.errors import ErrorCode as KioErrorCode

from kproto.wire import ErrorCode

INT16 = st.integers(-(2**15), 2**15 - 1)


def test_codes_are_a_run_without_gap_or_alias():
    assert [int(code) for code in ErrorCode] == list(range(-1, len(ErrorCode) - 1))
    assert len(ErrorCode.__members__) == len(ErrorCode)


@given(INT16)
def test_of_gives_a_member_or_the_number_itself(number):
    found = ErrorCode.of(number)
    assert found == number
    assert (type(found) is ErrorCode) == (number in list(ErrorCode))
    assert type(found) in (ErrorCode, int)


@pytest.mark.parametrize("code", [ErrorCode(-1), ErrorCode.NONE, list(ErrorCode)[-1]])
def test_of_knows_both_ends(code):
    assert ErrorCode.of(int(code)) is code


@given(st.sampled_from(ErrorCode))
def test_copies_are_the_member_itself(code):
    assert copy.deepcopy(code) is code
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(code, protocol)) is code


def test_stale_metadata_can_be_tried_again():
    stale = [code for code in ErrorCode if code.invalid_metadata]
    assert ErrorCode.NOT_LEADER_OR_FOLLOWER in stale
    assert all(code.retriable for code in stale)
    assert not ErrorCode.NONE.retriable


def test_descriptions_tell_codes_apart():
    phrases = [code.description for code in ErrorCode]
    assert len(set(phrases)) == len(phrases)
    for phrase in phrases:
        assert phrase.strip() == phrase.rstrip(".") != ""
        assert phrase.isprintable() and len(phrase) <= 90


def test_kio_says_the_same():
    common = set(map(int, ErrorCode)) & set(map(int, KioErrorCode))
    assert len(common) >= 135
    for number in common:
        ours, theirs = ErrorCode(number), KioErrorCode(number)
        assert (ours.name, ours.retriable) == (theirs.name.upper(), theirs.retriable)


@pytest.mark.java
def test_kafka_says_the_same():
    with Judge() as judge:
        assert [(code, code.name, code.retriable, code.invalid_metadata) for code in ErrorCode] == judge.errors()
