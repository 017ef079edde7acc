"""Ctrl-C at any moment: afterwards the producer delivers, memory balances, flush and close end."""

from __future__ import annotations

import random
import signal
import threading
from itertools import count

import pytest
from producer.endings import running
from producer.interrupting import TELLS_ALL, interrupt
from producer.judge_server import WAIT_S, JudgeServer

from kproto.producer import BufferFullError, Producer
from kproto.wire.records import builder


@pytest.fixture
def server():
    with JudgeServer({"orders": 2}) as server:
        yield server


def is_sound(producer, where):
    """Another thread can do everything; and nothing is left."""
    heard = []

    def use():
        future = producer.send("orders", b"sound", partition=0, on_delivery=lambda *_: heard.append(1))
        producer.flush(WAIT_S)
        assert future.result(0).offset >= 0

    with running(use):
        pass
    accumulator = producer._engine.accumulator
    assert heard == [1], where
    assert accumulator.flushes == 0, where
    assert accumulator.memory.used == 0 and accumulator.memory.waiting == 0, where
    assert not accumulator.incomplete, where
    assert not producer._thread._news._gates, where


def at_each_place(producer, function, *, least, step=1):
    """Interrupt it at each of its places, or every so many, and look at the producer each time."""
    function()
    for at in count(1, step):
        where = interrupt(function, at)
        is_sound(producer, where)
        if not where:
            assert at > least or not TELLS_ALL, "the places were not found"
            return


def test_in_a_send_that_opens_a_batch_and_one_that_goes_into_it(server):
    with Producer(server.bootstrap_servers) as producer:

        def send():
            producer.send("orders", b"first", partition=0)
            producer.send("orders", b"second", partition=0)

        at_each_place(producer, send, least=30)
    values = server.values("orders")
    assert values.count(b"first") >= values.count(b"second") > 0


def test_in_a_send_that_fills_a_batch_and_makes_a_pass(server):
    with Producer(server.bootstrap_servers, linger_ms=60_000, batch_size=200, compression_type="gzip") as producer:
        at_each_place(
            producer, lambda: [producer.send("orders", b"x" * 50, partition=0) for _ in range(4)], least=80, step=7
        )


def test_in_a_flush(server):
    heard = []
    with Producer(server.bootstrap_servers, linger_ms=60_000) as producer:

        def flush():
            producer.send("orders", b"value", partition=0, on_delivery=lambda *_: heard.append(1))
            producer.flush()

        at_each_place(producer, flush, least=50)
    assert len(heard) == server.values("orders").count(b"value")


def test_in_a_result_and_with_callbacks(server):
    heard = []
    with Producer(server.bootstrap_servers, linger_ms=0) as producer:

        def wait():
            future = producer.send("orders", b"value", partition=0, on_delivery=lambda *_: heard.append(1))
            future.add_done_callback(lambda _: heard.append(2))
            future.result()

        at_each_place(producer, wait, least=50)  # fewer, the sooner the answer is there
    assert heard.count(1) == server.values("orders").count(b"value")


def test_in_send_many_whose_future_ends_all_the_same(server):
    with Producer(server.bootstrap_servers, linger_ms=0) as producer:
        futures = []

        def send():
            futures.append(producer.send_many("orders", [b"a", b"b"], partition=0))
            producer.send("orders", b"c", partition=1).result()

        at_each_place(producer, send, least=100, step=5)
        for future in futures:
            assert sum(found.count for found in future.result(WAIT_S)) == 2


def test_while_it_waits_for_memory(server):
    """The line of those who wait is left, whatever was granted is given back."""
    with Producer(server.bootstrap_servers, buffer_memory=20_000, batch_size=100, linger_ms=0) as producer:
        producer.partitions_for("orders")
        producer._appends._max_block_ms = 2
        server.stall()
        with pytest.raises(BufferFullError):  # noqa: PT012
            for _ in range(100):
                producer.send("orders", b"x" * 1000, partition=0)
        memory = producer._engine.accumulator.memory
        used = memory.used

        def wait():
            with pytest.raises(BufferFullError):
                producer.send("orders", b"x" * 15_000, partition=0)

        for at in count(1):
            where = interrupt(wait, at)
            assert memory.waiting == 0 and memory.used == used, where
            if not where:
                break
        server.go_on()
        is_sound(producer, "")


def test_while_it_waits_for_metadata(server):
    names = (f"new-{number}" for number in count())
    server.call(lambda: setattr(server.cluster, "auto_create_partitions", 1))
    with Producer(server.bootstrap_servers, retry_backoff_ms=1, retry_backoff_max_ms=1) as producer:
        function = lambda: producer.send(next(names), b"value")  # noqa: E731
        at_each_place(producer, function, least=50, step=5)


def test_in_close_which_may_be_called_again(server):
    """And if it is not, the thread ends by itself all the same, once all is delivered."""
    for at in count(1, 4):
        producer = Producer(server.bootstrap_servers, linger_ms=60_000)
        future = producer.send("orders", b"value", partition=0)
        where = interrupt(producer.close, at)
        if at % 8 == 1 or "thread.close" not in where:
            assert producer.close(WAIT_S) == 0, where
        assert future.result(WAIT_S).offset >= 0, where
        producer._thread._thread.join(WAIT_S)
        assert not producer._thread._thread.is_alive(), where
        if not where:
            break
    assert at > 50 or not TELLS_ALL, "the places were not found"


@pytest.mark.filterwarnings("ignore:unclosed <Producer:ResourceWarning")
def test_in_the_constructor_no_thread_is_left(server):
    before = {*threading.enumerate()}
    for at in count(1):
        made = []
        where = interrupt(
            lambda made=made: made.append(Producer(server.bootstrap_servers)),
            at,
            within=("producer/producer.py", "engine_thread.py", "exits.py", "bell.py", "forks.py", "blocking.py"),
        )
        for producer in made:
            producer.close()
        for thread in {*threading.enumerate()} - before:
            thread.join(WAIT_S)
            assert not thread.is_alive(), where
        if not where:
            break
    assert at > 2 or not TELLS_ALL, "the places were not found"


def test_a_signal_in_earnest_at_random_moments(server):
    """SIGALRM comes from outside, wherever the main thread is: in kproto, in the standard library, in C."""
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    heard, interrupted = [], 0

    def interrupts(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupts)
    try:
        with Producer(server.bootstrap_servers, linger_ms=1, batch_size=500, buffer_memory=20_000) as producer:
            producer.partitions_for("orders")
            for turn in range(150):
                try:
                    signal.setitimer(signal.ITIMER_REAL, rng.random() * 0.01)
                    for number in range(40):
                        producer.send("orders", b"%d" % number, on_delivery=lambda *_: heard.append(1))
                    producer.flush()
                except KeyboardInterrupt:
                    interrupted += 1
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                if turn % 10 == 0:
                    is_sound(producer, f"turn {turn}")
            is_sound(producer, "the end")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 3


# What a handler may call


def test_a_handler_that_has_interrupted_a_send_can_neither_send_nor_wait_and_says_so(server):
    """The batch is half changed then: a record appended now would be counted twice, or not at all."""
    with Producer(server.bootstrap_servers) as producer:
        future = producer.send("orders", b"a", partition=0)
        found = []
        with producer._engine.accumulator.lock:  # as where the handler comes in the middle of `append`
            for call in (
                lambda: producer.send(
                    "orders", b"b", partition=0, timestamp_ms=1
                ),  # not the fast way, which has no lock
                lambda: producer.send("unknown", b"b"),
                lambda: producer.send_many("orders", [b"b"]),
                lambda: producer.flush(1),
                lambda: producer.flush(0),
                lambda: future.result(0) and None,
                lambda: producer.wait_ready() if not producer._engine.ready else producer.flush(),
            ):
                if future.done():
                    break
                with pytest.raises(RuntimeError, match="signal's handler"):
                    call()
                found.append(call)
        assert found
        assert future.result(WAIT_S)
        producer.flush(WAIT_S)


def test_a_handler_that_closes_comes_at_once_and_the_rest_is_delivered_behind_it(server):
    producer = Producer(server.bootstrap_servers, linger_ms=60_000)
    future = producer.send("orders", b"a", partition=0)
    with producer._engine.accumulator.lock:
        assert producer.close() == 0
        assert not future.done()
    assert future.result(WAIT_S).offset == 0
    producer._thread._thread.join(WAIT_S)
    assert not producer._thread._thread.is_alive()
    assert producer.close() == 0


def test_a_handler_that_flushes_while_a_batch_is_compressed_does_not_wait_for_itself(server, monkeypatch):
    """The thread beneath it would compress the batch, that all others leave to it."""
    flushed, compress = [], builder.compress

    def interrupted(*arguments):
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGALRM)
        return compress(*arguments)

    def flushes(number, frame):
        flushed.append(producer.flush(WAIT_S))

    monkeypatch.setattr(builder, "compress", interrupted)
    before = signal.signal(signal.SIGALRM, flushes)
    try:
        settings = {"linger_ms": 60_000, "batch_size": 200, "compression_type": "gzip"}
        with Producer(server.bootstrap_servers, **settings) as producer:
            futures = [producer.send("orders", b"x" * 50, partition=0) for _ in range(10)]
            producer.flush(WAIT_S)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert flushed and [future.result(0).offset for future in futures] == [*range(10)]
