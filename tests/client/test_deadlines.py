"""The first of several deadlines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kproto.client.deadlines import earliest


@given(st.lists(st.none() | st.integers(-5, 5)))
def test_it_is_the_smallest_of_those_that_are(deadlines):
    assert earliest(iter(deadlines)) == min((each for each in deadlines if each is not None), default=None)
