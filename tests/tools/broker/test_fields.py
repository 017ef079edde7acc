"""JSON that is taken apart field by field: what is wrong is told, with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.broker.fields import Fields, PlanError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def refused(take):
    with pytest.raises(PlanError) as raised:
        take()
    return str(raised.value)


@pytest.mark.parametrize(
    ("take", "value", "text"),
    [
        (lambda fields: fields.number("a"), None, "plan.a: an integer from 0 on has to stand here, not None"),
        (lambda fields: fields.number("a"), True, "not True"),
        (lambda fields: fields.number("a", low=1, high=5), 6, "an integer from 1 to 5 has to stand here, not 6"),
        (lambda fields: fields.number("a"), 1.0, "not 1.0"),
        (lambda fields: fields.number_or_null("a"), "x", "not 'x'"),
        (lambda fields: fields.text("a"), 5, "a string has to stand here, not 5"),
        (lambda fields: fields.truth("a"), 1, "true or false has to stand here, not 1"),
        (lambda fields: fields.choice("a", {"close": 1}), "clos", "did you mean 'close'?"),
        (lambda fields: fields.choice("a", {"close": 1, "open": 2}), "xyz", "known are close, open"),
        (lambda fields: fields.choice("a", {"close": 1}), 7, "a string has to stand here"),
        (lambda fields: list(fields.elements("a")), {}, "an array has to stand here, not {}"),
        (lambda fields: list(fields.entries("a")), [], "an object has to stand here, not []"),
        (lambda fields: fields.number("a"), "x" * 99, "..."),
    ],
)
def test_what_cannot_stand_there(take, value, text):
    found = refused(lambda: take(Fields({"a": value}, "plan")))
    assert found.startswith("plan.a: ")
    assert text in found


def test_what_is_taken():
    fields = Fields({"a": 1, "b": "x", "c": [1, 2], "d": {"e": True}, "f": None}, "")
    assert (fields.number("a"), fields.text("b"), fields.number_or_null("f")) == (1, "x", None)
    assert list(fields.elements("c")) == [(1, "c[0]"), (2, "c[1]")]
    assert list(fields.entries("d")) == [("e", True, "d.e")]
    fields.done()


def test_defaults():
    fields = Fields({}, "")
    assert (fields.number("a", None), fields.text("b", None), fields.truth("c", False)) == (None, None, False)
    assert (fields.choice("d", {"x": 3}, "x"), fields.number_or_null("e", 4)) == (3, 4)
    assert list(fields.elements("f")) == list(fields.entries("g")) == []
    assert refused(lambda: fields.number("n")) == "n is missing"


def test_what_nobody_took():
    fields = Fields({"tims": 1}, "faults[3]")
    fields.number("times", 1)
    assert refused(fields.done) == "faults[3].tims: no such field: did you mean 'times'?"
    assert fields.rest() == {"tims": 1}
    fields.done()


@pytest.mark.parametrize("value", [None, 1, "x", []])
def test_no_object(value):
    assert "an object has to stand here" in refused(lambda: Fields(value, "plan"))


@given(JSON)
def test_any_json_is_taken_or_refused(value):
    for take in ("number", "number_or_null", "text", "truth"):
        fields = Fields({"a": value}, "")
        try:
            found = getattr(fields, take)("a")
        except PlanError:
            continue
        assert found == value
