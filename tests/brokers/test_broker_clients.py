"""Clients of other hands on the judge: they produce and read back, and do under its faults what docs/broker.md says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from brokers.client_scenarios import SCENARIOS, Outcome, committed, run, versions
from brokers.scenario_client import CLIENTS

from kproto.producer import Producer
from kproto.tools.broker import Broker
from kproto.wire import ErrorCode

pytestmark = pytest.mark.broker

PAGE = Path(__file__).parents[2] / "docs" / "broker.md"
SECONDS = 30
RECORDS = 300
PARTITIONS = 3
HEADERS = [("trace", b"1")]


@pytest.fixture(params=["none", "gzip", "snappy", "lz4", "zstd"])
def filled(request):
    """A broker with records of kproto's, in each codec: those of a partition count up from its number in threes."""
    with Broker({"orders": PARTITIONS}, nodes=2) as broker:
        with Producer(broker.bootstrap_servers, compression_type=request.param) as producer:
            for number in range(RECORDS):
                producer.send("orders", b"%d" % number, partition=number % PARTITIONS, headers=HEADERS)
            assert producer.flush(SECONDS) is None
        yield broker


def check(found):
    """found: (partition, offset, value) of each."""
    assert sorted(found) == [
        (index, at, b"%d" % (index + PARTITIONS * at))
        for index in range(PARTITIONS)
        for at in range(RECORDS // PARTITIONS)
    ]


def test_confluent_kafka_reads_back(filled):
    from confluent_kafka import Consumer, TopicPartition

    servers = {"bootstrap.servers": filled.bootstrap_servers}
    consumer = Consumer({**servers, "group.id": "g", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition("orders", index, 0) for index in range(PARTITIONS)])
        found = []
        while len(found) < RECORDS:
            messages = consumer.consume(RECORDS, SECONDS / 3)
            assert messages and not [one.error() for one in messages if one.error() is not None]
            assert messages[0].headers() == HEADERS
            found += [(one.partition(), one.offset(), one.value()) for one in messages]
        assert consumer.get_watermark_offsets(TopicPartition("orders", 0), SECONDS) == (0, 100)
    finally:
        consumer.close()
    check(found)


def test_kafka_python_reads_back(filled):
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(
        bootstrap_servers=filled.bootstrap_servers,
        group_id=None,
        auto_offset_reset="earliest",
        consumer_timeout_ms=9000,
    )
    partitions = [TopicPartition("orders", index) for index in range(PARTITIONS)]
    try:
        consumer.assign(partitions)
        found = [next(consumer) for _ in range(RECORDS)]
        assert consumer.end_offsets(partitions) == dict.fromkeys(partitions, 100)
    finally:
        consumer.close()
    check([(one.partition, one.offset, one.value) for one in found])


def test_aiokafka_reads_back(filled):
    from aiokafka import AIOKafkaConsumer, TopicPartition

    async def read():
        consumer = AIOKafkaConsumer(bootstrap_servers=filled.bootstrap_servers, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([TopicPartition("orders", index) for index in range(PARTITIONS)])
            return [await asyncio.wait_for(consumer.getone(), SECONDS) for _ in range(RECORDS)]
        finally:
            await consumer.stop()

    check([(one.partition, one.offset, one.value) for one in asyncio.run(read())])


def test_admins_make_and_delete_topics():
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient, NewTopic
    from kafka.admin import KafkaAdminClient
    from kafka.admin import NewTopic as Topic

    with Broker(nodes=2) as broker:
        one = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        wanted = NewTopic("orders", 3, 2, config={"max.message.bytes": "2000"})
        one.create_topics([wanted])["orders"].result(SECONDS)
        with pytest.raises(KafkaException) as raised:
            one.create_topics([wanted])["orders"].result(SECONDS)
        assert raised.value.args[0].code() == ErrorCode.TOPIC_ALREADY_EXISTS
        other = KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        other.create_topics([Topic("payments", 2, 1)])
        other.close()
        topics = broker.cluster.image.topics
        assert {name: len(topic.partitions) for name, topic in topics.items()} == {"orders": 3, "payments": 2}
        assert topics["orders"].config.max_message_bytes == 2000
        one.delete_topics(["orders"])["orders"].result(SECONDS)
        assert set(broker.cluster.image.topics) == {"payments"}


TRIED, CELLS = committed(PAGE.read_text(encoding="utf-8"))


def test_the_page_tells_of_each():
    assert set(CELLS) == {(scenario.name, client) for scenario in SCENARIOS for client in CLIENTS}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
@pytest.mark.parametrize("client", CLIENTS)
def test_what_becomes_of_a_client_is_what_the_page_says(client, scenario):
    """kproto's is so in any version; what others do is compared in the versions that the page tells of."""
    if client != "kproto" and versions() != TRIED:
        pytest.skip(f"the page tells of {TRIED}, here are {versions()}")
    found = run(client, scenario)
    cell = CELLS[scenario.name, client]
    if client in scenario.varies:
        assert found.outcome in scenario.varies[client]
    else:
        assert found.cell == cell
    if client == "kproto":
        assert found.outcome in (Outcome.SURVIVES, Outcome.FAILS)
        assert not found.violations


def test_the_page_has_no_failure_of_ours_but_for_time():
    ours = {name: cell for (name, client), cell in CELLS.items() if client == "kproto" and cell != "survives"}
    assert ours == {"delivery timeout after retry": "fails: DeliveryTimeoutError"}
