"""Callbacks: once each, in order, one thread at a time, whatever they do (CB-1 to CB-8, trap 13)."""

from __future__ import annotations

import logging
import threading
from itertools import count

import pytest
from producer.endings import WAIT_S, Endings, running
from producer.interrupting import TELLS_ALL, interrupt

from kproto.producer.completions import Unbroken, survive


@pytest.fixture
def ending():
    return Endings()


def hearing(heard, name):
    return lambda metadata, error: heard.append((name, metadata.offset, error))


def test_err_3_a_callback_gets_the_metadata_and_no_error_or_a_placeholder_and_the_error(ending):
    heard = []
    first, second = ending.send(b"a", b"b", on_delivery=lambda *arguments: heard.append(arguments))
    (failing,) = ending.send(b"c", on_delivery=lambda *arguments: heard.append(arguments), partition=1)
    ending.deliver(first, offset=5)
    error = ending.fail(failing)
    ending.run()
    assert heard[:2] == [(first.result(), None), (second.result(), None)]
    assert [metadata.offset for metadata, _ in heard[:2]] == [5, 6]
    assert heard[2] == (("orders", 1, -1, -1), error)


def test_cb_3_they_run_in_the_order_of_records_and_of_batches(ending):
    heard = []
    (first,) = ending.send(b"a", on_delivery=hearing(heard, "a"))
    ending.send(b"b", on_delivery=hearing(heard, "b"))
    ending.deliver(first)
    (last,) = ending.send(b"c", on_delivery=hearing(heard, "c"))
    ending.deliver(last, offset=2)
    assert heard == []
    ending.run()
    assert [name for name, *_ in heard] == ["a", "b", "c"]
    assert ending.through == 2 and not ending.accumulator.incomplete


def test_cb_4_the_result_is_there_before_the_callback(ending):
    heard = []
    (future,) = ending.send(b"a", on_delivery=lambda *arguments: heard.append((future.done(), future.result(0))))
    ending.deliver(future)
    ending.run()
    assert heard == [(True, future.result())]


def test_cb_8_one_that_makes_a_pass_is_not_called_within_itself(ending):
    heard = []

    def callback(metadata, error):
        heard.append("in")
        assert ending.completions.is_inside()
        if len(heard) == 1:
            (another,) = ending.send(b"b", on_delivery=callback)
            ending.deliver(another)
            ending.run()
        heard.append("out")

    (future,) = ending.send(b"a", on_delivery=callback)
    ending.deliver(future)
    assert not ending.completions.is_inside()
    ending.run()
    assert heard == ["in", "out", "in", "out"]
    assert not ending.completions.is_inside()


def test_cb_2_trap_13_what_one_raises_is_logged_and_ends_nothing(ending, caplog):
    heard = []

    def raises(error):
        def callback(metadata, _):
            heard.append(error)
            raise error

        return callback

    errors = [ZeroDivisionError("zero"), GeneratorExit("exit")]
    futures = [ending.send(b"a", on_delivery=raises(error))[0] for error in errors]
    ending.send(b"b", on_delivery=lambda *_: heard.append("last"))
    ending.deliver(futures[0])
    ending.run()
    assert heard == [*errors, "last"]
    assert [record.exc_info[1] for record in caplog.records] == errors
    assert {record.name for record in caplog.records} == {"kproto.producer"}
    assert ending.through == 1


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_program_ends_nothing_in_another_thread(ending, caplog, kind):
    heard = []

    def callback(metadata, error):
        raise kind(3)

    (future,) = ending.send(b"a", on_delivery=callback)
    ending.send(b"b", on_delivery=hearing(heard, "b"))
    ending.deliver(future)
    with running(ending.run):
        pass
    assert len(heard) == 1
    assert caplog.messages == [f"an on_delivery callback raised {kind(3)!r}, which ends nothing here"]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_in_the_main_thread_it_is_raised_and_the_rest_is_left_to_the_next(ending, kind):
    heard = []

    def callback(metadata, error):
        heard.append("a")
        raise kind

    (future,) = ending.send(b"a", on_delivery=callback)
    ending.send(b"b", on_delivery=hearing(heard, "b"))
    ending.deliver(future)
    with pytest.raises(kind):
        ending.run()
    assert heard == ["a"] and ending.accumulator.incomplete
    with running(ending.run):
        pass
    assert [heard[0], heard[1][0]] == ["a", "b"]
    assert not ending.accumulator.incomplete


def test_only_one_thread_is_in_and_goes_on_with_what_comes_meanwhile(ending):
    heard, entered, leave = [], threading.Event(), threading.Event()

    def callback(metadata, error):
        entered.set()
        assert leave.wait(WAIT_S)
        heard.append(threading.get_ident())

    (first,) = ending.send(b"a", on_delivery=callback)
    ending.deliver(first)
    with running(ending.run) as (thread,):
        assert entered.wait(WAIT_S)
        (second,) = ending.send(b"b", on_delivery=callback)
        ending.deliver(second)
        ending.run()  # returns at once
        assert heard == []
        leave.set()
        thread.join(WAIT_S)
        assert heard == [thread.ident] * 2
    assert not ending.accumulator.incomplete


def test_what_comes_when_the_one_inside_is_about_to_leave_is_not_forgotten(ending):
    """`run` looks at the queue again when it has let go of its turn."""
    heard, late = [], []

    def after():
        if not late:
            late.extend(ending.send(b"b", on_delivery=hearing(heard, "b")))

    turn = ending.completions._turn

    class Turn:
        """The lock; what comes just before it is released finds it taken."""

        acquire, _is_owned = turn.acquire, turn._is_owned

        def release(self):
            if late and not late[0].done():
                ending.deliver(late[0])
                with running(ending.run):
                    pass
                assert len(heard) == 1
            turn.release()

    ending.completions._after = after
    ending.completions._turn = Turn()
    (first,) = ending.send(b"a", on_delivery=hearing(heard, "a"))
    ending.deliver(first)
    ending.run()
    assert [name for name, *_ in heard] == ["a", "b"]


def test_one_that_comes_while_the_callbacks_run_is_called_too(ending):
    heard = []

    def callback(metadata, error):
        future.add_done_callback(lambda done: heard.append("late"))

    (future,) = ending.send(b"a", on_delivery=callback)
    ending.deliver(future)
    ending.run()
    assert heard == ["late"]
    assert future._batch.called_back


def test_one_that_comes_between_the_last_call_and_the_mark_is_called_too(ending):
    """`add_done_callback` has the lock, and the batch does not look through with its callbacks yet."""
    heard, lock = [], ending.accumulator.lock
    (future,) = ending.send(b"a")
    ending.deliver(future)

    class Lock:
        def __enter__(self):
            ending.accumulator.lock = lock
            with running(lambda: future.add_done_callback(heard.append)):
                pass
            lock.acquire()

        def __exit__(self, *exception):
            lock.release()

    ending.accumulator.lock = Lock()
    ending.run()
    assert heard == [future]
    assert ending.through == 1


def test_flush_3_a_split_batch_is_over_with_its_last_part(ending):
    heard = []
    first, *_, last = ending.send(b"a", b"b", b"c", on_delivery=hearing(heard, "x"))
    ending.split(first, 1, 2)
    ending.deliver(last, offset=7)
    ending.run()
    assert [offset for _, offset, _ in heard] == [7, 8]
    assert ending.accumulator.incomplete == {first._batch}
    ending.deliver(first, offset=6)
    ending.run()
    assert [offset for _, offset, _ in heard] == [7, 8, 6]
    assert not ending.accumulator.incomplete


def test_a_split_batch_whose_parts_end_in_one_pass_is_over_once_both_were_called(ending):
    seen = []
    first, last = ending.send(b"a", b"b", on_delivery=lambda *_: seen.append(set(ending.accumulator.incomplete)))
    ending.split(first, 1, 1)
    ending.deliver(first)
    ending.deliver(last)
    ending.run()
    assert seen == [{first._batch}] * 2
    assert not ending.accumulator.incomplete


def test_survive_raises_nothing_but_what_ends_programs(caplog):
    survive(ValueError())
    assert caplog.records[0].levelno == logging.ERROR
    with pytest.raises(SystemExit):
        survive(SystemExit())


def test_at_whatever_place_ctrl_c_comes_each_callback_is_entered_once_and_the_batches_end():
    """And no turn or lock is left taken: another thread does the rest."""
    for at in count(1):
        ending, heard = Endings(), []

        def ours(*_, heard=heard):
            heard.append("ours")
            (lambda: None)()
            heard.append("done")

        futures = ending.send(b"a", b"b", on_delivery=lambda metadata, _, heard=heard: heard.append(metadata.offset))
        futures[0]._batch.call_back(0, Unbroken(ours))
        ending.deliver(futures[0])
        (failing,) = ending.send(b"c", partition=1)
        ending.fail(failing)
        where = interrupt(ending.run, at)
        with running(ending.run):
            pass
        assert heard == [0, 1, "ours", "done"], where
        assert not ending.accumulator.incomplete, where
        assert ending.through >= 2
        assert failing.exception() is not None
        if not where:
            assert at > 50 or not TELLS_ALL, "the places were not found"
            return
