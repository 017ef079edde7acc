"""Version ranges as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire.errors import WireError
from kproto.wire.versions import VERSION_MAX, parse_versions, show_versions


@given(st.integers(0, VERSION_MAX), st.integers(0, VERSION_MAX))
def test_what_is_shown_is_parsed_back(one, other):
    versions = range(min(one, other), max(one, other) + 1)
    assert parse_versions(show_versions(versions)) == versions


@pytest.mark.parametrize(
    ("text", "versions"),
    [("0-5", range(6)), ("3+", range(3, VERSION_MAX + 1)), ("7", range(7, 8)), ("none", range(0))],
)
def test_each_form(text, versions):
    assert parse_versions(text) == versions
    assert show_versions(versions) == text


@pytest.mark.parametrize("text", ["", "5-3", "a", "1-", "-1", "0-99999", "99999", "3++", " 3", "1,2"])
def test_anything_else_is_refused(text):
    with pytest.raises(WireError, match="version"):
        parse_versions(text)
