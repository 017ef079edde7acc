"""What comes back for a record: values that read well."""

from __future__ import annotations

import pickle

import pytest

from kproto.client import TopicPartition
from kproto.producer.record import NO_OFFSET, NO_PARTITION, RecordMetadata, WriteStatus


def test_a_delivered_record_says_where_it_is():
    metadata = RecordMetadata("orders", 3, 17, 1_700_000_000_000)
    assert metadata.topic_partition == TopicPartition("orders", 3)
    assert str(metadata.topic_partition) == "orders-3"
    assert metadata == ("orders", 3, 17, 1_700_000_000_000)
    assert pickle.loads(pickle.dumps(metadata)) == metadata


def test_err_1_the_placeholders_are_those_of_kafka():
    assert (NO_OFFSET, NO_PARTITION) == (-1, -1)


@pytest.mark.parametrize("status", WriteStatus)
def test_what_is_known_of_a_failed_record_reads_as_a_phrase(status):
    assert str(status) == status.value
    assert "written" in f"{status}"
    assert pickle.loads(pickle.dumps(status)) is status
