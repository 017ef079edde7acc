"""One setting: its type, its bounds, its choices, and words that name it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.errors import ConfigError
from kproto.client.settings import check_setting, kind_of, parse_setting, setting, settings_of

ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.integers())


@dataclass(frozen=True)
class Config:
    """One setting of each kind."""

    count: int = setting(5, "how many", minimum=1, maximum=9)
    free_int: int = setting(0, "any number")
    flag: bool = setting(True, "whether")
    name: str | None = setting("x", "who", optional=True)
    must: str = setting("x", "who")
    path: str | None = setting(None, "where", kind=str)
    mode: str = setting("fast", "how", choices=("fast", "slow"))
    maybe: str | None = setting(None, "how, if at all", kind=str, choices=("fast", "slow"))
    password: str | None = setting(None, "a secret", kind=str, secret=True)
    anything: object = setting("x", "of any type", kind=object)

    def __post_init__(self) -> None:
        for item in settings_of(self):
            check_setting(item.name, getattr(self, item.name), item.metadata, item.default)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("count", 0, "count: at least 1, not 0"),
        ("count", 10, "count: at most 9, not 10"),
        ("count", "5", "count: an int, not '5'"),
        ("count", 5.0, "count: an int, not 5.0"),
        ("count", True, "count: an int, not True"),
        ("count", None, "count: an int, not None"),
        ("free_int", 2**63, "free_int: at most 9223372036854775807, not 9223372036854775808"),
        ("free_int", -(2**63) - 1, "free_int: at least -9223372036854775808, not -9223372036854775809"),
        ("flag", 1, "flag: True or False, not 1"),
        ("flag", None, "flag: True or False, not None"),
        ("name", 5, "name: a str or None, not 5"),
        ("must", None, "must: a str, not None"),
        ("path", b"x", "path: a str or None, not b'x'"),
        ("mode", "fats", "mode: did you mean 'fast'?, not 'fats'"),
        ("mode", "", "mode: known are fast, slow, not ''"),
        ("maybe", "FAST", "maybe: known are fast, slow, not 'FAST'"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(name, value, said):
    with pytest.raises(ConfigError) as caught:
        Config(**{name: value})
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 1),
        ("count", 9),
        ("free_int", 2**63 - 1),
        ("free_int", -(2**63)),
        ("flag", False),
        ("name", None),
        ("path", "y"),
        ("path", None),
        ("mode", "slow"),
        ("maybe", None),
        ("maybe", "slow"),
        ("anything", [b"y"]),
    ],
)
def test_a_right_value_is_kept(name, value):
    assert getattr(Config(**{name: value}), name) is value


def test_a_secret_is_shown_neither_in_a_repr_nor_in_an_error():
    assert "hunter2" not in repr(Config(password="hunter2"))
    with pytest.raises(ConfigError) as caught:
        Config(password=b"hunter2")
    assert str(caught.value) == "password: a str or None, not a value of another kind"


def test_a_setting_tells_of_itself():
    described = {item.name: item.metadata for item in fields(Config)}
    assert described["count"]["about"] == "how many"
    assert (described["count"]["minimum"], described["count"]["maximum"]) == (1, 9)
    assert described["password"]["secret"]


@given(st.sampled_from([item.name for item in fields(Config)]), ANY)
def test_any_value_is_taken_or_refused_with_its_name(name, value):
    try:
        config = Config(**{name: value})
    except ConfigError as error:
        assert str(error).startswith(f"{name}: ")
    else:
        assert getattr(config, name) is value


def test_what_the_constructor_does_not_take_is_no_setting():
    @dataclass(frozen=True)
    class Noted(Config):
        notes: tuple[str, ...] = field(init=False, default=())

    assert settings_of(Noted) == settings_of(Noted()) == fields(Config)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "5", 5),
        ("count", "+05", 5),
        ("count", "-1", -1),
        ("flag", "TRUE", True),
        ("flag", "false", False),
        ("name", "5", "5"),
        ("password", " true ", " true "),
        ("anything", "", ""),
    ],
)
def test_text_becomes_the_type_of_the_setting(name, text, value):
    item = {item.name: item for item in settings_of(Config)}[name]
    found = parse_setting(name, text, item.metadata, item.default)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["", " 5", "5.0", "1_0", "\u0663", "1" * 31, "hunter2"])
def test_text_that_is_of_another_type_is_refused_and_not_shown(text):
    for name, said in (("count", "a whole number"), ("flag", "true or false")):
        item = {item.name: item for item in settings_of(Config)}[name]
        assert kind_of(item.metadata, item.default) in (int, bool)
        with pytest.raises(ConfigError) as caught:
            parse_setting(name, text, item.metadata, item.default)
        assert str(caught.value) == f"{name}: {said}"
