"""Error codes out of any response, beside those of its dictionary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode.message_errors import error_codes, error_name
from kproto.wire import RESPONSES


def codes_in(value):
    """By the names of a message's dictionary, in its order; a struct's own code comes first."""
    if isinstance(value, dict):
        if value.get("error_code"):
            yield value["error_code"]
        for inner in value.values():
            yield from codes_in(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from codes_in(inner)


@pytest.mark.parametrize("cls", RESPONSES.values(), ids=lambda cls: cls.__name__)
@given(st.data())
def test_each_code_is_found(cls, data):
    message = data.draw(st.from_type(cls))
    assert list(error_codes(message)) == list(codes_in(message.to_dict()))


def test_names():
    assert (error_name(45), error_name(-1), error_name(9999)) == (
        "OUT_OF_ORDER_SEQUENCE_NUMBER",
        "UNKNOWN_SERVER_ERROR",
        "9999",
    )
