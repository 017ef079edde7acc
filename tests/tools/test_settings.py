"""Settings of the command line: typed, named as the configuration names them, and never shown."""

from __future__ import annotations

import pytest

from kproto.client import ConfigError
from kproto.tools.settings import parse_settings, producer_settings, read_settings


def test_values_have_the_types_of_the_settings():
    lines = ["client.id=me", "request_timeout_ms = 500", "ssl.check.hostname=FALSE", "sasl-password=a=b "]
    assert parse_settings(lines) == {
        "client_id": "me",
        "request_timeout_ms": 500,
        "ssl_check_hostname": False,
        "sasl_password": "a=b",
    }


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("client_id", "a setting is written name=value, such as client_id=me; there is no = behind 'client_id'"),
        ("clientid=me", "there is no setting 'clientid': did you mean 'client_id'?"),
        ("request_timeout_ms=secret", "request_timeout_ms: a whole number"),
        ("ssl_check_hostname=secret", "ssl_check_hostname: true or false"),
    ],
)
def test_what_is_refused(line, says):
    with pytest.raises(ConfigError) as caught:
        parse_settings([line])
    assert str(caught.value) == says
    assert "secret" not in says


def test_a_file_of_settings(tmp_path):
    path = tmp_path / "client.properties"
    path.write_text("# a comment\n\n! another\nclient.id=me\n  sasl.mechanism=PLAIN\n")
    assert parse_settings(read_settings(path)) == {"client_id": "me", "sasl_mechanism": "PLAIN"}


@pytest.mark.parametrize(("content", "says"), [(None, "No such file"), (b"\xff", "it is not UTF-8")])
def test_a_file_that_cannot_be_read(tmp_path, content, says):
    path = tmp_path / "client.properties"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"client.properties: cannot be read: {says}"):
        list(read_settings(path))


def test_settings_of_a_producer_have_any_spelling_and_later_sources_are_stronger():
    file = ["linger.ms=5", "queue.buffering.max.kbytes=1024", "key.serializer=StringSerializer"]
    assert producer_settings(file, ["linger_ms = 20", "acks=1"]) == {
        "linger_ms": 20,
        "buffer_memory": 1 << 20,
        "acks": 1,
    }
    assert producer_settings() == {}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("linger_ms", "a setting is written name=value, such as client_id=me; there is no = behind 'linger_ms'"),
        ("lingr_ms=secret", "there is no property 'lingr_ms': did you mean 'linger.ms'?"),
        ("linger_ms=secret", "linger_ms: a whole number"),
    ],
)
def test_what_a_producer_refuses(line, says):
    with pytest.raises(ConfigError) as caught:
        producer_settings([line])
    assert str(caught.value) == says
