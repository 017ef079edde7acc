"""The queues: head and tail, and the estimate of how well a topic compresses."""

from __future__ import annotations

from contextlib import nullcontext
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer.queueing import batch_of

from kproto.producer.queues import RATIO_MIN, Appended, TopicQueues
from kproto.producer.sticky import StickyPartitioner
from kproto.wire.records import RECORD_BATCH_OVERHEAD


def topic_queues():
    return TopicQueues("orders", StickyPartitioner(batch_size=100, rng=Random(1)), nullcontext())


def test_acc_1_a_queue_is_made_on_first_use_and_stays():
    topic = topic_queues()
    queue = topic.queue(3)
    assert topic.queue(3) is queue and topic.partitions == {3: queue}
    assert (str(queue.partition), queue.topic) == ("orders-3", topic)
    assert queue.head is queue.tail is None and not queue.full


def test_acc_1_the_head_is_the_oldest_and_only_an_open_last_one_takes_records():
    queue = topic_queues().queue(0)
    first, second = batch_of(b"a"), batch_of(b"b", number=2)
    queue.batches.append(first)
    assert queue.head is queue.tail is first and not queue.full
    first.close()
    assert queue.head is first and queue.tail is None and queue.full
    queue.batches.append(second)
    assert queue.head is first and queue.tail is second


def test_acc_10_the_estimate_rises_fast_and_falls_slowly():
    topic = topic_queues()
    assert topic.ratio == 1.0
    for observed, expected in ((0.2, 0.995), (0.99, 0.99), (0.991, 1.04), (2.5, 2.5), (0.1, 2.495)):
        topic.learn_ratio(observed)
        assert topic.ratio == pytest.approx(expected)


def test_acc_10_however_well_it_compresses_an_open_batch_stays_bounded():
    topic = topic_queues()
    for _ in range(1000):
        topic.learn_ratio(0.001)
    assert topic.ratio == RATIO_MIN
    assert topic.plain_limit(16_384, RECORD_BATCH_OVERHEAD) <= 8 * 16_384


@given(st.floats(0.001, 10), st.integers(RECORD_BATCH_OVERHEAD + 1, 2**20))
def test_acc_9_a_batch_up_to_the_limit_has_batch_size_once_compressed_as_expected(ratio, batch_size):
    topic = topic_queues()
    topic.ratio = ratio
    limit = topic.plain_limit(batch_size, RECORD_BATCH_OVERHEAD)
    assert RECORD_BATCH_OVERHEAD + (limit - RECORD_BATCH_OVERHEAD) * ratio <= batch_size


def test_acc_8_a_batch_size_that_nothing_fits_into_leaves_each_record_alone():
    assert topic_queues().plain_limit(RECORD_BATCH_OVERHEAD, RECORD_BATCH_OVERHEAD) == 1
    assert topic_queues().plain_limit(0, RECORD_BATCH_OVERHEAD) == 1


def test_appended_tells_what_there_is_to_do():
    batch = batch_of(b"a")
    appended = Appended(batch, 0, opened=True, ready=False, closed=None)
    assert (appended.batch, appended.index, appended.opened, appended.ready, appended.closed) == (
        batch,
        0,
        True,
        False,
        None,
    )
