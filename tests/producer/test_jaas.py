"""sasl.jaas.config: read as Kafka reads it, and never shown."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import pytest
from brokers.judge import Judge
from hypothesis import given
from hypothesis import strategies as st

from kproto.client import ConfigError
from kproto.producer.jaas import JaasLogin, parse_jaas

PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as judge:
        yield judge


@pytest.mark.parametrize(
    ("text", "login"),
    [
        (f'{PLAIN} required username="me" password="x";', (("PLAIN",), "me", "x")),
        (f"{SCRAM} REQUIRED\n  password='a b'\n  username=me ; ", (("SCRAM-SHA-256", "SCRAM-SHA-512"), "me", "a b")),
        (f"kafkashaded.{PLAIN} optional username=me;", (("PLAIN",), "me", None)),
        (f"{PLAIN} required;", (("PLAIN",), None, None)),
        (
            f'/* who */ {PLAIN} required // to log in\n username = "m\\"e\\\\" password="\\061\\t";',
            (("PLAIN",), 'm"e\\', "1\t"),
        ),
        (f'{PLAIN} required username="a;b=c" password="";', (("PLAIN",), "a;b=c", "")),
    ],
)
def test_user_and_password_are_read(text, login):
    assert parse_jaas(text) == JaasLogin(*login)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a class and the word required are expected: "),
        (PLAIN, "a class and the word required are expected: "),
        (f'{PLAIN} username="hunter2";', "a class and the word required are expected: "),
        (f'{PLAIN} requiredusername="hunter2";', "a class and the word required are expected: "),
        (f'{PLAIN} required username="hunter2"', "options and one semicolon at the end are expected: "),
        (f'{PLAIN} required username="hunter2;', "options and one semicolon at the end are expected: "),
        (f"{PLAIN} required username=;", "options and one semicolon at the end are expected: "),
        (f"{PLAIN} required username hunter2;", "options and one semicolon at the end are expected: "),
        (f"{PLAIN} required; {PLAIN} required;", "options and one semicolon at the end are expected: "),
        (f'{PLAIN} required user_me="hunter2";', "PlainLoginModule takes username and password, and no other option"),
        (f'{SCRAM} required tokenauth="true";', "ScramLoginModule takes username and password, and no other option"),
        ("a.OAuthBearerLoginModule required;", "pass sasl_oauth_token_provider, a callable that returns a token"),
        ("com.sun.Krb5LoginModule required keyTab=hunter2;", "GSSAPI is not supported; "),
        ("aws.IAMLoginModule required;", "user and password are read from PlainLoginModule and ScramLoginModule"),
    ],
)
def test_what_cannot_be_read_is_explained_without_its_values(text, said):
    with pytest.raises(ConfigError) as caught:
        parse_jaas(text)
    assert str(caught.value).startswith(f"sasl.jaas.config: {said}")
    assert "hunter2" not in str(caught.value)


@given(st.text())
def test_a_password_is_in_no_text(inner):
    password = f"§{inner}§"
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    for tail in (";", "", " other=1;"):
        try:
            shown = repr(parse_jaas(f'{PLAIN} required password="{quoted}"{tail}'))
        except ConfigError as error:
            shown = "".join(traceback.format_exception(error))
        assert password not in shown and quoted not in shown


@given(st.text(alphabet="ab\"'\\;=/* \n0.", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        login = parse_jaas(f"{PLAIN} required {text}")
    except ConfigError:
        return
    assert login.mechanisms == ("PLAIN",)


def test_comments_without_end_take_no_longer_than_their_length():
    with pytest.raises(ConfigError):
        parse_jaas("/**/" * 50_000 + "/*")


QUOTE = st.sampled_from("\"'")
CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
GAPS = st.sampled_from([" ", "\n", "\t", "  ", " // hey\n", "/* ; */", "\r\n"])
PIECES = st.one_of(
    st.text(CHARACTERS.filter(lambda char: char not in "\"'\\\r\n")),
    st.from_regex(r"\\([ntabfrvx\\\"'8\n]|[0-7]{1,4})", fullmatch=True),
)


@st.composite
def options(draw):
    """Options as text: quoted with escapes, or bare."""
    parts = []
    for name in draw(st.lists(st.sampled_from(["username", "password"]), max_size=3)):
        if draw(st.booleans()):
            quote = draw(QUOTE)
            value = f"{quote}{''.join(draw(st.lists(PIECES, max_size=5)))}{quote}"
        else:
            value = draw(st.from_regex(r"[A-Za-z_$][A-Za-z0-9_$.-]{0,9}", fullmatch=True))
        parts.append(f"{draw(GAPS)}{name}{draw(st.sampled_from(['=', ' = ', ' =']))}{value}")
    return "".join(parts)


@pytest.mark.java
@given(st.sampled_from([PLAIN, SCRAM]), st.sampled_from(["required", "Optional", "SUFFICIENT", "requisite"]), options())
def test_cfg_3_a_login_module_is_read_as_kafka_reads_it(judge, module, flag, text):
    text = f"{module} {flag}{text};"
    found, kafka = judge.jaas(text)
    ours = parse_jaas(text)
    assert (found, kafka.get("username"), kafka.get("password")) == (module, ours.username, ours.password)


@pytest.mark.parametrize("value", ["-", "-x"])
def test_a_bare_value_that_kafka_takes_for_a_number_is_refused(value):
    with pytest.raises(ConfigError, match="options and one semicolon"):
        parse_jaas(f"{PLAIN} required username={value};")
