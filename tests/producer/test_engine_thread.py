"""The producer's thread: how it starts, what wakes those who wait, how it ends."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from producer.endings import running
from producer.judge_server import WAIT_S, JudgeServer

from kproto.client import AuthenticationError, KafkaTimeoutError
from kproto.producer import (
    BufferFullError,
    DeliveryError,
    Producer,
    ProducerClosedError,
    ProducerConfig,
    ProducerFatalError,
)
from kproto.producer import engine_thread as module
from kproto.producer.engine_thread import EngineThread
from kproto.tools.judge import Fault
from kproto.wire import ApiKey, ErrorCode


@pytest.fixture
def server():
    with JudgeServer({"orders": 2}) as server:
        yield server


@pytest.fixture
def thread(server):
    thread = EngineThread(ProducerConfig.of(bootstrap_servers=server.bootstrap_servers), None, None)
    yield thread
    thread.close()
    thread._thread.join(WAIT_S)
    assert not thread._thread.is_alive()


def config(**settings):
    return ProducerConfig.of(bootstrap_servers="127.0.0.1:1", **settings)


# The start


def test_it_is_a_daemon_with_a_name(thread):
    assert thread._thread.daemon and thread._thread.name == "kproto-producer"


def test_without_a_loop_it_raises(monkeypatch):
    """As where all descriptors are taken; it must not wait for a thread that has died."""

    def none_left():
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio, "SelectorEventLoop", none_left)
    with pytest.raises(OSError, match="Too many open files"):
        EngineThread(config(), None, None)


def test_without_a_thread_it_raises_and_leaves_no_loop(monkeypatch):
    loops = []
    make = asyncio.SelectorEventLoop

    def noted():
        loops.append(make())
        return loops[-1]

    def none_left(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(asyncio, "SelectorEventLoop", noted)
    monkeypatch.setattr(threading.Thread, "start", none_left)
    with pytest.raises(RuntimeError, match="start new thread"):
        EngineThread(config(), None, None)
    assert loops[0].is_closed()


def test_what_the_driver_raises_is_raised_and_leaves_no_thread(monkeypatch):
    before = {*threading.enumerate()}

    def refuses(*arguments):
        raise ValueError("of no use")

    monkeypatch.setattr(module.Engine, "driver", refuses)
    with pytest.raises(ValueError, match="of no use"):
        EngineThread(config(), None, None)
    for left in {*threading.enumerate()} - before:
        left.join(WAIT_S)
        assert not left.is_alive()
    gc.collect()


# Passes


def test_an_interrupted_pass_is_made_up_for_by_the_thread(thread, monkeypatch):
    made, interrupts = threading.Event(), []
    run_pass = thread.driver.run_pass

    def interrupted():
        if threading.current_thread() is thread._thread:
            made.set()
            run_pass()
            return
        interrupts.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(thread.driver, "run_pass", interrupted)
    with pytest.raises(KeyboardInterrupt):
        thread.run_pass()
    assert interrupts == [1]
    assert made.wait(WAIT_S)


def test_so_is_an_interrupted_call(thread, monkeypatch):
    woken = threading.Event()
    monkeypatch.setattr(thread.driver, "wake", woken.set)

    def interrupted(action):
        raise KeyboardInterrupt

    monkeypatch.setattr(thread.driver, "call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        thread.wait_for_topic("orders", 0)
    assert woken.is_set()
    monkeypatch.undo()


def test_inside_the_accumulator_the_thread_makes_the_pass(thread, monkeypatch):
    woken = []
    monkeypatch.setattr(thread.driver, "wake", lambda: woken.append(1))
    monkeypatch.setattr(thread.driver, "run_pass", lambda: woken.append("by this thread"))
    with thread.engine.accumulator.lock:
        assert thread.entered()
        thread.run_pass()
    assert not thread.entered() and woken == [1]
    monkeypatch.undo()


def test_who_is_inside_can_wait_for_nothing(thread):
    with thread.engine.accumulator.lock:
        for wait in (
            lambda: thread.wait_for(module.Bell(), lambda: False, 0),
            lambda: thread.wait_for_topic("orders", 0),
            lambda: thread.wait_until_ready(0),
            lambda: thread.wait_until_over(lambda: False, 0),
            thread.check_outside,
        ):
            with pytest.raises(RuntimeError, match="signal's handler or a finalizer"):
                wait()
    thread.check_outside()


# Waiting


def test_what_holds_is_not_waited_for_and_makes_no_pass(thread, monkeypatch):
    monkeypatch.setattr(thread.driver, "run_pass", lambda: 1 / 0)
    assert thread.wait_for(module.Bell(), lambda: True, 0)
    monkeypatch.undo()


def test_a_time_that_is_over_is_over(thread):
    assert not thread.wait_for(module.Bell(), lambda: False, 0)
    assert not thread.wait_for(module.Bell(), lambda: False, 0.001)


def test_on_its_own_thread_it_makes_the_passes_itself():
    """A callback that waits there: nobody else reads what comes in."""
    with JudgeServer({"orders": 1, "letters": 1}) as server:
        found = []

        def callback(metadata, error):
            try:
                found.append(producer.send("letters", b"dead", partition=0).result(WAIT_S))  # its metadata comes, too
                try:
                    producer._thread.wait_for(module.Bell(), lambda: False, 0.02)
                    producer.wait_ready(0)
                finally:
                    found.append(threading.current_thread())
            except BaseException as error:
                found.append(error)

        with Producer(server.bootstrap_servers, linger_ms=1) as producer:
            producer.partitions_for("orders")
            producer.send("orders", b"a", partition=0, on_delivery=callback)
            over = threading.Event()
            producer.send("orders", b"b", partition=0, on_delivery=lambda *_: over.set())
            assert over.wait(WAIT_S)
        assert found[0].topic == "letters" and found[1] is producer._thread._thread


def test_on_its_own_thread_it_waits_for_room_and_passes_give_it():
    with JudgeServer({"orders": 1}) as server:
        found, over = [], threading.Event()

        def callback(metadata, error):
            try:
                found.extend(producer.send("orders", b"x" * 10_000, partition=0) for _ in range(20))
            except BufferFullError as error:
                found.append(error)
            over.set()

        with Producer(server.bootstrap_servers, linger_ms=1, buffer_memory=40_000, max_block_ms=20_000) as producer:
            producer.partitions_for("orders")
            producer.send("orders", b"a", partition=0, on_delivery=callback)
            assert over.wait(WAIT_S)
            producer.flush(WAIT_S)
            assert [future.result(0).offset for future in found] == [*range(1, 21)]


def test_a_failed_login_is_told_to_all_who_wait(thread):
    """Each hears of it, though the next one begins to wait before the first has woken."""
    found, waiting = [], threading.Semaphore(0)
    error = AuthenticationError("127.0.0.1:1", "no entry")
    wait_for = thread.wait_for

    def noted(bell, wanted, timeout_s):
        waiting.release()
        return wait_for(bell, wanted, timeout_s)

    thread.wait_for = noted
    thread.engine.network.metadata.take_fatal_error = lambda: errors.pop() if errors else None
    errors = []

    def waits():
        try:
            thread.wait_for_topic("unknown", WAIT_S)
        except AuthenticationError as raised:
            found.append(raised)

    def waits_until_ready():
        try:
            thread._wait_for_cluster(lambda: False, WAIT_S, thread._fatals)
        except AuthenticationError as raised:
            found.append(raised)

    thread.engine.ask_for_topic = lambda name, now_ms: 1 << 40
    with running(waits, waits_until_ready):
        for _ in range(2):
            assert waiting.acquire(timeout=WAIT_S)
        errors.append(error)
        thread.run_pass()
    assert found == [error, error]
    assert not thread._wait_for_cluster(lambda: False, 0, thread._fatals), "what came before is not told again"


def test_what_is_fatal_for_the_producer_ends_all_waits():
    """Also where no batch fails of it, and no metadata comes with it."""
    with JudgeServer({"orders": 1}, strict=False) as server:
        server.fail(ApiKey.INIT_PRODUCER_ID, Fault.error(ErrorCode.UNSUPPORTED_VERSION), times=None)
        with Producer(server.bootstrap_servers) as producer, pytest.raises(ProducerFatalError):
            producer.wait_ready(WAIT_S)


# The end


def test_after_close_it_ends_once_all_is_over(server):
    producer = Producer(server.bootstrap_servers)
    producer.partitions_for("orders")
    server.stall()
    future = producer.send("orders", b"a", partition=0)
    thread = producer._thread
    thread.close()
    assert thread._thread.is_alive() and not future.done()
    with pytest.raises(ProducerClosedError):
        producer.send("orders", b"b", partition=0)
    server.go_on()
    assert future.result(WAIT_S).offset == 0
    thread._thread.join(WAIT_S)
    assert not thread._thread.is_alive()
    producer.close()


def test_it_may_be_told_to_end_again_and_again(thread):
    for _ in range(3):
        thread.stop()
    thread._thread.join(WAIT_S)
    thread.stop()
    thread.abandon()
    thread.join()
    assert not thread._thread.is_alive()


def test_a_late_word_to_stop_does_not_disturb_the_end(thread, monkeypatch):
    """The end itself runs the loop, to wait for an executor."""
    shut_down = asyncio.SelectorEventLoop.shutdown_default_executor
    asked = []

    async def slowly(loop):
        thread.stop()
        asked.append(1)
        await asyncio.sleep(0)
        await shut_down(loop)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "shutdown_default_executor", slowly)
    thread.stop()
    thread._thread.join(WAIT_S)
    assert asked == [1] and thread._loop.is_closed()


def test_at_end_is_called_at_the_end(thread):
    ended = threading.Event()
    thread.at_end = ended.set
    thread.stop()
    assert ended.wait(WAIT_S)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_leaves_nobody_waiting(server):
    """By a bug of ours, or of what it calls: what was accepted fails, and nothing more is accepted."""
    producer = Producer(server.bootstrap_servers)
    producer.partitions_for("orders")
    server.stall()
    future = producer.send("orders", b"a", partition=0)
    thread = producer._thread

    def dies():
        raise SystemExit

    with running(lambda: future.exception(WAIT_S)):
        thread._loop.call_soon_threadsafe(dies)
    thread._thread.join(WAIT_S)
    with pytest.raises(ProducerClosedError):
        producer.send("orders", b"b", partition=0)
    assert isinstance(future.exception(), DeliveryError)
    assert producer.close() == 0
    server.go_on()


def test_abort_gives_up_what_is_left_and_counts_it(server):
    producer = Producer(server.bootstrap_servers)
    producer.partitions_for("orders")
    server.stall()
    heard = []
    futures = [producer.send("orders", b"a", partition=0, on_delivery=lambda *_: heard.append(1)) for _ in range(3)]
    assert producer._thread.abort() == 3
    assert heard == [1, 1, 1]
    assert all(isinstance(future.exception(0), DeliveryError) for future in futures)
    assert producer._thread.abort() == 0
    server.go_on()
    producer.close()


def test_abort_does_not_wait_long_for_a_pass_that_does_not_end(server):
    producer = Producer(server.bootstrap_servers, linger_ms=60_000)
    producer.partitions_for("orders")
    future = producer.send("orders", b"a", partition=0)
    guard = producer._thread.driver._guard
    with guard:
        assert producer._thread.abort() == 1
        assert not future.done()
    producer._thread.run_pass()
    assert future.exception(WAIT_S) is not None
    producer.close()


def test_join_from_within_returns_at_once(thread):
    joined = threading.Event()

    def join():
        thread.join()
        joined.set()

    thread._loop.call_soon_threadsafe(join)
    assert joined.wait(WAIT_S)


def test_wait_ready_without_a_broker_tells_what_is_the_matter():
    with (
        Producer("127.0.0.1:1") as producer,
        pytest.raises(KafkaTimeoutError, match="the cluster and a producer id") as raised,
    ):
        producer.wait_ready(0.2)
    assert "127.0.0.1:1" in str(raised.value.cause)
