"""The names of other clients: every one of Kafka's and librdkafka's is mapped or explained, and none is made up."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from brokers.judge import Judge
from brokers.mock_cluster import librdkafka

from kproto.client.settings import settings_of
from kproto.producer.config import ProducerConfig
from kproto.producer.property_names import (
    COMPOSED,
    KNOWN,
    REFUSALS,
    SETTING_OF,
    SPELLINGS,
    advice_for,
    key_of,
    refusal_of,
)

REFUSED = [name for refusal in REFUSALS for name in refusal.names]
NO_PROPERTY_OF_LIBRDKAFKA = {"default.topic.config", "on_delivery", "logger", "oauth_cb"}  # of confluent-kafka's own
HIDDEN = {"client.software.name", "client.software.version", "test.mock."}  # not in what librdkafka shows
OLD_OR_OF_CONSUMERS = {
    "auto.include.jmx.reporter",  # until Kafka 4
    "fetch.max.wait.ms",
    "key.deserializer",
    "value.deserializer",
}


@pytest.fixture(scope="module")
def kafka() -> Iterator[set[str]]:
    with Judge() as judge:
        yield set(judge.settings())


@cache
def librdkafka_names(folder: Path) -> frozenset[str]:
    """What the library prints of itself."""
    if sys.platform == "win32":
        pytest.skip("a FILE of C is needed")
    path = folder / "properties"
    c = ctypes.CDLL(None)
    c.fopen.restype, c.fopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_char_p]
    c.fclose.argtypes = [ctypes.c_void_p]
    show = librdkafka().rd_kafka_conf_properties_show
    show.restype, show.argtypes = None, [ctypes.c_void_p]
    stream = c.fopen(str(path).encode(), b"w")
    show(stream)
    c.fclose(stream)
    rows = [line.split("|") for line in path.read_text().splitlines() if line.count("|") >= 4]
    return frozenset(name for row in rows if (name := row[0].strip()) not in ("", "Property") and "---" not in name)


@pytest.fixture(scope="module")
def rdkafka(tmp_path_factory) -> frozenset[str]:
    return librdkafka_names(tmp_path_factory.mktemp("librdkafka"))


def test_every_setting_has_a_row():
    assert sorted(SPELLINGS) == sorted(item.name for item in settings_of(ProducerConfig))
    assert {part for parts in COMPOSED.values() for part in parts} <= set(SPELLINGS)


def test_no_name_is_of_two_settings_and_none_is_both_taken_and_refused():
    own = [key_of(name) for spelling in SPELLINGS.values() for name in {spelling.java, *spelling.librdkafka} - {""}]
    assert len(own) == len(set(own))
    assert not [name for name in KNOWN if refusal_of(name)]
    assert len(REFUSED) == len(set(REFUSED))
    assert SETTING_OF.keys() <= {key_of(name) for name in KNOWN}


@pytest.mark.java
def test_cfg_3_every_setting_of_kafkas_producer_is_mapped_or_explained(kafka):
    assert len(kafka) > 100
    assert not {name for name in kafka if name not in KNOWN and refusal_of(name) is None}


def test_cfg_3_every_setting_of_librdkafka_is_mapped_or_explained(rdkafka):
    assert len(rdkafka) > 150
    assert not {name for name in rdkafka if name not in KNOWN and refusal_of(name) is None}


@pytest.mark.java
def test_no_name_is_made_up(kafka, rdkafka):
    assert {spelling.java for spelling in SPELLINGS.values()} - kafka == {""}
    assert set(COMPOSED) <= kafka
    assert {name for spelling in SPELLINGS.values() for name in spelling.librdkafka} <= rdkafka
    unknown = {name for name in REFUSED if not any(known.startswith(name) for known in kafka | rdkafka)}
    assert unknown <= NO_PROPERTY_OF_LIBRDKAFKA | HIDDEN | OLD_OR_OF_CONSUMERS


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("linger_ms", "here it is linger_ms"),
        ("metadata_broker_list", "here it is bootstrap_servers"),
        ("sasl_jaas_config", "here it is sasl_username and sasl_password"),
        ("sasl_kerberos_anything", "GSSAPI is not supported; use SCRAM-SHA-512, PLAIN over TLS, or OAUTHBEARER"),
        ("sasl_kerberos", None),
        ("zzz", None),
        ("", None),
    ],
)
def test_advice_is_by_name_or_family(name, advice):
    assert advice_for(name) == advice
