"""One future for many records: ranges where they were written, both parts of a partial failure."""

from __future__ import annotations

import pytest
from producer.endings import Endings, running
from producer.interrupting import TELLS_ALL, interrupt
from producer.queueing import failure

from kproto.producer.bulk import BulkDelivery, RecordRange
from kproto.producer.errors import BulkDeliveryError, ProducerClosedError
from kproto.producer.record import WriteStatus


class Call:
    """A `send_many`, of whose records the test decides."""

    def __init__(self, ending=None):
        self.ending = ending or Endings()
        self.finished = []
        self.bulk = BulkDelivery(lambda ranges, error: self.finished.append((ranges, error)))
        self.count = 0

    def take(self, *values, partition=0):
        futures = self.ending.send(*values, partition=partition)
        for future in futures:
            self.bulk.add(future._batch, future._index, self.count)
            self.count += 1
        return futures

    @property
    def ranges(self):
        ((ranges, error),) = self.finished
        assert error is None
        return ranges

    @property
    def error(self):
        ((ranges, error),) = self.finished
        assert ranges == ()
        return error


@pytest.fixture
def call():
    return Call()


def test_a_range_for_each_run_of_records(call):
    first = call.take(b"a", b"b")
    call.ending.send(b"not ours")
    call.take(b"c")
    second = call.take(b"d", partition=2)
    call.bulk.through()
    assert call.bulk.accepted and not call.finished
    call.ending.deliver(first[0], offset=10)
    call.ending.run()
    assert not call.finished
    call.ending.deliver(second[0], offset=4)
    call.ending.run()
    assert call.ranges == (
        RecordRange("orders", 0, 10, 2, (0, 1)),
        RecordRange("orders", 0, 13, 1, (2,)),
        RecordRange("orders", 2, 4, 1, (3,)),
    )
    assert [call.ranges[0].metadata(at) for at in range(2)] == [(0, 10), (0, 11)]


def test_offsets_that_the_broker_does_not_tell(call):
    (future,) = call.take(b"a")
    call.bulk.through()
    call.ending.deliver(future, offset=-1)
    call.ending.run()
    assert call.ranges == (RecordRange("orders", 0, -1, 1, (0,)),)
    assert call.ranges[0].metadata(0) == (0, -1)


def test_nothing_to_send_is_over_at_once(call):
    assert not call.bulk.accepted
    call.bulk.through()
    assert call.ranges == ()


def test_what_has_ended_before_the_call_is_through_is_counted(call):
    (future,) = call.take(b"a")
    call.ending.deliver(future, offset=1)
    call.ending.run()
    assert not call.finished
    (second,) = call.take(b"b")
    (ended,) = call.ending.send(b"c", partition=1)
    call.ending.deliver(ended, offset=3)
    call.bulk.add(ended._batch, ended._index, 2)
    call.ending.deliver(second, offset=2)
    call.ending.run()
    assert not call.finished
    call.bulk.through()
    assert [item.base_offset for item in call.ranges] == [1, 2, 3]


def test_part_of_it_fails(call):
    first = call.take(b"a", b"b")
    (second,) = call.take(b"c", partition=1)
    call.bulk.through()
    call.ending.deliver(first[0], offset=8)
    error = call.ending.fail(second)
    call.ending.run()
    assert call.error.delivered == (RecordRange("orders", 0, 8, 2, (0, 1)),)
    assert call.error.failed == (([2], error),)
    assert str(call.error).startswith("1 of 3 records were not delivered")


def test_each_error_of_a_batch_has_its_records(call):
    futures = call.take(b"a", b"b", b"c")
    call.bulk.through()
    own = failure(why="null key")
    error = call.ending.fail(futures[0], record_errors={1: own})
    call.ending.run()
    assert sorted(call.error.failed, key=lambda pair: pair[0]) == [([0, 2], error), ([1], own)]


def test_records_that_were_not_accepted_are_in_the_error(call):
    (future,) = call.take(b"a")
    refused = failure()
    call.bulk.refuse("orders", range(1, 3), refused)
    call.bulk.refuse("orders", range(3, 4), ProducerClosedError())
    call.bulk.through()
    call.ending.deliver(future)
    call.ending.run()
    (_, first), (places, second) = call.error.failed
    assert first is refused and list(places) == [3]
    assert second.written is WriteStatus.NO and isinstance(second.cause, ProducerClosedError)
    assert str(second) == "topic orders: was not accepted (not written); last error: the producer is closed"
    assert len(call.error.delivered) == 1


def test_flush_3_a_split_batch_is_waited_for_to_its_last_part(call):
    futures = call.take(b"a", b"b", b"c")
    call.bulk.through()
    call.ending.split(futures[0], 1, 2)
    call.ending.deliver(futures[0], offset=3)
    call.ending.run()
    assert not call.finished
    call.ending.split(futures[1], 1, 1)
    call.ending.deliver(futures[2], offset=9)
    call.ending.run()
    assert not call.finished
    error = call.ending.fail(futures[1])
    call.ending.run()
    assert call.error.failed == (([1], error),)
    assert [(item.base_offset, item.indices) for item in call.error.delivered] == [(3, (0,)), (9, (2,))]


def test_a_batch_that_was_split_before_the_record_was_noted(call):
    (first, second) = call.ending.send(b"a", b"b")
    call.ending.split(first, 1, 1)
    call.bulk.add(second._batch, second._index, 0)
    call.bulk.through()
    call.ending.deliver(second, offset=2)
    call.ending.run()
    assert not call.finished, "the first part has not ended, and is followed, too"
    call.ending.deliver(first, offset=1)
    call.ending.run()
    assert call.ranges == (RecordRange("orders", 0, 2, 1, (0,)),)


def test_batches_end_in_many_threads_while_the_call_appends():
    """Whichever comes last ends it, once."""
    for _ in range(200):
        call = Call()
        futures = [call.take(b"a", partition=number)[0] for number in range(3)]

        def end(future, ending=call.ending):
            ending.deliver(future)
            ending.run()

        with running(*(lambda future=future: end(future) for future in futures), call.bulk.through):
            pass
        call.ending.run()
        assert len(call.ranges) == 3


def test_ctrl_c_at_any_place_of_the_callbacks_does_not_keep_it_from_ending():
    at = 0
    while True:
        at += 1
        call = Call()
        futures = [*call.take(b"a"), *call.take(b"b", partition=1)]
        call.bulk.through()
        for future in futures:
            call.ending.deliver(future)
        where = interrupt(call.ending.run, at)
        with running(call.ending.run):
            pass
        assert len(call.ranges) == 2, where
        if not where:
            break
    assert at > 30 or not TELLS_ALL, "the places were not found"


def test_the_error_tells_whether_to_send_again_may_help(call):
    (future,) = call.take(b"a")
    call.bulk.through()
    call.ending.fail(future)
    call.ending.run()
    assert isinstance(call.error, BulkDeliveryError) and not call.error.retriable
