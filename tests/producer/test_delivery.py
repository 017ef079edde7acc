"""The future of a record: a real `concurrent.futures.Future`, for every helper of the standard library."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
import traceback
import weakref
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, as_completed, wait
from concurrent.futures._base import _AcquireFutures

import pytest
from producer.endings import WAIT_S, Endings, running
from producer.queueing import failure

from kproto.producer.errors import DeliveryError, ForkedProducerError


@pytest.fixture
def ending():
    return Endings()


def test_it_is_pending_then_delivered(ending):
    (future,) = ending.send(b"a")
    assert isinstance(future, Future)
    assert (future.done(), future.running(), future.cancelled(), future._state) == (False, False, False, "PENDING")
    assert repr(future) == "<Delivery to orders-0, pending>"
    assert future._result is None and future._exception is None
    assert future._get_snapshot() == (False, False, None, None)
    ending.deliver(future, offset=7)
    assert future.done() and future._state == "FINISHED"
    assert future.result() == ("orders", 0, 7, 1_700_000_000_000)
    assert future.exception() is None and not future.failed
    assert repr(future) == "<Delivery to orders-0, delivered>"
    assert future._get_snapshot() == (True, False, future.result(), None)
    assert future._result == future.result() and future._exception is None


def test_it_fails_with_the_error_of_its_batch(ending):
    (future,) = ending.send(b"a")
    error = ending.fail(future)
    assert future.exception() is error and future.failed
    with pytest.raises(DeliveryError) as raised:
        future.result()
    assert raised.value.args == error.args
    assert repr(future) == "<Delivery to orders-0, failed>"
    assert future._get_snapshot() == (True, False, None, error)
    assert future._exception is error and future._result is None
    assert pickle.loads(pickle.dumps(raised.value)).args == error.args


def test_cb_5_each_record_has_its_own_offset_and_timestamp(ending):
    futures = ending.send(b"a", b"b", b"c")
    ending.deliver(futures[0], offset=40, append_ms=5)
    assert [future.result().offset for future in futures] == [40, 41, 42]
    assert {future.result().timestamp for future in futures} == {5}


def test_cb_6_a_record_with_an_error_of_its_own_has_that(ending):
    futures = ending.send(b"a", b"b")
    own = failure(why="null key")
    error = ending.fail(futures[0], record_errors={1: own})
    assert [future.exception() for future in futures] == [error, own]


def test_an_error_that_records_share_does_not_gather_their_tracebacks(ending):
    """Each is raised for itself: a thousand results of one batch must not make a traceback of a thousand frames."""
    futures = ending.send(*[b"a"] * 50)
    error = ending.fail(futures[0])
    depths = []
    for future in futures:
        try:
            future.result()
        except DeliveryError as raised:
            depths.append(len(traceback.extract_tb(raised.__traceback__)))
    assert set(depths) == {depths[0]} and depths[0] <= 3
    assert error.__traceback__ is None


def test_it_cannot_be_cancelled(ending):
    (future,) = ending.send(b"a")
    assert not future.cancel()
    ending.deliver(future)
    assert not future.cancel() and not future.cancelled()
    assert future.result().offset == 0


def test_whoever_waits_makes_a_pass_first(ending):
    (future,) = ending.send(b"a")
    ending.on_pass = lambda: ending.deliver(future)
    assert future.result().offset == 0
    assert ending.passes == 1
    assert future.result().offset == 0 and future.exception() is None
    assert ending.passes == 1, "nobody waits for what is there"


@pytest.mark.parametrize("timeout", [0, 0.001])
def test_a_timeout_is_the_standard_librarys(ending, timeout):
    first, second = ending.send(b"a", b"b")
    for method in (first.result, first.exception, second.result):
        with pytest.raises(TimeoutError):
            method(timeout)
    ending.deliver(first)
    assert first.result(timeout) and second.result(0)
    assert not first._batch.signal.bell._gates


def test_threads_that_wait_are_woken(ending):
    futures = [*ending.send(b"a", b"b"), *ending.send(b"c", partition=1)]
    waiting = threading.Semaphore(0)
    ending.on_pass = waiting.release
    found = []
    with running(*(lambda future=future: found.append(future.result(WAIT_S)) for future in futures for _ in range(3))):
        for _ in range(9):
            assert waiting.acquire(timeout=WAIT_S)
        assert not found
        ending.deliver(futures[0])
        ending.deliver(futures[2])
    assert sorted(found) == sorted([future.result() for future in futures] * 3)


def test_a_batch_that_ends_between_the_look_and_the_wait_is_seen(ending):
    """`done` was false, and the end comes before the signal is there."""
    (future,) = ending.send(b"a")
    ending.on_pass = lambda: ending.deliver(future)
    wait_for = ending.deliveries._wait

    def ended_already(bell, wanted, timeout_s):
        ending.deliver(future)
        ending.on_pass = lambda: None
        return wait_for(bell, wanted, timeout_s)

    ending.deliveries._wait = ended_already
    assert future.result(0).offset == 0


def test_cb_7_after_a_split_each_part_ends_its_own_records(ending):
    futures = ending.send(b"a", b"b", b"c", b"d")
    found = []
    waiting = threading.Semaphore(0)
    ending.on_pass = waiting.release
    with running(*(lambda future=future: found.append(future.result(WAIT_S).offset) for future in futures)):
        for _ in range(4):
            assert waiting.acquire(timeout=WAIT_S)
        ending.split(futures[0], 1, 3)
        ending.deliver(futures[3], offset=11)
        assert [future.done() for future in futures] == [False, True, True, True]
        ending.split(futures[0], 1)
        ending.deliver(futures[0], offset=10)
    assert sorted(found) == [10, 11, 12, 13]


def test_a_part_that_fails_fails_its_records_alone(ending):
    first, second = ending.send(b"a", b"b")
    ending.split(first, 1, 1)
    error = ending.fail(second)
    assert second.exception() is error and second.failed and not first.done()
    ending.deliver(first)
    assert first.exception() is None
    assert repr(first) == "<Delivery to orders-0, delivered>" and repr(second) == "<Delivery to orders-0, failed>"


# Callbacks


def test_add_done_callback_calls_in_order_with_the_future(ending):
    heard = []
    first, second = ending.send(b"a", b"b")
    second.add_done_callback(lambda future: heard.append((2, future)))
    first.add_done_callback(lambda future: heard.append((1, future)))
    ending.deliver(first)
    assert heard == []
    ending.run()
    assert heard == [(2, second), (1, first)]
    first.add_done_callback(lambda future: heard.append((3, future)))
    assert heard[2:] == [(3, first)]


def test_a_late_callback_that_raises_is_logged_as_any(ending, caplog):
    (future,) = ending.send(b"a")
    ending.deliver(future)
    ending.run()
    future.add_done_callback(lambda done: 1 / 0)
    assert isinstance(caplog.records[0].exc_info[1], ZeroDivisionError)


def test_add_done_callback_races_with_the_end_and_each_is_called_once(ending):
    """A thousand batches, ended at the moment at which another thread adds."""
    rounds, calls = 1000, []
    futures = [ending.send(b"a")[0]]
    both = threading.Barrier(2)

    def add():
        for turn in range(rounds):
            both.wait(WAIT_S)
            futures[turn].add_done_callback(lambda future, turn=turn: calls.append(turn))

    with running(add):
        for turn in range(rounds):
            both.wait(WAIT_S)
            ending.deliver(futures[turn])
            ending.run()
            futures.extend(ending.send(b"a"))
    ending.run()
    assert sorted(calls) == list(range(rounds))


# The standard library's helpers


def test_wait_and_as_completed_with_futures_of_many_batches_in_several_threads(ending):
    futures = [ending.send(b"a", b"b", partition=number)[number % 2] for number in range(3)]
    strangers = [Future() for _ in range(2)]
    everything = [*futures, *strangers]
    found, ready = [], threading.Barrier(7)

    def waits():
        ready.wait(WAIT_S)
        done, left = wait(everything, WAIT_S)
        assert not left
        found.append(done)

    def completes():
        ready.wait(WAIT_S)
        found.append(set(as_completed(reversed(everything), WAIT_S)))

    with running(*[waits] * 3, *[completes] * 3):
        ready.wait(WAIT_S)
        for future in futures:
            ending.deliver(future)
        for stranger in strangers:
            stranger.set_result(None)
    assert found == [set(everything)] * 6
    assert all(not record.waiters for future in futures for record in future._batch.signal.watched.values())


def test_wait_for_the_first_and_for_the_first_error(ending):
    first, second = ending.send(b"a")[0], ending.send(b"b", partition=1)[0]
    assert wait([first, second], 0).done == set()
    ending.deliver(first)
    assert wait([first, second], return_when=FIRST_COMPLETED) == ({first}, {second})
    assert wait([first, second], 0, return_when=FIRST_EXCEPTION) == ({first}, {second})
    ending.fail(second)
    assert wait([first, second], return_when=FIRST_EXCEPTION).done == {first, second}
    assert second.exception() is not None


def test_wait_for_the_first_error_that_comes_later(ending):
    first, second = ending.send(b"a")[0], ending.send(b"b", partition=1)[0]
    begun = threading.Event()
    found = []

    def waits():
        begun.set()
        found.append(wait([first, second], WAIT_S, return_when=FIRST_EXCEPTION))

    with running(waits):
        assert begun.wait(WAIT_S)
        ending.fail(second)
    assert found[0].done == {second}
    assert second.exception() is not None


def test_two_that_look_at_the_same_futures_do_not_wait_for_each_other(ending):
    """The helpers take `_condition` of one future after the other, in the order of their ids: with a lock for several
    futures that is another order for each set of them."""
    first, second = ending.send(b"a", b"b")
    with _AcquireFutures([first]), running(lambda: _AcquireFutures([second, first]).__enter__()):
        pass


def test_the_sender_does_not_wait_for_one_that_looks_and_the_one_hears_of_it_afterwards(ending):
    (future,) = ending.send(b"a")
    told = []

    class Waiter:
        add_result = told.append

    with _AcquireFutures([future]):
        assert future._state == "PENDING"
        with running(lambda: ending.deliver(future)):
            pass
        assert future.done() and future._state == "PENDING", "it stays as it was seen"
        future._waiters.append(Waiter)
        assert told == []
    assert told == [future] and future._state == "FINISHED"
    with _AcquireFutures([future]):
        assert future._state == "FINISHED"
    assert told == [future]


def test_the_last_of_several_that_look_tells(ending):
    (future,) = ending.send(b"a")
    told = []

    class Waiter:
        add_exception = told.append

    condition = future._condition
    assert condition.acquire() and condition.acquire()
    future._waiters.append(Waiter)
    ending.fail(future)
    condition.release()
    assert told == [] and future._state == "PENDING"
    condition.release()
    assert told == [future]
    assert future.exception() is not None


def test_a_record_that_ended_before_anybody_looked_is_finished_at_once(ending):
    (future,) = ending.send(b"a")
    ending.deliver(future)
    with future._condition:
        assert future._state == "FINISHED"
    assert wait([future], 0).done == {future}


def test_a_record_that_is_done_but_not_yet_woken_is_told_once(ending):
    """Somebody looks while the pass that has ended it is still going on."""
    (future,) = ending.send(b"a")
    told = []

    class Waiter:
        add_result = told.append

    with future._condition:
        future._waiters.append(Waiter)
        ending.leave(future._batch)
        future._batch.succeed(0, -1)
        assert future._state == "PENDING"
        assert future._condition is future._condition
    assert told == [future]
    ending.deliveries.wake(future._batch)
    assert told == [future]


def test_asyncio_takes_it(ending):
    first, second = ending.send(b"a")[0], ending.send(b"b", partition=1)[0]

    async def main():
        wrapped = [asyncio.wrap_future(future) for future in (first, second)]
        threading.Thread(target=end).start()
        return await asyncio.gather(*wrapped, return_exceptions=True)

    def end():
        ending.deliver(first, offset=3)
        ending.fail(second)
        ending.run()

    metadata, error = asyncio.run(main())
    assert metadata == first.result() and metadata.offset == 3
    assert error is second.exception()


def test_a_wrapped_future_that_is_cancelled_cancels_nothing(ending):
    (future,) = ending.send(b"a")

    async def main():
        wrapped = asyncio.wrap_future(future)
        await asyncio.sleep(0)
        wrapped.cancel()
        await asyncio.sleep(0)
        assert not future.cancelled()
        ending.deliver(future)
        ending.run()
        await asyncio.sleep(0)
        return wrapped

    assert asyncio.run(main()).cancelled()
    assert future.result().offset == 0


def test_results_in_many_threads_race_with_the_end(ending):
    """With and without a timeout that may just be over: no thread hangs, and each finds the same."""
    rounds = 300
    futures, found = [ending.send(b"a")[0]], []
    three = threading.Barrier(3)

    def asks(timeout):
        def ask():
            for turn in range(rounds):
                three.wait(WAIT_S)
                while True:
                    try:
                        found.append(futures[turn].result(timeout))
                        break
                    except TimeoutError:
                        assert timeout < WAIT_S

        return ask

    with running(asks(WAIT_S), asks(1e-5)):
        for turn in range(rounds):
            three.wait(WAIT_S)
            ending.deliver(futures[turn], offset=turn)
            futures.extend(ending.send(b"a"))
    assert sorted(metadata.offset for metadata in found) == sorted([*range(rounds)] * 2)


# Ends of everything


def test_in_a_child_of_the_process_it_raises_instead_of_waiting(ending):
    pending, ended = ending.send(b"a")[0], ending.send(b"b", partition=1)[0]
    ending.deliver(ended)
    ending.forked = True
    assert ended.result(0).offset == 0
    for ask in (
        pending.result,
        pending.exception,
        lambda: pending.add_done_callback(print),
        lambda: wait([pending]),
        lambda: [*as_completed([pending])],
        lambda: pending._waiters,
    ):
        with pytest.raises(ForkedProducerError):
            ask()
    assert not pending.done() and pending._state == "PENDING"
    assert repr(pending) == "<Delivery to orders-0, pending>"


def test_what_has_ended_keeps_nothing_alive(ending):
    """Without the collector of cycles: neither batch nor future stays, though helpers have looked at it."""
    gc.collect()
    gc.disable()
    try:
        (future,) = ending.send(b"a")
        batch = future._batch
        assert wait([future], 0).done == set()
        ending.deliver(future)
        ending.run()
        assert [*as_completed([future])] == [future]
        gone = weakref.ref(future)
        del future, batch
        assert gone() is None
    finally:
        gc.enable()
