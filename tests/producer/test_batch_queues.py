"""The queues as the sender sees them: in order whatever is put back, and memory exact whoever compresses."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer.queueing import PLAIN, accumulator_of, append, batch_of, failure, queue_of, records_of, seal

from kproto.producer.batch import BATCH_MEMORY
from kproto.producer.batch_state import BatchState
from kproto.producer.producer_id import ProducerIdAndEpoch
from kproto.wire import KafkaError

PRODUCER = ProducerIdAndEpoch(4000, 0)


def closed_batch(accumulator, *values, partition=0):
    for value in values:
        appended = append(accumulator, value, partition)
    appended.batch.close()
    return appended.batch


def in_flight(accumulator, *values):
    """A batch that was taken and is in a request."""
    batch = closed_batch(accumulator, *values)
    seal(accumulator, batch)
    taken = accumulator.take(queue_of(accumulator))
    taken.stamp(PRODUCER, 0)
    taken.send(0, 0)
    return taken


def numbers(queue):
    return [batch.number for batch in queue.batches]


# Who seals


def test_a_batch_is_sealed_by_one_who_comes_first():
    accumulator = accumulator_of(compression_type="zstd")
    batch = closed_batch(accumulator, b"a", b"b")
    assert accumulator.claim(batch) and not accumulator.claim(batch)
    seal(accumulator, batch)
    assert not batch.sealed, "somebody else does it"
    batch.seal()
    accumulator.charge_sealed(batch)
    assert records_of(batch.bytes()) == [b"a", b"b"]


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_d10_a_sealed_batch_is_charged_what_it_takes(codec):
    accumulator = accumulator_of(compression_type=codec)
    batch = closed_batch(accumulator, bytes(8_000))
    before = accumulator.memory.used
    seal(accumulator, batch)
    assert accumulator.memory.used == batch.reserved == batch.size + BATCH_MEMORY < before
    seal(accumulator, batch)
    assert accumulator.memory.used == batch.reserved


def test_the_thread_that_seals_leaves_the_charge_to_the_sender():
    """It may be interrupted anywhere: what is reserved until then is more than enough, and is what is given back."""
    accumulator = accumulator_of(compression_type="zstd")
    batch, reserved = closed_batch(accumulator, bytes(8_000)), accumulator.memory.used
    accumulator.seal(batch)
    assert batch.sealed and accumulator.memory.used == batch.reserved == reserved
    accumulator.charge_all_sealed()
    assert accumulator.memory.used == batch.memory() < reserved
    accumulator.charge_all_sealed()
    assert accumulator.memory.used == batch.memory()


def test_what_a_batch_takes_more_than_was_reserved_is_charged_all_the_same():
    accumulator = accumulator_of(batch_size=100)
    batch = append(accumulator, b"a", on_delivery=lambda metadata, error: None).batch
    batch.timestamps += [(1, 1), (2, 2), (3, 3)]
    batch.close()
    before = batch.reserved
    seal(accumulator, batch)
    assert accumulator.memory.used == batch.reserved == batch.memory() > before


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_whoever_is_interrupted_while_he_compresses_leaves_it_to_the_next(error, monkeypatch):
    """Else the sender would wait for him until delivery_timeout_ms: Ctrl-C comes most often where most time goes."""
    accumulator = accumulator_of(compression_type="zstd")
    batch = closed_batch(accumulator, b"a")

    def interrupted():
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(batch.builder.__class__, "seal", lambda builder: interrupted())
        with pytest.raises(error):
            seal(accumulator, batch)
    assert not batch.sealed
    seal(accumulator, batch)
    assert batch.sealed and records_of(batch.bytes()) == [b"a"]


class InterruptingLock:
    """A signal handler raises on the way out, at the moment that is told."""

    def __init__(self, at):
        self.left = at

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_whoever_is_interrupted_just_behind_his_claim_leaves_it_to_the_next():
    accumulator = accumulator_of(compression_type="zstd")
    batch = closed_batch(accumulator, b"a")
    accumulator.lock = InterruptingLock(1)
    with pytest.raises(KeyboardInterrupt):
        accumulator.seal(batch)
    seal(accumulator, batch)
    assert batch.sealed
    assert accumulator.memory.used == batch.memory()


def test_an_interrupted_loser_does_not_take_the_claim_of_who_compresses():
    accumulator = accumulator_of(compression_type="zstd")
    batch = closed_batch(accumulator, b"a")
    assert accumulator.claim(batch)
    accumulator.lock = InterruptingLock(1)
    with pytest.raises(KeyboardInterrupt):
        accumulator.seal(batch)
    assert not accumulator.claim(batch)


def test_a_batch_that_was_given_up_while_it_was_compressed_is_charged_no_more():
    accumulator = accumulator_of(compression_type="zstd")
    batch = closed_batch(accumulator, b"a")
    assert accumulator.claim(batch)
    accumulator.remove(queue_of(accumulator), batch)
    batch.fail(failure())
    accumulator.release(batch)
    batch.seal()
    ratio = accumulator.topic("orders").ratio
    accumulator.charge_sealed(batch)
    assert accumulator.memory.used == 0 and accumulator.topic("orders").ratio == ratio


def test_a_batch_that_was_split_before_its_charge_was_made_is_charged_no_more():
    """Whoever compresses is overtaken: it is sealed, so it leaves, and is split, and only then does he go on."""
    accumulator = accumulator_of(compression_type="zstd")
    batch = closed_batch(accumulator, b"a", b"b")
    assert accumulator.claim(batch)
    batch.seal()
    taken = accumulator.take(queue_of(accumulator))
    taken.send(0, 0)
    taken.in_flight = False
    parts = [batch_of(b"a", number=2), batch_of(b"b", number=3)]
    taken.split_into(parts)
    accumulator.replace(taken, queue_of(accumulator), parts)
    accumulator.charge_sealed(batch)
    assert accumulator.memory.used == sum(part.reserved for part in parts) == sum(part.memory() for part in parts)


def test_acc_10_a_topic_s_estimate_follows_what_its_batches_compress_to():
    accumulator = accumulator_of(compression_type="zstd")
    topic = accumulator.topic("orders")
    for _ in range(10):
        seal(accumulator, closed_batch(accumulator, bytes(8_000)))
    assert topic.ratio == pytest.approx(0.95)
    other = accumulator_of()
    seal(other, closed_batch(other, bytes(8_000)))
    assert other.topic("orders").ratio == 1.0, "without a codec there is nothing to learn"


def test_an_empty_batch_teaches_nothing():
    """There is none but by a bug: and that must not divide by zero in a thread that sends."""
    accumulator = accumulator_of(compression_type="zstd")
    batch = batch_of(reserved=1)
    accumulator.memory.charge(1)
    batch.close()
    seal(accumulator, batch)
    assert accumulator.topic("orders").ratio == 1.0


def test_sealing_by_many_threads_at_once_makes_one_body():
    for codec in ("none", "zstd"):
        accumulator = accumulator_of(lock=threading.RLock(), compression_type=codec)
        for round_number in range(20):
            values = [b"%d-%d" % (round_number, index) for index in range(50)]
            batch = closed_batch(accumulator, *values)
            barrier = threading.Barrier(4)

            def race(accumulator=accumulator, batch=batch, barrier=barrier):
                barrier.wait()
                accumulator.seal(batch)

            threads = [threading.Thread(target=race) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert records_of(batch.bytes()) == values
            accumulator.charge_all_sealed()
            assert batch.reserved == batch.memory() and not accumulator._sealed


# The sender's side


def test_taking_removes_and_closes_the_head():
    accumulator = accumulator_of()
    append(accumulator)
    queue = queue_of(accumulator)
    batch = accumulator.take(queue)
    assert batch.state is BatchState.WAITING and not queue.batches
    append(accumulator)
    accumulator.close_head(queue)
    assert queue.full and numbers(queue) == [2]


def test_exp_2_those_before_the_first_that_was_opened_later():
    accumulator = accumulator_of(batch_size=0)
    for now_ms in (3, 5, 5, 9, 4):
        append(accumulator, now_ms=now_ms)
    queue = queue_of(accumulator)
    assert [batch.number for batch in accumulator.queued(queue, 5)] == [1, 2, 3]
    assert accumulator.queued(queue, 2) == []
    assert [batch.number for batch in accumulator.queued(queue)] == [1, 2, 3, 4, 5]


@given(st.permutations(range(6)), st.integers(0, 6))
def test_req_1_what_is_put_back_in_any_order_ends_in_the_order_of_opening(order, left):
    """trap 47: answers that fail out of order."""
    accumulator = accumulator_of(batch_size=0)
    queue = queue_of(accumulator)
    for _ in range(6):
        append(accumulator)
    taken = [accumulator.take(queue) for _ in range(left)]
    for at in order:
        if at < left:
            accumulator.put_back(queue, taken[at])
    assert numbers(queue) == [1, 2, 3, 4, 5, 6]


def test_req_2_parts_of_a_split_batch_keep_their_place_behind_an_earlier_retry():
    """At the head of the queue they would wait for the earlier one, and it behind them: for ever."""
    accumulator = accumulator_of(batch_size=0)
    queue = queue_of(accumulator)
    for value in (b"a", b"b", b"c"):
        append(accumulator, value)
    first, second = (accumulator.take(queue) for _ in range(2))
    for batch in (first, second):
        seal(accumulator, batch)
        batch.send(0, 0)
        batch.in_flight = False
    first.retry(0)
    accumulator.put_back(queue, first)
    parts = [batch_of(b"b", number=4), batch_of(b"b", number=5)]
    second.split_into(parts)
    accumulator.replace(second, queue, parts)
    assert numbers(queue) == [1, 4, 5, 3]


def test_req_2_parts_that_are_sent_again_keep_the_order_of_their_records():
    accumulator = accumulator_of(batch_size=0)
    queue = queue_of(accumulator)
    for value in (b"a", b"b"):
        append(accumulator, value)
    batch = accumulator.take(queue)
    seal(accumulator, batch)
    batch.send(0, 0)
    batch.in_flight = False
    parts = [batch_of(b"a", number=7 - place) for place in range(3)]  # whatever their numbers
    batch.split_into(parts)
    accumulator.replace(batch, queue, parts)
    assert numbers(queue) == [7, 6, 5, 2]
    taken = [accumulator.take(queue) for _ in range(3)]
    for part in (taken[1], taken[2], taken[0]):
        accumulator.put_back(queue, part)
    assert numbers(queue) == [7, 6, 5, 2]


def test_what_is_given_up_leaves_the_queue_if_it_is_there():
    accumulator = accumulator_of(batch_size=0)
    queue = queue_of(accumulator)
    first, second = append(accumulator).batch, append(accumulator).batch
    accumulator.remove(queue, first)
    accumulator.remove(queue, first)
    assert list(queue.batches) == [second]


def test_dealloc_1_memory_is_given_back_once():
    accumulator = accumulator_of()
    batch = in_flight(accumulator, PLAIN)
    assert accumulator.memory.used == batch.memory()
    for _ in range(2):
        accumulator.release(batch)
        assert accumulator.memory.used == batch.reserved == 0


# Flush and close


def test_trap_33_flushes_are_counted_and_know_what_they_wait_for():
    accumulator = accumulator_of()
    batch = append(accumulator).batch
    assert accumulator.begin_flush() == [batch] and accumulator.begin_flush() == [batch]
    accumulator.end_flush()
    assert accumulator.hurrying
    accumulator.end_flush()
    assert not accumulator.hurrying
    accumulator.completed(batch)
    assert accumulator.begin_flush() == []


def test_ready_7_nothing_lingers_while_somebody_flushes_waits_for_memory_or_closes():
    accumulator = accumulator_of(buffer_memory=20_000)
    append(accumulator)
    assert not accumulator.hurrying
    waiter = append(accumulator, partition=1, wake=lambda: None)
    assert accumulator.hurrying and accumulator.memory.waiting == 1
    accumulator.memory.leave(waiter)
    assert not accumulator.hurrying
    accumulator.close()
    assert accumulator.hurrying


def test_closing_keeps_the_first_reason_and_tells_who_waits():
    accumulator = accumulator_of(buffer_memory=20_000)
    append(accumulator)
    woken = []
    waiter = append(accumulator, partition=1, wake=lambda: woken.append(1))
    reason = KafkaError("of old")
    accumulator.close()
    assert accumulator.closed_with is None
    accumulator.close(reason)
    accumulator.close(KafkaError("of late"))
    assert accumulator.closed_with is reason and waiter.closed and woken == [1]


def test_a_topic_s_queues_are_made_once():
    accumulator = accumulator_of()
    assert accumulator.topic("other") is accumulator.topic("other") is accumulator.topics["other"]
