"""One batch: what it knows of its records, its attempts, and its end."""

from __future__ import annotations

import gc
import tracemalloc
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer.queueing import AT_MS, accumulator_of, append, batch_of, failure, queue_of, records_of, sealed

from kproto.client.transitions import IllegalTransition
from kproto.producer.batch import BATCH_MEMORY, CALLBACK_MEMORY, RUN_MEMORY
from kproto.producer.batch_state import BatchState
from kproto.producer.producer_id import NO_IDENTITY, ProducerIdAndEpoch
from kproto.producer.record import NO_OFFSET, RecordMetadata, WriteStatus
from kproto.wire import EncodeError
from kproto.wire.records import NO_TIMESTAMP, RECORD_BATCH_OVERHEAD, RecordBatchBuilder, read_record_batches

PRODUCER = ProducerIdAndEpoch(4000, 0)


def nobody(metadata, error):
    raise AssertionError("nobody is called from within")


def sent(*values, **options):
    """A batch that is in flight."""
    batch = sealed(*values, **options)
    batch.stamp(PRODUCER, 7)
    batch.send(1, 5)
    return batch


# Records


def test_acc_13_records_are_counted_and_the_largest_is_remembered():
    batch = batch_of(b"a", b"abc", b"b")
    assert batch.count == 3
    assert batch.size == batch.plain_size == RECORD_BATCH_OVERHEAD + 8 + 10 + 8
    assert batch.largest_record == 10


def test_an_append_that_is_refused_changes_nothing():
    batch = batch_of(b"a")
    size = batch.size
    with pytest.raises(EncodeError):
        batch.append(AT_MS, None, b"b", (("\ud800", b""),), nobody)
    assert (batch.count, batch.size, len(batch.callbacks), batch.timestamps) == (1, size, 0, [(0, AT_MS)])
    assert batch.append(AT_MS, None, b"b", (), None) == 1
    batch.close()
    assert records_of(batch.bytes()) == [b"a", b"b"]


def test_size_after_is_the_size_after_it():
    batch = batch_of(b"a")
    expected = batch.size_after(AT_MS + 300, b"key", b"value", (("h", None),))
    batch.append(AT_MS + 300, b"key", b"value", (("h", None),), None)
    assert batch.size == expected


@given(st.lists(st.integers(AT_MS, AT_MS + 2), min_size=1, max_size=20))
def test_each_record_has_its_own_timestamp_and_a_run_of_equal_ones_is_kept_once(timestamps):
    batch = batch_of()
    for timestamp_ms in timestamps:
        batch.append(timestamp_ms, None, b"", (), None)
    batch.close()
    batch.seal()
    batch.send(0, 0)
    batch.succeed(0, -1)
    assert [batch.metadata_of(index).timestamp for index in range(batch.count)] == timestamps
    runs = 1 + sum(one != other for one, other in pairwise(timestamps))
    assert len(batch.timestamps) == runs


def test_a_batch_that_was_built_elsewhere_takes_no_more():
    builder = RecordBatchBuilder()
    for value in (b"a", b"b"):
        builder.append(AT_MS + 3, None, value)
    batch = batch_of()
    batch.builder = builder
    batch.adopt(nobody)
    assert (batch.state, batch.count, batch.size) == (BatchState.WAITING, 2, builder.size)
    assert batch.metadata_of(1).timestamp == AT_MS + 3 and batch.callbacks[0] == (0, nobody)
    other = batch_of()
    other.builder = builder
    other.adopt(None)
    assert not other.callbacks


def test_closing_again_changes_nothing_and_it_counts_what_its_builder_does():
    """An append that a signal handler interrupts behind the builder's own has appended."""
    batch = batch_of(b"a")
    batch.builder.append(AT_MS, None, b"b")
    assert batch.count == 2 and batch.size == batch.builder.size
    batch.close()
    batch.close()
    assert batch.state is BatchState.WAITING


# Compression


@pytest.mark.parametrize("codec", ["none", "gzip", "lz4", "zstd"])
def test_d10_sealed_it_has_the_size_that_is_sent(codec):
    values = [b"%d" % index + bytes(300) for index in range(20)]
    batch = sealed(*values, compression=codec)
    assert batch.sealed and batch.size == len(batch.bytes()) and records_of(batch.bytes()) == values
    assert batch.plain_size > 6000 and (codec == "none") == (batch.size == batch.plain_size)


def test_it_is_sealed_only_while_there_is_something_to_seal():
    """Whoever compresses may be overtaken: by delivery_timeout_ms, or by a close that does not wait."""
    batch = batch_of(b"a")
    batch.close()
    batch.fail(failure())
    batch.forget_bytes()
    batch.seal()
    assert not batch.sealed


# Attempts


def test_arch_4_a_batch_goes_its_way_and_says_where_it_is():
    batch = batch_of(b"a")
    assert batch.state is BatchState.OPEN and batch.written is WriteStatus.NO
    batch.close()
    batch.seal()
    batch.stamp(PRODUCER, 7)
    assert records_of(batch.send(1, 5)) == [b"a"]
    assert (batch.in_flight, batch.node_id, batch.leader_epoch) == (True, 1, 5)
    assert batch.written is WriteStatus.POSSIBLY
    batch.in_flight = False
    assert batch.written is WriteStatus.NO
    batch.open_outcome = True
    assert batch.written is WriteStatus.POSSIBLY
    batch.retry(900)
    assert (batch.state, batch.attempts, batch.retry_at_ms) == (BatchState.WAITING, 1, 900)


def test_trap_46_a_retry_is_the_same_bytes_and_only_a_restart_changes_the_stamp():
    batch = sent(b"a", b"b")
    first = batch.data
    batch.retry(0)
    assert batch.send(2, 6) is first
    batch.stamp(PRODUCER, 7)
    assert batch.data is first
    batch.stamp(ProducerIdAndEpoch(4000, 1), 0)
    (whole,) = read_record_batches(batch.data)
    assert (whole.producer_id, whole.producer_epoch, whole.base_sequence) == (4000, 1, 0)
    assert records_of(batch.data) == records_of(first)


def test_a_stamp_before_the_bytes_are_made_is_in_them():
    batch = sealed(b"a")
    batch.stamp(PRODUCER, 7)
    assert batch.data is None
    (whole,) = read_record_batches(batch.bytes())
    assert (whole.producer_id, whole.base_sequence) == (4000, 7)
    (plain,) = read_record_batches(sealed(b"a").bytes())
    assert (plain.producer_id, plain.producer_epoch) == NO_IDENTITY


# The end


def test_a_delivered_batch_knows_each_record_s_offset():
    batch = sent(b"a", b"b")
    batch.succeed(41, NO_TIMESTAMP)
    assert batch.part_of(1) == (batch, 1)
    assert batch.done and batch.all_done and batch.error_of(1) is None
    assert batch.metadata_of(1) == RecordMetadata("orders", 0, 42, AT_MS)


def test_log_append_time_is_every_record_s_timestamp_and_an_unknown_offset_is_nobody_s():
    batch = sent(b"a", b"b")
    batch.succeed(NO_OFFSET, 99)
    assert batch.metadata_of(1) == RecordMetadata("orders", 0, NO_OFFSET, 99)


def test_cb_5_the_time_in_the_answer_to_a_repeated_batch_is_nobody_s():
    """Kafka answers a duplicate with the newest timestamp of the batch, also where records keep their own."""
    for attempts, times_ms in ((1, [AT_MS + 14, AT_MS + 14]), (2, [AT_MS, AT_MS + 14])):
        batch = batch_of(b"a")
        batch.append(AT_MS + 14, None, b"b", (), None)
        batch.close()
        batch.claimed = True
        batch.seal()
        batch.stamp(PRODUCER, 7)
        for _ in range(attempts - 1):
            batch.send(1, 5)
            batch.retry(0)
        batch.send(1, 6)
        batch.succeed(41, AT_MS + 14)
        assert [batch.metadata_of(index).timestamp for index in (0, 1)] == times_ms


def test_err_1_a_failed_batch_has_placeholders_and_an_error_for_each_record():
    batch = sent(b"a", b"b")
    whole, own = failure(), failure(why="its timestamp")
    batch.fail(whole, {1: own})
    assert batch.done and batch.metadata_of(1) == RecordMetadata("orders", 0, NO_OFFSET, NO_TIMESTAMP)
    assert batch.error_of(0) is whole and batch.error_of(1) is own


def test_batch_5_a_batch_ends_once():
    batch = sent(b"a")
    batch.succeed(0, NO_TIMESTAMP)
    for ends in (lambda: batch.succeed(0, NO_TIMESTAMP), lambda: batch.fail(failure()), lambda: batch.retry(0)):
        with pytest.raises(IllegalTransition):
            ends()
    failed = batch_of(b"a")
    failed.fail(failure())
    for ends in (lambda: failed.fail(failure()), lambda: failed.send(1, 1), lambda: failed.succeed(0, NO_TIMESTAMP)):
        with pytest.raises(IllegalTransition):
            ends()
    failed.close()
    assert failed.state is BatchState.FAILED


def test_who_keeps_a_future_does_not_keep_the_records():
    batch = sent(bytes(1000))
    batch.succeed(0, NO_TIMESTAMP)
    batch.forget_bytes()
    assert batch.data is None and batch.metadata_of(0).offset == 0


# Split


def split_in(batch, *counts):
    parts = [batch_of(*[b"x"] * count, number=10 + place) for place, count in enumerate(counts)]
    batch.split_into(parts)
    return parts


def test_cb_7_split_records_and_their_callbacks_are_found_in_the_parts():
    batch = batch_of()
    for index in range(6):
        batch.append(AT_MS, None, b"%d" % index, (), partial(nobody, index))
    called = [on_delivery for _, on_delivery in batch.callbacks]
    batch.close()
    batch.seal()
    batch.send(0, 0)
    parts = split_in(batch, 1, 3, 2)
    assert batch.state is BatchState.SPLIT and not batch.callbacks and not batch.all_done
    assert [batch.part_of(index) for index in range(6)] == [
        (parts[0], 0),
        (parts[1], 0),
        (parts[1], 1),
        (parts[1], 2),
        (parts[2], 0),
        (parts[2], 1),
    ]
    assert [each for part in parts for each in part.callbacks] == [
        (index, called[place]) for place, index in enumerate((0, 0, 1, 2, 0, 1))
    ]
    assert all(part.root is batch for part in parts)


def test_split_4_a_part_that_is_split_again_leaves_its_place_to_its_parts():
    batch = sent(*[b"x"] * 6)
    first, second = split_in(batch, 2, 4)
    second.call_back(3, nobody)
    second.close()
    second.send(0, 0)
    third, fourth = split_in(second, 3, 1)
    assert batch.parts == [first, third, fourth] and [part.first for part in batch.parts] == [0, 2, 5]
    assert (
        third.root is fourth.root is batch
        and batch.part_of(5) == (fourth, 0)
        and list(fourth.callbacks) == [(0, nobody)]
    )
    for part in batch.parts:
        assert not batch.all_done
        part.fail(failure())
    assert batch.all_done


def test_a_batch_tells_what_it_is():
    batch = batch_of(b"a", number=3)
    assert repr(batch) == "<ProducerBatch orders-0#3 OPEN, 1 records>"
    batch.stamp(PRODUCER, 7)
    assert repr(batch) == "<ProducerBatch orders-0#3 OPEN, 1 records, sequence 7>"


# Memory


def measured(batches, records, *, callback=False, apart=False):
    """Bytes that a sealed batch takes beside its records."""
    accumulator = accumulator_of(buffer_memory=2**30, batch_size=2**20)
    append(accumulator).batch.close()
    queue_of(accumulator).batches.clear()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(batches):
            for index in range(records):
                hear = partial(nobody, index) if callback else None
                at_ms = AT_MS + index % 2 if apart else AT_MS
                accumulator.append(accumulator.topic("orders"), 0, (at_ms, None, bytes(100), ()), hear, now_ms=0)
            batch = queue_of(accumulator).tail
            batch.close()
            accumulator.seal(batch)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    return (taken - sum(each.size for each in queue_of(accumulator).batches)) / batches


def test_what_a_batch_is_charged_is_what_it_takes():
    alone = measured(40, 20)
    assert alone == pytest.approx(BATCH_MEMORY, rel=0.25)
    assert (measured(40, 120, callback=True) - alone) / 120 == pytest.approx(CALLBACK_MEMORY, rel=0.25)
    assert (measured(40, 121, apart=True) - alone) / 120 == pytest.approx(RUN_MEMORY, rel=0.25)


def test_callbacks_and_timestamps_are_charged_with_the_batch():
    batch = sealed(b"a", b"b")
    assert batch.memory() == batch.size + BATCH_MEMORY
    batch.call_back(0, nobody)
    batch.timestamps.append((1, AT_MS + 1))
    assert batch.memory() == batch.size + BATCH_MEMORY + CALLBACK_MEMORY + RUN_MEMORY
    batch.timestamps.clear()
    assert batch.memory() == batch.size + BATCH_MEMORY + CALLBACK_MEMORY
