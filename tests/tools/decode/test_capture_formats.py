"""construct, which declares the formats, and the layouts that are made of it read the same."""

from __future__ import annotations

import pytest
from construct import Byte, Const, GreedyBytes, Int16ub, Int16ul, Struct
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode.capture_formats import BIG, IPV4, IPV6, LITTLE, TCP, layout

FORMATS = [*BIG, *LITTLE, IPV4, IPV6, TCP]


@given(st.sampled_from(FORMATS), st.binary(min_size=64, max_size=64))
def test_a_layout_reads_what_construct_reads(format_, data):
    found = format_.parse(data)
    values = [value for name, value in found.items() if name != "_io"]
    assert list(layout(format_).unpack_from(data)) == values
    assert layout(format_).size == format_.sizeof()


@given(st.binary(min_size=40, max_size=40))
def test_formats_stand_one_behind_the_other(data):
    values = [*layout(IPV4).unpack_from(data), *layout(TCP).unpack_from(data, 20)]
    assert list(layout(IPV4, TCP).unpack(data)) == values


def test_what_has_no_fixed_place_is_refused():
    with pytest.raises(TypeError, match="no layout"):
        layout(Struct("rest" / GreedyBytes))
    with pytest.raises(TypeError, match="no layout"):
        layout(Struct("magic" / Const(b"1")))
    with pytest.raises(TypeError, match="in common"):
        layout(Int16ub, Int16ul)
    assert layout(Byte, Int16ul).format == "<BH"
