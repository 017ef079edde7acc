"""The producer against two brokers of other hands: Tansu, and librdkafka's mock cluster with its faults."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from brokers.consumed import ReadRecord, read_topic
from brokers.mock_cluster import TRANSPORT, MockCluster
from brokers.tansu import Tansu
from brokers.wire_session import LONG_AGO_MS
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from kproto.client import TopicPartition
from kproto.producer import DeliveryError, DeliveryTimeoutError, MessageSizeTooLargeError, Producer, WriteStatus
from kproto.wire import ApiKey, ErrorCode

pytestmark = pytest.mark.broker

SECONDS = 30
HEADERS = (("trace", b"1"), ("none", None), ("empty", b""))


def ends(futures):
    """Partition -> the offset after its last acknowledged record."""
    found = Counter()
    for future in futures:
        metadata = future.result(SECONDS)
        found[metadata.partition] = max(found[metadata.partition], metadata.offset + 1)
    return found


class TestTansu:
    @pytest.fixture(scope="class")
    @classmethod
    def tansu(cls):
        with Tansu() as broker:
            yield broker

    @pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
    def test_each_codec_comes_back(self, tansu, codec):
        admin = AdminClient({"bootstrap.servers": tansu.bootstrap_servers, "log_level": 0})
        for created in admin.create_topics([NewTopic(codec, 3, 1)]).values():
            created.result(timeout=SECONDS)
        with Producer(tansu.bootstrap_servers, compression_type=codec) as producer:
            futures = [
                producer.send(
                    codec,
                    b"value %d" % index,
                    b"%d" % (index % 17),
                    timestamp_ms=LONG_AGO_MS + index,
                    headers=HEADERS,
                )
                for index in range(300)
            ]
            producer.flush(SECONDS)
        log = read_topic(tansu.bootstrap_servers, codec, ends=ends(futures))
        assert sum(map(len, log.values())) == 300
        for index, future in enumerate(futures):
            metadata = future.result(0)
            found = log[metadata.partition][metadata.offset]
            assert found[:4] == (metadata.offset, LONG_AGO_MS + index, b"%d" % (index % 17), b"value %d" % index)
            assert found.headers == HEADERS


class TestMockCluster:
    @pytest.fixture
    def mock(self):
        with MockCluster(brokers=3) as started:
            started.create_topic("orders", 3)
            for partition in range(3):
                started.set_leader("orders", partition, partition + 1)
            yield started

    @staticmethod
    def check(mock, futures):
        """It does not look at sequences, so what was sent twice is there twice."""
        log = read_topic(mock.bootstrap_servers, "orders", ends=ends(futures))
        for index, future in enumerate(futures):
            metadata = future.result(0)
            found = log[metadata.partition][metadata.offset]
            assert isinstance(found, ReadRecord) and found.value == b"%d" % index
        assert sum(map(len, log.values())) == len(futures)

    @staticmethod
    def send(producer, count=300):
        return [producer.send("orders", b"%d" % index, partition=index % 3) for index in range(count)]

    @pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
    def test_each_codec_comes_back(self, mock, codec):
        with Producer(mock.bootstrap_servers, compression_type=codec) as producer:
            futures = self.send(producer)
            producer.flush(SECONDS)
        self.check(mock, futures)

    @pytest.mark.parametrize(
        "codes",
        [
            [ErrorCode.NOT_LEADER_OR_FOLLOWER],
            [ErrorCode.LEADER_NOT_AVAILABLE, ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.REQUEST_TIMED_OUT],
            [TRANSPORT],
            [ErrorCode.NOT_LEADER_OR_FOLLOWER, TRANSPORT, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, TRANSPORT],
        ],
        ids=lambda codes: " ".join(map(str, codes)),
    )
    def test_requests_that_fail_are_sent_again(self, mock, codes):
        """The mock answers with the error in place of the append, so nothing is doubled here."""
        with Producer(mock.bootstrap_servers, retry_backoff_ms=20, batch_size=200) as producer:
            producer.wait_ready(SECONDS)
            mock.push_errors(ApiKey.PRODUCE, codes)
            futures = self.send(producer)
            producer.flush(SECONDS)
        self.check(mock, futures)

    def test_a_leader_that_moves(self, mock):
        futures = []
        with Producer(mock.bootstrap_servers, retry_backoff_ms=20) as producer:
            for leader in (1, 2, 3, 1):
                mock.set_leader("orders", 0, leader)
                futures += [producer.send("orders", b"%d" % (len(futures) + at), partition=0) for at in range(50)]
                producer.flush(SECONDS)
        self.check(mock, futures)

    def test_a_broker_that_is_away_for_a_while(self, mock):
        with Producer(mock.bootstrap_servers, retry_backoff_ms=20, reconnect_backoff_max_ms=100) as producer:
            producer.wait_ready(SECONDS)
            mock.set_down(1)
            futures = self.send(producer)
            for index, future in enumerate(futures):
                if index % 3:  # of the others
                    future.result(SECONDS)
            assert not futures[0].done()
            mock.set_up(1)
            producer.flush(SECONDS)
        self.check(mock, futures)

    def test_an_error_that_no_retry_cures(self, mock):
        with Producer(mock.bootstrap_servers) as producer:
            producer.wait_ready(SECONDS)
            mock.push_errors(ApiKey.PRODUCE, [ErrorCode.MESSAGE_TOO_LARGE])
            error = producer.send("orders", b"value", partition=1).exception(SECONDS)
            assert type(error) is MessageSizeTooLargeError
            assert (error.partition, error.written) == (TopicPartition("orders", 1), WriteStatus.NO)
            assert producer.send("orders", b"value", partition=1).result(SECONDS).offset == 0

    def test_acks_0(self, mock):
        with Producer(mock.bootstrap_servers, acks=0) as producer:
            futures = self.send(producer, 30)
            producer.flush(SECONDS)
        assert {future.result(0).offset for future in futures} == {-1}
        log = read_topic(mock.bootstrap_servers, "orders", ends=dict.fromkeys(range(3), 10))
        for partition, found in log.items():
            assert [int(record.value) for record in found] == list(range(partition, 30, 3))

    def test_a_producer_id_takes_its_time(self, mock):
        mock.push_errors(ApiKey.INIT_PRODUCER_ID, [ErrorCode.COORDINATOR_LOAD_IN_PROGRESS] * 3)
        with Producer(mock.bootstrap_servers, retry_backoff_ms=20) as producer:
            futures = self.send(producer, 30)
            producer.flush(SECONDS)
        self.check(mock, futures)

    def test_all_brokers_gone_at_close(self, mock):
        with Producer(mock.bootstrap_servers) as producer:
            producer.send("orders", b"value").result(SECONDS)
            mock.set_down()
            futures = self.send(producer)
            began = time.monotonic()
            abandoned = producer.close(1.0)
            took = time.monotonic() - began
        assert abandoned == 300
        assert took < 1.2, took
        assert all(isinstance(future.exception(0), DeliveryError) for future in futures)

    def test_a_delivery_that_takes_too_long(self, mock):
        """And after it, the producer goes on by itself (python-peers 7, 7)."""
        settings = {"delivery_timeout_ms": 900, "request_timeout_ms": 400, "linger_ms": 0, "retry_backoff_ms": 20}
        with Producer(mock.bootstrap_servers, **settings) as producer:
            producer.send("orders", b"first", partition=0).result(SECONDS)
            mock.set_rtt(3_000, 1)
            late = producer.send("orders", b"late", partition=0)
            error = late.exception(SECONDS)
            assert type(error) is DeliveryTimeoutError and error.written is WriteStatus.POSSIBLY
            mock.set_rtt(0, 1)
            deadline = time.monotonic() + SECONDS
            while True:
                try:
                    producer.send("orders", b"next", partition=0).result(SECONDS)
                    break
                except DeliveryTimeoutError:
                    assert time.monotonic() < deadline
