"""Waiting for metadata and for room, within one limit of time (META-WAIT-1 to META-WAIT-6, SEND-3, traps 1 to 3, 8)."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from producer.endings import running
from producer.judge_server import WAIT_S, JudgeServer

from kproto.client import KafkaTimeoutError
from kproto.producer import (
    BufferFullError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    Producer,
    ProducerClosedError,
    TopicAuthorizationFailedError,
)
from kproto.producer import blocking as module
from kproto.producer.metrics import MetricName
from kproto.tools.judge import Fault
from kproto.wire import ApiKey, EncodeError, ErrorCode
from kproto.wire.records import RecordBatchBuilder


@pytest.fixture
def server():
    with JudgeServer({"orders": 2}) as server:
        yield server


def metric(producer, name):
    (value,) = [
        value for key, value in producer.metrics().items() if key.name == name and key.group == "producer-metrics"
    ]
    return value


class Waiting:
    """Tells when threads have begun to wait. waits: how often that was."""

    def __init__(self, producer, monkeypatch):
        self._begun = threading.Semaphore(0)
        wait_for = producer._thread.wait_for

        def noted(bell, wanted, timeout_s):
            self._begun.release()
            return wait_for(bell, wanted, timeout_s)

        monkeypatch.setattr(producer._thread, "wait_for", noted)

    def begun(self):
        assert self._begun.acquire(timeout=WAIT_S)


# Metadata


def test_meta_wait_3_what_is_known_is_not_asked_for(server):
    with Producer(server.bootstrap_servers, linger_ms=0) as producer:
        producer.partitions_for("orders")
        asked = server.requests(ApiKey.METADATA)
        producer.send("orders", b"a", partition=0).result(WAIT_S)
        assert server.requests(ApiKey.METADATA) == asked
        assert metric(producer, "metadata-wait-time-ns-total") > 0


def test_meta_wait_4_a_topic_that_does_not_exist_times_out_with_its_cause(server):
    with Producer(server.bootstrap_servers, max_block_ms=200, retry_backoff_ms=10) as producer:
        with pytest.raises(KafkaTimeoutError, match="metadata of topic missing: nothing within 200 ms") as raised:
            producer.send("missing", b"a")
        assert raised.value.cause.code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert metric(producer, "record-error-total") == 1


def test_meta_wait_4_a_topic_that_comes_to_be_is_found(server):
    server.call(lambda: setattr(server.cluster, "auto_create_partitions", 3))
    with Producer(server.bootstrap_servers, retry_backoff_ms=10, linger_ms=0) as producer:
        assert producer.send("coming", b"a", partition=2).result(WAIT_S).partition == 2


def test_trap_2_meta_wait_5_a_partition_that_does_not_exist_yet_is_waited_for(server, monkeypatch):
    with Producer(server.bootstrap_servers, retry_backoff_ms=10, linger_ms=0) as producer:
        producer.partitions_for("orders")
        waiting, found = Waiting(producer, monkeypatch), []
        with running(lambda: found.append(producer.send("orders", b"a", partition=4).result(WAIT_S))):
            for _ in range(3):  # it asks again and again
                waiting.begun()
            server.call(lambda: server.cluster.add_partitions("orders", 5))
        assert found[0].partition == 4


def test_meta_wait_5_the_timeout_names_the_partition_and_how_many_there_are(server):
    with (
        Producer(server.bootstrap_servers, max_block_ms=100, retry_backoff_ms=10) as producer,
        pytest.raises(KafkaTimeoutError, match="partition 9 of topic orders, which has 2: nothing within 100 ms"),
    ):
        producer.send("orders", b"a", partition=9)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (ErrorCode.INVALID_TOPIC_EXCEPTION, InvalidTopicError),
        (ErrorCode.TOPIC_AUTHORIZATION_FAILED, TopicAuthorizationFailedError),
    ],
)
def test_meta_wait_1_meta_wait_4_what_is_refused_raises_at_once(server, code, kind):
    server.fail(ApiKey.METADATA, Fault.error(code, topic="secret"), times=None)
    with Producer(server.bootstrap_servers) as producer, pytest.raises(kind, match="topic secret") as raised:
        producer.send("secret", b"a")
    assert raised.value.code is code


def test_a_topic_that_no_request_carries_asks_for_nothing(server):
    with Producer(server.bootstrap_servers) as producer, pytest.raises(EncodeError):
        producer.send("x" * 40_000, b"a")


def test_meta_wait_6_close_ends_the_wait(server, monkeypatch):
    producer = Producer(server.bootstrap_servers)
    producer.wait_ready(WAIT_S)
    waiting = Waiting(producer, monkeypatch)

    def send():
        with pytest.raises(ProducerClosedError):
            producer.send("missing", b"a")

    with running(send, send):
        waiting.begun()
        waiting.begun()
        producer.close()


def test_an_answer_that_comes_too_late_is_as_none(server, monkeypatch):
    """Time is over, and the topic is still not there, though there was news."""
    with Producer(server.bootstrap_servers, max_block_ms=0) as producer:
        monkeypatch.setattr(producer._thread, "wait_for_topic", lambda topic, timeout_s: True)
        with pytest.raises(KafkaTimeoutError, match="nothing within 0 ms"):
            producer.send("missing", b"a")


def test_trap_1_metadata_and_room_share_one_limit(server, monkeypatch):
    """What the one has used is not there for the other."""
    with Producer(server.bootstrap_servers, max_block_ms=10_000) as producer:
        seen = []
        appends = producer._appends
        wait_for_topic, with_room = appends._wait_for_topic, appends.with_room

        def slow(topic, partition, limit_ms):
            seen.append(limit_ms)
            found = wait_for_topic(topic, partition, limit_ms)
            clock.append(4_000_000_000)
            return found

        def room(attempt, left_ms):
            seen.append(left_ms)
            return with_room(attempt, left_ms)

        clock = []

        class Clock:
            @staticmethod
            def monotonic_ns():
                return sum(clock)

        monkeypatch.setattr(module, "time", Clock)
        monkeypatch.setattr(appends, "_wait_for_topic", slow)
        monkeypatch.setattr(appends, "with_room", room)
        producer.send("orders", b"a", partition=0)
        producer.send("orders", b"b", partition=1)
    assert seen == [10_000, 6_000, 10_000]


# Room


def full(server, producer, *, size=1000):
    """Fill the memory of a producer whose broker answers nothing: all futures."""
    producer.partitions_for("orders")
    producer._appends._max_block_ms = 0
    server.stall()
    futures = []
    with pytest.raises(BufferFullError):  # noqa: PT012
        while True:
            futures.append(producer.send("orders", b"x" * size, partition=0))
    producer._appends._max_block_ms = WAIT_S * 1000
    return futures


def test_without_room_it_raises_when_the_time_is_over(server):
    with Producer(server.bootstrap_servers, buffer_memory=20_000, batch_size=1000, linger_ms=0) as producer:
        futures = full(server, producer)
        producer._appends._max_block_ms = 30
        with pytest.raises(BufferFullError) as raised:
            producer.send("orders", b"x" * 5000, partition=1)
        assert raised.value.capacity == 20_000 and raised.value.waited_ms == 30
        assert raised.value.needed > 5000 and raised.value.waiting == 0
        memory = producer._engine.accumulator.memory
        assert memory.waiting == 0
        assert metric(producer, "buffer-exhausted-total") >= 2
        assert metric(producer, "bufferpool-wait-time-ns-total") > 0
        server.go_on()
        producer.flush(WAIT_S)
        assert memory.used == 0
        assert [future.result(0).offset for future in futures] == [*range(len(futures))]


def test_with_room_again_those_who_wait_go_on_in_their_order(server, monkeypatch):
    with Producer(server.bootstrap_servers, buffer_memory=20_000, batch_size=1000, linger_ms=0) as producer:
        futures = full(server, producer)
        waiting, later = Waiting(producer, monkeypatch), []

        def send(value):
            later.append((value, producer.send("orders", value * 12_000, partition=1)))

        with running(lambda: send(b"1")):
            waiting.begun()
            with running(lambda: send(b"2")):
                waiting.begun()
                server.go_on()
        producer.flush(WAIT_S)
        assert [value for value, _ in later] == [b"1", b"2"]
        assert all(future.result(0) for future in (*futures, *(future for _, future in later)))
        assert producer._engine.accumulator.memory.used == 0


def test_close_ends_the_wait_for_room(server, monkeypatch):
    producer = Producer(server.bootstrap_servers, buffer_memory=20_000, batch_size=1000, linger_ms=0)
    futures = full(server, producer)
    waiting = Waiting(producer, monkeypatch)

    def send():
        with pytest.raises(ProducerClosedError):
            producer.send("orders", b"x" * 15_000, partition=1)

    with running(send, send):
        waiting.begun()
        waiting.begun()
        with running(lambda: producer.close()):
            server.go_on()
    assert all(future.result(0) for future in futures)
    assert producer._engine.accumulator.memory.used == 0


def test_trap_16_a_record_that_cannot_be_encoded_gives_back_what_was_granted(server, monkeypatch):
    """It has waited for room, and only then turns out to be none."""
    with Producer(server.bootstrap_servers, buffer_memory=20_000, batch_size=1000, linger_ms=0) as producer:
        full(server, producer)
        waiting = Waiting(producer, monkeypatch)

        def send():
            with pytest.raises(EncodeError):
                producer.send("orders", b"x" * 12_000, partition=1, timestamp_ms=2**63 - 1)

        with running(send):
            waiting.begun()
            server.go_on()
        producer.flush(WAIT_S)
        assert producer._engine.accumulator.memory.used == 0


def test_trap_16_room_that_is_not_needed_any_more_is_given_back(server, monkeypatch):
    """Another thread has opened a batch meanwhile."""
    with Producer(server.bootstrap_servers, buffer_memory=20_000, batch_size=15_000, linger_ms=60_000) as producer:
        producer.partitions_for("orders")
        server.stall()
        producer.send("orders", b"x" * 100, partition=0)
        waiting, accumulator = Waiting(producer, monkeypatch), producer._engine.accumulator
        queues = accumulator.topics["orders"]
        append, opened = accumulator.append, []

        def opens_first(topic, partition, fields, *rest, **options):
            memory = options.get("memory")
            if memory is not None and memory.granted and not opened:
                opened.append(1)
                bigger = (fields[0], None, b"other", ())
                found = append(topic, partition, bigger, now_ms=options["now_ms"])
                assert found is None or found.opened
                if found is None:  # the room is granted to the other: so it is made by hand
                    accumulator.memory.leave(memory)
                    found = append(topic, partition, bigger, now_ms=options["now_ms"])
                assert found.opened
            return append(topic, partition, fields, *rest, **options)

        monkeypatch.setattr(accumulator, "append", opens_first)
        futures = []
        with running(lambda: futures.append(producer.send("orders", b"mine", partition=1))):
            waiting.begun()
            server.go_on()
        producer.flush(WAIT_S)
        assert opened and futures[0]._index == 1 and futures[0].result(0).offset == 1
        assert queues.partitions[1].opened == 1
        assert accumulator.memory.used == 0


def test_trap_8_a_batch_is_as_old_as_its_room_not_as_the_wait_for_it(server, monkeypatch):
    with Producer(server.bootstrap_servers, buffer_memory=20_000, batch_size=1000, linger_ms=0) as producer:
        full(server, producer)
        waiting, accumulator = Waiting(producer, monkeypatch), producer._engine.accumulator
        times, append = [], accumulator.append

        def noted(*arguments, **options):
            times.append(options["now_ms"])
            return append(*arguments, **options)

        monkeypatch.setattr(accumulator, "append", noted)
        futures = []
        with running(lambda: futures.append(producer.send("orders", b"x" * 12_000, partition=1))):
            waiting.begun()
            server.go_on()
        assert len(times) >= 3, "one look at the open batch, one for the line, one with room"
        assert futures[0]._batch.created_ms == times[-1] >= times[1] > times[0] == 0
        producer.flush(WAIT_S)


def test_an_observer_is_told_the_time_of_each_record(server):
    events = []
    with Producer(server.bootstrap_servers, batch_observer=events.append, linger_ms=5) as producer:
        producer.send("orders", b"a", partition=0)
        producer.send("orders", b"b", partition=0)
        producer.flush(WAIT_S)
    appended = [event for event in events if type(event).__name__ == "RecordAppended"]
    assert len(appended) == 2 and all(event.at_ms > 0 for event in appended)


# Batches built by hand


def test_a_batch_built_by_hand_waits_for_room_as_a_record_does(server, monkeypatch):
    def built(size):
        builder = RecordBatchBuilder()
        builder.append(7, None, b"y" * size)
        builder.append(8, None, b"z")
        return builder

    with Producer(server.bootstrap_servers, buffer_memory=20_000, batch_size=1000, linger_ms=0) as producer:
        full(server, producer)
        waiting, futures = Waiting(producer, monkeypatch), []
        with running(lambda: futures.append(producer.send_batch("orders", 1, built(12_000)))):
            waiting.begun()
            server.go_on()
        assert futures[0].result(WAIT_S).offset == 0
        producer.flush(WAIT_S)
        assert producer._engine.accumulator.memory.used == 0
    assert [len(value) for value in server.values("orders", 1)] == [12_000, 1]


def test_an_interrupted_batch_built_by_hand_has_the_thread_look(server, monkeypatch):
    with Producer(server.bootstrap_servers, linger_ms=60_000) as producer:
        producer.partitions_for("orders")
        builder = RecordBatchBuilder()
        builder.append(7, None, b"y")

        def interrupted(appended):
            raise KeyboardInterrupt

        monkeypatch.setattr(producer._appends, "_push", interrupted)
        with pytest.raises(KeyboardInterrupt):
            producer.send_batch("orders", 0, builder)
        server.wait_for(lambda: len(server.cluster.log("orders", 0)) == 1)


def test_refusals_are_counted_whatever_was_sent(server):
    builder = RecordBatchBuilder()
    builder.append(7, None, b"y")
    with Producer(server.bootstrap_servers, max_block_ms=0) as producer:
        producer.wait_ready(WAIT_S)
        for send in (
            lambda: producer.send("missing", b"a"),
            lambda: producer.send_many("missing", [b"a"]),
            lambda: producer.send_batch("missing", 0, builder),
        ):
            with pytest.raises(KafkaTimeoutError):
                send()
        assert metric(producer, "record-error-total") == 3
        assert (
            MetricName("record-error-total", "producer-topic-metrics", (("topic", "missing"),))
            not in producer.metrics()
        )


# What is not accepted


def test_a_record_that_cannot_be_encoded_takes_no_memory(server):
    with Producer(server.bootstrap_servers) as producer:
        with pytest.raises(EncodeError):
            producer.send("orders", b"a", partition=0, timestamp_ms=2**63 - 1)
        assert producer._engine.accumulator.memory.used == 0
        future = producer.send("orders", b"a", partition=0)
        with pytest.raises(EncodeError):
            producer.send("orders", b"b", partition=0, timestamp_ms=2**63 - 1)
        assert future._batch.count == 1 and metric(producer, "record-error-total") == 2
        producer.flush(WAIT_S)


def test_a_handler_that_has_interrupted_a_send_cannot_send(server):
    with Producer(server.bootstrap_servers) as producer:
        producer.partitions_for("orders")
        with producer._engine.accumulator.lock, pytest.raises(RuntimeError, match="signal's handler"):
            producer.send("orders", b"a", partition=0)
        assert producer._engine.accumulator.memory.used == 0


class Interceptor:
    def __init__(self):
        self.heard = []

    def on_send(self, record):
        self.heard.append(("send", record.value))
        return replace(record, value=b"<%s>" % record.value, headers=(*record.headers, ("seen", b"1")))

    def on_acknowledgement(self, metadata, error):
        self.heard.append(("ack", metadata.topic, metadata.partition, metadata.offset, type(error).__name__))


def test_send_2_interceptors_hear_of_every_record_and_its_end_before_the_callback(server):
    interceptor = Interceptor()
    with Producer(server.bootstrap_servers, interceptors=[interceptor]) as producer:
        callback = lambda metadata, error: interceptor.heard.append(("mine", metadata.offset))  # noqa: E731
        future = producer.send("orders", b"a", partition=0, headers=[("h", b"x")], on_delivery=callback)
        assert future.result(WAIT_S).offset == 0
        producer.send_many("orders", [b"b", b"c"], partition=0).result(WAIT_S)
        producer.flush(WAIT_S)
    heard = interceptor.heard
    assert [entry for entry in heard if entry[0] == "send"] == [("send", b"a"), ("send", b"b"), ("send", b"c")]
    acknowledged = [("ack", "orders", 0, offset, "NoneType") for offset in range(3)]
    assert [entry for entry in heard if entry[0] == "ack"] == acknowledged
    assert heard.index(("mine", 0)) == heard.index(acknowledged[0]) + 1
    assert server.values("orders") == [b"<a>", b"<b>", b"<c>"]
    assert server.records("orders")[0].headers == (("h", b"x"), ("seen", b"1"))


def test_trap_3_interceptors_hear_of_what_was_never_accepted_and_the_callback_does_not(server):
    """`send` raises then: who has called it knows."""
    interceptor, called = Interceptor(), []
    with Producer(server.bootstrap_servers, interceptors=[interceptor], max_request_size=500) as producer:
        with pytest.raises(MessageSizeTooLargeError):
            producer.send("orders", b"x" * 500, partition=1, on_delivery=called.append)
        assert metric(producer, "record-error-total") == 1
    assert interceptor.heard[1:] == [("ack", "orders", 1, -1, "MessageSizeTooLargeError")]
    assert not called
