"""A failure that nobody looked at is told once (DECISION: one warning for a failed batch, not one for each record)."""

from __future__ import annotations

import gc
import logging

from producer.endings import Endings
from producer.queueing import failure, sealed

from kproto.producer.unseen import UnseenFailure


def told(caplog):
    return [record.getMessage() for record in caplog.records]


def test_it_is_told_when_it_goes_unless_somebody_has_looked(caplog):
    batch = sealed(b"a", b"b")
    batch.send(0, 0)
    batch.fail(failure())
    witness = UnseenFailure(batch)
    del witness
    assert told(caplog) == [
        "2 records were lost to orders-0: of no use (not written); nobody looked: keep the future, or pass on_delivery"
    ]
    assert caplog.records[0].levelno == logging.WARNING
    caplog.clear()
    seen = UnseenFailure(batch)
    seen.seen = True
    del seen
    assert not told(caplog)


def test_a_batch_of_which_all_futures_are_dropped_warns_once(caplog):
    ending = Endings()
    futures = ending.send(b"a", b"b", b"c")
    ending.fail(futures[0])
    ending.run()
    assert not told(caplog)
    del futures
    gc.collect()
    assert len(told(caplog)) == 1 and told(caplog)[0].startswith("3 records were lost")


def test_one_that_has_looked_is_enough(caplog):
    for look in (
        lambda future: future.exception(),
        lambda future: future.add_done_callback(lambda done: None),
        lambda future: future._exception,
        lambda future: future._result,
    ):
        ending = Endings()
        futures = ending.send(b"a", b"b")
        ending.fail(futures[0])
        ending.run()
        look(futures[1])
        del futures, ending
        gc.collect()
    assert not told(caplog)


def test_who_looks_before_the_callbacks_are_due_has_looked_too(caplog):
    """The record has ended, and the pass that ended it is not over yet."""
    ending = Endings()
    (future,) = ending.send(b"a")
    batch = future._batch
    ending.leave(batch)
    batch.fail(failure())
    assert future.exception() is batch.error
    ending.completions.add([batch])
    ending.run()
    del future, batch, ending
    gc.collect()
    assert not told(caplog)


def test_with_a_callback_nothing_is_told(caplog):
    ending = Endings()
    heard = []
    futures = ending.send(b"a", b"b", on_delivery=lambda metadata, error: heard.append(error))
    error = ending.fail(futures[0])
    ending.run()
    del futures, ending
    gc.collect()
    assert heard == [error, error]
    assert not told(caplog)


def test_parts_of_a_split_batch_are_told_one_by_one(caplog):
    ending = Endings()
    futures = ending.send(b"a", b"b", b"c")
    ending.split(futures[0], 1, 2)
    ending.deliver(futures[0], offset=4)
    ending.fail(futures[2])
    ending.run()
    assert futures[0].result().offset == 4
    del futures, ending
    gc.collect()
    assert len(told(caplog)) == 1 and told(caplog)[0].startswith("2 records were lost")
