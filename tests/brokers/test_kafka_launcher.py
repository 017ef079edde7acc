"""The launcher itself: a broker that takes and gives a record, and what is left when it is gone or never came."""

from __future__ import annotations

import socket

import pytest
from brokers.kafka import ApacheKafka, cluster_id, free_ports
from brokers.wire_session import WireSession, batch, metadata_request, produce_request
from confluent_kafka import Consumer, Producer, TopicPartition

from kproto.wire import ErrorCode

pytestmark = [pytest.mark.broker, pytest.mark.java]

SCRAM = {
    "sasl.enabled.mechanisms": "SCRAM-SHA-256",
    "listener.name.sasl.scram-sha-256.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
}


def produced(settings, topic, value):
    """The offset that a record got, or the error."""
    reports = []
    producer = Producer({"message.timeout.ms": 20_000, "log_level": 0, **settings})
    producer.produce(topic, value, on_delivery=lambda error, message: reports.append(error or message.offset()))
    assert producer.flush(30) == 0
    return reports


def consumed(settings, topic):
    consumer = Consumer({"group.id": "check", "enable.auto.commit": False, "log_level": 0, **settings})
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(20)
    consumer.close()
    assert message is not None and message.error() is None
    return message.offset(), message.value()


def test_a_record_goes_in_and_comes_out_and_nothing_stays():
    with ApacheKafka(listeners={"SASL": "SASL_PLAINTEXT"}, settings=SCRAM, scram={"alice": "alice-secret"}) as kafka:
        kafka.create_topic("orders", **{"retention.ms": "-1"})
        plain = {"bootstrap.servers": kafka.bootstrap_servers}
        login = {
            "bootstrap.servers": kafka.address("SASL"),
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-256",
            "sasl.username": "alice",
            "sasl.password": "alice-secret",
        }
        assert produced(login, "orders", b"through a login") == [0]
        assert produced(plain, "orders", b"without one") == [1]
        assert consumed(plain, "orders") == (0, b"through a login")
    assert not kafka.folder.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", kafka.port), timeout=5)
    kafka.close()


def test_a_topic_that_was_created_is_led_at_once():
    """A plain socket does not try again, as librdkafka would."""
    broken = bytearray(batch([b"value"]))
    broken[-3] ^= 1
    with ApacheKafka() as kafka, WireSession(kafka.bootstrap_servers) as session:
        for index in range(30):
            topic = f"ready-{index}"
            kafka.create_topic(topic, 2)
            (found,) = session.ask(metadata_request(topic), 13).topics
            assert (found.error_code, [partition.leader_id for partition in found.partitions]) == (0, [0, 0])
            response = session.ask(produce_request(topic, None, 9, bytes(broken)), 9)
            assert response.responses[0].partition_responses[0].error_code == ErrorCode.CORRUPT_MESSAGE


def test_a_broker_that_ends_at_once_tells_why_and_leaves_nothing():
    kafka = ApacheKafka(settings={"log.cleanup.policy": "burn"})
    with pytest.raises(RuntimeError, match=r"(?s)StorageTool.*log\.cleanup\.policy"), kafka:
        pass
    assert not kafka.folder.exists()


def test_a_broker_whose_port_is_taken_tells_why():
    kafka = ApacheKafka()
    with socket.socket() as other:
        other.bind(("127.0.0.1", kafka.controller_port))
        other.listen()
        with pytest.raises(RuntimeError, match=r"(?s)did not answer.*Address already in use"), kafka:
            pass
    assert not kafka.folder.exists()


def test_free_ports_are_different_ones():
    assert len(set(free_ports(50))) == 50


def test_a_cluster_id_is_no_option():
    made = [cluster_id() for _ in range(300)]  # one uuid of 64 begins with -
    assert all(len(one) == 22 and not one.startswith("-") for one in made)
