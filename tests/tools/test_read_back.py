"""The checks of the demonstration: each of them can fail, and says how much is wrong."""

from __future__ import annotations

import sys

import pytest

from kproto.tools.read_back import Librdkafka, MissingPackageError, ReadBack, checks
from kproto.wire import KafkaError

SENT = [(b"k%d" % (number % 2), b"v%d" % number) for number in range(6)]
DELIVERED = {number: (number % 2, number // 2) for number in range(6)}
FOUND = [ReadBack(number % 2, number // 2, *SENT[number]) for number in (0, 2, 4, 1, 3, 5)]
NAMES = ["all acknowledged", "all read back", "none twice", "in order", "where the producer said"]


def failed(delivered=DELIVERED, found=FOUND):
    results = checks(SENT, delivered, found)
    assert [check.name for check in results] == NAMES
    return {check.name: check.found for check in results if not check.holds}


def test_all_is_well():
    assert failed() == {}


def test_one_was_not_acknowledged():
    delivered = {number: place for number, place in DELIVERED.items() if number != 3}
    assert failed(delivered) == {"all acknowledged": "5 of 6", NAMES[4]: "1 elsewhere, or with other bytes"}


def test_one_is_missing():
    assert failed(found=FOUND[:-1]) == {
        "all read back": "5 read, 1 missing",
        NAMES[4]: "1 elsewhere, or with other bytes",
    }


def test_one_is_there_twice():
    again = ReadBack(0, 3, *SENT[4])
    assert failed(found=[*FOUND[:3], again, *FOUND[3:]]) == {
        "none twice": "1 doubled, 0 that nobody sent",
        "in order": "1 out of order in 2 partitions",
    }


def test_one_that_nobody_sent():
    strange = ReadBack(0, 3, b"k", b"other")
    assert failed(found=[*FOUND[:3], strange, *FOUND[3:]])["none twice"] == "0 doubled, 1 that nobody sent"


def test_two_have_changed_their_places():
    swapped = [ReadBack(0, 0, *SENT[2]), ReadBack(0, 1, *SENT[0]), *FOUND[2:]]
    assert failed(found=swapped) == {
        "in order": "1 out of order in 2 partitions",
        NAMES[4]: "2 elsewhere, or with other bytes",
    }


def test_another_key():
    assert failed(found=[ReadBack(0, 0, b"other", b"v0"), *FOUND[1:]]) == {NAMES[4]: "1 elsewhere, or with other bytes"}


def test_without_confluent_kafka_there_is_advice(monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'kproto\[demo\]', or kproto demo --recorded"):
        Librdkafka({"bootstrap_servers": "localhost:1"})


def test_a_cluster_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr("kproto.tools.read_back.ADMIN_S", 0.2)
    with pytest.raises(KafkaError, match="topic orders cannot be made: "):
        Librdkafka({"bootstrap_servers": "127.0.0.1:1"}).create_topic("orders", 1)


def test_security_settings_are_handed_on():
    made = Librdkafka(
        {"bootstrap_servers": "127.0.0.1:1", "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"}
        | {"sasl_username": "alice", "sasl_password": "secret", "linger_ms": 5}
    )
    assert made._settings == {
        "bootstrap.servers": "127.0.0.1:1",
        "log_level": 0,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "alice",
        "sasl.password": "secret",
    }
