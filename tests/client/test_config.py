"""The client's settings: defaults of Java's, every bound and conflict, and no secret in any text."""

from __future__ import annotations

import ssl
import traceback
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.config import ClientConfig, parse_servers, split_server
from kproto.client.errors import ConfigError, KafkaError

NAMES = [item.name for item in fields(ClientConfig)]
DESCRIBED = {item.name: item for item in fields(ClientConfig)}
PLAIN = {"sasl_mechanism": "PLAIN", "sasl_username": "alice", "sasl_password": "hunter2"}
SASL = {"security_protocol": "SASL_PLAINTEXT", **PLAIN}
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.text())


def provider() -> str:
    return "token"


def refused(**settings: object) -> str:
    """What the error says."""
    with pytest.raises(ConfigError) as caught:
        ClientConfig.of(**settings)
    assert isinstance(caught.value, (KafkaError, ValueError))
    return str(caught.value)


def test_the_defaults_are_javas():
    config = ClientConfig.of()
    assert (config.request_timeout_ms, config.max_in_flight_requests_per_connection) == (30_000, 5)
    assert (config.retry_backoff_ms, config.retry_backoff_max_ms) == (100, 1_000)
    assert (config.reconnect_backoff_ms, config.reconnect_backoff_max_ms) == (50, 1_000)
    assert config.socket_connection_setup_timeout_ms == 10_000
    assert config.socket_connection_setup_timeout_max_ms == 30_000
    assert (config.connections_max_idle_ms, config.metadata_max_age_ms) == (540_000, 300_000)
    assert (config.send_buffer_bytes, config.receive_buffer_bytes) == (131_072, 65_536)
    assert (config.metadata_recovery_strategy, config.security_protocol) == ("rebootstrap", "PLAINTEXT")
    assert (config.sasl_mechanism, config.ssl_check_hostname) == (None, True)
    assert config.servers == (("localhost", 9092),)
    assert not config.uses_tls
    assert not config.uses_sasl


@pytest.mark.parametrize(
    ("protocol", "tls", "sasl"),
    [("PLAINTEXT", False, False), ("SSL", True, False), ("SASL_PLAINTEXT", False, True), ("SASL_SSL", True, True)],
)
def test_the_protocol_says_what_is_used(protocol, tls, sasl):
    config = ClientConfig.of(security_protocol=protocol, **(PLAIN if sasl else {}))
    assert (config.uses_tls, config.uses_sasl) == (tls, sasl)


# Names


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("request_timeout", "request_timeout_ms"),
        ("bootstrap_server", "bootstrap_servers"),
        ("sasl_pasword", "sasl_password"),
        ("max_in_flight_requests", "max_in_flight_requests_per_connection"),
    ],
)
def test_an_unknown_name_raises_with_the_nearest_one(name, meant):
    assert refused(**{name: "hunter2"}) == f"there is no setting {name!r}: did you mean {meant!r}?"


def test_a_name_that_is_near_none_raises_with_all_of_them():
    text = refused(zzzz=1)
    assert all(name in text for name in NAMES)


@given(st.text())
def test_any_other_name_is_refused_by_itself(name):
    if name not in NAMES:
        assert refused(**{name: "hunter2"}).startswith(f"there is no setting {name!r}: ")


# Values


INTS = [name for name in NAMES if type(DESCRIBED[name].default) is int]


@pytest.mark.parametrize("name", INTS)
def test_every_number_has_its_bounds(name):
    described = DESCRIBED[name].metadata
    minimum = described["minimum"]
    maximum = described["maximum"] or 2**63 - 1
    assert minimum is not None
    for value in (minimum, maximum):
        assert getattr(ClientConfig.of(**{name: value}), name) == value
    assert refused(**{name: minimum - 1}) == f"{name}: at least {minimum}, not {minimum - 1}"
    assert refused(**{name: maximum + 1}) == f"{name}: at most {maximum}, not {maximum + 1}"


def test_the_bounds_are_these():
    assert {name: DESCRIBED[name].metadata["minimum"] for name in INTS} == {
        "request_timeout_ms": 1,
        "max_in_flight_requests_per_connection": 1,
        "receive_message_max_bytes": 1_000,
        "retry_backoff_ms": 0,
        "retry_backoff_max_ms": 0,
        "reconnect_backoff_ms": 0,
        "reconnect_backoff_max_ms": 0,
        "socket_connection_setup_timeout_ms": 1,
        "socket_connection_setup_timeout_max_ms": 1,
        "connections_max_idle_ms": -1,
        "send_buffer_bytes": -1,
        "receive_buffer_bytes": -1,
        "metadata_max_age_ms": 0,
        "metadata_max_idle_ms": 5_000,
        "metadata_recovery_rebootstrap_trigger_ms": 1,
    }
    limited = {name for name in INTS if DESCRIBED[name].metadata["maximum"] is not None}
    assert limited == {"receive_message_max_bytes", "send_buffer_bytes", "receive_buffer_bytes"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"security_protocol": "SASL_TLS"}, "security_protocol: did you mean 'SASL_SSL'?, not 'SASL_TLS'"),
        ({"security_protocol": None}, "security_protocol: a str, not None"),
        ({"metadata_recovery_strategy": "retry"}, "metadata_recovery_strategy: known are none, rebootstrap, not "),
        ({"sasl_mechanism": "GSSAPI"}, "sasl_mechanism: known are OAUTHBEARER, PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, "),
        ({"sasl_mechanism": "SCRAM-SHA256"}, "sasl_mechanism: did you mean 'SCRAM-SHA-256'?, not 'SCRAM-SHA256'"),
        ({"ssl_check_hostname": "no"}, "ssl_check_hostname: True or False, not 'no'"),
        ({"request_timeout_ms": 0.5}, "request_timeout_ms: an int, not 0.5"),
        ({"client_id": 7}, "client_id: a str or None, not 7"),
        ({"client_id": "x" * 32_768}, "client_id: at most 32767 bytes of UTF-8, not 32768"),
        ({"client_id": "é" * 16_384}, "client_id: at most 32767 bytes of UTF-8, not 32768"),
        ({"client_id": "\ud800"}, "client_id: text that UTF-8 can carry, without lone surrogates"),
        ({"sasl_password": 1234}, "sasl_password: a str or None, not a value of another kind"),
        ({"ssl_password": b"hunter2"}, "ssl_password: a str or None, not a value of another kind"),
    ],
)
def test_a_wrong_value_is_named(settings, said):
    assert refused(**settings).startswith(said)


@pytest.mark.parametrize("client_id", [None, "", "x" * 32_767])
def test_a_client_id_may_be_none_empty_or_as_long_as_the_header_carries(client_id):
    assert ClientConfig.of(client_id=client_id).client_id == client_id


# Conflicts


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ssl_cafile": "ca.pem"}, "ssl_cafile with security_protocol=PLAINTEXT: nothing is encrypted then; "),
        ({"ssl_certfile": "c.pem"}, "ssl_certfile with security_protocol=PLAINTEXT: "),
        ({"ssl_context": CONTEXT}, "ssl_context with security_protocol=PLAINTEXT: "),
        ({"ssl_check_hostname": False}, "ssl_check_hostname with security_protocol=PLAINTEXT: "),
        ({"ssl_cafile": "ca.pem", **SASL}, "ssl_cafile with security_protocol=SASL_PLAINTEXT: "),
        (
            {"security_protocol": "SSL", "ssl_context": CONTEXT, "ssl_cafile": "ca.pem"},
            "ssl_context and ssl_cafile: the context already says it, leave one out",
        ),
        (
            {"security_protocol": "SSL", "ssl_context": CONTEXT, "ssl_password": "hunter2"},
            "ssl_context and ssl_password: ",
        ),
        (
            {"security_protocol": "SSL", "ssl_context": CONTEXT, "ssl_check_hostname": False},
            "ssl_context and ssl_check_hostname: ",
        ),
        ({"security_protocol": "SSL", "ssl_context": "ca.pem"}, "ssl_context: an ssl.SSLContext, not 'ca.pem'"),
        ({"security_protocol": "SSL", "ssl_keyfile": "k.pem"}, "ssl_keyfile without ssl_certfile: a key proves "),
        ({"security_protocol": "SSL", "ssl_password": "hunter2"}, "ssl_password without ssl_certfile: it opens "),
        (
            {"sasl_mechanism": "PLAIN"},
            "sasl_mechanism with security_protocol=PLAINTEXT: nobody logs in then; use SASL_SSL or SASL_PLAINTEXT, "
            "or leave sasl_mechanism out",
        ),
        ({"sasl_username": "alice"}, "sasl_username with security_protocol=PLAINTEXT: nobody logs in then; "),
        ({"sasl_password": "hunter2"}, "sasl_password with security_protocol=PLAINTEXT: "),
        ({"sasl_oauth_token_provider": provider}, "sasl_oauth_token_provider with security_protocol=PLAINTEXT: "),
        ({**PLAIN, "security_protocol": "SSL"}, "sasl_mechanism with security_protocol=SSL: nobody logs in then; "),
        (
            {"security_protocol": "SASL_SSL"},
            "security_protocol=SASL_SSL needs sasl_mechanism, one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER",
        ),
        ({**SASL, "sasl_username": None}, "sasl_mechanism=PLAIN needs sasl_username"),
        ({**SASL, "sasl_password": None}, "sasl_mechanism=PLAIN needs sasl_password"),
        ({**SASL, "sasl_mechanism": "SCRAM-SHA-512", "sasl_password": None}, "sasl_mechanism=SCRAM-SHA-512 needs sas"),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"},
            "sasl_mechanism=OAUTHBEARER needs sasl_oauth_token_provider",
        ),
        (
            {**SASL, "sasl_oauth_token_provider": provider},
            "sasl_mechanism=PLAIN has no use for sasl_oauth_token_provider: leave it out",
        ),
        (
            {**SASL, "sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": provider},
            "sasl_mechanism=OAUTHBEARER has no use for sasl_username: leave it out",
        ),
        (
            {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "OAUTHBEARER",
                "sasl_oauth_token_provider": "eyJhbGciOi",
            },
            "sasl_oauth_token_provider: a callable that returns a token, not a token",
        ),
        ({**SASL, "sasl_username": ""}, "sasl_username is empty: set it"),
        ({**SASL, "sasl_password": ""}, "sasl_password is empty: set it"),
        ({**SASL, "sasl_password": "hunter2\0"}, "sasl_password has a NUL or a lone surrogate"),
    ],
)
def test_what_conflicts_raises_and_names_both_settings(settings, said):
    text = refused(**settings)
    assert text.startswith(said)
    assert "hunter2" not in text
    assert "eyJ" not in text


@pytest.mark.parametrize(
    "settings",
    [
        {"security_protocol": "SSL", "ssl_context": CONTEXT},
        {"security_protocol": "SSL", "ssl_cafile": "ca.pem", "ssl_certfile": "c.pem", "ssl_keyfile": "k.pem"},
        {"security_protocol": "SSL", "ssl_certfile": "c.pem", "ssl_password": "hunter2", "ssl_check_hostname": False},
        SASL,
        {**SASL, "sasl_mechanism": "SCRAM-SHA-256"},
        {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "OAUTHBEARER",
            "sasl_oauth_token_provider": provider,
            "ssl_context": CONTEXT,
        },
    ],
)
def test_what_belongs_together_is_taken(settings):
    config = ClientConfig.of(**settings)
    assert {name: getattr(config, name) for name in settings} == settings


def test_a_configuration_cannot_be_changed():
    with pytest.raises(AttributeError):
        ClientConfig.of().client_id = "x"
    with pytest.raises(TypeError):
        ClientConfig("localhost:9092")


@given(st.sampled_from(NAMES), ANY)
def test_any_value_is_taken_or_refused_and_nothing_else(name, value):
    try:
        config = ClientConfig.of(**{name: value})
    except ConfigError as error:
        assert name.partition("_")[0] in str(error)
    else:
        assert name == "bootstrap_servers" or getattr(config, name) is value


# Secrets


@given(st.text())
def test_no_repr_and_no_error_shows_a_secret(inner):
    password = f"§{inner}§"
    settings = {"security_protocol": "SASL_SSL", **PLAIN, "ssl_certfile": "c.pem", "ssl_password": password}
    texts = []
    try:
        config = ClientConfig.of(**{**settings, "sasl_password": password})
        texts += [repr(config), str(config)]
    except ConfigError as error:
        texts.append("".join(traceback.format_exception(error)))
    for wrong in ({"sasl_mechanism": None}, {"security_protocol": "PLAINTEXT"}, {"ssl_certfile": None}):
        with pytest.raises(ConfigError) as caught:
            ClientConfig.of(**{**settings, "sasl_password": password, **wrong})
        texts.append(str(caught.value))
    for text in texts:
        assert password not in text and repr(password)[1:-1] not in text


def test_the_token_provider_is_not_shown():
    config = ClientConfig.of(
        security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", sasl_oauth_token_provider=provider
    )
    assert "provider" not in repr(config)


# Servers


@pytest.mark.parametrize(
    ("servers", "parsed"),
    [
        ("a:1", ("a:1",)),
        ("a", ("a:9092",)),
        (" a:1 ,, b:2, ", ("a:1", "b:2")),
        (["a:1", "b"], ("a:1", "b:9092")),
        (("[::1]:2", "[fe80::1%eth0]"), ("[::1]:2", "[fe80::1%eth0]:9092")),
        ("10.0.0.1:65535", ("10.0.0.1:65535",)),
        ("a:09092", ("a:9092",)),
        ("[a]:1", ("a:1",)),
        ("a-b_c.Example.", ("a-b_c.Example.:9092",)),
        ("müller:1", ("müller:1",)),
    ],
)
def test_servers_are_read_from_a_list_or_a_text(servers, parsed):
    assert parse_servers(servers) == parsed
    assert ClientConfig.of(bootstrap_servers=servers).bootstrap_servers == parsed


@pytest.mark.parametrize(
    "server",
    [
        *("a:", ":1", ":", "a:0", "a:65536", "a:655360", "a:-1", "a:x", "a:1.5", "a:٣", "a: 1", "a b:1"),
        *("http://a:1", "PLAINTEXT://a:9092", "a/b:1", "user@a:1", "host:1:2", "[a,b]:1"),
        *("[]:1", "[[a]]:1", "[a:1", "a]", "x:[1]"),
    ],
)
def test_what_is_no_host_and_port_is_refused_and_shown(server):
    said = f'bootstrap_servers: each a "host:port" with a port of 1 to 65535, not {server!r}'
    assert refused(bootstrap_servers=[server]) == said


@pytest.mark.parametrize("server", ["::1", "::1:9092", "fe80::1", "2001:db8::7:9092", "::ffff:10.0.0.1"])
def test_an_address_of_ipv6_needs_brackets(server):
    said = f"bootstrap_servers: an IPv6 address stands in brackets, such as [::1]:9092, not {server!r}"
    assert refused(bootstrap_servers=server) == said


@pytest.mark.parametrize("servers", ["", " , ", [], [""], ()])
def test_there_is_at_least_one_server(servers):
    assert refused(bootstrap_servers=servers) == 'bootstrap_servers: at least one "host:port"'


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        (None, 'a list or a text of "host:port", not None'),
        (9092, 'a list or a text of "host:port", not 9092'),
        (b"a:1", 'each a "host:port", not 97'),
        ([("a", 1)], "each a \"host:port\", not ('a', 1)"),
    ],
)
def test_servers_are_text(servers, said):
    assert refused(bootstrap_servers=servers) == f"bootstrap_servers: {said}"


HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True) | st.ip_addresses(v=6).map(str)
PORTS = st.integers(1, 65_535)
SERVERS = st.lists(st.tuples(HOSTS, PORTS), min_size=1, max_size=5)


def shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@given(SERVERS)
def test_hosts_and_ports_survive_a_list_and_a_text(servers):
    texts = [shown(*server) for server in servers]
    assert parse_servers(texts) == parse_servers(" , ".join(texts)) == tuple(texts)
    assert ClientConfig.of(bootstrap_servers=texts).servers == tuple(servers)


@given(st.text(alphabet="a1:[],. /-é", max_size=12) | st.text(max_size=12))
def test_what_is_parsed_parses_to_the_same_again(text):
    try:
        parsed = parse_servers(text)
    except ConfigError as error:
        assert str(error).startswith("bootstrap_servers: ")
        return
    assert parse_servers(parsed) == parse_servers(",".join(parsed)) == parsed
    for host, port in map(split_server, parsed):
        assert host
        assert 0 < port < 65_536
