"""What the strategies promise to those who import them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import (
    REQUESTS,
    RESPONSES,
    MetadataRequest,
    MetadataResponse,
    WireError,
)
from kproto.wire.records import Compression, Record, read_record_batches
from kproto.wire.strategies import messages, record_batches, versions

BODIES = (*REQUESTS.values(), *RESPONSES.values())


@given(record_batches())
def test_a_batch_holds_its_rows(built):
    (batch,) = read_record_batches(built.data)
    assert list(batch) == [Record(offset, *row) for offset, row in enumerate(built.rows)]
    assert batch.compression is built.compression
    stamp = built.producer_id, built.producer_epoch, built.base_sequence
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == stamp


@given(record_batches(st.just(Compression.SNAPPY)))
def test_the_codecs_are_the_callers_choice(built):
    assert built.compression is Compression.SNAPPY


@given(st.data())
def test_hypothesis_finds_messages_by_their_type(data):
    assert isinstance(data.draw(st.from_type(MetadataResponse)), MetadataResponse)


@pytest.mark.parametrize("cls", BODIES)
@given(data=st.data())
def test_versions_are_the_messages_own(cls, data):
    assert data.draw(versions(cls)) in cls.versions


@given(messages(MetadataRequest, 12, unknown_tags=False))
def test_unknown_tags_can_be_left_out(message):
    assert not message.unknown_tags
    assert not any(topic.unknown_tags for topic in message.topics or ())


def test_a_version_out_of_range_is_refused():
    with pytest.raises(WireError, match="MetadataRequest has versions 0-13, not 14"):
        messages(MetadataRequest, 14)
