"""What is awaited of a record: with batches that end when the test says so, and no broker."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import traceback

import pytest
from producer.judge_in_loop import on_each_loop, on_loop, turns
from producer.queueing import batch_of, failure, sealed

from kproto.producer.async_delivery import AsyncDeliveries, AsyncDelivery
from kproto.producer.errors import DeliveryError
from kproto.producer.splitting import split
from kproto.producer.unseen import UnseenFailure


def delivery_of(batch, index):
    delivery = AsyncDelivery()
    delivery._batch, delivery._index = batch, index
    return delivery


def three(*, batch=None):
    """A batch of three records that is in flight, and their deliveries."""
    batch = sealed(b"a", b"b", b"c") if batch is None else batch
    batch.context = AsyncDeliveries(asyncio.get_running_loop())
    batch.send(0, 0)
    return batch, [delivery_of(batch, index) for index in range(batch.count)]


def deliver(batch, offset=10):
    batch.succeed(offset, -1)
    batch.context.wake(batch)


def fail(batch, record_errors=None):
    batch.fail(failure(), record_errors)
    batch.witness = UnseenFailure(batch)
    batch.context.wake(batch)


async def offsets(deliveries):
    return [(await delivery).offset for delivery in deliveries]


@on_each_loop
async def test_awaited_it_is_where_the_record_was_written_as_often_as_one_likes():
    batch, deliveries = three()
    waiting = [asyncio.ensure_future(offsets(deliveries)) for _ in range(3)]
    await turns()
    assert not any(task.done() for task in waiting)
    deliver(batch)
    assert await asyncio.gather(*waiting) == [[10, 11, 12]] * 3
    assert await offsets(deliveries) == [10, 11, 12]
    assert not batch.signal


@on_loop
async def test_err_1_awaited_it_raises_an_error_of_its_own_for_each_who_waits():
    """All records of a batch share an error: raised again and again it would gather every traceback."""
    batch, deliveries = three()
    waiting = [asyncio.ensure_future(delivery) for delivery in deliveries * 20]
    await turns()
    fail(batch)
    raised = await asyncio.gather(*waiting, return_exceptions=True)
    for error in raised:
        assert type(error) is DeliveryError and str(error) == str(batch.error)
        assert len(traceback.extract_tb(error.__traceback__)) < 10
    assert batch.error.__traceback__ is None
    assert deliveries[0].exception() is batch.error


@on_loop
async def test_err_2_a_record_may_have_an_error_of_its_own():
    batch, deliveries = three()
    fail(batch, {1: failure(why="this one")})
    with pytest.raises(DeliveryError, match="this one"):
        await deliveries[1]
    with pytest.raises(DeliveryError, match="of no use"):
        await deliveries[0]


@on_loop
async def test_before_it_has_ended_there_is_no_result():
    batch, (delivery, _, _) = three()
    assert not delivery.done()
    assert repr(delivery) == "<AsyncDelivery to orders-0, pending>"
    for look in (delivery.result, delivery.exception):
        with pytest.raises(asyncio.InvalidStateError, match="has not ended yet"):
            look()
    deliver(batch)
    assert delivery.done() and delivery.result().offset == 10 and delivery.exception() is None
    assert repr(delivery) == "<AsyncDelivery to orders-0, delivered>"


@on_loop
async def test_a_record_that_failed_says_so():
    batch, (delivery, _, _) = three()
    fail(batch)
    assert delivery.done() and repr(delivery) == "<AsyncDelivery to orders-0, failed>"
    assert delivery.exception() is batch.error


@on_loop
async def test_it_cannot_be_cancelled_for_the_record_is_on_its_way():
    batch, (delivery, _, _) = three()
    assert delivery.cancel() is False and delivery.cancel("never mind") is False and delivery.cancelled() is False
    deliver(batch)
    assert (await delivery).offset == 10
    assert delivery.cancel() is False


@on_loop
async def test_one_who_stops_waiting_stops_nothing_else():
    batch, (delivery, _, _) = three()
    tasks = [asyncio.ensure_future(asyncio.wait_for(delivery, 10)) for _ in range(3)]
    await turns()
    tasks[1].cancel()
    await turns()
    assert tasks[1].cancelled() and len(batch.signal) == 2
    deliver(batch)
    assert (await tasks[0]).offset == (await tasks[2]).offset == 10


@on_loop
async def test_one_who_is_cancelled_as_the_record_ends_is_cancelled_and_the_others_are_told():
    batch, (delivery, _, _) = three()
    tasks = [asyncio.ensure_future(delivery) for _ in range(3)]
    await turns()
    tasks[0].cancel()
    deliver(batch)
    tasks[1].cancel()
    assert (await tasks[2]).offset == 10
    assert tasks[0].cancelled() and tasks[1].cancelled()
    assert not batch.signal


@on_loop
async def test_waits_that_end_leave_nothing_behind():
    batch, deliveries = three()
    for _ in range(50):
        for delivery in deliveries:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(delivery, 0.0001)
    assert batch.signal == {}


# The helpers of asyncio


@on_each_loop
async def test_gather_takes_it():
    batch, deliveries = three()
    asyncio.get_running_loop().call_soon(deliver, batch)
    assert [found.offset for found in await asyncio.gather(*deliveries, deliveries[0])] == [10, 11, 12, 10]


@on_loop
async def test_as_completed_takes_it():
    batch, deliveries = three()
    asyncio.get_running_loop().call_soon(deliver, batch)
    assert sorted([(await done).offset for done in asyncio.as_completed(deliveries)]) == [10, 11, 12]


@on_each_loop
async def test_wait_takes_it_as_it_is():
    batch, deliveries = three()
    done, pending = await asyncio.wait(deliveries, timeout=0.001)
    assert not done and pending == set(deliveries)
    assert batch.signal == {}, "the callbacks were removed"
    asyncio.get_running_loop().call_soon(deliver, batch)
    done, pending = await asyncio.wait(deliveries)
    assert done == set(deliveries) and not pending


@on_loop
async def test_wait_for_the_first_that_ends_or_fails():
    good, (one, _, _) = three()
    bad, (other, _, _) = three()
    asyncio.get_running_loop().call_soon(fail, bad)
    done, pending = await asyncio.wait([one, other], return_when=asyncio.FIRST_EXCEPTION)
    assert done == {other} and pending == {one}
    asyncio.get_running_loop().call_soon(deliver, good)
    done, pending = await asyncio.wait([one, other], return_when=asyncio.FIRST_COMPLETED)
    assert other in done
    assert (await one).offset == 10


@on_loop
async def test_shield_and_a_timeout():
    batch, (delivery, _, _) = three()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(delivery), 0.001)
    deliver(batch)
    assert (await asyncio.shield(delivery)).offset == 10


@on_loop
async def test_another_loop_cannot_wait_for_it():
    _, (delivery, _, _) = three()

    def elsewhere():
        async def main():
            await delivery

        asyncio.run(main())

    with pytest.raises(RuntimeError, match="attached to a different loop"):
        await asyncio.to_thread(elsewhere)


# Callbacks


@on_each_loop
async def test_cb_1_a_callback_is_called_once_by_the_loop_with_the_delivery():
    batch, (delivery, other, _) = three()
    heard = []
    delivery.add_done_callback(heard.append)
    other.add_done_callback(heard.append)
    await turns()
    assert not heard
    deliver(batch)
    assert not heard, "the loop calls it"
    await turns()
    assert heard == [delivery, other]
    delivery.add_done_callback(heard.append)
    assert len(heard) == 2, "the loop calls it, also where it has ended"
    await turns()
    assert heard == [delivery, other, delivery]


@on_loop
async def test_callbacks_have_a_context():
    batch, (delivery, _, _) = three()
    name = contextvars.ContextVar("name", default="none")
    heard = []
    mine = contextvars.copy_context()
    mine.run(name.set, "mine")

    def note(_):
        heard.append(name.get())

    delivery.add_done_callback(note, context=mine)
    delivery.add_done_callback(note)
    deliver(batch)
    delivery.add_done_callback(note, context=mine)
    await turns()
    assert sorted(heard) == ["mine", "mine", "none"]


@on_loop
async def test_a_callback_that_is_removed_is_not_called_however_often_it_was_added():
    batch, (delivery, _, _) = three()
    heard = []

    class Equal:
        """Without a hash."""

        def __eq__(self, other):
            return isinstance(other, Equal)

        def __call__(self, _):
            raise AssertionError("it was removed")

    assert delivery.remove_done_callback(Equal()) == 0
    delivery.add_done_callback(Equal())
    delivery.add_done_callback(heard.append)
    delivery.add_done_callback(Equal())
    assert delivery.remove_done_callback(Equal()) == 2
    assert delivery.remove_done_callback(Equal()) == 0
    deliver(batch)
    await turns()
    assert heard == [delivery]
    assert delivery.remove_done_callback(heard.append) == 0


@on_loop
async def test_a_callback_whose_record_has_ended_is_too_late_to_remove():
    batch, (delivery, _, _) = three()
    heard = []
    note = heard.append
    delivery.add_done_callback(note)
    deliver(batch)
    assert delivery.remove_done_callback(note) == 0
    await turns()
    assert heard == [delivery]


# Batches that are split, and loops that have ended


@on_loop
async def test_split_1_a_record_of_a_batch_that_was_split_is_found_in_its_part():
    batch, deliveries = three()
    waiting = [asyncio.ensure_future(offsets([delivery])) for delivery in deliveries]
    await turns()
    numbers = iter(range(2, 9))
    parts = split(batch, 16, lambda: next(numbers), None)
    batch.split_into(parts)
    assert [part.count for part in parts] == [1, 1, 1]
    assert not any(delivery.done() for delivery in deliveries)
    for part, at in ((parts[1], 70), (parts[0], 60)):
        part.context = batch.context
        part.send(0, 0)
        deliver(part, at)
        await turns()
    assert [delivery.done() for delivery in deliveries] == [True, True, False]
    assert [task.done() for task in waiting] == [True, True, False]
    assert await offsets(deliveries[:2]) == [60, 70]
    parts[2].context = batch.context
    parts[2].send(0, 0)
    fail(parts[2])
    with pytest.raises(DeliveryError):
        await waiting[2]
    assert batch.signal == {}


def test_a_loop_that_is_closed_is_told_nothing():
    kept = []

    async def main():
        batch, deliveries = three()
        deliveries[0].add_done_callback(kept.append)
        kept.append(batch)

    asyncio.run(main())
    deliver(kept[0])
    assert len(kept) == 1


@on_loop
async def test_whoever_looks_at_a_failure_has_seen_it(caplog):
    for look in (AsyncDelivery.exception, AsyncDelivery.__repr__):
        batch, (delivery, *_) = three()
        fail(batch)
        look(delivery)
        del batch, delivery, _
        gc.collect()
    assert caplog.text.count("3 records were lost") == 1, "only to look at its name is not enough"


@on_loop
async def test_a_failure_without_a_witness_can_be_looked_at_too():
    batch = batch_of(b"a")
    batch.fail(failure())
    assert delivery_of(batch, 0).exception() is batch.error
