"""The engine on an event loop: whose loop it is, passes of a loop that never yields, waits, and the ways it ends."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import traceback
import weakref
from contextlib import contextmanager

import pytest
from client.loops import LOOPS, loop_factory
from producer.judge_in_loop import JudgeInLoop, at_rest, on_each_loop, on_loop, turns, until
from producer.judged_loopback import JudgedLoopback, Program

from kproto.client import KafkaTimeoutError
from kproto.client.errors import AuthenticationError, ConfigError
from kproto.producer import AsyncProducer, ForkedProducerError, ProducerClosedError, WriteStatus
from kproto.wire import ApiKey

TOPIC = {"orders": 1}


def forget(kept):
    """Nobody has what is in the list any more."""
    kept.clear()
    gc.collect()


def started(servers, **settings):
    servers = getattr(servers, "bootstrap_servers", servers)
    return AsyncProducer(servers, **{"linger_ms": 0, **settings})


# Whose loop it is


async def calls(producer):
    """Each way into it, as a coroutine."""

    async def try_enqueue():
        producer.try_enqueue("orders", b"value")

    await producer.start()
    return [
        producer.send("orders", b"value"),
        producer.enqueue("orders", b"value"),
        try_enqueue(),
        producer.send_many("orders", [b"value"]),
        producer.send_many("orders", []),
        producer.flush(),
        producer.wait_ready(),
        producer.partitions_for("orders"),
        producer.start(),
        producer.close(),
    ]


@on_loop
async def test_another_loop_is_told_what_to_do_and_nothing_is_sent():
    """Also where nothing would have to be waited for: without a lock, two threads would spoil the queues."""
    async with JudgeInLoop(TOPIC) as judge, started(judge) as producer:
        await producer.send("orders", b"first")

        async def elsewhere(coroutine):
            await coroutine

        for coroutine in await calls(producer):
            with pytest.raises(RuntimeError, match="belongs to the event loop that started it"):
                await asyncio.to_thread(asyncio.run, elsewhere(coroutine))
        with pytest.raises(RuntimeError, match="run_coroutine_threadsafe"):
            await asyncio.to_thread(producer.try_enqueue, "orders", b"value")
        loop = asyncio.get_running_loop()
        send = producer.send("orders", b"second")
        assert (await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(send, loop).result())).offset == 1
        assert judge.values("orders") == [b"first", b"second"]
        assert producer.metrics()


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_that_has_ended_is_survived_by_its_producer(loop):
    """Nothing hangs: what was on its way is given up, and told."""
    heard = []

    async def begin():
        async with JudgeInLoop(TOPIC) as judge:
            judge.stall()
            producer = started(judge)
            await producer.start()
            sent = await producer.enqueue("orders", b"value", on_delivery=lambda *end: heard.append(end))
            sent.add_done_callback(heard.append)
            await until(lambda: judge.requests(ApiKey.PRODUCE))
            return producer, sent

    async def go_on(producer, sent):
        with pytest.raises(RuntimeError, match="make one in each loop"):
            await producer.enqueue("orders", b"value")
        with pytest.raises(RuntimeError):
            await producer.start()
        assert not sent.done()
        assert await producer.close() == 1
        assert await producer.close() == 0
        at_rest(producer)
        assert sent.exception().written is WriteStatus.POSSIBLY
        with pytest.raises(RuntimeError):
            await producer.enqueue("orders", b"value")

    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        producer, sent = runner.run(begin())
    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        runner.run(go_on(producer, sent))
    assert len(heard) == 1, "on_delivery was told; the loop that would call the other is gone"


def test_who_waits_on_a_loop_that_was_closed_under_him_is_left_alone(caplog):
    """A loop may be closed while its tasks wait: asyncio complains of that, the producer does not."""
    loop = loop_factory("asyncio")()
    with JudgedLoopback(TOPIC) as judge:
        producer = started(judge, buffer_memory=8_000, batch_size=4_000)
        loop.run_until_complete(producer.start())
        loop.run_until_complete(producer.send("orders", b"first"))
        judge.stall()
        many = loop.run_until_complete(producer.send_many("orders", [b"value"]))
        tasks = [loop.create_task(asyncio.wait([many]))]
        tasks += [loop.create_task(producer.send("orders", bytes(3_000))) for _ in range(6)]
        tasks.append(loop.create_task(producer.flush()))
        loop.run_until_complete(turns())
        loop.close()
        assert asyncio.run(producer.close()) >= 1
        assert not producer._running.accumulator.incomplete
        assert producer._running.accumulator.memory.waiting == 0
        assert "raised" not in caplog.text
    for task in tasks:
        task._log_destroy_pending = False


def test_a_loop_that_cannot_watch_sockets_is_refused():
    class Proactor(asyncio.SelectorEventLoop):
        def add_reader(self, fd, callback, *args):
            if callback.__name__ == "<lambda>":
                raise NotImplementedError
            super().add_reader(fd, callback, *args)

    async def main():
        producer = started("nowhere:9092")
        for _ in range(2):
            with pytest.raises(ConfigError, match="loop_factory"):
                await producer.start()
        assert await producer.close() == 0

    with asyncio.Runner(loop_factory=Proactor) as runner:
        runner.run(main())


@on_each_loop
async def test_two_producers_share_a_loop():
    async with JudgeInLoop(TOPIC) as judge, started(judge) as one, started(judge, compression_type="gzip") as other:
        await asyncio.gather(
            *(
                producer.send("orders", b"%s %d" % (name, index))
                for index in range(50)
                for name, producer in ((b"one", one), (b"other", other))
            )
        )
        assert await one.close() == 0
        assert (await other.send("orders", b"last")).offset == 100
        at_rest(one)
        at_rest(other)


# A loop that never yields


@contextmanager
def never_yields():
    """Nothing here lets the loop go round."""
    rounds = []
    asyncio.get_running_loop().call_soon(rounds.append, 1)
    yield
    assert not rounds


@on_each_loop
async def test_a_loop_that_never_yields_sends_what_is_full_and_reads_the_answers():
    with JudgedLoopback(TOPIC) as broker:
        async with started(broker, linger_ms=60_000, batch_size=1_000) as producer:
            await producer.send_many("orders", [b"first" * 200])
            await producer.flush()
            with never_yields():
                sent = [await producer.enqueue("orders", bytes(400)) for _ in range(200)]
                deadline_s = time.monotonic() + 20
                while not sent[100].done() and time.monotonic() < deadline_s:
                    sent.append(await producer.enqueue("orders", bytes(400)))
                assert sent[100].done()
            await producer.flush()
            at_rest(producer)


@on_loop
async def test_a_loop_that_never_yields_sends_what_has_lingered():
    """Else a record would wait as long as the loop is busy: its timers do not run."""
    with JudgedLoopback({"orders": 2}) as broker:
        async with started(broker, linger_ms=5) as producer:
            await asyncio.gather(*(producer.send("orders", b"first", partition=number) for number in (0, 1)))
            with never_yields():
                sent = [await producer.enqueue("orders", b"value", partition=number) for number in (0, 1)]
                deadline_s = time.monotonic() + 20
                while not (sent[0].done() and sent[1].done()) and time.monotonic() < deadline_s:
                    time.sleep(0.002)  # the linger passes on the real clock, and the loop is not to run
                    sent.append(await producer.enqueue("orders", b"next", partition=1))
                assert sent[0].done() and sent[1].done()
                assert len(sent) < 100
            await producer.flush()
            at_rest(producer)


@on_loop
async def test_a_loop_that_never_yields_sends_what_has_lingered_since_before_a_pass():
    """What is not news any more has its time all the same."""
    with JudgedLoopback({"orders": 2}) as broker:
        async with started(broker, linger_ms=30) as producer:
            await asyncio.gather(*(producer.send("orders", b"first", partition=number) for number in (0, 1)))
            await producer.enqueue("orders", b"open", partition=1)
            with never_yields():
                delivery = await producer.enqueue("orders", b"value", partition=0)
                producer._running.driver.run_pass()
                for _ in range(500):  # fewer than fill the other batch
                    time.sleep(0.002)  # the linger passes on the real clock, and the loop is not to run
                    await producer.enqueue("orders", b"next", partition=1)
                    if delivery.done():
                        break
                assert delivery.done()
            await producer.flush()
            at_rest(producer)


@on_loop
async def test_a_loop_that_yields_makes_few_passes():
    """One for what was opened, not one for each record."""
    async with JudgeInLoop(TOPIC) as judge, started(judge, linger_ms=60_000) as producer:
        await producer.partitions_for("orders")
        await producer.wait_ready()
        passes = []
        producer._running.driver.run_pass = lambda: passes.append(1)
        for _ in range(500):
            await producer.enqueue("orders", b"value")
        assert passes == []
        del producer._running.driver.run_pass
        await producer.flush()


# Waits


@on_loop
async def test_one_who_begins_to_wait_ends_no_other_wait():
    """What no waiting cures is told to those who waited when it came, and to nobody else."""
    async with JudgeInLoop(TOPIC) as judge:
        judge.stall()
        async with started(judge) as producer:
            engine = producer._running
            delivery = await producer.enqueue("orders", b"value")
            flushing = asyncio.ensure_future(producer.flush())
            asking = [asyncio.ensure_future(producer.partitions_for("nowhere")) for _ in range(3)]
            await turns()
            engine.engine.network.metadata.fatal_error(AuthenticationError("judge:9092", "who are you"))
            engine.driver.run_pass()
            late = asyncio.ensure_future(producer.partitions_for("nowhere"))
            await turns(1)
            found = await asyncio.gather(*asking, return_exceptions=True)
            assert [type(error) for error in found] == [AuthenticationError] * 3
            assert len({id(error) for error in found}) == 3, "each has one of his own"
            assert all(len(traceback.extract_tb(error.__traceback__)) < 10 for error in found)
            await turns()
            assert not late.done() and not flushing.done() and not delivery.done()
            late.cancel()
            judge.resume()
            await flushing
            assert delivery.done()
            at_rest(producer)


@on_loop
async def test_meta_14_refused_credentials_are_raised_by_whoever_waits_for_metadata():
    async with JudgeInLoop(TOPIC) as judge, started(judge, max_block_ms=5_000) as producer:
        engine = producer._running
        fails = AuthenticationError("judge:9092", "who are you")
        waiting = [asyncio.ensure_future(producer.wait_ready()), asyncio.ensure_future(producer.send("orders"))]
        await asyncio.sleep(0)
        engine.engine.network.metadata.fatal_error(fails)
        engine.driver.run_pass()
        for error in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(error, AuthenticationError)
        await producer.wait_ready()


@on_loop
async def test_a_wait_that_ends_in_its_last_moment_is_in_time():
    async with started("127.0.0.1:1") as producer:
        engine = producer._running
        assert await engine.wait(lambda: True, 0)
        assert not await engine.wait(lambda: False, 0)
        answers = iter([False, True])
        assert await engine.wait(lambda: next(answers), 0.001)
        assert not engine._waiting


# The ways it ends


@on_each_loop
async def test_a_producer_that_is_forgotten_delivers_what_it_took_and_ends():
    async with JudgeInLoop(TOPIC) as judge:
        kept = [started(judge, linger_ms=60_000)]
        await kept[0].start()
        delivery = await kept[0].enqueue("orders", b"value")
        gone, engine = weakref.ref(kept[0]), weakref.ref(kept[0]._running)
        with pytest.warns(ResourceWarning, match=r"unclosed <AsyncProducer to 127.0.0.1.*use async with"):
            forget(kept)
        assert gone() is None
        assert (await delivery).offset == 0
        await until(lambda: engine() is None or engine().driver._closed)
        del delivery
        gc.collect()
        await turns()
        gc.collect()
        assert engine() is None, "nothing keeps it"
        assert judge.values("orders") == [b"value"]


@on_loop
async def test_a_producer_that_is_forgotten_with_nothing_to_do_ends_at_once():
    async with JudgeInLoop(TOPIC) as judge:
        kept = [started(judge)]
        await kept[0].start()
        await kept[0].send("orders", b"value")
        driver = kept[0]._running.driver
        with pytest.warns(ResourceWarning):
            forget(kept)
        await until(lambda: driver._closed)


def test_a_producer_that_is_forgotten_by_another_thread_is_ended_by_its_loop():
    ended = []

    async def main():
        async with JudgeInLoop(TOPIC) as judge:
            kept = [started(judge)]
            await kept[0].start()
            await kept[0].send("orders", b"value")
            engine = kept[0]._running
            engine.end, end = (lambda: (ended.append(threading.get_ident()), end())), engine.end
            with pytest.warns(ResourceWarning):
                await asyncio.to_thread(forget, kept)
            await until(lambda: ended)
            del engine.end

    asyncio.run(main())
    assert ended == [threading.get_ident()]


def test_a_producer_that_is_forgotten_behind_its_loop_gives_up_what_is_left(caplog):
    async def main():
        async with JudgeInLoop(TOPIC) as judge:
            judge.stall()
            kept.append(started(judge))
            await kept[0].start()
            await kept[0].enqueue("orders", b"value")
            await until(lambda: judge.requests(ApiKey.PRODUCE))

    kept = []
    asyncio.run(main())
    with pytest.warns(ResourceWarning):
        forget(kept)
    assert "1 records were lost" in caplog.text and "possibly written" in caplog.text


def test_warnings_that_are_errors_do_not_keep_it_from_its_end():
    script = """
        import asyncio, gc, warnings
        async def main():
            warnings.simplefilter("error", ResourceWarning)
            producer = AsyncProducer(servers)
            await producer.start()
            delivery = await producer.enqueue("orders", b"value")
            driver = producer._running.driver
            del producer
            gc.collect()
            report((await delivery).offset)
            while not driver._closed:
                await asyncio.sleep(0)
            report("ended")
        asyncio.run(main())
    """
    with JudgedLoopback(TOPIC) as broker, Program(script, broker.bootstrap_servers) as program:
        code, out, err = program.end()
    assert (code, out) == (0, "0\nended\n"), err
    assert "ResourceWarning: unclosed <AsyncProducer" in err


def test_fork_1_a_child_is_told_and_leaves_the_parents_connections_alone():
    script = """
        import asyncio, gc, os
        async def main():
            fresh = AsyncProducer(servers)
            async with AsyncProducer(servers) as producer:
                await producer.send("orders", b"parent")
                child = os.fork()
                if not child:
                    os._exit(await in_child([producer], fresh))
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                metadata = await producer.send("orders", b"parent again")
                report(code, metadata.offset)
        async def in_child(kept, fresh):
            producer = kept[0]
            for call in (producer.enqueue, producer.send, producer.partitions_for):
                try:
                    await call("orders")
                except ForkedProducerError:
                    continue
                return 1
            for call in (producer.start, producer.flush):
                try:
                    await call()
                except ForkedProducerError:
                    continue
                return 2
            if await producer.close():
                return 3
            del producer
            kept.clear()
            gc.collect()
            return 0 if await fresh.close() == 0 else 4
        asyncio.run(main())
    """
    with JudgedLoopback(TOPIC) as broker, Program(script, broker.bootstrap_servers) as program:
        code, out, err = program.end()
        assert (code, out, err) == (0, "0 1\n", "")
        assert broker.values("orders") == [b"parent", b"parent again"]


def test_fork_2_a_producer_that_was_not_started_is_the_childs_as_much():
    script = """
        import asyncio, gc, os
        producer = AsyncProducer(servers)
        async def main(value):
            async with producer:
                await producer.send("orders", value)
        child = os.fork()
        asyncio.run(main(b"child" if not child else b"parent"))
        if not child:
            os._exit(0)
        report(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    with JudgedLoopback(TOPIC) as broker, Program(script, broker.bootstrap_servers) as program:
        code, out, err = program.end()
        assert (code, out, err) == (0, "0\n", "")
        assert sorted(broker.values("orders")) == [b"child", b"parent"]


def test_a_forked_engine_that_is_forgotten_is_left_as_it_is():
    """The finalizer's own guard: in a child the engine is kept, but the producer may be collected."""

    async def main():
        producer = started("127.0.0.1:1")
        await producer.start()
        engine = producer._running
        engine.fork.forked = True
        with pytest.raises(ForkedProducerError):
            await producer.flush()
        del producer
        gc.collect()
        await turns()
        assert not engine.accumulator.closed
        engine.end()
        engine.end()

    asyncio.run(main())


@on_loop
async def test_waits_for_a_cluster_that_is_not_there_tell_why():
    async with started("127.0.0.1:1", max_block_ms=50) as producer:
        with pytest.raises(KafkaTimeoutError, match=r"(?s)the cluster and a producer id: .* 127.0.0.1:1"):
            await producer.wait_ready()
        with pytest.raises(KafkaTimeoutError, match=r"nothing within 20 ms"):
            await producer.wait_ready(0.02)
    with pytest.raises(ProducerClosedError):
        await producer.wait_ready()
