"""The judge's Fetch and ListOffsets: round trips, and Kafka's own definitions and bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.judge.declared_messages import check_bytes_of_kafka, check_round_trip

from kproto.tools.judge.consumer_messages import FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse

MESSAGES = (FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse)


@pytest.mark.parametrize("cls", MESSAGES)
@given(data=st.data())
def test_round_trips(cls, data):
    check_round_trip(cls, data)


@pytest.mark.java
@pytest.mark.parametrize("cls", MESSAGES)
@given(data=st.data())
def test_the_bytes_are_those_of_kafkas_definition(cls, data):
    check_bytes_of_kafka(cls, data)
