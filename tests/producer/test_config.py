"""The producer's settings: defaults and bounds are Java's, conflicts name both sides, what gave way is told."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator

import pytest
from brokers.judge import Judge, JudgeError
from hypothesis import example, given
from hypothesis import strategies as st

from kproto.client import ClientConfig, ConfigError, KafkaError
from kproto.client.settings import settings_of
from kproto.producer.config import ProducerConfig
from kproto.producer.properties import config_from_properties
from kproto.producer.property_names import SPELLINGS

SETTINGS = {item.name: item for item in settings_of(ProducerConfig)}
INTS = [name for name, item in SETTINGS.items() if int in (type(item.default), item.metadata["kind"])]
ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.text())
MAX = 2**31 - 1


class Interceptor:
    """Both hooks."""

    def on_send(self, record: object) -> object:
        return record

    def on_acknowledgement(self, metadata: object, error: object) -> None:
        pass


def refused(**settings: object) -> str:
    """What the error says."""
    with pytest.raises(ConfigError) as caught:
        ProducerConfig.of(**settings)
    assert isinstance(caught.value, (KafkaError, ValueError))
    return str(caught.value)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as judge:
        yield judge


# Names


def test_it_has_every_setting_of_the_client_and_is_one():
    assert {item.name for item in settings_of(ClientConfig)} < set(SETTINGS)
    assert isinstance(ProducerConfig(), ClientConfig)
    assert not hasattr(ProducerConfig(), "__dict__")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("linger", "did you mean 'linger_ms'?"),
        ("max_batch_size", "did you mean 'batch_size'?"),
        ("linger.ms", "here it is linger_ms"),
        ("queue_buffering_max_ms", "here it is linger_ms"),
        ("interceptor_classes", "here it is interceptors"),
        ("sasl_jaas_config", "here it is sasl_username and sasl_password"),
        ("compression_gzip_level", "here it is compression_level"),
        ("transactional_id", "transactions are not supported; a producer is idempotent without them"),
        ("batch_num_messages", "records are not counted; batch_size bounds the bytes of a batch, "),
        ("metric_reporters", "metrics are read from the producer, when you want them"),
        ("sasl_kerberos_keytab", "GSSAPI is not supported; "),
        ("adjustments", "known are acks, "),
    ],
)
def test_a_name_that_is_none_of_ours_is_explained(name, said):
    assert refused(**{name: "x"}).startswith(f"there is no setting {name!r}: {said}")


# Values


@pytest.mark.parametrize("name", INTS)
def test_every_number_has_its_bounds(name):
    described = SETTINGS[name].metadata
    if name == "compression_level":  # the codec's
        return
    minimum, maximum = described["minimum"], described["maximum"] or 2**63 - 1
    assert refused(**{name: minimum - 1}) == f"{name}: at least {minimum}, not {minimum - 1}"
    assert refused(**{name: maximum + 1}) == f"{name}: at most {maximum}, not {maximum + 1}"
    loose = {"enable_idempotence": False, "batch_size": 0}
    for value in (minimum, maximum):
        if (name, value) != ("delivery_timeout_ms", 0):
            assert getattr(ProducerConfig.of(**{**loose, name: value}), name) == value


@pytest.mark.parametrize(("acks", "number"), [("all", -1), (-1, -1), (0, 0), (1, 1)])
def test_acks_are_a_number_in_requests(acks, number):
    assert ProducerConfig.of(acks=acks).required_acks == number


@pytest.mark.parametrize("acks", ["ALL", "1", "", 2, -2, True, False, 1.0, None, [], b"all"])
def test_other_acks_are_refused(acks):
    assert refused(acks=acks) == f'acks: "all", -1, 0 or 1, not {acks!r}'


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"linger_ms": 0.5}, "linger_ms: an int, not 0.5"),
        ({"linger_ms": True}, "linger_ms: an int, not True"),
        ({"enable_idempotence": 1}, "enable_idempotence: True or False or None, not 1"),
        ({"compression_type": "zst"}, "compression_type: did you mean 'zstd'?, not 'zst'"),
        ({"compression_type": None}, "compression_type: a str, not None"),
        ({"client_rack": 1}, "client_rack: a str, not 1"),
        ({"partitioner": "robin"}, "partitioner: not 'robin', but a callable"),
        ({"partitioner": None}, "partitioner: not None, but a callable"),
        ({"key_serializer": "utf-8"}, "key_serializer: a callable of topic and key, or None, not 'utf-8'"),
        ({"value_serializer": 1}, "value_serializer: a callable of topic and value, or None, not 1"),
        ({"interceptors": "a.B"}, "interceptors: a list of objects, not 'a.B'"),
        ({"interceptors": None}, "interceptors: a list of objects, not None"),
        (
            {"interceptors": [Interceptor(), 5]},
            "interceptors: each has on_send and on_acknowledgement; 5 lacks on_send",
        ),
    ],
)
def test_a_wrong_value_is_named(settings, said):
    assert refused(**settings).startswith(said)


def test_an_interceptor_with_half_of_its_hooks_is_refused(monkeypatch):
    monkeypatch.delattr(Interceptor, "on_acknowledgement")
    assert refused(interceptors=[Interceptor()]).endswith("lacks on_acknowledgement")


def test_callables_and_objects_are_kept():
    def choose(topic: str, key: bytes | None, partitions: tuple[int, ...]) -> int:
        return 0

    interceptor = Interceptor()
    config = ProducerConfig.of(partitioner=choose, key_serializer=len, value_serializer=len, interceptors=[interceptor])
    assert (config.partitioner, config.key_serializer, config.value_serializer) == (choose, len, len)
    assert config.interceptors == (interceptor,)  # a tuple: the caller's list may change


@given(st.sampled_from(sorted(SETTINGS)), ANY)
def test_any_value_is_taken_or_refused_and_nothing_else(name, value):
    try:
        config = ProducerConfig.of(**{name: value})
    except ConfigError as error:
        assert name.partition("_")[0] in str(error)
    else:
        settled = value is None or name in ("bootstrap_servers", "interceptors")
        assert settled or getattr(config, name) is value


def test_it_cannot_be_changed_and_equals_what_is_set_alike():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ProducerConfig().linger_ms = 1  # type: ignore[misc]
    assert ProducerConfig.of(linger_ms=7) == ProducerConfig(linger_ms=7) != ProducerConfig()


# Compression


@pytest.mark.parametrize(
    ("codec", "level", "said"),
    [
        ("none", 3, "none has no levels"),
        ("snappy", 1, "snappy has no levels"),
        ("gzip", 0, "gzip has levels -1 to 9"),
        ("gzip", 10, "gzip has levels -1 to 9"),
        ("lz4", 0, "lz4 has levels 1 to 17"),
        ("zstd", 23, "zstd has levels -131072 to 22"),
    ],
)
def test_a_level_is_one_of_the_codecs(codec, level, said):
    text = refused(compression_type=codec, compression_level=level)
    assert text == f"compression_level={level} and compression_type={codec}: {said}"


@pytest.mark.parametrize(
    ("codec", "level"), [("gzip", -1), ("gzip", 9), ("lz4", 1), ("lz4", 17), ("zstd", -131_072), ("zstd", 22)]
)
def test_both_ends_of_a_codecs_levels_are_taken(codec, level):
    assert ProducerConfig.of(compression_type=codec, compression_level=level).compression_level == level


def test_snappy_without_its_package_is_refused_before_the_first_send(monkeypatch):
    monkeypatch.setitem(sys.modules, "cramjam", None)
    assert refused(compression_type="snappy").startswith("compression_type=snappy: needs the package cramjam: pip ")


# Conflicts


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"acks": 1}, 'enable_idempotence and acks=1: set enable_idempotence=False, or acks="all"'),
        ({"acks": 0}, 'enable_idempotence and acks=0: set enable_idempotence=False, or acks="all"'),
        ({"retries": 0}, "enable_idempotence and retries=0: set enable_idempotence=False, or retries to 1 or more"),
        (
            {"max_in_flight_requests_per_connection": 6},
            "enable_idempotence and max_in_flight_requests_per_connection=6: brokers remember 5 batches; set "
            "enable_idempotence=False, or the other to 5 or less",
        ),
    ],
)
def test_idem_1_idempotence_that_is_asked_for_needs_all_acks_retries_and_at_most_5_in_flight(settings, said):
    """A21."""
    assert refused(enable_idempotence=True, **settings) == said
    assert not ProducerConfig.of(enable_idempotence=False, **settings).adjustments


def test_cfg_1_idempotence_by_default_gives_way_and_says_so():
    config = ProducerConfig.of(acks=1, retries=0)
    assert config.enable_idempotence is False
    assert [note.partition(" rules")[0] for note in config.adjustments] == [
        "enable_idempotence is off, since acks=1",
        "enable_idempotence is off, since retries=0",
    ]
    assert (
        'Set acks="all" to have it, or enable_idempotence=False to say that it is not wanted' in config.adjustments[0]
    )
    assert (ProducerConfig().enable_idempotence, ProducerConfig().adjustments) == (True, ())


def test_cfg_1_more_than_5_in_flight_are_refused_even_where_idempotence_is_only_the_default():
    assert refused(max_in_flight_requests_per_connection=6).startswith("enable_idempotence and max_in_flight")
    assert refused(max_in_flight_requests_per_connection=6, acks=1).startswith("enable_idempotence and max_in_flight")


def test_cfg_4_a_delivery_timeout_that_no_attempt_can_keep_is_refused():
    """B10."""
    said = "delivery_timeout_ms=99 is less than linger_ms=50 + request_timeout_ms=50: no attempt could end in time; "
    times = {"linger_ms": 50, "request_timeout_ms": 50}
    assert refused(delivery_timeout_ms=99, **times).startswith(said)
    assert ProducerConfig.of(delivery_timeout_ms=100, **times).adjustments == ()


def test_cfg_4_the_default_delivery_timeout_is_raised_and_says_so():
    config = ProducerConfig.of(linger_ms=100_000)
    assert config.delivery_timeout_ms == 130_000
    assert config.adjustments == (
        "delivery_timeout_ms is 130000, since its default of 120000 is less than "
        "linger_ms=100000 + request_timeout_ms=30000",
    )
    assert ProducerConfig.of(linger_ms=90_000).adjustments == ()
    assert ProducerConfig.of(linger_ms=2**63 - 1).delivery_timeout_ms == MAX


def test_replacing_a_setting_checks_it_against_what_is_in_force():
    with pytest.raises(ConfigError, match="enable_idempotence and acks=1"):
        dataclasses.replace(ProducerConfig(), acks=1)
    kept = dataclasses.replace(ProducerConfig.of(linger_ms=100_000), batch_size=1)
    assert (kept.delivery_timeout_ms, kept.adjustments) == (130_000, ())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch_growth_max_bytes": 1}, "batch_growth_max_bytes=1 is less than batch_size=16384: "),
        ({"batch_growth_max_bytes": 16_383}, "batch_growth_max_bytes=16383 is less than batch_size=16384: "),
        ({"partitioner_rack_aware": True}, "partitioner_rack_aware without client_rack: "),
        ({"partitioner": len, "partitioner_ignore_keys": True}, "partitioner_ignore_keys with partitioner="),
        (
            {"partitioner": "round_robin", "partitioner_availability_timeout_ms": 5},
            "partitioner_availability_timeout_ms and partitioner: only partitioner=",
        ),
        (
            {"partitioner": "round_robin", "partitioner_rack_aware": True, "client_rack": "a"},
            "partitioner_rack_aware and partitioner: only partitioner=",
        ),
        ({"sasl_mechanism": "PLAIN"}, "sasl_mechanism with security_protocol=PLAINTEXT: "),
    ],
)
def test_what_conflicts_raises_and_names_both_settings(settings, said):
    assert refused(**settings).startswith(said)


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_growth_max_bytes": 16_384},
        {"batch_growth_max_bytes": 1, "batch_size": 0},
        {"partitioner_rack_aware": True, "client_rack": "a", "partitioner_ignore_keys": True},
        {"max_request_size": 2**30, "buffer_memory": 1},
    ],
)
def test_what_belongs_together_is_taken(settings):
    config = ProducerConfig.of(**settings)
    assert {name: getattr(config, name) for name in settings} == settings


# Against Kafka's own


OTHER_DEFAULTS = {
    "bootstrap_servers": "there is one here",
    "client_id": "no counter of the process",
    "receive_buffer_bytes": "the consumer's",
    "sasl_mechanism": "no Kerberos",
    "compression_level": "by codec in Java",
    "partitioner": "a class in Java",
    "key_serializer": "a class in Java",
    "value_serializer": "a class in Java",
    "interceptors": "classes in Java",
    "ssl_check_hostname": "an algorithm in Java",
}


@pytest.mark.java
def test_cfg_3_the_defaults_are_those_of_kafka(judge):
    kafka = judge.config({})
    ours = ProducerConfig()
    other = {
        name
        for name, spelling in SPELLINGS.items()
        if spelling.java and text_of(getattr(ours, name)) != text_of(kafka[spelling.java])
    }
    assert other <= set(OTHER_DEFAULTS)
    assert kafka["ssl.endpoint.identification.algorithm"] == "https"  # checks host names


def text_of(value: object) -> str:
    return str(value).lower().replace("all", "-1")


@pytest.mark.java
@pytest.mark.parametrize("name", [name for name in INTS if SPELLINGS[name].java])
def test_kafka_takes_every_number_that_is_taken_here(judge, name):
    described = SETTINGS[name].metadata
    for value in (described["minimum"], described["maximum"]):
        if value is not None and (name, value) != ("delivery_timeout_ms", 0):
            properties = {"enable.idempotence": "false", "linger.ms": "0", SPELLINGS[name].java: str(value)}
            assert judge.config(properties)[SPELLINGS[name].java] == str(value)


TIMES = st.none() | st.integers(1, 60) | st.integers(119_990, 120_010) | st.just(MAX)


@pytest.mark.java
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "acks": st.sampled_from(["all", "-1", "0", "1"]),
            "retries": st.sampled_from(["0", "1", str(MAX)]),
            "max.in.flight.requests.per.connection": st.sampled_from(["1", "5", "6"]),
            "enable.idempotence": st.sampled_from(["true", "false", " TRUE "]),
        },
    ),
    TIMES,
    TIMES,
    TIMES,
)
@example({"acks": "1", "max.in.flight.requests.per.connection": "6"}, None, None, None)
@example({}, 120_000, None, 120_000)
@example({}, MAX, MAX, MAX)
def test_cfg_1_and_cfg_4_conflicts_are_settled_as_kafka_settles_them(judge, given_, linger, request_timeout, delivery):
    times = {"linger.ms": linger, "request.timeout.ms": request_timeout, "delivery.timeout.ms": delivery}
    properties = {**given_, **{name: str(value) for name, value in times.items() if value is not None}}
    try:
        kafka = judge.config(properties)
    except JudgeError as error:
        assert error.kind == "ConfigException"
        with pytest.raises(ConfigError):
            ProducerConfig.of(**config_from_properties(properties))
        return
    ours = ProducerConfig.of(**config_from_properties(properties))
    assert str(ours.enable_idempotence).lower() == kafka["enable.idempotence"]
    assert str(ours.required_acks) == kafka["acks"]
    assert str(ours.delivery_timeout_ms) == kafka["delivery.timeout.ms"]
