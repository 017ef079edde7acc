"""Flush, close and callbacks against a real socket (scenarios E01 to E08, CLOSE-1 to CLOSE-5, CB-8).

E04 (purge) and E05 (cancel in flight) are not ours: `cancel()` gives False, see test_delivery.
"""

from __future__ import annotations

import threading
import time
from itertools import count

import pytest
from producer.endings import running
from producer.judge_server import WAIT_S, JudgeServer

from kproto.client import KafkaTimeoutError
from kproto.producer import (
    DeliveryError,
    DeliveryTimeoutError,
    Producer,
    ProducerClosedError,
    WriteStatus,
)
from kproto.tools.judge import Fault, FaultPoint
from kproto.wire import ApiKey
from kproto.wire.records import RecordBatchBuilder


@pytest.fixture
def server():
    with JudgeServer({"orders": 3}) as server:
        yield server


def ended(producer):
    thread = producer._thread._thread
    thread.join(WAIT_S)
    return not thread.is_alive()


def at_rest(producer):
    accumulator = producer._engine.accumulator
    assert accumulator.memory.used == 0 and not accumulator.incomplete and accumulator.flushes == 0
    assert ended(producer)


# E01: close


def test_e01_close_5_close_waits_for_all(server):
    producer = Producer(server.bootstrap_servers, linger_ms=60_000)
    futures = [producer.send("orders", b"%d" % number, partition=number % 3) for number in range(30)]
    assert producer.close() == 0
    assert all(future.result(0) for future in futures)
    at_rest(producer)


def test_e01_closing_at_once_gives_up_at_once_what_was_not_sent_and_what_was(server):
    producer = Producer(server.bootstrap_servers, linger_ms=0, max_in_flight_requests_per_connection=1)
    producer.send("orders", b"first", partition=0).result(WAIT_S)
    server.stall()
    heard = []
    sent = producer.send("orders", b"sent", partition=0, on_delivery=lambda *a: heard.append(a[1]))
    waiting = producer.send("orders", b"waiting", partition=0)
    assert producer.close(0) == 2
    assert sent.exception(0).written is WriteStatus.POSSIBLY and waiting.exception(0).written is WriteStatus.NO
    assert isinstance(sent.exception(0).cause, ProducerClosedError)
    assert heard == [sent.exception(0)]
    assert ended(producer)
    server.go_on()


def test_e01_close_while_the_producer_id_is_asked_for(server):
    """It comes, and what was accepted goes out."""
    server.fail(ApiKey.INIT_PRODUCER_ID, Fault.close(FaultPoint.BEFORE_APPEND))
    producer = Producer(server.bootstrap_servers, reconnect_backoff_ms=5, retry_backoff_ms=5)
    future = producer.send("orders", b"a", partition=0)
    assert producer.close(WAIT_S) == 0
    assert future.result(0).offset == 0
    at_rest(producer)


def test_e01_closing_at_once_while_the_producer_id_is_asked_for(server):
    server.fail(ApiKey.INIT_PRODUCER_ID, Fault.silence(FaultPoint.BEFORE_APPEND), times=None)
    producer = Producer(server.bootstrap_servers)
    future = producer.send("orders", b"a", partition=0)
    assert producer.close(0) == 1
    assert future.exception(0).written is WriteStatus.NO
    at_rest(producer)


def test_e01_close_1_close_twice(server):
    producer = Producer(server.bootstrap_servers)
    future = producer.send("orders", b"a", partition=0)
    assert [producer.close(), producer.close(), producer.close(0)] == [0, 0, 0]
    assert future.result(0).offset == 0
    at_rest(producer)


def test_close_1_close_from_several_threads(server):
    producer = Producer(server.bootstrap_servers, linger_ms=60_000)
    producer.partitions_for("orders")
    server.stall()
    futures = [producer.send("orders", b"a", partition=number) for number in range(3)]
    found, all_there = [], threading.Barrier(5)

    def close():
        all_there.wait(WAIT_S)
        found.append(producer.close(WAIT_S))

    with running(*[close] * 4):
        all_there.wait(WAIT_S)
        server.go_on()
    assert found == [0] * 4 and all(future.result(0) for future in futures)
    at_rest(producer)


def test_one_that_gives_up_ends_the_wait_of_another(server):
    producer = Producer(server.bootstrap_servers)
    producer.partitions_for("orders")
    server.stall()
    future = producer.send("orders", b"a", partition=0)
    found = []
    with running(lambda: found.append(producer.close())):
        assert producer.close(0.01) + sum(found) <= 1
    assert found == [0]
    assert isinstance(future.exception(0), DeliveryError)
    assert ended(producer)
    server.go_on()


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_close_2_what_does_not_end_in_time_is_given_up(server, timeout):
    producer = Producer(server.bootstrap_servers, linger_ms=0)
    producer.partitions_for("orders")
    server.stall()
    futures = [producer.send("orders", b"a", partition=number % 3) for number in range(7)]
    assert producer.close(timeout) == 7
    assert all(isinstance(future.exception(0), DeliveryError) for future in futures)
    assert ended(producer)
    server.go_on()


def test_peers_11_close_with_a_broker_that_is_gone_takes_its_time_and_no_more(server):
    producer = Producer(server.bootstrap_servers, linger_ms=0)
    producer.send("orders", b"a", partition=0).result(WAIT_S)
    server.stop()
    futures = [producer.send("orders", b"b", partition=0) for _ in range(5)]
    began = time.monotonic()
    assert producer.close(1.0) == 5
    assert 0.9 < time.monotonic() - began < 5
    assert all(isinstance(future.exception(0), DeliveryError) for future in futures)
    at_rest(producer)


def test_close_without_a_limit_ends_with_the_delivery_timeout(server):
    producer = Producer(
        server.bootstrap_servers, linger_ms=0, delivery_timeout_ms=200, request_timeout_ms=100, retry_backoff_ms=10
    )
    producer.partitions_for("orders")
    server.silence()
    future = producer.send("orders", b"a", partition=0)
    assert producer.close() == 0
    assert isinstance(future.exception(0), DeliveryTimeoutError)
    assert ended(producer)


def test_close_of_one_that_never_reached_a_broker():
    producer = Producer("127.0.0.1:1", max_block_ms=50)
    with pytest.raises(KafkaTimeoutError):
        producer.send("orders", b"a")
    assert producer.close() == 0
    at_rest(producer)


def test_with_closes_also_behind_an_error(server):
    with pytest.raises(ZeroDivisionError), Producer(server.bootstrap_servers, linger_ms=60_000) as producer:  # noqa: PT012
        future = producer.send("orders", b"a", partition=0)
        raise ZeroDivisionError
    assert future.result(0).offset == 0
    at_rest(producer)


def test_close_during_a_flush_lets_it_end(server):
    producer = Producer(server.bootstrap_servers)
    producer.partitions_for("orders")
    server.stall()
    future = producer.send("orders", b"a", partition=0)
    flushing = threading.Event()
    begin_flush = producer._engine.accumulator.begin_flush

    def noted():
        flushing.set()
        return begin_flush()

    producer._engine.accumulator.begin_flush = noted
    with running(lambda: producer.flush(WAIT_S), lambda: producer.flush(WAIT_S)):
        assert flushing.wait(WAIT_S)
        with running(lambda: producer.close()):
            server.go_on()
    assert future.result(0).offset == 0
    at_rest(producer)


def test_close_by_force_during_a_flush_lets_it_end_too(server):
    producer = Producer(server.bootstrap_servers)
    producer.partitions_for("orders")
    server.stall()
    producer.send("orders", b"a", partition=0).add_done_callback(lambda future: future.exception())
    with running(lambda: producer.flush(WAIT_S)):
        assert producer.close(0) == 1
    assert ended(producer)
    server.go_on()


def test_sends_that_race_with_close_are_delivered_or_refused(server):
    """Accepted is accepted: whatever `send` has given a future for is delivered."""
    for _ in range(20):
        producer = Producer(server.bootstrap_servers, linger_ms=1)
        producer.partitions_for("orders")
        accepted, begun = [], threading.Semaphore(0)

        def sends(producer=producer, accepted=accepted, begun=begun):
            with pytest.raises(ProducerClosedError):  # noqa: PT012
                for number in count():
                    accepted.append(producer.send("orders", b"a", partition=number % 3))
                    begun.release()

        with running(sends, sends):
            for _ in range(5):
                assert begun.acquire(timeout=WAIT_S)
            assert producer.close() == 0
        assert all(future.result(0) for future in accepted)
        at_rest(producer)


# E02: nothing after close


def test_e02_every_way_to_produce_after_close_raises(server):
    producer = Producer(server.bootstrap_servers)
    producer.partitions_for("orders")
    producer.close()
    builder = RecordBatchBuilder()
    builder.append(1, None, b"built")
    for call in (
        lambda: producer.send("orders", b"a"),
        lambda: producer.send("orders", b"a", b"key", partition=0),
        lambda: producer.send("unknown", b"a"),
        lambda: producer.send_many("orders", [b"a"]),
        lambda: producer.send_batch("orders", 0, builder),
        lambda: producer.partitions_for("orders"),
        producer.wait_ready,
    ):
        with pytest.raises(ProducerClosedError):
            call()
    producer.flush()
    assert producer.metrics()
    at_rest(producer)


# E03: flush


def test_e03_a_sender_that_gives_up_waiting_for_room_does_not_end_a_flush(server):
    with Producer(server.bootstrap_servers, buffer_memory=20_000, batch_size=1_000, linger_ms=0) as producer:
        producer.partitions_for("orders")
        server.stall()
        futures = [producer.send("orders", b"x" * 1_000, partition=0) for _ in range(4)]
        with pytest.raises(KafkaTimeoutError, match="4 records"):
            producer.flush(0.01)
        producer._appends._max_block_ms = 10
        flushed = []
        with running(lambda: flushed.append(producer.flush(WAIT_S))):
            with pytest.raises(BufferError):
                producer.send("orders", b"x" * 15_000, partition=1)
            assert not flushed
            server.go_on()
        assert all(future.done() for future in futures)


def test_e03_a_flush_is_not_starved_by_others_that_send(server):
    with Producer(server.bootstrap_servers, linger_ms=0) as producer:
        producer.partitions_for("orders")
        stop = threading.Event()

        def sends():
            for number in count():
                if stop.is_set():
                    return
                producer.send("orders", b"x" * 50, partition=number % 3)

        with running(sends, sends):
            try:
                producer.flush(WAIT_S)
            finally:
                stop.set()


# E06: callbacks


def test_e06_cb_8_callbacks_that_send(server):
    """Each end begets a record, until there are enough; `close` waits for all of them that are accepted."""
    heard = []
    with Producer(server.bootstrap_servers, linger_ms=0) as producer:

        def callback(metadata, error):
            heard.append(metadata.offset)
            if len(heard) < 50:
                producer.send("orders", b"%d" % len(heard), partition=0, on_delivery=callback)
            else:
                over.set()

        over = threading.Event()
        producer.send("orders", b"0", partition=0, on_delivery=callback)
        assert over.wait(WAIT_S)
    assert heard == [*range(50)]
    assert server.values("orders") == [b"%d" % number for number in range(50)]


def test_e06_a_callback_that_sends_to_a_topic_that_is_not_known_yet(server):
    """A dead letter queue, on its first letter."""
    server.call(lambda: server.cluster.create_topic("letters", 1))
    found, over = [], threading.Event()
    with Producer(server.bootstrap_servers, linger_ms=1, retries=0, enable_idempotence=False) as producer:
        producer.partitions_for("orders")
        server.fail(ApiKey.PRODUCE, Fault.error(7))

        def callback(metadata, error):
            found.append(producer.send("letters", b"dead"))
            over.set()

        producer.send("orders", b"a", partition=0, on_delivery=callback)
        assert over.wait(WAIT_S)
        assert found[0].result(WAIT_S).topic == "letters"


def test_e06_a_callback_that_raises_ends_nothing(server, caplog):
    heard = []

    def callback(metadata, error):
        heard.append(metadata.offset)
        raise [ValueError, SystemExit][len(heard) % 2](len(heard))

    with Producer(server.bootstrap_servers, linger_ms=1) as producer:
        send = lambda: producer.send("orders", b"a", partition=0, on_delivery=callback).result(WAIT_S)  # noqa: E731
        with running(*[send] * 6):
            pass
    assert sorted(heard) == [*range(6)] and heard == sorted(heard)
    assert len(caplog.records) == 6


def test_e06_a_callback_that_blocks_holds_up_callbacks_but_no_record(server):
    heard, enter, leave = [], threading.Event(), threading.Event()

    def blocks(metadata, error):
        enter.set()
        assert leave.wait(WAIT_S)
        heard.append("blocked")

    with Producer(server.bootstrap_servers, linger_ms=0) as producer:
        with running(lambda: producer.send("orders", b"a", partition=0, on_delivery=blocks)):
            assert enter.wait(WAIT_S)
            futures = [
                producer.send("orders", b"b", partition=number % 3, on_delivery=lambda *_: heard.append("next"))
                for number in range(10)
            ]
            assert [future.result(WAIT_S) for future in futures] and heard == []
            leave.set()
        producer.flush(WAIT_S)
    assert heard == ["blocked", *["next"] * 10]


def test_e06_a_callback_and_one_who_waits_may_want_the_same_lock(server):
    """The one waits in the producer's own thread, which then reads no answer, for what the other has while he waits for
    one."""
    ours, enter, found = threading.Lock(), threading.Event(), []

    def callback(metadata, error):
        enter.set()
        with ours:
            found.append("callback")

    with Producer(server.bootstrap_servers, linger_ms=1) as producer:
        producer.partitions_for("orders")
        with ours:
            producer.send("orders", b"a", partition=0, on_delivery=callback)
            assert enter.wait(WAIT_S)
            found.append(producer.send("orders", b"b", partition=1).result(WAIT_S).offset)
        producer.flush(WAIT_S)
    assert found == [0, "callback"]


def test_e06_a_callback_that_closes_comes_back_at_once(server):
    found = []
    producer = Producer(server.bootstrap_servers, linger_ms=0)
    producer.partitions_for("orders")

    def callback(metadata, error):
        found.append(producer.close(WAIT_S))
        found.append(producer.close())

    producer.send("orders", b"a", partition=0, on_delivery=callback)
    assert ended(producer)
    assert found[-1] == 0 and producer.close() == 0
    at_rest(producer)


def test_e06_a_callback_that_asks_for_the_result_of_another_partition(server):
    """In whatever thread it runs, also in the producer's own, which alone would read the answer."""
    found, over = [], threading.Event()
    with Producer(server.bootstrap_servers, linger_ms=1) as producer:
        producer.partitions_for("orders")

        def callback(metadata, error):
            found.append(producer.send("orders", b"b", partition=1).result(WAIT_S).partition)
            found.append(threading.current_thread() is producer._thread._thread)
            over.set()

        producer.send("orders", b"a", partition=0, on_delivery=callback)
        assert over.wait(WAIT_S)
    assert found == [1, True]


def test_callbacks_come_once_each_and_in_the_order_of_their_partition(server):
    heard = {number: [] for number in range(3)}
    with Producer(server.bootstrap_servers, linger_ms=0, batch_size=200, retry_backoff_ms=5) as producer:
        for _ in range(3):
            server.fail(ApiKey.PRODUCE, Fault.error(7, FaultPoint.AFTER_APPEND))

        def sends():
            for number in range(150):
                producer.send(
                    "orders",
                    b"x" * 20,
                    partition=number % 3,
                    on_delivery=lambda metadata, error: heard[metadata.partition].append(metadata.offset),
                )

        with running(sends, sends):
            pass
        producer.flush(WAIT_S)
    for number, offsets in heard.items():
        assert offsets == [*range(100)], f"partition {number}"


# Peers' point 10, and the last of E


def test_peers_10_a_stalled_broker_stops_senders_at_buffer_memory_and_at_max_block_ms(server):
    with Producer(server.bootstrap_servers, buffer_memory=100_000, max_block_ms=10_000) as producer:
        producer.partitions_for("orders")
        server.stall()
        producer._appends._max_block_ms = 50
        accepted = 0
        began = time.monotonic()
        with pytest.raises(BufferError):  # noqa: PT012
            while True:
                producer.send("orders", b"x" * 100, partition=0)
                accepted += 1
        assert accepted * 100 <= 100_000 and accepted > 300
        assert time.monotonic() - began < WAIT_S
        assert producer._engine.accumulator.memory.used <= 100_000 + 2_000
        server.go_on()
        producer.flush(WAIT_S)
        assert producer._engine.accumulator.memory.used == 0
