"""The elements of a picture: numbers, cut words, escaped text, colours for every reason."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.producer.events import SendReason
from kproto.tools.svg import CHARACTER, REASON_COLOURS, document, number, short, style, text, told


@pytest.mark.parametrize(("pixels", "says"), [(3, "3"), (3.0, "3"), (3.04, "3"), (3.06, "3.1"), (-0.5, "-0.5")])
def test_numbers_are_short(pixels, says):
    assert number(pixels) == says


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)), st.integers(0, 200))
def test_words_are_cut_to_their_room(words, room):
    cut = short(words, room)
    assert len(cut) * CHARACTER <= max(room, 0) or not cut
    assert cut in {words, ""} or (words.startswith(cut[:-1]) and cut.endswith("…") and len(cut) >= 4)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF)))
def test_text_is_escaped(words):
    root = ElementTree.fromstring(document(9, 9, words, [told([words], [text(0, 0, words, "dim", "end")])]))
    found = [(each.text or "") for each in root.iter() if each.tag.endswith(("}text", "}title"))]
    assert found == [words] * 3


def test_each_reason_has_its_colour_in_light_and_in_dark():
    light, dark = style().split("@media")
    assert set(REASON_COLOURS) == set(SendReason)
    assert len(set(REASON_COLOURS.values())) == len(SendReason)
    assert all(f".kproto .{reason.name}{{fill:#" in part for reason in SendReason for part in (light, dark))
