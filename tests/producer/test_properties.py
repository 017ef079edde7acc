"""Properties of Java's and librdkafka's: typed, renamed, converted, or refused with the way out."""

from __future__ import annotations

import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client import ConfigError
from kproto.client.settings import kind_of, settings_of
from kproto.producer.config import ProducerConfig
from kproto.producer.properties import config_from_properties, serialize_text
from kproto.producer.property_names import KNOWN, REFUSALS, SPELLINGS

SETTINGS = {item.name: item for item in settings_of(ProducerConfig)}
PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="me" password="hunter2";'
PRODUCER = "org.apache.kafka.clients.producer"
SERIALIZATION = "org.apache.kafka.common.serialization"
INTS = [name for name, item in SETTINGS.items() if kind_of(item.metadata, item.default) is int]
BOOLS = [name for name, item in SETTINGS.items() if kind_of(item.metadata, item.default) is bool]


def refused(properties: dict[object, object]) -> str:
    """What the error says."""
    with pytest.raises(ConfigError) as caught:
        config_from_properties(properties)  # type: ignore[arg-type]
    return str(caught.value)


# Names


@pytest.mark.parametrize("name", sorted(SPELLINGS))
def test_a_setting_may_be_written_as_here_too(name):
    value = object()
    assert config_from_properties({name: value}) == {name: value}
    if "store" not in SPELLINGS[name].java:
        assert config_from_properties({name.replace("_", "."): value}) == {name: value}


OTHER_NAMES = sorted(
    (own, name) for name, spelling in SPELLINGS.items() for own in {spelling.java, *spelling.librdkafka} - {""}
)


@pytest.mark.parametrize(("own", "name"), OTHER_NAMES)
def test_cfg_3_a_name_of_another_client_is_its_setting(own, name):
    value = object()
    assert config_from_properties({own: value, "ssl.truststore.type": "PEM", "ssl.keystore.type": "pem"}) == {
        name: value
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lingr.ms", "there is no property 'lingr.ms': did you mean 'linger.ms'?"),
        ("queue.buffering.max", "there is no property 'queue.buffering.max': did you mean 'queue.buffering.max.ms'?"),
        ("", "there is no property '': known are acks, "),
        (5, "the name of a property is a text, not 5"),
    ],
)
@pytest.mark.parametrize("value", ["5", None])
def test_a_name_that_nobody_has_is_refused_whatever_its_value(name, said, value):
    assert refused({name: value}).startswith(said)


@given(st.text())
def test_any_other_name_is_refused_by_itself(name):
    if name not in KNOWN and name not in SPELLINGS:
        assert repr(name) in refused({name: "hunter2"})


REFUSED = [(name, refusal) for refusal in REFUSALS for name in refusal.names if not name.endswith(".")]


@pytest.mark.parametrize(("name", "refusal"), REFUSED, ids=[name for name, _ in REFUSED])
def test_what_is_not_here_is_refused_with_its_reason_unless_it_asks_for_nothing(name, refusal):
    assert refused({name: "hunter2"}) == f"{name}: {refusal.why}"
    for value in refusal.harmless:
        assert config_from_properties({name: f" {value.upper()} "}) == {}


def test_families_are_refused_too():
    assert refused({"sasl.kerberos.service.name": "kafka"}).startswith("sasl.kerberos.service.name: GSSAPI is not")
    assert "sasl_oauth_token_provider" in refused({"sasl.oauthbearer.token.endpoint.url": "https://a"})
    assert refused({"enable.metrics.push": True}).startswith("enable.metrics.push: metrics are not pushed")
    assert config_from_properties({"enable.metrics.push": False}) == {}


def test_two_names_of_one_setting_are_refused():
    both = {"linger.ms": "5", "queue.buffering.max.ms": "5"}
    assert refused(both) == "linger.ms and queue.buffering.max.ms: both are linger_ms here, leave one out"
    assert (
        refused({"linger.ms": "5", "linger_ms": 5}) == "linger.ms and linger_ms: both are linger_ms here, leave one out"
    )
    assert config_from_properties({"linger.ms": "5", "queue.buffering.max.ms": None}) == {"linger_ms": 5}


# Values


@given(st.data())
def test_cfg_3_text_becomes_the_settings_own_type(data):
    name = data.draw(st.sampled_from(INTS + BOOLS))
    gap = data.draw(st.sampled_from(["", " ", "\t"]))
    if name in BOOLS:
        value = data.draw(st.booleans())
        text = data.draw(st.sampled_from([str(value), str(value).lower(), str(value).upper()]))
    else:
        value = data.draw(st.integers(-(2**63), 2**63 - 1))
        text = data.draw(st.sampled_from([f"{value}", f"{value:+}"]))
    found = config_from_properties({name: f"{gap}{text}{gap}"})
    assert found == config_from_properties({name: value})
    if (name, value) != ("compression_level", -1):
        assert found == {name: value}
        assert type(found[name]) is type(value)


@pytest.mark.parametrize("text", ["", "5.0", "1_000", "0x10", "٣", "five", "1e3", 5.0, True, "9" * 31])
def test_what_is_no_whole_number_is_refused(text):
    assert refused({"linger.ms": text}) == "linger.ms: a whole number"


@pytest.mark.parametrize("text", ["", "yes", "1", 1, "wahr", 0.0])
def test_what_is_no_truth_is_refused(text):
    assert refused({"enable.idempotence": text}) == "enable.idempotence: true or false"


@pytest.mark.parametrize(
    ("properties", "settings"),
    [
        ({}, {}),
        ({"acks": " all "}, {"acks": "all"}),
        ({"acks": "-1"}, {"acks": -1}),
        ({"request.required.acks": "0"}, {"acks": 0}),
        ({"acks": 1}, {"acks": 1}),
        ({"queue.buffering.max.kbytes": "1024"}, {"buffer_memory": 1_048_576}),
        ({"queue.buffering.max.kbytes": 1}, {"buffer_memory": 1_024}),
        ({"socket.send.buffer.bytes": "0"}, {"send_buffer_bytes": -1}),
        ({"socket.receive.buffer.bytes": "8"}, {"receive_buffer_bytes": 8}),
        ({"send.buffer.bytes": "0"}, {"send_buffer_bytes": 0}),
        ({"security.protocol": "sasl_ssl"}, {"security_protocol": "SASL_SSL"}),
        ({"metadata.recovery.strategy": "NONE"}, {"metadata_recovery_strategy": "none"}),
        ({"ssl.endpoint.identification.algorithm": "HTTPS"}, {"ssl_check_hostname": True}),
        ({"ssl.endpoint.identification.algorithm": ""}, {"ssl_check_hostname": False}),
        ({"ssl.endpoint.identification.algorithm": "none"}, {"ssl_check_hostname": False}),
        ({"ssl.check.hostname": "false"}, {"ssl_check_hostname": False}),
        ({"bootstrap.servers": "a:1,b"}, {"bootstrap_servers": "a:1,b"}),
        ({"bootstrap.servers": ["a:1", "b"]}, {"bootstrap_servers": ["a:1", "b"]}),
        ({"ssl.ca.location": "a.pem"}, {"ssl_cafile": "a.pem"}),
        ({"sasl.password": " hunter2 "}, {"sasl_password": " hunter2 "}),
        ({"sasl.username": " me "}, {"sasl_username": "me"}),
        ({"interceptor.classes": ""}, {"interceptors": ()}),
        ({"interceptors": [5]}, {"interceptors": [5]}),
        ({"partitioner.class": f"{PRODUCER}.RoundRobinPartitioner"}, {"partitioner": "round_robin"}),
        ({"partitioner.class": f"{PRODUCER}.internals.DefaultPartitioner"}, {"partitioner": "default"}),
        ({"partitioner.class": ""}, {"partitioner": "default"}),
        ({"partitioner": "murmur2_random"}, {"partitioner": "default"}),
        ({"partitioner": len}, {"partitioner": len}),
        ({"key.serializer": f"{SERIALIZATION}.StringSerializer"}, {"key_serializer": serialize_text}),
        ({"value.serializer": f"{SERIALIZATION}.ByteArraySerializer"}, {"value_serializer": None}),
        ({"value.serializer": len}, {"value_serializer": len}),
    ],
)
def test_values_are_those_of_this_producer(properties, settings):
    assert config_from_properties(properties) == settings


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"ssl.endpoint.identification.algorithm": "ldaps"}, 'ssl.endpoint.identification.algorithm: "https", '),
        ({"partitioner": "fnv1a"}, 'partitioner: fnv1a is not here. "default" puts keys where Java does'),
        ({"partitioner.class": "a.UniformStickyPartitioner"}, "partitioner.class: Kafka 4 has no UniformSticky"),
        ({"key.serializer": "a.LongSerializer"}, "key.serializer: a.LongSerializer is not here; pass key_serializer"),
        ({"interceptor.classes": "a.B"}, "interceptor.classes: classes of Java's; pass interceptors, a "),
        ({"ssl.truststore.location": "a.jks"}, "ssl.truststore.location without ssl.truststore.type=PEM: "),
        ({"ssl.keystore.location": "a", "ssl.keystore.type": "JKS"}, "ssl.keystore.location without ssl.keystore.ty"),
        ({"queue.buffering.max.kbytes": "1.5"}, "queue.buffering.max.kbytes: a whole number"),
        ({"sasl.jaas.config": "x"}, "sasl.jaas.config: a class and the word required are expected: "),
    ],
)
def test_values_that_are_not_here_are_explained(properties, said):
    assert refused(properties).startswith(said)


# Several properties that make one setting


@pytest.mark.parametrize(
    ("properties", "level"),
    [
        ({"compression.type": "zstd", "compression.zstd.level": "5", "compression.gzip.level": "x"}, 5),
        ({"compression.codec": "gzip", "compression.gzip.level": 9}, 9),
        ({"compression.type": "zstd", "compression.zstd.level": "-1"}, -1),
        ({"compression.type": "gzip", "compression.gzip.level": "-1"}, None),
        ({"compression.type": "lz4", "compression.level": "-1"}, None),
        ({"compression.type": "lz4", "compression.level": "12"}, 12),
    ],
)
def test_the_level_is_that_of_the_codec_in_use(properties, level):
    assert config_from_properties(properties)["compression_level"] == level


def test_levels_of_other_codecs_are_left_out_as_java_does():
    assert config_from_properties({"compression.lz4.level": "5"}) == {}
    both = {"compression.type": "lz4", "compression.lz4.level": "5", "compression.level": "5"}
    assert refused(both).startswith("compression.lz4.level and compression.level: both are compression_level here")


def test_a_jaas_text_is_a_user_and_a_password():
    assert config_from_properties({"sasl.jaas.config": PLAIN}) == {"sasl_username": "me", "sasl_password": "hunter2"}
    settings = config_from_properties(
        {"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.jaas.config": PLAIN}
    )
    assert ProducerConfig.of(**settings).sasl_username == "me"
    assert config_from_properties({"sasl.jaas.config": "a.PlainLoginModule required;", "sasl.password": "x"}) == {
        "sasl_password": "x"
    }


@pytest.mark.parametrize("name", ["sasl.mechanism", "sasl.mechanisms"])
def test_a_jaas_text_of_another_mechanism_is_refused(name):
    said = refused({name: "SCRAM-SHA-256", "sasl.jaas.config": PLAIN})
    assert said == "sasl.jaas.config and sasl.mechanism=SCRAM-SHA-256: its module serves PLAIN"


@given(st.sampled_from(sorted(KNOWN)), st.text() | st.integers() | st.floats() | st.booleans() | st.binary())
def test_any_value_gives_settings_or_an_error_that_says_so(name, value):
    try:
        settings = config_from_properties({name: value})
        ProducerConfig.of(**settings)
    except ConfigError as error:
        assert str(error)
    else:
        assert settings.keys() <= SETTINGS.keys()


@given(st.text(min_size=3))
def test_no_error_shows_a_secret(inner):
    secret = f"§{inner}§"
    for properties in (
        {"sasl.password": secret, "sasl_password": secret},
        {"ssl.key.password": secret, "linger.ms": "x"},
        {"linger.ms": secret},
        {"enable.idempotence": secret},
        {"sasl.oauthbearer.client.secret": secret},
        {"ssl.keystore.password": secret},
        {"sasl.jaas.config": f'{secret} required password="{secret}"'},
    ):
        with pytest.raises(ConfigError) as caught:
            config_from_properties(properties)
        assert secret not in "".join(traceback.format_exception(caught.value))


def test_text_is_serialized_as_utf_8_and_none_stays_none():
    assert serialize_text("t", "é") == b"\xc3\xa9"
    assert serialize_text("t", None) is None
    assert pickle.loads(pickle.dumps(serialize_text)) is serialize_text
