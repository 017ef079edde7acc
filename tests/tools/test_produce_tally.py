"""What is counted of records and batches."""

from __future__ import annotations

from kproto.client import TopicPartition
from kproto.producer import ProducerRecord
from kproto.producer.events import BatchOpened, BatchRetried, BatchSent, SendReason
from kproto.tools.produce_tally import ProduceTally, record_size
from kproto.wire import KafkaError

A0 = TopicPartition("A", 0)


def sent(attempt, size):
    return BatchSent(1, A0, 1, SendReason.FULL, 0, 3, size, attempt, 7, 0, 0)


def test_the_size_of_a_record_is_all_that_the_user_gave():
    assert record_size(ProducerRecord("orders")) == 0
    assert record_size(ProducerRecord("orders", b"abc", b"k", headers=(("\u00e4", b"12"), ("b", None)))) == 9


def test_a_batch_counts_once_and_its_repetitions_apart():
    tally = ProduceTally()
    retried = BatchRetried(2, A0, 1, KafkaError("x"), 3)
    for event in (BatchOpened(0, A0, 1), sent(1, 100), retried, sent(2, 100), sent(1, 50)):
        tally(event)
    assert (tally.batches, tally.sent_size, tally.retries) == (2, 150, 1)
