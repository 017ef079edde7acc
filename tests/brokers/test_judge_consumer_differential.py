"""The judge of kproto.tools.judge against Apache Kafka: what consumers and administrators are answered."""

from __future__ import annotations

from itertools import count

import pytest
from brokers.kafka import ApacheKafka
from brokers.test_judge_differential import JudgeSession, agree, batch
from brokers.wire_session import KEEP, LONG_AGO_MS, WireSession
from hypothesis import given, settings
from hypothesis import strategies as st
from tools.judge.judging import ANSWERS, fetch_request, list_request, produce_request

from kproto.tools.judge import JudgeCluster, Node
from kproto.tools.judge.topic_messages import CreateTopicsRequest, DeleteTopicsRequest
from kproto.wire import decode_response, encode_request
from kproto.wire.records import read_record_batches

pytestmark = [pytest.mark.broker, pytest.mark.java]

EXAMPLES = 60
PARTITIONS = 2
names = count()


class Reading:
    """`ask`, also of what only the judge declares."""

    def ask(self, request, version):
        if request.api_key not in ANSWERS:
            return super().ask(request, version)
        payload = self.exchange(encode_request(request, version, correlation_id=7, client_id="kproto"))
        return decode_response(payload, ANSWERS[request.api_key], version)[1]


class KafkaReading(Reading, WireSession):
    pass


class JudgeReading(Reading, JudgeSession):
    pass


class Pair:
    """Kafka and the judge, in step."""

    def __init__(self, kafka):
        host, _, port = kafka.bootstrap_servers.rpartition(":")
        self.cluster = JudgeCluster({0: Node(host, int(port))}, epoch_ms=LONG_AGO_MS, auto_create_partitions=3)
        self.ends = KafkaReading(kafka.bootstrap_servers), JudgeReading(self.cluster)

    def ask(self, request, version):
        return [end.ask(request, version) for end in self.ends]

    def new_topic(self, **config):
        """Made by both; its name."""
        name = f"topic-{next(names)}"
        setting = CreateTopicsRequest.CreatableTopicConfig
        configs = [setting(name=key, value=value) for key, value in {**KEEP, **config}.items()]
        asked = CreateTopicsRequest.CreatableTopic(
            name=name, num_partitions=PARTITIONS, replication_factor=1, configs=configs
        )
        for answer in self.ask(CreateTopicsRequest(topics=[asked]), 7):
            assert answer.topics[0].error_code == 0
        for index in range(PARTITIONS):
            while self.ends[0].ask(list_request(name, index, -1), 7).topics[0].partitions[0].error_code:
                pass  # until the broker has heard of it, which takes milliseconds
        return name

    def append(self, topic, partition, records):
        for answer in self.ask(produce_request({topic: {partition: records}}), 12):
            assert answer.responses[0].partition_responses[0].error_code == 0


@pytest.fixture(scope="module")
def pair():
    with ApacheKafka() as kafka:
        opened = Pair(kafka)
        yield opened
        opened.ends[0].socket.close()


@pytest.fixture(scope="module")
def topic(pair):
    return pair.new_topic()


def fetched(answer):
    """Their order says nothing: Kafka has those that it does not know behind the others."""
    found = [one.to_dict() for topic in answer.responses for one in topic.partitions]
    return sorted(found, key=lambda one: one["partition_index"])


def listed(answer):
    return [one.to_dict() for topic in answer.topics for one in topic.partitions]


CODECS = st.sampled_from(["none", "gzip", "lz4", "zstd"])
BATCHES = st.lists(st.tuples(st.integers(0, PARTITIONS - 1), st.integers(1, 4), CODECS, st.integers(0, 20)), max_size=6)
ASKED = st.lists(st.tuples(st.integers(-1, PARTITIONS), st.integers(-1, 12)), min_size=1, max_size=3)


@settings(max_examples=EXAMPLES)
@given(
    batches=BATCHES,
    asked=st.lists(
        st.tuples(ASKED, st.integers(4, 12), st.integers(0, 700), st.integers(0, 400), st.sampled_from([-1, -1, 0, 1])),
        max_size=8,
    ),
)
def test_what_is_read_is_what_kafka_reads(pair, batches, asked):
    """Whole batches and cut ones, errors and sizes; byte for byte."""
    topic = pair.new_topic()
    for partition, records, codec, at_ms in batches:
        pair.append(topic, partition, batch(records=records, compression=codec, at_ms=LONG_AGO_MS + at_ms))
    for where, version, max_bytes, partition_max_bytes, epoch in asked:
        request = fetch_request(
            *((topic, partition, offset) for partition, offset in dict(where).items()),
            max_bytes=max_bytes,
            partition_max_bytes=partition_max_bytes,
            epoch=epoch if version >= 9 else -1,
        )
        agree([fetched(answer) for answer in pair.ask(request, version)])


@settings(max_examples=EXAMPLES)
@given(batches=BATCHES, asked=st.lists(st.tuples(st.integers(-1, PARTITIONS), st.integers(-3, 25)), max_size=10))
def test_offsets_by_time_are_kafkas(pair, batches, asked):
    topic = pair.new_topic()
    for partition, records, codec, at_ms in batches:
        pair.append(topic, partition, batch(records=records, compression=codec, at_ms=LONG_AGO_MS + at_ms))
    for partition, time in asked:
        timestamp = time if time < 0 else LONG_AGO_MS + time
        for version in (7,) if time == -3 else (1, 4, 7):
            agree([listed(answer) for answer in pair.ask(list_request(topic, partition, timestamp), version)])


@pytest.mark.parametrize("epoch", [-1, 0, 1])
def test_leader_epochs(pair, topic, epoch):
    agree([listed(answer) for answer in pair.ask(list_request(topic, 0, -1, epoch), 7)])


def test_what_is_not_there(pair):
    agree([fetched(answer) for answer in pair.ask(fetch_request(("lost", 0, 0)), 12)])
    agree([listed(answer) for answer in pair.ask(list_request("lost", 0, -1), 7)])


def test_the_brokers_time_is_in_the_batch(pair):
    """LogValidator: the attribute and the greatest timestamp, and so the checksum; all else stays."""
    topic = pair.new_topic(**{"message.timestamp.type": "LogAppendTime"})
    pair.append(topic, 0, batch(records=3))
    found = []
    for answer in pair.ask(fetch_request((topic, 0, 0)), 12):
        data = bytearray(answer.responses[0].partitions[0].records)
        (one,) = read_record_batches(bytes(data))
        one.check_crc()
        assert {record.timestamp for record in one} == {one.max_timestamp}
        assert one.max_timestamp >= LONG_AGO_MS
        data[17:21] = bytes(4)  # the checksum
        data[35:43] = bytes(8)  # the time
        found.append(bytes(data))
    agree(found)


def test_a_repeated_batch_is_read_once(pair):
    """IDEM-10"""
    topic = pair.new_topic()
    for stamp in ((6_000, 0, 0), (6_000, 0, 0), (6_000, 0, 3), (6_001, 2, 0)):
        pair.append(topic, 0, batch(stamp, 3))
    agree([fetched(answer) for answer in pair.ask(fetch_request((topic, 0, 0)), 12)])


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"num_partitions": 0},
        {"num_partitions": -2},
        {"replication_factor": 2},
        {"replication_factor": 0},
        {"num_partitions": -1, "replication_factor": -1},
        {"name": "a b"},
        {"name": "."},
        {"name": "x" * 250},
        {"name": ""},
        {"configs": [CreateTopicsRequest.CreatableTopicConfig(name="max.message.bytes", value="x")]},
        {"configs": [CreateTopicsRequest.CreatableTopicConfig(name="message.timestamp.type", value="Never")]},
    ],
    ids=str,
)
@pytest.mark.parametrize("version", [2, 5, 7])
def test_new_topics(pair, fields, version):
    asked = {"name": f"made-{next(names)}", "num_partitions": 1, "replication_factor": 1, **fields}

    def told(answer):
        (one,) = answer.topics
        return one.name, one.error_code, one.num_partitions, one.replication_factor

    request = CreateTopicsRequest(topics=[CreateTopicsRequest.CreatableTopic(**asked)], timeout_ms=30_000)
    agree([told(answer) for answer in pair.ask(request, version)])


def test_topics_twice(pair, topic):
    one = CreateTopicsRequest.CreatableTopic(name="twice", num_partitions=1, replication_factor=1)
    there = CreateTopicsRequest.CreatableTopic(name=topic, num_partitions=1, replication_factor=1)
    for topics in ([one, one], [there]):
        for validate_only in (True, False):
            request = CreateTopicsRequest(topics=topics, timeout_ms=30_000, validate_only=validate_only)
            agree([{each.name: each.error_code for each in answer.topics} for answer in pair.ask(request, 7)])


@pytest.mark.parametrize("version", range(1, 6))
def test_deleted_topics(pair, version):
    request = DeleteTopicsRequest(topic_names=[pair.new_topic(), "lost"], timeout_ms=30_000)
    agree([{each.name: each.error_code for each in answer.responses} for answer in pair.ask(request, version)])
