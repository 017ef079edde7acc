"""The face for threads, on a real socket: what a user calls, and what he gets."""

from __future__ import annotations

import inspect
import pickle
import threading
from concurrent.futures import Future, as_completed

import pytest
from producer.endings import running
from producer.judge_server import WAIT_S, JudgeServer

from kproto.client import ConfigError, KafkaTimeoutError, TopicPartition
from kproto.producer import (
    BulkDeliveryError,
    DeliveryTimeoutError,
    InvalidRecordError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    PartitionerError,
    Producer,
    ProducerClosedError,
    ProducerFatalError,
    RecordMetadata,
    RecordRange,
    SerializationError,
    WriteStatus,
)
from kproto.tools.judge import Fault, FaultPoint, TopicConfig
from kproto.wire import ApiKey, EncodeError, ErrorCode
from kproto.wire.records import RecordBatchBuilder


@pytest.fixture
def server():
    with JudgeServer({"orders": 3}) as server:
        yield server


@pytest.fixture
def producer(server):
    with Producer(server.bootstrap_servers, linger_ms=1) as producer:
        yield producer


# The record


def test_a_record_arrives_as_it_was_sent(server, producer):
    future = producer.send(
        "orders", b"value", b"key", partition=1, timestamp_ms=77, headers=[("trace", b"1"), ("empty", None)]
    )
    assert isinstance(future, Future)
    assert future.result(WAIT_S) == RecordMetadata("orders", 1, 0, 77)
    (record,) = server.records("orders", 1)
    assert (record.key, record.value, record.timestamp) == (b"key", b"value", 77)
    assert tuple(record.headers) == (("trace", b"1"), ("empty", None))


def test_send_1_null_key_and_value_are_allowed(server, producer):
    producer.send("orders", partition=0).result(WAIT_S)
    (record,) = server.records("orders")
    assert (record.key, record.value, tuple(record.headers)) == (None, None, ())


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ((None,), {}, TypeError),
        (("",), {}, ValueError),
        (("\ud800",), {}, EncodeError),
        (("orders", "text"), {}, SerializationError),
        (("orders", b"", 5), {}, SerializationError),
        (("orders",), {"partition": -1}, ValueError),
        (("orders",), {"partition": "0"}, TypeError),
        (("orders",), {"timestamp_ms": -1}, ValueError),
        (("orders",), {"timestamp_ms": 1.5}, TypeError),
        (("orders",), {"timestamp_ms": 2**63 - 1}, EncodeError),
        (("orders",), {"headers": {"a": b"1"}}, TypeError),
        (("orders",), {"headers": [("\ud800", b"1")]}, EncodeError),
        (("orders", b"x" * 2_000_000), {}, MessageSizeTooLargeError),
    ],
)
def test_send_1_what_is_no_record_raises_and_leaves_nothing(producer, arguments, options, error):
    producer.partitions_for("orders")
    with pytest.raises(error):
        producer.send(*arguments, **options)
    assert producer._engine.accumulator.memory.used == 0 and not producer._engine.accumulator.incomplete


def test_send_1_topic_value_and_key_are_by_place_and_the_rest_by_name():
    kinds = [(name, it.kind) for name, it in inspect.signature(Producer.send).parameters.items()][1:]
    by_place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert [name for name, kind in kinds if kind is by_place] == ["topic", "value", "key"]
    assert {kind for _, kind in kinds[3:]} == {inspect.Parameter.KEYWORD_ONLY}


def test_serializers_and_partitioner_are_the_users(server):
    def choose(topic, key, partitions):
        return int(key) % len(partitions)

    with Producer(
        server.bootstrap_servers,
        partitioner=choose,
        key_serializer=lambda topic, key: str(key).encode(),
        value_serializer=lambda topic, value: value.encode(),
    ) as producer:
        assert producer.send("orders", "value", 5).result(WAIT_S).partition == 2
        with pytest.raises(PartitionerError, match="ValueError"):
            producer.send("orders", "value", "five")
    assert server.values("orders", 2) == [b"value"]


def test_size_3_a_record_larger_than_batch_size_goes_alone(server):
    with Producer(server.bootstrap_servers, batch_size=100) as producer:
        futures = [producer.send("orders", b"x" * size, partition=0) for size in (10, 5000, 10)]
        producer.flush(WAIT_S)
        assert [future.result(0).offset for future in futures] == [0, 1, 2]
    assert [len(batch.records) for batch in server.cluster.batches("orders", 0)] == [1, 1, 1]


@pytest.mark.parametrize("codec", ["none", "gzip", "lz4", "zstd"])
def test_every_codec(server, codec):
    with Producer(server.bootstrap_servers, compression_type=codec, batch_size=1000) as producer:
        futures = [producer.send("orders", b"value %d" % number, partition=0) for number in range(300)]
        producer.flush(WAIT_S)
        assert [future.result(0).offset for future in futures] == [*range(300)]
    assert server.values("orders") == [b"value %d" % number for number in range(300)]


def test_acks_0_ends_without_an_offset(server):
    with Producer(server.bootstrap_servers, acks=0) as producer:
        assert producer.send("orders", b"a", partition=0).result(WAIT_S).offset == -1
    server.wait_for(lambda: server.cluster.batches("orders", 0))


def test_cb_5_log_append_time_is_the_brokers(server):
    server.call(lambda: server.cluster.create_topic("times", 1, TopicConfig(log_append_time=True)))
    with Producer(server.bootstrap_servers) as producer:
        found = producer.send("times", b"a", timestamp_ms=5).result(WAIT_S)
    assert found.timestamp > 5 and found.timestamp == server.records("times")[0].timestamp


# What is not delivered


def test_sender_22_a_bad_record_fails_with_its_own_error_and_its_neighbours_with_another(server):
    server.call(lambda: server.cluster.create_topic("compacted", 1, TopicConfig(compacted=True)))
    with Producer(server.bootstrap_servers, linger_ms=60_000) as producer:
        futures = [producer.send("compacted", b"v", key) for key in (b"a", None, b"c")]
        producer.flush(WAIT_S)
        errors = [future.exception(0) for future in futures]
        assert isinstance(errors[1], InvalidRecordError) and errors[1].written is WriteStatus.NO
        assert errors[0] is errors[2] is not errors[1]
        assert "may be sent again without" in str(errors[0])
        assert producer.send("compacted", b"v", b"a").result
        producer.flush(WAIT_S)
    assert server.values("compacted") == [b"v"]


def test_an_error_names_its_partition_and_is_hashable_and_picklable(server):
    server.fail(ApiKey.PRODUCE, Fault.error(ErrorCode.NOT_LEADER_OR_FOLLOWER))
    with Producer(server.bootstrap_servers, retries=0, linger_ms=0, enable_idempotence=False) as producer:
        error = producer.send("orders", b"a", partition=2).exception(WAIT_S)
    assert isinstance(error, NotLeaderForPartitionError)
    assert error.partition == TopicPartition("orders", 2) and "orders-2" in str(error)
    assert {error} and str(pickle.loads(pickle.dumps(error))) == str(error)


def test_peers_13_errors_of_every_kind_are_hashable_and_picklable(server):
    errors = []

    def note(send):
        try:
            send()
        except Exception as error:
            errors.append(error)

    with Producer(server.bootstrap_servers, max_block_ms=100, max_request_size=500) as producer:
        for send in (
            lambda: producer.send("missing", b""),
            lambda: producer.send("orders", b"x" * 500),
            lambda: producer.send("orders", 5),
            lambda: producer.send_many("orders", [b"a", 5], partition=1).result(WAIT_S),
        ):
            note(send)
    note(lambda: producer.send("orders", b""))
    assert len({type(error) for error in errors}) == 5
    for error in errors:
        assert {error} and str(pickle.loads(pickle.dumps(error))) == str(error)
    assert "orders" in str(errors[1]) and "500" in str(errors[1])


def test_peers_7_after_a_delivery_timeout_the_producer_recovers_by_itself(server):
    with Producer(
        server.bootstrap_servers, delivery_timeout_ms=300, request_timeout_ms=100, linger_ms=0, retry_backoff_ms=10
    ) as producer:
        producer.send("orders", b"first", partition=0).result(WAIT_S)
        server.silence()
        error = producer.send("orders", b"lost", partition=0).exception(WAIT_S)
        assert isinstance(error, DeliveryTimeoutError) and error.written is WriteStatus.POSSIBLY
        server.call(server.cluster.faults.clear)
        while True:  # the answer to the lost one has to be given up first
            future = producer.send("orders", b"next", partition=0)
            if future.exception(WAIT_S) is None:
                break
    assert server.values("orders")[-1] == b"next"


def test_peers_6_after_a_record_that_is_too_large_the_next_has_the_right_sequence(server):
    server.call(lambda: server.cluster.configure("orders", max_message_bytes=500))
    with Producer(server.bootstrap_servers, linger_ms=0) as producer:
        assert producer.send("orders", b"a", partition=0).result(WAIT_S).offset == 0
        error = producer.send("orders", b"x" * 1000, partition=0).exception(WAIT_S)
        assert isinstance(error, MessageSizeTooLargeError) and error.written is WriteStatus.NO
        assert producer.send("orders", b"b", partition=0).result(WAIT_S).offset == 1
    assert server.values("orders") == [b"a", b"b"]


def test_cb_7_flush_3_a_split_batch_is_waited_for_to_its_last_part(server):
    server.call(lambda: server.cluster.configure("orders", max_message_bytes=1_000))
    heard = []
    with Producer(server.bootstrap_servers, linger_ms=60_000, batch_size=50_000) as producer:
        futures = [
            producer.send(
                "orders", b"%03d" % n + b"x" * 97, partition=0, on_delivery=lambda *a: heard.append(a[0].offset)
            )
            for n in range(60)
        ]
        many = producer.send_many("orders", [b"y" * 100] * 60, partition=0)
        completed = []
        with running(lambda: completed.extend(as_completed(futures, WAIT_S))):
            producer.flush(WAIT_S)
        assert [future.result(0).offset for future in futures] == heard == [*range(60)]
        assert {*completed} == {*futures}
        assert sum(found.count for found in many.result(0)) == 60
        assert producer._engine.accumulator.memory.used == 0


def test_what_is_fatal_raises_from_every_send_after_it(server):
    server.fail(ApiKey.PRODUCE, Fault.error(ErrorCode.CLUSTER_AUTHORIZATION_FAILED))
    with Producer(server.bootstrap_servers, linger_ms=0) as producer:
        assert producer.send("orders", b"a", partition=0).exception(WAIT_S) is not None
        producer.flush(WAIT_S)
        for _ in range(2):
            with pytest.raises(ProducerFatalError):
                producer.send("orders", b"b", partition=0)
        with pytest.raises(ProducerFatalError):
            producer.wait_ready()


# Many at once


def test_send_many_gives_the_ranges(server, producer):
    values = [b"%d" % number for number in range(10)]
    future = producer.send_many("orders", values, partition=1, headers=(pair for pair in [("h", b"1")]), timestamp_ms=5)
    ranges = future.result(WAIT_S)
    assert sum(found.count for found in ranges) == 10 and ranges[0].metadata(3) == (1, 3)
    assert server.values("orders", 1) == values
    assert all(
        tuple(record.headers) == (("h", b"1"),) and record.timestamp == 5 for record in server.records("orders", 1)
    )


def test_send_many_with_keys_goes_where_the_keys_go(server, producer):
    keys = [b"%d" % number for number in range(20)]
    ranges = producer.send_many("orders", keys, keys).result(WAIT_S)
    assert sorted(place for found in ranges for place in found.indices) == [*range(20)]
    for found in ranges:
        for at, place in enumerate(found.indices):
            partition, offset = found.metadata(at)
            assert server.values("orders", partition)[offset] == keys[place]


def test_send_many_of_nothing_and_of_unequal_lengths(producer):
    assert producer.send_many("orders", []).result(0) == ()
    with pytest.raises(ValueError, match="not 2 and 1"):
        producer.send_many("orders", [b"a"], [b"k", b"l"])


def test_send_many_cannot_be_cancelled(server, producer):
    producer.partitions_for("orders")
    server.stall()
    future = producer.send_many("orders", [b"a"], partition=0)
    assert not future.cancel()
    server.go_on()
    assert future.result(WAIT_S) == (RecordRange("orders", 0, 0, 1, (0,)),)


def test_send_many_raises_where_nothing_was_accepted(producer):
    with pytest.raises(SerializationError):
        producer.send_many("orders", [5, b"a"], partition=0)
    with pytest.raises(TypeError):
        producer.send_many("orders", [b"a"], headers={"a": b"1"})


class Odd(list):
    """A sequence that gives one thing that it does not have."""

    def __getitem__(self, place):
        if place == 1:
            raise RuntimeError("of no use")
        return list.__getitem__(self, place)


@pytest.mark.parametrize(
    ("values", "keys", "cause"),
    [([b"a", 5, b"c"], None, SerializationError), ([b"a", b"b", b"c"], Odd([b"", b"", b""]), RuntimeError)],
)
def test_send_many_says_which_were_not_even_accepted(server, producer, values, keys, cause):
    with pytest.raises(BulkDeliveryError) as raised:
        producer.send_many("orders", values, keys, partition=0).result(WAIT_S)
    assert raised.value.delivered == (RecordRange("orders", 0, 0, 1, (0,)),)
    ((places, error),) = raised.value.failed
    assert list(places) == [1, 2] and isinstance(error.cause, cause) and error.written is WriteStatus.NO
    assert server.values("orders") == [b"a"]


def test_a_batch_built_by_hand_goes_as_it_is(server, producer):
    builder = RecordBatchBuilder("gzip")
    for number in range(3):
        builder.append(5 + number, b"k", b"%d" % number, [("h", None)])
    heard = []
    future = producer.send_batch("orders", 2, builder, on_delivery=lambda *arguments: heard.append(arguments))
    assert future.result(WAIT_S) == RecordMetadata("orders", 2, 0, 5)
    producer.flush(WAIT_S)
    assert heard == [(future.result(0), None)]
    assert server.values("orders", 2) == [b"0", b"1", b"2"]
    with pytest.raises(EncodeError):
        builder.append(9, None, b"more")
    with pytest.raises(ValueError, match="at least one record"):
        producer.send_batch("orders", 2, RecordBatchBuilder())


# Waiting


def test_flush_1_nothing_lingers_while_somebody_flushes(server):
    with Producer(server.bootstrap_servers, linger_ms=60_000) as producer:
        futures = [producer.send("orders", b"a", partition=number) for number in range(3)]
        producer.flush()
        assert all(future.done() for future in futures)
        future = producer.send("orders", b"later", partition=0)
        assert producer._engine.accumulator.flushes == 0 and not future.done()
        producer.flush(WAIT_S)


def test_flush_1_what_is_sent_meanwhile_is_not_waited_for(server):
    """Or a thread that goes on sending would keep another in flush for ever."""
    with Producer(server.bootstrap_servers, linger_ms=0) as producer:
        producer.partitions_for("orders")
        stop, sent = threading.Event(), threading.Event()

        def sends():
            while not stop.is_set():
                producer.send("orders", b"more", partition=0)
                sent.set()

        with running(sends):
            assert sent.wait(WAIT_S)
            try:
                for _ in range(5):
                    producer.flush(WAIT_S)
            finally:
                stop.set()


def test_flush_2_it_does_not_raise_what_failed(server):
    server.fail(ApiKey.PRODUCE, Fault.error(ErrorCode.INVALID_REQUEST), times=None)
    with Producer(server.bootstrap_servers) as producer:
        future = producer.send("orders", b"a", partition=0)
        producer.flush(WAIT_S)
        assert future.exception(0) is not None


def test_flush_says_how_many_are_left_when_its_time_is_over(server, producer):
    producer.partitions_for("orders")
    producer.flush(0)
    server.stall()
    futures = [producer.send("orders", b"a", partition=number) for number in (0, 0, 1)]
    with pytest.raises(KafkaTimeoutError, match="flush: 3 records are not delivered yet"):
        producer.flush(0.01)
    assert producer._engine.accumulator.flushes == 0
    server.go_on()
    producer.flush(WAIT_S)
    assert all(future.done() for future in futures)


def test_flush_waits_for_the_callbacks(server, producer):
    heard, enter, leave = [], threading.Event(), threading.Event()

    def callback(metadata, error):
        enter.set()
        assert leave.wait(WAIT_S)
        heard.append(metadata.offset)

    with running(lambda: producer.send("orders", b"a", partition=0, on_delivery=callback).result(WAIT_S)):
        assert enter.wait(WAIT_S)
        with pytest.raises(KafkaTimeoutError, match="flush: 1 records"):
            producer.flush(0.01)
        leave.set()
    producer.flush(WAIT_S)
    assert heard == [0]


def test_a_flush_that_is_interrupted_before_it_begins_ends_nothing(producer, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(producer._engine.accumulator, "begin_flush", interrupted)
    with pytest.raises(KeyboardInterrupt):
        producer.flush()
    assert producer._engine.accumulator.flushes == 0


def test_several_flush_at_once(server):
    with Producer(server.bootstrap_servers, linger_ms=60_000) as producer:
        future = producer.send("orders", b"a", partition=0)
        with running(*[lambda: producer.flush(WAIT_S)] * 4):
            pass
        assert future.done() and producer._engine.accumulator.flushes == 0


def test_flush_4_in_a_callback_it_raises(server, producer):
    found = []

    def callback(metadata, error):
        with pytest.raises(RuntimeError, match="flush in a callback"):
            producer.flush()
        found.append(1)

    producer.send("orders", b"a", on_delivery=callback)
    producer.flush(WAIT_S)
    assert found == [1]


def test_flush_in_a_callback_of_another_producer_waits(server, producer):
    found = []
    with Producer(server.bootstrap_servers, linger_ms=60_000) as other:

        def callback(metadata, error):
            future = other.send("orders", b"b", partition=1)
            other.flush(WAIT_S)
            found.append(future.done())

        producer.send("orders", b"a", partition=0, on_delivery=callback)
        producer.flush(WAIT_S)
    assert found == [True]


def test_pf_1_partitions_for_waits_and_raises(server):
    with Producer(server.bootstrap_servers, max_block_ms=50) as producer:
        producer.wait_ready(WAIT_S)
        with pytest.raises(KafkaTimeoutError, match="metadata of topic missing"):
            producer.partitions_for("missing")
        with pytest.raises(TypeError):
            producer.partitions_for(None)
    with Producer(server.bootstrap_servers) as producer:
        assert [known.partition for known in producer.partitions_for("orders")] == [0, 1, 2]
    with pytest.raises(ProducerClosedError):
        producer.partitions_for("orders")


def test_wait_ready(server):
    producer = Producer(server.bootstrap_servers)
    producer.wait_ready()
    producer.wait_ready(0)
    producer.close()
    with pytest.raises(ProducerClosedError):
        producer.wait_ready()


def test_wait_ready_without_a_producer_id_says_why(server):
    server.fail(ApiKey.INIT_PRODUCER_ID, Fault.error(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS), times=None)
    with Producer(server.bootstrap_servers, retry_backoff_ms=5, max_block_ms=200) as producer:
        with pytest.raises(KafkaTimeoutError) as raised:
            producer.wait_ready()
        assert raised.value.cause is not None and raised.value.timeout_ms == 200


def test_close_1_a_negative_timeout_is_an_error_and_closes_nothing(server, producer):
    with pytest.raises(ValueError, match="seconds from 0"):
        producer.close(-1)
    assert producer.send("orders", b"a", partition=0).result(WAIT_S).offset == 0


def test_metrics_and_the_name(server, producer):
    producer.send("orders", b"a", partition=0).result(WAIT_S)
    producer.flush()
    found = {name.name: value for name, value in producer.metrics().items()}
    assert found["record-send-total"] == 1 and found["flush-time-ns-total"] > 0
    assert repr(producer) == f"<Producer to {server.bootstrap_servers}>"


def test_a_config_that_cannot_be_raises_and_starts_nothing():
    before = threading.active_count()
    with pytest.raises(ConfigError, match="did you mean"):
        Producer("127.0.0.1:1", linger=5)
    assert threading.active_count() == before


def test_many_threads_send_and_each_finds_its_records_in_its_order(server):
    with Producer(server.bootstrap_servers, linger_ms=1, batch_size=500, buffer_memory=30_000) as producer:
        found = {}

        def sends(name):
            def send():
                futures = [producer.send("orders", b"%s %d" % (name, n), partition=n % 3) for n in range(200)]
                found[name] = [future.result(WAIT_S) for future in futures]

            return send

        with running(*(sends(name) for name in (b"a", b"b", b"c", b"d"))):
            pass
        producer.flush(WAIT_S)
        assert producer._engine.accumulator.memory.used == 0
    logs = {number: server.values("orders", number) for number in range(3)}
    assert sum(len(log) for log in logs.values()) == 800
    for name, places in found.items():
        for number, metadata in enumerate(places):
            assert logs[metadata.partition][metadata.offset] == b"%s %d" % (name, number)
        for partition in range(3):
            offsets = [metadata.offset for metadata in places if metadata.partition == partition]
            assert offsets == sorted(offsets)


def test_a_connection_that_breaks_in_the_middle_doubles_and_loses_nothing(server):
    for point in (FaultPoint.BEFORE_APPEND, FaultPoint.AFTER_APPEND):
        server.fail(ApiKey.PRODUCE, Fault.close(point))
    with Producer(server.bootstrap_servers, linger_ms=0, retry_backoff_ms=5, reconnect_backoff_ms=5) as producer:
        futures = [producer.send("orders", b"%d" % number, partition=0) for number in range(50)]
        producer.flush(WAIT_S)
        assert [future.result(0).offset for future in futures] == [*range(50)]
    assert server.values("orders") == [b"%d" % number for number in range(50)]


def test_compressed_batches_really_are(server):
    with Producer(server.bootstrap_servers, compression_type="gzip", linger_ms=60_000) as producer:
        for _ in range(20):
            producer.send("orders", b"x" * 500, partition=0)
        producer.flush(WAIT_S)
        found = {name.name: value for name, value in producer.metrics().items()}
    assert found["compression-rate-avg"] < 0.1
    assert len(server.values("orders")) == 20
