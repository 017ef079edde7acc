"""How producers end: closed, forgotten, forked, or left over; and what is left of them then: nothing."""

from __future__ import annotations

import gc
import os
import threading
import tracemalloc
import warnings
import weakref

import pytest
from producer.endings import running
from producer.forking import WITH_FORK, in_child
from producer.judge_server import WAIT_S, JudgeServer

from kproto.producer import ForkedProducerError, Producer, ProducerClosedError
from kproto.producer import exits as exits_module
from kproto.wire.records import RecordBatchBuilder

BATCH = RecordBatchBuilder()
BATCH.append(0, None, b"built by hand")


@pytest.fixture
def server():
    with JudgeServer({"orders": 2}) as server:
        yield server


@pytest.fixture
def unregistered(monkeypatch):
    """What is registered for the interpreter's exit, and not taken back."""
    registered = []

    class AtExit:
        register = staticmethod(registered.append)
        unregister = staticmethod(registered.remove)

    monkeypatch.setattr(exits_module, "atexit", AtExit)
    return registered


def ended(thread):
    thread.join(WAIT_S)
    return not thread.is_alive()


def thread_of(producer):
    return producer._thread._thread


def test_close_ends_the_thread_and_takes_the_exit_handler_back(server, unregistered):
    producer = Producer(server.bootstrap_servers)
    thread = thread_of(producer)
    assert len(unregistered) == 1
    assert producer.close() == 0
    assert ended(thread) and not unregistered
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del producer
        gc.collect()


@pytest.mark.parametrize("timeout", [WAIT_S, None, 0])
def test_close_1_in_a_callback_it_does_not_wait_and_loses_nothing_unless_it_is_told_to(server, timeout):
    """Nor in a signal's handler that comes in the middle of one: SIGTERM is no reason to give records up."""
    found = []

    def callback(metadata, error):
        server.stall()
        later.append(producer.send("orders", b"b", partition=1))
        found.append(producer.close(timeout))
        found.append(later[0].done())
        server.go_on()

    later = []
    producer = Producer(server.bootstrap_servers, linger_ms=0)
    producer.partitions_for("orders")
    producer.send("orders", b"a", partition=0, on_delivery=callback)
    assert ended(thread_of(producer))
    assert found == ([1, True] if timeout == 0 else [0, False])
    assert (later[0].exception(0) is None) == (timeout != 0)


def test_close_where_the_accumulator_was_interrupted_waits_for_nothing(server):
    producer = Producer(server.bootstrap_servers, linger_ms=60_000)
    future = producer.send("orders", b"a", partition=0)
    with producer._engine.accumulator.lock:
        assert producer._exits.close(None) == 0
    assert future.result(WAIT_S).offset == 0
    assert ended(thread_of(producer))


# Forgotten


def test_a_forgotten_producer_delivers_what_was_accepted_and_ends(server, unregistered):
    heard = []
    producer = Producer(server.bootstrap_servers, linger_ms=60_000)
    futures = [producer.send("orders", b"%d" % n, partition=0, on_delivery=heard.append) for n in range(3)]
    many = producer.send_many("orders", [b"a", b"b"], partition=1)
    thread, gone = thread_of(producer), weakref.ref(producer)
    with pytest.warns(ResourceWarning, match="unclosed <Producer to 127.0.0.1:") as told:
        del producer
        gc.collect()
    assert len(told) == 1 and gone() is None
    assert [future.result(WAIT_S).offset for future in futures] == [0, 1, 2]
    assert many.result(WAIT_S)[0].count == 2
    assert ended(thread) and not unregistered
    assert len(server.values("orders", 0)) == 3


def test_one_that_has_accepted_nothing_ends_at_once(server):
    producer = Producer(server.bootstrap_servers)
    thread = thread_of(producer)
    with pytest.warns(ResourceWarning):
        del producer
        gc.collect()
    assert ended(thread)


def test_callbacks_futures_and_interceptors_do_not_keep_it_alive(server):
    class Interceptor:
        def on_send(self, record):
            return record

        def on_acknowledgement(self, metadata, error):
            pass

    producer = Producer(server.bootstrap_servers, interceptors=[Interceptor()])
    kept = [
        producer.send("orders", b"a", on_delivery=lambda *_: None),
        producer.send_many("orders", [b"b"]),
    ]
    producer.flush(WAIT_S)
    kept[0].add_done_callback(lambda _: None)
    gone, thread = weakref.ref(producer), thread_of(producer)
    gc.disable()
    try:
        with pytest.warns(ResourceWarning):
            del producer
        assert gone() is None, "not even until the next collection"
    finally:
        gc.enable()
    assert ended(thread)
    assert kept[0].result(0)


def test_one_that_is_forgotten_in_the_middle_of_anything_is_only_told_to_end(server):
    """A finalizer may run in any thread, between any two steps: also where this one has the producer's own lock, or
    another thread has it."""
    producer = Producer(server.bootstrap_servers, linger_ms=60_000)
    future = producer.send("orders", b"a", partition=0)
    engine, thread = producer._engine, thread_of(producer)
    held, forgotten = threading.Event(), threading.Event()

    def holds():
        with engine.accumulator.lock:
            held.set()
            assert forgotten.wait(WAIT_S), "the finalizer waits for a lock"

    with running(holds):
        assert held.wait(WAIT_S)
        with pytest.warns(ResourceWarning):
            del producer
            gc.collect()
        forgotten.set()
    assert future.result(WAIT_S).offset == 0
    assert ended(thread)


def test_what_a_forgotten_producer_has_left_is_waited_for_at_the_exit(server, unregistered):
    """The thread is a daemon: without this, a program that ends right behind would lose its last records."""
    producer = Producer(server.bootstrap_servers, linger_ms=60_000)
    producer.partitions_for("orders")
    server.stall()
    future = producer.send("orders", b"a", partition=0)
    thread = thread_of(producer)
    with pytest.warns(ResourceWarning):
        del producer
        gc.collect()
    (leave,) = unregistered
    with running(leave):
        server.go_on()
    assert future.done() and future.result(0).offset == 0
    assert ended(thread) and not unregistered


# Left over


def test_e07_at_the_exit_what_is_left_is_delivered(server, unregistered):
    producer = Producer(server.bootstrap_servers, linger_ms=60_000)
    future = producer.send("orders", b"a", partition=0)
    (leave,) = unregistered
    leave()
    assert future.result(0).offset == 0
    assert ended(thread_of(producer)) and not unregistered
    assert producer.close() == 0


def test_e08_at_the_exit_a_broker_that_is_gone_does_not_hold_it_up(server, unregistered, monkeypatch, caplog):
    monkeypatch.setattr(exits_module, "EXIT_S", 0.05)
    producer = Producer(server.bootstrap_servers)
    producer.wait_ready(WAIT_S)
    server.silence()
    producer.send("orders", b"a", partition=0)
    (leave,) = unregistered
    leave()
    assert ended(thread_of(producer))
    gc.collect()
    assert "1 records were lost" in caplog.text


# Forked


class TestForked:
    pytestmark = WITH_FORK

    def test_a_child_gets_an_error_that_explains_everywhere(self, server):
        with Producer(server.bootstrap_servers) as producer:
            future = producer.send("orders", b"a", partition=0)
            future.result(WAIT_S)
            server.stall()
            pending = producer.send("orders", b"b", partition=0)

            def child():
                calls = (
                    lambda: producer.send("orders", b"c"),
                    lambda: producer.send_many("orders", [b"c"]),
                    lambda: producer.send_batch("orders", 0, BATCH),
                    lambda: producer.partitions_for("orders"),
                    producer.flush,
                    producer.wait_ready,
                    pending.result,
                    lambda: pending.add_done_callback(print),
                )
                told = 0
                for call in calls:
                    try:
                        call()
                    except ForkedProducerError:
                        told += 1
                assert producer.close() == 0 and producer.close(5) == 0
                assert future.result(0).offset == 0, "what was known is known"
                assert producer.metrics()
                return f"{told} of {len(calls)}"

            assert in_child(child) == "8 of 8"
            server.go_on()
            assert pending.result(WAIT_S).offset == 1, "the parent goes on"

    def test_a_child_made_while_another_thread_sends_does_not_hang(self, server):
        """The lock is held in the child for ever, by a thread that it does not have."""
        with Producer(server.bootstrap_servers, linger_ms=60_000) as producer:
            future = producer.send("orders", b"a", partition=0)
            held, go_on = threading.Event(), threading.Event()

            def holds():
                with producer._engine.accumulator.lock, producer._thread.driver._guard:
                    held.set()
                    assert go_on.wait(WAIT_S)

            def child():
                found = []
                for call in (lambda: producer.send("orders", b"b"), producer.flush, future.result):
                    try:
                        call()
                    except ForkedProducerError as error:
                        found.append(type(error).__name__)
                producer.close()
                return found

            with running(holds):
                assert held.wait(WAIT_S)
                said = in_child(child)
                go_on.set()
            assert said == str(["ForkedProducerError"] * 3)

    def test_a_child_may_make_one_of_its_own(self, server):
        with Producer(server.bootstrap_servers) as producer:
            producer.wait_ready(WAIT_S)
            servers = server.bootstrap_servers

            def child():
                with Producer(servers) as own:
                    return own.send("orders", b"child's", partition=0).result(WAIT_S).offset

            assert in_child(child) == "0"
            assert producer.send("orders", b"parent's", partition=0).result(WAIT_S).offset == 1

    def test_in_a_child_neither_the_end_nor_a_collection_does_anything(self, server):
        producer = Producer(server.bootstrap_servers)
        future = producer.send("orders", b"a", partition=0)

        def child():
            nonlocal producer
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                producer._exits._leave()
                del producer
                gc.collect()
            return "well"

        assert in_child(child) == "well"
        assert future.result(WAIT_S).offset == 0
        producer.close()


def test_what_belongs_to_the_parent_is_left_alone(server):
    """As in a child, without one."""
    producer = Producer(server.bootstrap_servers)
    mark = producer._thread.fork
    mark.forked = True
    with pytest.raises(ForkedProducerError):
        producer._exits.check()
    assert producer.close() == 0
    producer._exits._forget()  # without a warning
    assert thread_of(producer).is_alive()
    mark.forked = False
    assert producer.close() == 0
    assert ended(thread_of(producer))


# Nothing is left


def descriptors():
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="reads /proc")  # noqa: PTH112
def test_many_producers_leave_no_thread_descriptor_or_memory_behind(server):
    count = 100

    def one():
        producer = Producer(server.bootstrap_servers)
        thread = thread_of(producer)
        future = producer.send("orders", b"value", partition=0)
        assert producer.close() == 0
        assert ended(thread) and future.done()

    for _ in range(5):  # caches fill
        one()
    gc.collect()
    threads, files = threading.active_count(), descriptors()
    tracemalloc.start()
    try:
        one()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(count):
            one()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert threading.active_count() == threads
    server.call(lambda: None)  # it has seen that they are closed
    assert descriptors() <= files + 2
    assert grown < count * 10_000, f"{grown / count:.0f} bytes for each"


def test_one_producers_end_does_not_change_the_logging_of_another(server, caplog):
    """kafka-python's closes take handlers off the loggers of all."""
    with Producer(server.bootstrap_servers) as staying:
        Producer(server.bootstrap_servers).close()
        producer = Producer(server.bootstrap_servers)
        with pytest.warns(ResourceWarning):
            del producer
            gc.collect()

        def raises(*_):
            raise ValueError("told")

        staying.send("orders", b"a", on_delivery=raises)
        staying.flush(WAIT_S)
    assert "told" in caplog.text


def test_after_an_exit_nothing_is_accepted(server, unregistered):
    producer = Producer(server.bootstrap_servers)
    unregistered[0]()
    with pytest.raises(ProducerClosedError):
        producer.send("orders", b"a")
